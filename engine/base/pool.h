/* pool.h - a few threads that do one thing together, and the split of work.
 *
 * The caller takes part as thread 0, so a pool of n starts n - 1 workers.  Between
 * two jobs workers spin for a short while before they sleep: the jobs of one token
 * follow each other within microseconds, and waking a sleeper costs tens of them.
 *
 * The split is static: what the parts are depends on the counts alone, never on timing.
 * A job whose parts are independent gives the same bits with any number of threads.
 * Part i is done by worker i, or by the caller when that worker is late.
 *
 * Threads: one caller at a time per pool, any thread; jobs must not start jobs. */
#ifndef QA_POOL_H
#define QA_POOL_H

#include "engine/base/err.h"

struct pool;

/* One part of a job.  i_thread in [0, n_threads) is the part's number: scratch memory may
 * be chosen by it, the running thread's identity may not. */
typedef void pool_fn(void *ctx, int i_thread, int n_threads);

/* Start a pool of n_threads >= 1.  QA_E_NOMEM: threads cannot be started. */
enum status pool_open(struct pool **out, int n_threads, struct err *e) MUST_USE;
void pool_close(struct pool *p); /* NULL is fine; waits for the workers to end */
int pool_n_threads(const struct pool *p);

/* Run fn once for every part and return when all are done.  Everything written
 * before the call is seen by the threads, everything they wrote by the caller. */
void pool_run(struct pool *p, pool_fn *fn, void *ctx);

/* Part i of n things in n_parts nearly equal runs: [*from, *to), cut at multiples of
 * `grain` (>= 1) so that neighbours do not share a cache line or a tile. */
static inline void pool_share(int64_t n,
                              int64_t grain,
                              int i,
                              int n_parts,
                              int64_t *from,
                              int64_t *to)
{
    const int64_t units = (n + grain - 1) / grain;
    const int64_t a = units * i / n_parts * grain;
    const int64_t b = units * (i + 1) / n_parts * grain;
    *from = QA_MIN(a, n);
    *to = QA_MIN(b, n);
}

#endif
