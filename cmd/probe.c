/* probe.c - read bandwidth and arithmetic peak of this machine. */
#include "cmd/probe.h"

#include "engine/base/clock.h"
#include "engine/base/pool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__SSE2__)
#    include <immintrin.h>
#endif

enum { VEC = 16, N_SUMS = 8, L1_VECS = 64, N_RUNS = 3 };
enum { BUFFER_MIN_BYTES = 256 << 20, CACHE_TIMES = 4, THREADS_MAX = 1024 };
static const double RUN_S = 0.2;

typedef float f32x4 __attribute__((vector_size(VEC), may_alias));
typedef int16_t i16x8 __attribute__((vector_size(VEC), may_alias));
typedef int32_t i32x4 __attribute__((vector_size(VEC), may_alias));

struct job {
    const uint8_t *buffer;
    size_t n_bytes;
    double work[THREADS_MAX]; /* bytes or operations done by each thread */
    double sink[THREADS_MAX]; /* results, so that the loops are not dropped */
};

static void touch(void *ctx, int i_thread, int n_threads)
{
    struct job *j = ctx;
    int64_t from, to;
    pool_share((int64_t)j->n_bytes, 4096, i_thread, n_threads, &from, &to);
    memset((uint8_t *)(uintptr_t)j->buffer + from, 1, (size_t)(to - from));
}

/* Every thread sums its own part, once. */
static void read_all(void *ctx, int i_thread, int n_threads)
{
    struct job *j = ctx;
    int64_t from, to;
    pool_share((int64_t)j->n_bytes, 4096, i_thread, n_threads, &from, &to);
    const i32x4 *p = (const i32x4 *)(const void *)(j->buffer + from);
    const size_t n = (size_t)(to - from) / VEC;
    i32x4 a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = 0; i + 4 <= n; i += 4) {
        a ^= p[i];
        b ^= p[i + 1];
        c ^= p[i + 2];
        d ^= p[i + 3];
    }
    a ^= b ^ c ^ d;
    j->sink[i_thread] = a[0];
    j->work[i_thread] = (double)(to - from);
}

/* Eight independent sums hide the latency of the additions. */
static void f32_loop(void *ctx, int i_thread, int n_threads)
{
    struct job *j = ctx;
    (void)n_threads;
    f32x4 x[L1_VECS], s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0}, s6 = {0},
                      s7 = {0};
    const f32x4 f = {0.5f, 0.25f, 0.5f, 0.25f};
    double n = 0;
    for (int i = 0; i < L1_VECS; i++)
        x[i] = (f32x4){1, 2, 3, 4};
    for (const double until = clock_now_s() + RUN_S; clock_now_s() < until; n += 1000) {
        for (int k = 0; k < 1000; k++) {
            for (int i = 0; i < L1_VECS; i += N_SUMS) {
                s0 += x[i] * f;
                s1 += x[i + 1] * f;
                s2 += x[i + 2] * f;
                s3 += x[i + 3] * f;
                s4 += x[i + 4] * f;
                s5 += x[i + 5] * f;
                s6 += x[i + 6] * f;
                s7 += x[i + 7] * f;
            }
            __asm__ volatile("" : : "r"(x) : "memory"); /* no pass can be left out */
        }
    }
    s0 += s1 + s2 + s3 + s4 + s5 + s6 + s7;
    j->sink[i_thread] = (double)s0[0];
    j->work[i_thread] = n * L1_VECS * (VEC / 4) * 2;
}

static inline i32x4 multiply_pairs(i16x8 a, i16x8 b)
{
#if defined(__SSE2__)
    return (i32x4)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    i32x4 out;
    for (int i = 0; i < 4; i++)
        out[i] = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
    return out;
#endif
}

static void int_loop(void *ctx, int i_thread, int n_threads)
{
    struct job *j = ctx;
    (void)n_threads;
    i16x8 x[L1_VECS];
    i32x4 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0}, s6 = {0}, s7 = {0};
    const i16x8 f = {0, 1, 0, 1, 0, 1, 0, 0};
    double n = 0;
    memset(x, 0, sizeof x);
    for (const double until = clock_now_s() + RUN_S; clock_now_s() < until; n += 1000) {
        for (int k = 0; k < 1000; k++) {
            for (int i = 0; i < L1_VECS; i += N_SUMS) {
                s0 += multiply_pairs(x[i], f);
                s1 += multiply_pairs(x[i + 1], f);
                s2 += multiply_pairs(x[i + 2], f);
                s3 += multiply_pairs(x[i + 3], f);
                s4 += multiply_pairs(x[i + 4], f);
                s5 += multiply_pairs(x[i + 5], f);
                s6 += multiply_pairs(x[i + 6], f);
                s7 += multiply_pairs(x[i + 7], f);
            }
            __asm__ volatile("" : : "r"(x) : "memory");
        }
    }
    s0 += s1 + s2 + s3 + s4 + s5 + s6 + s7;
    j->sink[i_thread] = s0[0];
    j->work[i_thread] = n * L1_VECS * (VEC / 2) * 2;
}

#if defined(__x86_64__)
/* The same two loops on 256-bit registers.  Not a file of their own: the attribute
 * holds the instructions inside, and only a machine with AVX2 kernels calls them. */
#    define AVX2_LOOP __attribute__((target("avx2,fma")))

AVX2_LOOP static void f32_loop_avx2(void *ctx, int i_thread, int n_threads)
{
    struct job *j = ctx;
    (void)n_threads;
    float x[L1_VECS * 8];
    const __m256 f = _mm256_set1_ps(0.5f);
    double n = 0;
    for (int i = 0; i < L1_VECS * 8; i++)
        x[i] = 1;
    const __m256 zero = _mm256_setzero_ps();
    __m256 a = zero, b = zero, c = zero, d = zero, e = zero, g = zero, h = zero, k = zero;
    for (const double until = clock_now_s() + RUN_S; clock_now_s() < until; n += 1000) {
        for (int r = 0; r < 1000; r++) {
            for (const float *p = x; p < x + L1_VECS * 8; p += N_SUMS * 8) {
                a = _mm256_fmadd_ps(_mm256_loadu_ps(p), f, a);
                b = _mm256_fmadd_ps(_mm256_loadu_ps(p + 8), f, b);
                c = _mm256_fmadd_ps(_mm256_loadu_ps(p + 16), f, c);
                d = _mm256_fmadd_ps(_mm256_loadu_ps(p + 24), f, d);
                e = _mm256_fmadd_ps(_mm256_loadu_ps(p + 32), f, e);
                g = _mm256_fmadd_ps(_mm256_loadu_ps(p + 40), f, g);
                h = _mm256_fmadd_ps(_mm256_loadu_ps(p + 48), f, h);
                k = _mm256_fmadd_ps(_mm256_loadu_ps(p + 56), f, k);
            }
            __asm__ volatile("" : : "r"(x) : "memory");
        }
    }
    a = _mm256_add_ps(_mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)),
                      _mm256_add_ps(_mm256_add_ps(e, g), _mm256_add_ps(h, k)));
    j->sink[i_thread] = (double)_mm256_cvtss_f32(a);
    j->work[i_thread] = n * L1_VECS * 8 * 2;
}

AVX2_LOOP static void int_loop_avx2(void *ctx, int i_thread, int n_threads)
{
    struct job *j = ctx;
    (void)n_threads;
    __m256i x[L1_VECS];
    const __m256i f = _mm256_set1_epi16(1), zero = _mm256_setzero_si256();
    __m256i a = zero, b = zero, c = zero, d = zero, e = zero, g = zero, h = zero, k = zero;
    double n = 0;
    memset(x, 0, sizeof x);
    for (const double until = clock_now_s() + RUN_S; clock_now_s() < until; n += 1000) {
        for (int r = 0; r < 1000; r++) {
            for (const __m256i *p = x; p < x + L1_VECS; p += N_SUMS) {
                a = _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_loadu_si256(p), f));
                b = _mm256_add_epi32(b, _mm256_madd_epi16(_mm256_loadu_si256(p + 1), f));
                c = _mm256_add_epi32(c, _mm256_madd_epi16(_mm256_loadu_si256(p + 2), f));
                d = _mm256_add_epi32(d, _mm256_madd_epi16(_mm256_loadu_si256(p + 3), f));
                e = _mm256_add_epi32(e, _mm256_madd_epi16(_mm256_loadu_si256(p + 4), f));
                g = _mm256_add_epi32(g, _mm256_madd_epi16(_mm256_loadu_si256(p + 5), f));
                h = _mm256_add_epi32(h, _mm256_madd_epi16(_mm256_loadu_si256(p + 6), f));
                k = _mm256_add_epi32(k, _mm256_madd_epi16(_mm256_loadu_si256(p + 7), f));
            }
            __asm__ volatile("" : : "r"(x) : "memory");
        }
    }
    a = _mm256_or_si256(_mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d)),
                        _mm256_or_si256(_mm256_or_si256(e, g), _mm256_or_si256(h, k)));
    j->sink[i_thread] = _mm_cvtsi128_si32(_mm256_castsi256_si128(a));
    j->work[i_thread] = n * L1_VECS * 16 * 2;
}
#endif

/* Best of three, in 1e9 units of work a second over all threads. */
static double best_rate(struct pool *p, pool_fn *fn, struct job *j)
{
    double best = 0;
    for (int run = 0; run < N_RUNS; run++) {
        double work = 0;
        const double start_s = clock_now_s();
        pool_run(p, fn, j);
        const double seconds = clock_now_s() - start_s;
        for (int i = 0; i < pool_n_threads(p); i++)
            work += j->work[i];
        best = QA_MAX(best, work / seconds * 1e-9);
    }
    return best;
}

enum status probe_machine(struct probe *out, int n_threads, bool has_avx2, struct err *e)
{
    struct job j = {0};
    struct pool *p = NULL;
    const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    enum status st;
    if (n_threads > THREADS_MAX) n_threads = THREADS_MAX;
    j.n_bytes = QA_MAX((size_t)BUFFER_MIN_BYTES, cache > 0 ? CACHE_TIMES * (size_t)cache : 0);
    uint8_t *buffer = aligned_alloc(4096, j.n_bytes);
    if (!buffer) return err_set(e, QA_E_NOMEM, "no %zu bytes for the probe", j.n_bytes);
    j.buffer = buffer;
    st = pool_open(&p, n_threads, e);
    if (st) goto out;

    pool_run(p, touch, &j);
    out->read_gbs = best_rate(p, read_all, &j);
    pool_fn *f32 = f32_loop, *integer = int_loop;
    out->instructions = "baseline";
#if defined(__x86_64__)
    if (has_avx2) f32 = f32_loop_avx2, integer = int_loop_avx2, out->instructions = "AVX2";
#else
    (void)has_avx2;
#endif
    out->f32_gflops = best_rate(p, f32, &j);
    out->int_gops = best_rate(p, integer, &j);
    out->buffer_bytes = j.n_bytes;
out:
    pool_close(p);
    free(buffer);
    return st;
}
