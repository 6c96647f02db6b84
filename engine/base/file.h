/* file.h - whole files in, whole files out, and files mapped for reading. */
#ifndef QA_FILE_H
#define QA_FILE_H

#include "engine/base/str.h"

struct file_map {
    const uint8_t *p; /* NULL while closed */
    size_t n;
};

/* Map a regular file for reading.  Empty files and folders are refused. */
enum status file_map_open(struct file_map *out, const char *path, struct err *e) MUST_USE;
void file_map_close(struct file_map *m);

/* Append the whole of `path` ("-" = stdin; pipes work) to b, within b->max. */
enum status file_read(struct str_buf *b, const char *path, struct err *e) MUST_USE;

/* Replace `path` in one step: temporary file beside it, fsync, rename. */
enum status file_write(const char *path, struct str bytes, struct err *e) MUST_USE;

/* Make folder `path` and its parents; an existing folder is fine. */
enum status file_make_dirs(const char *path, struct err *e) MUST_USE;

/* write() until all n bytes are out; retries on EINTR. */
enum status file_write_all(int fd, const void *p, size_t n, struct err *e) MUST_USE;

#endif
