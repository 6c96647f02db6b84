/* watch.c - what the init does while the program runs.
 *
 * Address space is limited per process (RLIMIT_AS); a program of many processes
 * could hold that many times.  A control group caps them together; where none can be
 * made, adding up is the way left: from the go on, every 20 ms. */
#include "sandbox/watch.h"

#include "sandbox/cgroup.h"
#include "sandbox/limits.h"
#include "sandbox/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK_MS = 20 };

struct usage {
    int n_processes;
    uint64_t resident_bytes;   /* shared pages counted once per process: an upper bound */
    uint64_t shared_out_bytes; /* the same with each shared page split, when asked for  */
};

struct dir_entry {
    uint64_t inode;
    int64_t offset;
    unsigned short n;
    unsigned char type;
    char name[];
};

static bool is_number(const char *s)
{
    if (!*s) return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9') return false;
    }
    return true;
}

static size_t read_small(int proc_fd, const char *pid, const char *file, char *out, size_t cap)
{
    char path[64];
    snprintf(path, sizeof path, "%.16s/%s", pid, file);
    const int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0; /* gone since it was listed */
    const ssize_t n = read(fd, out, cap - 1);
    close(fd);
    out[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

/* Second number of statm: resident pages. */
static uint64_t resident_bytes(int proc_fd, const char *pid)
{
    char text[128];
    if (!read_small(proc_fd, pid, "statm", text, sizeof text)) return 0;
    const char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) * 4096 : 0;
}

/* Pages shared after a fork count for their part only; costs a walk over the page
 * tables, so it is asked only when the cheap sum is too large. */
static uint64_t proportional_bytes(int proc_fd, const char *pid)
{
    char text[1024];
    if (!read_small(proc_fd, pid, "smaps_rollup", text, sizeof text)) {
        return resident_bytes(proc_fd, pid);
    }
    const char *row = strstr(text, "\nPss:");
    return row ? strtoull(row + 5, NULL, 10) * 1024 : 0;
}

static struct usage add_up(int proc_fd, bool want_shared_out)
{
    struct usage u = {0};
    _Alignas(struct dir_entry) char bytes[4096];
    if (lseek(proc_fd, 0, SEEK_SET) < 0) return u;
    for (;;) {
        const long n = syscall(SYS_getdents64, proc_fd, bytes, sizeof bytes);
        if (n <= 0) return u;
        for (long at = 0; at < n;) {
            const struct dir_entry *d = (const struct dir_entry *)(const void *)(bytes + at);
            at += d->n;
            if (!is_number(d->name) || strcmp(d->name, "1") == 0) continue;
            u.n_processes++;
            u.resident_bytes += resident_bytes(proc_fd, d->name);
            if (want_shared_out) u.shared_out_bytes += proportional_bytes(proc_fd, d->name);
        }
    }
}

static void say(int fd, int32_t kind, int32_t a)
{
    const struct init_word w = {kind, a, 0};
    /* Nobody listens: the caller is gone, and the next thing is to leave anyway. */
    (void)!send(fd, &w, sizeof w, MSG_NOSIGNAL);
}

/* The end of the init, and of everything inside. */
static _Noreturn void leave(const struct watch *w)
{
    if (w->sweep_folder && sweep_processes(w->has_own_user)) sweep_folder(w->sweep_folder);
    _exit(0);
}

static void check_usage(const struct watch *w, uint64_t memory_bytes)
{
    struct usage u = add_up(w->proc_fd, false);
    if (u.n_processes > 2 * LIMIT_PROCESSES) {
        say(w->init_fd, INIT_CROWD, u.n_processes);
        leave(w);
    }
    if (u.resident_bytes <= memory_bytes) return;
    u = add_up(w->proc_fd, true);
    if (u.shared_out_bytes <= memory_bytes) return;
    say(w->init_fd, INIT_OOM, (int32_t)(u.shared_out_bytes >> 20));
    leave(w);
}

/* The kernel has killed one for the memory of all; the rest goes with it. */
static void check_group(const struct watch *w, uint64_t memory_bytes)
{
    if (w->events_fd < 0 || !cgroup_count_oom(w->events_fd)) return;
    say(w->init_fd, INIT_OOM, (int32_t)(memory_bytes >> 20));
    leave(w);
}

/* True once Python is among the dead. */
static bool reap(pid_t main_pid, int *status)
{
    bool is_over = false;
    for (;;) {
        int s = 0;
        const pid_t pid = waitpid(-1, &s, WNOHANG);
        if (pid <= 0) return is_over;
        if (pid != main_pid) continue;
        *status = s;
        is_over = true;
    }
}

_Noreturn void watch_run(const struct watch *w)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    const int signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    struct init_go go = {0};

    for (;;) {
        int status = 0;
        const bool is_over = reap(w->main_pid, &status);
        check_group(w, go.memory_bytes);
        if (is_over) {
            say(w->init_fd, INIT_EXITED, status);
            leave(w);
        }
        struct pollfd p[] = {
            {.fd = signal_fd,    .events = POLLIN },
            {.fd = w->init_fd,   .events = POLLIN },
            {.fd = w->events_fd, .events = POLLPRI},
        };
        const bool is_counting = go.memory_bytes && w->proc_fd >= 0 && w->events_fd < 0;
        if (poll(p, 3, is_counting ? TICK_MS : -1) < 0 && errno != EINTR) leave(w);
        if (p[0].revents) {
            struct signalfd_siginfo info;
            while (read(signal_fd, &info, sizeof info) > 0) {
            }
        }
        /* An empty packet or an error: the caller is gone, and so is everything here. */
        if (p[1].revents) {
            if (recv(w->init_fd, &go, sizeof go, 0) != sizeof go) leave(w);
            /* No cap, no run: what was promised is held or the call fails. */
            if (w->memory_fd >= 0 && cgroup_cap_memory(w->memory_fd, go.memory_bytes)) leave(w);
        }
        if (is_counting) check_usage(w, go.memory_bytes);
    }
}
