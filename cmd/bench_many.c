/* bench_many.c - a thread and a session each, started together. */
#include "cmd/bench_many.h"

#include "engine/base/clock.h"

#include <pthread.h>

/* Where players wait until all have read their prompts. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int n_ready;
    bool is_open;
};

struct player {
    const struct bench_many *b;
    const int32_t *ids;
    pthread_t thread;
    struct gate *gate;
    int64_t n_done;
    struct err e;
};

static void gate_wait(struct gate *t)
{
    pthread_mutex_lock(&t->lock);
    t->n_ready++;
    pthread_cond_broadcast(&t->changed);
    while (!t->is_open)
        pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

/* Returns when: before anybody has gone on, which may well finish before the caller is
 * running again. */
static double gate_open(struct gate *t, int n_players)
{
    pthread_mutex_lock(&t->lock);
    while (t->n_ready < n_players)
        pthread_cond_wait(&t->changed, &t->lock);
    const double now_s = clock_now_s();
    t->is_open = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    return now_s;
}

static enum status read_prompt(struct session **s, struct player *p)
{
    const struct bench_many *b = p->b;
    const struct session_opts o = {.cap_tokens = b->n_prompt + b->n_gen + 2 * BURST_MAX,
                                   .n_draft = b->n_draft};
    const enum status st = session_open(s, b->g, &o, &p->e);
    return st ? st : session_append(*s, p->ids, (size_t)b->n_prompt, &p->e);
}

static void *play(void *arg)
{
    struct player *p = arg;
    const struct sampling greedy = sampling_greedy();
    struct session *s = NULL;
    struct rng rng;
    struct burst burst;
    rng_init(&rng, 1, 1);
    const struct decode_args a = {.sampling = &greedy, .rng = &rng, .n_prompt = p->b->n_prompt};
    enum status st = read_prompt(&s, p);
    gate_wait(p->gate);
    while (!st && p->n_done < p->b->n_gen) {
        st = session_decode(s, &a, &burst, &p->e);
        if (!st) p->n_done += burst.n;
    }
    session_close(s);
    return NULL;
}

enum status bench_many(const struct bench_many *b, double *tokens_per_s, struct err *e)
{
    struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};
    struct player p[BENCH_SESSIONS_MAX];
    int64_t n_done = 0;
    int n = 0;
    enum status st = QA_OK;
    ASSERT(b->n_sessions >= 1 && b->n_sessions <= BENCH_SESSIONS_MAX);
    for (; n < b->n_sessions && !st; n++) {
        p[n] = (struct player){.b = b, .ids = b->ids + n, .gate = &gate};
        const int errnum = pthread_create(&p[n].thread, NULL, play, &p[n]);
        if (!errnum) continue;
        st = err_errno(e, QA_E_NOMEM, errnum, "cannot start thread %d of %d", n + 1,
                       b->n_sessions);
        break;
    }
    const double start_s = gate_open(&gate, n);
    for (int i = 0; i < n; i++) {
        pthread_join(p[i].thread, NULL);
        n_done += p[i].n_done;
        if (p[i].e.code && !st) st = err_set(e, p[i].e.code, "%s", p[i].e.text);
    }
    if (!st) *tokens_per_s = (double)n_done / (clock_now_s() - start_s);
    pthread_cond_destroy(&gate.changed);
    pthread_mutex_destroy(&gate.lock);
    return st;
}
