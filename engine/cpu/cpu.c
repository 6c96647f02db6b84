/* cpu.c - the CPU backend: its table, its threads and its memory. */
#include "engine/base/cpu.h"

#include "engine/cpu/device.h"
#include "engine/host.h"

#include <stdlib.h>
#include <string.h>

static void scratch_release(struct device *d)
{
    const int n = d->threads ? pool_n_threads(d->pool) : 0;
    for (int i = 0; i < n; i++) {
        free(d->threads[i].panel);
        free(d->threads[i].tile);
        d->threads[i] = (struct thread_scratch){0};
    }
    free(d->act.code);
    free(d->act.scale);
    free(d->act.sum);
    free(d->inner.code);
    free(d->inner.scale);
    free(d->inner.sum);
    d->act = d->inner = (struct act){0};
    free(d->gate);
    free(d->up);
    free(d->logits);
    free(d->counting);
    free(d->pair_row);
    free(d->pair_share);
    free(d->groups);
    free(d->cursor);
    free(d->attn);
    free(d->rope);
    d->gate = d->up = d->logits = d->pair_share = d->attn = NULL;
    d->counting = d->pair_row = d->cursor = NULL;
    d->groups = NULL;
    d->rope = NULL;
}

static void device_close(struct device *d)
{
    if (!d) return;
    scratch_release(d);
    free(d->threads);
    pool_close(d->pool);
    free(d);
}

static enum status device_open(struct device **out,
                               const struct device_opts *o,
                               const struct kernels *k,
                               struct err *e)
{
    struct device *d = calloc(1, sizeof *d);
    if (!d) return err_set(e, QA_E_NOMEM, "cannot allocate the CPU device");
    d->k = k;
    enum status st = pool_open(&d->pool, o->n_threads, e);
    if (st) goto fail;
    d->threads = calloc((size_t)o->n_threads, sizeof *d->threads);
    if (!d->threads) {
        st = err_set(e, QA_E_NOMEM, "cannot allocate the CPU device");
        goto fail;
    }
    *out = d;
    return QA_OK;

fail:
    device_close(d);
    return st;
}

/* Memory being taken: whether all of it was there, and how much.  Dry: only counted. */
struct tally {
    bool has_failed, is_dry;
    size_t n_bytes;
};

/* Zeroed, on its own cache lines; remembers a failure. */
static void *grab(struct tally *t, size_t n, size_t each)
{
    size_t bytes;
    void *p = NULL;
    if (size_mul_ok(n, each, &bytes) && size_add_ok(bytes, 127, &bytes)) {
        bytes = bytes / 64 * 64; /* whole alignments, at least one */
        t->n_bytes += bytes;
        if (t->is_dry) return NULL;
        p = host_alloc(NULL, bytes);
    }
    if (!p) t->has_failed = true;
    return p;
}

static void act_init(struct act *a, size_t n_values, struct tally *t)
{
    a->code = grab(t, n_values, sizeof *a->code);
    a->scale = grab(t, n_values / ACT_BLOCK + 1, sizeof *a->scale);
    a->sum = grab(t, n_values / ACT_BLOCK + 1, sizeof *a->sum);
}

/* Eight rows (one block) of a session as long as it gets must fit. */
static size_t attn_floats(const struct device_needs *n)
{
    const size_t chunks = (size_t)QA_MIN(n->n_ctx / 256 + 1, 64);
    const size_t per_row = ((size_t)n->max_cols + 2 * (size_t)n->n_heads) * (chunks + 1);
    const size_t whole_step = per_row * (size_t)n->n_rows;
    return QA_MAX(per_row * 8, QA_MIN(whole_step, ATTN_SCRATCH_FLOATS));
}

/* All scratch memory of d, which holds none, for `needs`. */
static void scratch_take(struct device *d,
                         const struct device_needs *needs,
                         int n_threads,
                         struct tally *t)
{
    const int inner = (needs->max_inner + ACT_BLOCK - 1) / ACT_BLOCK * ACT_BLOCK;
    const size_t n_rows = (size_t)needs->n_rows, max_inner = (size_t)inner;
    const size_t n_pairs = n_rows * ((size_t)needs->n_used + 1);
    const size_t max_cols = (size_t)needs->max_cols, n_experts = (size_t)needs->n_experts;

    d->needs = *needs;
    d->needs.max_inner = inner;
    d->panel_bytes = QA_MAX((size_t)PANEL_BYTES, PANEL_ROW_BYTES(QA_MAX(max_cols, max_inner)));
    for (int i = 0; i < n_threads; i++) {
        struct thread_scratch *own = t->is_dry ? &(struct thread_scratch){0} : &d->threads[i];
        own->panel = grab(t, d->panel_bytes, 1);
        own->tile = grab(t, TILE_FLOATS, sizeof(float));
    }
    act_init(&d->act, n_rows * max_cols, t);
    act_init(&d->inner, n_pairs * max_inner, t);
    d->gate = grab(t, n_pairs * max_inner, sizeof *d->gate);
    d->up = grab(t, n_pairs * max_inner, sizeof *d->up);
    d->logits = grab(t, n_rows * n_experts, sizeof *d->logits);
    d->counting = grab(t, n_pairs, sizeof *d->counting);
    d->pair_row = grab(t, n_pairs, sizeof *d->pair_row);
    d->pair_share = grab(t, n_pairs, sizeof *d->pair_share);
    d->groups = grab(t, n_experts + 1, sizeof *d->groups);
    d->cursor = grab(t, n_experts, sizeof *d->cursor);
    d->attn_floats = attn_floats(needs);
    d->attn = grab(t, d->attn_floats, sizeof *d->attn);
    d->rope = grab(t, n_rows * (size_t)needs->head_dim, sizeof *d->rope);
}

static size_t scratch_bytes(int n_threads, const struct device_needs *needs)
{
    struct device d = {0};
    struct tally t = {.is_dry = true};
    scratch_take(&d, needs, n_threads, &t);
    return t.n_bytes;
}

static enum status device_reserve(struct device *d,
                                  const struct device_needs *needs,
                                  struct err *e)
{
    struct tally t = {0};
    scratch_release(d);
    scratch_take(d, needs, pool_n_threads(d->pool), &t);
    if (t.has_failed) {
        scratch_release(d);
        return err_set(e, QA_E_NOMEM, "no memory for passes of %d rows", needs->n_rows);
    }
    const int n_pairs = needs->n_rows * (needs->n_used + 1);
    for (int i = 0; i < n_pairs; i++)
        d->counting[i] = i;
    return QA_OK;
}

void device_run(struct device *d, pool_fn *fn, void *ctx, int64_t macs)
{
    if (macs < ALONE_MACS) {
        fn(ctx, 0, 1);
    } else {
        pool_run(d->pool, fn, ctx);
    }
}

/* One table per row of kernels: they differ in the name and in what open() picks. */
#define CPU_OPS(row)                                                                \
    static enum status open_##row(struct device **out, const struct device_opts *o, \
                                  struct err *e)                                    \
    {                                                                               \
        return device_open(out, o, &kernels_##row, e);                              \
    }                                                                               \
    static const struct ops OPS_##row = {                                           \
        .name = #row,                                                               \
        .open = open_##row,                                                         \
        .close = device_close,                                                      \
        .scratch_bytes = scratch_bytes,                                             \
        .reserve = device_reserve,                                                  \
        .alloc = host_alloc,                                                        \
        .release = host_release,                                                    \
        .prepare = host_prepare,                                                    \
        .forget = host_forget,                                                      \
        .copy = host_copy,                                                          \
        .zero = host_zero,                                                          \
        .sync = host_sync,                                                          \
        .embed = cpu_embed,                                                         \
        .norm = cpu_norm,                                                           \
        .matmul = cpu_matmul,                                                       \
        .qk_prep = cpu_qk_prep,                                                     \
        .attn = cpu_attn,                                                           \
        .conv = cpu_conv,                                                           \
        .delta_prep = cpu_delta_prep,                                               \
        .delta = cpu_delta,                                                         \
        .norm_gate = cpu_norm_gate,                                                 \
        .ffn = cpu_ffn,                                                             \
        .route = cpu_route,                                                         \
        .experts = cpu_experts,                                                     \
        .mtp_join = cpu_mtp_join,                                                   \
        .pick = cpu_pick,                                                           \
    };

CPU_OPS(plain)
#if defined(__x86_64__)
CPU_OPS(avx2)
CPU_OPS(avx512)
#endif

const struct ops *cpu_ops_at(int i)
{
    static const struct ops *const TABLES[] = {
        &OPS_plain,
#if defined(__x86_64__)
        &OPS_avx2,
        &OPS_avx512,
#endif
    };
    const struct kernels *k = kernels_at(i, cpu_features());
    for (size_t t = 0; k && t < COUNT(TABLES); t++) {
        if (strcmp(TABLES[t]->name, k->name) == 0) return TABLES[t];
    }
    return NULL;
}

const struct ops *cpu_ops(void)
{
    return cpu_ops_at(0);
}
