/* matmul.c - products of rows with weights: decode a row, then take dot products. */
#include "engine/quant.h"
#include "engine/ref/ref.h"

/* Sixteen partial sums: nearer to the exact sum than a single one, and the only
 * concession to speed in this backend. */
static float dot(const float *a, const float *b, int n)
{
    float part[16] = {0}, sum = 0;
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int j = 0; j < 16; j++)
            part[j] += a[i + j] * b[i + j];
    }
    for (int j = 0; j < 16; j++)
        sum += part[j];
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

const float *ref_weight_row(struct device *d, const struct weight *w, int m, int r)
{
    const uint8_t *p = w->data + (size_t)m * w->mat_bytes + (size_t)r * w->row_bytes;
    quant_decode(w->type, p, d->row, (size_t)w->cols);
    for (int i = 0; w->scale && i < w->cols; i++)
        d->row[i] *= w->scale[m];
    return d->row;
}

void ref_matvec(struct device *d, const struct weight *w, int m, const float *x, float *y)
{
    for (int r = 0; r < w->rows; r++)
        y[r] = dot(ref_weight_row(d, w, m, r), x, w->cols);
}

void ref_matmul(struct device *d, const struct matmul_args *a)
{
    for (int i = 0; i < a->n_out; i++) {
        const struct weight *w = a->w[i];
        for (int r = 0; r < w->rows; r++) {
            const float *row = ref_weight_row(d, w, 0, r);
            for (int t = 0; t < a->n_rows; t++) {
                a->out[i][(size_t)t * (size_t)w->rows + (size_t)r] =
                    dot(row, a->x + (size_t)t * (size_t)w->cols, w->cols);
            }
        }
    }
}

void ref_embed(struct device *d, const struct embed_args *a)
{
    const int n = a->table->cols;
    for (int t = 0; t < a->n_rows; t++) {
        const float *row = ref_weight_row(d, a->table, 0, a->ids[t]);
        for (int i = 0; i < n; i++)
            a->out[(size_t)t * (size_t)n + (size_t)i] = row[i];
    }
}

void ref_pick(struct device *d, const struct pick_args *a)
{
    (void)d;
    for (int t = 0; t < a->n_rows; t++) {
        const float *x = a->x + (size_t)t * (size_t)a->n;
        int best = 0;
        for (int i = 1; i < a->n; i++) {
            if (x[i] > x[best] || isnan(x[best])) best = i;
        }
        a->ids[t] = best;
    }
}
