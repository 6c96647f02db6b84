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

/* A file's bytes at the file's own offsets, in one of two ways.
 *   mapped   the page cache lends them; all are there, and a read error or a file
 *            that shrinks later is a signal, not a status
 *   image    anonymous memory of the file's size, huge pages where allowed, that holds
 *            what was read so far: [0, n_head), and what others read into it.  The
 *            rest costs nothing and reads as zeros.
 * Threads: any number may read; file_image_need() and close want one at a time. */
struct file_image {
    uint8_t *p; /* NULL while closed; 2 MiB aligned for an image                */
    size_t n;   /* bytes of the file                                            */
    size_t n_head;
    int fd;     /* of an image; -1 when mapped                                   */
    char *path; /* owned                                                        */
    void *base; /* the whole mapping                                            */
    size_t n_base;
};

/* Empty files, folders and devices are refused. */
enum status file_image_open(struct file_image *out,
                            const char *path,
                            bool is_mapped,
                            struct err *e) MUST_USE;
void file_image_close(struct file_image *m); /* a zeroed one is fine */
/* Make n_head at least n (<= m->n), reading ahead a little.  QA_E_IO: not readable, or
 * the file became shorter than it was. */
enum status file_image_need(struct file_image *m, size_t n, struct err *e) MUST_USE;

/* Read exactly [at, at + n) of fd.  QA_E_IO: an error, or the file ends before. */
enum status file_read_at(int fd, void *to, size_t n, size_t at, const char *path, struct err *e)
    MUST_USE;

/* Append the whole of `path` ("-" = stdin; pipes work) to b, within b->max. */
enum status file_read(struct str_buf *b, const char *path, struct err *e) MUST_USE;

/* A file that takes the place of `path` in one step, when it is whole and on disk: a
 * crash, a full disk or a power cut leaves the old file or the new one, never a torn
 * one.  What stands at `path` and is no file (a device, a pipe) is written as it is. */
struct file_new {
    int fd;           /* to write to: file_write_all(f->fd, ..., f->path, e)         */
    const char *path; /* borrowed until close                                        */
    char *tmp;        /* owned: the name until then, beside `path`; NULL: none       */
    size_t n_tmp;
};

/* `mode` as of open(2), less the umask. */
enum status file_new_open(struct file_new *f,
                          const char *path,
                          unsigned mode,
                          struct err *e) MUST_USE;
/* `s` is the outcome of writing: QA_OK replaces `path`; anything else removes what was
 * written, and is returned with the words that e has. */
enum status file_new_close(struct file_new *f, enum status s, struct err *e) MUST_USE;

/* Replace `path` in one step. */
enum status file_write(const char *path, struct str bytes, struct err *e) MUST_USE;

/* Make folder `path` and its parents; an existing folder is fine. */
enum status file_make_dirs(const char *path, struct err *e) MUST_USE;

/* write() until all n bytes are out; retries on EINTR.  `path` is for the message. */
enum status file_write_all(int fd,
                           const void *p,
                           size_t n,
                           const char *path,
                           struct err *e) MUST_USE;

#endif
