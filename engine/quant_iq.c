/* quant_iq.c - the codebook formats: an index names eight (or four) magnitudes.
 *
 * A block is eight groups of 32 values, each four octets of eight.  Sign bytes: bit
 * j set means value j of the octet is negative.  The short form keeps seven bits;
 * the eighth makes the number of minus signs even. */
#include "engine/quant_iq.h"

#include "engine/quant.h"
#include "engine/quant_tables.h"

#ifdef __clang__
#    pragma STDC FP_CONTRACT OFF
#endif

_Static_assert(sizeof GRID_IQ2_XXS == 256 * 2 && sizeof GRID_IQ2_XS == 512 * 2 &&
                   sizeof GRID_IQ2_S == 1024 * 2 && sizeof GRID_IQ3_XXS == 256 * 2 &&
                   sizeof GRID_IQ3_S == 512 * 2 && sizeof GRID_IQ1 == 2048 * 2,
               "an index of 8, 9, 10, 8, 9, 11 bits stays inside its codebook");

static float f16_at(const uint8_t *p)
{
    return quant_f16_to_f32(quant_read_u16(p));
}

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static unsigned full_signs(uint32_t seven_bits)
{
    const unsigned s = seven_bits & 127U;
    return s | (unsigned)__builtin_parity(s) << 7;
}

static float with_sign(float x, unsigned signs, int j)
{
    return signs >> j & 1U ? -x : x;
}

/* Eight values of a two-bit entry. */
static void put_octet(float *out, float d, uint16_t entry, unsigned signs)
{
    for (int j = 0; j < 8; j++) {
        out[j] = with_sign(d * (float)LEVELS_IQ2[entry >> (2 * j) & 3], signs, j);
    }
}

/* Four values of a three-bit entry; their signs are the lowest four bits. */
static void put_quartet(float *out,
                        float d,
                        const int8_t *levels,
                        uint16_t entry,
                        unsigned signs)
{
    for (int j = 0; j < 4; j++) {
        out[j] = with_sign(d * (float)levels[entry >> (3 * j) & 7], signs, j);
    }
}

/* Eight values of -1, 0, 1, moved by delta. */
static void put_ternary(float *out, float d, uint16_t entry, float delta)
{
    for (int j = 0; j < 8; j++) {
        out[j] = d * ((float)LEVELS_IQ1[entry >> (2 * j) & 3] + delta);
    }
}

void quant_iq_decode_2_xxs(const uint8_t *p, size_t n, float *out)
{
    const struct block_iq2_xxs *b = (const struct block_iq2_xxs *)p;
    for (; n; n--, b++) {
        for (int g = 0; g < 8; g++) {
            const uint32_t aux = read_u32(b->groups[g] + 4);
            const float d = f16_at(b->d) * (0.5F + (float)(aux >> 28)) * 0.25F;
            for (int l = 0; l < 4; l++, out += 8) {
                put_octet(out, d, GRID_IQ2_XXS[b->groups[g][l]], full_signs(aux >> (7 * l)));
            }
        }
    }
}

void quant_iq_decode_2_xs(const uint8_t *p, size_t n, float *out)
{
    const struct block_iq2_xs *b = (const struct block_iq2_xs *)p;
    for (; n; n--, b++) {
        for (int o = 0; o < 32; o++, out += 8) {
            const unsigned word = quant_read_u16(b->index[o]);
            const int scale = b->scales[o / 4] >> (o / 2 % 2 * 4) & 15;
            const float d = f16_at(b->d) * (0.5F + (float)scale) * 0.25F;
            put_octet(out, d, GRID_IQ2_XS[word & 511U], full_signs(word >> 9));
        }
    }
}

void quant_iq_decode_2_s(const uint8_t *p, size_t n, float *out)
{
    const struct block_iq2_s *b = (const struct block_iq2_s *)p;
    for (; n; n--, b++) {
        for (int o = 0; o < 32; o++, out += 8) {
            const int high = b->high[o / 4] >> (o % 4 * 2) & 3;
            const int scale = b->scales[o / 4] >> (o / 2 % 2 * 4) & 15;
            const float d = f16_at(b->d) * (0.5F + (float)scale) * 0.25F;
            put_octet(out, d, GRID_IQ2_S[b->index[o] | high << 8], b->signs[o]);
        }
    }
}

void quant_iq_decode_3_xxs(const uint8_t *p, size_t n, float *out)
{
    const struct block_iq3_xxs *b = (const struct block_iq3_xxs *)p;
    for (; n; n--, b++) {
        for (int o = 0; o < 32; o++, out += 8) {
            const uint32_t aux = read_u32(b->signs[o / 4]);
            const float d = f16_at(b->d) * (0.5F + (float)(aux >> 28)) * 0.5F;
            const unsigned signs = full_signs(aux >> (7 * (o % 4)));
            put_quartet(out, d, LEVELS_IQ3_XXS, GRID_IQ3_XXS[b->index[2 * o]], signs);
            put_quartet(out + 4, d, LEVELS_IQ3_XXS, GRID_IQ3_XXS[b->index[2 * o + 1]],
                        signs >> 4);
        }
    }
}

void quant_iq_decode_3_s(const uint8_t *p, size_t n, float *out)
{
    const struct block_iq3_s *b = (const struct block_iq3_s *)p;
    for (; n; n--, b++) {
        for (int u = 0; u < 64; u++, out += 4) {
            const int g = u / 8;
            const int high = b->high[g] >> (u % 8) & 1;
            const int scale = b->scales[g / 2] >> (g % 2 * 4) & 15;
            const float d = f16_at(b->d) * (float)(1 + 2 * scale);
            const unsigned signs = (unsigned)b->signs[u / 2] >> (u % 2 * 4);
            put_quartet(out, d, LEVELS_IQ3_S, GRID_IQ3_S[b->index[u] | high << 8], signs);
        }
    }
}

void quant_iq_decode_1_s(const uint8_t *p, size_t n, float *out)
{
    const struct block_iq1_s *b = (const struct block_iq1_s *)p;
    for (; n; n--, b++) {
        for (int o = 0; o < 32; o++, out += 8) {
            const int h = quant_read_u16(b->high[o / 4]);
            const float d = f16_at(b->d) * (float)(2 * (h >> 12 & 7) + 1);
            const int index = b->index[o] | (h >> (3 * (o % 4)) & 7) << 8;
            put_ternary(out, d, GRID_IQ1[index], h >> 15 ? -0.125F : 0.125F);
        }
    }
}

/* The block's f16 scale is spread over the top four bits of its four scale words. */
static float iq1_m_scale(const struct block_iq1_m *b)
{
    unsigned bits = 0;
    for (int i = 0; i < 4; i++) {
        bits |= (unsigned)(b->scales[i][1] >> 4) << (4 * i);
    }
    return quant_f16_to_f32((uint16_t)bits);
}

void quant_iq_decode_1_m(const uint8_t *p, size_t n, float *out)
{
    const struct block_iq1_m *b = (const struct block_iq1_m *)p;
    for (; n; n--, b++) {
        const float d = iq1_m_scale(b);
        for (int o = 0; o < 32; o++, out += 8) {
            const int g = o / 4;
            const int h = b->high[o / 2] >> (o % 2 * 4) & 15;
            const int scale =
                quant_read_u16(b->scales[g / 2]) >> (g % 2 * 6 + o % 4 / 2 * 3) & 7;
            const float s = d * (float)(2 * scale + 1);
            put_ternary(out, s, GRID_IQ1[b->index[o] | (h & 7) << 8], h & 8 ? -0.125F : 0.125F);
        }
    }
}
