/* frame.h - lists of byte strings over a socket between two processes of ours.
 *
 * On the wire: number of fields, then length and bytes of each; 64-bit, host order
 * (both ends are one program). */
#ifndef QA_FRAME_H
#define QA_FRAME_H

#include "engine/base/str.h"

enum { FRAME_MAX_FIELDS = 16, FRAME_MAX_BYTES = 1 << 30 };

struct frame {
    struct str field[FRAME_MAX_FIELDS]; /* into bytes */
    size_t n;
    char *bytes; /* owned */
};
void frame_release(struct frame *f);

enum status frame_send(int fd, const struct str *fields, size_t n, struct err *e) MUST_USE;
/* QA_E_IO when the other end is gone: "the peer ended". */
enum status frame_receive(int fd, struct frame *out, struct err *e) MUST_USE;

#endif
