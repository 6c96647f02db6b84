/* delta.c - convolution, preparation and the gated delta rule. */
#include "engine/ref/ref.h"

#include <string.h>

/* Raw input of channel c, `t` rows from the start of the span; negative: the tail. */
static float raw(const struct conv_args *a, const struct span *s, int t, int c)
{
    const size_t n = (size_t)a->n_channels;
    if (t >= 0) return a->x[(size_t)(s->row + t) * n + (size_t)c];
    return s->state[a->tail_offset + (size_t)(a->n_taps - 1 + t) * n + (size_t)c];
}

void ref_conv(struct device *d, const struct conv_args *a)
{
    (void)d;
    const int n = a->n_channels, n_taps = a->n_taps;
    for (int i = 0; i < a->spans.n; i++) {
        const struct span *s = &a->spans.p[i];
        for (int t = 0; a->out && t < s->n_rows; t++) {
            for (int c = 0; c < n; c++) {
                float sum = 0;
                for (int j = 0; j < n_taps; j++) {
                    sum += a->taps[(size_t)c * (size_t)n_taps + (size_t)j] *
                           raw(a, s, t - (n_taps - 1) + j, c);
                }
                a->out[(size_t)(s->row + t) * (size_t)n + (size_t)c] = ref_silu(sum);
            }
        }
        if (s->is_trial) continue;
        /* Oldest first: with few rows the tail reads from itself, further along. */
        for (int j = 0; j < n_taps - 1; j++) {
            float *to = s->state + a->tail_offset + (size_t)j * (size_t)n;
            for (int c = 0; c < n; c++)
                to[c] = raw(a, s, s->n_rows - (n_taps - 1) + j, c);
        }
    }
}

static void to_unit(float *x, int n, float scale)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    const float f = scale / sqrtf(sum + 1e-6f);
    for (int i = 0; i < n; i++)
        x[i] *= f;
}

static float softplus(float x)
{
    return x > 20 ? x : log1pf(expf(x));
}

void ref_delta_prep(struct device *d, const struct delta_prep_args *a)
{
    (void)d;
    const size_t n_channels = (size_t)(2 * a->n_k + a->n_v) * (size_t)a->dim;
    for (int t = 0; t < a->n_rows; t++) {
        float *q = a->qkv + (size_t)t * n_channels, *k = q + (size_t)a->n_k * (size_t)a->dim;
        for (int h = 0; h < a->n_k; h++) {
            to_unit(q + (size_t)h * (size_t)a->dim, a->dim, 1.0f / sqrtf((float)a->dim));
            to_unit(k + (size_t)h * (size_t)a->dim, a->dim, 1.0f);
        }
        for (int h = 0; h < a->n_v; h++) {
            const size_t at = (size_t)t * (size_t)a->n_v + (size_t)h;
            a->decay[at] = a->ssm_a[h] * softplus(a->decay[at] + a->dt[h]);
            a->beta[at] = ref_sigmoid(a->beta[at]);
        }
    }
}

/* One row on one head's state M [S key, S value]; updated in place. */
static void delta_row(float *m,
                      const float *k,
                      const float *v,
                      float decay,
                      float beta,
                      int dim)
{
    const float keep = expf(decay);
    float error[REF_DELTA_DIM_MAX] = {0};

    for (int i = 0; i < dim; i++) {
        for (int j = 0; j < dim; j++) {
            m[i * dim + j] *= keep;
            error[j] += k[i] * m[i * dim + j]; /* what k recalls */
        }
    }
    for (int j = 0; j < dim; j++)
        error[j] = beta * (v[j] - error[j]);
    for (int i = 0; i < dim; i++) {
        for (int j = 0; j < dim; j++)
            m[i * dim + j] += k[i] * error[j];
    }
}

static void delta_read(float *out, const float *m, const float *q, int dim)
{
    for (int j = 0; j < dim; j++)
        out[j] = 0;
    for (int i = 0; i < dim; i++) {
        for (int j = 0; j < dim; j++)
            out[j] += q[i] * m[i * dim + j];
    }
}

void ref_delta(struct device *d, const struct delta_args *a)
{
    const int dim = a->dim;
    const size_t n_head = (size_t)dim * (size_t)dim;
    const size_t n_channels = (size_t)(2 * a->n_k + a->n_v) * (size_t)dim;
    ASSERT(dim <= REF_DELTA_DIM_MAX);

    for (int i = 0; i < a->spans.n; i++) {
        const struct span *s = &a->spans.p[i];
        for (int h = 0; h < a->n_v; h++) {
            float *m = s->state + a->state_offset + (size_t)h * n_head;
            if (s->is_trial) m = memcpy(d->trial, m, n_head * sizeof *m);
            for (int t = s->row; t < s->row + s->n_rows; t++) {
                const float *q = a->qkv + (size_t)t * n_channels + (size_t)(h % a->n_k * dim);
                const float *k = q + a->n_k * dim;
                const float *v =
                    a->qkv + (size_t)t * n_channels + (size_t)((2 * a->n_k + h) * dim);
                const size_t at = (size_t)t * (size_t)a->n_v + (size_t)h;
                delta_row(m, k, v, a->decay[at], a->beta[at], dim);
                if (a->out) delta_read(a->out + at * (size_t)dim, m, q, dim);
            }
        }
    }
}
