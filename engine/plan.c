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
    uint64_t held, most; /* by now; at any time */
    uint64_t scratch;
};

/* Stands for memory, not to be touched: nothing is computed. */
struct block {
    size_t n_bytes;
};

static void *dry_alloc(struct device *d, size_t n_bytes)
{
    struct block *b = malloc(sizeof *b);
    if (!b) return NULL;
    b->n_bytes = n_bytes;
    d->held += n_bytes;
    d->most = QA_MAX(d->most, d->held);
    return b;
}

static void dry_release(struct device *d, void *p)
{
    if (p) d->held -= ((struct block *)p)->n_bytes;
    free(p);
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

/* What stands in front of the weights of each part, names and vocabulary above all. */
static uint64_t metadata_bytes(const struct gguf *file)
{
    uint64_t sum = 0;
    for (int i = 0; i < gguf_n_parts(file); i++) {
        const struct file_image *image = gguf_image(file, i);
        sum += image && image->fd >= 0 ? image->n_head : gguf_head_bytes(file, i);
    }
    return sum;
}

/* Mapped, or part of the program: the page cache may drop and read it again. */
static bool is_mapped(const struct gguf *file)
{
    const struct file_image *image = gguf_image(file, 0);
    return !image || image->fd < 0;
}

/* ---- sessions --------------------------------------------------------------- */

/* Sessions opened dry.  Behind them each further one takes what the last one did: passes
 * grow with the first SHARED_TRIALS alone. */
enum { DRY_SESSIONS = SHARED_TRIALS + 1 };

/* Rows of a pass, as session_open() reserves them. */
static int rows_of_pass(const struct engine_plan *p)
{
    return (int)QA_MIN((int64_t)STEP_TOKENS, p->n_ctx) + 2 * TRIAL_ROWS;
}

/* Buffers of the host that a session takes beside the device's: the sampler's rows and
 * candidates, the draft layer's list and the index of what may be copied. */
static uint64_t host_bytes(const struct model *m, const struct session_opts *o)
{
    enum { PER_VALUE = 3 * sizeof(float) + 2 * 2 * sizeof(float) };
    uint64_t sum = (uint64_t)m->d.n_vocab * PER_VALUE + (uint64_t)o->cap_tokens * 2 * 4;
    if (o->n_copy > 0) sum += (uint64_t)o->cap_tokens * SUFFIX_TOKEN_BYTES;
    if (o->n_draft == 0) return sum;
    const struct weight *head = m->draft.head;
    const uint64_t n_top = (uint64_t)draft_head_rows(head->rows, o->n_draft_ids);
    if (n_top == (uint64_t)head->rows) return sum;
    const uint64_t n_extra = QA_MIN((uint64_t)EXTRA_MAX, (uint64_t)o->cap_tokens);
    return sum + (n_top + EXTRA_MAX) * sizeof(int32_t) + (uint64_t)head->rows +
           n_extra * head->row_bytes;
}

/* f16 pages that a session owns from the start, beside its compressed ones. */
static uint64_t fixed16_bytes(const struct engine_plan *p, const struct cache_plan *c)
{
    return cache_fixed_bytes(c, p->n_ctx, rows_of_pass(p)) - c->state_bytes;
}

static uint64_t kv_bytes_of(const struct engine_plan *p, const struct cache_plan *c)
{
    const uint64_t n_pages = (uint64_t)((p->n_ctx + PAGE_TOKENS - 1) / PAGE_TOKENS);
    return (uint64_t)p->n_sessions * (n_pages * c->page_bytes + fixed16_bytes(p, c));
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

static uint64_t mark_bytes(const struct engine_plan *p, const struct engine *g)
{
    const uint64_t of_auto = g->plan.state_bytes + MARK_PAGES * g->plan.page16_bytes +
                             sizeof(float) * (uint64_t)g->m->d.n_embd;
    const uint64_t of_mark = of_auto + sizeof(float) * (uint64_t)g->m->d.n_vocab;
    return (uint64_t)p->n_marks * of_mark + (uint64_t)p->n_auto_marks * of_auto;
}

/* What opening the sessions takes of the device, with what they share. */
static enum status open_dry_sessions(struct engine_plan *p,
                                     struct engine *g,
                                     const struct session_opts *so,
                                     uint64_t *n_bytes,
                                     struct err *e)
{
    struct session *s[DRY_SESSIONS] = {0};
    const int n = QA_MIN(p->n_sessions, (int)DRY_SESSIONS);
    const uint64_t before = g->dev->held;
    uint64_t last = 0;
    enum status st = forward_open(&g->f, g->m, g->plan.type_k, g->plan.type_v, PAGE_TOKENS, e);
    if (!st) st = sched_open(&g->sched, g->f, e);
    for (int i = 0; i < n && !st; i++) {
        last = g->dev->held;
        st = session_open(&s[i], g, so, e);
        last = g->dev->held - last;
    }
    *n_bytes = g->dev->held - before + (uint64_t)(p->n_sessions - n) * last;
    p->bytes[PLAN_SCRATCH] = g->dev->scratch;
    for (int i = 0; i < n; i++)
        session_close(s[i]);
    return st;
}

static enum status count_sessions(struct engine_plan *p,
                                  struct engine *g,
                                  const struct engine_opts *o,
                                  struct err *e)
{
    const struct engine_expect *x = &o->expect;
    const uint64_t n = (uint64_t)p->n_sessions, before = g->dev->held;
    const struct session_opts so = {
        .cap_tokens = p->n_ctx, .n_draft = p->has_draft ? x->n_draft : 0, .n_copy = x->n_copy};
    uint64_t opened = 0;
    enum status st = cache_plan(&g->plan, g->m, o->kv_k, o->kv_v, e);
    if (!st) st = open_dry_sessions(p, g, &so, &opened, e);
    if (st) return st;
    /* State, f16 pages and logits are each session's own; the rest is shared. */
    const uint64_t row = (uint64_t)g->m->d.n_vocab * sizeof(float);
    const uint64_t logits = TRIAL_ROWS * row, fixed16 = fixed16_bytes(p, &g->plan);
    p->bytes[PLAN_STATE] = n * g->plan.state_bytes;
    p->bytes[PLAN_ACTIVATIONS] = opened - n * (g->plan.state_bytes + fixed16 + logits);
    p->bytes[PLAN_LOGITS] = n * (logits + host_bytes(g->m, &so)) +
                            (uint64_t)x->n_vocab_rows * row +
                            (uint64_t)x->n_embd_rows * sizeof(float) * (uint64_t)g->m->d.n_embd;
    p->bytes[PLAN_MARKS] = n * mark_bytes(p, g);
    p->bytes[PLAN_KV] = kv_bytes_of(p, &g->plan);
    /* Passes grow beside what is there; by then nothing else is. */
    const uint64_t full =
        opened + p->bytes[PLAN_MARKS] + p->bytes[PLAN_KV] - n * fixed16_bytes(p, &g->plan);
    const uint64_t growing = g->dev->most - before;
    if (growing > full) p->bytes[PLAN_ACTIVATIONS] += growing - full;
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

static void sum_up(struct engine_plan *p, uint64_t mapped_head)
{
    p->needed = 0;
    p->mapped = mapped_head;
    for (int i = 0; i < PLAN_PARTS; i++) {
        const bool is_weight = i <= PLAN_DRAFT;
        *(is_weight && mapped_head ? &p->mapped : &p->needed) += p->bytes[i];
    }
    p->free = memory_free();
    /* What the program has already taken is in no one's free memory. */
    if (p->free != UINT64_MAX) p->free += p->bytes[PLAN_PROGRAM];
}

/* Tokens that a session will hold: what is asked for, behind the prompt. */
static enum status count_tokens(struct engine_plan *p,
                                const struct engine *g,
                                const struct engine_expect *x,
                                struct err *e)
{
    struct ids ids = {0};
    const int64_t most = g->m->d.n_ctx_train;
    p->n_ctx = x->cap_tokens ? x->cap_tokens : QA_MIN(most, (int64_t)512);
    if (x->prompt.n) {
        const enum status st = engine_encode(g, x->prompt, SPECIAL_PARSE, &ids, e);
        p->n_ctx += (int64_t)ids.n;
        ids_release(&ids);
        if (st) return st;
    }
    if (x->is_default && most > 0) p->n_ctx = QA_MIN(p->n_ctx, most);
    p->n_auto_marks = (int)QA_MIN((p->n_ctx - 1) / MARK_EVERY, (int64_t)AUTO_DEFAULT);
    return QA_OK;
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
    if (!st) st = count_tokens(&p, &g, &o->expect, e);
    if (st) goto out;
    p.has_draft = g.info.has_draft = g.m->d.n_draft > 0;
    p.n_params = g.m->n_params;
    count_weights(&p, g.m);
    p.bytes[PLAN_VECTORS] = dev.held;
    compare_kv_types(&p, g.m);
    st = count_sessions(&p, &g, o, e);
    const uint64_t head = metadata_bytes(file), resident = memory_resident();
    const uint64_t known = tokenizer_bytes(t) + head;
    p.bytes[PLAN_TOKENIZER] = is_mapped(file) ? tokenizer_bytes(t) : known;
    p.bytes[PLAN_PROGRAM] = resident - QA_MIN(resident, known);
    sum_up(&p, is_mapped(file) ? head : 0);
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
    const char *hint = "";
    if (!p->mapped && p->needed - weights <= p->free) {
        hint = "; --mmap leaves the weights to the page cache";
    } else if (p->needed - p->bytes[PLAN_KV] <= p->free) {
        hint = "; a smaller --ctx or another --kv takes less";
    }
    return err_set(e, QA_E_NOMEM,
                   "needs %llu bytes of memory (%.2f GB), %llu (%.2f GB) are free%s",
                   (unsigned long long)p->needed, (double)p->needed * 1e-9,
                   (unsigned long long)p->free, (double)p->free * 1e-9, hint);
}
