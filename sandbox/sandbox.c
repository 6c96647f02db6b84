/* sandbox.c - the door of the jail: open, run, close. */
#include "sandbox/sandbox.h"

#include "engine/base/log.h"
#include "sandbox/jail.h"
#include "sandbox/keeper.h"
#include "sandbox/landlock.h"
#include "sandbox/limits.h"
#include "sandbox/proto.h"
#include "sandbox/seccomp.h"
#include "sandbox/worker.h"

#include <pthread.h>
#include <sys/utsname.h>
#include <unistd.h>

extern const char qa_driver_py[];
extern const char qa_driver_py_end[];

struct sandbox {
    struct jail_plan plan; /* read-only once the keeper runs              */
    struct keeper keeper;  /* under lock                                  */
    pthread_mutex_t lock;
    /* One worker is started ahead of its program.  Asked for: the keeper's answer has
     * not been read.  Both under lock. */
    struct worker spare;
    bool has_spare, is_spare_asked;
    char statement[280];
};

const char *sandbox_level_name(enum sandbox_level level)
{
    switch (level) {
    case SANDBOX_AUTO: return "auto";
    case SANDBOX_FULL: return "full";
    case SANDBOX_USER: return "user";
    case SANDBOX_SECCOMP: return "seccomp";
    }
    return "unknown";
}

bool sandbox_level_of(const char *name, enum sandbox_level *level)
{
    for (enum sandbox_level l = SANDBOX_AUTO; l <= SANDBOX_SECCOMP; l++) {
        if (strcmp(name, sandbox_level_name(l)) != 0) continue;
        *level = l;
        return true;
    }
    return false;
}

const char *run_status_name(enum run_status s)
{
    switch (s) {
    case RUN_OK: return "ok";
    case RUN_ERROR: return "error";
    case RUN_TIMEOUT: return "timeout";
    case RUN_OOM: return "oom";
    case RUN_OUTPUT_LIMIT: return "output-limit";
    case RUN_SIGNAL: return "signal";
    case RUN_KILLED: return "killed";
    }
    return "unknown";
}

struct run_limits run_limits_default(void)
{
    return (struct run_limits){
        .timeout_ms = 10000, .memory_bytes = (uint64_t)2 << 30, .output_bytes = 64 << 10};
}

/* ---- workers ---------------------------------------------------------------- */

static void bury_locked(struct sandbox *s, struct worker *w)
{
    struct err ignored = {0};
    const pid_t pid = w->pid;
    worker_release(w); /* its init sees that */
    /* A keeper that is gone has taken its workers with it. */
    if (keeper_bury(&s->keeper, pid, &ignored)) log_debug("%s", ignored.text);
}

static enum status settle_spare_locked(struct sandbox *s, struct err *e)
{
    if (!s->is_spare_asked) return QA_OK;
    s->is_spare_asked = false;
    const enum status st = keeper_answer(&s->keeper, &s->spare.pid, &s->spare.fds, e);
    s->has_spare = !st;
    return st;
}

static enum status start_worker_locked(struct sandbox *s,
                                       enum run_mode mode,
                                       struct worker *w,
                                       struct err *e)
{
    *w = (struct worker){.mode = mode, .level = s->plan.level};
    const enum status st = keeper_ask(&s->keeper, mode, e);
    return st ? st : keeper_answer(&s->keeper, &w->pid, &w->fds, e);
}

static enum status take_worker(struct sandbox *s,
                               enum run_mode mode,
                               struct worker *w,
                               struct err *e)
{
    enum status st = QA_OK;
    pthread_mutex_lock(&s->lock);
    if (settle_spare_locked(s, e)) log_debug("no spare worker: %s", e ? e->text : "");
    if (s->has_spare && !worker_is_alive(&s->spare)) { /* the machine ran out of memory, ... */
        bury_locked(s, &s->spare);
        s->has_spare = false;
    }
    if (s->has_spare && s->spare.mode == mode) {
        *w = s->spare;
        s->has_spare = false;
    } else {
        st = start_worker_locked(s, mode, w, e);
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

static void end_worker(struct sandbox *s, struct worker *w, bool want_spare)
{
    const enum run_mode mode = w->mode;
    struct err ignored = {0};
    pthread_mutex_lock(&s->lock);
    if (settle_spare_locked(s, &ignored)) log_debug("%s", ignored.text);
    bury_locked(s, w);
    if (s->has_spare && s->spare.mode != mode) { /* the user changed their mind */
        bury_locked(s, &s->spare);
        s->has_spare = false;
    }
    if (want_spare && !s->has_spare && keeper_ask(&s->keeper, mode, &ignored) == QA_OK) {
        s->spare = (struct worker){.mode = mode, .level = s->plan.level};
        s->is_spare_asked = true;
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- open ------------------------------------------------------------------- */

/* Uids that nobody has, from the top of what this user namespace knows: programs of
 * different workers must not reach each other, and limits count per uid. */
static void choose_uids(struct jail_plan *p)
{
    enum { HIGH = 1000000000, PER_PROCESS = 256 };
    FILE *f = fopen("/proc/self/uid_map", "re");
    unsigned long inner = 0;
    unsigned long outer = 0;
    unsigned long n = 0;
    unsigned long top = 0;
    while (f && fscanf(f, "%lu %lu %lu", &inner, &outer, &n) == 3) {
        top = QA_MAX(top, inner + n);
    }
    if (f) fclose(f);
    if (top > (unsigned long)HIGH * 2) {
        const unsigned long mine = (unsigned long)getpid() % 4194304 * PER_PROCESS;
        p->first_uid = (uid_t)(HIGH + mine % HIGH);
    } else {
        /* A container's map ends at 65536 or so; 65534 is nobody's. */
        p->first_uid = top > 2000 ? (uid_t)(top - 1000) : 0;
    }
}

static bool kernel_counts_per_namespace(void)
{
    struct utsname u;
    int major = 0;
    int minor = 0;
    if (uname(&u) || sscanf(u.release, "%d.%d", &major, &minor) != 2) return false;
    return major > 5 || (major == 5 && minor >= 14);
}

static enum status make_plan(struct jail_plan *p, enum sandbox_level level, struct err *e)
{
    p->level = level;
    p->outer_uid = geteuid();
    p->outer_gid = getegid();
    p->landlock_abi = landlock_abi();
    p->driver = (struct str){qa_driver_py, (size_t)(qa_driver_py_end - qa_driver_py)};
    const bool counts_inside = (geteuid() == 0 && level != SANDBOX_USER) ||
                               (level == SANDBOX_USER && kernel_counts_per_namespace());
    p->max_processes =
        counts_inside ? LIMIT_PROCESSES : limits_count_tasks() + LIMIT_MORE_PROCESSES;
    p->first_uid = 0;
    if (level == SANDBOX_FULL && geteuid() != 0) {
        return err_set(e, QA_E_SANDBOX, "only root can set it up");
    }
    if (level == SANDBOX_SECCOMP && !p->landlock_abi) {
        return err_set(e, QA_E_SANDBOX, "this kernel has no Landlock to keep files apart");
    }
    if (geteuid() == 0 && level != SANDBOX_USER) {
        choose_uids(p);
        if (!p->first_uid) return err_set(e, QA_E_SANDBOX, "no unused user id to be had");
    }
    return seccomp_compile(p, e);
}

static void make_statement(struct sandbox *s)
{
    const struct jail_plan *p = &s->plan;
    char landlock[32] = "no landlock";
    const bool has_group = *p->cgroups.path;
    if (p->landlock_abi) snprintf(landlock, sizeof landlock, "landlock %d", p->landlock_abi);
    if (p->level == SANDBOX_SECCOMP) {
        snprintf(s->statement, sizeof s->statement,
                 "seccomp: %s, seccomp, rlimits, %s; no namespaces: names of files and "
                 "processes are "
                 "visible, %s; python %s",
                 landlock, has_group ? "cgroup" : "no cgroup",
                 has_group ? "disk is limited per file only"
                           : "memory is limited per process only, disk per file",
                 p->python.version);
        return;
    }
    snprintf(
        s->statement, sizeof s->statement,
        "%s: %spid+net+mount+ipc+uts+cgroup namespaces, private root, %s, seccomp, rlimits, "
        "%s, python %s",
        sandbox_level_name(p->level), p->level == SANDBOX_USER ? "user+" : "", landlock,
        has_group ? "cgroup" : "no cgroup", p->python.version);
}

/* Set up one level; the first worker, asked to check its jail from inside, is the
 * test, and then the spare. */
static enum status try_level(struct sandbox *s, enum sandbox_level level, struct err *e)
{
    enum status st = make_plan(&s->plan, level, e);
    if (!st) st = keeper_open(&s->keeper, &s->plan, e);
    if (st) return st;
    st = start_worker_locked(s, RUN_CELL, &s->spare, e);
    if (!st) {
        s->has_spare = true;
        st = worker_wait_ready(&s->spare, NULL, e);
    }
    if (!st) return QA_OK;
    if (s->has_spare) bury_locked(s, &s->spare);
    s->has_spare = false;
    keeper_close(&s->keeper);
    return st;
}

/* A container or a hardened system often lets nobody make namespaces. */
static const char HINT[] = "; level 'seccomp' is weaker and does without";

static enum status try_levels(struct sandbox *s, enum sandbox_level wanted, struct err *e)
{
    if (wanted != SANDBOX_AUTO) {
        const enum status st = try_level(s, wanted, e);
        if (st) return err_wrap(e, st, "sandbox level '%s'", sandbox_level_name(wanted));
        return QA_OK;
    }
    struct err full = {0};
    if (geteuid() == 0 && try_level(s, SANDBOX_FULL, &full) == QA_OK) return QA_OK;
    const enum status st = try_level(s, SANDBOX_USER, e);
    if (!st) return QA_OK;
    if (full.code) {
        return err_set(e, st, "no sandbox: level 'full': %.150s; level 'user': %.150s%s",
                       full.text, e->text, HINT);
    }
    return err_set(e, st, "no sandbox: level 'user': %.300s%s", e->text, HINT);
}

/* One interpreter, all levels asked for. */
static enum status open_with(struct sandbox *s,
                             const char *python,
                             enum sandbox_level level,
                             struct err *e)
{
    const enum status st = python_find(&s->plan.python, python, e);
    return st ? st : try_levels(s, level, e);
}

/* The python3 that comes first may be one that only its owner can read, or a wrapper:
 * then the system's own serves, and the user is told. */
static enum status open_with_system_python(struct sandbox *s,
                                           enum sandbox_level level,
                                           struct err *e)
{
    static const char SYSTEM[] = "/usr/bin/python3";
    struct err second = {0};
    const enum status st = e->code;
    if (s->plan.python.exe && strcmp(s->plan.python.exe, SYSTEM) == 0) return st;
    python_release(&s->plan.python);
    if (access(SYSTEM, X_OK) || open_with(s, SYSTEM, level, &second)) return st;
    log_notice("python3 on PATH is of no use in the sandbox, using %s: %s", SYSTEM, e->text);
    return QA_OK;
}

/* A worker has some 20 descriptors on each side, and puts its own out of the way at 64. */
static enum status check_descriptors(struct err *e)
{
    enum { LEAST = 128 };
    struct rlimit now;
    if (getrlimit(RLIMIT_NOFILE, &now)) return QA_OK;
    if (now.rlim_cur < LEAST && now.rlim_max >= LEAST) { /* the soft one is ours to raise */
        now.rlim_cur = LEAST;
        if (setrlimit(RLIMIT_NOFILE, &now) == 0) return QA_OK;
    }
    if (now.rlim_cur >= LEAST) return QA_OK;
    return err_set(e, QA_E_LIMIT,
                   "no sandbox: %llu open files are allowed (ulimit -n), %d needed",
                   (unsigned long long)now.rlim_cur, LEAST);
}

enum status sandbox_open(struct sandbox **out, const struct sandbox_opts *o, struct err *e)
{
    struct sandbox *s = calloc(1, sizeof *s);
    if (!s) return err_set(e, QA_E_NOMEM, "out of memory for the sandbox");
    s->keeper.fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    cgroup_find(&s->plan.cgroups);

    struct err first = {0};
    enum status st = check_descriptors(&first);
    if (!st) st = open_with(s, o->python, o->level, &first);
    if (st && !o->python && first.code != QA_E_LIMIT)
        st = open_with_system_python(s, o->level, &first);
    if (st) {
        if (e) *e = first;
        sandbox_close(s);
        return st;
    }
    make_statement(s);
    *out = s;
    return QA_OK;
}

void sandbox_close(struct sandbox *s)
{
    if (!s) return;
    if (s->keeper.fd >= 0) {
        struct err ignored = {0};
        if (settle_spare_locked(s, &ignored)) log_debug("%s", ignored.text);
        if (s->has_spare) bury_locked(s, &s->spare);
        keeper_close(&s->keeper);
    }
    python_release(&s->plan.python);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const char *sandbox_statement(const struct sandbox *s)
{
    return s->statement;
}

bool sandbox_cgroup(const struct sandbox *s, const char **text)
{
    const struct cgroup_home *h = &s->plan.cgroups;
    *text = *h->path ? h->path : h->reason;
    return *h->path;
}

const char *sandbox_python_version(const struct sandbox *s)
{
    return s->plan.python.version;
}

/* ---- run -------------------------------------------------------------------- */

enum status sandbox_run(struct sandbox *s,
                        struct str code,
                        enum run_mode mode,
                        const struct run_limits *limits,
                        const volatile int *stop,
                        struct run_result *out,
                        struct err *e)
{
    enum status st = limits_check(limits, e);
    if (st) return st;
    if (code.n > PROTO_MAX_CODE_BYTES) {
        return err_set(e, QA_E_LIMIT, "a program of %zu bytes: %d are possible", code.n,
                       PROTO_MAX_CODE_BYTES);
    }

    struct worker w;
    /* A spare worker can have died since it was started; one more is tried. */
    for (int i = 0; i < 2; i++) {
        st = take_worker(s, mode, &w, e);
        if (st) return err_wrap(e, st, "cannot start a worker");
        st = worker_wait_ready(&w, stop, e);
        if (st != QA_E_SANDBOX || i == 1) break;
        end_worker(s, &w, false);
    }
    if (!st) st = worker_run(&w, code, limits, stop, out, e);
    end_worker(s, &w, st == QA_OK);
    return st;
}

void run_result_release(struct run_result *r)
{
    free(r->out);
    free(r->errtext);
    free(r->verdict);
    *r = (struct run_result){0};
}
