/* Shaping and drawing, against what the definitions say. */
#include "engine/sampler.h"
#include "tests/engine/mini.h"

enum { V = 6 };
static const float LOGITS[V] = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f, 0.5f};

struct bench {
    struct sampler s;
    struct dist d;
};

static int open_bench(void **state)
{
    static struct bench b;
    OK(sampler_init(&b.s, V, ok));
    OK(dist_init(&b.d, V, ok));
    *state = &b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    sampler_release(&b->s);
    dist_release(&b->d);
    return 0;
}

static void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%.9g, must be %.9g", got, want);
}

static struct sampling plain(float temp)
{
    struct sampling p = sampling_greedy();
    p.temp = temp;
    return p;
}

static const struct dist *shape(struct bench *b, const struct sampling *p)
{
    const struct sampler_past past = {0};
    sampler_shape(&b->s, LOGITS, p, &past, &b->d);
    return &b->d;
}

static double softmax(const float *x, int i, double temp)
{
    double sum = 0;
    for (int k = 0; k < V; k++)
        sum += exp((double)x[k] / temp);
    return exp((double)x[i] / temp) / sum;
}

static void greedy_takes_the_largest_and_the_lowest_id_on_a_tie(void **state)
{
    const struct sampling p = sampling_greedy();
    const struct dist *d = shape(*state, &p);
    assert_int_equal(d->n, 1);
    assert_int_equal(d->c[0].id, 1);
    assert_near((double)d->c[0].p, 1, 0);
}

static void temperature_divides_logits(void **state)
{
    for (float temp = 0.5f; temp <= 2; temp *= 2) {
        const struct sampling p = plain(temp);
        const struct dist *d = shape(*state, &p);
        assert_int_equal(d->n, V);
        for (int i = 0; i < V; i++) {
            assert_near((double)dist_p(d, i), softmax(LOGITS, i, (double)temp), 1e-6);
        }
    }
}

static void top_k_keeps_the_k_best_lower_ids_first(void **state)
{
    struct sampling p = plain(1);
    p.top_k = 1;
    assert_int_equal(shape(*state, &p)->c[0].id, 1);
    p.top_k = 3;
    const struct dist *d = shape(*state, &p);
    assert_int_equal(d->n, 3);
    assert_int_equal(d->c[0].id, 1);
    assert_int_equal(d->c[1].id, 3);
    assert_int_equal(d->c[2].id, 2);
    const double sum = 2 * exp(3) + exp(2);
    assert_near((double)d->c[2].p, exp(2) / sum, 1e-6);
    p.top_k = V + 3; /* more than there are: off */
    assert_int_equal(shape(*state, &p)->n, V);
}

static void top_p_keeps_the_smallest_set_that_reaches_it(void **state)
{
    struct sampling p = plain(1);
    const double two = softmax(LOGITS, 1, 1) + softmax(LOGITS, 3, 1);
    p.top_p = (float)(two - 0.01);
    assert_int_equal(shape(*state, &p)->n, 2);
    p.top_p = (float)(two + 0.01);
    assert_int_equal(shape(*state, &p)->n, 3);
    p.top_p = 0.01f;
    assert_int_equal(shape(*state, &p)->n, 1); /* never none */
    assert_int_equal(shape(*state, &p)->c[0].id, 1);
}

static void top_p_looks_at_what_top_k_left(void **state)
{
    struct sampling p = plain(1);
    p.top_k = 3;
    p.top_p = 0.8f; /* of three: 0.42 + 0.42 reach it; of all: 0.36 + 0.36 do not */
    assert_int_equal(shape(*state, &p)->n, 2);
}

static void min_p_is_relative_to_the_best(void **state)
{
    struct sampling p = plain(1);
    p.min_p = 0.3f; /* e^-1 = 0.37 stays, e^-2 goes */
    assert_int_equal(shape(*state, &p)->n, 3);
    p.min_p = 0.4f;
    assert_int_equal(shape(*state, &p)->n, 2);
    p.min_p = 5; /* nonsense keeps the best */
    assert_int_equal(shape(*state, &p)->n, 2);
}

/* ---- penalties and mask ----------------------------------------------------- */

static void penalties_touch_each_seen_token_once(void **state)
{
    struct bench *b = *state;
    static const int32_t IDS[] = {4, 1, 1, 1}, BURST[] = {2, 1};
    struct sampling p = plain(1);
    p.presence_penalty = 0.5f;
    p.repetition_penalty = 2;
    const struct sampler_past past = {.ids = IDS, .n_ids = 4, .burst = BURST, .n_burst = 2};
    sampler_shape(&b->s, LOGITS, &p, &past, &b->d);
    /* positive logits are divided, negative ones multiplied, then presence is taken off */
    static const float WANT[V] = {1, 1.0f, 0.5f, 3, -2.5f, 0.5f};
    for (int i = 0; i < V; i++) {
        assert_near((double)dist_p(&b->d, i), softmax(WANT, i, 1), 1e-6);
    }
}

static void penalties_look_back_only_so_far(void **state)
{
    struct bench *b = *state;
    static const int32_t IDS[] = {0, 1, 3}, BURST[] = {2};
    struct sampling p = plain(1);
    p.presence_penalty = 1;
    p.penalty_last_n = 2; /* 3 and 2 */
    const struct sampler_past past = {.ids = IDS, .n_ids = 3, .burst = BURST, .n_burst = 1};
    sampler_shape(&b->s, LOGITS, &p, &past, &b->d);
    static const float WANT[V] = {1, 3, 1, 2, -1, 0.5f};
    for (int i = 0; i < V; i++) {
        assert_near((double)dist_p(&b->d, i), softmax(WANT, i, 1), 1e-6);
    }
}

static void forbid_odd(void *ctx, const int32_t *burst, int n_burst, float *logits, int n_vocab)
{
    (void)burst, (void)n_burst;
    for (int i = 1; i < n_vocab; i += 2)
        logits[i] = -INFINITY;
    ++*(int *)ctx;
}

static void masked_tokens_have_no_share(void **state)
{
    struct bench *b = *state;
    int n_calls = 0;
    const struct sampler_past past = {.mask = forbid_odd, .mask_ctx = &n_calls};
    const double sum = exp(1) + exp(2) + exp(-1);
    for (int top_k = 0; top_k <= 4; top_k += 4) {
        struct sampling p = plain(1);
        p.top_k = top_k;
        sampler_shape(&b->s, LOGITS, &p, &past, &b->d);
        assert_int_equal(b->d.n, 3);
        assert_near((double)dist_p(&b->d, 2), exp(2) / sum, 1e-6);
        assert_near((double)dist_p(&b->d, 1), 0, 0);
    }
    const struct sampling greedy = sampling_greedy();
    sampler_shape(&b->s, LOGITS, &greedy, &past, &b->d);
    assert_int_equal(b->d.c[0].id, 2);
    assert_int_equal(n_calls, 3);
}

static void log_probabilities_know_the_mask_but_not_temperature_or_penalties(void **state)
{
    struct bench *b = *state;
    static const int32_t IDS[] = {2};
    int n_calls = 0;
    struct sampling p = plain(0.3f);
    p.repetition_penalty = 3;
    p.top_k = 1;
    const struct sampler_past past = {
        .ids = IDS, .n_ids = 1, .mask = forbid_odd, .mask_ctx = &n_calls, .want_logprob = true};
    sampler_shape(&b->s, LOGITS, &p, &past, &b->d);
    const double sum = exp(1) + exp(2) + exp(-1);
    assert_near((double)sampler_logprob(&b->s, LOGITS, 2), 2 - log(sum), 1e-6);
}

static void banned_tokens_have_no_share(void **state)
{
    struct bench *b = *state;
    static const int32_t BANNED[] = {1, 3, 99, -1}; /* ids out of range do no harm */
    const struct sampler_past past = {.banned = BANNED, .n_banned = 4, .want_logprob = true};
    const struct sampling p = plain(1), greedy = sampling_greedy();
    sampler_shape(&b->s, LOGITS, &p, &past, &b->d);
    const double sum = exp(1) + exp(2) + exp(-1) + exp(0.5);
    assert_int_equal(b->d.n, 4);
    assert_near((double)dist_p(&b->d, 2), exp(2) / sum, 1e-6);
    assert_near((double)sampler_logprob(&b->s, LOGITS, 2), 2 - log(sum), 1e-6);
    sampler_shape(&b->s, LOGITS, &greedy, &past, &b->d);
    assert_int_equal(b->d.c[0].id, 2);
}

static void the_likeliest_are_reported_best_first(void **state)
{
    struct bench *b = *state;
    struct token_prob top[V + 2];
    static const int32_t IDS[] = {1}, BANNED[] = {0};
    struct sampling p = plain(0.2f); /* neither temperature nor penalties show */
    p.presence_penalty = 2;
    struct sampler_past past = {.ids = IDS,
                                .n_ids = 1,
                                .banned = BANNED,
                                .n_banned = 1,
                                .want_logprob = true,
                                .n_top = 3,
                                .top = top};
    sampler_shape(&b->s, LOGITS, &p, &past, &b->d);
    const double sum = 2 * exp(3) + exp(2) + exp(-1) + exp(0.5);
    static const int32_t WANT[] = {1, 3, 2, 5, 4};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(top[i].id, WANT[i]); /* 1 before 3: the lower id on a tie */
        assert_near((double)top[i].logprob, (double)LOGITS[WANT[i]] - log(sum), 1e-6);
    }
    past.n_top = V + 2; /* more than there are */
    sampler_shape(&b->s, LOGITS, &p, &past, &b->d);
    for (int i = 0; i < V + 2; i++)
        assert_int_equal(top[i].id, i < V - 1 ? WANT[i] : -1);
}

static void a_list_is_the_whole_row_with_the_others_forbidden(void **state)
{
    struct bench *b = *state;
    static const int32_t LIST[] = {0, 1, 4, 2}, BANNED[] = {0, 3, 5}, IDS[] = {2, 5};
    float part[4];
    for (int i = 0; i < 4; i++)
        part[i] = LOGITS[LIST[i]];
    struct sampling p = plain(0.8f);
    p.presence_penalty = 0.7f;
    for (int top_k = 0; top_k <= 2; top_k += 2) {
        p.top_k = top_k;
        struct sampler_past past = {.ids = IDS, .n_ids = 2, .banned = BANNED, .n_banned = 3};
        struct dist want;
        OK(dist_init(&want, V, ok));
        sampler_shape(&b->s, LOGITS, &p, &past, &want);
        past.list = LIST;
        past.n_list = 4;
        past.banned = BANNED;
        past.n_banned = 1; /* 3 and 5 are not on the list anyway */
        sampler_shape(&b->s, part, &p, &past, &b->d);
        assert_int_equal(b->d.n, want.n);
        for (int i = 0; i < V; i++)
            assert_near((double)dist_p(&b->d, i), (double)dist_p(&want, i), 1e-7);
        dist_release(&want);
    }
}

static void rows_that_are_not_numbers_still_give_an_id(void **state)
{
    struct bench *b = *state;
    const float bad[V] = {NAN, NAN, 2, NAN, INFINITY, NAN},
                worse[V] = {NAN, NAN, NAN, NAN, NAN, NAN};
    const struct sampler_past past = {0};
    for (float temp = 0; temp <= 1; temp++) {
        const struct sampling p = plain(temp);
        sampler_shape(&b->s, bad, &p, &past, &b->d);
        assert_int_equal(b->d.c[0].id, 4);
        sampler_shape(&b->s, worse, &p, &past, &b->d);
        assert_int_equal(b->d.n, 1);
        assert_true(b->d.c[0].id >= 0 && b->d.c[0].id < V);
    }
}

/* ---- all together, against the definition -------------------------------------- */

enum { IDS = 400 };
struct ranked {
    int32_t id;
    double logit, p;
};

static int by_logit(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static bool is_in(const int32_t *ids, size_t n, int32_t id)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == id) return true;
    }
    return false;
}

/* The definition, in f64 and by sorting everything.  Fills p [IDS]. */
static void define(const float *logits,
                   const struct sampling *s,
                   const struct sampler_past *past,
                   double *p)
{
    static struct ranked r[IDS];
    int n = 0;
    size_t window = s->penalty_last_n > 0 ? (size_t)s->penalty_last_n : SIZE_MAX;
    const size_t n_burst = QA_MIN((size_t)past->n_burst, window);
    const size_t n_ids = QA_MIN(past->n_ids, window - n_burst);
    for (int32_t i = 0; i < IDS; i++) {
        double x = (double)logits[i];
        if (is_in(past->banned, past->n_banned, i)) continue;
        if (is_in(past->burst + (size_t)past->n_burst - n_burst, n_burst, i) ||
            is_in(past->ids + past->n_ids - n_ids, n_ids, i)) {
            x = x > 0 ? x / (double)s->repetition_penalty : x * (double)s->repetition_penalty;
            x -= (double)s->presence_penalty;
        }
        r[n++] = (struct ranked){i, x, 0};
    }
    qsort(r, (size_t)n, sizeof *r, by_logit);
    if (s->temp <= 0) n = 1;
    if (s->top_k > 0) n = QA_MIN(n, s->top_k);
    double sum = 0, held = 0;
    for (int i = 0; i < n; i++)
        sum += r[i].p = s->temp > 0 ? exp((r[i].logit - r[0].logit) / (double)s->temp) : 1;
    int kept = 0;
    while (kept < n && (kept == 0 || held < (double)s->top_p * sum))
        held += r[kept++].p;
    if (s->top_p >= 1) kept = n;
    while (kept > 1 && r[kept - 1].p < (double)s->min_p)
        kept--;
    sum = 0;
    for (int i = 0; i < kept; i++)
        sum += r[i].p;
    for (int i = 0; i < IDS; i++)
        p[i] = 0;
    for (int i = 0; i < kept; i++)
        p[r[i].id] = r[i].p / sum;
}

static float pick_one(struct rng *r, const float *of, uint32_t n)
{
    return of[rng_below(r, n)];
}

static void every_mixture_of_parameters_is_what_the_definition_says(void **state)
{
    (void)state;
    static const float TEMPS[] = {0, 0.3f, 0.6f, 1, 2}, TOP_P[] = {1, 0.95f, 0.5f, 0.05f},
                       MIN_P[] = {0, 0.01f, 0.2f}, PRESENCE[] = {0, 0.5f, 1.5f, -0.5f},
                       REPETITION[] = {1, 1.1f, 0.9f}, TOP_K[] = {0, 1, 7, 50, 1000},
                       LAST[] = {0, 1, 5, 64};
    struct sampler s;
    struct dist d;
    struct rng r;
    float logits[IDS];
    double want[IDS];
    int32_t ids[60], burst[6], banned[9];
    OK(sampler_init(&s, IDS, ok));
    OK(dist_init(&d, IDS, ok));
    rng_init(&r, 31, 1);
    for (int round = 0; round < 3000; round++) {
        /* every third row has many ties */
        for (int i = 0; i < IDS; i++) {
            const float x = (float)(12 * rng_unit(&r) - 6);
            logits[i] = round % 3 ? x : roundf(x);
        }
        for (size_t i = 0; i < COUNT(ids); i++)
            ids[i] = (int32_t)rng_below(&r, IDS);
        for (size_t i = 0; i < COUNT(burst); i++)
            burst[i] = (int32_t)rng_below(&r, IDS);
        for (size_t i = 0; i < COUNT(banned); i++)
            banned[i] = (int32_t)rng_below(&r, IDS);
        const struct sampling p = {
            .temp = pick_one(&r, TEMPS, COUNT(TEMPS)),
            .top_k = (int)pick_one(&r, TOP_K, COUNT(TOP_K)),
            .top_p = pick_one(&r, TOP_P, COUNT(TOP_P)),
            .min_p = pick_one(&r, MIN_P, COUNT(MIN_P)),
            .presence_penalty = pick_one(&r, PRESENCE, COUNT(PRESENCE)),
            .repetition_penalty = pick_one(&r, REPETITION, COUNT(REPETITION)),
            .penalty_last_n = (int)pick_one(&r, LAST, COUNT(LAST)),
        };
        const struct sampler_past past = {.ids = ids,
                                          .n_ids = rng_below(&r, COUNT(ids) + 1),
                                          .burst = burst,
                                          .n_burst = (int)rng_below(&r, COUNT(burst) + 1),
                                          .banned = banned,
                                          .n_banned = rng_below(&r, COUNT(banned) + 1)};
        sampler_shape(&s, logits, &p, &past, &d);
        define(logits, &p, &past, want);
        for (int32_t i = 0; i < IDS; i++) {
            if (fabs((double)dist_p(&d, i) - want[i]) < 2e-5) continue;
            fail_msg("round %d, id %d: %.9g, must be %.9g", round, (int)i,
                     (double)dist_p(&d, i), want[i]);
        }
    }
    dist_release(&d);
    sampler_release(&s);
}

/* ---- drawing ---------------------------------------------------------------- */

/* Sum of (seen - expected)^2 / expected. */
static double chi_square(const int *seen, const double *p, int n, int n_draws)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        const double want = p[i] * n_draws;
        if (want > 0) sum += (seen[i] - want) * (seen[i] - want) / want;
    }
    return sum;
}

static void draws_follow_the_distribution_and_the_key(void **state)
{
    enum { N = 20000 };
    const struct sampling p = plain(1);
    const struct dist *d = shape(*state, &p);
    struct rng r;
    int seen[V] = {0};
    double want[V];
    rng_init(&r, 42, 1);
    for (int i = 0; i < N; i++) {
        const uint64_t key = rng_u64(&r);
        const int32_t id = dist_draw(d, key);
        seen[id]++;
        assert_int_equal(id, dist_draw(d, key));
    }
    for (int i = 0; i < V; i++)
        want[i] = softmax(LOGITS, i, 1);
    assert_true(chi_square(seen, want, V, N) < 20.5); /* 5 degrees: p = 0.001 */
}

static void draws_of_a_large_vocabulary_follow_the_distribution(void **state)
{
    enum { N = 40000, LARGE = 3000, CELLS = 30 };
    (void)state;
    struct dist d;
    struct rng r;
    int seen[CELLS] = {0};
    double want[CELLS] = {0}, sum = 0;
    OK(dist_init(&d, LARGE, ok));
    for (int i = 0; i < LARGE; i++)
        sum += 1.0 / (3 + i);
    for (d.n = 0; d.n < LARGE; d.n++) {
        const double p = 1.0 / (3 + d.n) / sum;
        d.c[d.n] = (struct candidate){d.n * 83, (float)p};
        want[d.n % CELLS] += p;
    }
    rng_init(&r, 4, 1);
    for (int i = 0; i < N; i++)
        seen[dist_draw(&d, rng_u64(&r)) / 83 % CELLS]++;
    assert_true(chi_square(seen, want, CELLS, N) < 58.3); /* 29 degrees: p = 0.001 */
    dist_release(&d);
}

static void like_distributions_mostly_draw_the_same(void **state)
{
    enum { N = 40000 };
    (void)state;
    static const double P[V] = {0.05, 0.4, 0.1, 0.25, 0.2, 0},
                        Q[V] = {0.1, 0.35, 0.1, 0.2, 0.15, 0.1};
    struct dist p, q;
    struct rng r;
    int seen[V] = {0}, n_same = 0;
    OK(dist_init(&p, V, ok));
    OK(dist_init(&q, V, ok));
    p.n = q.n = 0;
    for (int32_t i = 0; i < V; i++) {
        if (P[i] > 0) p.c[p.n++] = (struct candidate){i, (float)P[i]};
        if (Q[i] > 0) q.c[q.n++] = (struct candidate){i, (float)Q[i]};
    }
    rng_init(&r, 9, 1);
    for (int k = 0; k < N; k++) {
        const uint64_t key = rng_u64(&r);
        const int32_t id = dist_draw(&p, key);
        n_same += id == dist_draw(&q, key);
        seen[id]++;
    }
    assert_true(chi_square(seen, P, V, N) < 18.5); /* 4 degrees: p = 0.001 */
    /* total variation 0.15: at least 0.85 / 1.15 = 0.739, at most 0.85 */
    assert_true(n_same > 0.735 * N && n_same < 0.855 * N);
    dist_release(&p);
    dist_release(&q);
}

static void skipping_draws_is_drawing_them(void **fixture)
{
    (void)fixture;
    for (uint64_t n = 0; n < 300; n += 7) {
        struct rng slow, fast;
        rng_init(&slow, 9, 4);
        fast = slow;
        for (uint64_t i = 0; i < n; i++) {
            rng_u32(&slow);
        }
        rng_skip(&fast, n);
        assert_int_equal(rng_u64(&fast), rng_u64(&slow));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(skipping_draws_is_drawing_them),
        cmocka_unit_test(greedy_takes_the_largest_and_the_lowest_id_on_a_tie),
        cmocka_unit_test(temperature_divides_logits),
        cmocka_unit_test(top_k_keeps_the_k_best_lower_ids_first),
        cmocka_unit_test(top_p_keeps_the_smallest_set_that_reaches_it),
        cmocka_unit_test(top_p_looks_at_what_top_k_left),
        cmocka_unit_test(min_p_is_relative_to_the_best),
        cmocka_unit_test(penalties_touch_each_seen_token_once),
        cmocka_unit_test(penalties_look_back_only_so_far),
        cmocka_unit_test(masked_tokens_have_no_share),
        cmocka_unit_test(log_probabilities_know_the_mask_but_not_temperature_or_penalties),
        cmocka_unit_test(banned_tokens_have_no_share),
        cmocka_unit_test(the_likeliest_are_reported_best_first),
        cmocka_unit_test(a_list_is_the_whole_row_with_the_others_forbidden),
        cmocka_unit_test(rows_that_are_not_numbers_still_give_an_id),
        cmocka_unit_test(every_mixture_of_parameters_is_what_the_definition_says),
        cmocka_unit_test(draws_follow_the_distribution_and_the_key),
        cmocka_unit_test(draws_of_a_large_vocabulary_follow_the_distribution),
        cmocka_unit_test(like_distributions_mostly_draw_the_same),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
