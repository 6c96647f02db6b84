/* sweep.h - cleaning up where no namespace does it (level seccomp). */
#ifndef QA_SANDBOX_SWEEP_H
#define QA_SANDBOX_SWEEP_H

#include "engine/base/base.h"

/* Kill everything that descends from the calling process, until nothing is left; it
 * must be a subreaper.  `has_own_user`: no process but those has its uid.  False when
 * the kernel does not list children, or nothing helps. */
bool sweep_processes(bool has_own_user);

/* Remove a folder and all in it, whatever modes the program gave; never follows a
 * link.  Everything that could still change it must be dead. */
void sweep_folder(const char *path);

#endif
