/* The whole model against expected outputs: checked-in ones, and reference ones. */
#include "tests/engine/mini.h"

/* Sums in f32 against sums in f64 (numpy), over five layers. */
#define TOL_MINI 1e-5
/* What all engines of this family must reach with f32 arithmetic. */
#define TOL_GOLDEN 1e-4
/* Same verbs on fewer rows: only the order of a few sums may differ. */
#define TOL_STEP 1e-5

struct outputs {
    size_t n_ids, n_vocab, n_embd;
    int32_t *ids;
    struct raw_outputs got;
};

static void outputs_init(struct outputs *o, const struct engine *g, const char *stem)
{
    const struct engine_info *i = engine_info(g);
    *o = (struct outputs){.n_vocab = (size_t)i->n_vocab, .n_embd = (size_t)i->n_embd};
    o->ids = read_values(stem, "tokens", &o->n_ids);
    assert_non_null(o->ids);
    o->got.logits = calloc(o->n_ids * o->n_vocab, sizeof(float));
    o->got.hidden = calloc(o->n_ids * o->n_embd, sizeof(float));
    if (!i->has_draft) return;
    o->got.mtp = malloc(o->n_ids * o->n_vocab * sizeof(float));
    o->got.mtp_hidden = malloc(o->n_ids * o->n_embd * sizeof(float));
}

static void outputs_release(struct outputs *o)
{
    free(o->ids);
    free(o->got.logits);
    free(o->got.hidden);
    free(o->got.mtp);
    free(o->got.mtp_hidden);
}

static void compare(const float *got, const char *stem, const char *ext, double tolerance)
{
    size_t n;
    float *want = read_values(stem, ext, &n);
    if (!want) return; /* not every model has every output */
    assert_non_null(got);
    const double error = relative_error(got, want, n);
    free(want);
    if (!(error <= tolerance)) fail_msg("%s.%s: relative error %.2e", stem, ext, error);
}

static const size_t STEPS[] = {SIZE_MAX, 7, 1, 64};

/* With the first n_steps of STEPS: one at a time takes seconds on larger models. */
static void check_model(const char *stem, size_t n_steps, double tolerance)
{
    struct engine *g = mini_open(stem, "ref", KV_F32);
    struct outputs o;
    outputs_init(&o, g, stem);
    for (size_t i = 0; i < n_steps; i++) {
        const size_t step = QA_MIN(STEPS[i], o.n_ids);
        OK(engine_raw(g, o.ids, o.n_ids, step, &o.got, ok));
        compare(o.got.logits, stem, "logits", tolerance);
        compare(o.got.hidden, stem, "hidden", tolerance);
        compare(o.got.mtp, stem, "mtp", tolerance);
        compare(o.got.mtp_hidden, stem, "mtp_hidden", tolerance);
    }
    outputs_release(&o);
    engine_close(g);
}

static void mixture_with_draft_layer_computes_what_was_recorded(void **fixture)
{
    (void)fixture;
    check_model(MINI_MOE, COUNT(STEPS), TOL_MINI);
}

static void dense_model_with_tied_head_computes_what_was_recorded(void **fixture)
{
    (void)fixture;
    check_model(MINI_DENSE, COUNT(STEPS), TOL_MINI);
}

static void draft_row_of_the_first_token_is_zero(void **fixture)
{
    (void)fixture;
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F32);
    struct outputs o;
    outputs_init(&o, g, MINI_MOE);
    OK(engine_raw(g, o.ids, 1, 1, &o.got, ok));
    for (size_t i = 0; i < o.n_vocab; i++)
        assert_true(o.got.mtp[i] == 0.0f);
    for (size_t i = 0; i < o.n_embd; i++)
        assert_true(o.got.mtp_hidden[i] == 0.0f);
    outputs_release(&o);
    engine_close(g);
}

static void any_step_size_gives_what_one_at_a_time_gives(void **fixture)
{
    (void)fixture;
    enum { N = 150 }; /* more than two pages */
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16);
    const size_t n_vocab = (size_t)engine_info(g)->n_vocab;
    int32_t ids[N];
    fill_ids(ids, N, 3);
    struct raw_outputs one = {.logits = calloc(N * n_vocab, 4), .mtp = calloc(N * n_vocab, 4)};
    struct raw_outputs many = {.logits = calloc(N * n_vocab, 4), .mtp = calloc(N * n_vocab, 4)};
    OK(engine_raw(g, ids, N, 1, &one, ok));
    for (size_t step = 2; step <= N; step = step * 2 + 1) {
        OK(engine_raw(g, ids, N, step, &many, ok));
        assert_true(relative_error(many.logits, one.logits, N * n_vocab) < TOL_STEP);
        assert_true(relative_error(many.mtp, one.mtp, N * n_vocab) < TOL_STEP);
    }
    free(one.logits), free(one.mtp), free(many.logits), free(many.mtp);
    engine_close(g);
}

/* ---- reference files -------------------------------------------------------- */

static void check_golden(const char *name, size_t n_steps)
{
    const char *shared = getenv("QAGENT_SHARED");
    char stem[400], path[420];
    snprintf(stem, sizeof stem, "%s/reference/golden/%s", shared ? shared : "", name);
    snprintf(path, sizeof path, "%s.gguf", stem);
    FILE *f = shared ? fopen(path, "rb") : NULL;
    if (!f) {
        fprintf(stderr, "SKIPPED: no reference model '%s' (QAGENT_SHARED)\n", name);
        skip();
    }
    fclose(f);
    check_model(stem, n_steps, TOL_GOLDEN);
}

#define GOLDEN(function, name, n_steps)  \
    static void function(void **fixture) \
    {                                    \
        (void)fixture;                   \
        check_golden(name, n_steps);     \
    }
GOLDEN(nano_f16_agrees_with_the_reference, "nano-f16", COUNT(STEPS))
GOLDEN(nano_dense_f16_agrees_with_the_reference, "nano-dense-f16", COUNT(STEPS))
GOLDEN(nano_q8_0_agrees_with_the_reference, "nano-q8_0", COUNT(STEPS))
GOLDEN(nano_q4_k_m_agrees_with_the_reference, "nano-q4_k_m", COUNT(STEPS))
GOLDEN(nano_iq4_nl_agrees_with_the_reference, "nano-iq4_nl", COUNT(STEPS))

/* Mean divergence of the token distributions, the expected ones first. */
static double mean_kl(const float *want, const float *got, size_t n_rows, size_t n)
{
    double sum = 0;
    for (size_t t = 0; t < n_rows; t++) {
        const float *p = want + t * n, *q = got + t * n;
        double p_most = (double)p[0], q_most = (double)q[0], p_sum = 0, q_sum = 0, kl = 0;
        for (size_t i = 1; i < n; i++) {
            p_most = fmax(p_most, (double)p[i]);
            q_most = fmax(q_most, (double)q[i]);
        }
        for (size_t i = 0; i < n; i++) {
            p_sum += exp((double)p[i] - p_most);
            q_sum += exp((double)q[i] - q_most);
        }
        for (size_t i = 0; i < n; i++) {
            const double lp = (double)p[i] - p_most - log(p_sum);
            const double lq = (double)q[i] - q_most - log(q_sum);
            kl += exp(lp) * (lp - lq);
        }
        sum += kl;
    }
    return sum / (double)n_rows;
}

/* Kernels with 8-bit activations against the reference: what a good engine reaches with
 * them (the figure beside each model), and half of it again. */
static void eight_bits_stay_near_the_reference(void **fixture)
{
    (void)fixture;
    static const struct {
        const char *name;
        double kl;
    } MODELS[] = {
        {"nano-f16",       2.1e-4},
        {"nano-dense-f16", 1.9e-7},
        {"nano-q8_0",      1.8e-3},
        {"nano-q4_k_m",    1.9e-3},
        {"nano-iq4_nl",    1.3e-4}
    };
    const char *shared = getenv("QAGENT_SHARED");
    for (size_t i = 0; i < COUNT(MODELS); i++) {
        char stem[400];
        size_t n;
        snprintf(stem, sizeof stem, "%s/reference/golden/%s", shared ? shared : "",
                 MODELS[i].name);
        float *want = read_values(stem, "logits", &n);
        if (!want) {
            fprintf(stderr, "SKIPPED: no reference model '%s' (QAGENT_SHARED)\n",
                    MODELS[i].name);
            skip();
        }
        struct engine *g = mini_open(stem, "plain", KV_F16);
        struct outputs o;
        outputs_init(&o, g, stem);
        OK(engine_raw(g, o.ids, o.n_ids, o.n_ids, &o.got, ok));
        const double kl = mean_kl(want, o.got.logits, o.n_ids, o.n_vocab);
        printf("    %-16s mean KL %.2e of %.2e\n", MODELS[i].name, kl, 1.5 * MODELS[i].kl);
        if (!(kl <= 1.5 * MODELS[i].kl)) fail_msg("%s: mean KL %.2e", MODELS[i].name, kl);
        outputs_release(&o);
        engine_close(g);
        free(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixture_with_draft_layer_computes_what_was_recorded),
        cmocka_unit_test(dense_model_with_tied_head_computes_what_was_recorded),
        cmocka_unit_test(draft_row_of_the_first_token_is_zero),
        cmocka_unit_test(any_step_size_gives_what_one_at_a_time_gives),
        cmocka_unit_test(nano_f16_agrees_with_the_reference),
        cmocka_unit_test(nano_dense_f16_agrees_with_the_reference),
        cmocka_unit_test(nano_q8_0_agrees_with_the_reference),
        cmocka_unit_test(nano_q4_k_m_agrees_with_the_reference),
        cmocka_unit_test(nano_iq4_nl_agrees_with_the_reference),
        cmocka_unit_test(eight_bits_stay_near_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
