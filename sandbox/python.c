/* python.c - which Python runs inside, and what of the file system it needs. */
#include "sandbox/python.h"

#include "engine/base/clock.h"
#include "engine/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROBE_TIMEOUT_S = 20, PROBE_MAX_BYTES = 256 << 10, MIN_MINOR = 8 };

/* Prints records "<kind><text>\0": x executable, v version, p path, s packages.  A prefix that
 * is a home folder or / gives its own library folder only: the rest of it are the
 * user's files.  Extension modules are loaded so that the libraries they need show
 * up in the memory map.  Run with -I: nothing of the current folder is imported. */
static const char PROBE[] =
    "import os, sys\n"
    "def show(kind, text):\n"
    "    sys.stdout.buffer.write(kind + os.fsencode(text) + b'\\0')\n"
    "def path(p):\n"
    "    for q in (p, os.path.realpath(p)):\n"
    "        if os.path.isabs(q) and os.path.exists(q):\n"
    "            show(b'p', os.path.normpath(q))\n"
    "show(b'x', os.path.abspath(sys.executable))\n"
    "show(b'v', '%d.%d.%d' % sys.version_info[:3])\n"
    "home = {os.path.realpath(os.path.expanduser('~')), '/'}\n"
    "own = 'python%d.%d' % sys.version_info[:2]\n"
    "for p in {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}:\n"
    "    for lib in ('lib', 'lib64'):\n"
    "        lib = os.path.join(p, lib)\n"
    "        whole = os.path.realpath(p) not in home\n"
    "        path(lib if whole else os.path.join(lib, own))\n"
    "    path(os.path.join(p, 'pyvenv.cfg'))\n"
    "    for lib in ('python3', own):\n"
    "        path(os.path.join(p, 'local', 'lib', lib))\n"
    "path(os.path.abspath(sys.executable))\n"
    "path(getattr(sys, '_base_executable', None) or sys.executable)\n"
    "for s in sys.path:\n"
    "    if s.endswith('-packages'):\n"
    "        path(s)\n"
    "        show(b's', os.path.abspath(s))\n"
    "for m in ('_ctypes', '_ssl', '_hashlib', '_bz2', '_lzma', '_sqlite3', '_decimal', "
    "'zlib'):\n"
    "    try:\n"
    "        __import__(m)\n"
    "    except ImportError:\n"
    "        pass\n"
    "for row in open('/proc/self/maps'):\n"
    "    p = row.rstrip('\\n').split(None, 5)[-1]\n"
    "    if p.startswith('/') and '.so' in p:\n"
    "        path(p)\n";

/* What every interpreter needs of a system; absent ones are skipped.  On Debian the
 * numeric libraries are reached through /etc/alternatives. */
static const char *const SYSTEM_PATHS[] = {
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/usr/share/zoneinfo",
};

/* Read what the probe prints until it closes its end; false when it takes too long. */
static bool read_all(int fd, struct str_buf *b)
{
    const int64_t end_ns = clock_now_ns() + (int64_t)PROBE_TIMEOUT_S * 1000000000;
    for (;;) {
        const int64_t left_ms = (end_ns - clock_now_ns()) / 1000000;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0 || b->bad) return false;
        const int n_ready = poll(&p, 1, (int)left_ms);
        if (n_ready < 0 && errno != EINTR) return false;
        if (n_ready <= 0) continue;
        char chunk[4096];
        const ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0) return true;
        if (n > 0) str_buf_add(b, (struct str){chunk, (size_t)n});
        if (n < 0 && errno != EINTR) return false;
    }
}

static enum status run_probe(const char *name, struct str_buf *b, struct err *e)
{
    extern char **environ; /* a pyenv shim finds its interpreters through it */
    int fds[2];
    if (pipe2(fds, O_CLOEXEC)) return err_errno(e, QA_E_IO, errno, "cannot make a pipe");

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    char *argv[] = {(char *)name, (char *)"-I",  (char *)"-B",
                    (char *)"-c", (char *)PROBE, NULL};
    pid_t pid = 0;
    const int failure = posix_spawnp(&pid, name, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (failure) {
        close(fds[0]);
        return err_errno(e, QA_E_SANDBOX, failure, "cannot find Python 3.8 or later as '%s'",
                         name);
    }

    const bool is_read = read_all(fds[0], b);
    close(fds[0]);
    if (!is_read) kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!is_read) {
        return err_set(e, QA_E_SANDBOX, "'%s' did not answer within %d s", name,
                       PROBE_TIMEOUT_S);
    }
    if (status != 0) {
        return err_set(e, QA_E_SANDBOX, "'%s' is not a working Python 3.%d or later", name,
                       MIN_MINOR);
    }
    return QA_OK;
}

static bool is_inside(const char *path, const char *folder)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* A path is the plain kind: absolute, no "..", not / itself. */
static bool is_plain(const char *path)
{
    if (path[0] != '/' || path[1] == 0 || strlen(path) >= PATH_MAX - 32) return false;
    for (const char *p = path; (p = strstr(p, "/..")); p += 3) {
        if (p[3] == 0 || p[3] == '/') return false;
    }
    return true;
}

/* Add a path unless a folder that is already there contains it; what it contains
 * itself leaves. */
static enum status add_path(struct python *p, const char *path, struct err *e)
{
    if (!is_plain(path)) return QA_OK;
    for (int i = 0; i < p->n_paths; i++) {
        /* A link (/lib -> usr/lib) is copied as a link; its target is in the list too. */
        if (is_inside(path, p->paths[i])) return QA_OK;
    }
    int n_kept = 0;
    for (int i = 0; i < p->n_paths; i++) {
        if (is_inside(p->paths[i], path)) {
            free(p->paths[i]);
        } else {
            p->paths[n_kept++] = p->paths[i];
        }
    }
    p->n_paths = n_kept;
    if (p->n_paths == PYTHON_MAX_PATHS) {
        return err_set(e, QA_E_SANDBOX, "'%s' lives in more than %d places", p->exe,
                       PYTHON_MAX_PATHS);
    }
    p->paths[p->n_paths] = strdup(path);
    if (!p->paths[p->n_paths]) return err_set(e, QA_E_NOMEM, "out of memory for a path");
    p->n_paths++;
    return QA_OK;
}

static enum status set_version(struct python *p,
                               const char *text,
                               const char *name,
                               struct err *e)
{
    int64_t minor = 0;
    const struct str s = str_of(text);
    const size_t dot = str_find(str_cut(s, 2, s.n), STR("."));
    const bool is_three = str_starts(s, STR("3.")) && dot != SIZE_MAX &&
                          str_to_i64(str_cut(s, 2, 2 + dot), 0, 999, &minor);
    if (!is_three || minor < MIN_MINOR || s.n >= sizeof p->version) {
        return err_set(e, QA_E_SANDBOX, "'%s' is Python %.20s, but 3.%d or later is needed",
                       name, text, MIN_MINOR);
    }
    memcpy(p->version, text, s.n + 1);
    p->minor = (int)minor;
    return QA_OK;
}

static enum status take_records(struct python *p, struct str s, const char *name, struct err *e)
{
    enum status st = QA_OK;
    for (size_t i = 0; !st && i < s.n;) {
        const size_t end = str_find(str_cut(s, i, s.n), STR("\0"));
        if (end == SIZE_MAX || end == 0) break;
        const char *text = s.p + i + 1;
        switch (s.p[i]) {
        case 'x':
            if (!p->exe) p->exe = strdup(text);
            break;
        case 'v': st = set_version(p, text, name, e); break;
        case 'p': st = add_path(p, text, e); break;
        case 's':
            if (p->n_sites < PYTHON_MAX_SITES && is_plain(text)) {
                p->sites[p->n_sites] = strdup(text);
                if (p->sites[p->n_sites]) p->n_sites++;
            }
            break;
        default: break; /* noise of a wrapper script */
        }
        i += end + 1;
    }
    if (st) return st;
    if (!p->exe || !is_plain(p->exe) || !p->minor) {
        return err_set(e, QA_E_SANDBOX, "'%s' does not say where it lives", name);
    }
    return QA_OK;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum status python_find(struct python *out, const char *name, struct err *e)
{
    struct python p = {0};
    struct str_buf b;
    str_buf_init(&b, PROBE_MAX_BYTES);
    if (!name) name = "python3";

    enum status st = run_probe(name, &b, e);
    for (size_t i = 0; !st && i < COUNT(SYSTEM_PATHS); i++) {
        if (access(SYSTEM_PATHS[i], F_OK) == 0) st = add_path(&p, SYSTEM_PATHS[i], e);
    }
    if (!st) st = take_records(&p, str_buf_str(&b), name, e);
    str_buf_release(&b);
    if (st) {
        python_release(&p);
        return st;
    }
    qsort(p.paths, (size_t)p.n_paths, sizeof p.paths[0], compare_paths);
    *out = p;
    return QA_OK;
}

void python_release(struct python *p)
{
    for (int i = 0; i < p->n_paths; i++) {
        free(p->paths[i]);
    }
    for (int i = 0; i < p->n_sites; i++) {
        free(p->sites[i]);
    }
    free(p->exe);
    *p = (struct python){0};
}
