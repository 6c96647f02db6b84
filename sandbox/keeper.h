/* keeper.h - the small process that starts and buries workers.
 *
 * Forking a process with many gigabytes mapped is slow, and one with threads may
 * do little after a fork; so sandbox_open forks once, early, and the copy (the
 * keeper, single-threaded, no open file of the caller's) starts every worker.
 * When the caller dies, the keeper's socket closes, and all workers die with it. */
#ifndef QA_SANDBOX_KEEPER_H
#define QA_SANDBOX_KEEPER_H

#include "sandbox/jail.h"

struct keeper {
    pid_t pid;
    int fd; /* packet socket; -1 when closed */
};

/* Caller's ends of a worker. */
struct worker_fds {
    int out, err; /* read ends, not blocking  */
    int driver;   /* socket                   */
    int report;   /* shared memory            */
    int init;     /* packet socket            */
    int pidfd;
};

/* `plan` is borrowed until keeper_close. */
enum status keeper_open(struct keeper *k, const struct jail_plan *plan, struct err *e) MUST_USE;
void keeper_close(struct keeper *k); /* kills all its workers */

/* Two halves, so that the caller need not wait while a worker is being started.
 * Requests and answers must alternate; the caller holds a lock over each half. */
enum status keeper_ask(struct keeper *k, enum run_mode mode, struct err *e) MUST_USE;
enum status keeper_answer(struct keeper *k,
                          pid_t *pid,
                          struct worker_fds *fds,
                          struct err *e) MUST_USE;

/* Kill worker `pid` and all that is inside it, and wait until it is gone. */
enum status keeper_bury(struct keeper *k, pid_t pid, struct err *e) MUST_USE;

#endif
