/* Speculation: what drafting may not change, and how it adapts. */
#include "engine/session.h"
#include "tests/engine/mini.h"

enum { N_PROMPT = 30, N_TEXT = 120 };

struct fixture {
    struct engine *g;
    int32_t ids[N_PROMPT];
};

static int open_fixture(void **state)
{
    static struct fixture f;
    f.g = mini_open(MINI_MOE, "ref", KV_F16);
    fill_ids(f.ids, COUNT(f.ids), 11);
    *state = &f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    engine_close(f->g);
    return 0;
}

/* A session that drafts n tokens every time, whether it pays or not. */
static struct session *open_forced(struct fixture *f, int n_draft)
{
    struct session *s = mini_session(f->g, n_draft, 0);
    s->spec.cost_draft = s->spec.cost_row = 0;
    s->spec.rate = 0.5;
    OK(session_append(s, f->ids, N_PROMPT, ok));
    return s;
}

static void keep_drafting(struct session *s)
{
    s->spec.rate = 0.5;
}

/* Decode up to n tokens; returns how many (a stop token ends it). */
static int decode(struct session *s,
                  const struct decode_args *base,
                  int32_t *out,
                  float *logprob,
                  int n)
{
    int n_out = 0;
    while (n_out < n) {
        struct decode_args a = *base;
        struct burst b;
        a.max_tokens = n - n_out;
        keep_drafting(s);
        OK(session_decode(s, &a, &b, ok));
        assert_true(b.n >= 1 && b.n <= QA_MIN(n - n_out, BURST_MAX));
        for (int i = 0; i < b.n; i++) {
            if (logprob) logprob[n_out] = b.logprob[i];
            out[n_out++] = b.ids[i];
            if (engine_is_stop(s->g, b.ids[i])) {
                assert_int_equal(i, b.n - 1); /* nothing follows a stop token */
                return n_out;
            }
        }
        assert_int_equal(session_n_tokens(s), N_PROMPT + n_out);
    }
    return n_out;
}

static void check_same_text(struct fixture *f, struct decode_args a)
{
    struct session *plain = open_forced(f, 0);
    int32_t want[N_TEXT], got[N_TEXT];
    float want_p[N_TEXT], got_p[N_TEXT];
    struct rng r;
    rng_init(&r, 1, 1);
    a.rng = &r;
    a.n_prompt = N_PROMPT;
    const int n = decode(plain, &a, want, want_p, N_TEXT);
    assert_int_equal(session_stats(plain).n_drafted, 0);
    for (int n_draft = 1; n_draft <= DRAFT_MAX; n_draft++) {
        struct session *s = open_forced(f, n_draft);
        struct err e = {0};
        assert_int_equal(decode(s, &a, got, got_p, N_TEXT), n);
        assert_memory_equal(got, want, (size_t)n * sizeof *got);
        for (int i = 0; i < n; i++)
            assert_true(fabsf(got_p[i] - want_p[i]) < 1e-5f);
        const struct session_stats st = session_stats(s);
        assert_int_equal(st.n_decoded, n);
        assert_true(st.n_drafted > st.n_accepted &&
                    st.n_accepted > 0); /* both ways were taken */
        /* state after all the trials is state without them, to the bit */
        const float *x = session_logits(s, &e), *y = session_logits(plain, &e);
        assert_memory_equal(x, y, (size_t)engine_info(f->g)->n_vocab * sizeof *x);
        session_close(s);
    }
    session_close(plain);
}

static void greedy_text_is_the_same_at_every_chain_length(void **state)
{
    const struct sampling greedy = sampling_greedy();
    check_same_text(*state, (struct decode_args){.sampling = &greedy});
}

static void greedy_text_with_penalties_is_the_same(void **state)
{
    struct sampling p = sampling_greedy();
    p.presence_penalty = 1.5f;
    p.repetition_penalty = 1.1f;
    p.penalty_last_n = 20;
    check_same_text(*state, (struct decode_args){.sampling = &p});
}

/* Forbids what depends on how far the burst has come since the text began. */
struct mask {
    const struct session *s;
};
static void forbid_by_place(void *ctx,
                            const int32_t *burst,
                            int n_burst,
                            float *logits,
                            int n_vocab)
{
    const struct mask *m = ctx;
    const int64_t place = session_n_tokens(m->s) + n_burst;
    const int32_t last =
        n_burst ? burst[n_burst - 1] : session_ids(m->s)[session_n_tokens(m->s) - 1];
    for (int i = 0; i < n_vocab; i++) {
        if ((i + place + last) % 3 == 0) logits[i] = -INFINITY;
    }
}

static void greedy_text_under_a_mask_is_the_same_and_obeys_it(void **state)
{
    struct fixture *f = *state;
    const struct sampling greedy = sampling_greedy();
    struct rng r;
    rng_init(&r, 1, 1);
    int32_t want[N_TEXT], got[N_TEXT];
    struct session *plain = open_forced(f, 0);
    struct mask m = {plain};
    struct decode_args a = {.sampling = &greedy,
                            .rng = &r,
                            .mask = forbid_by_place,
                            .mask_ctx = &m,
                            .n_prompt = N_PROMPT};
    const int n = decode(plain, &a, want, NULL, N_TEXT);
    int32_t last = f->ids[N_PROMPT - 1];
    for (int i = 0; i < n; i++) {
        assert_int_not_equal((want[i] + N_PROMPT + i + last) % 3, 0);
        last = want[i];
    }
    session_close(plain);
    for (int n_draft = 1; n_draft <= DRAFT_MAX; n_draft += 2) {
        struct session *s = open_forced(f, n_draft);
        m.s = s;
        assert_int_equal(decode(s, &a, got, NULL, N_TEXT), n);
        assert_memory_equal(got, want, (size_t)n * sizeof *got);
        session_close(s);
    }
}

/* Lets only the stop token through at one place, and never elsewhere. */
static void force_stop(void *ctx, const int32_t *burst, int n_burst, float *logits, int n_vocab)
{
    const struct mask *m = ctx;
    (void)burst;
    const bool is_place = session_n_tokens(m->s) + n_burst == N_PROMPT + 5;
    for (int i = 0; i < n_vocab; i++) {
        if (engine_is_stop(m->s->g, i) != is_place) logits[i] = -INFINITY;
    }
}

static void a_stop_token_that_was_drafted_ends_the_burst_and_is_computed(void **state)
{
    struct fixture *f = *state;
    const struct sampling greedy = sampling_greedy();
    int n_computed = 0;
    for (int n_draft = 1; n_draft <= DRAFT_MAX; n_draft++) {
        struct session *s = open_forced(f, n_draft), *plain = open_forced(f, 0);
        struct mask m = {s};
        struct rng r;
        int32_t out[N_TEXT];
        rng_init(&r, 1, 1);
        const struct decode_args a = {
            .sampling = &greedy, .rng = &r, .mask = force_stop, .mask_ctx = &m};
        const int n = decode(s, &a, out, NULL, N_TEXT);
        assert_int_equal(n, 6);
        n_computed += !session_has_pending(s);
        OK(session_append(plain, out, (size_t)n, ok));
        struct err e = {0};
        const float *x = session_logits(s, &e), *y = session_logits(plain, &e);
        assert_memory_equal(x, y, (size_t)engine_info(f->g)->n_vocab * sizeof *x);
        session_close(s);
        session_close(plain);
    }
    assert_true(n_computed > 0); /* at least once it was a draft that stood */
}

/* Keys and values of layer l at position pos: one KV head in f16 here. */
static void assert_same_row(const struct session *a,
                            const struct session *b,
                            const struct layer *l,
                            int64_t pos)
{
    const size_t n_bytes = (size_t)a->g->m->d.head_dim * 2;
    const size_t at = (size_t)(pos % PAGE_TOKENS) * n_bytes;
    const char *x = a->cache.mem[pos / PAGE_TOKENS], *y = b->cache.mem[pos / PAGE_TOKENS];
    assert_memory_equal(x + l->attn.k_offset + at, y + l->attn.k_offset + at, n_bytes);
    assert_memory_equal(x + l->attn.v_offset + at, y + l->attn.v_offset + at, n_bytes);
}

static void decoded_memory_is_prefilled_memory(void **state)
{
    struct fixture *f = *state;
    struct sampling p = sampling_greedy();
    int32_t out[N_TEXT];
    struct rng r;
    rng_init(&r, 3, 3);
    p.temp = 1;
    struct session *s = open_forced(f, 4), *t = open_forced(f, 4);
    const struct decode_args a = {.sampling = &p, .rng = &r, .n_prompt = N_PROMPT};
    const int n = decode(s, &a, out, NULL, 90);
    OK(session_append(t, out, (size_t)n, ok));
    int mark_s, mark_t; /* bring both up to date, the draft layer included */
    OK(session_mark(s, &mark_s, ok));
    OK(session_mark(t, &mark_t, ok));
    assert_int_equal(s->n_mtp, N_PROMPT + n);
    assert_memory_equal(s->cache.state, t->cache.state, s->cache.plan->state_bytes);
    const struct dims *d = &f->g->m->d;
    assert_int_equal(d->n_kv, 1);
    for (int i = 0; i < d->n_layers + d->n_draft; i++) {
        const struct layer *l = &f->g->m->layers[i];
        if (!l->is_attention) continue;
        for (int64_t pos = i >= d->n_layers; pos < N_PROMPT + n; pos++)
            assert_same_row(s, t, l, pos);
    }
    session_close(s);
    session_close(t);
}

/* ---- the distribution ------------------------------------------------------- */

/* How often each id comes at place `place` of a burst-wise decoded text, after a fixed start. */
static void count_draws(struct fixture *f,
                        int n_draft,
                        const struct sampling *p,
                        int place,
                        int n,
                        int *seen)
{
    struct session *s = open_forced(f, n_draft);
    struct rng r;
    int mark = -1;
    rng_init(&r, 77, (uint64_t)n_draft);
    OK(session_mark(s, &mark, ok));
    const struct decode_args a = {.sampling = p, .rng = &r, .n_prompt = N_PROMPT};
    for (int i = 0; i < n; i++) {
        int32_t out[8];
        const int n_out = decode(s, &a, out, NULL, place + 1);
        if (n_out == place + 1) seen[out[place]]++;
        OK(session_rewind(s, mark, ok));
    }
    if (n_draft > 0) {
        const struct session_stats st = session_stats(s);
        assert_true(st.n_drafted > st.n_accepted && st.n_accepted > 0);
    }
    session_close(s);
}

/* Two samples from one distribution differ by chi-square; cells seen less than 10
 * times in both together are joined.  Returns the value, *degrees its degrees. */
static double chi_square_two(const int *a, const int *b, int n, int *degrees)
{
    double sum = 0, rest_a = 0, rest_b = 0, total_a = 0, total_b = 0;
    *degrees = -1;
    for (int i = 0; i < n; i++)
        total_a += a[i], total_b += b[i];
    const double to_b = sqrt(total_a / total_b), to_a = 1 / to_b;
    for (int i = 0; i < n; i++) {
        if (a[i] + b[i] < 10) {
            rest_a += a[i], rest_b += b[i];
            continue;
        }
        const double d = a[i] * to_a - b[i] * to_b;
        sum += d * d / (a[i] + b[i]);
        ++*degrees;
    }
    if (rest_a + rest_b >= 10) {
        const double d = rest_a * to_a - rest_b * to_b;
        sum += d * d / (rest_a + rest_b);
        ++*degrees;
    }
    return sum;
}

static void check_distribution(struct fixture *f, const struct sampling *p, int place)
{
    enum { N = 3000, V = 320 };
    static int plain[V], drafted[V];
    int degrees;
    memset(plain, 0, sizeof plain);
    count_draws(f, 0, p, place, N, plain);
    for (int n_draft = 1; n_draft <= 4; n_draft += 3) {
        memset(drafted, 0, sizeof drafted);
        count_draws(f, n_draft, p, place, N, drafted);
        const double x = chi_square_two(plain, drafted, V, &degrees);
        /* the 0.999 point of chi-square, by Wilson and Hilferty's cube */
        const double q = 2.0 / (9.0 * degrees),
                     limit = degrees * pow(1 - q + 3.09 * sqrt(q), 3);
        assert_true(degrees >= 3);
        if (x > limit) fail_msg("place %d, %d drafts: %.1f > %.1f", place, n_draft, x, limit);
    }
}

static void sampled_text_keeps_its_distribution(void **state)
{
    struct sampling p = sampling_greedy();
    p.temp = 0.8f;
    check_distribution(*state, &p, 2); /* the second token after a pending one */
}

static void sampled_text_with_all_filters_keeps_its_distribution(void **state)
{
    struct sampling p = sampling_greedy();
    p.temp = 1.2f;
    p.top_k = 12;
    p.top_p = 0.95f;
    p.min_p = 0.02f;
    p.presence_penalty = 2;
    check_distribution(*state, &p, 2);
}

static void same_seed_gives_the_same_text(void **state)
{
    struct fixture *f = *state;
    struct sampling p = sampling_greedy();
    int32_t a[N_TEXT], b[N_TEXT];
    p.temp = 1;
    p.top_k = 40;
    for (int n_draft = 0; n_draft <= 4; n_draft += 4) {
        int n = 0;
        for (int round = 0; round < 2; round++) {
            struct session *s = open_forced(f, n_draft);
            struct rng r;
            rng_init(&r, 1234, 5);
            const struct decode_args args = {.sampling = &p, .rng = &r, .n_prompt = N_PROMPT};
            const int m = decode(s, &args, round ? b : a, NULL, N_TEXT);
            if (round) assert_int_equal(m, n);
            n = m;
            session_close(s);
        }
        assert_memory_equal(a, b, (size_t)n * sizeof *a);
    }
}

/* ---- how many to draft ------------------------------------------------------ */

static void chains_grow_with_success_and_stop_when_they_do_not_pay(void **state)
{
    (void)state;
    struct spec p = {.n_max = 8, .cost_draft = 0.2, .cost_row = 0.1, .rate = 0.95};
    const int long_chain = spec_length(&p, 8);
    p.rate = 0.6;
    const int short_chain = spec_length(&p, 8);
    assert_true(long_chain > short_chain && short_chain >= 1);
    assert_int_equal(spec_length(&p, 0), 0);
    /* a draft that costs 0.3 of a token must stand 3 times of 10 */
    p.rate = 0.29;
    assert_int_equal(spec_length(&p, 8), 0);
    p.rate = 0.31;
    assert_int_equal(spec_length(&p, 8), 1);
}

static void drafting_is_tried_again_after_a_pause(void **state)
{
    (void)state;
    struct spec p = {.n_max = 3, .cost_draft = 0.2, .cost_row = 0.1, .rate = 0};
    int n_plain = 0;
    while (spec_length(&p, 3) == 0) {
        n_plain++;
        assert_true(n_plain < 1000);
    }
    assert_true(n_plain >= 16);
    while (p.rate < 0.5)
        spec_learn(&p, 1, 1); /* they stand again */
    assert_true(spec_length(&p, 3) >= 1);
}

static void learning_counts_only_drafts_that_were_tried(void **state)
{
    (void)state;
    struct spec a = {.rate = 0.5}, b = {.rate = 0.5}, c = {.rate = 0.5};
    spec_learn(&a, 8, 0); /* one failure: seven were never looked at */
    spec_learn(&b, 1, 0);
    assert_true(a.rate == b.rate && a.rate < 0.5);
    spec_learn(&c, 3, 3);
    assert_true(c.rate > 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_is_the_same_at_every_chain_length),
        cmocka_unit_test(greedy_text_with_penalties_is_the_same),
        cmocka_unit_test(greedy_text_under_a_mask_is_the_same_and_obeys_it),
        cmocka_unit_test(a_stop_token_that_was_drafted_ends_the_burst_and_is_computed),
        cmocka_unit_test(decoded_memory_is_prefilled_memory),
        cmocka_unit_test(sampled_text_keeps_its_distribution),
        cmocka_unit_test(sampled_text_with_all_filters_keeps_its_distribution),
        cmocka_unit_test(same_seed_gives_the_same_text),
        cmocka_unit_test(chains_grow_with_success_and_stop_when_they_do_not_pay),
        cmocka_unit_test(drafting_is_tried_again_after_a_pause),
        cmocka_unit_test(learning_counts_only_drafts_that_were_tried),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
