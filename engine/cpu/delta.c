/* delta.c - convolution, preparation and the gated delta rule.
 *
 * Columns of a delta head's state do not meet: what a value column recalls and learns
 * depends on that column, q and k alone.  So a unit of work is 16 columns of one
 * head, 8 KB, which stay in L1 while all rows of the span go by. */
#include "engine/cpu/device.h"

#include <math.h>
#include <string.h>

/* ---- convolution --------------------------------------------------------- */

enum { CONV_BLOCK = 128, CONV_TAPS_MAX = 8 };

struct conv_job {
    struct device *d;
    const struct conv_args *a;
};

/* Raw input `t` rows from the start of the span; negative: the tail. */
static const float *raw_row(const struct conv_args *a, const struct span *s, int t)
{
    const size_t n = (size_t)a->n_channels;
    if (t >= 0) return a->x + (size_t)(s->row + t) * n;
    return s->state + a->tail_offset + (size_t)(a->n_taps - 1 + t) * n;
}

static void conv_span(const struct conv_job *j, const struct span *s, int c0, int n)
{
    const struct conv_args *a = j->a;
    float taps[CONV_TAPS_MAX * CONV_BLOCK];

    for (int i = 0; i < a->n_taps; i++) {
        for (int c = 0; c < n; c++)
            taps[i * n + c] = a->taps[(size_t)(c0 + c) * (size_t)a->n_taps + (size_t)i];
    }
    for (int t = 0; a->out && t < s->n_rows; t++) {
        const float *rows[CONV_TAPS_MAX];
        for (int i = 0; i < a->n_taps; i++)
            rows[i] = raw_row(a, s, t - (a->n_taps - 1) + i) + c0;
        const struct conv_row_args args = {
            .out = a->out + (size_t)(s->row + t) * (size_t)a->n_channels + c0,
            .rows = rows,
            .taps = taps,
            .n = n,
            .n_taps = a->n_taps,
        };
        j->d->k->conv_row(&args);
    }
    if (s->is_trial) return;
    /* Oldest first: with few rows the tail is filled from itself, further along. */
    for (int i = 0; i < a->n_taps - 1; i++) {
        float *to = s->state + a->tail_offset + (size_t)i * (size_t)a->n_channels + c0;
        memcpy(to, raw_row(a, s, s->n_rows - (a->n_taps - 1) + i) + c0, (size_t)n * sizeof *to);
    }
}

static void conv_part(void *ctx, int i_thread, int n_threads)
{
    const struct conv_job *j = ctx;
    const struct conv_args *a = j->a;
    int64_t from, to;
    pool_share(a->n_channels, CONV_BLOCK, i_thread, n_threads, &from, &to);
    for (int i = 0; i < a->spans.n; i++) {
        for (int64_t c = from; c < to; c += CONV_BLOCK)
            conv_span(j, &a->spans.p[i], (int)c, (int)QA_MIN(CONV_BLOCK, to - c));
    }
}

void cpu_conv(struct device *d, const struct conv_args *a)
{
    struct conv_job j = {d, a};
    const struct span *last = &a->spans.p[a->spans.n - 1];
    ASSERT(a->n_taps <= CONV_TAPS_MAX);
    device_run(d, conv_part, &j,
               (int64_t)(last->row + last->n_rows) * a->n_channels * (a->n_taps + 8));
}

/* ---- preparation --------------------------------------------------------- */

struct delta_prep_job {
    struct device *d;
    const struct delta_prep_args *a;
};

static float softplus(float x)
{
    return x > 20 ? x : log1pf(expf(x));
}

static void delta_prep_part(void *ctx, int i_thread, int n_threads)
{
    const struct delta_prep_job *j = ctx;
    const struct delta_prep_args *a = j->a;
    const size_t dim = (size_t)a->dim, n_channels = (size_t)(2 * a->n_k + a->n_v) * dim;
    const float q_scale = 1.0f / sqrtf((float)a->dim);
    int64_t from, to;
    pool_share(a->n_rows, 1, i_thread, n_threads, &from, &to);
    for (size_t t = (size_t)from; t < (size_t)to; t++) {
        float *q = a->qkv + t * n_channels, *k = q + (size_t)a->n_k * dim;
        for (size_t h = 0; h < (size_t)a->n_k; h++) {
            j->d->k->unit(q + h * dim, a->dim, q_scale);
            j->d->k->unit(k + h * dim, a->dim, 1.0f);
        }
        for (size_t h = 0; h < (size_t)a->n_v; h++) {
            const size_t at = t * (size_t)a->n_v + h;
            a->decay[at] = a->ssm_a[h] * softplus(a->decay[at] + a->dt[h]);
            a->beta[at] = 1.0f / (1.0f + expf(-a->beta[at]));
        }
    }
}

void cpu_delta_prep(struct device *d, const struct delta_prep_args *a)
{
    struct delta_prep_job j = {d, a};
    device_run(d, delta_prep_part, &j,
               a->n_rows > 1 ? (int64_t)a->n_rows * a->n_k * a->dim * 8 : 0);
}

/* ---- delta rule ---------------------------------------------------------- */

struct delta_job {
    struct device *d;
    const struct delta_args *a;
};

/* The state of 16 columns lies in memory at a stride that maps to few cache sets, so
 * several rows work on a copy; one row works in place, that is one pass less. */
static void delta_unit(const struct delta_job *j, const struct span *s, int h, int c0)
{
    const struct delta_args *a = j->a;
    const size_t dim = (size_t)a->dim, n_channels = (size_t)(2 * a->n_k + a->n_v) * dim;
    const int n = QA_MIN(DELTA_COLS, a->dim - c0);
    float *m = s->state + a->state_offset + (size_t)h * dim * dim + c0;
    const float *row = a->qkv + (size_t)s->row * n_channels;
    const size_t gate = (size_t)s->row * (size_t)a->n_v + (size_t)h;
    float copy[DELTA_DIM_MAX * DELTA_COLS];
    struct delta_args_tile args = {
        .m = m,
        .m_stride = dim,
        .dim = a->dim,
        .n_cols = n,
        .q = row + (size_t)(h % a->n_k) * dim,
        .k = row + (size_t)(a->n_k + h % a->n_k) * dim,
        .v = row + (size_t)(2 * a->n_k + h) * dim + c0,
        .x_stride = n_channels,
        .decay = a->decay + gate,
        .beta = a->beta + gate,
        .gate_stride = (size_t)a->n_v,
        .out = a->out ? a->out + gate * dim + c0 : NULL,
        .out_stride = (size_t)a->n_v * dim,
        .n_rows = s->n_rows,
    };
    if (s->n_rows == 1 && !s->is_trial && n == DELTA_COLS) {
        j->d->k->delta(&args);
        return;
    }
    if (n < DELTA_COLS) memset(copy, 0, dim * DELTA_COLS * sizeof *copy);
    for (size_t i = 0; i < dim; i++)
        memcpy(copy + i * DELTA_COLS, m + i * dim, (size_t)n * sizeof *copy);
    args.m = copy;
    args.m_stride = DELTA_COLS;
    j->d->k->delta(&args);
    for (size_t i = 0; !s->is_trial && i < dim; i++)
        memcpy(m + i * dim, copy + i * DELTA_COLS, (size_t)n * sizeof *copy);
}

static void delta_part(void *ctx, int i_thread, int n_threads)
{
    const struct delta_job *j = ctx;
    const struct delta_args *a = j->a;
    const int tiles = (a->dim + DELTA_COLS - 1) / DELTA_COLS, n_units = a->n_v * tiles;
    int64_t from, to, base = 0, cost = 0;
    for (int i = 0; i < a->spans.n; i++)
        cost += (int64_t)a->spans.p[i].n_rows * n_units;
    pool_share(cost, 1, i_thread, n_threads, &from, &to);
    for (int i = 0; i < a->spans.n; i++) {
        const struct span *s = &a->spans.p[i];
        int u0, u1;
        cost_share(from, to, base, s->n_rows, n_units, &u0, &u1);
        base += (int64_t)s->n_rows * n_units;
        for (int u = u0; u < u1; u++)
            delta_unit(j, s, u / tiles, u % tiles * DELTA_COLS);
    }
}

void cpu_delta(struct device *d, const struct delta_args *a)
{
    struct delta_job j = {d, a};
    const struct span *last = &a->spans.p[a->spans.n - 1];
    ASSERT(a->dim <= DELTA_DIM_MAX);
    device_run(d, delta_part, &j,
               (int64_t)(last->row + last->n_rows) * a->n_v * a->dim * a->dim * 4);
}
