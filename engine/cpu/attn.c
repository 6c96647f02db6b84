/* attn.c - gated full attention over paged keys and values.
 *
 * Positions are cut into chunks whose size depends on the row's position alone; each
 * (block of rows, KV head, chunk) is one unit of work that leaves, per row and head,
 * a partial softmax: largest score, sum, weighted values.  A second job adds the
 * partials up in order.  So one row with a long past keeps all threads busy, and the
 * result does not depend on how many there are or on what else is in the step.
 *
 * Keys and values are turned to floats once per tile for all query heads that share
 * the KV head and all rows of the block. */
#include "engine/cpu/device.h"
#include "engine/kv.h"

#include <math.h>
#include <string.h>

enum { CHUNK_MIN = 256, CHUNKS_MAX = 64, BLOCK_ROWS = 8 };

/* ---- rotary position ----------------------------------------------------- */

struct qk_job {
    struct device *d;
    const struct qk_prep_args *a;
};

/* Cosine and sine per pair; in f64 because positions reach 2^18. */
static void fill_rope(double *table, const struct qk_prep_args *a, int64_t pos)
{
    for (int i = 0; i < a->n_rot / 2; i++) {
        const double angle = (double)pos * a->inv_freq[i];
        table[2 * i] = cos(angle);
        table[2 * i + 1] = sin(angle);
    }
}

static void rotate(float *x, const struct qk_prep_args *a, const double *table)
{
    const int half = a->n_rot / 2;
    for (int i = 0; i < half; i++) {
        const float c = (float)table[2 * i] * a->rope_scale;
        const float s = (float)table[2 * i + 1] * a->rope_scale;
        const float lo = x[i], hi = x[i + half];
        x[i] = lo * c - hi * s;
        x[i + half] = lo * s + hi * c;
    }
}

static void qk_row(const struct qk_job *j, int t, int64_t pos)
{
    const struct qk_prep_args *a = j->a;
    const size_t dim = (size_t)a->dim;
    double *table = j->d->rope + (size_t)t * (size_t)a->n_rot;
    fill_rope(table, a, pos);
    for (int h = 0; h < a->n_heads; h++) {
        float *q = a->qg + ((size_t)t * (size_t)a->n_heads + (size_t)h) * 2 * dim;
        j->d->k->rms(q, q, NULL, a->q_norm, a->dim, a->eps);
        rotate(q, a, table);
    }
    for (int g = 0; g < a->n_kv; g++) {
        float *k = a->k + ((size_t)t * (size_t)a->n_kv + (size_t)g) * dim;
        j->d->k->rms(k, k, NULL, a->k_norm, a->dim, a->eps);
        rotate(k, a, table);
    }
}

static void qk_part(void *ctx, int i_thread, int n_threads)
{
    const struct qk_job *j = ctx;
    const struct spans *s = &j->a->spans;
    const struct span *last = &s->p[s->n - 1];
    int64_t from, to;
    pool_share(last->row + last->n_rows, 1, i_thread, n_threads, &from, &to);
    for (int i = 0; i < s->n; i++) {
        const struct span *p = &s->p[i];
        const int64_t end = QA_MIN(to, p->row + p->n_rows);
        for (int64_t t = QA_MAX(from, p->row); t < end; t++)
            qk_row(j, (int)t, p->pos + (t - p->row));
    }
}

void cpu_qk_prep(struct device *d, const struct qk_prep_args *a)
{
    struct qk_job j = {d, a};
    const struct span *last = &a->spans.p[a->spans.n - 1];
    const int n_rows = last->row + last->n_rows;
    device_run(d, qk_part, &j,
               n_rows > 1 ? (int64_t)n_rows * (a->n_heads + a->n_kv) * a->dim * 4 : 0);
}

/* ---- keys and values in pages -------------------------------------------- */

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

static void side_store(const struct device *d,
                       const struct attn_args *a,
                       const struct span *s,
                       const struct side *side,
                       const float *x,
                       int64_t pos,
                       int g)
{
    uint8_t *to = row_at(s->pages, a, side->offset, side->type, pos, g);
    if (side->type == KV_F16) {
        d->k->f32_to_f16((uint16_t *)(void *)to, x, a->dim);
    } else if (side->type == KV_F32) {
        memcpy(to, x, (size_t)a->dim * sizeof *x);
    } else {
        float y[KV_HEAD_MAX];
        uint8_t *to16 = row_at(s->pages16, a, side->offset16, KV_F16, pos, g);
        memcpy(y, x, (size_t)a->dim * sizeof *x);
        d->k->kv_rotate(y, a->dim);
        d->k->f32_to_f16((uint16_t *)(void *)to16, y, a->dim);
        kv_encode(side->type, to, y, a->dim);
    }
}

/* Positions [j, j + n), all in one page, of KV head g as floats [n, D] for rows in page
 * row_page: in place, or in `tile`. */
static const float *side_load(const struct device *d,
                              const struct attn_args *a,
                              const struct span *s,
                              const struct side *side,
                              int64_t j,
                              int n,
                              int g,
                              int64_t row_page,
                              float *tile)
{
    const bool is_16 =
        kv_is_rotated(side->type) && attn_reads_f16(j / a->page_tokens, row_page);
    const enum kv_type type = is_16 ? KV_F16 : side->type;
    const uint8_t *rows = is_16 ? row_at(s->pages16, a, side->offset16, type, j, g)
                                : row_at(s->pages, a, side->offset, type, j, g);
    if (type == KV_F32) return (const float *)(const void *)rows;
    d->k->kv_load(type, tile, rows, n, a->dim);
    return tile;
}

/* ---- work ---------------------------------------------------------------- */

/* Rows of one span that have equal chunks and lie in the same page: they read the same
 * positions in the same format. */
struct block {
    const struct span *span;
    int row, n_rows; /* rows of the step */
    int64_t chunk;   /* positions in one */
};

struct attn_job {
    struct device *d;
    const struct attn_args *a;
    struct side k, v;
    struct block blocks[64];
    int n_blocks;
    int first_row, n_rows; /* rows of this batch                                        */
    int max_chunks;        /* partials kept per row and head                            */
    float *partial;        /* [n_rows, H, max_chunks, D + 2]: values, largest, sum      */
    float *query;          /* [n_rows, H, D]  divided by sqrt(D)                        */
};

static int64_t chunk_of(int64_t pos)
{
    int64_t chunk = CHUNK_MIN;
    while ((pos + chunk) / chunk > CHUNKS_MAX)
        chunk *= 2;
    return chunk;
}

static int64_t row_pos(const struct span *s, int row)
{
    return s->pos + (row - s->row);
}

static float *partial_at(const struct attn_job *j, int row, int h, int chunk)
{
    const size_t i = ((size_t)(row - j->first_row) * (size_t)j->a->n_heads + (size_t)h) *
                         (size_t)j->max_chunks +
                     (size_t)chunk;
    return j->partial + i * (size_t)(j->a->dim + 2);
}

static void store_part(void *ctx, int i_thread, int n_threads)
{
    const struct attn_job *j = ctx;
    const struct attn_args *a = j->a;
    const struct span *last = &a->spans.p[a->spans.n - 1];
    int64_t from, to;
    pool_share(last->row + last->n_rows, 1, i_thread, n_threads, &from, &to);
    for (int i = 0; i < a->spans.n; i++) {
        const struct span *s = &a->spans.p[i];
        const int64_t end = QA_MIN(to, s->row + s->n_rows);
        for (int64_t t = QA_MAX(from, s->row); t < end; t++) {
            for (int g = 0; g < a->n_kv; g++) {
                const size_t at = ((size_t)t * (size_t)a->n_kv + (size_t)g) * (size_t)a->dim;
                const int64_t pos = row_pos(s, (int)t);
                side_store(j->d, a, s, &j->k, a->k + at, pos, g);
                side_store(j->d, a, s, &j->v, a->v + at, pos, g);
            }
        }
    }
}

/* Positions [j0, j1) of KV head g for all rows of the block, tile by tile. */
static void attend_range(const struct attn_job *j,
                         const struct block *b,
                         int g,
                         int chunk,
                         int64_t j0,
                         int64_t j1)
{
    const struct attn_args *a = j->a;
    const int dim = a->dim, group = a->n_heads / a->n_kv;
    const int64_t page = row_pos(b->span, b->row) / a->page_tokens;
    float k_tile[ATTEND_TILE * KV_HEAD_MAX], v_tile[ATTEND_TILE * KV_HEAD_MAX];

    for (int64_t at = j0; at < j1;) {
        /* Tiles end at whole multiples, so that a row meets the same ones in any step. */
        const int n = (int)QA_MIN(j1, (at / ATTEND_TILE + 1) * ATTEND_TILE) - (int)at;
        const float *k = side_load(j->d, a, b->span, &j->k, at, n, g, page, k_tile);
        const float *v = side_load(j->d, a, b->span, &j->v, at, n, g, page, v_tile);
        for (int t = b->row; t < b->row + b->n_rows; t++) {
            const int64_t seen = row_pos(b->span, t) + 1 - at;
            if (seen <= 0) continue;
            for (int h = g * group; h < (g + 1) * group; h++) {
                float *p = partial_at(j, t, h, chunk);
                const size_t i = (size_t)(t - j->first_row) * (size_t)a->n_heads + (size_t)h;
                const struct attend_args args = {.q = j->query + i * (size_t)dim,
                                                 .k = k,
                                                 .v = v,
                                                 .most = p + dim,
                                                 .sum = p + dim + 1,
                                                 .acc = p,
                                                 .n = (int)QA_MIN(n, seen),
                                                 .dim = dim};
                j->d->k->attend(&args);
            }
        }
        at += n;
    }
}

static void attend_unit(const struct attn_job *j, const struct block *b, int g, int chunk)
{
    const struct attn_args *a = j->a;
    const int group = a->n_heads / a->n_kv;
    const int64_t last = row_pos(b->span, b->row + b->n_rows - 1);
    const int64_t j0 = QA_MAX((int64_t)a->first, b->chunk * chunk);
    const int64_t j1 = QA_MIN(b->chunk * (chunk + 1), last + 1);

    for (int t = b->row; t < b->row + b->n_rows; t++) {
        for (int h = g * group; h < (g + 1) * group; h++) {
            float *p = partial_at(j, t, h, chunk);
            memset(p, 0, (size_t)(a->dim + 2) * sizeof *p);
            p[a->dim] = -INFINITY;
        }
    }
    attend_range(j, b, g, chunk, j0, j1);
}

static int chunks_of(const struct block *b)
{
    return (int)(row_pos(b->span, b->row + b->n_rows - 1) / b->chunk) + 1;
}

/* Units are dealt out like cards: neighbours cost about the same. */
static void attend_part(void *ctx, int i_thread, int n_threads)
{
    const struct attn_job *j = ctx;
    int unit = 0;
    for (int i = 0; i < j->n_blocks; i++) {
        const struct block *b = &j->blocks[i];
        const int n_chunks = chunks_of(b);
        for (int c = 0; c < n_chunks; c++) {
            for (int g = 0; g < j->a->n_kv; g++, unit++) {
                if (unit % n_threads == i_thread) attend_unit(j, b, g, c);
            }
        }
    }
}

/* Add the partials of one row and head up, oldest chunk first. */
static void merge(const struct attn_job *j, const struct block *b, int row, int h)
{
    const struct attn_args *a = j->a;
    const int dim = a->dim;
    const int n = (int)(row_pos(b->span, row) / b->chunk) + 1;
    const size_t at = (size_t)row * (size_t)a->n_heads + (size_t)h;
    const float *gate = a->qg + (2 * at + 1) * (size_t)dim;
    float *out = a->out + at * (size_t)dim;
    float most = -INFINITY, sum = 0;

    for (int c = 0; c < n; c++)
        most = QA_MAX(most, partial_at(j, row, h, c)[dim]);
    memset(out, 0, (size_t)dim * sizeof *out);
    for (int c = 0; c < n; c++) {
        const float *p = partial_at(j, row, h, c);
        const float keep = n == 1 ? 1.0f : expf(p[dim] - most);
        sum += p[dim + 1] * keep;
        j->d->k->add_scaled(out, p, keep, dim);
    }
    /* No position exists below `first`: the row's output is zero. */
    const float scale = sum > 0 ? 1.0f / sum : 0.0f;
    for (int i = 0; i < dim; i++)
        out[i] *= scale;
    if (kv_is_rotated(a->type_v)) j->d->k->kv_unrotate(out, dim);
    j->d->k->sigmoid_mul(out, gate, dim);
}

static void merge_part(void *ctx, int i_thread, int n_threads)
{
    const struct attn_job *j = ctx;
    const int n_heads = j->a->n_heads;
    int64_t from, to, base = 0;
    pool_share((int64_t)j->n_rows * n_heads, 1, i_thread, n_threads, &from, &to);
    for (int i = 0; i < j->n_blocks; i++) {
        const struct block *b = &j->blocks[i];
        int k0, k1;
        cost_share(from, to, base, 1, b->n_rows * n_heads, &k0, &k1);
        base += (int64_t)b->n_rows * n_heads;
        for (int k = k0; k < k1; k++)
            merge(j, b, b->row + k / n_heads, k % n_heads);
    }
}

/* Queries without their gates, scaled and rotated as the keys are. */
static void query_part(void *ctx, int i_thread, int n_threads)
{
    const struct attn_job *j = ctx;
    const struct attn_args *a = j->a;
    const float scale = 1.0f / sqrtf((float)a->dim);
    const size_t dim = (size_t)a->dim;
    const float *from = a->qg + (size_t)j->first_row * (size_t)a->n_heads * 2 * dim;
    int64_t i0, i1;
    pool_share((int64_t)j->n_rows * a->n_heads, 1, i_thread, n_threads, &i0, &i1);
    for (size_t i = (size_t)i0; i < (size_t)i1; i++) {
        float *q = j->query + i * dim;
        for (size_t c = 0; c < dim; c++)
            q[c] = from[2 * i * dim + c] * scale;
        if (kv_is_rotated(a->type_k)) j->d->k->kv_rotate(q, a->dim);
    }
}

/* Take as many rows from (span *i, row *row) on as the scratch memory holds. */
static void next_batch(struct attn_job *j, int *i, int *row)
{
    const struct attn_args *a = j->a;
    const size_t per_chunk = (size_t)a->n_heads * (size_t)(a->dim + 2);
    const size_t query = (size_t)a->n_heads * (size_t)a->dim;
    j->n_blocks = 0;
    j->n_rows = 0;
    j->max_chunks = 0;
    j->first_row = *row;

    while (*i < a->spans.n && j->n_blocks < (int)COUNT(j->blocks)) {
        const struct span *s = &a->spans.p[*i];
        const int end = s->row + s->n_rows;
        struct block b = {.span = s, .row = *row, .chunk = chunk_of(row_pos(s, *row))};
        const int64_t page = row_pos(s, *row) / a->page_tokens;
        while (b.n_rows < BLOCK_ROWS && b.row + b.n_rows < end &&
               row_pos(s, b.row + b.n_rows) / a->page_tokens == page &&
               chunk_of(row_pos(s, b.row + b.n_rows)) == b.chunk)
            b.n_rows++;
        const int chunks = QA_MAX(chunks_of(&b), j->max_chunks);
        const size_t need =
            (size_t)(j->n_rows + b.n_rows) * ((size_t)chunks * per_chunk + query);
        if (need > j->d->attn_floats && j->n_blocks) return;
        ASSERT(need <= j->d->attn_floats);
        j->blocks[j->n_blocks++] = b;
        j->max_chunks = chunks;
        j->n_rows += b.n_rows;
        *row += b.n_rows;
        if (*row == end) ++*i;
    }
}

void cpu_attn(struct device *d, const struct attn_args *a)
{
    struct attn_job j = {
        .d = d,
        .a = a,
        .k = {a->type_k, a->k_offset, a->k16_offset},
        .v = {a->type_v, a->v_offset, a->v16_offset}
    };
    const struct span *last = &a->spans.p[a->spans.n - 1];
    const int n_rows = last->row + last->n_rows;
    int i = 0, row = a->spans.p[0].row;
    ASSERT(a->dim <= KV_HEAD_MAX && a->page_tokens % ATTEND_TILE == 0);

    device_run(d, store_part, &j, (int64_t)n_rows * a->n_kv * a->dim * 4);
    while (i < a->spans.n) {
        next_batch(&j, &i, &row);
        j.query = d->attn;
        j.partial = d->attn + (size_t)j.n_rows * (size_t)a->n_heads * (size_t)a->dim;
        device_run(d, query_part, &j, (int64_t)j.n_rows * a->n_heads * a->dim * 4);
        int64_t macs = 0;
        for (int b = 0; b < j.n_blocks; b++) {
            macs += row_pos(j.blocks[b].span, j.blocks[b].row) * j.blocks[b].n_rows;
        }
        device_run(d, attend_part, &j, 2 * macs * a->n_heads * a->dim);
        device_run(d, merge_part, &j,
                   (int64_t)j.n_rows * a->n_heads * a->dim * (2 + j.max_chunks));
    }
}
