/* Rows of keys and values: what each format costs and loses; and sessions on each: what
 * is undone and done again, or done in other steps, must give the same bits. */
#include "engine/kv.h"
#include "engine/session.h"
#include "engine/tiny/tiny.h"
#include "tests/engine/mini.h"

enum { N_ROWS = 400, N_PROMPT = 330, N_MORE = 12 };

static float normal(struct rng *r)
{
    const double u = rng_unit(r), v = rng_unit(r);
    return (float)(sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v));
}

/* ---- rotation --------------------------------------------------------------- */

static void rotation_keeps_products_and_goes_back(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 3, 1);
    for (int dim = 32; dim <= 1024; dim += 32) {
        float q[1024], k[1024], rq[1024], rk[1024];
        double dot = 0, rotated = 0, qq = 0, kk = 0;
        for (int i = 0; i < dim; i++) {
            q[i] = rq[i] = normal(&r);
            k[i] = rk[i] = normal(&r);
        }
        kv_rotate(rq, dim);
        kv_rotate(rk, dim);
        for (int i = 0; i < dim; i++) {
            dot += (double)q[i] * (double)k[i];
            rotated += (double)rq[i] * (double)rk[i];
            qq += (double)q[i] * (double)q[i];
            kk += (double)k[i] * (double)k[i];
        }
        assert_true(fabs(dot - rotated) < 1e-6 * sqrt(qq * kk));
        kv_unrotate(rk, dim);
        assert_true(relative_error(rk, k, (size_t)dim) < 1e-6);
    }
}

static void rotation_spreads_what_one_channel_holds(void **state)
{
    (void)state;
    for (int at = 0; at < 256; at++) {
        float x[256] = {0};
        x[at] = 16;
        kv_rotate(x, 256);
        for (int i = 0; i < 256; i++)
            assert_true(fabsf(x[i]) == 1);
    }
    /* and what all channels share: the signs are there for that */
    float x[256], most = 0;
    for (int i = 0; i < 256; i++)
        x[i] = 1;
    kv_rotate(x, 256);
    for (int i = 0; i < 256; i++)
        most = fmaxf(most, fabsf(x[i]));
    assert_true(most < 5); /* without them the first would be 16 */
}

/* ---- rows -------------------------------------------------------------------- */

static void levels_are_those_of_lloyd_and_max(void **state)
{
    (void)state;
    static const struct {
        const float *level;
        int n;
    } TABLES[] = {
        {KV_LEVELS_2, 4 },
        {KV_LEVELS_3, 8 },
        {KV_LEVELS_4, 16}
    };
    for (size_t t = 0; t < COUNT(TABLES); t++) {
        const int n = TABLES[t].n;
        for (int i = 0; i < n; i++) {
            /* each level is the mean of the normal distribution between its midpoints */
            const double x = (double)TABLES[t].level[i];
            const double low = i ? (x + (double)TABLES[t].level[i - 1]) / 2 : -40;
            const double high = i < n - 1 ? (x + (double)TABLES[t].level[i + 1]) / 2 : 40;
            const double mass = (erf(high / sqrt(2)) - erf(low / sqrt(2))) / 2;
            const double mean =
                (exp(-low * low / 2) - exp(-high * high / 2)) / sqrt(2 * M_PI) / mass;
            assert_true(fabs(mean - x) < 1e-6);
        }
    }
}

/* Squared error over squared length of rows that are drawn alike, after all of rotating,
 * storing, loading and rotating back. */
static double row_loss(enum kv_type t, int dim, bool has_outliers)
{
    struct rng r;
    double error = 0, length = 0;
    rng_init(&r, 11, (uint64_t)dim);
    for (int n = 0; n < N_ROWS; n++) {
        float x[256], y[256];
        uint8_t row[1024];
        for (int i = 0; i < dim; i++)
            x[i] = y[i] = normal(&r) * (has_outliers && i % 31 == 5 ? 30.0f : 1.0f);
        if (kv_is_rotated(t)) kv_rotate(y, dim);
        kv_encode(t, row, y, dim);
        kv_decode(t, y, row, dim);
        if (kv_is_rotated(t)) kv_unrotate(y, dim);
        for (int i = 0; i < dim; i++) {
            error += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
            length += (double)x[i] * (double)x[i];
        }
    }
    return error / length;
}

static void every_format_loses_what_it_should(void **state)
{
    (void)state;
    /* Bounds: a quantiser's loss on normal numbers (Lloyd-Max: 0.0095, 0.0345, 0.1175; a
     * row of fixed length loses a little less), 10 % above. */
    static const struct {
        enum kv_type t;
        double most, bits; /* bits: of a head of 256, per value */
    } FORMATS[] = {
        {KV_F32,    0,      32    },
        {KV_F16,    7e-8,   16    },
        {KV_Q8_0,   3.2e-5, 8.5   },
        {KV_Q4_0,   0.0082, 4.5   },
        {KV_TURBO4, 0.0105, 4.0625},
        {KV_TURBO3, 0.038,  3.0625},
        {KV_TURBO2, 0.129,  2.0625},
    };
    static const int DIMS[] = {64, 128, 192, 256};
    for (size_t f = 0; f < COUNT(FORMATS); f++) {
        for (size_t i = 0; i < COUNT(DIMS); i++) {
            for (int outliers = 0; outliers < 2; outliers++) {
                const double loss = row_loss(FORMATS[f].t, DIMS[i], outliers);
                if (loss > FORMATS[f].most || (!outliers && loss * 2 < FORMATS[f].most)) {
                    fail_msg("%s, heads of %d: loses %g, not just below %g",
                             kv_type_name(FORMATS[f].t), DIMS[i], loss, FORMATS[f].most);
                }
            }
        }
        assert_true((double)kv_row_bytes(FORMATS[f].t, 256) * 8 == FORMATS[f].bits * 256);
    }
}

static void rows_of_nothing_and_of_no_numbers_are_harmless(void **state)
{
    (void)state;
    for (enum kv_type t = KV_F32; t < KV_TYPE_COUNT; t++) {
        float x[128] = {0}, y[128];
        uint8_t row[512];
        kv_encode(t, row, x, 128);
        kv_decode(t, y, row, 128);
        assert_memory_equal(x, y, sizeof x);
        x[3] = NAN, x[70] = INFINITY;
        kv_encode(t, row, x, 128); /* no trap; what comes back is anything */
        kv_decode(t, y, row, 128);
    }
}

static void sizes_that_do_not_fit_have_no_bytes(void **state)
{
    (void)state;
    assert_int_equal(kv_row_bytes(KV_F16, 20), 40);
    for (enum kv_type t = KV_Q8_0; t < KV_TYPE_COUNT; t++) {
        assert_int_equal(kv_row_bytes(t, 80), 0);
        assert_int_equal(kv_row_bytes(t, 96) == 0, t >= KV_TURBO4);
    }
    assert_int_equal(kv_row_bytes(KV_TURBO3, 192), 3 * 26); /* three groups of 64 */
}

/* ---- sessions ----------------------------------------------------------------- */

static struct engine *tiny_open(const char *kernels, enum kv_type k, enum kv_type v)
{
    struct engine_opts o = engine_opts_default();
    struct engine *g = NULL;
    o.model_bytes =
        (struct str){.p = qa_tiny_gguf, .n = (size_t)(qa_tiny_gguf_end - qa_tiny_gguf)};
    o.kernels = kernels;
    o.n_threads = 1;
    o.kv_k = k;
    o.kv_v = v;
    OK(engine_open(&g, &o, ok));
    return g;
}

static void append(struct session *s, const int32_t *ids, size_t n)
{
    OK(session_append(s, ids, n, ok));
}

/* n tokens, greedily; drafts are taken where the session drafts. */
static void decode(struct session *s, int32_t *out, int n)
{
    const struct sampling greedy = sampling_greedy();
    struct rng r;
    rng_init(&r, 1, 1);
    for (int done = 0; done < n;) {
        const struct decode_args a = {.sampling = &greedy, .rng = &r, .max_tokens = n - done};
        struct burst b;
        OK(session_decode(s, &a, &b, ok));
        memcpy(out + done, b.ids, (size_t)b.n * sizeof *out);
        done += b.n;
    }
}

/* Kept apart from the session that they came from, which moves on. */
static float *logits_of(struct session *s)
{
    struct err e = {0};
    const size_t n_bytes = (size_t)engine_info(s->g)->n_vocab * sizeof(float);
    const float *x = session_logits(s, &e);
    float *copy = malloc(n_bytes);
    assert_true(x && copy);
    return memcpy(copy, x, n_bytes);
}

static void assert_logits(struct session *s, const float *want)
{
    float *got = logits_of(s);
    assert_memory_equal(got, want, (size_t)engine_info(s->g)->n_vocab * sizeof *got);
    free(got);
}

static void steps_do_not_matter(struct engine *g, const int32_t *ids, const float *want)
{
    static const int STEPS[] = {1, 7, 64, N_PROMPT};
    for (size_t i = 0; i < COUNT(STEPS); i++) {
        struct session *s = mini_session(g, i % 2 ? 3 : 0, STEPS[i]);
        append(s, ids, N_PROMPT);
        assert_logits(s, want);
        session_close(s);
    }
}

/* Rewound after more than the recent pages were written over, at every kind of place:
 * inside the first page, on a page's end, in its middle. */
static void rewinding_does_not_matter(struct engine *g, const int32_t *ids, const float *want)
{
    static const int PLACES[] = {10, 64, 150, 256, 320};
    struct session *s = mini_session(g, 3, 50);
    int marks[COUNT(PLACES)], from = 0;
    int32_t drop[N_MORE];
    for (size_t i = 0; i < COUNT(PLACES); i++) {
        append(s, ids + from, (size_t)(PLACES[i] - from));
        from = PLACES[i];
        OK(session_mark(s, &marks[i], ok));
    }
    append(s, ids, 250); /* other tokens than come there later */
    for (size_t i = COUNT(PLACES); i-- > 0;) {
        OK(session_rewind(s, marks[i], ok));
        decode(s, drop, N_MORE);
        append(s, ids, 70);
        OK(session_rewind(s, marks[i], ok));
        append(s, ids + PLACES[i], (size_t)(N_PROMPT - PLACES[i]));
        assert_logits(s, want);
    }
    session_close(s);
}

static void forking_does_not_matter(struct engine *g, const int32_t *ids, const float *want)
{
    static const int PLACES[] = {40, 256, 329};
    for (size_t i = 0; i < COUNT(PLACES); i++) {
        struct session *s = mini_session(g, 3, 0), *t = NULL;
        int32_t drop[N_MORE];
        append(s, ids, (size_t)PLACES[i]);
        OK(session_fork(&t, s, ok));
        decode(s, drop, N_MORE); /* the first of the two leaves */
        append(s, ids, 90);
        append(t, ids + PLACES[i], (size_t)(N_PROMPT - PLACES[i]));
        assert_logits(t, want);
        session_close(s);
        assert_logits(t, want);
        session_close(t);
    }
}

/* Saved while the draft layer lags behind and after a return to a mark alike. */
static void saving_does_not_matter(struct engine *g, const int32_t *ids, const float *want)
{
    static const char PATH[] = "/tmp/qagent-test-kv.session";
    static const int PLACES[] = {5, 100, 256, 321};
    for (size_t i = 0; i < COUNT(PLACES); i++) {
        struct session *s = mini_session(g, 3, 1), *t = mini_session(g, 3, 0);
        int mark;
        append(s, ids, (size_t)PLACES[i]);
        if (i % 2) {
            OK(session_mark(s, &mark, ok));
            append(s, ids, 300);
            OK(session_rewind(s, mark, ok));
        }
        OK(session_save(s, PATH, ok));
        OK(session_load(t, PATH, ok));
        append(t, ids + PLACES[i], (size_t)(N_PROMPT - PLACES[i]));
        assert_logits(t, want);
        session_close(s);
        session_close(t);
    }
    remove(PATH);
}

static void drafting_does_not_matter(struct engine *g, const int32_t *ids)
{
    struct session *s = mini_session(g, 0, 0), *t = mini_session(g, 3, 0);
    int32_t plain[N_MORE], drafted[N_MORE];
    append(s, ids, 250); /* decoding crosses the end of a page */
    append(t, ids, 250);
    decode(s, plain, N_MORE);
    decode(t, drafted, N_MORE);
    assert_memory_equal(plain, drafted, sizeof plain);
    float *want = logits_of(s);
    assert_logits(t, want);
    free(want);
    session_close(s);
    session_close(t);
}

/* Back to an automatic mark, of which only the recurrent state and pages are kept. */
static void going_back_into_a_prompt_does_not_matter(struct engine *g,
                                                     const int32_t *ids,
                                                     const float *want)
{
    for (int n_draft = 0; n_draft <= 3; n_draft += 3) {
        const struct session_opts o = {
            .cap_tokens = 700, .n_draft = n_draft, .step_tokens = 30, .mark_every = 90};
        struct session *s = NULL;
        int32_t other[N_PROMPT];
        size_t n_reused;
        OK(session_open(&s, g, &o, ok));
        memcpy(other, ids, sizeof other);
        other[300] ^= 1;
        append(s, other, N_PROMPT);
        OK(session_sync(s, ids, N_PROMPT, &n_reused, ok));
        assert_int_equal(n_reused, 270);
        assert_logits(s, want);
        session_close(s);
    }
}

static void sessions_do_not_depend_on_how_they_came_about(void **state)
{
    (void)state;
    static const enum kv_type PAIRS[][2] = {
        {KV_Q8_0,   KV_Q4_0  },
        {KV_Q4_0,   KV_TURBO4},
        {KV_TURBO4, KV_TURBO3},
        {KV_TURBO3, KV_TURBO2},
        {KV_TURBO2, KV_F16   },
        {KV_F32,    KV_Q8_0  },
    };
    int32_t ids[N_PROMPT];
    fill_ids(ids, N_PROMPT, 9);
    for (size_t i = 0; i < COUNT(PAIRS); i++) {
        struct engine *g = tiny_open(NULL, PAIRS[i][0], PAIRS[i][1]);
        struct session *s = mini_session(g, 0, 0);
        append(s, ids, N_PROMPT);
        float *want = logits_of(s);
        session_close(s);
        steps_do_not_matter(g, ids, want);
        rewinding_does_not_matter(g, ids, want);
        forking_does_not_matter(g, ids, want);
        saving_does_not_matter(g, ids, want);
        drafting_does_not_matter(g, ids);
        going_back_into_a_prompt_does_not_matter(g, ids, want);
        free(want);
        engine_close(g);
    }
}

/* A text within the first and the recent pages is read in f16, whatever the format. */
static void short_texts_lose_nothing(void **state)
{
    (void)state;
    int32_t ids[N_PROMPT];
    fill_ids(ids, N_PROMPT, 9);
    struct engine *g4 = tiny_open("plain", KV_TURBO4, KV_TURBO4),
                  *g2 = tiny_open("plain", KV_TURBO2, KV_TURBO2);
    struct session *s = mini_session(g4, 0, 0), *t = mini_session(g2, 0, 0);
    const size_t n = (ATTN_FIRST_PAGES + ATTN_RECENT_PAGES + 1) * PAGE_TOKENS;
    append(s, ids, n);
    append(t, ids, n);
    float *x = logits_of(s), *y = logits_of(t);
    const size_t n_bytes = (size_t)engine_info(g4)->n_vocab * sizeof *x;
    assert_memory_equal(x, y, n_bytes);
    free(x), free(y);
    append(s, ids + n, 1); /* the next position looks back at the first compressed page */
    append(t, ids + n, 1);
    x = logits_of(s), y = logits_of(t);
    assert_true(memcmp(x, y, n_bytes) != 0);
    free(x), free(y);
    session_close(s), session_close(t);
    engine_close(g4), engine_close(g2);
}

static void bytes_per_token_are_exact(void **state)
{
    (void)state;
    static const struct {
        enum kv_type k, v;
        int row_bytes; /* keys and values of one head of 64 */
    } CASES[] = {
        {KV_F32,    KV_F32,    512    },
        {KV_F16,    KV_F16,    256    },
        {KV_Q8_0,   KV_Q8_0,   136    },
        {KV_Q4_0,   KV_Q4_0,   72     },
        {KV_TURBO4, KV_TURBO4, 68     },
        {KV_TURBO3, KV_TURBO3, 52     },
        {KV_TURBO2, KV_TURBO2, 36     },
        {KV_Q8_0,   KV_TURBO3, 68 + 26},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct engine *g = tiny_open("plain", CASES[i].k, CASES[i].v);
        /* two heads in the trunk's one attention layer and in the draft layer */
        assert_int_equal(engine_info(g)->kv_bytes_per_token, 2 * 2 * CASES[i].row_bytes);
        assert_int_equal(g->plan.page_bytes, 64 * 2 * 2 * CASES[i].row_bytes);
        const int n_sides = kv_is_rotated(CASES[i].k) + kv_is_rotated(CASES[i].v);
        assert_int_equal(g->plan.page16_bytes, n_sides * 64 * 2 * 2 * 128);
        engine_close(g);
    }
}

/* Memory in f16 is bounded: the pages do not add up as the session grows. */
static void f16_pages_are_few(void **state)
{
    (void)state;
    struct engine *g = tiny_open("plain", KV_Q8_0, KV_TURBO3);
    struct session *s = mini_session(g, 3, 16);
    int32_t ids[N_PROMPT], out[N_MORE];
    fill_ids(ids, N_PROMPT, 9);
    append(s, ids, N_PROMPT);
    decode(s, out, N_MORE);
    int n = 0;
    for (int i = 0; i < s->cache.to16; i++)
        n += s->cache.f16.page[i] != NULL;
    assert_int_equal(s->cache.n_pages, (N_PROMPT + N_MORE) / PAGE_TOKENS + 1);
    assert_true(n <= ATTN_FIRST_PAGES + ATTN_RECENT_PAGES + 2);
    assert_true(n + s->cache.n_spare == s->cache.n_own16);
    assert_int_equal(cache_fixed_bytes(&g->plan, 700, 16 + 2 * TRIAL_ROWS),
                     g->plan.state_bytes + (size_t)s->cache.n_own16 * g->plan.page16_bytes);
    session_close(s);
    engine_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rotation_keeps_products_and_goes_back),
        cmocka_unit_test(rotation_spreads_what_one_channel_holds),
        cmocka_unit_test(levels_are_those_of_lloyd_and_max),
        cmocka_unit_test(every_format_loses_what_it_should),
        cmocka_unit_test(rows_of_nothing_and_of_no_numbers_are_harmless),
        cmocka_unit_test(sizes_that_do_not_fit_have_no_bytes),
        cmocka_unit_test(bytes_per_token_are_exact),
        cmocka_unit_test(short_texts_lose_nothing),
        cmocka_unit_test(sessions_do_not_depend_on_how_they_came_about),
        cmocka_unit_test(f16_pages_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
