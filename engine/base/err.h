/* err.h - one line of text beside a status: what failed, 'subject', reason.
 *
 * The caller owns the struct (usually on its stack) and starts it with {0}.
 * Text is lower case, has no full stop, and is cut at its size.  Names in it may be of
 * files and texts that nobody trusts: what could steer a terminal is a '?'. */
#ifndef QA_ERR_H
#define QA_ERR_H

#include "engine/base/base.h"

struct err {
    enum status code;
    char text[400];
};

/* Set code and text; returns code, so `return err_set(e, QA_E_IO, ...)` works.  e may be NULL. */
enum status err_set(struct err *e, enum status code, const char *fmt, ...) PRINTF(3, 4);

/* Put context in front: "outer context: inner text".  Returns code. */
enum status err_wrap(struct err *e, enum status code, const char *fmt, ...) PRINTF(3, 4);

/* err_set with ": " and the words for errno value `errnum` at the end, in lower case. */
enum status err_errno(struct err *e, enum status code, int errnum, const char *fmt, ...)
    PRINTF(4, 5);

#endif
