/* Many sessions in a step: each gets, to the bit, what it gets alone. */
#include "engine/session.h"
#include "engine/tiny/tiny.h"
#include "tests/engine/mini.h"

#include <pthread.h>

enum { N_SESSIONS = 8, N_IDS = 260, N_OUT = 400 };
#ifdef __SANITIZE_THREAD__
enum { ROUNDS = 3 }; /* fifty times slower, and races show in the first */
#else
enum { ROUNDS = 6 };
#endif

/* ---- a player: one session and what its thread does with it ------------------ */

/* Everything follows from the seed.  Threads must not fail a test, so words are kept. */
struct player {
    struct engine *g;
    uint64_t seed;
    pthread_barrier_t *start; /* NULL: alone */
    int32_t out[N_OUT];
    int n_out;
    float *logits; /* [V] after the last token */
    int n_rewinds, n_forks;
    bool has_short_list; /* of ids to draft */
    struct err e;
};

static void odd_only(void *ctx, const int32_t *burst, int n_burst, float *logits, int n_vocab)
{
    (void)ctx, (void)burst, (void)n_burst;
    for (int i = 0; i < n_vocab; i += 2)
        logits[i] = -INFINITY;
}

static enum status decode_some(struct player *p,
                               struct session *s,
                               struct rng *dice,
                               struct rng *draws)
{
    const bool is_greedy = rng_below(dice, 2), has_mask = rng_below(dice, 2);
    const struct sampling greedy = sampling_greedy();
    const struct sampling warm = {.temp = 0.8f,
                                  .top_k = 40,
                                  .top_p = 0.95f,
                                  .presence_penalty = 0.5f,
                                  .repetition_penalty = 1};
    int n = 1 + (int)rng_below(dice, 12);
    while (n > 0 && p->n_out + BURST_MAX <= N_OUT) {
        const struct decode_args a = {.sampling = is_greedy ? &greedy : &warm,
                                      .rng = draws,
                                      .mask = has_mask ? odd_only : NULL,
                                      .max_tokens = n};
        struct burst b;
        const enum status st = session_decode(s, &a, &b, &p->e);
        if (st) return st;
        memcpy(p->out + p->n_out, b.ids, (size_t)b.n * sizeof *b.ids);
        p->n_out += b.n;
        n -= b.n;
    }
    return QA_OK;
}

/* Append, mark, decode; sometimes go back and do it again, sometimes go on in a fork. */
static enum status play_round(struct player *p,
                              struct session **s,
                              struct rng *dice,
                              struct rng *draws)
{
    int32_t ids[N_IDS];
    fill_ids(ids, COUNT(ids), rng_below(dice, 1000));
    enum status st = session_append(*s, ids, 1 + rng_below(dice, 90), &p->e);
    if (st) return st;
    int mark;
    st = session_mark(*s, &mark, &p->e);
    if (!st) st = decode_some(p, *s, dice, draws);
    if (!st && rng_below(dice, 2)) {
        p->n_rewinds++;
        st = session_rewind(*s, mark, &p->e);
        if (!st) st = decode_some(p, *s, dice, draws);
    }
    if (!st && rng_below(dice, 3) == 0) {
        p->n_forks++;
        struct session *fork = NULL;
        st = session_fork(&fork, *s, &p->e);
        if (!st) st = decode_some(p, *s, dice, draws); /* writes shared pages */
        if (st) return st;
        session_close(*s);
        *s = fork;
    }
    return st;
}

static void *play(void *arg)
{
    struct player *p = arg;
    struct rng dice, draws;
    rng_init(&dice, p->seed, 3);
    rng_init(&draws, p->seed, 4);
    static const int N_DRAFT_IDS[] = {0, 40, 40, 100}; /* the tokens of a session come on top */
    const int n_draft = (int)(p->seed % 3) * 2;
    const struct session_opts o = {.cap_tokens = 1500,
                                   .n_draft = engine_info(p->g)->has_draft ? n_draft : 0,
                                   .n_draft_ids = N_DRAFT_IDS[p->seed % COUNT(N_DRAFT_IDS)],
                                   .n_copy = p->seed % 2 ? 6 : 0,
                                   .step_tokens = p->seed % 2 ? 0 : 20};
    struct session *s = NULL;
    if (p->start) pthread_barrier_wait(p->start);
    enum status st = session_open(&s, p->g, &o, &p->e);
    for (int i = 0; i < ROUNDS && !st; i++)
        st = play_round(p, &s, &dice, &draws);
    p->has_short_list = !st && o.n_draft && s->spec.head.is_short && s->spec.head.extra.rows;
    const float *row = st ? NULL : session_logits(s, &p->e);
    if (row) memcpy(p->logits, row, (size_t)engine_info(p->g)->n_vocab * sizeof *row);
    session_close(s);
    return NULL;
}

static void player_init(struct player *p, struct engine *g, uint64_t seed)
{
    *p = (struct player){.g = g, .seed = seed};
    p->logits = calloc((size_t)engine_info(g)->n_vocab, sizeof *p->logits);
    assert_non_null(p->logits);
}

static void assert_same_play(const struct player *a, const struct player *b, const char *name)
{
    if (a->e.code) fail_msg("%s, seed %d: %s", name, (int)a->seed, a->e.text);
    if (b->e.code) fail_msg("%s, seed %d: %s", name, (int)b->seed, b->e.text);
    if (a->n_out != b->n_out || memcmp(a->out, b->out, (size_t)a->n_out * sizeof *a->out))
        fail_msg("%s, seed %d: other tokens in company", name, (int)a->seed);
    if (memcmp(a->logits, b->logits, (size_t)engine_info(a->g)->n_vocab * sizeof(float)))
        fail_msg("%s, seed %d: other logits in company", name, (int)a->seed);
}

/* Closes g. */
static void compare_on(struct engine *g, int n)
{
    struct player alone[N_SESSIONS], together[N_SESSIONS];
    pthread_t thread[N_SESSIONS];
    pthread_barrier_t start;
    int n_rewinds = 0, n_forks = 0, n_short = 0;
    pthread_barrier_init(&start, NULL, (unsigned)n);
    for (int i = 0; i < n; i++) {
        player_init(&alone[i], g, (uint64_t)(10 * n + i));
        player_init(&together[i], g, (uint64_t)(10 * n + i));
        together[i].start = &start;
        play(&alone[i]);
    }
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, play, &together[i]), 0);
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < n; i++) {
        assert_same_play(&alone[i], &together[i], engine_info(g)->kernels);
        n_rewinds += together[i].n_rewinds;
        n_forks += together[i].n_forks;
        n_short += together[i].has_short_list;
        free(alone[i].logits);
        free(together[i].logits);
    }
    assert_true(n_rewinds + n_forks > 0);
    if (n == N_SESSIONS && engine_info(g)->has_draft) assert_true(n_short > 1);
    pthread_barrier_destroy(&start);
    engine_close(g);
}

static void compare(const char *stem, const char *kernels, int n)
{
    compare_on(mini_open(stem, kernels, KV_F16), n);
}

static void ref_gives_each_session_what_it_gets_alone(void **state)
{
    compare(MINI_MOE, "ref", 2);
    compare(MINI_MOE, "ref", 3);
    compare(MINI_DENSE, "ref", 4);
}

static void every_kernel_set_gives_each_session_what_it_gets_alone(void **state)
{
    for (int i = 0; cpu_ops_at(i); i++) {
        compare(MINI_MOE, cpu_ops_at(i)->name, N_SESSIONS);
        compare(MINI_DENSE, cpu_ops_at(i)->name, 5);
    }
}

static void compressed_keys_and_values_are_as_alone(void **state)
{
    static const enum kv_type PAIRS[][2] = {
        {KV_Q8_0,   KV_Q4_0  },
        {KV_TURBO4, KV_TURBO3},
        {KV_TURBO2, KV_F16   },
    };
    for (size_t i = 0; i < COUNT(PAIRS); i++) {
        struct engine_opts o = engine_opts_default();
        struct engine *g = NULL;
        o.model_bytes =
            (struct str){.p = qa_tiny_gguf, .n = (size_t)(qa_tiny_gguf_end - qa_tiny_gguf)};
        o.n_threads = 1;
        o.kv_k = PAIRS[i][0];
        o.kv_v = PAIRS[i][1];
        OK(engine_open(&g, &o, ok));
        compare_on(g, 3); /* a larger model, and rounds enough to fill compressed pages */
    }
}

/* ---- what one pass holds ------------------------------------------------------ */

/* Two requests, filed from two threads that are both inside: one pass, always. */
struct filing {
    struct session *s;
    struct request r;
};

static void *file_request(void *arg)
{
    struct filing *f = arg;
    sched_run(f->s->g->sched, &f->r);
    sched_leave(f->s->g->sched, false);
    return NULL;
}

static struct filing filing_of(struct session *s, const int32_t *ids, int n)
{
    struct err e = {0};
    assert_int_equal(cache_reserve(&s->cache, 0, n, &e), QA_OK);
    return (struct filing){
        .s = s,
        .r = {.kind = REQUEST_TRUNK,
              .span = session_span(s, 0, n, false),
              .ids = ids,
              .n_left = n,
              .logits = s->logits}
    };
}

/* Returns how many passes it took until all were served once. */
static int file_together(struct filing *f, int n)
{
    struct sched *q = f[0].s->g->sched;
    pthread_t thread[N_SESSIONS];
    const struct sched_stats before = sched_stats(q);
    for (int i = 0; i < n; i++)
        sched_enter(q);
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, file_request, &f[i]), 0);
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    const struct sched_stats after = sched_stats(q);
    assert_int_equal(after.n_requests - before.n_requests, n);
    return (int)(after.n_passes - before.n_passes);
}

static void sessions_that_are_inside_share_one_pass(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16);
    struct session *s[4];
    struct filing f[4];
    int32_t ids[N_IDS];
    fill_ids(ids, N_IDS, 9);
    for (int i = 0; i < 4; i++) {
        s[i] = mini_session(g, 0, 0);
        f[i] = filing_of(s[i], ids + i, 1 + i);
    }
    assert_int_equal(file_together(f, 4), 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(f[i].r.span.n_rows, 1 + i);
        assert_true(f[i].r.is_last);
        session_close(s[i]);
    }
    engine_close(g);
}

static void a_prompt_beside_a_decoding_session_is_cut(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "plain", KV_F16);
    struct session *s[3];
    struct filing f[3];
    int32_t ids[N_IDS];
    fill_ids(ids, N_IDS, 9);
    for (int i = 0; i < 3; i++) {
        s[i] = mini_session(g, 0, 0);
        f[i] = filing_of(s[i], ids, i ? N_IDS : 1);
    }
    assert_int_equal(file_together(f, 3), 1);
    assert_int_equal(f[0].r.span.n_rows, 1);
    assert_int_equal(f[1].r.span.n_rows + f[2].r.span.n_rows, 64);
    assert_int_equal(f[1].r.span.n_rows, 32); /* prompts share */
    assert_true(f[0].r.is_last && !f[1].r.is_last && !f[2].r.is_last);
    for (int i = 0; i < 3; i++)
        session_close(s[i]);
    engine_close(g);
}

/* The step is larger than what is kept of trials: their rows are copied out of it. */
static void a_trial_that_shares_a_large_step_can_be_kept(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16);
    struct session *s = mini_session(g, 3, 0), *t = mini_session(g, 0, 0),
                   *alone = mini_session(g, 0, 0);
    int32_t ids[N_IDS];
    fill_ids(ids, N_IDS, 9);
    OK(session_append(s, ids, 50, ok));
    OK(session_append(alone, ids, 52, ok));

    struct filing f[2] = {filing_of(s, ids + 50, 54), filing_of(t, ids, 60)};
    f[0].r.span = session_span(s, 50, 4, true);
    f[0].r.n_left = 4;
    assert_int_equal(file_together(f, 2), 1);
    assert_true(f[0].r.span.n_rows + f[1].r.span.n_rows > g->f->cap_kept);
    const size_t n_vocab = (size_t)engine_info(g)->n_vocab;
    struct err e = {0};
    assert_memory_equal(s->logits + n_vocab, session_logits(alone, &e),
                        n_vocab * sizeof *s->logits);

    struct filing keep = {
        .s = s, .r = {.kind = REQUEST_KEEP, .span = f[0].r.span}
    };
    keep.r.span.n_rows = 2;
    keep.r.span.is_trial = false;
    assert_int_equal(file_together(&keep, 1), 1);
    assert_memory_equal(s->cache.state, alone->cache.state, g->plan.state_bytes);
    session_close(s);
    session_close(t);
    session_close(alone);
    engine_close(g);
}

static void prompts_alone_take_the_whole_step(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "plain", KV_F16);
    struct session *s[2] = {mini_session(g, 0, 100), mini_session(g, 0, 100)};
    int32_t ids[N_IDS];
    fill_ids(ids, N_IDS, 9);
    struct filing f[2] = {filing_of(s[0], ids, 100), filing_of(s[1], ids, 30)};
    f[0].r.n_left = 200;
    const int room = g->f->cap_rows;
    assert_int_equal(file_together(f, 2), 1);
    assert_true(f[0].r.span.n_rows + f[1].r.span.n_rows <= room);
    assert_true(f[0].r.span.n_rows > 32);
    assert_int_equal(f[1].r.span.n_rows, 30);
    assert_true(!f[0].r.is_last && f[1].r.is_last);
    session_close(s[0]);
    session_close(s[1]);
    engine_close(g);
}

static void one_thread_with_two_sessions_never_waits_for_itself(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "plain", KV_F16);
    struct session *s = mini_session(g, 2, 0), *t = mini_session(g, 0, 0);
    int32_t ids[N_IDS];
    fill_ids(ids, N_IDS, 9);
    for (size_t i = 0; i < 20; i++) {
        OK(session_append(s, ids + i, 1, ok));
        OK(session_append(t, ids + i, 1, ok));
    }
    assert_int_equal(sched_stats(g->sched).n_waits, 0);
    session_close(s);
    session_close(t);
    engine_close(g);
}

/* ---- what sharing saves --------------------------------------------------------- */

enum { N_DRAFTED = 3, N_DRAFTING = 4, N_SHARED_ROUNDS = 5, N_LISTED = 40 };

/* Passes, and calls of the verb that reads nearly all weights that are not experts. */
struct effort {
    uint64_t n_passes, n_matmuls;
};

static struct effort effort_of(struct engine *g)
{
    return (struct effort){sched_stats(g->sched).n_passes, engine_verb(g, VERB_MATMUL).n_calls};
}

/* A round of session_decode() by a thread that is inside already: nobody leads before
 * all others have filed too, so how many passes it takes is no matter of luck. */
struct drafting {
    struct session *s;
    struct rng rng;
    struct proposal what;
    struct err e;
};

static void *draft_round(void *arg)
{
    struct drafting *d = arg;
    const struct sampling greedy = sampling_greedy();
    const struct decode_args a = {.sampling = &greedy, .rng = &d->rng};
    struct burst b = {.n = 0};
    if (!spec_propose(d->s, &a, N_DRAFTED, &d->what, &d->e) && d->what.n > 0)
        spec_decode(d->s, &a, &d->what, &b);
    sched_leave(d->s->g->sched, false);
    return NULL;
}

static void draft_together(struct drafting *d, int n)
{
    pthread_t thread[N_DRAFTING];
    for (int i = 0; i < n; i++)
        sched_enter(d->s->g->sched);
    for (int i = 0; i < n; i++) {
        d[i].s->spec.layer.mean = 0.5; /* hopeful, whatever came of the drafts so far */
        assert_int_equal(pthread_create(&thread[i], NULL, draft_round, &d[i]), 0);
    }
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < n; i++) {
        if (d[i].e.code) fail_msg("%s", d[i].e.text);
        assert_int_equal(d[i].what.n, N_DRAFTED);
    }
}

/* Opens a session that drafts from a short list and has a token pending. */
static struct drafting drafting_of(struct engine *g, uint64_t seed)
{
    const struct session_opts o = {
        .cap_tokens = 400, .n_draft = N_DRAFTED, .n_draft_ids = N_LISTED};
    const struct sampling greedy = sampling_greedy();
    struct drafting d = {.s = NULL};
    struct burst b;
    int32_t ids[N_IDS];
    rng_init(&d.rng, seed, 1);
    fill_ids(ids, COUNT(ids), seed);
    OK(session_open(&d.s, g, &o, ok));
    OK(session_append(d.s, ids, 30, ok));
    const struct decode_args a = {.sampling = &greedy, .rng = &d.rng};
    OK(session_decode(d.s, &a, &b, ok));
    return d;
}

static struct effort effort_of_rounds(struct engine *g, int n)
{
    struct drafting d[N_DRAFTING];
    for (int i = 0; i < n; i++)
        d[i] = drafting_of(g, (uint64_t)(50 + i));
    /* The pass in which the prompts end is no part of this. */
    draft_together(d, n);
    const struct effort before = effort_of(g);
    for (int i = 0; i < N_SHARED_ROUNDS; i++)
        draft_together(d, n);
    const struct effort after = effort_of(g);
    for (int i = 0; i < n; i++) {
        assert_true(d[i].s->spec.head.is_short && d[i].s->spec.head.extra.rows > 0);
        session_close(d[i].s);
    }
    return (struct effort){after.n_passes - before.n_passes,
                           after.n_matmuls - before.n_matmuls};
}

/* Draft by draft, the trunk and what is kept: as many passes as one session takes.  Of the
 * short lists only the ids that a session holds itself are multiplied for it alone. */
static void sessions_with_short_lists_share_the_passes_of_a_round(void **state)
{
    struct engine_opts o = engine_opts_default();
    struct engine *g = NULL;
    o.model_path = MINI_MOE ".gguf";
    o.n_threads = 1;
    o.trace = TRACE_COUNT;
    OK(engine_open(&g, &o, ok));
    g->costs = (struct spec_costs){.plain_s = 1, .is_fixed = true}; /* drafts are free */
    const struct effort one = effort_of_rounds(g, 1), all = effort_of_rounds(g, N_DRAFTING);
    assert_int_equal(one.n_passes, N_SHARED_ROUNDS * (N_DRAFTED + 2));
    assert_int_equal(all.n_passes, one.n_passes);
    assert_int_equal(all.n_matmuls - one.n_matmuls,
                     N_SHARED_ROUNDS * N_DRAFTED * (N_DRAFTING - 1));
    assert_true(2 * all.n_matmuls < N_DRAFTING * one.n_matmuls);
    engine_close(g);
}

/* ---- others in the middle ------------------------------------------------------ */

/* Opens, errs and closes again and again while others work; raw outputs, too. */
static void *disturb(void *arg)
{
    struct player *p = arg;
    int32_t ids[N_IDS];
    fill_ids(ids, N_IDS, 2);
    for (int i = 0; i < 12 && !p->e.code; i++) {
        const struct session_opts o = {.cap_tokens = 40 + 30 * i, .step_tokens = 8 + 40 * i};
        struct session *s = NULL;
        struct err e = {0};
        if (session_open(&s, p->g, &o, &p->e)) break;
        const int32_t bad = -1;
        if (session_append(s, &bad, 1, &e) != QA_E_USAGE ||
            session_append(s, ids, (size_t)o.cap_tokens + 1, &e) != QA_E_LIMIT) {
            err_set(&p->e, QA_E_INTERNAL, "a wrong call was not refused");
        }
        if (!p->e.code && session_append(s, ids, (size_t)i * 3, &p->e)) break;
        session_close(s);
        const struct raw_outputs none = {.logits = NULL};
        if (engine_raw(p->g, ids, 30, 7, &none, &p->e)) break;
    }
    return NULL;
}

static void sessions_that_err_and_close_disturb_nobody(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F32);
    struct player alone[3], together[3], noise[2] = {{.g = g}, {.g = g}};
    pthread_t thread[3], noisy[2];
    for (int i = 0; i < 3; i++) {
        player_init(&alone[i], g, (uint64_t)(70 + i));
        player_init(&together[i], g, (uint64_t)(70 + i));
        play(&alone[i]);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, play, &together[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&noisy[i], NULL, disturb, &noise[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(noisy[i], NULL);
        if (noise[i].e.code) fail_msg("%s", noise[i].e.text);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        assert_same_play(&alone[i], &together[i], "ref");
        free(alone[i].logits);
        free(together[i].logits);
    }
    engine_close(g);
}

/* ---- stop ------------------------------------------------------------------------ */

static void *decode_until_stopped(void *arg)
{
    struct player *p = arg;
    const struct session_opts o = {.cap_tokens = 100000, .n_draft = (int)p->seed};
    const struct sampling greedy = sampling_greedy();
    struct session *s = NULL;
    struct rng r;
    rng_init(&r, 1, 1);
    int32_t ids[N_IDS];
    fill_ids(ids, N_IDS, p->seed);
    enum status st = session_open(&s, p->g, &o, &p->e);
    if (!st) st = session_append(s, ids, 20, &p->e);
    pthread_barrier_wait(p->start);
    while (!st) {
        const struct decode_args a = {.sampling = &greedy, .rng = &r};
        struct burst b;
        /* One of them never decodes: it must be stopped within its prompt. */
        st = p->seed == 0 ? session_append(s, ids, N_IDS, &p->e)
                          : session_decode(s, &a, &b, &p->e);
    }
    session_close(s);
    return NULL;
}

static void a_stop_stops_everybody(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "plain", KV_F16);
    struct player p[4];
    pthread_t thread[4];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, 5);
    for (int i = 0; i < 4; i++) {
        p[i] = (struct player){.g = g, .seed = (uint64_t)i, .start = &start};
        assert_int_equal(pthread_create(&thread[i], NULL, decode_until_stopped, &p[i]), 0);
    }
    pthread_barrier_wait(&start);
    engine_stop();
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(p[i].e.code, QA_E_STOP);
    }
    engine_stop_clear();
    pthread_barrier_destroy(&start);
    engine_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ref_gives_each_session_what_it_gets_alone),
        cmocka_unit_test(every_kernel_set_gives_each_session_what_it_gets_alone),
        cmocka_unit_test(compressed_keys_and_values_are_as_alone),
        cmocka_unit_test(sessions_that_are_inside_share_one_pass),
        cmocka_unit_test(a_prompt_beside_a_decoding_session_is_cut),
        cmocka_unit_test(a_trial_that_shares_a_large_step_can_be_kept),
        cmocka_unit_test(prompts_alone_take_the_whole_step),
        cmocka_unit_test(one_thread_with_two_sessions_never_waits_for_itself),
        cmocka_unit_test(sessions_with_short_lists_share_the_passes_of_a_round),
        cmocka_unit_test(sessions_that_err_and_close_disturb_nobody),
        cmocka_unit_test(a_stop_stops_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
