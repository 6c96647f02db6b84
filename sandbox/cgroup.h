/* cgroup.h - a control group for each worker: a cap on the memory of all its processes
 * together, and on their number, that the kernel holds.
 *
 * Version 2 only, and only where this process may make groups that have both
 * controllers: nothing is switched on for others, and no limit of our own group is
 * left behind.  Where there is none, the init adds memory up instead (watch.c). */
#ifndef QA_SANDBOX_CGROUP_H
#define QA_SANDBOX_CGROUP_H

#include "engine/base/str.h"

#include <sys/types.h>

/* Where groups are made. */
struct cgroup_home {
    char path[512];   /* a folder; "": none                          */
    char reason[120]; /* why none; else ""                           */
};

/* Look for a place and try it: make a group, put a child in, see it and its memory
 * counted, remove it.  Removes what callers that were killed have left there.  Forks. */
void cgroup_find(struct cgroup_home *h);

/* The two halves of the search, on the texts and folders given.  False with
 * h->reason. */
bool cgroup_locate(struct cgroup_home *h,
                   const char *own_groups, /* as in /proc/self/cgroup          */
                   const char *mounts,     /* as in /proc/self/mountinfo       */
                   size_t *n_mount);       /* h->path up to there is the mount */
bool cgroup_climb(struct cgroup_home *h, size_t n_mount);

/* One worker's group, named by the keeper's pid and the slot.  Descriptors, -1: none. */
struct cgroup {
    int folder; /* to start the worker in                              */
    int memory; /* for cgroup_cap_memory                               */
    int events; /* for cgroup_count_oom; ready with POLLPRI on a change */
};
/* 0 or errno. */
int cgroup_make(const struct cgroup_home *h, int slot, struct cgroup *g);
void cgroup_close(struct cgroup *g);
/* Kill what is in it and remove it. */
void cgroup_remove(const struct cgroup_home *h, int slot);

/* Memory of all in the group; 0 or errno. */
int cgroup_cap_memory(int memory_fd, uint64_t bytes);
/* Processes of the group that the kernel killed because the cap was reached. */
uint64_t cgroup_count_oom(int events_fd);

/* Like fork, the child in the group from its first moment; `flags` and *pidfd as for
 * clone. */
pid_t cgroup_clone(const struct cgroup *g, unsigned long flags, int *pidfd);

#endif
