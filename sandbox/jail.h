/* jail.h - what is built around one worker: two ordered lists of steps.
 *
 * A worker is two processes.  The init (jail_enter) is a function of ours, never
 * exec'd, process 1 of its own PID namespace: it builds the jail, starts Python,
 * reaps, watches memory, and its death is the death of everything inside.
 *
 *   keeper --clone--> init --fork--> Python (driver.py), then what the program starts
 *
 * Nothing here allocates or takes a lock: it runs in a child of a process that may
 * have had threads. */
#ifndef QA_SANDBOX_JAIL_H
#define QA_SANDBOX_JAIL_H

#include "sandbox/cgroup.h"
#include "sandbox/python.h"
#include "sandbox/sandbox.h"

#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { JAIL_MAX_FILTER = 1024 };

/* Everything known before a worker starts; read-only from then on. */
struct jail_plan {
    enum sandbox_level level; /* FULL, USER or SECCOMP, never AUTO          */
    struct python python;
    struct sock_filter filter[JAIL_MAX_FILTER];
    int n_filter;
    int landlock_abi;     /* 0: the kernel has none                     */
    uid_t outer_uid;      /* USER: who we are outside                   */
    gid_t outer_gid;      /* the same                                   */
    uid_t first_uid;      /* FULL: slot i runs as first_uid + i         */
    int n_uids;           /* FULL: how many such uids there are         */
    rlim_t max_processes; /* for RLIMIT_NPROC                           */
    struct cgroup_home cgroups;
    struct str driver; /* text of driver.py                          */
};

/* Descriptors of a worker's inside, as the keeper made them. */
struct jail_fds {
    int out, err;       /* write ends                                              */
    int driver;         /* socket: frames in, ready and go out                     */
    int report;         /* shared memory for the outcome                           */
    int init;           /* packet socket: struct init_go in, struct init_word out  */
    int memory, events; /* of the worker's control group; -1: it has none           */
};

/* Parent to init, once: the program starts now. */
struct init_go {
    uint64_t memory_bytes; /* all processes together                        */
};

enum init_kind {
    INIT_STEP_FAILED = 1, /* a: list << 8 | step, b: errno                     */
    INIT_EXITED,          /* a: wait status of Python                          */
    INIT_OOM,             /* a: MiB in use: all processes together were too big */
    INIT_CROWD            /* a: number of processes                            */
};
struct init_word {
    int32_t kind, a, b;
};

/* CLONE_NEW* flags of a level. */
int jail_clone_flags(enum sandbox_level level);

/* Words for a failed step, from INIT_STEP_FAILED's a: static text. */
const char *jail_step_name(int list_and_step);

/* In the new process: build the jail, run Python as `mode`, never return.  `slot`
 * picks the uid. */
_Noreturn void jail_enter(const struct jail_plan *plan,
                          const struct jail_fds *fds,
                          enum run_mode mode,
                          int slot);

#endif
