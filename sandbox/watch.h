/* watch.h - what the init does while the program runs. */
#ifndef QA_SANDBOX_WATCH_H
#define QA_SANDBOX_WATCH_H

#include "sandbox/jail.h"

struct watch {
    int init_fd;              /* packet socket to the caller                            */
    int proc_fd;              /* the namespace's process list, -1: none to be had       */
    int memory_fd, events_fd; /* of the worker's control group, -1: it has none         */
    pid_t main_pid;           /* Python                                                 */
    const char *sweep_folder; /* no namespace: kill the program's processes one by one,
                               * then remove this; NULL: the kernel does it      */
    bool has_own_user;        /* then: nobody else has the uid of the program           */
};

/* Reap every process, tell the caller how Python ended, and leave: the kernel kills
 * what is left in the namespace.  The same when the other side of init_fd closes, or
 * when all processes together pass the memory of struct init_go: the control group
 * says so, or, without one, the init adds up. */
_Noreturn void watch_run(const struct watch *w);

#endif
