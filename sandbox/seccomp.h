/* seccomp.h - which system calls reach the kernel. */
#ifndef QA_SANDBOX_SECCOMP_H
#define QA_SANDBOX_SECCOMP_H

#include "sandbox/jail.h"

/* Compile the filter of the plan's level into plan->filter.  Done before any fork:
 * the library allocates. */
enum status seccomp_compile(struct jail_plan *plan, struct err *e) MUST_USE;

/* Install it on the calling process for good.  0 or errno. */
int seccomp_apply(const struct jail_plan *plan);

#endif
