/* host.c - memory of the host as a device's memory. */
#include "engine/host.h"

#include <stdlib.h>
#include <string.h>

void *host_alloc(struct device *d, size_t n_bytes)
{
    enum { LINE = 64 };
    size_t rounded;
    (void)d;
    if (!size_add_ok(QA_MAX(n_bytes, 1), LINE - 1, &rounded)) return NULL;
    rounded = rounded / LINE * LINE; /* aligned_alloc wants whole alignments */
    void *p = aligned_alloc(LINE, rounded);
    if (p) memset(p, 0, rounded);
    return p;
}

void host_release(struct device *d, void *p)
{
    (void)d;
    free(p);
}

enum status host_prepare(struct device *d, struct weight *w, struct err *e)
{
    (void)d, (void)w, (void)e;
    return QA_OK;
}

void host_forget(struct device *d, struct weight *w)
{
    (void)d, (void)w;
}

void host_copy(struct device *d, void *to, const void *from, size_t n_bytes)
{
    (void)d;
    memcpy(to, from, n_bytes);
}

void host_zero(struct device *d, void *p, size_t n_bytes)
{
    (void)d;
    memset(p, 0, n_bytes);
}

void host_sync(struct device *d)
{
    (void)d;
}
