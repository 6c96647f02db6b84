/* limits.h - what one program may use. */
#ifndef QA_SANDBOX_LIMITS_H
#define QA_SANDBOX_LIMITS_H

#include "sandbox/sandbox.h"

enum {
    LIMIT_PROCESSES = 64,
    LIMIT_FILES = 256,
    LIMIT_FILE_BYTES = 64 << 20,
    LIMIT_WORK_BYTES = 256 << 20, /* /box, and as much again for /tmp and /dev/shm together */
    LIMIT_WORK_FILES = 16384,
    LIMIT_FLOOD_FACTOR = 64, /* a stream this many times its kept size ends the program */
};

/* Set the limits that are the same for every call; memory and processor time come
 * with the frame, because the worker is started before the call is known.  0 or errno.
 * `want_processes` is false where the kernel would count the user's other processes. */
int limits_apply(bool want_processes);

/* Processor seconds that a call with this wall clock may burn over all its threads. */
uint32_t limits_cpu_s(const struct run_limits *l);

/* QA_E_USAGE when a value is outside of what can be held. */
enum status limits_check(const struct run_limits *l, struct err *e) MUST_USE;

#endif
