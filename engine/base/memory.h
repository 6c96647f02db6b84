/* memory.h - how much memory this process may still take. */
#ifndef QA_MEMORY_H
#define QA_MEMORY_H

#include "engine/base/base.h"

/* Bytes that can be taken without swapping: what the kernel estimates as available,
 * and no more than the limits of the control groups (versions 1 and 2) leave.  UINT64_MAX when nothing is known. */
uint64_t memory_free(void);
/* The same with /proc and /sys below `root` ("" for the machine itself), for tests. */
uint64_t memory_free_at(const char *root);

/* Bytes of this process that are in memory now; 0 when unknown. */
uint64_t memory_resident(void);

#endif
