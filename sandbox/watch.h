/* watch.h - what the init does while the program runs. */
#ifndef QA_SANDBOX_WATCH_H
#define QA_SANDBOX_WATCH_H

#include "sandbox/jail.h"

/* Reap every process, tell `init_fd` how `main_pid` ended, and leave: the kernel
 * kills what is left in the namespace.  The same when the other side of init_fd
 * closes, or when all processes together pass the memory of struct init_go.
 * `proc_fd`: the namespace's process list, -1 when there is none to be had. */
_Noreturn void watch_run(int init_fd, int proc_fd, pid_t main_pid);

#endif
