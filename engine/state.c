/* state.c - a session as a file.
 *
 * Little endian, no padding, exactly as long as the header says:
 *     header   struct header below
 *     ids      [n_ids] int32
 *     cache    the blocks of cache_block(), in order: keys and values of positions
 *              [0, n_done), whole pages, draft layer included; with a compressed
 *              format the f16 pages that are still read; recurrent state
 *     logits   [V] f32, when n_done > 0
 *     hidden   [n_hidden, E] f32, what the draft layer has not read yet
 *     check    uint64, hash_value() of all bytes before
 *
 * A file is input from outside: sizes follow from the model and the session's own cap,
 * never from the file, and nothing of the session changes before the last check. */
#include "engine/base/file.h"
#include "engine/hash.h"
#include "engine/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_VERSION = 1 };
static const char MAGIC[8] = "qastate";

struct header {
    char magic[8];
    uint32_t version;
    uint32_t type_k, type_v; /* enum kv_type */
    uint32_t has_draft;      /* hidden rows and keys of the draft layer are there */
    uint64_t model_hash;
    int64_t n_ids, n_done, n_mtp, n_hidden;
    uint64_t page_bytes, state_bytes;
};
_Static_assert(sizeof(struct header) == 80, "no padding");

static size_t vocab_bytes(const struct session *s)
{
    return (size_t)s->g->m->d.n_vocab * sizeof(float);
}

static size_t embd_bytes(const struct session *s)
{
    return (size_t)s->g->m->d.n_embd * sizeof(float);
}

/* ---- a file going by ----------------------------------------------------------- */

/* Parts pass through `block`, because the device's memory may not be the host's. */
struct stream {
    const struct session *s;
    const char *path;
    int fd;
    struct hash hash;
    size_t at; /* bytes read so far */
    uint8_t *block;
    size_t n_block;
};

static enum status stream_init(struct stream *t, const struct session *s, struct err *e)
{
    const struct cache_plan *p = &s->g->plan;
    t->s = s;
    t->n_block = QA_MAX(QA_MAX(p->page_bytes, p->state_bytes), vocab_bytes(s));
    t->n_block = QA_MAX(t->n_block, embd_bytes(s));
    t->block = malloc(t->n_block);
    return t->block ? QA_OK : err_set(e, QA_E_NOMEM, "no memory for a session's file");
}

static enum status put(struct stream *t, const void *p, size_t n, struct err *e)
{
    hash_add(&t->hash, p, n);
    return file_write_all(t->fd, p, n, t->path, e);
}

static enum status get(struct stream *t, void *p, size_t n, struct err *e)
{
    const enum status st = file_read_at(t->fd, p, n, t->at, t->path, e);
    t->at += n;
    if (!st) hash_add(&t->hash, p, n);
    return st;
}

static enum status put_device(struct stream *t, const void *p, size_t n, struct err *e)
{
    const struct engine *g = t->s->g;
    g->ops->copy(g->dev, t->block, p, n);
    g->ops->sync(g->dev);
    return put(t, t->block, n, e);
}

static enum status get_device(struct stream *t, void *p, size_t n, struct err *e)
{
    const struct engine *g = t->s->g;
    const enum status st = get(t, t->block, n, e);
    if (st) return st;
    g->ops->copy(g->dev, p, t->block, n);
    g->ops->sync(g->dev);
    return QA_OK;
}

/* ---- saving -------------------------------------------------------------------- */

static struct header header_of(const struct session *s)
{
    struct header h = {
        .version = STATE_VERSION,
        .type_k = (uint32_t)s->g->plan.type_k,
        .type_v = (uint32_t)s->g->plan.type_v,
        .has_draft = s->hidden != NULL,
        .model_hash = s->g->info.model_hash,
        .n_ids = (int64_t)s->ids.n,
        .n_done = s->n_done,
        .n_mtp = s->n_mtp,
        .n_hidden = s->n_hidden,
        .page_bytes = s->g->plan.page_bytes,
        .state_bytes = s->g->plan.state_bytes,
    };
    memcpy(h.magic, MAGIC, sizeof h.magic);
    return h;
}

static enum status save_parts(struct stream *t, struct err *e)
{
    const struct session *s = t->s;
    const struct header h = header_of(s);
    struct cache_block block;
    enum status st = put(t, &h, sizeof h, e);
    if (!st) st = put(t, s->ids.p, s->ids.n * sizeof *s->ids.p, e);
    for (int i = 0; !st && cache_block(&s->cache, s->n_done, i, &block); i++)
        st = put_device(t, block.mem, block.n_bytes, e);
    if (!st && s->n_done > 0)
        st = put_device(t, session_row(s, s->i_logits), vocab_bytes(s), e);
    for (int i = 0; !st && s->hidden && i < s->n_hidden; i++) {
        st = put_device(t, s->hidden + (size_t)i * (size_t)s->g->m->d.n_embd, embd_bytes(s), e);
    }
    const uint64_t check = hash_value(&t->hash);
    return st ? st : put(t, &check, sizeof check, e);
}

enum status session_save(struct session *s, const char *path, struct err *e)
{
    struct stream t = {.path = path};
    struct file_new f;
    enum status st = stream_init(&t, s, e);
    if (st) return st;
    st = file_new_open(&f, path, 0600, e);
    if (!st) {
        t.fd = f.fd;
        st = file_new_close(&f, save_parts(&t, e), e);
    }
    free(t.block);
    return st;
}

/* ---- loading ------------------------------------------------------------------- */

static size_t file_bytes(const struct session *s, const struct header *h, const struct cache *c)
{
    struct cache_block block;
    size_t n = sizeof *h + (size_t)h->n_ids * sizeof(int32_t) + sizeof(uint64_t);
    for (int i = 0; cache_block(c, h->n_done, i, &block); i++)
        n += block.n_bytes;
    if (h->n_done > 0) n += vocab_bytes(s);
    if (h->has_draft) n += (size_t)h->n_hidden * embd_bytes(s);
    return n;
}

static enum status damaged(const char *path, const char *what, struct err *e)
{
    return err_set(e, QA_E_FORMAT, "session file '%s' is damaged: %s", path, what);
}

static enum status check_origin(const struct session *s,
                                const struct header *h,
                                const char *path,
                                struct err *e)
{
    const struct cache_plan *p = &s->g->plan;
    if (memcmp(h->magic, MAGIC, sizeof h->magic) != 0)
        return err_set(e, QA_E_FORMAT, "'%s' is not a session file", path);
    if (h->version != STATE_VERSION) {
        return err_set(e, QA_E_FORMAT,
                       "session file '%s' has version %u, this program reads version %d", path,
                       h->version, STATE_VERSION);
    }
    if (h->model_hash != s->g->info.model_hash)
        return err_set(e, QA_E_FORMAT, "session file '%s' was made with another model", path);
    if (h->type_k != (uint32_t)p->type_k || h->type_v != (uint32_t)p->type_v) {
        return err_set(e, QA_E_FORMAT,
                       "session file '%s' was made with cache formats %s and %s, not %s and %s",
                       path, kv_type_name((enum kv_type)h->type_k),
                       kv_type_name((enum kv_type)h->type_v), kv_type_name(p->type_k),
                       kv_type_name(p->type_v));
    }
    if (h->page_bytes != p->page_bytes || h->state_bytes != p->state_bytes)
        return err_set(e, QA_E_FORMAT, "session file '%s' has another cache layout", path);
    if (s->hidden && !h->has_draft)
        return err_set(e, QA_E_FORMAT, "session file '%s' was made without drafting", path);
    return QA_OK;
}

static enum status check_counts(const struct session *s,
                                const struct header *h,
                                const char *path,
                                struct err *e)
{
    const int64_t most = s->step_tokens + 2 * TRIAL_ROWS;
    if (h->n_ids < 0 || h->n_done < 0 || h->n_done > h->n_ids || h->n_ids - h->n_done > 1 ||
        h->has_draft > 1) {
        return damaged(path, "counts that cannot be", e);
    }
    if (h->n_ids > s->cap_tokens) {
        return err_set(e, QA_E_LIMIT, "session file '%s' holds %lld tokens, room for %lld",
                       path, (long long)h->n_ids, (long long)s->cap_tokens);
    }
    const bool is_behind = h->n_mtp >= 1 && h->n_mtp <= QA_MAX(h->n_done + 1, 1);
    if (h->has_draft && (!is_behind || h->n_hidden != h->n_done - h->n_mtp + 1))
        return damaged(path, "counts that cannot be", e);
    if (h->has_draft && h->n_hidden > most) {
        return err_set(e, QA_E_LIMIT,
                       "session file '%s' needs steps of %lld tokens for its drafts", path,
                       (long long)h->n_hidden);
    }
    return QA_OK;
}

/* What a file holds, before it becomes a session's. */
struct loaded {
    struct header h;
    struct ids ids;
    struct cache cache;
    float *logits; /* [V] device                       */
    float *hidden; /* [n_hidden, E] device             */
};

static void loaded_release(const struct session *s, struct loaded *l)
{
    ids_release(&l->ids);
    cache_release(&l->cache);
    s->g->ops->release(s->g->dev, l->logits);
    s->g->ops->release(s->g->dev, l->hidden);
}

static enum status loaded_reserve(const struct session *s, struct loaded *l, struct err *e)
{
    const struct engine *g = s->g;
    const struct header *h = &l->h;
    enum status st = ids_reserve(&l->ids, (size_t)h->n_ids, e);
    const int max_rows = s->step_tokens + 2 * TRIAL_ROWS;
    if (!st) st = cache_init(&l->cache, g->m, &g->plan, s->cap_tokens, max_rows, e);
    if (!st) st = cache_restore(&l->cache, h->n_done, e);
    if (st) return st;
    const size_t n_hidden = h->has_draft ? (size_t)h->n_hidden * embd_bytes(s) : 0;
    l->logits = g->ops->alloc(g->dev, vocab_bytes(s));
    l->hidden = g->ops->alloc(g->dev, QA_MAX(n_hidden, embd_bytes(s)));
    if (l->logits && l->hidden) return QA_OK;
    return err_set(e, QA_E_NOMEM, "no memory for a session");
}

static enum status load_parts(struct stream *t, struct loaded *l, struct err *e)
{
    const struct session *s = t->s;
    struct cache_block block;
    const size_t n_ids = (size_t)l->h.n_ids;
    enum status st = get(t, l->ids.p, n_ids * sizeof *l->ids.p, e);
    for (int i = 0; !st && cache_block(&l->cache, l->h.n_done, i, &block); i++)
        st = get_device(t, block.mem, block.n_bytes, e);
    if (!st && l->h.n_done > 0) st = get_device(t, l->logits, vocab_bytes(s), e);
    for (int64_t i = 0; !st && l->h.has_draft && i < l->h.n_hidden; i++) {
        st = get_device(t, l->hidden + (size_t)i * (size_t)s->g->m->d.n_embd, embd_bytes(s), e);
    }
    const uint64_t want = hash_value(&t->hash);
    uint64_t check = 0;
    if (!st) st = get(t, &check, sizeof check, e);
    if (st) return st;
    if (check != want) return damaged(t->path, "its check sum is wrong", e);
    for (size_t i = 0; i < n_ids; i++) {
        if (l->ids.p[i] < 0 || l->ids.p[i] >= s->g->m->d.n_vocab)
            return damaged(t->path, "a token is not in the vocabulary", e);
    }
    l->ids.n = n_ids;
    return QA_OK;
}

static enum status load_file(struct stream *t, struct loaded *l, struct err *e)
{
    struct stat info;
    if (fstat(t->fd, &info)) return err_errno(e, QA_E_IO, errno, "cannot read '%s'", t->path);
    const size_t n = info.st_size < 0 ? 0 : (size_t)info.st_size;
    if (!S_ISREG(info.st_mode) || n < sizeof l->h)
        return err_set(e, QA_E_FORMAT, "'%s' is not a session file", t->path);
    enum status st = get(t, &l->h, sizeof l->h, e);
    if (!st) st = check_origin(t->s, &l->h, t->path, e);
    if (!st) st = check_counts(t->s, &l->h, t->path, e);
    if (!st) st = loaded_reserve(t->s, l, e);
    if (st) return st;
    const size_t want = file_bytes(t->s, &l->h, &l->cache);
    if (n != want) {
        return err_set(e, QA_E_FORMAT, "session file '%s' is damaged: %zu bytes, not %zu",
                       t->path, n, want);
    }
    return load_parts(t, l, e);
}

/* Nothing can fail from here on. */
static void take(struct session *s, struct loaded *l)
{
    const struct engine *g = s->g;
    session_forget(s);
    const struct cache old = s->cache;
    s->cache = l->cache;
    l->cache = old;
    const struct ids ids = s->ids;
    s->ids = l->ids;
    l->ids = ids;
    s->n_done = l->h.n_done;
    s->i_logits = 0;
    if (s->n_done > 0) g->ops->copy(g->dev, s->logits, l->logits, vocab_bytes(s));
    if (!s->hidden) return;
    s->n_mtp = l->h.n_mtp;
    s->n_hidden = (int)l->h.n_hidden;
    g->ops->copy(g->dev, s->hidden, l->hidden, (size_t)s->n_hidden * embd_bytes(s));
}

enum status session_load(struct session *s, const char *path, struct err *e)
{
    struct stream t = {.path = path};
    struct loaded l = {.logits = NULL};
    t.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (t.fd < 0) return err_errno(e, QA_E_IO, errno, "cannot open '%s'", path);
    enum status st = stream_init(&t, s, e);
    if (!st) st = load_file(&t, &l, e);
    if (!st) take(s, &l);
    loaded_release(s, &l);
    free(t.block);
    close(t.fd);
    return st;
}

uint64_t session_key(const struct session *s, const int32_t *ids, size_t n)
{
    const struct engine *g = s->g;
    const struct cache_plan *p = &g->plan;
    const uint64_t parts[] = {STATE_VERSION,       g->info.model_hash,      (uint64_t)p->type_k,
                              (uint64_t)p->type_v, (uint64_t)p->page_bytes, s->hidden != NULL};
    struct hash h = {0};
    hash_add(&h, parts, sizeof parts);
    hash_add(&h, g->info.kernels, strlen(g->info.kernels));
    hash_add(&h, ids, n * sizeof *ids);
    return hash_value(&h);
}
