/* rows.h - an append-only file of JSON lines that survives being cut anywhere.
 *
 * A row counts when its newline is on the disk; a torn last line is cut off with a
 * notice and costs nothing else.  One process at a time: the file is locked. */
#ifndef QA_ROWS_H
#define QA_ROWS_H

#include "engine/base/str.h"

struct rows {
    int fd;
    char *path;          /* owned                                                    */
    size_t n;            /* rows that are there                                      */
    struct str_buf text; /* what was there on opening: the rows, each with its '\n'  */
};
/* Open or create; `lock_wait_s`: how long another holder is waited for. */
enum status rows_open(struct rows *out,
                      const char *path,
                      double lock_wait_s,
                      struct err *e) MUST_USE;
void rows_close(struct rows *r); /* {.fd = -1} and closed ones are fine */
/* One row, without its newline; on the disk on return. */
enum status rows_append(struct rows *r, struct str row, struct err *e) MUST_USE;
/* Drop the rows behind the first n. */
enum status rows_cut(struct rows *r, size_t n, struct err *e) MUST_USE;

#endif
