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

/* From here on drafts cost nothing: every step takes as many as it may. */
static void make_free(struct session *s)
{
    s->g->costs = (struct spec_costs){.plain_s = 1, .is_fixed = true};
}

/* A session that drafts n tokens every time, whether it pays or not. */
static struct session *open_forced(struct fixture *f, int n_draft)
{
    struct session *s = mini_session(f->g, n_draft, 0);
    make_free(s);
    OK(session_append(s, f->ids, N_PROMPT, ok));
    return s;
}

/* As hopeful as at the start, whatever came of the drafts so far. */
static void keep_drafting(struct session *s)
{
    s->spec.layer.mean = 0.5;
    for (int i = 0; i < MATCH_CLASSES; i++)
        s->spec.copy[i].mean = 0.75;
}

/* Decode up to n tokens; returns how many (a stop token ends it). */
static int decode(struct session *s,
                  const struct decode_args *base,
                  int32_t *out,
                  float *logprob,
                  int n)
{
    const int64_t n_before = session_n_tokens(s);
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
        assert_int_equal(session_n_tokens(s), n_before + n_out);
    }
    return n_out;
}

/* With every chain length the text, its log-probabilities and the state afterwards are
 * those without drafts. */
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
        rng_init(&r, 1, 1);
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

static void sampled_text_is_the_same_at_every_chain_length(void **state)
{
    struct sampling p = sampling_greedy();
    p.temp = 0.7f;
    p.top_k = 20;
    p.top_p = 0.95f;
    check_same_text(*state, (struct decode_args){.sampling = &p});
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

/* ---- copies ----------------------------------------------------------------- */

/* Long texts must not end by chance. */
static void forbid_stops(void *ctx,
                         const int32_t *burst,
                         int n_burst,
                         float *logits,
                         int n_vocab)
{
    (void)burst, (void)n_burst;
    for (int i = 0; i < n_vocab; i++) {
        if (engine_is_stop(ctx, i)) logits[i] = -INFINITY;
    }
}

static uint64_t n_drafted_by(const struct session *s, enum draft_source source, bool accepted)
{
    const struct session_stats st = session_stats(s);
    uint64_t n = 0;
    for (int i = 0; i < DRAFT_MAX; i++)
        n += accepted ? st.draft[source].accepted[i] : st.draft[source].drafted[i];
    return n;
}

/* A prompt that says everything twice, then the start of it again: copies will fire. */
enum { N_PHRASE = 60, N_REPEATED = 2 * N_PHRASE + 12, N_LONG = 2000 };
static struct session *open_repeated(struct engine *g, int n_draft, int n_copy)
{
    const struct session_opts o = {
        .cap_tokens = N_REPEATED + N_LONG + 20, .n_draft = n_draft, .n_copy = n_copy};
    struct session *s = NULL;
    int32_t ids[N_REPEATED];
    fill_ids(ids, N_PHRASE, 21);
    for (int i = N_PHRASE; i < N_REPEATED; i++)
        ids[i] = ids[i - N_PHRASE];
    OK(session_open(&s, g, &o, ok));
    make_free(s);
    OK(session_append(s, ids, N_REPEATED, ok));
    return s;
}

static void decode_long(struct session *s, const struct sampling *p, int n, int32_t *out)
{
    struct rng r;
    rng_init(&r, 8, 1);
    for (int have = 0; have < n;) {
        struct burst b;
        const struct decode_args a = {.sampling = p,
                                      .rng = &r,
                                      .mask = forbid_stops,
                                      .mask_ctx = s->g,
                                      .n_prompt = N_REPEATED,
                                      .max_tokens = QA_MIN(n - have, BURST_MAX)};
        keep_drafting(s);
        OK(session_decode(s, &a, &b, ok));
        memcpy(out + have, b.ids, (size_t)b.n * sizeof *out);
        have += b.n;
    }
}

/* n tokens with copies, with chains, with both; a fifth of that for the chain lengths between. */
static void check_long_text(const char *stem, const struct sampling *p, int n)
{
    static const struct {
        int n_draft, n_copy, part;
    } CASES[] = {
        {0, 8, 1},
        {3, 8, 1},
        {1, 0, 1},
        {8, 0, 1},
        {2, 0, 5},
        {3, 0, 5},
        {4, 0, 5},
        {5, 0, 5},
        {6, 0, 5},
        {7, 0, 5},
        {8, 8, 5},
    };
    static int32_t want[N_LONG], got[N_LONG];
    struct engine *g = mini_open(stem, "ref", KV_F32);
    struct session *plain = open_repeated(g, 0, 0);
    decode_long(plain, p, n, want);
    assert_int_equal(session_stats(plain).n_drafted, 0);
    session_close(plain);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const int n_draft = CASES[i].n_draft, n_copy = CASES[i].n_copy;
        if (n_draft && !engine_info(g)->has_draft) continue;
        const int n_here = n / CASES[i].part;
        struct session *s = open_repeated(g, n_draft, n_copy);
        decode_long(s, p, n_here, got);
        if (memcmp(got, want, (size_t)n_here * sizeof *got) != 0)
            fail_msg("%s: chains of %d, copies of %d change the text", stem, n_draft, n_copy);
        assert_true((n_drafted_by(s, DRAFT_LAYER, true) > 0) == (n_draft > 0));
        assert_true((n_drafted_by(s, DRAFT_COPY, true) > 0) == (n_copy > 0));
        session_close(s);
    }
    engine_close(g);
}

static void two_thousand_greedy_tokens_are_the_same_with_every_source(void **state)
{
    (void)state;
    const struct sampling greedy = sampling_greedy();
    check_long_text(MINI_MOE, &greedy, N_LONG);
}

static void a_model_without_a_draft_layer_copies_too(void **state)
{
    (void)state;
    struct sampling p = sampling_greedy();
    check_long_text(MINI_DENSE, &p, 400);
    p.presence_penalty = 0.5f; /* it loops less: drafts fall */
    p.penalty_last_n = 30;
    check_long_text(MINI_DENSE, &p, 400);
}

static void copies_survive_rewind_and_sync(void **state)
{
    struct fixture *f = *state;
    static int32_t first[200], again[200];
    const struct sampling greedy = sampling_greedy();
    struct session *s = open_repeated(f->g, 0, DRAFT_MAX);
    int mark;
    OK(session_mark(s, &mark, ok));
    decode_long(s, &greedy, 200, first);
    OK(session_rewind(s, mark, ok));
    assert_int_equal(s->spec.suffix.n, 0); /* nothing of what was undone can be copied */
    decode_long(s, &greedy, 200, again);
    assert_memory_equal(first, again, sizeof first);

    /* Sync to a text that parts from this one in the middle of what was generated. */
    int32_t ids[N_REPEATED + 50];
    memcpy(ids, session_ids(s), sizeof ids);
    ids[N_REPEATED + 40] ^= 1;
    OK(session_sync(s, ids, COUNT(ids), NULL, ok));
    decode_long(s, &greedy, 100, first);
    struct session *fresh = NULL, *fork = NULL;
    const struct session_opts o = {.cap_tokens = 700};
    OK(session_open(&fresh, f->g, &o, ok));
    OK(session_append(fresh, ids, COUNT(ids), ok));
    decode_long(fresh, &greedy, 100, again);
    assert_memory_equal(first, again, 100 * sizeof *first);

    OK(session_fork(&fork, s, ok)); /* copies like the one it comes from */
    decode_long(s, &greedy, 100, first);
    const uint64_t before = n_drafted_by(fork, DRAFT_COPY, true);
    decode_long(fork, &greedy, 100, again);
    assert_memory_equal(first, again, 100 * sizeof *first);
    assert_true(n_drafted_by(fork, DRAFT_COPY, true) > before);
    session_close(fork);
    session_close(fresh);
    session_close(s);
}

/* ---- the short head ---------------------------------------------------------- */

static void a_short_head_never_changes_the_text(void **state)
{
    enum { N = 150 };
    struct fixture *f = *state;
    int32_t want[N], got[N];
    const int n_vocab = engine_info(f->g)->n_vocab;
    for (int is_sampled = 0; is_sampled < 2; is_sampled++) {
        struct sampling p = sampling_greedy();
        p.temp = is_sampled ? 0.7f : 0;
        p.presence_penalty = is_sampled ? 0.5f : 0;
        struct session *plain = open_repeated(f->g, 0, 0);
        decode_long(plain, &p, N, want);
        session_close(plain);
        static const int N_IDS[] = {1, 40, 200, 0};
        for (size_t i = 0; i < COUNT(N_IDS); i++) {
            const struct session_opts o = {
                .cap_tokens = 700, .n_draft = 3, .n_draft_ids = N_IDS[i]};
            struct session *s = NULL;
            int32_t ids[N_REPEATED];
            fill_ids(ids, N_PHRASE, 21);
            for (int k = N_PHRASE; k < N_REPEATED; k++)
                ids[k] = ids[k - N_PHRASE];
            OK(session_open(&s, f->g, &o, ok));
            make_free(s);
            OK(session_append(s, ids, N_REPEATED, ok));
            decode_long(s, &p, N, got);
            assert_memory_equal(got, want, sizeof got);
            assert_true(session_stats(s).n_accepted > 0);
            const struct draft_head *h = &s->spec.head;
            assert_int_equal(h->is_short, N_IDS[i] != 0);
            assert_true(draft_head_n(h) <= n_vocab);
            for (int k = 0; k < N && h->is_short;
                 k++) /* the last tokens may not be looked at yet */
                assert_true(h->is_listed[session_ids(s)[k]]);
            session_close(s);
        }
    }
}

static void short_logits_are_those_of_the_whole_head(void **state)
{
    struct fixture *f = *state;
    const struct model *m = f->g->m;
    struct draft_head whole, some;
    float *hidden = m->ops->alloc(m->dev, (size_t)m->d.n_embd * sizeof *hidden);
    assert_non_null(hidden);
    for (int i = 0; i < m->d.n_embd; i++)
        hidden[i] = sinf((float)i);
    OK(draft_head_init(&whole, m, 0, ok));
    OK(draft_head_init(&some, m, 10, ok));
    const int32_t seen[] = {250, 3, 11, 250, 99};
    draft_head_see(&some, m, seen, COUNT(seen));
    assert_int_equal(draft_head_n(&some), 13); /* 3 stood there, 250 twice counts once */
    struct draft_head *heads[] = {&whole, &some};
    for (int i = 0; i < 2; i++)
        draft_heads_logits(f->g->f, &heads[i], 1, hidden, heads[i]->logits);
    assert_null(whole.list);
    for (int i = 0; i < draft_head_n(&some); i++)
        assert_true(some.logits[i] == whole.logits[some.list[i]]);
    assert_int_equal(some.list[10], 250);

    /* Two sessions at once, each with ids of its own. */
    struct draft_head other;
    OK(draft_head_init(&other, m, 10, ok));
    draft_head_see(&other, m, seen + 2, 1);
    struct draft_head *two[] = {&other, &some};
    float *rows = m->ops->alloc(m->dev, 2 * (size_t)m->d.n_embd * sizeof *rows);
    float *room = m->ops->alloc(m->dev, 20 * sizeof *room);
    assert_true(rows && room);
    for (int i = 0; i < m->d.n_embd; i++)
        rows[i] = rows[m->d.n_embd + i] = hidden[i];
    memset(some.logits, 0, 13 * sizeof *some.logits);
    draft_heads_logits(f->g->f, two, 2, rows, room);
    for (int i = 0; i < draft_head_n(&some); i++)
        assert_true(some.logits[i] == whole.logits[some.list[i]]);
    assert_int_equal(draft_head_n(&other), 11);
    assert_true(other.logits[3] == whole.logits[3] && other.logits[10] == whole.logits[11]);
    draft_head_release(&other, m);
    m->ops->release(m->dev, rows);
    m->ops->release(m->dev, room);
    draft_head_release(&whole, m);
    draft_head_release(&some, m);
    m->ops->release(m->dev, hidden);
}

static void only_large_vocabularies_get_a_short_list(void **state)
{
    (void)state;
    assert_int_equal(draft_head_rows(248320, 0), DRAFT_IDS);
    assert_int_equal(draft_head_rows(4 * DRAFT_IDS - 1, 0), 4 * DRAFT_IDS - 1);
    assert_int_equal(draft_head_rows(320, 1000), 320);
    assert_int_equal(draft_head_rows(320, 100), 100);
}

/* Keys and values of layer l at position pos: one KV head in f16 here. */
static void assert_same_row(const struct session *a,
                            const struct session *b,
                            const struct layer *l,
                            int64_t pos)
{
    const size_t n_bytes = (size_t)a->g->m->d.head_dim * 2;
    const size_t at = (size_t)(pos % PAGE_TOKENS) * n_bytes;
    const char *x = a->cache.kv.mem[pos / PAGE_TOKENS], *y = b->cache.kv.mem[pos / PAGE_TOKENS];
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

/* What the phrase goes on with and four others: a copy is likely, and often wrong. */
static void allow_few(void *ctx, const int32_t *burst, int n_burst, float *logits, int n_vocab)
{
    const struct mask *m = ctx;
    (void)burst;
    const int64_t place = session_n_tokens(m->s) + n_burst;
    const int32_t next = session_ids(m->s)[place % N_PHRASE];
    for (int i = 0; i < n_vocab; i++) {
        if (i != next && i % 60 != 5) logits[i] = -INFINITY;
    }
}

/* How often each id comes at place `place` of a burst-wise decoded text, after a fixed start. */
static void count_draws(struct fixture *f,
                        int n_draft,
                        int n_copy,
                        bool is_repeated,
                        const struct sampling *p,
                        int place,
                        int n,
                        int *seen)
{
    struct session *s =
        is_repeated ? open_repeated(f->g, n_draft, n_copy) : open_forced(f, n_draft);
    struct mask m = {s};
    struct rng r;
    int mark = -1;
    rng_init(&r, 77, (uint64_t)(n_draft + 10 * n_copy));
    OK(session_mark(s, &mark, ok));
    const struct decode_args a = {.sampling = p,
                                  .rng = &r,
                                  .mask = is_repeated ? allow_few : NULL,
                                  .mask_ctx = &m,
                                  .n_prompt = session_n_tokens(s)};
    for (int i = 0; i < n; i++) {
        int32_t out[8];
        const int n_out = decode(s, &a, out, NULL, place + 1);
        if (n_out == place + 1) seen[out[place]]++;
        OK(session_rewind(s, mark, ok));
    }
    if (n_draft + n_copy > 0) {
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

static void check_distribution(struct fixture *f,
                               const struct sampling *p,
                               int place,
                               enum draft_source source)
{
    enum { N = 3000, V = 320 };
    static int plain[V], drafted[V];
    int degrees;
    const bool is_copy = source == DRAFT_COPY;
    memset(plain, 0, sizeof plain);
    count_draws(f, 0, 0, is_copy, p, place, N, plain);
    for (int n = 1; n <= 4; n += 3) {
        memset(drafted, 0, sizeof drafted);
        count_draws(f, is_copy ? 0 : n, is_copy ? n : 0, is_copy, p, place, N, drafted);
        const double x = chi_square_two(plain, drafted, V, &degrees);
        /* the 0.999 point of chi-square, by Wilson and Hilferty's cube */
        const double q = 2.0 / (9.0 * degrees),
                     limit = degrees * pow(1 - q + 3.09 * sqrt(q), 3);
        assert_true(degrees >= 3);
        if (x > limit) fail_msg("place %d, %d drafts: %.1f > %.1f", place, n, x, limit);
    }
}

static void sampled_text_keeps_its_distribution(void **state)
{
    struct sampling p = sampling_greedy();
    p.temp = 0.8f;
    check_distribution(*state, &p, 2, DRAFT_LAYER); /* the second token after a pending one */
}

static void sampled_text_with_all_filters_keeps_its_distribution(void **state)
{
    struct sampling p = sampling_greedy();
    p.temp = 1.2f;
    p.top_k = 12;
    p.top_p = 0.95f;
    p.min_p = 0.02f;
    p.presence_penalty = 2;
    check_distribution(*state, &p, 2, DRAFT_LAYER);
}

static void sampled_text_with_copies_keeps_its_distribution(void **state)
{
    struct sampling p = sampling_greedy();
    p.temp = 0.8f;
    check_distribution(*state, &p, 2, DRAFT_COPY);
    p.temp = 1.5f;
    p.top_p = 0.9f;
    check_distribution(*state, &p, 4, DRAFT_COPY);
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

static int best_length(double rate, double cost)
{
    int length;
    spec_best_chain(rate, cost, DRAFT_MAX, &length);
    return length;
}

static void chains_grow_with_success_and_stop_when_they_do_not_pay(void **state)
{
    (void)state;
    const int long_chain = best_length(0.95, 0.3), short_chain = best_length(0.6, 0.3);
    assert_true(long_chain > short_chain && short_chain >= 1);
    /* a draft that costs 0.3 of a token must stand 3 times of 10 */
    assert_int_equal(best_length(0.29, 0.3), 0);
    assert_int_equal(best_length(0.31, 0.3), 1);
    int length;
    assert_true(spec_best_chain(0.5, 0.25, 1, &length) == 1.5 / 1.25);
    assert_int_equal(length, 1);
    assert_true(spec_best_chain(1, 0, 0, &length) == 1);
    assert_int_equal(length, 0);
}

/* Decode n tokens with the session's own judgement; what was drafted by each source. */
static void decode_freely(struct session *s, int n, uint64_t *layer, uint64_t *copy)
{
    const struct sampling greedy = sampling_greedy();
    struct rng r;
    struct burst b;
    rng_init(&r, 1, 1);
    const struct decode_args a = {.sampling = &greedy, .rng = &r};
    const struct session_stats before = session_stats(s);
    while (n > 0) {
        OK(session_decode(s, &a, &b, ok));
        n -= b.n;
    }
    const struct session_stats now = session_stats(s);
    *layer = *copy = 0;
    for (int i = 0; i < DRAFT_MAX; i++) {
        *layer += now.draft[DRAFT_LAYER].drafted[i] - before.draft[DRAFT_LAYER].drafted[i];
        *copy += now.draft[DRAFT_COPY].drafted[i] - before.draft[DRAFT_COPY].drafted[i];
    }
}

static void a_source_that_does_not_pay_pauses_and_is_tried_again(void **state)
{
    struct fixture *f = *state;
    uint64_t layer, copy;
    struct session *s = open_forced(f, 3);
    f->g->costs =
        (struct spec_costs){.plain_s = 1, .row_s = 0.1, .draft_s = 0.2, .is_fixed = true};
    s->spec.layer = (struct rate){0, 1000};
    decode_freely(s, 140, &layer, &copy);
    assert_int_equal(copy, 0);             /* not asked for */
    assert_true(layer >= 2 && layer <= 5); /* 140 steps, one draft in 33 */
    session_close(s);
}

static void learning_counts_only_drafts_that_were_tried(void **state)
{
    (void)state;
    struct spec a =
                    {
                        .layer = {0.5, 0}
    },
                b = a, c = a, d = {.copy = {{0.5, 0}, {0.5, 0}, {0.5, 0}}};
    const struct proposal eight = {.source = DRAFT_LAYER, .n = 8},
                          one = {.source = DRAFT_LAYER, .n = 1},
                          copy = {.source = DRAFT_COPY, .n = 3, .n_match = 20};
    spec_learn(&a, &eight, 0); /* one failure: seven were never looked at */
    spec_learn(&b, &one, 0);
    assert_true(a.layer.mean == b.layer.mean && a.layer.mean < 0.5);
    for (int i = 0; i < 4; i++)
        spec_learn(&b, &one, 0);
    assert_true(b.layer.mean < 0.3); /* the first experiences weigh most */
    spec_learn(&c, &eight, 8);
    assert_true(c.layer.mean > 0.5);
    spec_learn(&d, &copy, 3); /* matches of 20 teach nothing about those of 8 or 40 */
    assert_true(d.copy[0].mean == 0.5 && d.copy[1].mean > 0.5 && d.copy[2].mean == 0.5);
}

static void costs_follow_what_steps_take(void **state)
{
    (void)state;
    struct spec_costs c = {.plain_s = 1, .row_s = 0.5, .draft_s = 0.25};
    spec_costs_step(&c, 1, 0.080); /* the first one waited for the disk */
    assert_true(fabs(c.row_s - 0.04) < 1e-12 && fabs(c.draft_s - 0.02) < 1e-12);
    for (int i = 0; i < 100; i++) {
        spec_costs_step(&c, 1, 0.010);
        spec_costs_step(&c, 5, 0.014);
        spec_costs_draft(&c, 4, 0.008);
    }
    assert_true(fabs(c.plain_s - 0.010) < 1e-4);
    assert_true(fabs(c.row_s - 0.001) < 1e-4);
    assert_true(fabs(c.draft_s - 0.002) < 1e-4);
    spec_costs_step(&c, 1, 30); /* one stall moves the mean by little */
    assert_true(c.plain_s < 0.012);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_is_the_same_at_every_chain_length),
        cmocka_unit_test(sampled_text_is_the_same_at_every_chain_length),
        cmocka_unit_test(greedy_text_with_penalties_is_the_same),
        cmocka_unit_test(greedy_text_under_a_mask_is_the_same_and_obeys_it),
        cmocka_unit_test(a_stop_token_that_was_drafted_ends_the_burst_and_is_computed),
        cmocka_unit_test(two_thousand_greedy_tokens_are_the_same_with_every_source),
        cmocka_unit_test(a_model_without_a_draft_layer_copies_too),
        cmocka_unit_test(copies_survive_rewind_and_sync),
        cmocka_unit_test(a_short_head_never_changes_the_text),
        cmocka_unit_test(short_logits_are_those_of_the_whole_head),
        cmocka_unit_test(only_large_vocabularies_get_a_short_list),
        cmocka_unit_test(decoded_memory_is_prefilled_memory),
        cmocka_unit_test(sampled_text_keeps_its_distribution),
        cmocka_unit_test(sampled_text_with_all_filters_keeps_its_distribution),
        cmocka_unit_test(sampled_text_with_copies_keeps_its_distribution),
        cmocka_unit_test(same_seed_gives_the_same_text),
        cmocka_unit_test(chains_grow_with_success_and_stop_when_they_do_not_pay),
        cmocka_unit_test(a_source_that_does_not_pay_pauses_and_is_tried_again),
        cmocka_unit_test(learning_counts_only_drafts_that_were_tried),
        cmocka_unit_test(costs_follow_what_steps_take),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
