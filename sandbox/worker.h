/* worker.h - one worker seen from outside: wait for it, hand it a program, listen. */
#ifndef QA_SANDBOX_WORKER_H
#define QA_SANDBOX_WORKER_H

#include "sandbox/keeper.h"

struct worker {
    pid_t pid;
    struct worker_fds fds;
    enum run_mode mode;
    enum sandbox_level level;
    bool is_ready;
};

/* False once it is dead, for whatever reason. */
bool worker_is_alive(const struct worker *w);

/* Wait until Python is up and waits for a program.  QA_E_SANDBOX with the step that
 * failed, QA_E_STOP when *stop (may be NULL) became non-zero. */
enum status worker_wait_ready(struct worker *w,
                              const volatile int *stop,
                              struct err *e) MUST_USE;

/* Run one program in a ready worker, to the end of everything it started; the
 * worker is of no further use.  See sandbox_run. */
enum status worker_run(struct worker *w,
                       struct str code,
                       const struct run_limits *limits,
                       const volatile int *stop,
                       struct run_result *out,
                       struct err *e) MUST_USE;

/* Close our ends.  The process is the keeper's to bury. */
void worker_release(struct worker *w);

#endif
