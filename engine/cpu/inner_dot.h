/* inner_dot.h - dot products of weight rows with rows of x; the text of every row of
 * the kernel table, compiled once per instruction set (inner_plain.c, ...).
 *
 * Work: one weight row against up to 8 rows of x at a time; a row is unpacked in
 * pieces of 256 values to 16-bit codes, a scale and an offset per 32, so that the
 * unpacking is paid once for all rows of x.  With more than 8 rows of x a tile of
 * weight rows is unpacked whole and stays in the L2 cache while x goes by.
 * Bytes: the weights once; x from L1 or L2.  Bound: memory for one row where the
 * instruction set is wide enough, arithmetic from about four rows on.
 *
 * The order of additions is the same on both ways. */
#ifndef QA_CPU_INNER_DOT_H
#define QA_CPU_INNER_DOT_H

#include "engine/cpu/kernels.h"
#include "engine/cpu/vec.h"
#include "engine/quant.h"

enum { PIECE = 256, PIECE_BLOCKS = PIECE / ACT_BLOCK, REGISTER_ROWS = 4 };

/* ---- unpacking: weights to x = scale * code - offset, per 32 values ------ */

/* Codes, scales and offsets of n_blocks (1..8) blocks of 32 values at w. */
typedef void unpack_fn(const uint8_t *w,
                       int n_blocks,
                       int16_t *code,
                       float *scale,
                       float *offset);

struct unpacker {
    unpack_fn *unpack;
    int piece_bytes; /* of PIECE values */
    bool has_offset;
};

INLINE float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
#if defined(__F16C__)
    return _cvtsh_ss(h);
#else
    return quant_f16_to_f32(h);
#endif
}

INLINE void unpack_q8_0(const uint8_t *w, int n, int16_t *code, float *scale, float *offset)
{
    (void)offset;
    for (int b = 0; b < n; b++, w += 34, code += 32) {
        const int8_t *q = (const int8_t *)w + 2;
        scale[b] = half_at(w);
        for (int i = 0; i < 32; i++)
            code[i] = q[i];
    }
}

/* The value of a byte's low nibble in the low half, of its high nibble in the high. */
#define NL(i)           \
    ((i) == 0    ? -127 \
     : (i) == 1  ? -104 \
     : (i) == 2  ? -83  \
     : (i) == 3  ? -65  \
     : (i) == 4  ? -49  \
     : (i) == 5  ? -35  \
     : (i) == 6  ? -22  \
     : (i) == 7  ? -10  \
     : (i) == 8  ? 1    \
     : (i) == 9  ? 13   \
     : (i) == 10 ? 25   \
     : (i) == 11 ? 38   \
     : (i) == 12 ? 53   \
     : (i) == 13 ? 69   \
     : (i) == 14 ? 89   \
                 : 113)
#define NL_PAIR(low, high) ((uint32_t)NL(high) << 16 | ((uint32_t)NL(low) & 0xffff))
#define NL_ROW(h)                                                                             \
    NL_PAIR(0, h), NL_PAIR(1, h), NL_PAIR(2, h), NL_PAIR(3, h), NL_PAIR(4, h), NL_PAIR(5, h), \
        NL_PAIR(6, h), NL_PAIR(7, h), NL_PAIR(8, h), NL_PAIR(9, h), NL_PAIR(10, h),           \
        NL_PAIR(11, h), NL_PAIR(12, h), NL_PAIR(13, h), NL_PAIR(14, h), NL_PAIR(15, h)
static const uint32_t NL_PAIRS[256] = {
    NL_ROW(0),  NL_ROW(1),  NL_ROW(2),  NL_ROW(3),  NL_ROW(4),  NL_ROW(5),
    NL_ROW(6),  NL_ROW(7),  NL_ROW(8),  NL_ROW(9),  NL_ROW(10), NL_ROW(11),
    NL_ROW(12), NL_ROW(13), NL_ROW(14), NL_ROW(15),
};

INLINE void unpack_iq4_nl(const uint8_t *w, int n, int16_t *code, float *scale, float *offset)
{
    (void)offset;
    for (int b = 0; b < n; b++, w += 18, code += 32) {
        scale[b] = half_at(w);
#if defined(__AVX2__)
        const __m128i values =
            _mm_setr_epi8(NL(0), NL(1), NL(2), NL(3), NL(4), NL(5), NL(6), NL(7), NL(8), NL(9),
                          NL(10), NL(11), NL(12), NL(13), NL(14), NL(15));
        const __m128i q = _mm_loadu_si128((const __m128i *)(w + 2)), low = _mm_set1_epi8(15);
        const __m128i l = _mm_shuffle_epi8(values, _mm_and_si128(q, low));
        const __m128i h = _mm_shuffle_epi8(values, _mm_and_si128(_mm_srli_epi16(q, 4), low));
        _mm256_storeu_si256((__m256i *)code, _mm256_cvtepi8_epi16(l));
        _mm256_storeu_si256((__m256i *)(code + 16), _mm256_cvtepi8_epi16(h));
#else
        int32_t pair[16];
        for (int i = 0; i < 16; i++)
            pair[i] = (int32_t)NL_PAIRS[w[2 + i]];
        for (int i = 0; i < 16; i++) {
            code[i] = (int16_t)pair[i];
            code[16 + i] = (int16_t)(pair[i] >> 16);
        }
#endif
    }
}

/* Twelve bytes hold eight 6-bit scales and eight 6-bit offsets (Q4_K, Q5_K).  Four at a
 * time in a word: the first four lie in six bits of bytes 0-3 (scales) and 4-7, of the
 * others four bits in bytes 8-11 and two on top of the first four. */
INLINE void k_scales(const uint8_t *w, float *scale, float *offset)
{
    const float d = half_at(w), d_min = half_at(w + 2);
    uint32_t s[3], six[4];
    uint8_t byte[16];
    memcpy(s, w + 4, sizeof s);
    six[0] = s[0] & 0x3f3f3f3f;
    six[1] = (s[2] & 0x0f0f0f0f) | (s[0] >> 6 & 0x03030303) << 4;
    six[2] = s[1] & 0x3f3f3f3f;
    six[3] = (s[2] >> 4 & 0x0f0f0f0f) | (s[1] >> 6 & 0x03030303) << 4;
    memcpy(byte, six, sizeof byte);
    for (int j = 0; j < 8; j++) {
        scale[j] = d * (float)byte[j];
        offset[j] = d_min * (float)byte[8 + j];
    }
}

INLINE void unpack_q4_k(const uint8_t *w, int n, int16_t *code, float *scale, float *offset)
{
    (void)n;
    k_scales(w, scale, offset);
    for (int g = 0; g < 4; g++, code += 64) {
        const uint8_t *q = w + 16 + 32 * g;
        for (int i = 0; i < 32; i++) {
            code[i] = q[i] & 15;
            code[32 + i] = q[i] >> 4;
        }
    }
}

INLINE void unpack_q5_k(const uint8_t *w, int n, int16_t *code, float *scale, float *offset)
{
    (void)n;
    k_scales(w, scale, offset);
    const uint8_t *high = w + 16;
    for (int g = 0; g < 4; g++, code += 64) {
        const uint8_t *q = w + 48 + 32 * g;
        for (int i = 0; i < 32; i++) {
            const uint8_t h = high[i] >> (2 * g);
            code[i] = (uint8_t)((q[i] & 15) | (h & 1) << 4);
            code[32 + i] = (uint8_t)(q[i] >> 4 | (h & 2) << 3);
        }
    }
}

/* The 8-bit scale of each 16 values is multiplied into the codes: at most 32 * 128,
 * and 32 products with 8-bit x stay within 2^24. */
INLINE void unpack_q6_k(const uint8_t *w, int n, int16_t *code, float *scale, float *offset)
{
    (void)n, (void)offset;
    const float d = half_at(w + 208);
    for (int half = 0; half < 2; half++, code += 128) {
        const uint8_t *low = w + 64 * half, *high = w + 128 + 32 * half;
        const int8_t *s = (const int8_t *)w + 192 + 8 * half;
        for (int p = 0; p < 2; p++) {
            const uint8_t *lo = low + 16 * p, *hi = high + 16 * p;
            int16_t *c = code + 16 * p;
            for (int i = 0; i < 16; i++) {
                c[i] = (int16_t)((((lo[i] & 15) | (hi[i] & 3) << 4) - 32) * s[p]);
                c[32 + i] =
                    (int16_t)((((lo[32 + i] & 15) | (hi[i] & 12) << 2) - 32) * s[2 + p]);
                c[64 + i] = (int16_t)(((lo[i] >> 4 | (hi[i] & 48)) - 32) * s[4 + p]);
                c[96 + i] = (int16_t)(((lo[32 + i] >> 4 | (hi[i] & 192) >> 2) - 32) * s[6 + p]);
            }
        }
    }
    for (int b = 0; b < PIECE_BLOCKS; b++)
        scale[b] = d;
}

/* ---- 8-bit products ------------------------------------------------------ */

struct x_rows {
    const int16_t *code[DOT_ROWS];
    const float *scale[DOT_ROWS], *sum[DOT_ROWS];
};

INLINE struct x_rows rows_at(const struct act *x, const int32_t *row, int n_rows)
{
    struct x_rows r;
    const size_t cols = (size_t)x->cols, blocks = cols / ACT_BLOCK;
    for (int i = 0; i < n_rows; i++) {
        r.code[i] = x->code + (size_t)row[i] * cols;
        r.scale[i] = x->scale + (size_t)row[i] * blocks;
        r.sum[i] = x->sum + (size_t)row[i] * blocks;
    }
    return r;
}

/* Offsets come eight at a time: as many lanes as there are blocks in a piece, or fewer. */
#define OFFSET_BYTES (VEC_BYTES < 32 ? VEC_BYTES : 32)
typedef float vo __attribute__((vector_size(OFFSET_BYTES)));
typedef float vo_loose __attribute__((vector_size(OFFSET_BYTES), aligned(4), may_alias));
enum { OFFSET_LANES = OFFSET_BYTES / 4 };

INLINE float vo_sum(vo x)
{
    float sum = 0;
    for (int i = 0; i < OFFSET_LANES; i++)
        sum += x[i];
    return sum;
}

/* A stretch of one weight row, unpacked: up to a piece. */
struct stretch {
    const int16_t *code;
    const float *scale, *offset; /* offset NULL: the format has none */
    int at, n_blocks;            /* first block in the row, blocks   */
};

/* acc[i] += stretch . row i, for n_rows rows from `first` on.  n_rows is a constant in
 * every instance, so that the sums live in registers; n_blocks is one nearly always. */
INLINE void add_products(vf *acc,
                         const struct stretch *s,
                         const struct x_rows *x,
                         int first,
                         int n_rows,
                         int n_blocks)
{
    vf sums[REGISTER_ROWS];
    float factor[REGISTER_ROWS][PIECE_BLOCKS];
    const int16_t *code[REGISTER_ROWS];
    for (int i = 0; i < n_rows; i++) {
        sums[i] = acc[first + i];
        code[i] = x->code[first + i] + (size_t)ACT_BLOCK * (size_t)s->at;
        for (int b = 0; b < n_blocks; b++)
            factor[i][b] = s->scale[b] * x->scale[first + i][s->at + b];
    }
    for (int b = 0; b < n_blocks; b++) {
        const int16_t *w = s->code + ACT_BLOCK * b;
        for (int i = 0; i < n_rows; i++) {
            const int16_t *q = code[i] + ACT_BLOCK * b;
            vi sum = madd16(w, q);
            for (int k = 2 * LANES; k < ACT_BLOCK; k += 2 * LANES)
                sum += madd16(w + k, q + k);
            sums[i] += __builtin_convertvector(sum, vf) * factor[i][b];
        }
    }
    for (int i = 0; i < n_rows; i++)
        acc[first + i] = sums[i];
}

INLINE void add_rows(vf *acc,
                     const struct stretch *s,
                     const struct x_rows *x,
                     int n_rows,
                     int n)
{
    for (int i = 0; i < n_rows; i += REGISTER_ROWS) {
        switch (n_rows - i) {
        case 1: add_products(acc, s, x, i, 1, n); break;
        case 2: add_products(acc, s, x, i, 2, n); break;
        case 3: add_products(acc, s, x, i, 3, n); break;
        default: add_products(acc, s, x, i, 4, n); break;
        }
    }
}

/* The same for all rows of x; and low[i] += the offsets of the blocks times the sums of
 * x.  Formats with offsets come in whole pieces. */
static __attribute__((noinline)) void add_stretch(vf *acc,
                                                  vo *low,
                                                  const struct stretch *s,
                                                  const struct x_rows *x,
                                                  int n_rows)
{
    if (s->n_blocks == PIECE_BLOCKS) {
        add_rows(acc, s, x, n_rows, PIECE_BLOCKS);
    } else {
        add_rows(acc, s, x, n_rows, s->n_blocks);
    }
    for (int i = 0; s->offset && i < n_rows; i++) {
        for (int b = 0; b < PIECE_BLOCKS; b += OFFSET_LANES) {
            low[i] +=
                *(const vo_loose *)(s->offset + b) * *(const vo_loose *)(x->sum[i] + s->at + b);
        }
    }
}

/* Up to 8 rows of x: unpack a piece, use it for all of them, forget it. */
INLINE void dot_pieces(const struct dot_args *a, struct unpacker u)
{
    const struct x_rows x = rows_at(a->x, a->x_rows, a->n_x);
    const int blocks = a->x->cols / ACT_BLOCK;
    int16_t code[PIECE];
    float scale[PIECE_BLOCKS], offset[PIECE_BLOCKS];
    struct stretch s = {code, scale, u.has_offset ? offset : NULL, 0, PIECE_BLOCKS};

    for (int r = 0; r < a->n_w; r++) {
        const uint8_t *w = a->w + (size_t)r * a->row_bytes;
        vf acc[DOT_ROWS] = {0};
        vo low[DOT_ROWS] = {0};
        for (s.at = 0; s.at < blocks; s.at += PIECE_BLOCKS, w += u.piece_bytes) {
            s.n_blocks = QA_MIN(PIECE_BLOCKS, blocks - s.at);
            u.unpack(w, s.n_blocks, code, scale, offset);
            add_stretch(acc, low, &s, &x, a->n_x);
        }
        for (int i = 0; i < a->n_x; i++)
            a->out[(size_t)i * a->out_stride + (size_t)r] = vf_sum(acc[i]) - vo_sum(low[i]);
    }
}

/* Rows of weights unpacked whole, with their scales and offsets behind the codes. */
struct panel {
    int16_t *code;         /* [n_w, cols] */
    float *scale, *offset; /* [n_w, cols / 32] */
    int n_w;
};

INLINE struct panel panel_at(void *p, size_t n_bytes, int cols, int n_w)
{
    const size_t blocks = (size_t)cols / ACT_BLOCK;
    const size_t row_bytes = (size_t)cols * 2 + blocks * 2 * sizeof(float);
    struct panel t;
    t.n_w = (int)QA_MIN((size_t)n_w, n_bytes / row_bytes);
    t.scale = p;
    t.offset = t.scale + (size_t)t.n_w * blocks;
    t.code = (int16_t *)(void *)(t.offset + (size_t)t.n_w * blocks);
    return t;
}

INLINE void panel_fill(const struct panel *t,
                       const struct dot_args *a,
                       struct unpacker u,
                       int r0)
{
    const int cols = a->x->cols, blocks = cols / ACT_BLOCK;
    for (int r = 0; r < t->n_w; r++) {
        const uint8_t *w = a->w + (size_t)(r0 + r) * a->row_bytes;
        const size_t at = (size_t)r * (size_t)blocks;
        for (int b = 0; b < blocks; b += PIECE_BLOCKS, w += u.piece_bytes) {
            u.unpack(w, QA_MIN(PIECE_BLOCKS, blocks - b),
                     t->code + (at + (size_t)b) * ACT_BLOCK, t->scale + at + b,
                     t->offset + at + b);
        }
    }
}

/* As dot_pieces() adds them up: stretch by stretch. */
static void panel_rows(const struct panel *t,
                       const struct dot_args *a,
                       bool has_offset,
                       int r0,
                       int x_at)
{
    const int n_rows = QA_MIN(DOT_ROWS, a->n_x - x_at), blocks = a->x->cols / ACT_BLOCK;
    const struct x_rows x = rows_at(a->x, a->x_rows + x_at, n_rows);
    for (int r = 0; r < t->n_w; r++) {
        float *out = a->out + (size_t)x_at * a->out_stride + (size_t)(r0 + r);
        vf acc[DOT_ROWS] = {0};
        vo low[DOT_ROWS] = {0};
        for (int b = 0; b < blocks; b += PIECE_BLOCKS) {
            const size_t i = (size_t)r * (size_t)blocks + (size_t)b;
            const struct stretch s = {t->code + i * ACT_BLOCK, t->scale + i,
                                      has_offset ? t->offset + i : NULL, b,
                                      QA_MIN(PIECE_BLOCKS, blocks - b)};
            add_stretch(acc, low, &s, &x, n_rows);
        }
        for (int i = 0; i < n_rows; i++)
            out[(size_t)i * a->out_stride] = vf_sum(acc[i]) - vo_sum(low[i]);
    }
}

INLINE void dot_quant(const struct dot_args *a, struct unpacker u)
{
    if (a->n_x <= DOT_ROWS) {
        dot_pieces(a, u);
        return;
    }
    struct panel t;
    for (int r = 0; r < a->n_w; r += t.n_w) {
        t = panel_at(a->panel, a->panel_bytes, a->x->cols, a->n_w - r);
        panel_fill(&t, a, u, r);
        for (int i = 0; i < a->n_x; i += DOT_ROWS)
            panel_rows(&t, a, u.has_offset, r, i);
    }
}

#define DOT_QUANT(name, bytes, offsets)                                 \
    static void dot_##name(const struct dot_args *a)                    \
    {                                                                   \
        dot_quant(a, (struct unpacker){unpack_##name, bytes, offsets}); \
    }
DOT_QUANT(q8_0, 8 * 34, false)
DOT_QUANT(iq4_nl, 8 * 18, false)
DOT_QUANT(q4_k, 144, true)
DOT_QUANT(q5_k, 176, true)
DOT_QUANT(q6_k, 210, false)

/* Scale by the largest value of 32, round half to even. */
static void quantise(const float *x, int cols, int16_t *code, float *scale, float *sum)
{
    for (int b = 0; b < cols / ACT_BLOCK; b++, x += ACT_BLOCK, code += ACT_BLOCK) {
        vf most = vf_all(0.0f);
        for (int i = 0; i < ACT_BLOCK; i += LANES) {
            const vf v = vf_load(x + i);
            most = vf_max(most, vf_max(v, -v));
        }
        const float d = vf_most(most) / 127.0f;
        const float inverse = d > 0 ? 1.0f / d : 0.0f;
        int total = 0;
        for (int i = 0; i < ACT_BLOCK; i++) {
            const float shifted = x[i] * inverse + 12582912.0f; /* see vf_exp */
            int32_t bits;
            memcpy(&bits, &shifted, 4);
            const int q = bits - 0x4b400000;
            code[i] = (int16_t)q;
            total += code[i];
        }
        scale[b] = d;
        sum[b] = d * (float)total;
    }
}

/* ---- f32 products -------------------------------------------------------- */

enum { F32_ROWS = 4, F32_VECS = 2, F32_STEP = F32_VECS * LANES, DECODE_ROWS = 32 };

/* One row of floats against n_rows rows of floats. */
INLINE void dot_f32_rows(float *out,
                         size_t out_stride,
                         const float *w,
                         const float *const *x,
                         int n,
                         int n_rows)
{
    vf acc[F32_ROWS][F32_VECS] = {{{0}}};
    int i = 0;
    for (; i + F32_STEP <= n; i += F32_STEP) {
        for (int v = 0; v < F32_VECS; v++) {
            const vf y = vf_load(w + i + v * LANES);
            for (int r = 0; r < n_rows; r++)
                acc[r][v] += y * vf_load(x[r] + i + v * LANES);
        }
    }
    for (int r = 0; r < n_rows; r++) {
        for (int v = 1; v < F32_VECS; v++)
            acc[r][0] += acc[r][v];
        float sum = vf_sum(acc[r][0]);
        for (int j = i; j < n; j++)
            sum += w[j] * x[r][j];
        out[(size_t)r * out_stride] = sum;
    }
}

INLINE void dot_f32_group(const struct dot_args *a, const float *w, int r, int x_at, int n_rows)
{
    const float *x[F32_ROWS];
    for (int i = 0; i < n_rows; i++)
        x[i] = a->x->x + (size_t)a->x_rows[x_at + i] * (size_t)a->x->cols;
    dot_f32_rows(a->out + (size_t)x_at * a->out_stride + (size_t)r, a->out_stride, w, x,
                 a->x->cols, n_rows);
}

static void f16_to_f32(float *out, const uint16_t *x, int n)
{
    int i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
#endif
    for (; i < n; i++)
        out[i] = quant_f16_to_f32(x[i]);
}

/* A weight row as floats: where it lies, or decoded to `to`.  Float types lie on
 * multiples of their size: tensors start aligned and rows are whole. */
INLINE const float *row_f32(uint32_t type, const uint8_t *w, float *to, size_t n)
{
    const uint16_t *half = (const uint16_t *)(const void *)w;
    switch (type) {
    case QUANT_F32: return (const float *)(const void *)w;
    case QUANT_F16: f16_to_f32(to, half, (int)n); return to;
    case QUANT_BF16:
        for (size_t i = 0; i < n; i++)
            to[i] = quant_bf16_to_f32(half[i]);
        return to;
    default: quant_decode(type, w, to, n); return to;
    }
}

/* Decode a tile of rows, then use it for all rows of x: the tile stays in L2. */
static void dot_any(const struct dot_args *a)
{
    const size_t cols = (size_t)a->x->cols;
    const size_t fit = QA_MAX(a->panel_bytes / (cols * sizeof(float)), 1);
    const int tile = (int)QA_MIN(fit, DECODE_ROWS);
    float *panel = a->panel;
    const int step = a->n_x > F32_ROWS ? tile : 1;

    for (int r0 = 0; r0 < a->n_w; r0 += step) {
        const int n = QA_MIN(step, a->n_w - r0);
        const float *rows[DECODE_ROWS];
        for (int r = 0; r < n; r++) {
            rows[r] = row_f32(a->type, a->w + (size_t)(r0 + r) * a->row_bytes,
                              panel + (size_t)r * cols, cols);
        }
        for (int i = 0; i < a->n_x; i += F32_ROWS) {
            for (int r = 0; r < n; r++) {
                const float *w = rows[r];
                switch (a->n_x - i) {
                case 1: dot_f32_group(a, w, r0 + r, i, 1); break;
                case 2: dot_f32_group(a, w, r0 + r, i, 2); break;
                case 3: dot_f32_group(a, w, r0 + r, i, 3); break;
                default: dot_f32_group(a, w, r0 + r, i, 4); break;
                }
            }
        }
    }
}

#endif
