/* landlock.h - a second wall around the file system, in the kernel's access checks. */
#ifndef QA_SANDBOX_LANDLOCK_H
#define QA_SANDBOX_LANDLOCK_H

#include "sandbox/jail.h"

/* ABI version of the running kernel; 0: none. */
int landlock_abi(void);

/* Restrict the calling process: read and execute below `readable`, also write below
 * `writable` (NULL-terminated, absent ones are skipped); no TCP, no signals and no
 * abstract sockets to the outside where the kernel knows these.  Needs
 * no_new_privs.  0 or errno. */
int landlock_apply(int abi, const char *const *readable, const char *const *writable);

#endif
