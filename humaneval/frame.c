/* frame.c - lists of byte strings over a socket. */
#include "humaneval/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void frame_release(struct frame *f)
{
    free(f->bytes);
    *f = (struct frame){0};
}

/* MSG_NOSIGNAL: a dead peer is a status, not a SIGPIPE. */
static enum status put(int fd, const void *p, size_t n, struct err *e)
{
    const char *at = p;
    while (n) {
        const ssize_t k = send(fd, at, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return err_errno(e, QA_E_IO, errno, "cannot send to the peer");
        at += k;
        n -= (size_t)k;
    }
    return QA_OK;
}

static enum status get(int fd, void *p, size_t n, struct err *e)
{
    char *at = p;
    while (n) {
        const ssize_t k = read(fd, at, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return err_set(e, QA_E_IO, "the peer ended");
        at += k;
        n -= (size_t)k;
    }
    return QA_OK;
}

enum status frame_send(int fd, const struct str *fields, size_t n, struct err *e)
{
    ASSERT(n <= FRAME_MAX_FIELDS);
    const uint64_t count = n;
    enum status st = put(fd, &count, sizeof count, e);
    for (size_t i = 0; i < n && !st; i++) {
        const uint64_t length = fields[i].n;
        st = put(fd, &length, sizeof length, e);
        if (!st) st = put(fd, fields[i].p, fields[i].n, e);
    }
    return st;
}

enum status frame_receive(int fd, struct frame *out, struct err *e)
{
    uint64_t count;
    enum status st = get(fd, &count, sizeof count, e);
    if (st) return st;
    if (count > FRAME_MAX_FIELDS) return err_set(e, QA_E_FORMAT, "a frame of too many fields");
    size_t at[FRAME_MAX_FIELDS];
    size_t length[FRAME_MAX_FIELDS];
    size_t total = 0;
    struct frame f = {.n = (size_t)count};
    for (size_t i = 0; i < f.n; i++) {
        uint64_t n;
        st = get(fd, &n, sizeof n, e);
        if (!st && n > FRAME_MAX_BYTES - total) {
            st = err_set(e, QA_E_LIMIT, "a frame of too many bytes");
        }
        char *grown = st ? NULL : realloc(f.bytes, total + (size_t)n + 1);
        if (!st && !grown) st = err_set(e, QA_E_NOMEM, "out of memory");
        if (grown) f.bytes = grown;
        if (!st) st = get(fd, f.bytes + total, (size_t)n, e);
        if (st) {
            free(f.bytes);
            return st;
        }
        at[i] = total;
        length[i] = (size_t)n;
        total += (size_t)n;
    }
    for (size_t i = 0; i < f.n; i++) {
        f.field[i] = (struct str){f.bytes + at[i], length[i]};
    }
    *out = f;
    return QA_OK;
}
