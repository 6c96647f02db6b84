/* moe.c - feed-forward layers: dense, routed, shared. */
#include "engine/ref/ref.h"

/* y = down (silu(gate x) * (up x)) with matrix m of each. */
static void ffn_row(struct device *d,
                    const struct weight *gate,
                    const struct weight *up,
                    const struct weight *down,
                    int m,
                    const float *x,
                    float *y)
{
    float *g = d->inner, *u = d->inner + gate->rows;
    ref_matvec(d, gate, m, x, g);
    ref_matvec(d, up, m, x, u);
    for (int i = 0; i < gate->rows; i++)
        g[i] = ref_silu(g[i]) * u[i];
    ref_matvec(d, down, m, g, y);
}

void ref_ffn(struct device *d, const struct ffn_args *a)
{
    for (int t = 0; t < a->n_rows; t++) {
        ffn_row(d, a->gate, a->up, a->down, 0, a->x + (size_t)t * (size_t)a->gate->cols,
                a->out + (size_t)t * (size_t)a->down->rows);
    }
}

static void softmax(float *x, int n)
{
    float most = x[0], sum = 0;
    for (int i = 1; i < n; i++) {
        if (x[i] > most) most = x[i];
    }
    for (int i = 0; i < n; i++)
        sum += x[i] = expf(x[i] - most);
    for (int i = 0; i < n; i++)
        x[i] /= sum;
}

/* Index of the largest that is not taken yet (taken ones are negative). */
static int best_of(const float *p, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++) {
        if (p[i] > p[best]) best = i;
    }
    return best;
}

void ref_route(struct device *d, const struct route_args *a)
{
    const int n_experts = a->router->rows, n = a->router->cols;
    for (int t = 0; t < a->n_rows; t++) {
        const float *x = a->x + (size_t)t * (size_t)n;
        int32_t *ids = a->ids + (size_t)t * (size_t)a->n_used;
        float *share = a->share + (size_t)t * (size_t)a->n_used, sum = 0;

        ref_matvec(d, a->router, 0, x, d->router);
        softmax(d->router, n_experts);
        for (int u = 0; u < a->n_used; u++) {
            ids[u] = best_of(d->router, n_experts);
            sum += share[u] = d->router[ids[u]];
            d->router[ids[u]] = -1;
        }
        for (int u = 0; u < a->n_used; u++)
            share[u] /= sum;
        if (a->shared) {
            float dot = 0;
            for (int i = 0; i < n; i++)
                dot += a->shared[i] * x[i];
            a->shared_share[t] = ref_sigmoid(dot);
        }
    }
}

void ref_experts(struct device *d, const struct experts_args *a)
{
    const int n = a->down->rows;
    for (int t = 0; t < a->n_rows; t++) {
        const float *x = a->x + (size_t)t * (size_t)n;
        float *out = a->out + (size_t)t * (size_t)n;

        for (int i = 0; i < n; i++)
            out[i] = 0;
        for (int u = 0; u < a->n_used; u++) {
            const size_t at = (size_t)t * (size_t)a->n_used + (size_t)u;
            ffn_row(d, a->gate, a->up, a->down, a->ids[at], x, d->expert);
            for (int i = 0; i < n; i++)
                out[i] += a->share[at] * d->expert[i];
        }
        if (a->sh_gate) {
            ffn_row(d, a->sh_gate, a->sh_up, a->sh_down, 0, x, d->expert);
            for (int i = 0; i < n; i++)
                out[i] += a->shared_share[t] * d->expert[i];
        }
    }
}
