/* jail_test.h - what the tests of the sandbox share. */
#ifndef QA_JAIL_TEST_H
#define QA_JAIL_TEST_H

#include "engine/base/str.h"
#include "sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Open at a level, or fail the test with the reason. */
static inline struct sandbox *jail_open_at(enum sandbox_level level)
{
    struct err e = {0};
    struct sandbox *s = NULL;
    const struct sandbox_opts o = {.level = level};
    if (sandbox_open(&s, &o, &e)) fail_msg("sandbox_open: %s", e.text);
    return s;
}

/* The same at the strongest level. */
static inline struct sandbox *jail_open(void)
{
    return jail_open_at(SANDBOX_AUTO);
}

static inline struct run_result jail_run_limited(struct sandbox *s,
                                                 const char *code,
                                                 enum run_mode mode,
                                                 const struct run_limits *limits)
{
    struct err e = {0};
    struct run_result r = {0};
    if (sandbox_run(s, str_of(code), mode, limits, NULL, &r, &e)) fail_msg("run: %s", e.text);
    return r;
}

static inline struct run_result jail_run(struct sandbox *s, const char *code)
{
    const struct run_limits limits = run_limits_default();
    return jail_run_limited(s, code, RUN_CELL, &limits);
}

/* First uid that jails of process `pid` use at level full. */
static inline unsigned long jail_first_uid(pid_t pid)
{
    return 1000000000UL + (unsigned long)pid % 4194304 * 256 % 1000000000;
}

/* Real uid of a process, named as in /proc; 0 when it is gone. */
static inline unsigned long jail_uid_of(const char *pid)
{
    char path[300];
    char line[256];
    unsigned long uid = 0;
    snprintf(path, sizeof path, "/proc/%s/status", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "Uid: %lu", &uid) == 1) break;
    }
    if (f) fclose(f);
    return uid;
}

/* Processes of the uids that jails of process `pid` use: its slots as root, the user
 * itself otherwise. */
static inline int jail_processes(pid_t pid)
{
    const unsigned long first = jail_first_uid(pid);
    const bool is_root = geteuid() == 0;
    DIR *d = opendir("/proc");
    int n = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        if (f->d_name[0] < '0' || f->d_name[0] > '9') continue;
        const unsigned long uid = jail_uid_of(f->d_name);
        if (is_root ? uid >= first && uid < first + 256 : uid == geteuid()) n++;
    }
    if (d) closedir(d);
    return n;
}

/* Folders on the disk that jails of process `pid` work in (level seccomp). */
static inline int jail_folders(pid_t pid)
{
    static const char PREFIX[] = "qagent-box-";
    const unsigned long first = jail_first_uid(pid);
    DIR *d = opendir("/tmp");
    int n = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        struct stat st;
        if (strncmp(f->d_name, PREFIX, sizeof PREFIX - 1) != 0) continue;
        if (fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW)) continue;
        const bool is_slot = st.st_uid >= first && st.st_uid < first + 256;
        if (geteuid() == 0 ? is_slot : st.st_uid == geteuid()) n++;
    }
    if (d) closedir(d);
    return n;
}

static inline int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (d && readdir(d)) {
        n++;
    }
    if (d) closedir(d);
    return n;
}

/* Run this very program again as an ordinary user, `argument` its only argument;
 * its exit status.  The uid is one that nobody else has, so that its processes can
 * be counted. */
static inline int again_as_user(const char *argument)
{
    const int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        const uid_t uid = 40000 + (uid_t)getpid() % 20000;
        char *argv[] = {(char *)"again", (char *)argument, NULL};
        char *environment[] = {(char *)"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
        if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
            _exit(1);
        if (chdir("/")) _exit(1);
        syscall(SYS_execveat, self, "", argv, environment, AT_EMPTY_PATH);
        _exit(1);
    }
    int status = 1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    close(self);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Whether this user can have a jail of that level; says why not. */
static inline bool is_jail_possible_at(enum sandbox_level level)
{
    struct err e = {0};
    struct sandbox *s = NULL;
    const struct sandbox_opts o = {.level = level};
    if (sandbox_open(&s, &o, &e)) {
        fprintf(stderr, "SKIPPED: no sandbox for uid %d: %s\n", (int)geteuid(), e.text);
        return false;
    }
    fprintf(stderr, "uid %d: %s\n", (int)geteuid(), sandbox_statement(s));
    sandbox_close(s);
    return true;
}

static inline bool is_jail_possible(void)
{
    return is_jail_possible_at(SANDBOX_AUTO);
}

#endif
