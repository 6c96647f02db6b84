/* mini.h - what the tests of models and sessions share: the checked-in models. */
#ifndef QA_TEST_MINI_H
#define QA_TEST_MINI_H

#include "engine/engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINI_MOE   "tests/fixtures/models/mini-moe"
#define MINI_DENSE "tests/fixtures/models/mini-dense"

/* Fails the test with the error's own words. */
#define OK(call)                                           \
    do {                                                   \
        struct err ok_text = {0};                          \
        struct err *ok = &ok_text;                         \
        if (call) fail_msg("%s: %s", #call, ok_text.text); \
    } while (0)

static inline struct engine *mini_open(const char *stem, const char *kernels, enum kv_type kv)
{
    char path[512];
    snprintf(path, sizeof path, "%s.gguf", stem);
    struct engine_opts o = engine_opts_default();
    struct engine *g = NULL;
    o.model_path = path;
    o.kernels = kernels;
    o.kv_k = o.kv_v = kv;
    o.n_threads = 1;
    OK(engine_open(&g, &o, ok));
    return g;
}

static inline struct session *mini_session(struct engine *g, int n_draft, int step_tokens)
{
    const struct session_opts o = {
        .cap_tokens = 700, .n_draft = n_draft, .step_tokens = step_tokens};
    struct session *s = NULL;
    OK(session_open(&s, g, &o, ok));
    return s;
}

/* A whole file of 4-byte values; NULL when it is not there. */
static inline void *read_values(const char *stem, const char *ext, size_t *n)
{
    char path[512];
    snprintf(path, sizeof path, "%s.%s", stem, ext);
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f) / 4;
    rewind(f);
    void *p = malloc(*n * 4 + 1);
    assert_non_null(p);
    assert_int_equal(fread(p, 4, *n, f), *n);
    fclose(f);
    return p;
}

static inline double relative_error(const float *got, const float *want, size_t n)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        diff += d * d;
        norm += (double)want[i] * (double)want[i];
    }
    return sqrt(diff / norm);
}

/* The same ids everywhere: n of them, below 256, never a stop token. */
static inline void fill_ids(int32_t *ids, size_t n, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, 7);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)rng_below(&r, 256);
}

#endif
