/* quant.c - how each weight format decodes to f32, and the table of formats.
 *
 * Products are grouped as the formulas are written, left to right, and nothing is
 * fused, so that every value is bit-exact.  (gcc does not fuse under -std=c11.) */
#include "engine/quant.h"

#include "engine/quant_iq.h"

#ifdef __clang__
#    pragma STDC FP_CONTRACT OFF
#endif

const int8_t quant_iq4_nl[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};

/* E2M1, the four-bit float: twice its value, so that it is a whole number. */
static const int8_t E2M1_TWICE[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static float f16_at(const uint8_t *p)
{
    return quant_f16_to_f32(quant_read_u16(p));
}

static int low_half(uint8_t b)
{
    return b & 15;
}

static int high_half(uint8_t b)
{
    return b >> 4;
}

static void decode_f32(const uint8_t *p, size_t n, float *out)
{
    memcpy(out, p, n * sizeof *out);
}

static void decode_f16(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = f16_at(p + 2 * i);
    }
}

static void decode_bf16(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = quant_bf16_to_f32(quant_read_u16(p + 2 * i));
    }
}

/* ---- blocks of 32 ---- */

static void decode_q8_0(const uint8_t *p, size_t n, float *out)
{
    const struct block_q8_0 *b = (const struct block_q8_0 *)p;
    for (; n; n--, b++, out += 32) {
        const float d = f16_at(b->d);
        for (int i = 0; i < 32; i++) {
            out[i] = d * (float)b->q[i];
        }
    }
}

static void decode_q4_0(const uint8_t *p, size_t n, float *out)
{
    const struct block_q4_0 *b = (const struct block_q4_0 *)p;
    for (; n; n--, b++, out += 32) {
        const float d = f16_at(b->d);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)(low_half(b->q[i]) - 8);
            out[i + 16] = d * (float)(high_half(b->q[i]) - 8);
        }
    }
}

static void decode_q4_1(const uint8_t *p, size_t n, float *out)
{
    const struct block_q4_1 *b = (const struct block_q4_1 *)p;
    for (; n; n--, b++, out += 32) {
        const float d = f16_at(b->d);
        const float m = f16_at(b->m);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)low_half(b->q[i]) + m;
            out[i + 16] = d * (float)high_half(b->q[i]) + m;
        }
    }
}

static int fifth_bit(const uint8_t *high, int i)
{
    return (high[i / 8] >> (i % 8) & 1) << 4;
}

static void decode_q5_0(const uint8_t *p, size_t n, float *out)
{
    const struct block_q5_0 *b = (const struct block_q5_0 *)p;
    for (; n; n--, b++, out += 32) {
        const float d = f16_at(b->d);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)((low_half(b->q[i]) | fifth_bit(b->high, i)) - 16);
            out[i + 16] = d * (float)((high_half(b->q[i]) | fifth_bit(b->high, i + 16)) - 16);
        }
    }
}

static void decode_q5_1(const uint8_t *p, size_t n, float *out)
{
    const struct block_q5_1 *b = (const struct block_q5_1 *)p;
    for (; n; n--, b++, out += 32) {
        const float d = f16_at(b->d);
        const float m = f16_at(b->m);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)(low_half(b->q[i]) | fifth_bit(b->high, i)) + m;
            out[i + 16] = d * (float)(high_half(b->q[i]) | fifth_bit(b->high, i + 16)) + m;
        }
    }
}

static void decode_iq4_nl(const uint8_t *p, size_t n, float *out)
{
    const struct block_iq4_nl *b = (const struct block_iq4_nl *)p;
    for (; n; n--, b++, out += 32) {
        const float d = f16_at(b->d);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)quant_iq4_nl[low_half(b->q[i])];
            out[i + 16] = d * (float)quant_iq4_nl[high_half(b->q[i])];
        }
    }
}

/* 2^(e - 128), the half that undoes E2M1_TWICE; e of 0 and 1 are subnormal. */
static float e8m0_half(uint8_t e)
{
    return quant_bits_to_f32(e < 2 ? 0x00200000U << e : (uint32_t)(e - 1) << 23);
}

static void decode_mxfp4(const uint8_t *p, size_t n, float *out)
{
    const struct block_mxfp4 *b = (const struct block_mxfp4 *)p;
    for (; n; n--, b++, out += 32) {
        const float d = e8m0_half(b->e);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)E2M1_TWICE[low_half(b->q[i])];
            out[i + 16] = d * (float)E2M1_TWICE[high_half(b->q[i])];
        }
    }
}

/* Half of an unsigned E4M3 number: 4 exponent bits, bias 7, 3 mantissa bits, the sign
 * bit ignored as converters clear it; the all-ones code, NaN elsewhere, counts as 0. */
static float ue4m3_half(uint8_t b)
{
    const int exponent = b >> 3 & 15;
    const float mantissa = (float)(b & 7);
    if ((b & 0x7F) == 0x7F) return 0;
    if (exponent == 0) return mantissa * 0x1p-10F;
    const float power = quant_bits_to_f32((uint32_t)(exponent - 8 + 127) << 23);
    return (1 + mantissa / 8) * power;
}

static void decode_nvfp4(const uint8_t *p, size_t n, float *out)
{
    const struct block_nvfp4 *b = (const struct block_nvfp4 *)p;
    for (; n; n--, b++) {
        for (int s = 0; s < 4; s++, out += 16) {
            const float d = ue4m3_half(b->d[s]);
            for (int i = 0; i < 8; i++) {
                out[i] = d * (float)E2M1_TWICE[low_half(b->q[s][i])];
                out[i + 8] = d * (float)E2M1_TWICE[high_half(b->q[s][i])];
            }
        }
    }
}

/* ---- blocks of 256 with scales of scales ---- */

static void decode_q2_k(const uint8_t *p, size_t n, float *out)
{
    const struct block_q2_k *b = (const struct block_q2_k *)p;
    for (; n; n--, b++, out += 256) {
        const float d = f16_at(b->d);
        const float dmin = f16_at(b->dmin);
        for (int i = 0; i < 256; i++) {
            const int q = b->q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
            const uint8_t scale = b->scales[i / 16];
            const float s = d * (float)low_half(scale);
            const float m = dmin * (float)high_half(scale);
            out[i] = s * (float)q - m;
        }
    }
}

/* Six bits of scale j: low four in scales[0..7], high two in scales[8..11]. */
static int q3_k_scale(const uint8_t *scales, int j)
{
    const int low = j < 8 ? low_half(scales[j]) : high_half(scales[j - 8]);
    const int high = scales[8 + j % 4] >> (j / 4 * 2) & 3;
    return (low | high << 4) - 32;
}

static void decode_q3_k(const uint8_t *p, size_t n, float *out)
{
    const struct block_q3_k *b = (const struct block_q3_k *)p;
    for (; n; n--, b++, out += 256) {
        const float d = f16_at(b->d);
        for (int i = 0; i < 256; i++) {
            const int low = b->q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
            const int is_high = b->high[i % 32] >> (i / 32) & 1;
            const float s = d * (float)q3_k_scale(b->scales, i / 16);
            out[i] = s * (float)(is_high ? low : low - 4);
        }
    }
}

static void decode_q4_k(const uint8_t *p, size_t n, float *out)
{
    const struct block_q4_k *b = (const struct block_q4_k *)p;
    for (; n; n--, b++, out += 256) {
        const float d = f16_at(b->d);
        const float dmin = f16_at(b->dmin);
        for (int j = 0; j < 8; j++) {
            int scale;
            int min;
            quant_scale_min(b->scales, j, &scale, &min);
            const float s = d * (float)scale;
            const float m = dmin * (float)min;
            for (int l = 0; l < 32; l++) {
                const int q = b->q[j / 2 * 32 + l] >> (j % 2 * 4) & 15;
                out[32 * j + l] = s * (float)q - m;
            }
        }
    }
}

static void decode_q5_k(const uint8_t *p, size_t n, float *out)
{
    const struct block_q5_k *b = (const struct block_q5_k *)p;
    for (; n; n--, b++, out += 256) {
        const float d = f16_at(b->d);
        const float dmin = f16_at(b->dmin);
        for (int j = 0; j < 8; j++) {
            int scale;
            int min;
            quant_scale_min(b->scales, j, &scale, &min);
            const float s = d * (float)scale;
            const float m = dmin * (float)min;
            for (int l = 0; l < 32; l++) {
                const int low = b->q[j / 2 * 32 + l] >> (j % 2 * 4) & 15;
                const int q = low | (b->high[l] >> j & 1) << 4;
                out[32 * j + l] = s * (float)q - m;
            }
        }
    }
}

static void decode_q6_k(const uint8_t *p, size_t n, float *out)
{
    const struct block_q6_k *b = (const struct block_q6_k *)p;
    for (; n; n--, b++, out += 256) {
        const float d = f16_at(b->d);
        for (int i = 0; i < 256; i++) {
            const int half = i / 128;
            const int g = i % 128 / 32;
            const int l = i % 32;
            const int low = b->low[64 * half + 32 * (g % 2) + l] >> (g / 2 * 4) & 15;
            const int high = b->high[32 * half + l] >> (2 * g) & 3;
            const float s = d * (float)b->scales[i / 16];
            out[i] = s * (float)((low | high << 4) - 32);
        }
    }
}

static void decode_iq4_xs(const uint8_t *p, size_t n, float *out)
{
    const struct block_iq4_xs *b = (const struct block_iq4_xs *)p;
    for (; n; n--, b++) {
        const float d = f16_at(b->d);
        for (int j = 0; j < 8; j++, out += 32) {
            const int low = b->scales_low[j / 2] >> (j % 2 * 4) & 15;
            const int high = quant_read_u16(b->scales_high) >> (2 * j) & 3;
            const float s = d * (float)((low | high << 4) - 32);
            for (int i = 0; i < 16; i++) {
                const uint8_t q = b->q[16 * j + i];
                out[i] = s * (float)quant_iq4_nl[low_half(q)];
                out[i + 16] = s * (float)quant_iq4_nl[high_half(q)];
            }
        }
    }
}

/* ---- the table ---- */

static const struct quant TYPES[] = {
    {QUANT_F32,     "F32",     1,   4,   decode_f32           },
    {QUANT_F16,     "F16",     1,   2,   decode_f16           },
    {QUANT_BF16,    "BF16",    1,   2,   decode_bf16          },
    {QUANT_Q8_0,    "Q8_0",    32,  34,  decode_q8_0          },
    {QUANT_Q4_0,    "Q4_0",    32,  18,  decode_q4_0          },
    {QUANT_Q4_1,    "Q4_1",    32,  20,  decode_q4_1          },
    {QUANT_Q5_0,    "Q5_0",    32,  22,  decode_q5_0          },
    {QUANT_Q5_1,    "Q5_1",    32,  24,  decode_q5_1          },
    {QUANT_Q2_K,    "Q2_K",    256, 84,  decode_q2_k          },
    {QUANT_Q3_K,    "Q3_K",    256, 110, decode_q3_k          },
    {QUANT_Q4_K,    "Q4_K",    256, 144, decode_q4_k          },
    {QUANT_Q5_K,    "Q5_K",    256, 176, decode_q5_k          },
    {QUANT_Q6_K,    "Q6_K",    256, 210, decode_q6_k          },
    {QUANT_IQ4_NL,  "IQ4_NL",  32,  18,  decode_iq4_nl        },
    {QUANT_IQ4_XS,  "IQ4_XS",  256, 136, decode_iq4_xs        },
    {QUANT_IQ3_S,   "IQ3_S",   256, 110, quant_iq_decode_3_s  },
    {QUANT_IQ3_XXS, "IQ3_XXS", 256, 98,  quant_iq_decode_3_xxs},
    {QUANT_IQ2_S,   "IQ2_S",   256, 82,  quant_iq_decode_2_s  },
    {QUANT_IQ2_XS,  "IQ2_XS",  256, 74,  quant_iq_decode_2_xs },
    {QUANT_IQ2_XXS, "IQ2_XXS", 256, 66,  quant_iq_decode_2_xxs},
    {QUANT_IQ1_S,   "IQ1_S",   256, 50,  quant_iq_decode_1_s  },
    {QUANT_IQ1_M,   "IQ1_M",   256, 56,  quant_iq_decode_1_m  },
    {QUANT_MXFP4,   "MXFP4",   32,  17,  decode_mxfp4         },
    {QUANT_NVFP4,   "NVFP4",   64,  36,  decode_nvfp4         },
};

const struct quant *quant_find(uint32_t type)
{
    for (size_t i = 0; i < COUNT(TYPES); i++) {
        if (TYPES[i].type == type) return &TYPES[i];
    }
    return NULL;
}

const struct quant *quant_at(size_t i)
{
    return i < COUNT(TYPES) ? &TYPES[i] : NULL;
}

const char *quant_type_name(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } OTHERS[] = {
        {4,  "Q4_2, a retired format"              },
        {5,  "Q4_3, a retired format"              },
        {9,  "Q8_1, a format of activations"       },
        {15, "Q8_K, a format of activations"       },
        {24, "I8, integers"                        },
        {25, "I16, integers"                       },
        {26, "I32, integers"                       },
        {27, "I64, integers"                       },
        {28, "F64"                                 },
        {31, "Q4_0 interleaved, a retired format"  },
        {32, "Q4_0 interleaved, a retired format"  },
        {33, "Q4_0 interleaved, a retired format"  },
        {34, "TQ1_0"                               },
        {35, "TQ2_0"                               },
        {36, "IQ4_NL interleaved, a retired format"},
        {37, "IQ4_NL interleaved, a retired format"},
        {38, "IQ4_NL interleaved, a retired format"},
    };
    const struct quant *q = quant_find(type);
    if (q) return q->name;
    for (size_t i = 0; i < COUNT(OTHERS); i++) {
        if (OTHERS[i].type == type) return OTHERS[i].name;
    }
    return "unknown";
}

bool quant_row_bytes(const struct quant *q, int64_t n, size_t *out)
{
    if (n <= 0 || n % q->block_values) return false;
    return size_mul_ok((size_t)(n / q->block_values), (size_t)q->block_bytes, out);
}

void quant_decode(uint32_t type, const uint8_t *p, float *out, size_t n)
{
    const struct quant *q = quant_find(type);
    ASSERT(q && n % (size_t)q->block_values == 0);
    q->decode(p, n / (size_t)q->block_values, out);
}
