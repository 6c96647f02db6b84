/* Sessions: what is undone and done again must give the same bits. */
#include "engine/session.h"
#include "tests/engine/mini.h"

enum { N_PROMPT = 100, N_MORE = 40 };

struct fixture {
    struct engine *g;
    int32_t ids[N_PROMPT + N_MORE];
};

static int open_fixture(void **state)
{
    static struct fixture f;
    f.g = mini_open(MINI_MOE, "ref", KV_F16);
    fill_ids(f.ids, COUNT(f.ids), 5);
    *state = &f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    engine_close(f->g);
    return 0;
}

static void append(struct session *s, const int32_t *ids, size_t n)
{
    OK(session_append(s, ids, n, ok));
}

/* n tokens, greedily, into out; ends early at a stop token. */
static int decode_greedy(struct session *s, int32_t *out, int n)
{
    const struct sampling greedy = sampling_greedy();
    struct rng r;
    rng_init(&r, 1, 1);
    int n_out = 0;
    while (n_out < n) {
        const struct decode_args a = {
            .sampling = &greedy, .rng = &r, .n_prompt = N_PROMPT, .max_tokens = n - n_out};
        struct burst b;
        OK(session_decode(s, &a, &b, ok));
        assert_true(b.n >= 1 && b.n <= n - n_out);
        memcpy(out + n_out, b.ids, (size_t)b.n * sizeof *out);
        n_out += b.n;
        if (engine_is_stop(s->g, b.ids[b.n - 1])) break;
    }
    return n_out;
}

static void assert_same_logits(struct session *a, struct session *b)
{
    struct err e = {0};
    const float *x = session_logits(a, &e), *y = session_logits(b, &e);
    assert_non_null(x);
    assert_non_null(y);
    assert_memory_equal(x, y, (size_t)engine_info(a->g)->n_vocab * sizeof *x);
}

/* ---- append ----------------------------------------------------------------- */

static void appending_in_parts_gives_what_appending_at_once_gives(void **state)
{
    struct fixture *f = *state;
    struct session *a = mini_session(f->g, 0, 0), *b = mini_session(f->g, 3, 11);
    append(a, f->ids, N_PROMPT);
    for (size_t i = 0; i < N_PROMPT; i += 10)
        append(b, f->ids + i, 10);
    assert_int_equal(session_n_tokens(a), N_PROMPT);
    assert_memory_equal(session_ids(b), f->ids, N_PROMPT * sizeof *f->ids);
    assert_same_logits(a, b);
    session_close(a);
    session_close(b);
}

static void logits_are_those_of_the_raw_outputs(void **state)
{
    struct fixture *f = *state;
    const size_t n_vocab = (size_t)engine_info(f->g)->n_vocab;
    struct raw_outputs raw = {.logits = calloc(N_PROMPT * n_vocab, sizeof(float))};
    struct session *s = mini_session(f->g, 0, 0);
    struct err e = {0};
    append(s, f->ids, N_PROMPT);
    OK(engine_raw(f->g, f->ids, N_PROMPT, 64, &raw, ok));
    assert_memory_equal(session_logits(s, &e), raw.logits + (N_PROMPT - 1) * n_vocab,
                        n_vocab * sizeof(float));
    free(raw.logits);
    session_close(s);
}

static void a_session_refuses_more_than_its_room_and_stays_as_it_was(void **state)
{
    struct fixture *f = *state;
    const struct session_opts o = {.cap_tokens = N_PROMPT};
    struct session *s = NULL;
    struct err e = {0};
    OK(session_open(&s, f->g, &o, ok));
    append(s, f->ids, N_PROMPT - 1);
    char text[100];
    assert_int_equal(session_append(s, f->ids, 2, &e), QA_E_LIMIT);
    snprintf(text, sizeof text, "context is full: %d and 2 more tokens, room for %d",
             N_PROMPT - 1, N_PROMPT);
    assert_string_equal(e.text, text);
    assert_int_equal(session_sync(s, f->ids, N_PROMPT + 1, NULL, &e), QA_E_LIMIT);
    snprintf(text, sizeof text, "context is full: %d tokens, room for %d", N_PROMPT + 1,
             N_PROMPT);
    assert_string_equal(e.text, text);
    assert_int_equal(session_n_tokens(s), N_PROMPT - 1);
    int32_t out[4];
    assert_int_equal(decode_greedy(s, out, 1), 1); /* the last place */
    const struct sampling greedy = sampling_greedy();
    struct rng r;
    rng_init(&r, 1, 1);
    struct burst b;
    const struct decode_args a = {.sampling = &greedy, .rng = &r};
    assert_int_equal(session_decode(s, &a, &b, &e), QA_E_LIMIT);
    snprintf(text, sizeof text, "context is full: %d tokens", N_PROMPT);
    assert_string_equal(e.text, text);
    session_close(s);
}

static void ids_outside_the_vocabulary_are_refused(void **state)
{
    struct fixture *f = *state;
    struct session *s = mini_session(f->g, 0, 0);
    struct err e = {0};
    const int32_t bad[] = {5, 320}, negative[] = {-1};
    assert_int_equal(session_append(s, bad, 2, &e), QA_E_USAGE);
    assert_string_equal(e.text, "token 320 at 1 is not in the vocabulary");
    assert_int_equal(session_append(s, negative, 1, &e), QA_E_USAGE);
    assert_string_equal(e.text, "token -1 at 0 is not in the vocabulary");
    assert_int_equal(session_n_tokens(s), 0);
    assert_null(session_logits(s, &e));
    assert_int_equal(e.code, QA_E_USAGE);
    assert_string_equal(e.text, "an empty session predicts nothing");
    session_close(s);
}

/* ---- marks and forks -------------------------------------------------------- */

static void rewinding_and_going_on_gives_the_same_bits(void **state)
{
    struct fixture *f = *state;
    for (int n_draft = 0; n_draft <= 3; n_draft += 3) {
        struct session *s = mini_session(f->g, n_draft, 0), *t = mini_session(f->g, n_draft, 0);
        int32_t first[N_MORE], again[N_MORE], fresh[N_MORE];
        int mark = -1;
        append(s, f->ids, N_PROMPT);
        OK(session_mark(s, &mark, ok));
        const int n = decode_greedy(s, first, N_MORE);
        append(s, f->ids, 17);
        OK(session_rewind(s, mark, ok));
        assert_int_equal(session_n_tokens(s), N_PROMPT);
        append(t, f->ids, N_PROMPT);
        assert_same_logits(s, t);
        assert_int_equal(decode_greedy(s, again, N_MORE), n);
        assert_int_equal(decode_greedy(t, fresh, N_MORE), n);
        assert_memory_equal(first, again, (size_t)n * sizeof *first);
        assert_memory_equal(first, fresh, (size_t)n * sizeof *first);
        assert_same_logits(s, t);
        session_close(s);
        session_close(t);
    }
}

static void a_mark_while_a_token_is_pending_returns_there(void **state)
{
    struct fixture *f = *state;
    struct session *s = mini_session(f->g, 3, 0), *t = mini_session(f->g, 0, 0);
    int32_t out[N_MORE];
    int mark = -1;
    append(s, f->ids, N_PROMPT);
    const int n = decode_greedy(s, out, 7);
    OK(session_mark(s, &mark, ok));
    append(s, f->ids, 5);
    OK(session_rewind(s, mark, ok));
    append(t, f->ids, N_PROMPT);
    append(t, out, (size_t)n);
    assert_same_logits(s, t);
    session_close(s);
    session_close(t);
}

static void marks_die_when_rewound_past(void **state)
{
    struct fixture *f = *state;
    struct session *s = mini_session(f->g, 0, 0);
    struct err e = {0};
    int start = -1, early = -1, late = -1;
    OK(session_mark(s, &start, ok));
    append(s, f->ids, 10);
    OK(session_mark(s, &early, ok));
    append(s, f->ids, 10);
    OK(session_mark(s, &late, ok));
    OK(session_rewind(s, early, ok));
    assert_int_equal(session_rewind(s, late, &e), QA_E_USAGE);
    OK(session_rewind(s, early, ok)); /* stays */
    session_drop_mark(s, early);
    assert_int_equal(session_rewind(s, early, &e), QA_E_USAGE);
    assert_int_equal(session_rewind(s, -1, &e), QA_E_USAGE);
    assert_string_equal(e.text, "mark -1 does not exist");
    OK(session_rewind(s, start, ok));
    assert_int_equal(session_n_tokens(s), 0);
    assert_null(session_logits(s, &e));
    session_close(s);
}

static void marks_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct session *s = mini_session(f->g, 0, 0);
    struct err e = {0};
    int mark;
    append(s, f->ids, 3);
    for (int i = 0; i < MARKS_MAX; i++)
        OK(session_mark(s, &mark, ok));
    assert_int_equal(session_mark(s, &mark, &e), QA_E_LIMIT);
    assert_string_equal(e.text, "a session holds at most 64 marks");
    session_close(s);
}

static void forks_share_the_past_and_not_the_future(void **state)
{
    struct fixture *f = *state;
    struct session *s = mini_session(f->g, 3, 0), *t = NULL, *fresh = mini_session(f->g, 3, 0);
    int32_t a[N_MORE], b[N_MORE], c[N_MORE];
    append(s, f->ids, N_PROMPT);
    OK(session_fork(&t, s, ok));
    assert_true(t->cache.kv.page[0] == s->cache.kv.page[0]); /* shared, not copied */
    append(t, f->ids + N_PROMPT, 9); /* in the middle of a shared page */
    assert_true(t->cache.kv.page[0] == s->cache.kv.page[0]);
    assert_true(t->cache.kv.page[1] != s->cache.kv.page[1]);
    const int n = decode_greedy(s, a, N_MORE);
    const int n_fork = decode_greedy(t, b, N_MORE);
    append(fresh, f->ids, N_PROMPT + 9);
    assert_int_equal(decode_greedy(fresh, c, N_MORE), n_fork);
    assert_memory_equal(b, c, (size_t)n_fork * sizeof *b);
    session_close(s); /* the fork outlives it */
    assert_same_logits(t, fresh);
    session_close(t);
    session_close(fresh);
    fresh = mini_session(f->g, 0, 0);
    append(fresh, f->ids, N_PROMPT);
    assert_int_equal(decode_greedy(fresh, c, N_MORE), n);
    assert_memory_equal(a, c, (size_t)n * sizeof *a);
    session_close(fresh);
}

static void forks_without_drafting_share_whole_pages(void **state)
{
    struct fixture *f = *state;
    struct session *s = mini_session(f->g, 0, 0), *t = NULL;
    int32_t out[3];
    append(s, f->ids, N_PROMPT);
    OK(session_fork(&t, s, ok));
    append(t, f->ids, 3);
    decode_greedy(s, out, 3);
    assert_true(t->cache.kv.page[0] == s->cache.kv.page[0]);
    assert_true(t->cache.kv.page[1] != s->cache.kv.page[1]);
    session_close(s);
    session_close(t);
}

static void a_fork_takes_the_pending_token_along(void **state)
{
    struct fixture *f = *state;
    struct session *s = mini_session(f->g, 3, 0), *t = NULL;
    int32_t a[N_MORE], b[N_MORE];
    append(s, f->ids, N_PROMPT);
    decode_greedy(s, a, 9);
    OK(session_fork(&t, s, ok));
    const int n = decode_greedy(s, a, 20);
    assert_int_equal(decode_greedy(t, b, 20), n);
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
    assert_same_logits(s, t);
    session_close(s);
    session_close(t);
}

/* ---- sync ------------------------------------------------------------------- */

static void sync_computes_only_what_is_new(void **state)
{
    struct fixture *f = *state;
    struct session *s = mini_session(f->g, 0, 0), *t = mini_session(f->g, 0, 0);
    size_t n_reused = 99;
    int mark;
    OK(session_sync(s, f->ids, 50, &n_reused, ok));
    assert_int_equal(n_reused, 0);
    OK(session_mark(s, &mark, ok));
    OK(session_sync(s, f->ids, N_PROMPT, &n_reused, ok)); /* goes on */
    assert_int_equal(n_reused, 50);
    OK(session_sync(s, f->ids, N_PROMPT, &n_reused, ok)); /* nothing to do */
    assert_int_equal(n_reused, N_PROMPT);
    assert_int_equal(session_stats(s).n_prefilled, N_PROMPT);

    int32_t other[N_PROMPT];
    memcpy(other, f->ids, sizeof other);
    other[70] ^= 1;
    OK(session_sync(s, other, N_PROMPT, &n_reused, ok)); /* back to the mark */
    assert_int_equal(n_reused, 50);
    append(t, other, N_PROMPT);
    assert_same_logits(s, t);
    other[20] ^= 1;
    OK(session_sync(s, other, N_PROMPT, &n_reused, ok)); /* before any mark */
    assert_int_equal(n_reused, 0);
    session_close(t);
    t = mini_session(f->g, 0, 0);
    append(t, other, N_PROMPT);
    assert_same_logits(s, t);
    session_close(s);
    session_close(t);
}

static void sync_can_shorten(void **state)
{
    struct fixture *f = *state;
    struct session *s = mini_session(f->g, 2, 0), *t = mini_session(f->g, 0, 0);
    size_t n_reused;
    int mark;
    append(s, f->ids, 60);
    OK(session_mark(s, &mark, ok));
    append(s, f->ids + 60, 40);
    OK(session_sync(s, f->ids, 80, &n_reused, ok));
    assert_int_equal(n_reused, 60);
    append(t, f->ids, 80);
    assert_same_logits(s, t);
    OK(session_sync(s, f->ids, 0, &n_reused, ok));
    assert_int_equal(session_n_tokens(s), 0);
    session_close(s);
    session_close(t);
}

/* ---- automatic marks ---------------------------------------------------------- */

static struct session *marking_session(struct engine *g, int n_draft, int every)
{
    const struct session_opts o = {.cap_tokens = 700,
                                   .n_draft = n_draft,
                                   .step_tokens = 10,
                                   .mark_every = every,
                                   .n_auto = 3};
    struct session *s = NULL;
    OK(session_open(&s, g, &o, ok));
    return s;
}

/* How much is reused when the prompt differs at place `at`; must end as a fresh session. */
static size_t reuse_after_change(struct fixture *f, struct session *s, int n_draft, size_t at)
{
    int32_t ids[N_PROMPT], a[N_MORE], b[N_MORE];
    size_t n_reused = 0;
    struct session *fresh = mini_session(f->g, n_draft, 0);
    memcpy(ids, f->ids, sizeof ids);
    ids[at] ^= 1;
    OK(session_sync(s, ids, N_PROMPT, &n_reused, ok));
    append(fresh, ids, N_PROMPT);
    assert_same_logits(s, fresh);
    const int n = decode_greedy(s, a, N_MORE);
    assert_int_equal(decode_greedy(fresh, b, N_MORE), n);
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
    session_close(fresh);
    OK(session_sync(s, f->ids, 0, NULL, ok));
    return n_reused;
}

static void a_long_prompt_can_be_gone_back_into(void **state)
{
    struct fixture *f = *state;
    for (int n_draft = 0; n_draft <= 3; n_draft += 3) {
        static const struct {
            size_t at, reused;
        } WANT[] = {
            {95, 80},
            {80, 80},
            {79, 60},
            {45, 40},
            {39, 0 }  /* the mark at 20 was the oldest of four */
        };
        struct session *s = marking_session(f->g, n_draft, 20);
        for (size_t i = 0; i < COUNT(WANT); i++) {
            append(s, f->ids, N_PROMPT);
            assert_int_equal(reuse_after_change(f, s, n_draft, WANT[i].at), WANT[i].reused);
        }
        session_close(s);
    }
}

static void automatic_marks_leave_the_others_alone(void **state)
{
    struct fixture *f = *state;
    struct session *s = marking_session(f->g, 0, 20);
    int mark;
    size_t n_reused;
    append(s, f->ids, 5);
    OK(session_mark(s, &mark, ok));
    append(s, f->ids + 5, N_PROMPT + N_MORE - 5); /* leaves 85, 105 and 125 */
    OK(session_sync(s, f->ids, 86, &n_reused, ok));
    assert_int_equal(n_reused, 85);
    /* An automatic mark has no logits, so it cannot be an end. */
    OK(session_sync(s, f->ids, 85, &n_reused, ok));
    assert_int_equal(n_reused, 5);
    OK(session_rewind(s, mark, ok));
    assert_int_equal(session_n_tokens(s), 5);
    session_close(s);
}

static void automatic_marks_can_be_turned_off(void **state)
{
    struct fixture *f = *state;
    struct session *s = marking_session(f->g, 0, -1);
    size_t n_reused;
    append(s, f->ids, N_PROMPT);
    OK(session_sync(s, f->ids, 90, &n_reused, ok));
    assert_int_equal(n_reused, 0);
    session_close(s);
}

/* ---- stopping --------------------------------------------------------------- */

static void a_stop_leaves_a_computed_prefix(void **state)
{
    struct fixture *f = *state;
    struct session *s = mini_session(f->g, 2, 8);
    struct err e = {0};
    int32_t out[2];
    append(s, f->ids, 16);
    engine_stop();
    assert_true(engine_stop_requested());
    assert_int_equal(session_append(s, f->ids + 16, 30, &e), QA_E_STOP);
    const struct sampling greedy = sampling_greedy();
    struct rng r;
    rng_init(&r, 1, 1);
    struct burst b;
    const struct decode_args a = {.sampling = &greedy, .rng = &r};
    assert_int_equal(session_decode(s, &a, &b, &e), QA_E_STOP);
    engine_stop_clear();
    assert_int_equal(session_n_tokens(s), 16);
    append(s, f->ids + 16, 30);
    struct session *t = mini_session(f->g, 0, 0);
    append(t, f->ids, 46);
    assert_same_logits(s, t);
    assert_int_equal(decode_greedy(s, out, 2), 2);
    session_close(s);
    session_close(t);
}

/* ---- opening ---------------------------------------------------------------- */

static void impossible_sessions_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct session_opts o;
        const char *text;
    } BAD[] = {
        {{.cap_tokens = 0},                     "cannot hold 0 tokens: 1 to 2147483647"         },
        {{.cap_tokens = 1LL << 31},             "cannot hold 2147483648 tokens: 1 to 2147483647"},
        {{.cap_tokens = 10, .n_draft = 9},      "cannot draft 9 tokens: 0 to 8"                 },
        {{.cap_tokens = 10, .n_draft = -1},     "cannot draft -1 tokens: 0 to 8"                },
        {{.cap_tokens = 10, .n_copy = 9},       "cannot copy 9 tokens: 0 to 8"                  },
        {{.cap_tokens = 10, .n_auto = -1},      "cannot keep -1 automatic marks: 0 to 16"       },
        {{.cap_tokens = 10, .step_tokens = -1}, "cannot read -1 tokens a step: 0 or more"       },
    };
    struct session *s = NULL;
    struct err e = {0};
    for (size_t i = 0; i < COUNT(BAD); i++) {
        assert_int_equal(session_open(&s, f->g, &BAD[i].o, &e), QA_E_USAGE);
        assert_string_equal(e.text, BAD[i].text);
    }
    struct engine_opts o = engine_opts_default();
    struct engine *g = NULL;
    o.model_path = MINI_MOE ".gguf";
    o.is_text_only = true;
    OK(engine_open(&g, &o, ok));
    assert_int_equal(session_open(&s, g, &(struct session_opts){.cap_tokens = 10}, &e),
                     QA_E_USAGE);
    assert_string_equal(e.text, "the model was opened for its text alone");
    assert_null(s);
    engine_close(g);
}

static void impossible_raw_outputs_are_refused(void **state)
{
    struct fixture *f = *state;
    struct engine *dense = mini_open(MINI_DENSE, "ref", KV_F16);
    struct err e = {0};
    float x = 0;
    const struct raw_outputs out = {.logits = &x}, mtp = {.mtp = &x};
    const int32_t bad = 320;
    assert_int_equal(engine_raw(dense, f->ids, 1, 1, &mtp, &e), QA_E_USAGE);
    assert_string_equal(e.text, "the model has no draft layer");
    assert_int_equal(engine_raw(dense, f->ids, 1, 0, &out, &e), QA_E_USAGE);
    assert_string_equal(e.text, "cannot read 0 tokens a step: 1 or more");
    assert_int_equal(engine_raw(dense, f->ids, 1UL << 31, 1, &out, &e), QA_E_USAGE);
    assert_string_equal(e.text, "cannot hold 2147483648 tokens: 1 to 2147483647");
    assert_int_equal(engine_raw(dense, &bad, 1, 1, &out, &e), QA_E_USAGE);
    assert_string_equal(e.text, "token 320 at 0 is not in the vocabulary");
    engine_close(dense);
}

static void a_list_of_ids_cannot_overflow(void **state)
{
    struct ids v = {0};
    struct err e = {0};
    (void)state;
    assert_int_equal(ids_reserve(&v, SIZE_MAX / 2, &e), QA_E_NOMEM);
    assert_string_equal(e.text, "no memory for 9223372036854775807 more tokens");
    assert_null(v.p);
}

static void f32_and_f16_caches_agree_closely(void **state)
{
    struct fixture *f = *state;
    struct engine *wide = mini_open(MINI_MOE, "ref", KV_F32);
    struct session *s = mini_session(f->g, 0, 0), *t = mini_session(wide, 0, 0);
    struct err e = {0};
    append(s, f->ids, N_PROMPT);
    append(t, f->ids, N_PROMPT);
    const float *x = session_logits(s, &e), *y = session_logits(t, &e);
    const double error = relative_error(x, y, (size_t)engine_info(f->g)->n_vocab);
    assert_true(error > 0 && error < 2e-3); /* binary16 keeps 11 bits */
    assert_int_equal(2 * engine_info(f->g)->kv_bytes_per_token,
                     engine_info(wide)->kv_bytes_per_token);
    session_close(s);
    session_close(t);
    engine_close(wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appending_in_parts_gives_what_appending_at_once_gives),
        cmocka_unit_test(logits_are_those_of_the_raw_outputs),
        cmocka_unit_test(a_session_refuses_more_than_its_room_and_stays_as_it_was),
        cmocka_unit_test(ids_outside_the_vocabulary_are_refused),
        cmocka_unit_test(rewinding_and_going_on_gives_the_same_bits),
        cmocka_unit_test(a_mark_while_a_token_is_pending_returns_there),
        cmocka_unit_test(marks_die_when_rewound_past),
        cmocka_unit_test(marks_are_bounded),
        cmocka_unit_test(forks_share_the_past_and_not_the_future),
        cmocka_unit_test(forks_without_drafting_share_whole_pages),
        cmocka_unit_test(a_fork_takes_the_pending_token_along),
        cmocka_unit_test(sync_computes_only_what_is_new),
        cmocka_unit_test(sync_can_shorten),
        cmocka_unit_test(a_long_prompt_can_be_gone_back_into),
        cmocka_unit_test(automatic_marks_leave_the_others_alone),
        cmocka_unit_test(automatic_marks_can_be_turned_off),
        cmocka_unit_test(a_stop_leaves_a_computed_prefix),
        cmocka_unit_test(impossible_sessions_are_refused),
        cmocka_unit_test(impossible_raw_outputs_are_refused),
        cmocka_unit_test(a_list_of_ids_cannot_overflow),
        cmocka_unit_test(f32_and_f16_caches_agree_closely),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
