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

enum status file_map_open(struct file_map *out, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
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
    } else {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            s = err_errno(e, QA_E_IO, errno, "cannot map '%s'", path);
        } else {
            *out = (struct file_map){p, (size_t)st.st_size};
        }
    }
    close(fd);
    return s;
}

void file_map_close(struct file_map *m)
{
    if (m->p) munmap((void *)(uintptr_t)m->p, m->n);
    *m = (struct file_map){0};
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
    if (!block) s = err_set(e, QA_E_NOMEM, "out of memory reading '%s'", name);
    while (!s) {
        ssize_t n = read(fd, block, BLOCK);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) s = err_errno(e, QA_E_IO, errno, "cannot read '%s'", name);
        if (n <= 0) break;
        str_buf_add(b, (struct str){block, (size_t)n});
        s = str_buf_check(b, name, e);
    }
    free(block);
    if (!is_stdin) close(fd);
    return s;
}

enum status file_write_all(int fd, const void *p, size_t n, struct err *e)
{
    const char *at = p;
    while (n) {
        ssize_t k = write(fd, at, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return err_errno(e, QA_E_IO, errno, "cannot write");
        at += k;
        n -= (size_t)k;
    }
    return QA_OK;
}

enum status file_write(const char *path, struct str bytes, struct err *e)
{
    struct str_buf tmp;
    str_buf_init(&tmp, 4096);
    str_buf_addf(&tmp, "%s.tmp%ld", path, (long)getpid());
    enum status s = str_buf_check(&tmp, "file name", e);
    if (s) return s;
    int fd = open(tmp.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        s = err_errno(e, QA_E_IO, errno, "cannot create '%s'", path);
        goto out;
    }
    s = file_write_all(fd, bytes.p, bytes.n, e);
    if (s) s = err_wrap(e, s, "'%s'", path);
    if (!s && fsync(fd)) s = err_errno(e, QA_E_IO, errno, "cannot write '%s'", path);
    if (close(fd) && !s) s = err_errno(e, QA_E_IO, errno, "cannot write '%s'", path);
    if (!s && rename(tmp.p, path)) {
        s = err_errno(e, QA_E_IO, errno, "cannot replace '%s'", path);
    }
    if (s) unlink(tmp.p);
out:
    str_buf_release(&tmp);
    return s;
}

enum status file_make_dirs(const char *path, struct err *e)
{
    char *copy = strdup(path);
    if (!copy) return err_set(e, QA_E_NOMEM, "out of memory");
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
