/* memory_file.h - bytes as a file for what only reads files. */
#ifndef QA_FUZZ_MEMORY_FILE_H
#define QA_FUZZ_MEMORY_FILE_H

#include "engine/base/str.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct memory_file {
    int fd;        /* 0: not made yet */
    char path[40]; /* as long as the process lives */
};

/* The file has these bytes and no others. */
static inline void memory_file_set(struct memory_file *f, struct str bytes)
{
    if (!f->fd) {
        f->fd = memfd_create("fuzz", MFD_CLOEXEC);
        ASSERT(f->fd > 0);
        snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
    }
    ASSERT(ftruncate(f->fd, 0) == 0);
    ASSERT(pwrite(f->fd, bytes.p, bytes.n, 0) == (ssize_t)bytes.n);
}

#endif
