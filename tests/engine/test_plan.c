/* test_plan.c - a plan says what the engine and its sessions then take. */
#include "tests/engine/mini.h"

#include <malloc.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CAN_COUNT = 0 }; /* a sanitizer's own allocator counts elsewhere */
#else
enum { CAN_COUNT = 1 };
#endif

/* Everything that is allocated, whether it was touched or not. */
static uint64_t allocated(void)
{
    const struct mallinfo2 m = mallinfo2();
    return (uint64_t)m.uordblks + (uint64_t)m.hblkhd;
}

struct wish {
    enum kv_type kv;
    int64_t cap_tokens, n_tokens;
    int n_draft, n_copy, n_sessions, n_marks;
};

enum { SESSIONS_MAX = 12 };

static struct engine_opts opts_of(const struct wish *w)
{
    struct engine_opts o = engine_opts_default();
    o.model_path = MINI_MOE ".gguf";
    o.kernels = "plain";
    o.n_threads = 1;
    o.kv_k = o.kv_v = w->kv;
    o.expect = (struct engine_expect){.cap_tokens = w->cap_tokens,
                                      .n_draft = w->n_draft,
                                      .n_copy = w->n_copy,
                                      .n_sessions = w->n_sessions,
                                      .n_marks = w->n_marks};
    return o;
}

/* The parts that come from malloc: not the file's bytes, which have an image of their
 * own, nor what the program occupied already. */
static uint64_t planned(const struct wish *w)
{
    const struct engine_opts o = opts_of(w);
    struct engine_plan p;
    uint64_t sum = 0;
    OK(engine_plan(&p, &o, ok));
    for (int i = PLAN_VECTORS; i < PLAN_TOKENIZER; i++)
        sum += p.bytes[i];
    return sum;
}

static uint64_t taken(const struct wish *w)
{
    const struct engine_opts o = opts_of(w);
    const struct session_opts so = {
        .cap_tokens = w->cap_tokens, .n_draft = w->n_draft, .n_copy = w->n_copy};
    struct engine_opts text = o;
    struct engine *g = NULL, *only_text = NULL;
    struct session *s[SESSIONS_MAX];
    int32_t *ids = malloc((size_t)w->n_tokens * sizeof *ids);
    assert_non_null(ids);
    fill_ids(ids, (size_t)w->n_tokens, 3);
    /* Container and tokenizer are counted in a part of the plan that has file bytes too. */
    const uint64_t before_text = allocated();
    text.is_text_only = true;
    OK(engine_open(&only_text, &text, ok));
    const uint64_t before = allocated();
    OK(engine_open(&g, &o, ok));
    for (int i = 0; i < w->n_sessions; i++) {
        const size_t last = (size_t)w->n_tokens, part = last / (size_t)(w->n_marks + 1);
        int mark;
        OK(session_open(&s[i], g, &so, ok));
        OK(session_append(s[i], ids, last - (size_t)w->n_marks * part, ok));
        for (int k = 0; k < w->n_marks; k++) { /* at places of their own: none shares pages */
            OK(session_mark(s[i], &mark, ok));
            OK(session_append(s[i], ids, part, ok));
        }
    }
    const uint64_t sum = allocated() - before - (before - before_text);
    for (int i = 0; i < w->n_sessions; i++)
        session_close(s[i]);
    engine_close(g);
    engine_close(only_text);
    free(ids);
    return sum;
}

static void assert_planned(const struct wish *w)
{
    if (!CAN_COUNT) {
        print_message("SKIPPED: under a sanitizer memory cannot be counted\n");
        skip();
    }
    const double plan = (double)planned(w), real = (double)taken(w);
    if (plan < 0.95 * real || plan > 1.05 * real)
        fail_msg("planned %.0f bytes, took %.0f (%.1f %%)", plan, real, 100 * plan / real);
}

static void one_session_with_marks_takes_what_was_planned(void **state)
{
    (void)state;
    assert_planned(&(struct wish){KV_F16, 640, 640, 3, 0, 1, 6});
}

static void automatic_marks_of_a_long_prompt_are_planned(void **state)
{
    (void)state;
    assert_planned(&(struct wish){KV_F16, 4500, 4500, 3, 0, 1, 0});
}

static void compressed_caches_own_pages_in_f16_and_so_do_their_marks(void **state)
{
    (void)state;
    assert_planned(&(struct wish){KV_Q8_0, 1600, 1600, 0, 0, 1, 6});
}

static void sessions_share_what_they_share_and_no_more(void **state)
{
    (void)state;
    assert_planned(&(struct wish){KV_F32, 3000, 3000, 3, 0, 2, 1});
    assert_planned(&(struct wish){KV_F32, 640, 640, 3, 0, SESSIONS_MAX, 0});
}

static void a_prompt_counts_behind_the_tokens_asked_for(void **state)
{
    struct engine_plan short_plan, long_plan;
    struct engine_opts o = opts_of(&(struct wish){KV_F16, 100, 0, 0, 0, 1, 0});
    OK(engine_plan(&short_plan, &o, ok));
    o.expect.prompt = STR("0123456789");
    OK(engine_plan(&long_plan, &o, ok));
    assert_int_equal(short_plan.n_ctx, 100);
    assert_int_equal(long_plan.n_ctx, 110); /* its tokenizer has no merges of digits */
    (void)state;
}

static void a_default_context_is_at_most_the_models_own(void **state)
{
    struct engine_plan p;
    struct engine_opts o = opts_of(&(struct wish){KV_F16, 1 << 24, 0, 0, 0, 1, 0});
    OK(engine_plan(&p, &o, ok));
    assert_int_equal(p.n_ctx, 1 << 24);
    o.expect.is_default = true;
    OK(engine_plan(&p, &o, ok));
    assert_true(p.n_ctx < 1 << 24);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_session_with_marks_takes_what_was_planned),
        cmocka_unit_test(automatic_marks_of_a_long_prompt_are_planned),
        cmocka_unit_test(compressed_caches_own_pages_in_f16_and_so_do_their_marks),
        cmocka_unit_test(sessions_share_what_they_share_and_no_more),
        cmocka_unit_test(a_prompt_counts_behind_the_tokens_asked_for),
        cmocka_unit_test(a_default_context_is_at_most_the_models_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
