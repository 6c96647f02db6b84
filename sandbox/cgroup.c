/* cgroup.c - a control group for each worker.
 *
 * Groups are children of the nearest group above our own that hands memory and pids
 * out: our own holds processes, and the kernel gives no controllers to the children of
 * such a group.  A name is "qagent-KEEPER-SLOT": what a killed caller left is known by
 * a keeper that does not live any more. */
#include "sandbox/cgroup.h"

#include "engine/base/file.h"
#include "sandbox/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the init and the kernel's own bookkeeping take on top of the program. */
static const uint64_t SLACK_BYTES = 16 << 20;
enum { TEST_SLOT = -1, REMOVE_MS = 2000, TEST_BYTES = 4 << 20 };

static const struct cgroup NONE = {-1, -1, -1};

static bool refuse(struct cgroup_home *h, const char *fmt, ...) PRINTF(2, 3);
static bool refuse(struct cgroup_home *h, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(h->reason, sizeof h->reason, fmt, ap);
    va_end(ap);
    h->path[0] = 0;
    return false;
}

/* ---- where ------------------------------------------------------------------ */

/* Field number n, counted from 0, of a line whose fields are parted by blanks. */
static struct str field(struct str line, int n)
{
    for (; n > 0; n--) {
        const size_t blank = str_find(line, STR(" "));
        if (blank == SIZE_MAX) return (struct str){"", 0};
        line = str_cut(line, blank + 1, line.n);
    }
    const size_t blank = str_find(line, STR(" "));
    return blank == SIZE_MAX ? line : str_cut(line, 0, blank);
}

/* The next line of *rest, without its end. */
static struct str take_line(struct str *rest)
{
    const size_t newline = str_find(*rest, STR("\n"));
    const size_t end = newline == SIZE_MAX ? rest->n : newline;
    const struct str line = str_cut(*rest, 0, end);
    *rest = str_cut(*rest, QA_MIN(end + 1, rest->n), rest->n);
    return line;
}

static struct str own_group(const char *own_groups)
{
    struct str rest = str_of(own_groups);
    while (rest.n) {
        const struct str line = take_line(&rest);
        if (str_starts(line, STR("0::/"))) return str_cut(line, 3, line.n);
    }
    return (struct str){"", 0};
}

bool cgroup_locate(struct cgroup_home *h,
                   const char *own_groups,
                   const char *mounts,
                   size_t *n_mount)
{
    const struct str own = own_group(own_groups);
    struct str rest = str_of(mounts);
    if (!own.n) return refuse(h, "no cgroup v2 here");
    while (rest.n) {
        const struct str line = take_line(&rest);
        const size_t dash = str_find(line, STR(" - "));
        if (dash == SIZE_MAX) continue;
        if (!str_eq(field(str_cut(line, dash + 3, line.n), 0), STR("cgroup2"))) continue;
        /* A container sees a part of the tree: its group's name begins with the part's. */
        struct str root = field(line, 3);
        const struct str at = field(line, 4);
        if (str_eq(root, STR("/"))) root.n = 0;
        if (!str_starts(own, root) || (root.n < own.n && own.p[root.n] != '/')) continue;
        if (!str_starts(at, STR("/"))) continue;
        struct str below = str_cut(own, root.n, own.n);
        if (str_starts(below, STR("/.."))) continue; /* outside of what is mounted */
        if (str_eq(below, STR("/"))) below.n = 0;
        if (memchr(at.p, '\\', at.n) || at.n + below.n >= sizeof h->path) continue;
        snprintf(h->path, sizeof h->path, "%.*s%.*s", (int)at.n, at.p, (int)below.n, below.p);
        *n_mount = at.n;
        return true;
    }
    return refuse(h, "no cgroup v2 is mounted that holds this process");
}

/* A small file of a group as text; "" when there is none. */
static const char *read_value(const char *group, const char *file, char *text, size_t cap)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", group, file);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, cap - 1) : 0;
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static bool has_word(const char *text, const char *word)
{
    struct str rest = str_trim(str_of(text));
    for (int i = 0; field(rest, i).n; i++) {
        if (str_eq(field(rest, i), str_of(word))) return true;
    }
    return false;
}

static bool is_unlimited(const char *group, const char *file)
{
    char text[64];
    const char *value = read_value(group, file, text, sizeof text);
    return !*value || strcmp(value, "max\n") == 0;
}

bool cgroup_climb(struct cgroup_home *h, size_t n_mount)
{
    char text[512];
    bool has_memory = false;
    for (;;) {
        read_value(h->path, "cgroup.subtree_control", text, sizeof text);
        if (has_word(text, "memory") && has_word(text, "pids")) {
            if (access(h->path, W_OK) == 0) return true;
            return refuse(h, "%.80s is not ours to write", h->path);
        }
        read_value(h->path, "cgroup.controllers", text, sizeof text);
        has_memory = has_memory || has_word(text, "memory");
        if (!is_unlimited(h->path, "memory.max") || !is_unlimited(h->path, "memory.high")) {
            return refuse(h, "the memory limit of %.60s would be left behind", h->path);
        }
        char *slash = strrchr(h->path, '/');
        if (strlen(h->path) <= n_mount || !slash) break;
        *slash = 0;
    }
    return refuse(h, has_memory ? "no group above this process hands memory and pids out"
                                : "cgroup v2 has no memory controller here");
}

/* ---- one group -------------------------------------------------------------- */

static void group_path(char out[600], const struct cgroup_home *h, pid_t owner, int slot)
{
    snprintf(out, 600, "%s/qagent-%d-%d", h->path, (int)owner, slot);
}

static int write_value(const char *group, const char *file, const char *value)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", group, file);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    const int failure = write(fd, value, strlen(value)) < 0 ? errno : 0;
    close(fd);
    return failure;
}

static int open_value(const char *group, const char *file, int flags)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", group, file);
    return open(path, flags | O_CLOEXEC);
}

int cgroup_make(const struct cgroup_home *h, int slot, struct cgroup *g)
{
    char path[600];
    char number[32];
    *g = NONE;
    group_path(path, h, getpid(), slot);
    /* One of the same name is of a dead process that had our pid. */
    if (mkdir(path, 0755) && (errno != EEXIST || rmdir(path) || mkdir(path, 0755)))
        return errno;
    snprintf(number, sizeof number, "%d", LIMIT_PROCESSES);
    int failure = write_value(path, "pids.max", number);
    /* Without swap in the kernel there is no such file, and nothing to forbid. */
    const int swap = failure ? 0 : write_value(path, "memory.swap.max", "0");
    if (swap && swap != ENOENT) failure = swap;
    if (!failure) {
        g->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g->memory = open_value(path, "memory.max", O_WRONLY);
        g->events = open_value(path, "memory.events", O_RDONLY);
        if (g->folder < 0 || g->memory < 0 || g->events < 0) failure = errno;
    }
    if (!failure) return 0;
    cgroup_close(g);
    rmdir(path);
    return failure;
}

void cgroup_close(struct cgroup *g)
{
    const int fds[] = {g->folder, g->memory, g->events};
    for (size_t i = 0; i < COUNT(fds); i++) {
        if (fds[i] >= 0) close(fds[i]);
    }
    *g = NONE;
}

void cgroup_remove(const struct cgroup_home *h, int slot)
{
    char path[600];
    group_path(path, h, getpid(), slot);
    for (int i = 0; rmdir(path) && errno == EBUSY && i < REMOVE_MS; i++) {
        (void)write_value(path, "cgroup.kill", "1"); /* kernels before 5.14 lack it */
        usleep(1000);
    }
}

int cgroup_cap_memory(int memory_fd, uint64_t bytes)
{
    char text[32];
    const int n =
        snprintf(text, sizeof text, "%llu", (unsigned long long)(bytes + SLACK_BYTES));
    return write(memory_fd, text, (size_t)n) < 0 ? errno : 0;
}

uint64_t cgroup_count_oom(int events_fd)
{
    char text[512];
    const ssize_t n = pread(events_fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    const char *row = strstr(text, "\noom_kill ");
    return row ? strtoull(row + strlen("\noom_kill "), NULL, 10) : 0;
}

pid_t cgroup_clone(const struct cgroup *g, unsigned long flags, int *pidfd)
{
    struct clone_args a = {
        .flags = flags | CLONE_INTO_CGROUP,
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = (unsigned)g->folder,
    };
    return (pid_t)syscall(SYS_clone3, &a, sizeof a);
}

/* ---- is it so? -------------------------------------------------------------- */

/* In the group: whether what this process is and takes counts there. */
static _Noreturn void child_of_test(const char *group)
{
    char text[64];
    char *p =
        mmap(NULL, TEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) _exit(1);
    memset(p, 1, TEST_BYTES);
    read_value(group, "memory.current", text, sizeof text);
    const bool is_counted = strtoull(text, NULL, 10) >= TEST_BYTES;
    const bool is_one =
        strcmp(read_value(group, "pids.current", text, sizeof text), "1\n") == 0;
    _exit(is_counted && is_one ? 0 : 1);
}

/* The limits are not made to bite: each start of ours would put the end of a process
 * into the kernel's log.  Doctor does that. */
static bool try_it(struct cgroup_home *h)
{
    struct cgroup g;
    char path[600];
    int status = 0;
    int pidfd = -1;
    group_path(path, h, getpid(), TEST_SLOT);
    int failure = cgroup_make(h, TEST_SLOT, &g);
    if (failure) return refuse(h, "no group in %.60s: %s", h->path, strerror(failure));
    failure = cgroup_cap_memory(g.memory, TEST_BYTES);
    const pid_t pid = failure ? -1 : cgroup_clone(&g, CLONE_PIDFD, &pidfd);
    if (pid == 0) child_of_test(path);
    if (pid < 0) failure = failure ? failure : errno;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (pidfd >= 0) close(pidfd);
    cgroup_close(&g);
    cgroup_remove(h, TEST_SLOT);
    if (failure)
        return refuse(h, "no process in a group in %.50s: %s", h->path, strerror(failure));
    if (status) return refuse(h, "a group in %.60s does not count", h->path);
    return true;
}

/* Groups whose keeper is dead; the kernel keeps those that still hold a process. */
static void sweep_groups(const struct cgroup_home *h)
{
    DIR *d = opendir(h->path);
    for (struct dirent *f; d && (f = readdir(d));) {
        int owner = 0;
        int slot = 0;
        if (sscanf(f->d_name, "qagent-%d-%d", &owner, &slot) != 2 || owner <= 1) continue;
        if (kill(owner, 0) == 0 || errno != ESRCH) continue;
        unlinkat(dirfd(d), f->d_name, AT_REMOVEDIR);
    }
    if (d) closedir(d);
}

void cgroup_find(struct cgroup_home *h)
{
    size_t n_mount = 0;
    char own[4096];
    struct str_buf mounts;
    struct err ignored = {0};
    *h = (struct cgroup_home){0};
    str_buf_init(&mounts, 4 << 20);
    read_value("/proc/self", "cgroup", own, sizeof own);
    if (file_read(&mounts, "/proc/self/mountinfo", &ignored)) str_buf_reset(&mounts);
    if (cgroup_locate(h, own, mounts.p ? mounts.p : "", &n_mount) && cgroup_climb(h, n_mount) &&
        try_it(h)) {
        sweep_groups(h);
    }
    str_buf_release(&mounts);
}
