/* fetch.h - download one file whose digest is known.
 *
 * Threads: one caller at a time; libcurl is set up on first use and kept. */
#ifndef QA_FETCH_H
#define QA_FETCH_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct fetch {
    const char *url;
    const char *protocols; /* that the address and redirections may have; NULL: "https" */
    const char *path;      /* folders are made                                        */
    const char *sha256;    /* 64 hexadecimal digits                                   */
    size_t max_bytes;
    const volatile int *stop; /* may be NULL                                          */
    bool want_progress;       /* a live line on stderr                                */
};
/* Nothing is left at f->path unless the digest is right.  The text of e names the file,
 * not the address.  QA_E_IO: no network, or the server refused; QA_E_LIMIT: larger than
 * max_bytes; QA_E_FORMAT: another digest; QA_E_STOP: *stop was set. */
enum status fetch_file(const struct fetch *f, struct err *e) MUST_USE;

#endif
