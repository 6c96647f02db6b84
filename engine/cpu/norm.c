/* norm.c - norms and gates of rows: rows over threads when there are many. */
#include "engine/cpu/device.h"

#include <string.h>

struct norm_job {
    struct device *d;
    const struct norm_args *a;
};

static void norm_part(void *ctx, int i_thread, int n_threads)
{
    const struct norm_job *j = ctx;
    const struct norm_args *a = j->a;
    const size_t n = (size_t)a->n;
    int64_t from, to;
    pool_share(a->n_rows, 1, i_thread, n_threads, &from, &to);
    for (size_t t = (size_t)from; t < (size_t)to; t++) {
        j->d->k->rms(a->out + t * n, a->x + t * n, a->add ? a->add + t * n : NULL, a->w, a->n,
                     a->eps);
    }
}

void cpu_norm(struct device *d, const struct norm_args *a)
{
    struct norm_job j = {d, a};
    device_run(d, norm_part, &j, a->n_rows > 1 ? (int64_t)a->n_rows * a->n : 0);
}

struct norm_gate_job {
    struct device *d;
    const struct norm_gate_args *a;
};

static void norm_gate_part(void *ctx, int i_thread, int n_threads)
{
    const struct norm_gate_job *j = ctx;
    const struct norm_gate_args *a = j->a;
    const size_t dim = (size_t)a->dim;
    int64_t from, to;
    pool_share((int64_t)a->n_rows * a->n_heads, 1, i_thread, n_threads, &from, &to);
    for (size_t h = (size_t)from; h < (size_t)to; h++) {
        float *x = a->x + h * dim;
        j->d->k->rms(x, x, NULL, a->w, a->dim, a->eps);
        j->d->k->silu_mul(x, a->z + h * dim, x, a->dim);
    }
}

void cpu_norm_gate(struct device *d, const struct norm_gate_args *a)
{
    struct norm_gate_job j = {d, a};
    device_run(d, norm_gate_part, &j, (int64_t)a->n_rows * a->n_heads * a->dim * 4);
}

void cpu_mtp_join(struct device *d, const struct mtp_join_args *a)
{
    const size_t n = (size_t)a->n;
    for (size_t t = 0; t < (size_t)a->n_rows; t++) {
        float *e = a->out + 2 * t * n, *h = e + n;
        memcpy(e, a->embd + t * n, n * sizeof *e);
        memcpy(h, a->hidden + t * n, n * sizeof *h);
        d->k->rms(e, e, NULL, a->e_norm, a->n, a->eps);
        d->k->rms(h, h, NULL, a->h_norm, a->n, a->eps);
    }
}
