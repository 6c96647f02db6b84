/* rows.c - an append-only file of JSON lines. */
#include "humaneval/rows.h"

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "humaneval/pyjson.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static const size_t MAX_BYTES = (size_t)4 << 30;

static enum status lock(int fd, const char *path, double wait_s, struct err *e)
{
    const double until_s = clock_now_s() + wait_s;
    while (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK) return err_errno(e, QA_E_IO, errno, "cannot lock '%s'", path);
        if (clock_now_s() >= until_s) {
            return err_set(e, QA_E_USAGE, "'%s' is in use by another process", path);
        }
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    }
    return QA_OK;
}

/* Bytes up to the last line that is whole: its newline is there and it is a JSON object.
 * A machine that lost power may leave zeros behind the last synced row. */
static size_t whole_bytes(struct str text, size_t *n_rows)
{
    size_t at = 0;
    *n_rows = 0;
    while (at < text.n) {
        const size_t n = str_find(str_cut(text, at, text.n), STR("\n"));
        if (n == SIZE_MAX) break;
        struct pyjson_row row = {0};
        const enum status st = pyjson_row_parse(&row, str_cut(text, at, at + n), NULL);
        pyjson_row_release(&row);
        if (st && at + n + 1 == text.n) break;
        at += n + 1;
        ++*n_rows;
    }
    return at;
}

enum status rows_open(struct rows *out, const char *path, double lock_wait_s, struct err *e)
{
    struct rows r = {.fd = -1, .path = strdup(path)};
    str_buf_init(&r.text, MAX_BYTES);
    enum status st = QA_OK;
    if (!r.path) {
        st = err_set(e, QA_E_NOMEM, "out of memory");
        goto fail;
    }
    r.fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (r.fd < 0) {
        st = err_errno(e, QA_E_IO, errno, "cannot open '%s'", path);
        goto fail;
    }
    st = lock(r.fd, path, lock_wait_s, e);
    if (!st) st = file_read(&r.text, path, e);
    if (st) goto fail;
    const size_t keep = whole_bytes(str_buf_str(&r.text), &r.n);
    if (keep < r.text.n) {
        log_notice("'%s': cut off a torn last line of %zu bytes", path, r.text.n - keep);
        if (ftruncate(r.fd, (off_t)keep) || fsync(r.fd)) {
            st = err_errno(e, QA_E_IO, errno, "cannot cut '%s'", path);
            goto fail;
        }
        r.text.n = keep;
    }
    *out = r;
    return QA_OK;
fail:
    rows_close(&r);
    return st;
}

void rows_close(struct rows *r)
{
    if (r->fd >= 0) close(r->fd);
    free(r->path);
    str_buf_release(&r->text);
    *r = (struct rows){.fd = -1};
}

enum status rows_append(struct rows *r, struct str row, struct err *e)
{
    struct str_buf line;
    str_buf_init(&line, MAX_BYTES);
    str_buf_add(&line, row);
    str_buf_add_char(&line, '\n');
    enum status st = str_buf_check(&line, "a row", e);
    if (!st) st = file_write_all(r->fd, line.p, line.n, r->path, e);
    if (!st && fdatasync(r->fd))
        st = err_errno(e, QA_E_IO, errno, "cannot write '%s'", r->path);
    str_buf_release(&line);
    if (st) return st;
    r->n++;
    return QA_OK;
}

enum status rows_cut(struct rows *r, size_t n, struct err *e)
{
    if (n >= r->n) return QA_OK;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        at += str_find(str_cut(str_buf_str(&r->text), at, r->text.n), STR("\n")) + 1;
    }
    if (ftruncate(r->fd, (off_t)at) || fsync(r->fd)) {
        return err_errno(e, QA_E_IO, errno, "cannot cut '%s'", r->path);
    }
    r->text.n = at;
    r->n = n;
    return QA_OK;
}
