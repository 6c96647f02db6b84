/* sched.c - who leads, who waits, and what the next pass holds. */
#include "engine/sched.h"

#include "engine/base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* How long others wait for a thread that has just left a call.  A burst is parsed and
 * shown in some ten microseconds, and waking a thread takes as long again; a pass
 * of a large model takes tens of milliseconds.  Each leave costs the others this at
 * most once, whatever the thread does then. */
enum { GRACE_NS = 500 * 1000, EXPECTED_MAX = 64 };

/* Rows of prompts beside rows being decoded: a pass of this many takes a few times as
 * long as one of a single row, so those who decode go on at a fraction of their
 * speed, and prompts at most of theirs. */
enum { MIXED_ROWS = 64 };

struct sched {
    pthread_mutex_t lock; /* guards everything below but the batch                   */
    pthread_cond_t changed;
    struct batch batch; /* owned by whoever set is_taken                           */
    bool is_taken;      /* a pass is running, or sched_own() is held               */
    int n_inside;
    int n_filed;
    int n_trials; /* trials whose rows are not kept yet: f->small is theirs          */
    int n_owners; /* threads waiting in sched_own()                                  */
    struct request *first, **last; /* filed, oldest first                            */
    struct expected {
        pthread_t thread;
        int64_t until_ns;
    } expected[EXPECTED_MAX]; /* threads that are most likely back soon              */
    int n_expected;
    struct sched_stats stats;
};

enum status sched_open(struct sched **out, struct forward *f, struct err *e)
{
    struct sched *q = calloc(1, sizeof *q);
    if (!q) return err_set(e, QA_E_NOMEM, "no memory for the scheduler");
    const enum status st = batch_init(&q->batch, f, e);
    if (st) {
        free(q);
        return st;
    }
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, &attr);
    pthread_condattr_destroy(&attr);
    q->last = &q->first;
    *out = q;
    return QA_OK;
}

void sched_close(struct sched *q)
{
    if (!q) return;
    ASSERT(q->n_inside == 0 && !q->is_taken);
    batch_release(&q->batch);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* ---- threads that are back soon ---------------------------------------------- */

static void forget_thread(struct sched *q, pthread_t t)
{
    for (int i = 0; i < q->n_expected; i++) {
        if (!pthread_equal(q->expected[i].thread, t)) continue;
        q->expected[i] = q->expected[--q->n_expected];
        return;
    }
}

/* When the last of them is no longer waited for; 0: nobody is. */
static int64_t expected_until(struct sched *q)
{
    int64_t until = 0;
    if (q->n_expected == 0) return 0; /* alone: not even a look at the clock */
    const int64_t now = clock_now_ns();
    for (int i = q->n_expected - 1; i >= 0; i--) {
        if (q->expected[i].until_ns <= now)
            q->expected[i] = q->expected[--q->n_expected];
        else
            until = QA_MAX(until, q->expected[i].until_ns);
    }
    return until;
}

static void wake_all(struct sched *q)
{
    pthread_cond_broadcast(&q->changed);
}

void sched_enter(struct sched *q)
{
    pthread_mutex_lock(&q->lock);
    q->n_inside++;
    forget_thread(q, pthread_self());
    pthread_mutex_unlock(&q->lock);
}

void sched_leave(struct sched *q, bool is_back_soon)
{
    pthread_mutex_lock(&q->lock);
    q->n_inside--;
    if (is_back_soon && q->n_expected < EXPECTED_MAX) {
        q->expected[q->n_expected++] =
            (struct expected){pthread_self(), clock_now_ns() + GRACE_NS};
    }
    if (q->n_filed > 0 || q->n_owners > 0) wake_all(q);
    pthread_mutex_unlock(&q->lock);
}

/* ---- what the next pass holds ------------------------------------------------ */

struct choice {
    struct request *r[BATCH_MAX];
    int n;
    int n_rows, n_trial;
};

static void choose(struct choice *c, struct request *r)
{
    c->r[c->n++] = r;
    c->n_rows += r->span.n_rows;
    if (r->span.is_trial) c->n_trial += r->span.n_rows;
}

/* Small requests are decoding: a trial, a token, the end of a prompt. */
static bool is_small(const struct request *r)
{
    return r->n_left <= TRIAL_ROWS;
}

/* Room for r, and for so many more requests of one row. */
static bool fits(const struct sched *q,
                 const struct choice *c,
                 const struct request *r,
                 int n_spare)
{
    const struct forward *f = q->batch.f;
    return c->n + n_spare < BATCH_MAX && c->n_rows + r->span.n_rows + n_spare <= f->cap_rows &&
           (!r->span.is_trial || c->n_trial + r->span.n_rows <= f->cap_kept);
}

/* Trials lie first in a step (forward.h), then other small requests.  However many
 * there are, a prompt gets on. */
static void choose_small(const struct sched *q, struct choice *c, bool want_trials)
{
    for (struct request *r = q->first; r; r = r->next) {
        if (is_small(r) && r->span.is_trial == want_trials && fits(q, c, r, 1)) choose(c, r);
    }
}

/* Prompts share the rows that are left, oldest first; none gets less than one. */
static void choose_prompts(const struct sched *q, struct choice *c)
{
    int n = 0, room = q->batch.f->cap_rows - c->n_rows;
    if (c->n > 0) room = QA_MIN(room, (int)MIXED_ROWS);
    for (const struct request *r = q->first; r; r = r->next)
        n += !is_small(r);
    for (struct request *r = q->first; r && room > 0 && c->n < BATCH_MAX; r = r->next) {
        if (is_small(r)) continue;
        r->span.n_rows = QA_MIN(r->span.n_rows, QA_MAX(room / n, 1));
        room -= r->span.n_rows;
        n--;
        choose(c, r);
    }
}

/* The first request always finds room, so every pass gets on. */
static void choose_pass(const struct sched *q, struct choice *c)
{
    enum request_kind kind = REQUEST_TRUNK;
    for (const struct request *r = q->first; r; r = r->next)
        kind = QA_MIN(kind, r->kind);
    if (kind == REQUEST_TRUNK) {
        choose_small(q, c, true);
        choose_small(q, c, false);
        choose_prompts(q, c);
        return;
    }
    for (struct request *r = q->first; r; r = r->next) {
        if (r->kind == kind && fits(q, c, r, 0)) choose(c, r);
    }
}

/* ---- leading ------------------------------------------------------------------ */

static void unfile(struct sched *q, const struct request *r)
{
    struct request **at = &q->first;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    if (!*at) q->last = at;
    q->n_filed--;
}

static void lead(struct sched *q)
{
    struct choice c = {.n = 0};
    choose_pass(q, &c);
    q->is_taken = true;
    q->stats.n_passes++;
    q->stats.n_requests += (uint64_t)c.n;
    pthread_mutex_unlock(&q->lock);
    batch_run(&q->batch, c.r, c.n);
    pthread_mutex_lock(&q->lock);
    q->is_taken = false;
    for (int i = 0; i < c.n; i++) {
        c.r[i]->n_company = QA_MAX(c.r[i]->n_company, q->n_inside);
        unfile(q, c.r[i]);
        if (c.r[i]->span.is_trial) q->n_trials++;
        if (c.r[i]->kind == REQUEST_KEEP) q->n_trials--;
        c.r[i]->is_done = true;
    }
    wake_all(q);
}

/* Wait for a change; at most until a time, unless that is 0. */
static void wait_change(struct sched *q, int64_t until_ns)
{
    if (until_ns == 0) {
        pthread_cond_wait(&q->changed, &q->lock);
        return;
    }
    const struct timespec t = {.tv_sec = until_ns / 1000000000,
                               .tv_nsec = until_ns % 1000000000};
    pthread_cond_timedwait(&q->changed, &q->lock, &t);
}

void sched_run(struct sched *q, struct request *r)
{
    pthread_mutex_lock(&q->lock);
    r->is_done = false;
    r->next = NULL;
    *q->last = r;
    q->last = &r->next;
    q->n_filed++;
    r->n_company = q->n_inside;
    while (!r->is_done) {
        const bool is_owner_next = q->n_owners > 0 && q->n_trials == 0;
        if (q->is_taken || is_owner_next || q->n_filed < q->n_inside) {
            wait_change(q, 0);
            continue;
        }
        const int64_t until_ns = expected_until(q);
        if (!until_ns) {
            lead(q);
            continue;
        }
        q->stats.n_waits++;
        wait_change(q, until_ns);
    }
    pthread_mutex_unlock(&q->lock);
}

struct batch *sched_own(struct sched *q)
{
    pthread_mutex_lock(&q->lock);
    forget_thread(q, pthread_self());
    q->n_owners++;
    while (q->is_taken || q->n_trials > 0)
        pthread_cond_wait(&q->changed, &q->lock);
    q->n_owners--;
    q->is_taken = true;
    pthread_mutex_unlock(&q->lock);
    return &q->batch;
}

void sched_disown(struct sched *q)
{
    pthread_mutex_lock(&q->lock);
    q->is_taken = false;
    wake_all(q);
    pthread_mutex_unlock(&q->lock);
}

struct sched_stats sched_stats(struct sched *q)
{
    pthread_mutex_lock(&q->lock);
    const struct sched_stats s = q->stats;
    pthread_mutex_unlock(&q->lock);
    return s;
}
