/* ref.c - the reference backend: its table and its memory. */
#include "engine/ref/ref.h"

#include "engine/host.h"

#include <stdlib.h>

static void device_close(struct device *d)
{
    if (!d) return;
    free(d->trial);
    free(d->row);
    free(d->inner);
    free(d->expert);
    free(d->router);
    free(d->score);
    free(d);
}

static enum status device_open(struct device **out, const struct device_opts *o, struct err *e)
{
    (void)o; /* one thread, whatever is asked for: the order of sums is the definition */
    struct device *d = calloc(1, sizeof *d);
    if (d) d->trial = calloc((size_t)REF_DELTA_DIM_MAX * REF_DELTA_DIM_MAX, sizeof *d->trial);
    if (!d || !d->trial) {
        device_close(d);
        return err_set(e, QA_E_NOMEM, "cannot allocate the reference device");
    }
    *out = d;
    return QA_OK;
}

static bool grow(float **p, size_t n)
{
    float *q = realloc(*p, (n ? n : 1) * sizeof *q);
    if (q) *p = q;
    return q != NULL;
}

static size_t scratch_bytes(int n_threads, const struct device_needs *n)
{
    (void)n_threads;
    const size_t floats = 2 * (size_t)n->max_cols + 2 * (size_t)n->max_inner +
                          (size_t)n->n_experts + (size_t)n->n_ctx;
    return floats * sizeof(float);
}

static enum status device_reserve(struct device *d, const struct device_needs *n, struct err *e)
{
    if (!grow(&d->row, (size_t)n->max_cols) || !grow(&d->inner, 2 * (size_t)n->max_inner) ||
        !grow(&d->expert, (size_t)n->max_cols) || !grow(&d->router, (size_t)n->n_experts) ||
        !grow(&d->score, (size_t)n->n_ctx)) {
        return err_set(e, QA_E_NOMEM, "no memory for the reference device's scratch");
    }
    return QA_OK;
}

const struct ops *ref_ops(void)
{
    static const struct ops OPS = {
        .name = "ref",
        .max_threads = 1,
        .open = device_open,
        .close = device_close,
        .scratch_bytes = scratch_bytes,
        .reserve = device_reserve,
        .alloc = host_alloc,
        .release = host_release,
        .prepare = host_prepare,
        .forget = host_forget,
        .copy = host_copy,
        .zero = host_zero,
        .sync = host_sync,
        .embed = ref_embed,
        .norm = ref_norm,
        .matmul = ref_matmul,
        .qk_prep = ref_qk_prep,
        .attn = ref_attn,
        .conv = ref_conv,
        .delta_prep = ref_delta_prep,
        .delta = ref_delta,
        .norm_gate = ref_norm_gate,
        .ffn = ref_ffn,
        .route = ref_route,
        .experts = ref_experts,
        .mtp_join = ref_mtp_join,
        .pick = ref_pick,
    };
    return &OPS;
}
