/* norm.c - the norms: residual, gated output of the delta rule, draft input. */
#include "engine/ref/ref.h"

void ref_norm(struct device *d, const struct norm_args *a)
{
    (void)d;
    for (int t = 0; t < a->n_rows; t++) {
        const size_t at = (size_t)t * (size_t)a->n;
        float *x = a->x + at;
        if (a->add) {
            for (int i = 0; i < a->n; i++)
                x[i] += a->add[at + (size_t)i];
        }
        ref_rms(a->out + at, x, a->w, a->n, a->eps);
    }
}

void ref_norm_gate(struct device *d, const struct norm_gate_args *a)
{
    (void)d;
    for (size_t h = 0; h < (size_t)a->n_rows * (size_t)a->n_heads; h++) {
        float *x = a->x + h * (size_t)a->dim;
        const float *z = a->z + h * (size_t)a->dim;
        ref_rms(x, x, a->w, a->dim, a->eps);
        for (int i = 0; i < a->dim; i++)
            x[i] *= ref_silu(z[i]);
    }
}

void ref_mtp_join(struct device *d, const struct mtp_join_args *a)
{
    (void)d;
    const size_t n = (size_t)a->n;
    for (size_t t = 0; t < (size_t)a->n_rows; t++) {
        ref_rms(a->out + 2 * t * n, a->embd + t * n, a->e_norm, a->n, a->eps);
        ref_rms(a->out + 2 * t * n + n, a->hidden + t * n, a->h_norm, a->n, a->eps);
    }
}
