/* quant.h - weight formats: one table from type number to name, block and decoder.
 *
 * Layouts and formulas: facts of the GGUF format, checked bit for bit against
 * golden blocks (tests/engine/test_quant.c). */
#ifndef QA_QUANT_H
#define QA_QUANT_H

#include "engine/base/base.h"

#include <string.h>

/* Type numbers as tensors carry them. */
enum quant_type {
    QUANT_F32 = 0,
    QUANT_F16 = 1,
    QUANT_Q4_0 = 2,
    QUANT_Q4_1 = 3,
    QUANT_Q5_0 = 6,
    QUANT_Q5_1 = 7,
    QUANT_Q8_0 = 8,
    QUANT_Q2_K = 10,
    QUANT_Q3_K = 11,
    QUANT_Q4_K = 12,
    QUANT_Q5_K = 13,
    QUANT_Q6_K = 14,
    QUANT_IQ2_XXS = 16,
    QUANT_IQ2_XS = 17,
    QUANT_IQ3_XXS = 18,
    QUANT_IQ1_S = 19,
    QUANT_IQ4_NL = 20,
    QUANT_IQ3_S = 21,
    QUANT_IQ2_S = 22,
    QUANT_IQ4_XS = 23,
    QUANT_IQ1_M = 29,
    QUANT_BF16 = 30,
    QUANT_MXFP4 = 39,
    QUANT_NVFP4 = 40,
};

/* Blocks as they lie in a file.  Bytes only, so any address will do; a two-byte
 * number is low byte first.  "halves": byte j holds value j in its low four bits and
 * value j + n_bytes in the high ones. */
struct block_q8_0 { /* d q */
    uint8_t d[2];
    int8_t q[32];
};
struct block_q4_0 {      /* d (q - 8) */
    uint8_t d[2], q[16]; /* halves */
};
struct block_q4_1 {            /* d q + m */
    uint8_t d[2], m[2], q[16]; /* halves */
};
struct block_q5_0 {               /* d (q - 16) */
    uint8_t d[2], high[4], q[16]; /* fifth bits, value i = bit i; halves */
};
struct block_q5_1 { /* d q + m */
    uint8_t d[2], m[2], high[4], q[16];
};
struct block_q2_k { /* d s q - dmin m */
    uint8_t scales[16], q[64], d[2], dmin[2];
};
struct block_q3_k { /* d (s - 32) q */
    uint8_t high[32], q[64], scales[12], d[2];
};
struct block_q4_k { /* d s q - dmin m; scales: quant_scale_min() */
    uint8_t d[2], dmin[2], scales[12], q[128];
};
struct block_q5_k { /* as q4_k with a fifth bit */
    uint8_t d[2], dmin[2], scales[12], high[32], q[128];
};
struct block_q6_k { /* d s (q - 32) */
    uint8_t low[128], high[64];
    int8_t scales[16];
    uint8_t d[2];
};
struct block_iq4_nl {    /* d quant_iq4_nl[q] */
    uint8_t d[2], q[16]; /* halves */
};
struct block_iq4_xs { /* d (s - 32) quant_iq4_nl[q] */
    uint8_t d[2], scales_high[2], scales_low[4], q[128];
};
struct block_iq2_xxs {
    uint8_t d[2], groups[8][8]; /* four indices; signs and scale in 32 bits */
};
struct block_iq2_xs {
    uint8_t d[2], index[32][2], scales[8]; /* nine bits of index, seven of signs */
};
struct block_iq2_s {
    uint8_t d[2], index[32], signs[32], high[8], scales[8];
};
struct block_iq3_xxs {
    uint8_t d[2], index[64], signs[8][4]; /* signs and scale in 32 bits */
};
struct block_iq3_s {
    uint8_t d[2], index[64], high[8], signs[32], scales[4];
};
struct block_iq1_s {
    uint8_t d[2], index[32], high[8][2];
};
struct block_iq1_m {
    uint8_t index[32], high[16], scales[4][2]; /* d: the top four bits of each scale */
};
struct block_mxfp4 {  /* 2^(e - 127) E2M1(q) */
    uint8_t e, q[16]; /* halves */
};
struct block_nvfp4 {       /* UE4M3(d) E2M1(q) */
    uint8_t d[4], q[4][8]; /* halves within 16 values */
};
_Static_assert(sizeof(struct block_q8_0) == 34, "layout");
_Static_assert(sizeof(struct block_q4_0) == 18, "layout");
_Static_assert(sizeof(struct block_q4_1) == 20, "layout");
_Static_assert(sizeof(struct block_q5_0) == 22, "layout");
_Static_assert(sizeof(struct block_q5_1) == 24, "layout");
_Static_assert(sizeof(struct block_q2_k) == 84, "layout");
_Static_assert(sizeof(struct block_q3_k) == 110, "layout");
_Static_assert(sizeof(struct block_q4_k) == 144, "layout");
_Static_assert(sizeof(struct block_q5_k) == 176, "layout");
_Static_assert(sizeof(struct block_q6_k) == 210, "layout");
_Static_assert(sizeof(struct block_iq4_nl) == 18, "layout");
_Static_assert(sizeof(struct block_iq4_xs) == 136, "layout");
_Static_assert(sizeof(struct block_iq2_xxs) == 66, "layout");
_Static_assert(sizeof(struct block_iq2_xs) == 74, "layout");
_Static_assert(sizeof(struct block_iq2_s) == 82, "layout");
_Static_assert(sizeof(struct block_iq3_xxs) == 98, "layout");
_Static_assert(sizeof(struct block_iq3_s) == 110, "layout");
_Static_assert(sizeof(struct block_iq1_s) == 50, "layout");
_Static_assert(sizeof(struct block_iq1_m) == 56, "layout");
_Static_assert(sizeof(struct block_mxfp4) == 17, "layout");
_Static_assert(sizeof(struct block_nvfp4) == 36, "layout");

struct quant {
    uint32_t type;
    const char *name;
    int block_values, block_bytes;
    /* n_blocks blocks at p to block_values * n_blocks floats */
    void (*decode)(const uint8_t *p, size_t n_blocks, float *out);
};

const struct quant *quant_find(uint32_t type); /* NULL: not a weight format */
/* Name of any type number that a file may hold, for messages; "unknown" otherwise. */
const char *quant_type_name(uint32_t type);
/* The i-th format, for tests and listings; NULL past the end. */
const struct quant *quant_at(size_t i);
/* n values (a whole number of blocks) of a known type. */
void quant_decode(uint32_t type, const uint8_t *p, float *out, size_t n);
/* Bytes of a row of n values; false when n is no whole number of blocks. */
bool quant_row_bytes(const struct quant *q, int64_t n, size_t *out);

extern const int8_t quant_iq4_nl[16];

static inline float quant_bits_to_f32(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline uint32_t quant_f32_to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* IEEE binary16 to f32, exact, subnormals included.  The mantissa is placed as if
 * normal and scaled by 2^112; infinities and NaN get the full exponent. */
static inline float quant_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000U) << 16;
    const uint32_t rest = (uint32_t)(h & 0x7FFFU) << 13;
    const float scaled = quant_bits_to_f32(rest) * 0x1p112F;
    const uint32_t special = (h & 0x7C00U) == 0x7C00U ? 0x7F800000U : 0;
    return quant_bits_to_f32(quant_f32_to_bits(scaled) | special | sign);
}

/* f32 to binary16, round to nearest even; overflow becomes infinity. */
static inline uint16_t quant_f32_to_f16(float f)
{
    const uint32_t u = quant_f32_to_bits(f);
    const uint16_t sign = (uint16_t)((u >> 16) & 0x8000U);
    const uint32_t a = u & 0x7FFFFFFFU;
    if (a > 0x7F800000U) return (uint16_t)(sign | 0x7E00U);
    if (a >= 0x477FF000U) return (uint16_t)(sign | 0x7C00U);
    if (a < 0x38800000U) { /* subnormal: adding 0.5 rounds at the right bit */
        const float moved = quant_bits_to_f32(a) + 0.5F;
        return (uint16_t)(sign | (quant_f32_to_bits(moved) - 0x3F000000U));
    }
    const uint32_t rounded = a + 0xFFFU + ((a >> 13) & 1U);
    return (uint16_t)(sign | ((rounded - 0x38000000U) >> 13));
}

static inline float quant_bf16_to_f32(uint16_t h)
{
    return quant_bits_to_f32((uint32_t)h << 16);
}

static inline uint16_t quant_read_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

/* Six-bit scale and minimum of sub-block j of 32, packed in 12 bytes (q4_k, q5_k). */
static inline void quant_scale_min(const uint8_t *s, int j, int *scale, int *min)
{
    *scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    *min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
}

#endif
