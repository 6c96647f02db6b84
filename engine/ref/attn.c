/* attn.c - gated full attention over paged keys and values. */
#include "engine/quant.h"
#include "engine/ref/ref.h"

#include <string.h>

static void rotate(float *x, const struct qk_prep_args *a, int64_t pos)
{
    const int half = a->n_rot / 2;
    for (int i = 0; i < half; i++) {
        const double angle = (double)pos * a->inv_freq[i];
        const float c = (float)cos(angle) * a->rope_scale,
                    s = (float)sin(angle) * a->rope_scale;
        const float lo = x[i], hi = x[i + half];
        x[i] = lo * c - hi * s;
        x[i + half] = lo * s + hi * c;
    }
}

void ref_qk_prep(struct device *d, const struct qk_prep_args *a)
{
    (void)d;
    for (int i = 0; i < a->spans.n; i++) {
        const struct span *s = &a->spans.p[i];
        for (int t = s->row; t < s->row + s->n_rows; t++) {
            const int64_t pos = s->pos + (t - s->row);
            for (int h = 0; h < a->n_heads; h++) {
                float *q =
                    a->qg + ((size_t)t * (size_t)a->n_heads + (size_t)h) * 2 * (size_t)a->dim;
                ref_rms(q, q, a->q_norm, a->dim, a->eps);
                rotate(q, a, pos);
            }
            for (int g = 0; g < a->n_kv; g++) {
                float *k = a->k + ((size_t)t * (size_t)a->n_kv + (size_t)g) * (size_t)a->dim;
                ref_rms(k, k, a->k_norm, a->dim, a->eps);
                rotate(k, a, pos);
            }
        }
    }
}

static size_t value_bytes(enum kv_type type)
{
    ASSERT(type == KV_F32 || type == KV_F16);
    return type == KV_F32 ? 4 : 2;
}

/* Where head g at position `pos` lies among this layer's keys (or values). */
static uint8_t *kv_at(const struct attn_args *a,
                      const struct span *s,
                      size_t offset,
                      enum kv_type type,
                      int64_t pos,
                      int g)
{
    uint8_t *page = s->pages[pos / a->page_tokens];
    const size_t row = (size_t)g * (size_t)a->page_tokens + (size_t)(pos % a->page_tokens);
    return page + offset + row * (size_t)a->dim * value_bytes(type);
}

static void kv_store(uint8_t *to, const float *x, int n, enum kv_type type)
{
    if (type == KV_F32) {
        memcpy(to, x, (size_t)n * sizeof *x);
        return;
    }
    uint16_t *half = (uint16_t *)(void *)to;
    for (int i = 0; i < n; i++)
        half[i] = quant_f32_to_f16(x[i]);
}

static float kv_value(const uint8_t *p, int i, enum kv_type type)
{
    if (type == KV_F32) return ((const float *)(const void *)p)[i];
    return quant_f16_to_f32(((const uint16_t *)(const void *)p)[i]);
}

static void store_span(const struct attn_args *a, const struct span *s)
{
    for (int t = 0; t < s->n_rows; t++) {
        for (int g = 0; g < a->n_kv; g++) {
            const size_t at =
                ((size_t)(s->row + t) * (size_t)a->n_kv + (size_t)g) * (size_t)a->dim;
            kv_store(kv_at(a, s, a->k_offset, a->type_k, s->pos + t, g), a->k + at, a->dim,
                     a->type_k);
            kv_store(kv_at(a, s, a->v_offset, a->type_v, s->pos + t, g), a->v + at, a->dim,
                     a->type_v);
        }
    }
}

/* score[j] = softmax of q . k_j / sqrt(D) for j in [first, pos]. */
static void attend_scores(float *score,
                          const struct attn_args *a,
                          const struct span *s,
                          const float *q,
                          int64_t pos,
                          int g)
{
    float most = -INFINITY, sum = 0;
    for (int64_t j = a->first; j <= pos; j++) {
        const uint8_t *k = kv_at(a, s, a->k_offset, a->type_k, j, g);
        float dot = 0;
        for (int i = 0; i < a->dim; i++)
            dot += q[i] * kv_value(k, i, a->type_k);
        score[j] = dot / sqrtf((float)a->dim);
        if (score[j] > most) most = score[j];
    }
    for (int64_t j = a->first; j <= pos; j++)
        sum += score[j] = expf(score[j] - most);
    for (int64_t j = a->first; j <= pos; j++)
        score[j] /= sum;
}

void ref_attn(struct device *d, const struct attn_args *a)
{
    for (int i = 0; i < a->spans.n; i++)
        store_span(a, &a->spans.p[i]);
    for (int i = 0; i < a->spans.n; i++) {
        const struct span *s = &a->spans.p[i];
        for (int t = 0; t < s->n_rows; t++) {
            for (int h = 0; h < a->n_heads; h++) {
                const int g = h / (a->n_heads / a->n_kv);
                const size_t at = (size_t)(s->row + t) * (size_t)a->n_heads + (size_t)h;
                const float *q = a->qg + at * 2 * (size_t)a->dim, *gate = q + a->dim;
                float *out = a->out + at * (size_t)a->dim;

                attend_scores(d->score, a, s, q, s->pos + t, g);
                memset(out, 0, (size_t)a->dim * sizeof *out);
                for (int64_t j = a->first; j <= s->pos + t; j++) {
                    const uint8_t *v = kv_at(a, s, a->v_offset, a->type_v, j, g);
                    for (int c = 0; c < a->dim; c++) {
                        out[c] += d->score[j] * kv_value(v, c, a->type_v);
                    }
                }
                for (int c = 0; c < a->dim; c++)
                    out[c] *= ref_sigmoid(gate[c]);
            }
        }
    }
}
