/* Traced verbs: nothing changes, everything is counted, what is wrong is seen. */
#include "engine/session.h"
#include "engine/trace.h"
#include "tests/engine/mini.h"

enum { N = 40 };

static struct engine *open_traced(const char *stem, const char *kernels, enum trace_mode trace)
{
    char path[512];
    snprintf(path, sizeof path, "%s.gguf", stem);
    struct engine_opts o = engine_opts_default();
    struct engine *g = NULL;
    o.model_path = path;
    o.kernels = kernels;
    o.n_threads = 1;
    o.trace = trace;
    OK(engine_open(&g, &o, ok));
    return g;
}

/* Prompt, some tokens with drafts, and what is predicted then. */
static float *run(struct engine *g)
{
    int32_t ids[N];
    const struct session_opts o = {.cap_tokens = 200, .n_draft = 3, .n_copy = 8};
    const struct sampling greedy = sampling_greedy();
    struct session *s = NULL;
    struct err e = {0};
    struct rng r;
    fill_ids(ids, N, 3);
    rng_init(&r, 1, 1);
    g->costs =
        (struct spec_costs){.plain_s = 1, .row_s = 0.1, .draft_s = 0.1, .is_fixed = true};
    OK(session_open(&s, g, &o, ok));
    OK(session_append(s, ids, N, ok));
    const struct decode_args a = {.sampling = &greedy, .rng = &r};
    for (int i = 0; i < 20; i++) {
        struct burst b;
        OK(session_decode(s, &a, &b, ok));
    }
    const size_t n_bytes = (size_t)g->info.n_vocab * sizeof(float);
    float *logits = malloc(n_bytes);
    assert_non_null(logits);
    memcpy(logits, session_logits(s, &e), n_bytes);
    session_close(s);
    return logits;
}

static void tracing_changes_nothing(void **state)
{
    (void)state;
    static const char *const STEMS[] = {MINI_MOE, MINI_DENSE};
    for (size_t i = 0; i < COUNT(STEMS); i++) {
        struct engine *plain = open_traced(STEMS[i], "plain", TRACE_OFF);
        float *want = run(plain);
        assert_int_equal(engine_verb(plain, VERB_MATMUL).n_calls, 0);
        for (int mode = TRACE_COUNT; mode <= TRACE_CHECK; mode++) {
            struct engine *g = open_traced(STEMS[i], "plain", (enum trace_mode)mode);
            assert_string_equal(g->info.kernels, "plain");
            float *got = run(g);
            assert_memory_equal(got, want, (size_t)g->info.n_vocab * sizeof *got);
            assert_true(engine_verb(g, VERB_MATMUL).n_calls > 0);
            engine_verbs_reset(g);
            assert_int_equal(engine_verb(g, VERB_MATMUL).n_calls, 0);
            free(got);
            engine_close(g);
        }
        free(want);
        engine_close(plain);
    }
}

static void the_bytes_of_a_plain_step_are_those_of_its_weights_and_memory(void **state)
{
    (void)state;
    struct engine *g = open_traced(MINI_MOE, "plain", TRACE_COUNT);
    const struct session_opts o = {.cap_tokens = 200};
    int32_t ids[N];
    struct session *s = NULL;
    fill_ids(ids, N, 3);
    OK(session_open(&s, g, &o, ok));
    OK(session_append(s, ids, N - 1, ok));
    engine_verbs_reset(g);
    OK(session_append(s, ids + N - 1, 1, ok));
    double weights = 0;
    static const enum verb READ[] = {VERB_EMBED, VERB_MATMUL, VERB_ROUTE, VERB_EXPERTS};
    for (size_t i = 0; i < COUNT(READ); i++)
        weights += engine_verb(g, READ[i]).bytes;
    /* Rows in and out come on top: a few per cent where layers are this narrow. */
    const double want = (double)g->info.decode_bytes;
    if (weights < 0.97 * want || weights > 1.2 * want)
        fail_msg("%.0f bytes counted, %.0f bytes of weights", weights, want);
    const double state_bytes =
        engine_verb(g, VERB_DELTA).bytes + engine_verb(g, VERB_CONV).bytes;
    assert_true(state_bytes >= 2.0 * (double)g->info.state_bytes);
    assert_true(state_bytes <= 3.0 * (double)g->info.state_bytes);
    const double kv = (double)N * (double)g->info.kv_bytes_per_token;
    assert_true(engine_verb(g, VERB_ATTN).bytes > 0.3 * kv); /* the draft layer's is not read */
    session_close(s);
    engine_close(g);
}

static void kernels_agree_with_ref_verb_by_verb(void **state)
{
    (void)state;
    static const char *const KERNELS[] = {"ref", "plain"};
    for (size_t i = 0; i < COUNT(KERNELS); i++) {
        struct engine *g = open_traced(MINI_MOE, KERNELS[i], TRACE_CHECK);
        free(run(g));
        for (int v = 0; v < VERB_COUNT; v++) {
            const struct verb_stats s = engine_verb(g, (enum verb)v);
            const bool is_used = v != VERB_FFN && v != VERB_PICK;
            if ((s.n_checked > 0) != is_used) fail_msg("%s", verb_name((enum verb)v));
            const double most = i == 0 ? 0 : v == VERB_ROUTE ? 1 : 0.05;
            if (s.worst > most)
                fail_msg("%s: %s is off by %g", KERNELS[i], verb_name((enum verb)v), s.worst);
        }
        assert_true(i == 0 || engine_verb(g, VERB_MATMUL).worst > 0);
        engine_close(g);
    }
}

static const struct ops *honest;
static void wrong_norm(struct device *d, const struct norm_args *a)
{
    honest->norm(d, a);
    if (a->n > 3) a->out[3] *= 1.01f;
}

static void a_verb_that_is_wrong_is_seen(void **state)
{
    (void)state;
    enum { WIDTH = 8 };
    honest = ref_ops();
    struct ops broken = *honest;
    broken.norm = wrong_norm;
    const struct ops *ops = &broken;
    struct device *d = NULL;
    OK(ops->open(&d, &(struct device_opts){1}, ok));
    OK(trace_wrap(&ops, &d, true, (struct engine_tracer){0}, ok));
    float x[WIDTH] = {1, 2, 3, 4, 5, 6, 7, 8}, w[WIDTH] = {1, 1, 1, 1, 1, 1, 1, 1}, out[WIDTH];
    const struct norm_args a = {
        .out = out, .x = x, .w = w, .n_rows = 1, .n = WIDTH, .eps = 1e-6f};
    ops->norm(d, &a);
    const struct verb_stats s = trace_stats(d, VERB_NORM);
    /* 1 % of the fourth of eight values: 0.01 * 4 / |1..8| */
    assert_true(fabs(s.worst - 0.04 / sqrt(204)) < 1e-5);
    assert_int_equal(s.n_checked, 1);
    x[0] = NAN;
    ops->norm(d, &a);
    assert_true(isinf(trace_stats(d, VERB_NORM).worst));
    assert_int_equal(trace_stats(d, VERB_NORM).i_worst, 1);
    ops->close(d);
}

enum { OUTPUTS_MAX = 20000 };
struct outputs {
    struct verb_output p[OUTPUTS_MAX];
    int n;
};

static void on_output(void *ctx, const struct verb_output *o)
{
    struct outputs *all = ctx;
    assert_true(all->n < OUTPUTS_MAX);
    all->p[all->n++] = *o;
}

static struct outputs *outputs_of(const char *stem, const char *kernels)
{
    char path[512];
    snprintf(path, sizeof path, "%s.gguf", stem);
    struct outputs *all = calloc(1, sizeof *all);
    assert_non_null(all);
    struct engine_opts o = engine_opts_default();
    struct engine *g = NULL;
    int32_t ids[N];
    o.model_path = path;
    o.kernels = kernels;
    o.n_threads = 1;
    o.trace = TRACE_COUNT;
    o.tracer = (struct engine_tracer){on_output, all};
    OK(engine_open(&g, &o, ok));
    fill_ids(ids, N, 3);
    const size_t n_embd = (size_t)engine_info(g)->n_embd;
    struct raw_outputs raw = {.hidden = calloc(N * n_embd, sizeof(float))};
    OK(engine_raw(g, ids, N, 16, &raw, ok));
    free(raw.hidden);
    engine_close(g);
    return all;
}

/* Place of the first output that is not the same in both; -1: none. */
static int first_difference(const struct outputs *a, const struct outputs *b)
{
    for (int i = 0; i < a->n && i < b->n; i++) {
        if (a->p[i].verb != b->p[i].verb || a->p[i].i_call != b->p[i].i_call ||
            a->p[i].i_output != b->p[i].i_output || a->p[i].n != b->p[i].n ||
            a->p[i].sum != b->p[i].sum)
            return i;
    }
    return a->n == b->n ? -1 : QA_MIN(a->n, b->n);
}

static void two_runs_of_one_kernel_set_have_the_same_checksums(void **state)
{
    (void)state;
    static const char *const STEMS[] = {MINI_MOE, MINI_DENSE};
    for (size_t i = 0; i < COUNT(STEMS); i++) {
        struct outputs *a = outputs_of(STEMS[i], "plain"), *b = outputs_of(STEMS[i], "plain");
        assert_true(a->n > 50);
        assert_int_equal(first_difference(a, b), -1);
        free(a);
        free(b);
    }
}

/* The embedding is looked up alike; the first verb that computes otherwise is named, and
 * its output is nearly the same. */
static void another_kernel_set_differs_first_in_a_verb_with_a_name(void **state)
{
    (void)state;
    struct outputs *a = outputs_of(MINI_MOE, "ref"), *b = outputs_of(MINI_MOE, "plain");
    const int i = first_difference(a, b);
    assert_true(i > 0 && i < a->n);
    assert_int_equal(a->p[0].verb, VERB_EMBED);
    assert_int_equal(a->p[i].verb, b->p[i].verb);
    assert_int_equal(a->p[i].n, b->p[i].n);
    assert_true(a->p[i].verb == VERB_NORM || a->p[i].verb == VERB_MATMUL);
    assert_true(fabs(a->p[i].rms - b->p[i].rms) < 0.01 * a->p[i].rms);
    printf("    first difference of ref and plain: %s, call %d\n", verb_name(a->p[i].verb),
           (int)a->p[i].i_call);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_runs_of_one_kernel_set_have_the_same_checksums),
        cmocka_unit_test(another_kernel_set_differs_first_in_a_verb_with_a_name),
        cmocka_unit_test(tracing_changes_nothing),
        cmocka_unit_test(the_bytes_of_a_plain_step_are_those_of_its_weights_and_memory),
        cmocka_unit_test(kernels_agree_with_ref_verb_by_verb),
        cmocka_unit_test(a_verb_that_is_wrong_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
