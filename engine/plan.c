/* plan.c - how much memory a model will take, by running it dry. */
#include "engine/plan.h"

#include "engine/base/memory.h"
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

/* ---- the backend that counts ------------------------------------------------ */

struct device {
    const struct ops *real;
    int n_threads;
    uint64_t taken, scratch;
};

static void *dry_alloc(struct device *d, size_t n_bytes)
{
    static _Alignas(64) char nothing[64]; /* not to be touched: nothing is computed */
    d->taken += n_bytes;
    return nothing;
}

static void dry_release(struct device *d, void *p)
{
    (void)d, (void)p;
}

static enum status dry_reserve(struct device *d, const struct device_needs *n, struct err *e)
{
    (void)e;
    d->scratch = d->real->scratch_bytes(d->n_threads, n);
    return QA_OK;
}

static void dry_forget(struct device *d, struct weight *w)
{
    (void)d, (void)w;
}

static void dry_copy(struct device *d, void *to, const void *from, size_t n_bytes)
{
    (void)d, (void)to, (void)from, (void)n_bytes;
}

static void dry_zero(struct device *d, void *p, size_t n_bytes)
{
    (void)d, (void)p, (void)n_bytes;
}

static void dry_sync(struct device *d)
{
    (void)d;
}

static const struct ops DRY = {
    .name = "dry",
    .reserve = dry_reserve,
    .alloc = dry_alloc,
    .release = dry_release,
    .forget = dry_forget,
    .copy = dry_copy,
    .zero = dry_zero,
    .sync = dry_sync,
};

/* What was taken since the last time it was asked. */
static uint64_t taken(struct device *d)
{
    const uint64_t n = d->taken;
    d->taken = 0;
    return n;
}

/* ---- weights ---------------------------------------------------------------- */

static bool has_part(struct str name, struct str part)
{
    return str_find(name, part) != SIZE_MAX;
}

/* Layer of "blk.N. ..."; -1 for others. */
static int layer_of(struct str name)
{
    int64_t i;
    if (!str_starts(name, STR("blk."))) return -1;
    const struct str rest = str_cut(name, 4, name.n);
    return str_to_i64(str_cut(rest, 0, str_find(rest, STR("."))), 0, INT32_MAX, &i) ? (int)i
                                                                                    : -1;
}

static enum plan_part part_of(const struct model *m, const struct gguf_tensor *t)
{
    if (layer_of(t->name) >= m->d.n_layers) return PLAN_DRAFT;
    if (has_part(t->name, STR("_exps."))) return PLAN_EXPERTS;
    if (str_eq(t->name, STR("token_embd.weight"))) return PLAN_EMBEDDING;
    if (str_eq(t->name, STR("output.weight"))) return PLAN_HEAD;
    return PLAN_DENSE;
}

static void count_weights(struct engine_plan *p, const struct model *m)
{
    for (int i = 0; i < m->n_sources; i++)
        p->bytes[part_of(m, m->sources[i])] += m->sources[i]->n_bytes;
    for (int i = 0; i < m->n_vectors; i++)
        p->bytes[part_of(m, m->vectors[i].t)] += m->vectors[i].t->n_bytes;
}

/* What stands before the weights of each part, names and vocabulary above all. */
static uint64_t metadata_bytes(const struct gguf *file)
{
    uint64_t sum = 0;
    for (int i = 0; i < gguf_n_parts(file); i++) {
        const struct file_image *image = gguf_image(file, i);
        if (image && image->fd >= 0) sum += image->n_head;
    }
    return sum;
}

/* ---- sessions --------------------------------------------------------------- */

/* Buffers of the host that a session takes beside the device's: the sampler's rows and
 * candidates, and the index of what may be copied. */
static uint64_t sampling_bytes(const struct model *m)
{
    enum { PER_VALUE = 3 * sizeof(float) + 2 * 2 * sizeof(float) };
    return (uint64_t)m->d.n_vocab * PER_VALUE;
}

static uint64_t kv_bytes_of(const struct engine_plan *p, const struct cache_plan *c)
{
    return (uint64_t)c->page_bytes * (uint64_t)((p->n_ctx + PAGE_TOKENS - 1) / PAGE_TOKENS) *
           (uint64_t)p->n_sessions;
}

static void compare_kv_types(struct engine_plan *p, struct model *m)
{
    for (int t = 0; t < KV_TYPE_COUNT; t++) {
        struct cache_plan c;
        struct err e;
        p->kv_bytes[t] = 0;
        if (!cache_plan(&c, m, (enum kv_type)t, (enum kv_type)t, &e))
            p->kv_bytes[t] = kv_bytes_of(p, &c);
    }
}

/* A session on the dry backend; each further one takes the same but for what is shared. */
static enum status open_dry_session(struct engine_plan *p,
                                    struct engine *g,
                                    const struct engine_opts *o,
                                    struct err *e)
{
    const int n_draft = g->m->d.n_draft > 0 ? o->expect.n_draft : 0;
    const struct session_opts so = {.cap_tokens = p->n_ctx, .n_draft = n_draft};
    struct session *s = NULL;
    g->info.has_draft = g->m->d.n_draft > 0;
    enum status st = forward_open(&g->f, g->m, o->kv_k, o->kv_v, PAGE_TOKENS, e);
    if (!st) st = sched_open(&g->sched, g->f, e);
    if (!st) st = session_open(&s, g, &so, e);
    if (st) return st;
    session_close(s);
    p->bytes[PLAN_SCRATCH] = g->dev->scratch;
    return QA_OK;
}

static enum status count_sessions(struct engine_plan *p,
                                  struct engine *g,
                                  const struct engine_opts *o,
                                  struct err *e)
{
    const uint64_t n = (uint64_t)p->n_sessions;
    const struct dims *d = &g->m->d;
    enum status st = cache_plan(&g->plan, g->m, o->kv_k, o->kv_v, e);
    if (!st) st = open_dry_session(p, g, o, e);
    if (st) return st;
    const uint64_t per_mark =
        g->plan.state_bytes + sizeof(float) * ((uint64_t)d->n_vocab + (uint64_t)d->n_embd);
    /* The state is the session's own; logits and hidden rows too; the rest is shared. */
    const uint64_t step = taken(g->dev), logits = (uint64_t)d->n_vocab * sizeof(float);
    p->bytes[PLAN_STATE] = n * g->plan.state_bytes;
    p->bytes[PLAN_ACTIVATIONS] = step - g->plan.state_bytes - TRIAL_ROWS * logits;
    p->bytes[PLAN_LOGITS] = n * (TRIAL_ROWS * logits + sampling_bytes(g->m));
    p->bytes[PLAN_MARKS] = n * (uint64_t)p->n_marks * per_mark;
    p->bytes[PLAN_KV] = kv_bytes_of(p, &g->plan);
    return QA_OK;
}

/* ---- all --------------------------------------------------------------------- */

const char *plan_part_name(enum plan_part part)
{
    static const char *const NAMES[PLAN_PARTS] = {
        [PLAN_DENSE] = "dense weights",
        [PLAN_EXPERTS] = "experts",
        [PLAN_EMBEDDING] = "embedding",
        [PLAN_HEAD] = "head",
        [PLAN_DRAFT] = "draft layer",
        [PLAN_VECTORS] = "norms and vectors, unpacked",
        [PLAN_KV] = "KV cache",
        [PLAN_STATE] = "recurrent state",
        [PLAN_MARKS] = "marks",
        [PLAN_ACTIVATIONS] = "activations",
        [PLAN_LOGITS] = "logits, sampling",
        [PLAN_SCRATCH] = "scratch of the threads",
        [PLAN_TOKENIZER] = "tokenizer",
        [PLAN_PROGRAM] = "program",
    };
    return NAMES[part];
}

static void sum_up(struct engine_plan *p, bool is_mapped)
{
    p->needed = p->mapped = 0;
    for (int i = 0; i < PLAN_PARTS; i++) {
        const bool is_weight = i <= PLAN_DRAFT;
        *(is_weight && is_mapped ? &p->mapped : &p->needed) += p->bytes[i];
    }
    p->free = memory_free();
    /* What the program has already taken is in no one's free memory. */
    if (p->free != UINT64_MAX) p->free += p->bytes[PLAN_PROGRAM];
}

enum status plan_make(struct engine_plan *out,
                      struct gguf *file,
                      struct tokenizer *t,
                      const struct ops *ops,
                      int n_threads,
                      const struct engine_opts *o,
                      struct err *e)
{
    struct device dev = {.real = ops, .n_threads = n_threads};
    struct engine g = {.file = file, .tokenizer = t, .ops = &DRY, .dev = &dev};
    pthread_mutex_init(&g.costs_lock, NULL);
    struct engine_plan p = {.n_sessions = QA_MAX(o->expect.n_sessions, 1),
                            .n_marks = o->expect.n_marks};
    enum status st = model_open(&g.m, file, &DRY, &dev, o->want_draft, e);
    if (st) goto out;
    p.n_ctx = o->expect.cap_tokens ? o->expect.cap_tokens : QA_MIN(g.m->d.n_ctx_train, 512);
    p.has_draft = g.m->d.n_draft > 0;
    p.n_params = g.m->n_params;
    count_weights(&p, g.m);
    p.bytes[PLAN_VECTORS] = taken(&dev);
    compare_kv_types(&p, g.m);
    st = count_sessions(&p, &g, o, e);
    p.bytes[PLAN_TOKENIZER] = tokenizer_bytes(t) + metadata_bytes(file);
    p.bytes[PLAN_PROGRAM] = memory_resident();
    p.bytes[PLAN_PROGRAM] -= QA_MIN(p.bytes[PLAN_PROGRAM], p.bytes[PLAN_TOKENIZER]);
    sum_up(&p, o->want_mmap || !gguf_image(file, 0));
    if (!st) *out = p;
out:
    sched_close(g.sched);
    forward_close(g.f);
    model_close(g.m);
    pthread_mutex_destroy(&g.costs_lock);
    return st;
}

enum status engine_plan_check(const struct engine_plan *p, struct err *e)
{
    if (p->needed <= p->free) return QA_OK;
    uint64_t weights = 0;
    for (int i = 0; i <= PLAN_DRAFT; i++)
        weights += p->bytes[i];
    const bool would_fit = !p->mapped && p->needed - weights <= p->free;
    return err_set(e, QA_E_NOMEM,
                   "needs %llu bytes of memory (%.2f GB), %llu (%.2f GB) are free%s",
                   (unsigned long long)p->needed, (double)p->needed * 1e-9,
                   (unsigned long long)p->free, (double)p->free * 1e-9,
                   would_fit ? "; --mmap leaves the weights to the page cache" : "");
}
