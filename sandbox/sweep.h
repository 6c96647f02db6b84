/* sweep.h - cleaning up where no namespace does it (level seccomp). */
#ifndef QA_SANDBOX_SWEEP_H
#define QA_SANDBOX_SWEEP_H

#include "engine/base/base.h"

/* Kill every child of the calling process, and what they leave to it, until none is
 * left; it must be a subreaper.  False when the kernel does not list children. */
bool sweep_processes(void);

/* Remove a folder and all in it, whatever modes the program gave; never follows a
 * link.  Everything that could still change it must be dead. */
void sweep_folder(const char *path);

#endif
