/* limits.c - what one program may use. */
#include "sandbox/limits.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

static const struct {
    int resource;
    rlim_t value; /* soft and hard alike: nothing can be raised again */
} LIMITS[] = {
    {RLIMIT_CORE,     0               }, /* a core file holds what was in memory              */
    {RLIMIT_FSIZE,    LIMIT_FILE_BYTES}, /* one file cannot fill the work folder              */
    {RLIMIT_NOFILE,   LIMIT_FILES     },
    {RLIMIT_MEMLOCK,  0               }, /* locked pages cannot be taken back                 */
    {RLIMIT_MSGQUEUE, 0               }, /* message queues are memory nobody counts           */
    {RLIMIT_RTPRIO,   0               },
    {RLIMIT_NICE,     0               },
    {RLIMIT_STACK,    8 << 20         }, /* the usual one, whatever the caller's shell set    */
};

int limits_apply(rlim_t n_processes)
{
    for (size_t i = 0; i < COUNT(LIMITS); i++) {
        struct rlimit now;
        if (getrlimit((__rlimit_resource_t)LIMITS[i].resource, &now)) return errno;
        /* The caller's own hard limit may be lower, and is then the one that holds. */
        const rlim_t value = QA_MIN(LIMITS[i].value, now.rlim_max);
        const struct rlimit r = {value, value};
        if (setrlimit((__rlimit_resource_t)LIMITS[i].resource, &r)) return errno;
    }
    struct rlimit now;
    if (getrlimit(RLIMIT_NPROC, &now)) return errno;
    n_processes = QA_MIN(n_processes, now.rlim_max);
    const struct rlimit processes = {n_processes, n_processes};
    return setrlimit(RLIMIT_NPROC, &processes) ? errno : 0;
}

/* Threads of one process when it is this user's, else 0. */
static rlim_t count_threads(const char *pid, uid_t user)
{
    char path[64];
    char line[256];
    unsigned uid = 0;
    unsigned long n = 0;
    snprintf(path, sizeof path, "/proc/%.16s/status", pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "Uid: %u", &uid) == 1 && uid != user) break;
        if (sscanf(line, "Threads: %lu", &n) == 1) break;
    }
    if (f) fclose(f);
    return n;
}

rlim_t limits_count_tasks(void)
{
    const uid_t user = getuid();
    DIR *d = opendir("/proc");
    rlim_t n = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        if (f->d_name[0] >= '1' && f->d_name[0] <= '9') n += count_threads(f->d_name, user);
    }
    if (d) closedir(d);
    return n;
}

uint32_t limits_cpu_s(const struct run_limits *l)
{
    /* A second net under the wall clock; threads may honestly use more than one core. */
    return (uint32_t)(l->timeout_ms / 1000) * 4 + 4;
}

enum status limits_check(const struct run_limits *l, struct err *e)
{
    enum { MIN_MEMORY = 64 << 20, MAX_TIMEOUT_MS = 24 * 3600 * 1000 };
    if (l->timeout_ms < 1 || l->timeout_ms > MAX_TIMEOUT_MS) {
        return err_set(e, QA_E_USAGE, "time limit of %d ms: 1 ms to 24 h is possible",
                       l->timeout_ms);
    }
    if (l->memory_bytes < MIN_MEMORY || l->memory_bytes > (uint64_t)1 << 46) {
        return err_set(e, QA_E_USAGE,
                       "memory limit of %llu bytes: 64 MiB to 64 TiB is possible",
                       (unsigned long long)l->memory_bytes);
    }
    if (l->output_bytes < 64 || l->output_bytes > (size_t)1 << 30) {
        return err_set(e, QA_E_USAGE,
                       "output limit of %zu bytes: 64 bytes to 1 GiB is possible",
                       l->output_bytes);
    }
    return QA_OK;
}
