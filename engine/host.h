/* host.h - the memory verbs of a backend whose memory is the host's own: ref and cpu.
 * They stand in the tables of ops.h as they are; `d` is not looked at. */
#ifndef QA_HOST_H
#define QA_HOST_H

#include "engine/ops.h"

/* Zeroed, on its own cache lines; NULL when there is no memory.  The caller releases it. */
void *host_alloc(struct device *d, size_t n_bytes);
void host_release(struct device *d, void *p);
/* Weights are read as they lie in the file: nothing is packed, nothing is undone. */
enum status host_prepare(struct device *d, struct weight *w, struct err *e);
void host_forget(struct device *d, struct weight *w);
void host_copy(struct device *d, void *to, const void *from, size_t n_bytes);
void host_zero(struct device *d, void *p, size_t n_bytes);
/* Every verb is done when it returns. */
void host_sync(struct device *d);

#endif
