/* sched.h - which sessions share the next pass: flat combining.
 *
 * Calls on different sessions come from different threads.  A call files a request
 * and waits; when every call under way has filed one, one of the waiting threads
 * leads: it runs requests of one kind as one pass (batch.h), hands the results out
 * and steps back.  Nothing runs in the background, there is no thread of its own.
 *
 *     outside    between two calls, or at its tool: nobody waits for it, except for
 *                a moment (GRACE_NS in sched.c) after a call that another one
 *                usually follows at once
 *     inside     sched_enter() .. sched_leave(): computes for itself, samples; others
 *                wait for it to file or leave, so nothing here may block
 *     filed      in sched_run(), waiting or leading
 *
 * Policy of a pass (docs/internals/batching.md): keep before draft before trunk, so
 * that all sessions meet in the trunk; small requests always whole; prompts share
 * what is left, and at most MIXED_ROWS when a small request is there.
 *
 * With one session the caller leads at once: two uncontended locks a pass. */
#ifndef QA_SCHED_H
#define QA_SCHED_H

#include "engine/batch.h"

struct sched;

enum status sched_open(struct sched **out, struct forward *f, struct err *e) MUST_USE;
void sched_close(struct sched *q); /* NULL is fine; nobody is inside */

/* A call that may file requests begins; and ends.  is_back_soon: the same thread will
 * most likely enter again within microseconds. */
void sched_enter(struct sched *q);
void sched_leave(struct sched *q, bool is_back_soon);

/* File r and return when it is done.  The caller is inside.  A prompt may be cut:
 * r->span.n_rows says how far it came, at least one row.
 * After a trial the session must file its keep before anything else. */
void sched_run(struct sched *q, struct request *r);

/* The forward pass for the caller alone, between two passes and with no trial open; the
 * caller is outside.  Returns the batch. */
struct batch *sched_own(struct sched *q);
void sched_disown(struct sched *q);

/* Passes run so far, the requests they served, and how often somebody who could have
 * led waited for a thread that was expected back. */
struct sched_stats {
    uint64_t n_passes, n_requests, n_waits;
};
struct sched_stats sched_stats(struct sched *q);

#endif
