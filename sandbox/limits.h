/* limits.h - what one program may use. */
#ifndef QA_SANDBOX_LIMITS_H
#define QA_SANDBOX_LIMITS_H

#include "sandbox/sandbox.h"

#include <sys/resource.h>

enum {
    LIMIT_PROCESSES = 64,
    LIMIT_MORE_PROCESSES = 64, /* than the user has, where all of the user's count    */
    LIMIT_FILES = 256,
    LIMIT_FILE_BYTES = 64 << 20,
    LIMIT_WORK_BYTES = 256 << 20, /* /box, and as much again for /tmp and /dev/shm together */
    LIMIT_WORK_FILES = 16384,
    LIMIT_FLOOD_FACTOR = 64, /* a stream this many times its kept size ends the program */
};

/* Set the limits that are the same for every call; memory and processor time come
 * with the frame, because the worker is started before the call is known.  0 or errno.
 * `n_processes` is what RLIMIT_NPROC gets: the kernel counts tasks per user. */
int limits_apply(rlim_t n_processes);

/* Tasks that this user has now, threads included. */
rlim_t limits_count_tasks(void);

/* Processor seconds that a call with this wall clock may burn over all its threads. */
uint32_t limits_cpu_s(const struct run_limits *l);

/* QA_E_USAGE when a value is outside of what can be held. */
enum status limits_check(const struct run_limits *l, struct err *e) MUST_USE;

#endif
