/* attn.c - gated full attention over paged keys and values. */
#include "engine/kv.h"
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

/* One of the two halves of a cache: keys or values. */
struct side {
    enum kv_type type;
    size_t offset, offset16;
};

static uint8_t *row_at(void *const *pages,
                       const struct attn_args *a,
                       size_t offset,
                       enum kv_type type,
                       int64_t pos,
                       int g)
{
    uint8_t *page = pages[pos / a->page_tokens];
    const size_t row = (size_t)g * (size_t)a->page_tokens + (size_t)(pos % a->page_tokens);
    return page + offset + row * kv_row_bytes(type, a->dim);
}

static void side_store(const struct attn_args *a,
                       const struct span *s,
                       const struct side *side,
                       const float *x,
                       int64_t pos,
                       int g)
{
    float y[KV_HEAD_MAX];
    memcpy(y, x, (size_t)a->dim * sizeof *x);
    if (kv_is_rotated(side->type)) {
        kv_rotate(y, a->dim);
        kv_encode(KV_F16, row_at(s->pages16, a, side->offset16, KV_F16, pos, g), y, a->dim);
    }
    kv_encode(side->type, row_at(s->pages, a, side->offset, side->type, pos, g), y, a->dim);
}

/* What the row at position `row` reads of head g at position pos. */
static void side_load(float *out,
                      const struct attn_args *a,
                      const struct span *s,
                      const struct side *side,
                      int64_t row,
                      int64_t pos,
                      int g)
{
    if (kv_is_rotated(side->type) &&
        attn_reads_f16(pos / a->page_tokens, row / a->page_tokens)) {
        kv_decode(KV_F16, out, row_at(s->pages16, a, side->offset16, KV_F16, pos, g), a->dim);
    } else {
        kv_decode(side->type, out, row_at(s->pages, a, side->offset, side->type, pos, g),
                  a->dim);
    }
}

static void store_span(const struct attn_args *a,
                       const struct span *s,
                       const struct side *k,
                       const struct side *v)
{
    for (int t = 0; t < s->n_rows; t++) {
        for (int g = 0; g < a->n_kv; g++) {
            const size_t at =
                ((size_t)(s->row + t) * (size_t)a->n_kv + (size_t)g) * (size_t)a->dim;
            side_store(a, s, k, a->k + at, s->pos + t, g);
            side_store(a, s, v, a->v + at, s->pos + t, g);
        }
    }
}

/* score[j] = softmax of q . k_j / sqrt(D) for j in [first, pos]. */
static void attend_scores(float *score,
                          const struct attn_args *a,
                          const struct span *s,
                          const struct side *side,
                          const float *query,
                          int64_t pos,
                          int g)
{
    float q[KV_HEAD_MAX], k[KV_HEAD_MAX], most = -INFINITY, sum = 0;
    memcpy(q, query, (size_t)a->dim * sizeof *q);
    if (kv_is_rotated(side->type)) kv_rotate(q, a->dim);
    for (int64_t j = a->first; j <= pos; j++) {
        float dot = 0;
        side_load(k, a, s, side, pos, j, g);
        for (int i = 0; i < a->dim; i++)
            dot += q[i] * k[i];
        score[j] = dot / sqrtf((float)a->dim);
        if (score[j] > most) most = score[j];
    }
    for (int64_t j = a->first; j <= pos; j++)
        sum += score[j] = expf(score[j] - most);
    for (int64_t j = a->first; j <= pos; j++)
        score[j] /= sum;
}

/* out = sum of share[j] v_j for j in [first, pos], rotated back at the end. */
static void attend_values(float *out,
                          const struct attn_args *a,
                          const struct span *s,
                          const struct side *side,
                          const float *share,
                          int64_t pos,
                          int g)
{
    float v[KV_HEAD_MAX];
    memset(out, 0, (size_t)a->dim * sizeof *out);
    for (int64_t j = a->first; j <= pos; j++) {
        side_load(v, a, s, side, pos, j, g);
        for (int c = 0; c < a->dim; c++)
            out[c] += share[j] * v[c];
    }
    if (kv_is_rotated(side->type)) kv_unrotate(out, a->dim);
}

void ref_attn(struct device *d, const struct attn_args *a)
{
    const struct side k = {a->type_k, a->k_offset, a->k16_offset};
    const struct side v = {a->type_v, a->v_offset, a->v16_offset};
    ASSERT(a->dim <= KV_HEAD_MAX);

    for (int i = 0; i < a->spans.n; i++)
        store_span(a, &a->spans.p[i], &k, &v);
    for (int i = 0; i < a->spans.n; i++) {
        const struct span *s = &a->spans.p[i];
        for (int t = 0; t < s->n_rows; t++) {
            for (int h = 0; h < a->n_heads; h++) {
                const int g = h / (a->n_heads / a->n_kv);
                const size_t at = (size_t)(s->row + t) * (size_t)a->n_heads + (size_t)h;
                const float *q = a->qg + at * 2 * (size_t)a->dim, *gate = q + a->dim;
                float *out = a->out + at * (size_t)a->dim;

                attend_scores(d->score, a, s, &k, q, s->pos + t, g);
                attend_values(out, a, s, &v, d->score, s->pos + t, g);
                for (int c = 0; c < a->dim; c++)
                    out[c] *= ref_sigmoid(gate[c]);
            }
        }
    }
}
