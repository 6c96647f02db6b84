/* transcript.c - the log of a run: one JSON object a line, only ever appended. */
#include "agent/transcript.h"

#include "engine/base/clock.h"
#include "engine/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1 };

struct transcript {
    int fd;
    double start_s;
    bool is_held;
    struct err bad; /* the first failure */
    char path[256];
};

/* Where the last whole line of an open file ends. */
static enum status find_end(int fd, off_t size, off_t *end, struct err *e)
{
    char block[4096];
    off_t from = size;
    while (from > 0) {
        const size_t n = (size_t)QA_MIN(from, (off_t)sizeof block);
        from -= (off_t)n;
        const ssize_t got = pread(fd, block, n, from);
        if (got != (ssize_t)n) return err_errno(e, QA_E_IO, errno, "cannot read the end");
        for (size_t i = n; i-- > 0;) {
            if (block[i] != '\n') continue;
            *end = from + (off_t)i + 1;
            return QA_OK;
        }
    }
    *end = 0;
    return QA_OK;
}

enum status transcript_open(struct transcript **out,
                            const char *path,
                            uint64_t *n_torn_bytes,
                            struct err *e)
{
    struct transcript *t = calloc(1, sizeof *t);
    struct stat info;
    off_t end = 0;
    enum status st = QA_OK;
    if (!t) return err_set(e, QA_E_NOMEM, "out of memory for the session log");
    t->start_s = clock_now_s();
    snprintf(t->path, sizeof t->path, "%s", path);
    t->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (t->fd < 0 || fstat(t->fd, &info)) {
        st = err_errno(e, QA_E_IO, errno, "cannot open");
    } else if (!S_ISREG(info.st_mode)) {
        info.st_size = 0;                         /* a pipe or a terminal: nothing to cut */
    } else if (flock(t->fd, LOCK_EX | LOCK_NB)) { /* two runs would write into each other */
        st = err_set(e, QA_E_IO, "another process writes to it");
    } else {
        st = find_end(t->fd, info.st_size, &end, e);
        if (!st && end < info.st_size && ftruncate(t->fd, end)) {
            st = err_errno(e, QA_E_IO, errno, "cannot cut the torn last line");
        }
    }
    if (st) {
        transcript_close(t);
        return err_wrap(e, st, "session log '%s'", path);
    }
    *n_torn_bytes = (uint64_t)(info.st_size - end);
    *out = t;
    return QA_OK;
}

void transcript_close(struct transcript *t)
{
    if (!t) return;
    if (t->fd >= 0) close(t->fd);
    free(t);
}

void transcript_add(struct transcript *t, const char *type, json_t *event)
{
    json_t *line = t && !t->is_held && !t->bad.code ? json_object() : NULL;
    if (!line) {
        json_decref(event);
        return;
    }
    json_object_set_new(line, "v", json_integer(VERSION));
    json_object_set_new(line, "t", json_real(clock_now_s() - t->start_s));
    json_object_set_new(line, "type", json_string(type));
    json_object_update(line, event);
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    const size_t n = text ? strlen(text) : 0;
    if (!text) {
        (void)err_set(&t->bad, QA_E_NOMEM, "cannot write '%s': out of memory", t->path);
    } else {
        text[n] = '\n'; /* in place of the NUL: the line goes out in one write */
        const enum status st = file_write_all(t->fd, text, n + 1, t->path, &t->bad);
        if (st && !t->bad.code) t->bad.code = st;
    }
    free(text);
    json_decref(line);
    json_decref(event);
}

void transcript_hold(struct transcript *t, bool is_held)
{
    if (t) t->is_held = is_held;
}

enum status transcript_check(const struct transcript *t, struct err *e)
{
    if (!t || !t->bad.code) return QA_OK;
    return err_set(e, t->bad.code, "%s", t->bad.text);
}

json_t *transcript_text(struct str s)
{
    json_t *x = json_stringn(s.p ? s.p : "", s.n);
    if (x) return x;
    struct str_buf b;
    str_buf_init(&b, 3 * s.n + 16);
    for (size_t i = 0; i < s.n;) {
        size_t n = QA_MIN(s.n - i, (size_t)4);
        while (n > 0 && !str_is_utf8(str_cut(s, i, i + n))) {
            n--;
        }
        if (n) {
            str_buf_add(&b, str_cut(s, i, i + n));
        } else {
            str_buf_add_z(&b, "\xEF\xBF\xBD");
        }
        i += n ? n : 1;
    }
    x = json_stringn(b.p, b.n);
    str_buf_release(&b);
    return x;
}

json_t *transcript_ids(const int32_t *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_integer(ids[i]));
    }
    return list;
}
