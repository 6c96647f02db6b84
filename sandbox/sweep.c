/* sweep.c - cleaning up where no namespace does it (level seccomp). */
#include "sandbox/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ROUNDS = 20000, MAX_DEPTH = 64, MAX_FAMILY = 4096 };

/* All descendants, breadth first. */
struct family {
    pid_t pids[MAX_FAMILY];
    int n;
};

static void add_children_of_thread(struct family *f, int task_fd, const char *thread)
{
    char path[300];
    char text[4096];
    snprintf(path, sizeof path, "%.255s/children", thread);
    const int fd = openat(task_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return; /* gone since it was listed */
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    for (char *p = text; *p && f->n < MAX_FAMILY;) {
        char *end = NULL;
        const long pid = strtol(p, &end, 10);
        if (end == p) break;
        /* The last number may be cut off where the text is; the next round has it. */
        if (*end && pid > 1) f->pids[f->n++] = (pid_t)pid;
        p = end + strspn(end, " ");
    }
}

static bool add_children(struct family *f, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *d = opendir(path);
    if (!d) return false;
    for (struct dirent *t; (t = readdir(d));) {
        if (t->d_name[0] != '.') add_children_of_thread(f, dirfd(d), t->d_name);
    }
    closedir(d);
    return true;
}

static bool find_family(struct family *f)
{
    f->n = 0;
    if (!add_children(f, getpid())) return false;
    for (int i = 0; i < f->n; i++) {
        (void)add_children(f, f->pids[i]); /* one that is gone has none */
    }
    return true;
}

/* Neither runs nor can: stopped, or dead already. */
static bool is_still(pid_t pid)
{
    char path[64];
    char text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return true;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *state = strrchr(text, ')'); /* the name before it may hold anything */
    return !state || (state[1] == ' ' && strchr("TtZX", state[2]));
}

/* Stop everybody before anybody dies: a death makes room for one more fork.  A
 * process without room for children bears none while we look for the others. */
static bool stop_family(struct family *f)
{
    const struct rlimit no_children = {0, 0};
    for (int round = 0; round < MAX_ROUNDS; round++) {
        if (!find_family(f)) return false;
        bool are_still = true;
        for (int i = 0; i < f->n; i++) {
            if (is_still(f->pids[i])) continue;
            are_still = false;
            prlimit(f->pids[i], RLIMIT_NPROC, &no_children, NULL);
            kill(f->pids[i], SIGSTOP);
        }
        if (are_still) return true;
        usleep(200);
    }
    return false;
}

bool sweep_processes(bool has_own_user)
{
    static struct family f;
    for (int round = 0; round < MAX_ROUNDS; round++) {
        /* Where nobody else has our uid, one call reaches all, those just being
         * born among them. */
        if (has_own_user) {
            kill(-1, SIGKILL);
        } else if (!stop_family(&f)) {
            return false;
        }
        for (int i = 0; !has_own_user && i < f.n; i++) {
            kill(f.pids[i], SIGKILL);
        }
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD) return true;
        usleep(200);
    }
    return false;
}

/* What lies too deep for one descent is moved up to `top_fd` and has its turn later;
 * true when there is such. */
static bool empty_folder(int parent_fd, const char *name, int depth, int top_fd)
{
    static unsigned n_moved;
    char new_name[32];
    bool has_more = false;
    /* The program may have taken its own rights away. */
    fchmodat(parent_fd, name, 0700, 0);
    const int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0) close(fd);
        return false;
    }
    if (top_fd < 0) top_fd = fd;
    for (struct dirent *f; (f = readdir(d));) {
        struct stat st;
        if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0) continue;
        if (fstatat(fd, f->d_name, &st, AT_SYMLINK_NOFOLLOW)) continue;
        if (!S_ISDIR(st.st_mode)) {
            unlinkat(fd, f->d_name, 0);
            continue;
        }
        if (depth < MAX_DEPTH) {
            has_more = empty_folder(fd, f->d_name, depth + 1, top_fd) || has_more;
        } else {
            snprintf(new_name, sizeof new_name, ".moved-%u", n_moved++);
            fchmodat(fd, f->d_name, 0700, 0);
            has_more = renameat(fd, f->d_name, top_fd, new_name) == 0 || has_more;
        }
        unlinkat(fd, f->d_name, AT_REMOVEDIR);
    }
    closedir(d);
    return has_more;
}

void sweep_folder(const char *path)
{
    for (int i = 0; i < MAX_ROUNDS && empty_folder(AT_FDCWD, path, 0, -1); i++) {
    }
    rmdir(path);
}
