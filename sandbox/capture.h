/* capture.h - one output stream of a program: bounded, made harmless. */
#ifndef QA_SANDBOX_CAPTURE_H
#define QA_SANDBOX_CAPTURE_H

#include "engine/base/str.h"

/* Keeps the first 40 % and the last 60 % of `cap`. */
struct capture {
    char *head, *ring; /* owned                                       */
    size_t cap_head, cap_ring;
    size_t n_head;
    uint64_t n_after_head; /* bytes seen after the head was full          */
};
enum status capture_init(struct capture *c, size_t cap_bytes, struct err *e) MUST_USE;
void capture_release(struct capture *c);
void capture_add(struct capture *c, struct str s);
uint64_t capture_seen_bytes(const struct capture *c);

/* Append what was kept to b: well-formed UTF-8 whose only control characters are
 * newline and tab; anything else that str_is_steering tells is shown as U+FFFD.  Where
 * bytes were left out stands "[... N bytes left out ...]" on a line of its own.  Returns that N. */
uint64_t capture_text(const struct capture *c, struct str_buf *b);

#endif
