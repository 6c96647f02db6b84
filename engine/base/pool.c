/* pool.c - workers wait for a job number to change: first spinning, then asleep.
 *
 * States of a worker, and who moves it:
 *   waiting   job == seen.  Spins on `job`, then sleeps on `wake` counted in n_asleep.
 *   claiming  job != seen.  Moves its `claimed` to that number, unless the caller did.
 *   working   it has the claim: fn and ctx may be read, they stay until n_left is 0.
 *   done      it took one from n_left; after the last one the caller goes on.
 *
 * Which part belongs to whom is fixed, but a caller that is done does not wait for a
 * worker that has not begun: it claims that part and does it itself, with the part's
 * own number, so the bits stay the same.  On a machine that is busy with others a
 * worker can be away for a whole time slice, a thousand times as long as a job.
 * Numbers only grow, so a worker that was away between reading `job` and claiming
 * finds its claim already moved and leaves the job alone.
 *
 * No wake-up is lost: the worker counts itself asleep and then looks at `job` once
 * more, the caller writes `job` and then looks at n_asleep, all sequentially
 * consistent, so one of them sees the other. */
#include "engine/base/pool.h"

#include "engine/base/clock.h"
#include "engine/base/cpu.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Long enough to bridge sampling between two tokens of a small model, short enough
 * that an idle program does not show up in `top`. */
enum { SPIN_NS = 200 * 1000, SPINS_PER_LOOK = 64, SPINS_PER_YIELD = 4096 };
enum { JOB_QUIT_BIT = 1, JOB_STEP = 2 };

struct worker {
    _Alignas(64) _Atomic uint32_t claimed; /* last job whose part was taken, by anyone */
    struct pool *pool;
    pthread_t thread;
    int index;
};

struct pool {
    _Alignas(64) _Atomic uint32_t job; /* changes when there is work; bit 0: quit      */
    pool_fn *fn;                       /* written by the caller before `job`           */
    void *ctx;
    _Alignas(64) _Atomic int n_left;   /* parts that are not finished                  */
    _Alignas(64) _Atomic int n_asleep; /* workers that need a broadcast                */
    pthread_mutex_t lock;              /* guards nothing but the sleep itself          */
    pthread_cond_t wake;
    int n_threads;
    int n_started; /* workers whose thread exists                                      */
    struct worker *workers;
};

/* Spin until the job number is not `seen`; false when it took too long. */
static bool spin_for_job(struct pool *p, uint32_t seen)
{
    const int64_t until = clock_now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (atomic_load_explicit(&p->job, memory_order_acquire) != seen) return true;
            cpu_relax();
        }
    } while (clock_now_ns() < until);
    return false;
}

static void sleep_for_job(struct pool *p, uint32_t seen)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_asleep, 1);
    while (atomic_load(&p->job) == seen) {
        pthread_cond_wait(&p->wake, &p->lock);
    }
    atomic_fetch_sub(&p->n_asleep, 1);
    pthread_mutex_unlock(&p->lock);
}

/* Take part i of the job; false when somebody has it. */
static bool claim(struct worker *w, uint32_t job)
{
    uint32_t last = atomic_load_explicit(&w->claimed, memory_order_relaxed);
    /* Half the circle ahead is "later": numbers wrap around. */
    if ((int32_t)(job - last) <= 0) return false;
    return atomic_compare_exchange_strong_explicit(&w->claimed, &last, job,
                                                   memory_order_acquire, memory_order_relaxed);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    uint32_t seen = 0;

    for (;;) {
        if (!spin_for_job(p, seen)) sleep_for_job(p, seen);
        seen = atomic_load_explicit(&p->job, memory_order_acquire);
        if (seen & JOB_QUIT_BIT) return NULL;
        if (!claim(w, seen)) continue;
        p->fn(p->ctx, w->index, p->n_threads);
        atomic_fetch_sub_explicit(&p->n_left, 1, memory_order_release);
    }
}

static void announce(struct pool *p, uint32_t job)
{
    atomic_store(&p->job, job);
    if (atomic_load(&p->n_asleep) == 0) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* Do what no worker has begun, then wait for the others.  Parts are equal, so the wait
 * is short unless a worker was taken off its processor in the middle of one: then ours
 * is given away rather than burnt. */
static void finish_job(struct pool *p, uint32_t job)
{
    for (int i = 1; i < p->n_threads; i++) {
        if (!claim(&p->workers[i], job)) continue;
        p->fn(p->ctx, i, p->n_threads);
        atomic_fetch_sub_explicit(&p->n_left, 1, memory_order_release);
    }
    for (int i = 1; atomic_load_explicit(&p->n_left, memory_order_acquire) > 0; i++) {
        if (i % SPINS_PER_YIELD == 0)
            sched_yield();
        else
            cpu_relax();
    }
}

enum status pool_open(struct pool **out, int n_threads, struct err *e)
{
    ASSERT(n_threads >= 1);
    struct pool *p = aligned_alloc(64, (sizeof *p + 63) / 64 * 64);
    if (!p) return err_set(e, QA_E_NOMEM, "cannot allocate a thread pool");
    *p = (struct pool){.n_threads = n_threads};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->workers = aligned_alloc(64, (size_t)n_threads * sizeof *p->workers);
    if (!p->workers) {
        pool_close(p);
        return err_set(e, QA_E_NOMEM, "cannot allocate %d threads", n_threads);
    }
    for (int i = 1; i < n_threads; i++) {
        struct worker *w = &p->workers[i];
        *w = (struct worker){.pool = p, .index = i};
        const int errnum = pthread_create(&w->thread, NULL, work, w);
        if (errnum) {
            pool_close(p);
            return err_errno(e, QA_E_NOMEM, errnum, "cannot start thread %d of %d", i + 1,
                             n_threads);
        }
        p->n_started = i;
    }
    *out = p;
    return QA_OK;
}

void pool_close(struct pool *p)
{
    if (!p) return;
    announce(p, atomic_load(&p->job) | JOB_QUIT_BIT);
    for (int i = 1; i <= p->n_started; i++) {
        pthread_join(p->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

int pool_n_threads(const struct pool *p)
{
    return p->n_threads;
}

void pool_run(struct pool *p, pool_fn *fn, void *ctx)
{
    if (p->n_threads == 1) {
        fn(ctx, 0, 1);
        return;
    }
    p->fn = fn;
    p->ctx = ctx;
    const uint32_t job = atomic_load_explicit(&p->job, memory_order_relaxed) + JOB_STEP;
    atomic_store_explicit(&p->n_left, p->n_threads - 1, memory_order_relaxed);
    announce(p, job);
    fn(ctx, 0, p->n_threads);
    finish_job(p, job);
}
