/* cpu_rig.h - what test_cpu.c stands on: ref beside the backend with one and with three
 * threads, random numbers, weights of every format, and the two comparisons. */
#ifndef QA_CPU_RIG_H
#define QA_CPU_RIG_H

#include "engine/base/cpu.h"
#include "engine/base/rng.h"
#include "engine/cpu/kernels.h"
#include "engine/ops.h"
#include "engine/quant.h"
#include "tests/engine/tolerance.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_ROWS = 80, MAX_COLS = 4096, MAX_INNER = 768, N_EXPERTS = 16, N_USED = 4 };
enum { N_CTX = 40960 };

/* ref, and the backend with one and with three threads. */
struct rig {
    const struct ops *ops[3];
    struct device *dev[3];
    struct rng rng;
};

static int i_ops; /* which of the machine's kernel sets is under test */

static int rig_open(void **fixture)
{
    static struct rig r;
    const struct device_needs needs = {.n_rows = MAX_ROWS,
                                       .max_cols = MAX_COLS,
                                       .head_dim = KV_HEAD_MAX,
                                       .max_inner = MAX_INNER,
                                       .n_experts = N_EXPERTS,
                                       .n_used = N_USED,
                                       .n_heads = 16,
                                       .n_ctx = N_CTX};
    r.ops[0] = ref_ops();
    r.ops[1] = r.ops[2] = cpu_ops_at(i_ops);
    for (int i = 0; i < 3; i++) {
        const struct device_opts o = {.n_threads = i == 2 ? 3 : 1};
        struct err e = {0};
        if (r.ops[i]->open(&r.dev[i], &o, &e) || r.ops[i]->reserve(r.dev[i], &needs, &e)) {
            fprintf(stderr, "%s\n", e.text);
            return -1;
        }
    }
    rng_init(&r.rng, 20240607, 1);
    *fixture = &r;
    return 0;
}

static int rig_close(void **fixture)
{
    struct rig *r = *fixture;
    for (int i = 0; i < 3; i++)
        r->ops[i]->close(r->dev[i]);
    return 0;
}

/* ---- numbers ------------------------------------------------------------- */

static float normal(struct rng *r)
{
    const double u = rng_unit(r), v = rng_unit(r);
    return (float)(sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v));
}

static float *floats(struct rig *r, size_t n, float scale)
{
    float *p = r->ops[1]->alloc(r->dev[1], n * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = scale * normal(&r->rng);
    return p;
}

static float *copy_of(struct rig *r, const float *x, size_t n)
{
    float *p = r->ops[1]->alloc(r->dev[1], n * sizeof *p);
    assert_non_null(p);
    memcpy(p, x, n * sizeof *p);
    return p;
}

static void drop(struct rig *r, const void *p)
{
    r->ops[1]->release(r->dev[1], (void *)p);
}

static double distance(const float *got, const float *want, size_t n)
{
    double num = 0, den = 0;
    for (size_t i = 0; i < n; i++) {
        num += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        den += (double)want[i] * (double)want[i];
    }
    return sqrt(num / (den > 0 ? den : 1));
}

static void expect_near(const char *what,
                        const float *got,
                        const float *want,
                        size_t n,
                        double tol)
{
    const double far = distance(got, want, n);
    if (!(far <= tol)) fail_msg("%s: %g from ref, %g is allowed", what, far, tol);
}

static void expect_same(const char *what, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(a + i, b + i, sizeof *a) != 0) {
            fail_msg("%s: value %zu is %.9g and %.9g", what, i, (double)a[i], (double)b[i]);
        }
    }
}

/* ---- weights ------------------------------------------------------------- */

static void put_half(uint8_t *p, float x)
{
    const uint16_t h = quant_f32_to_f16(x);
    memcpy(p, &h, 2);
}

/* Where a block keeps its f16 scales: elsewhere any byte is as good as another. */
static void put_scales(struct rig *r, uint8_t *block, uint32_t type)
{
    const float d = 0.002f + 0.002f * (float)rng_unit(&r->rng);
    switch (type) {
    case QUANT_Q4_K:
    case QUANT_Q5_K:
    case QUANT_Q4_1:
        put_half(block, d);
        put_half(block + 2, d / 2);
        break;
    case QUANT_Q6_K: put_half(block + 208, d / 16); break;
    case QUANT_Q3_K: put_half(block + 108, d / 8); break;
    default: put_half(block, d); break;
    }
}

static struct weight weight_of(struct rig *r, uint32_t type, int rows, int cols, int n_mats)
{
    const struct quant *q = quant_find(type);
    struct weight w = {.type = type, .rows = rows, .cols = cols, .n_mats = n_mats};
    assert_non_null(q);
    assert_true(quant_row_bytes(q, cols, &w.row_bytes));
    w.mat_bytes = w.row_bytes * (size_t)rows;
    const size_t n_bytes = w.mat_bytes * (size_t)n_mats;
    uint8_t *p = r->ops[1]->alloc(r->dev[1], n_bytes);
    assert_non_null(p);
    const size_t n_values = (size_t)rows * (size_t)cols * (size_t)n_mats;
    if (type == QUANT_F32) {
        for (size_t i = 0; i < n_values; i++)
            ((float *)(void *)p)[i] = 0.05f * normal(&r->rng);
    } else if (type == QUANT_F16) {
        for (size_t i = 0; i < n_values; i++)
            put_half(p + 2 * i, 0.05f * normal(&r->rng));
    } else if (type == QUANT_BF16) {
        for (size_t i = 0; i < n_values; i++) {
            const float x = 0.05f * normal(&r->rng);
            memcpy(p + 2 * i, (const uint8_t *)&x + 2, 2);
        }
    } else {
        for (size_t i = 0; i < n_bytes; i++)
            p[i] = (uint8_t)rng_u32(&r->rng);
        for (size_t i = 0; i < n_bytes; i += (size_t)q->block_bytes)
            put_scales(r, p + i, type);
    }
    w.data = p;
    return w;
}

static const uint32_t TYPES_8BIT[] = {QUANT_Q8_0, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K,
                                      QUANT_IQ4_NL};
static const uint32_t TYPES_FLOAT[] = {QUANT_F32, QUANT_F16, QUANT_BF16};
/* Decoded a row at a time; a sample of those without a loop of their own. */
static const uint32_t TYPES_OTHER[] = {QUANT_Q4_1, QUANT_Q3_K, QUANT_IQ4_XS};

#endif
