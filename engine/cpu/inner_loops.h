/* inner_loops.h - the inner loops that are not products with weights; the text of
 * every row of the kernel table, compiled once per instruction set. */
#ifndef QA_CPU_INNER_LOOPS_H
#define QA_CPU_INNER_LOOPS_H

#include "engine/cpu/inner_dot.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/vec.h"

#include <math.h>

/* ---- norms and gates ----------------------------------------------------- */

/* Vectors of any length: whole vectors from the array, the rest through a padded copy. */
INLINE vf part_load(const float *p, int n)
{
    if (n >= LANES) return vf_load(p);
    float lane[LANES] = {0};
    memcpy(lane, p, (size_t)n * sizeof *p);
    return vf_load(lane);
}
INLINE void part_store(float *p, vf x, int n)
{
    if (n >= LANES) {
        vf_store(p, x);
    } else {
        memcpy(p, &x, (size_t)n * sizeof *p);
    }
}

static float sum_of_squares(const float *x, int n)
{
    vf a = {0}, b = {0};
    int i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        const vf u = vf_load(x + i), v = vf_load(x + i + LANES);
        a += u * u;
        b += v * v;
    }
    for (; i < n; i += LANES) {
        const vf u = part_load(x + i, n - i);
        a += u * u;
    }
    return vf_sum(a + b);
}

static void rms(float *out, float *x, const float *add, const float *w, int n, float eps)
{
    for (int i = 0; add && i < n; i += LANES)
        part_store(x + i, part_load(x + i, n - i) + part_load(add + i, n - i), n - i);
    const float f = 1.0f / sqrtf(sum_of_squares(x, n) / (float)n + eps);
    for (int i = 0; i < n; i += LANES)
        part_store(out + i, part_load(x + i, n - i) * f * part_load(w + i, n - i), n - i);
}

static void unit(float *x, int n, float scale)
{
    const float f = scale / sqrtf(sum_of_squares(x, n) + 1e-6f);
    for (int i = 0; i < n; i += LANES)
        part_store(x + i, part_load(x + i, n - i) * f, n - i);
}

static void silu_mul(float *out, const float *gate, const float *up, int n)
{
    for (int i = 0; i < n; i += LANES) {
        const vf g = part_load(gate + i, n - i);
        part_store(out + i, g * vf_sigmoid(g) * part_load(up + i, n - i), n - i);
    }
}

static void sigmoid_mul(float *out, const float *gate, int n)
{
    for (int i = 0; i < n; i += LANES) {
        const vf g = vf_sigmoid(part_load(gate + i, n - i));
        part_store(out + i, part_load(out + i, n - i) * g, n - i);
    }
}

static float exp_sum(float *x, int n, float most)
{
    vf sum = {0};
    int i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf e = vf_exp(vf_load(x + i) - most);
        vf_store(x + i, e);
        sum += e;
    }
    float total = vf_sum(sum);
    for (; i < n; i++) {
        const vf e = vf_exp(vf_all(x[i] - most));
        total += x[i] = e[0];
    }
    return total;
}

static void add_scaled(float *out, const float *x, float f, int n)
{
    for (int i = 0; i < n; i += LANES)
        part_store(out + i, part_load(out + i, n - i) + part_load(x + i, n - i) * f, n - i);
}

static int32_t arg_max(const float *x, int n)
{
    float most = -INFINITY;
    int i = 0;
    if (n >= LANES) {
        vf best = vf_all(-INFINITY);
        for (; i + LANES <= n; i += LANES)
            best = vf_max(vf_load(x + i), best); /* a NaN on the left loses */
        most = vf_most(best);
    }
    for (; i < n; i++)
        most = x[i] > most ? x[i] : most;
    for (i = 0; i < n; i++) {
        if (x[i] >= most) return i; /* the first: NaN compares false */
    }
    return 0; /* nothing but NaN */
}

/* ---- half precision ------------------------------------------------------ */

static void f32_to_f16(uint16_t *out, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = quant_f32_to_f16(x[i]);
}

/* ---- attention ----------------------------------------------------------- */

/* Running softmax, one tile (Milakov and Gimelshein, arXiv:1805.02867).  Work: one
 * query against up to 16 positions whose keys and values lie in L1. */
static void attend(const struct attend_args *a)
{
    const int dim = a->dim, n = a->n;
    float p[ATTEND_TILE];

    for (int j = 0; j < n; j += F32_ROWS) {
        const float *k[F32_ROWS];
        const int rows = QA_MIN(F32_ROWS, n - j);
        for (int i = 0; i < rows; i++)
            k[i] = a->k + (size_t)(j + i) * (size_t)dim;
        if (rows == F32_ROWS) {
            dot_f32_rows(p + j, 1, a->q, k, dim, F32_ROWS);
        } else {
            for (int i = 0; i < rows; i++)
                dot_f32_rows(p + j + i, 1, a->q, k + i, dim, 1);
        }
    }
    float most = *a->most;
    for (int j = 0; j < n; j++)
        most = p[j] > most ? p[j] : most;
    const float keep = expf(*a->most - most); /* 0 at the first tile: most was -infinity */
    for (int j = n; j < ATTEND_TILE; j++)
        p[j] = -INFINITY;
    float sum = exp_sum(p, ATTEND_TILE, most);
    /* vf_exp() saturates near 1e-38 where the true value is 0: harmless in the sum, and
     * the places beyond n are not read. */
    for (int i = 0; i < dim; i += LANES) {
        vf x = part_load(a->acc + i, dim - i) * keep;
        for (int j = 0; j < n; j++)
            x += part_load(a->v + (size_t)j * (size_t)dim + i, dim - i) * p[j];
        part_store(a->acc + i, x, dim - i);
    }
    *a->most = most;
    *a->sum = *a->sum * keep + sum;
}

/* ---- delta rule ---------------------------------------------------------- */

enum { DELTA_VECS = DELTA_COLS / LANES };

/* Two passes over 16 columns of the state (8 KB at 128 keys, so it stays in L1 from
 * row to row): the first takes what k and q read from the old state, the second
 * writes.  out = q'M_new = e^decay q'M_old + (q.k) error, so no third pass.
 * Bound: L1 loads; 4 flops per number loaded. */
INLINE void delta_row(float *m,
                      size_t stride,
                      int dim,
                      const float *q,
                      const float *k,
                      const float *v,
                      float keep,
                      float beta,
                      float *out)
{
    vf by_k[DELTA_VECS] = {0}, by_q[DELTA_VECS] = {0}, error[DELTA_VECS];
    float qk = 0;

    for (int i = 0; i < dim; i++) {
        for (int c = 0; c < DELTA_VECS; c++) {
            const vf x = vf_load(m + (size_t)i * stride + c * LANES);
            by_k[c] += x * k[i];
            by_q[c] += x * q[i];
        }
        qk += q[i] * k[i];
    }
    for (int c = 0; c < DELTA_VECS; c++)
        error[c] = (vf_load(v + c * LANES) - by_k[c] * keep) * beta;
    for (int i = 0; i < dim; i++) {
        for (int c = 0; c < DELTA_VECS; c++) {
            float *x = m + (size_t)i * stride + c * LANES;
            vf_store(x, vf_load(x) * keep + error[c] * k[i]);
        }
    }
    for (int c = 0; out && c < DELTA_VECS; c++)
        vf_store(out + c * LANES, by_q[c] * keep + error[c] * qk);
}

static void delta(const struct delta_args_tile *a)
{
    float v_pad[DELTA_COLS] = {0}, out_pad[DELTA_COLS];
    const bool is_whole = a->n_cols == DELTA_COLS;
    const size_t n_bytes = (size_t)a->n_cols * sizeof(float);
    for (int t = 0; t < a->n_rows; t++) {
        const size_t x = (size_t)t * a->x_stride, g = (size_t)t * a->gate_stride;
        const float *v = a->v + x;
        float *out = a->out ? a->out + (size_t)t * a->out_stride : NULL;
        if (!is_whole) v = memcpy(v_pad, v, n_bytes);
        delta_row(a->m, a->m_stride, a->dim, a->q + x, a->k + x, v, expf(a->decay[g]),
                  a->beta[g], out && !is_whole ? out_pad : out);
        if (out && !is_whole) memcpy(out, out_pad, n_bytes);
    }
}

/* ---- convolution --------------------------------------------------------- */

static void conv_row(const struct conv_row_args *a)
{
    for (int i = 0; i < a->n; i += LANES) {
        const int n = a->n - i;
        vf sum = {0};
        for (int j = 0; j < a->n_taps; j++) {
            sum += part_load(a->taps + (size_t)j * (size_t)a->n + i, n) *
                   part_load(a->rows[j] + i, n);
        }
        part_store(a->out + i, sum * vf_sigmoid(sum), n);
    }
}

#endif
