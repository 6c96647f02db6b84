/* bus_error.c - a page of a mapped file that cannot be read: the processor faults, and
 * no call returns to say so.
 *
 * The handler finds the file in /proc/self/maps, whose lines read
 *     start-end rights offset device inode   path
 * and calls nothing but system calls: the fault may lie anywhere. */
#include "cmd/cmd.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* The line of the mappings that is being read. */
struct line {
    char text[4608]; /* the longest path and what stands before it */
    size_t n;
};

static uint64_t take_hex(const char **p)
{
    uint64_t v = 0;
    for (;; ++*p) {
        const char c = **p;
        if (c >= '0' && c <= '9')
            v = v * 16 + (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v * 16 + (uint64_t)(c - 'a' + 10);
        else
            return v;
    }
}

/* The path in the line and the byte of the file, if `at` lies in its mapping. */
static const char *path_of(const struct line *l, uint64_t at, uint64_t *offset)
{
    const char *p = l->text;
    const uint64_t start = take_hex(&p);
    if (*p++ != '-') return NULL;
    const uint64_t end = take_hex(&p);
    if (at < start || at >= end || *p++ != ' ') return NULL;
    p += strcspn(p, " ");
    if (*p++ != ' ') return NULL;
    *offset = take_hex(&p) + (at - start);
    const char *path = strchr(p, '/');
    return path && path[1] ? path : NULL;
}

/* Fill `l` until it holds the line that `at` lies in. */
static const char *find_file(struct line *l, uint64_t at, uint64_t *offset)
{
    char block[512];
    const char *path = NULL;
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ssize_t n;
    while (!path && fd >= 0 && (n = read(fd, block, sizeof block)) > 0) {
        for (ssize_t i = 0; !path && i < n; i++) {
            if (block[i] != '\n') {
                if (l->n < sizeof l->text - 1) l->text[l->n++] = block[i];
                continue;
            }
            l->text[l->n] = 0;
            path = path_of(l, at, offset);
            l->n = 0;
        }
    }
    if (fd >= 0) close(fd);
    return path;
}

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static void say_number(uint64_t v)
{
    char digits[24] = "";
    size_t i = sizeof digits - 1;
    do {
        digits[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    say(digits + i);
}

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
    static atomic_flag is_said = ATOMIC_FLAG_INIT; /* other threads may fault meanwhile */
    (void)context;
    if (info->si_code != BUS_ADRERR) { /* memory that broke, or our mistake */
        signal(sig, SIG_DFL);
        return;
    }
    if (atomic_flag_test_and_set(&is_said)) {
        for (;;)
            pause();
    }
    struct line line = {.n = 0};
    uint64_t offset = 0;
    const char *path = find_file(&line, (uint64_t)(uintptr_t)info->si_addr, &offset);
    say("qagent: cannot read '");
    say(path ? path : "a mapped file");
    say("' at byte ");
    say_number(offset);
    say(": cut off meanwhile, or its disk failed\n");
    _exit(EXIT_MODEL);
}

void cmd_catch_bus_errors(void)
{
    struct sigaction a = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&a.sa_mask);
    sigaction(SIGBUS, &a, NULL);
}
