/* file.c - whole files in, whole files out, and files mapped for reading. */
#include "engine/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A regular file with something in it. */
static enum status open_regular(int *out, size_t *n, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not wait */
    if (fd < 0) return err_errno(e, QA_E_IO, errno, "cannot open '%s'", path);
    struct stat st;
    enum status s = QA_OK;
    if (fstat(fd, &st)) {
        s = err_errno(e, QA_E_IO, errno, "cannot read '%s'", path);
    } else if (S_ISDIR(st.st_mode)) {
        s = err_set(e, QA_E_IO, "cannot read '%s': is a directory", path);
    } else if (!S_ISREG(st.st_mode)) {
        s = err_set(e, QA_E_IO, "cannot read '%s': not a regular file", path);
    } else if (st.st_size == 0) {
        s = err_set(e, QA_E_FORMAT, "cannot read '%s': the file is empty", path);
    }
    if (s) {
        close(fd);
        return s;
    }
    *out = fd;
    *n = (size_t)st.st_size;
    return QA_OK;
}

static enum status map_file(void **out, int fd, size_t n, const char *path, struct err *e)
{
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) return err_errno(e, QA_E_IO, errno, "cannot map '%s'", path);
    *out = p;
    return QA_OK;
}

enum status file_map_open(struct file_map *out, const char *path, struct err *e)
{
    int fd;
    size_t n;
    void *p = NULL;
    enum status s = open_regular(&fd, &n, path, e);
    if (s) return s;
    s = map_file(&p, fd, n, path, e);
    close(fd);
    if (!s) *out = (struct file_map){p, n};
    return s;
}

void file_map_close(struct file_map *m)
{
    if (m->p) munmap((void *)(uintptr_t)m->p, m->n);
    *m = (struct file_map){0};
}

/* Memory for an image: whole huge pages, so that a direct read may end past the file. */
static enum status image_reserve(struct file_image *m, struct err *e)
{
    enum { HUGE_BYTES = 2 << 20 };
    /* One of the two is for the alignment; no file has so many bytes that they overflow. */
    const size_t n = (m->n + 2 * (size_t)HUGE_BYTES) / HUGE_BYTES * HUGE_BYTES;
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED) {
        return err_errno(e, QA_E_NOMEM, errno, "cannot hold the %zu bytes of '%s'", m->n,
                         m->path);
    }
    m->base = p;
    m->n_base = n;
    m->p = (uint8_t *)(((uintptr_t)p + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES);
    return QA_OK;
}

enum status file_image_open(struct file_image *out,
                            const char *path,
                            bool is_mapped,
                            struct err *e)
{
    struct file_image m = {.fd = -1};
    int fd;
    enum status s = open_regular(&fd, &m.n, path, e);
    if (s) return s;
    m.path = strdup(path);
    if (!m.path) {
        s = err_set(e, QA_E_NOMEM, "cannot open '%s': out of memory", path);
    } else if (is_mapped) {
        s = map_file(&m.base, fd, m.n, path, e);
        m.p = m.base;
        m.n_base = m.n_head = m.n;
    } else {
        s = image_reserve(&m, e);
    }
    if (is_mapped || s) {
        close(fd);
    } else {
        m.fd = fd;
    }
    if (s) {
        free(m.path);
        return s;
    }
    *out = m;
    return QA_OK;
}

void file_image_close(struct file_image *m)
{
    if (!m->p) return;
    munmap(m->base, m->n_base);
    if (m->fd >= 0) close(m->fd);
    free(m->path);
    *m = (struct file_image){.fd = -1};
}

enum status file_image_need(struct file_image *m, size_t n, struct err *e)
{
    static const size_t AHEAD = 1 << 20;
    ASSERT(n <= m->n);
    if (n <= m->n_head) return QA_OK;
    const size_t to = n < m->n - QA_MIN(m->n, AHEAD) ? n + AHEAD : m->n;
    const enum status st =
        file_read_at(m->fd, m->p + m->n_head, to - m->n_head, m->n_head, m->path, e);
    if (!st) m->n_head = to;
    return st;
}

enum status file_read_at(int fd, void *to, size_t n, size_t at, const char *path, struct err *e)
{
    char *p = to;
    while (n) {
        const ssize_t k = pread(fd, p, QA_MIN(n, (size_t)1 << 30), (off_t)at);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) {
            return err_errno(e, QA_E_IO, errno, "cannot read '%s' at byte %zu", path, at);
        }
        if (k == 0) {
            return err_set(e, QA_E_IO, "cannot read '%s' at byte %zu: cut off meanwhile", path,
                           at);
        }
        p += k;
        at += (size_t)k;
        n -= (size_t)k;
    }
    return QA_OK;
}

enum status file_read(struct str_buf *b, const char *path, struct err *e)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(e, QA_E_IO, errno, "cannot open '%s'", name);
    enum status s = QA_OK;
    static const size_t BLOCK = 64 << 10;
    char *block = malloc(BLOCK);
    if (!block) s = err_set(e, QA_E_NOMEM, "cannot read '%s': out of memory", name);
    while (!s) {
        ssize_t n = read(fd, block, BLOCK);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) s = err_errno(e, QA_E_IO, errno, "cannot read '%s'", name);
        if (n <= 0) break;
        str_buf_add(b, (struct str){block, (size_t)n});
        s = str_buf_check(b, is_stdin ? "the input" : "the file", e);
        if (s) s = err_wrap(e, s, "cannot read '%s'", name);
    }
    free(block);
    if (!is_stdin) close(fd);
    return s;
}

enum status file_write_all(int fd, const void *p, size_t n, const char *path, struct err *e)
{
    const char *at = p;
    while (n) {
        ssize_t k = write(fd, at, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return err_errno(e, QA_E_IO, errno, "cannot write '%s'", path);
        at += k;
        n -= (size_t)k;
    }
    return QA_OK;
}

/* ---- replacing a file ---------------------------------------------------------- */

/* A name beside `path` that nobody has: another process, or another thread of this one,
 * may be writing the same file. */
static int create_beside(struct file_new *f, mode_t mode)
{
    enum { TRIES = 100 };
    int fd = -1;
    for (int i = 0; fd < 0 && i < TRIES; i++) {
        snprintf(f->tmp, f->n_tmp, "%s.tmp%ld.%d", f->path, (long)getpid(), i);
        fd = open(f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd < 0 && errno != EEXIST) break;
    }
    return fd;
}

enum status file_new_open(struct file_new *f, const char *path, unsigned mode, struct err *e)
{
    struct file_new out = {.path = path, .fd = -1};
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        out.fd = open(path, O_WRONLY | O_CLOEXEC); /* a device or a pipe stays what it is */
    } else {
        out.n_tmp = strlen(path) + 40;
        out.tmp = malloc(out.n_tmp);
        if (!out.tmp) return err_set(e, QA_E_NOMEM, "cannot create '%s': out of memory", path);
        out.fd = create_beside(&out, mode);
    }
    if (out.fd < 0) {
        const enum status s = err_errno(e, QA_E_IO, errno, "cannot create '%s'", path);
        free(out.tmp);
        return s;
    }
    *f = out;
    return QA_OK;
}

/* The new name is there for certain only when its folder is on disk.  A folder that may
 * not be read, or a file system that cannot do this, is left as it is. */
static enum status sync_folder(struct file_new *f, struct err *e)
{
    char *folder = f->tmp; /* its name is gone, its room is enough */
    const char *slash = strrchr(f->path, '/');
    snprintf(folder, f->n_tmp, "%.*s", slash > f->path ? (int)(slash - f->path) : 1,
             slash ? f->path : ".");
    enum status s = QA_OK;
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fsync(fd) && errno == EIO)
        s = err_errno(e, QA_E_IO, errno, "cannot write folder '%s'", folder);
    if (fd >= 0) close(fd);
    return s;
}

enum status file_new_close(struct file_new *f, enum status s, struct err *e)
{
    if (!s && f->tmp && fsync(f->fd))
        s = err_errno(e, QA_E_IO, errno, "cannot write '%s'", f->path);
    if (close(f->fd) && !s) s = err_errno(e, QA_E_IO, errno, "cannot write '%s'", f->path);
    if (!s && f->tmp && rename(f->tmp, f->path)) {
        s = err_errno(e, QA_E_IO, errno, "cannot replace '%s'", f->path);
    }
    if (s && f->tmp) unlink(f->tmp);
    if (!s && f->tmp) s = sync_folder(f, e);
    free(f->tmp);
    *f = (struct file_new){.fd = -1};
    return s;
}

enum status file_write(const char *path, struct str bytes, struct err *e)
{
    struct file_new f;
    const enum status s = file_new_open(&f, path, 0666, e);
    if (s) return s;
    return file_new_close(&f, file_write_all(f.fd, bytes.p, bytes.n, path, e), e);
}

enum status file_make_dirs(const char *path, struct err *e)
{
    char *copy = strdup(path);
    if (!copy) return err_set(e, QA_E_NOMEM, "cannot create folder '%s': out of memory", path);
    enum status s = QA_OK;
    for (char *p = copy + 1; *copy && !s; p++) {
        if (*p && *p != '/') continue;
        const char held = *p;
        *p = 0;
        if (mkdir(copy, 0777) && errno != EEXIST) {
            s = err_errno(e, QA_E_IO, errno, "cannot create folder '%s'", copy);
        }
        *p = held;
        if (!held) break;
    }
    free(copy);
    return s;
}
