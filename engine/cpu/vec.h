/* vec.h - a vector of floats as wide as the instruction set of the including file.
 *
 * GNU C vector types: the same text becomes SSE2, AVX or AVX-512 code (or NEON)
 * by the flags of the file that includes it.  All functions are static: nothing
 * compiled for one instruction set can be linked into another. */
#ifndef QA_CPU_VEC_H
#define QA_CPU_VEC_H

#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#    include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512BW__)
#    define VEC_BYTES 64
#elif defined(__AVX2__)
#    define VEC_BYTES 32
#else
#    define VEC_BYTES 16
#endif
enum { LANES = VEC_BYTES / 4 };

typedef float vf __attribute__((vector_size(VEC_BYTES)));
typedef int32_t vi __attribute__((vector_size(VEC_BYTES)));
typedef uint32_t vu __attribute__((vector_size(VEC_BYTES)));
typedef float vf_loose __attribute__((vector_size(VEC_BYTES), aligned(4), may_alias));

INLINE vf vf_load(const float *p)
{
    return *(const vf_loose *)p;
}
INLINE void vf_store(float *p, vf x)
{
    *(vf_loose *)p = x;
}
INLINE vf vf_all(float x)
{
    return x - (vf){0}; /* broadcast; x - 0 keeps -0 and NaN */
}
INLINE vf vf_select(vi mask, vf yes, vf no)
{
    return (vf)(((vi)yes & mask) | ((vi)no & ~mask));
}
INLINE vf vf_min(vf a, vf b)
{
    return vf_select(a < b, a, b);
}
INLINE vf vf_max(vf a, vf b)
{
    return vf_select(a > b, a, b);
}

/* Sum of the lanes, halves first: the order is part of the result. */
INLINE float vf_sum(vf x)
{
    float lane[LANES];
    memcpy(lane, &x, sizeof lane);
    for (int half = LANES / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    }
    return lane[0];
}
INLINE float vf_most(vf x)
{
    float lane[LANES];
    memcpy(lane, &x, sizeof lane);
    float most = lane[0];
    for (int i = 1; i < LANES; i++)
        most = lane[i] > most ? lane[i] : most;
    return most;
}

/* e^x to about 1e-7, by 2^n e^r with |r| <= ln(2)/2; saturates outside +-87.
 * Coefficients: Cephes math library, expf (S. L. Moshier). */
INLINE vf vf_exp(vf x)
{
    const vf rounder = vf_all(12582912.0f); /* 1.5 * 2^23: adding it rounds to integer */
    x = vf_select(x < -87.0f, vf_all(-87.0f), x);
    x = vf_select(x > 88.0f, vf_all(88.0f), x);
    const vf shifted = x * 1.44269504088896341f + rounder;
    const vf n = shifted - rounder;
    const vf r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vf y = r * 1.9875691500e-4f + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    /* The low bits of `shifted` hold n: move them into the exponent. */
    return (vf)((vu)y + ((vu)shifted << 23));
}
INLINE vf vf_sigmoid(vf x)
{
    return 1.0f / (1.0f + vf_exp(-x));
}

typedef uint8_t vb __attribute__((vector_size(LANES)));
typedef int8_t vb_signed __attribute__((vector_size(LANES)));

/* LANES bytes from anywhere, one a lane. */
INLINE vi vi_bytes(const uint8_t *p)
{
    vb x;
    memcpy(&x, p, sizeof x);
    return __builtin_convertvector(x, vi);
}
INLINE vf vf_bytes_signed(const uint8_t *p)
{
    vb_signed x;
    memcpy(&x, p, sizeof x);
    return __builtin_convertvector(__builtin_convertvector(x, vi), vf);
}

/* Lane i = table[at[i]]; indices below n, which is at most 16. */
INLINE vf vf_look_up(const float table[16], int n, vi at)
{
#if defined(__AVX512BW__)
    (void)n;
    return (vf)_mm512_permutexvar_ps((__m512i)at, (__m512)vf_load(table));
#elif defined(__AVX2__)
    const vf low = (vf)_mm256_permutevar8x32_ps((__m256)vf_load(table), (__m256i)at);
    if (n <= LANES) return low;
    const vf high = (vf)_mm256_permutevar8x32_ps((__m256)vf_load(table + LANES), (__m256i)at);
    return vf_select(at >= LANES, high, low);
#else
    (void)n;
    vf out;
    for (int i = 0; i < LANES; i++)
        out[i] = table[at[i]];
    return out;
#endif
}

/* Products of 16-bit integers, neighbours added: lane i = a[2i] b[2i] + a[2i+1] b[2i+1].
 * Reads 2 * LANES values from each; code within +-32767 each, sums within 31 bits. */
INLINE vi madd16(const int16_t *a, const int16_t *b)
{
#if defined(__AVX512BW__)
    return (vi)_mm512_madd_epi16(_mm512_loadu_si512(a), _mm512_loadu_si512(b));
#elif defined(__AVX2__)
    return (vi)_mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)a),
                                 _mm256_loadu_si256((const __m256i *)b));
#elif defined(__SSE2__)
    return (vi)_mm_madd_epi16(_mm_loadu_si128((const __m128i *)a),
                              _mm_loadu_si128((const __m128i *)b));
#else
    vi out;
    for (int i = 0; i < LANES; i++)
        out[i] = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
    return out;
#endif
}

#endif
