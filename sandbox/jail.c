/* jail.c - what is built around one worker: two ordered lists of steps. */
#include "sandbox/jail.h"

#include "sandbox/landlock.h"
#include "sandbox/limits.h"
#include "sandbox/seccomp.h"
#include "sandbox/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Inside, the program is always this user, or the slot's uid at level FULL. */
enum { INNER_ID = 1000 };
/* Where the descriptors of struct jail_fds are from the first step on. */
enum { FD_DRIVER = 3, FD_REPORT, FD_INIT, FD_MEMORY, FD_EVENTS, FD_FIRST_FREE };

struct jail {
    const struct jail_plan *plan;
    struct jail_fds fds;
    enum run_mode mode;
    uid_t uid;    /* what the program runs as, seen from inside */
    int proc_fd;  /* process list of the namespace, or -1       */
    char box[64]; /* work folder of the program                 */
};

enum {
    AT_FULL = 1 << SANDBOX_FULL,
    AT_USER = 1 << SANDBOX_USER,
    AT_SECCOMP = 1 << SANDBOX_SECCOMP
};
enum { AT_ROOTED = AT_FULL | AT_USER, AT_ALL = AT_ROOTED | AT_SECCOMP };

struct step {
    const char *name;
    int levels;
    int (*run)(struct jail *j); /* 0 or errno */
    const char *reason;
};

/* ---- small tools; all return 0 or errno ------------------------------------ */

static int check(long result)
{
    return result < 0 ? errno : 0;
}

static int write_file(const char *path, const char *text, size_t n, mode_t mode)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) return errno;
    const ssize_t n_out = write(fd, text, n);
    const int failure = n_out < 0 ? errno : (size_t)n_out < n ? EIO : 0;
    close(fd);
    return failure;
}

/* mkdir -p of what stands before the last slash of path. */
static int make_parents(const char *path)
{
    char part[PATH_MAX];
    for (size_t i = 1; path[i]; i++) {
        if (i >= sizeof part) return ENAMETOOLONG;
        if (path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0755) && errno != EEXIST) return errno;
    }
    return 0;
}

/* Set flags on a mount and all below it.  Kernels before 5.12 lack the call; there a
 * remount reaches the top only, which is refused when something is mounted below. */
static int set_flags(const char *path, uint64_t attrs, unsigned long old_flags)
{
    struct mount_attr a = {.attr_set = attrs};
    if (mount_setattr(AT_FDCWD, path, AT_RECURSIVE, &a, sizeof a) == 0) return 0;
    if (errno != ENOSYS) return errno;
    return check(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | old_flags, NULL));
}

/* Bind `path` of the old root onto the same path of the new one. */
static int bind_path(const char *path, uint64_t attrs, unsigned long old_flags)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    struct stat st;
    snprintf(from, sizeof from, "/old%s", path);
    snprintf(to, sizeof to, "/new%s", path);
    if (lstat(from, &st)) return errno;
    int failure = make_parents(to);
    if (failure) return failure;

    if (S_ISLNK(st.st_mode) && strrchr(path, '/') == path) { /* /lib -> usr/lib */
        char target[PATH_MAX];
        const ssize_t n = readlink(from, target, sizeof target - 1);
        if (n < 0) return errno;
        target[n] = 0;
        return check(symlink(target, to));
    }
    /* A link further down is followed by hand: its target means the old root. */
    char real[PATH_MAX];
    if (S_ISLNK(st.st_mode)) {
        if (chroot("/old")) return errno;
        const bool is_found = realpath(path, real) != NULL;
        failure = is_found ? 0 : errno;
        if (chroot(".")) return errno;
        if (failure) return failure;
        snprintf(from, sizeof from, "/old%.*s", PATH_MAX - 8, real);
        if (stat(from, &st)) return errno;
    }
    if (S_ISDIR(st.st_mode)) {
        if (mkdir(to, 0755) && errno != EEXIST) return errno;
    } else {
        failure = write_file(to, "", 0, 0644);
        if (failure) return failure;
    }
    if (mount(from, to, NULL, MS_BIND | MS_REC, NULL)) return errno;
    return set_flags(to, attrs, old_flags);
}

static int mount_tmpfs(const char *path, const char *options, unsigned long flags)
{
    if (make_parents(path)) return errno;
    if (mkdir(path, 0755) && errno != EEXIST) return errno;
    return check(mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | flags, options));
}

/* ---- steps of the init, in the new namespaces ------------------------------- */

static int step_lifeline(struct jail *j)
{
    (void)j;
    return check(prctl(PR_SET_PDEATHSIG, SIGKILL));
}

static int step_subreaper(struct jail *j)
{
    (void)j;
    /* No signal at the keeper's death: the init must live to sweep.  Its socket closes
     * with the caller and tells it. */
    return check(prctl(PR_SET_CHILD_SUBREAPER, 1));
}

static int step_descriptors(struct jail *j)
{
    const int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) return errno;
    const bool has_group = j->fds.memory >= 0;
    const int wanted[] = {null_fd,
                          j->fds.out,
                          j->fds.err,
                          j->fds.driver,
                          j->fds.report,
                          j->fds.init,
                          has_group ? j->fds.memory : null_fd,
                          has_group ? j->fds.events : null_fd};
    int high[COUNT(wanted)];
    _Static_assert(COUNT(wanted) == FD_FIRST_FREE, "0, 1, 2 and the named ones");
    /* First out of the way of each other, then down to their places. */
    for (size_t i = 0; i < COUNT(wanted); i++) {
        high[i] = fcntl(wanted[i], F_DUPFD_CLOEXEC, 64);
        if (high[i] < 0) return errno;
    }
    for (size_t i = 0; i < COUNT(wanted); i++) {
        if (dup2(high[i], (int)i) < 0) return errno;
    }
    for (int fd = FD_INIT; fd < FD_FIRST_FREE; fd++) { /* the init's alone */
        if (fcntl(fd, F_SETFD, FD_CLOEXEC)) return errno;
    }
    if (syscall(SYS_close_range, FD_FIRST_FREE, ~0U, 0) == 0) return 0;
    if (errno != ENOSYS) return errno;
    for (int fd = FD_FIRST_FREE; fd < 65536; fd++) { /* kernels before 5.9 */
        close(fd);
    }
    return 0;
}

static int step_signals(struct jail *j)
{
    (void)j;
    struct sigaction normal = {.sa_handler = SIG_DFL};
    for (int sig = 1; sig < NSIG; sig++) {
        sigaction(sig, &normal, NULL); /* KILL, STOP and libc's own refuse: as they should */
    }
    sigset_t none;
    sigemptyset(&none);
    return check(sigprocmask(SIG_SETMASK, &none, NULL));
}

static int step_sacrifice(struct jail *j)
{
    (void)j;
    return write_file("/proc/self/oom_score_adj", "1000", 4, 0);
}

static int step_user(struct jail *j)
{
    char text[64];
    int failure = write_file("/proc/self/setgroups", "deny", 4, 0);
    if (failure) return failure;
    int n = snprintf(text, sizeof text, "%d %u 1\n", INNER_ID, (unsigned)j->plan->outer_uid);
    failure = write_file("/proc/self/uid_map", text, (size_t)n, 0);
    if (failure) return failure;
    n = snprintf(text, sizeof text, "%d %u 1\n", INNER_ID, (unsigned)j->plan->outer_gid);
    return write_file("/proc/self/gid_map", text, (size_t)n, 0);
}

static int step_host_name(struct jail *j)
{
    (void)j;
    if (sethostname("sandbox", 7)) return errno;
    return check(setdomainname("", 0));
}

static int step_private_mounts(struct jail *j)
{
    (void)j;
    return check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

static int step_base(struct jail *j)
{
    (void)j;
    static const char *const PLACES[] = {"/tmp", "/proc", "/dev"};
    for (size_t i = 0; i < COUNT(PLACES); i++) {
        if (mount("tmpfs", PLACES[i], "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755")) {
            if (errno == ENOENT) continue;
            return errno;
        }
        if (chdir(PLACES[i])) return errno;
        if (mkdir("old", 0755) || mkdir("new", 0755)) return errno;
        if (syscall(SYS_pivot_root, ".", "old")) return errno;
        return check(chdir("/"));
    }
    return ENOENT;
}

static int step_root(struct jail *j)
{
    (void)j;
    return mount_tmpfs("/new", "size=1m,nr_inodes=2048,mode=755", 0);
}

static int step_work(struct jail *j)
{
    char options[128];
    const struct {
        const char *path;
        int size_bytes;
    } folders[] = {
        {"/new/box",     LIMIT_WORK_BYTES    },
        {"/new/tmp",     LIMIT_WORK_BYTES / 2},
        {"/new/dev/shm", LIMIT_WORK_BYTES / 2},
    };
    for (size_t i = 0; i < COUNT(folders); i++) {
        snprintf(options, sizeof options, "size=%d,nr_inodes=%d,mode=700,uid=%u,gid=%u",
                 folders[i].size_bytes, LIMIT_WORK_FILES, (unsigned)j->uid, (unsigned)j->uid);
        const int failure = mount_tmpfs(folders[i].path, options, 0);
        if (failure) return failure;
    }
    return 0;
}

static int step_devices(struct jail *j)
{
    (void)j;
    static const char *const DEVICES[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                          "/dev/urandom"};
    for (size_t i = 0; i < COUNT(DEVICES); i++) {
        const int failure =
            bind_path(DEVICES[i], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, MS_NOSUID | MS_NOEXEC);
        if (failure) return failure;
    }
    return 0;
}

static int step_interpreter(struct jail *j)
{
    const struct python *p = &j->plan->python;
    for (int i = 0; i < p->n_paths; i++) {
        const int failure =
            bind_path(p->paths[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                      MS_RDONLY | MS_NOSUID | MS_NODEV);
        if (failure && failure != ENOENT) return failure;
    }
    return 0;
}

static int step_files(struct jail *j)
{
    char text[256];
    if (mkdir("/new/etc", 0755) && errno != EEXIST) return errno;
    int n = snprintf(text, sizeof text, "box:x:%u:%u:box:/box:/bin/false\n", (unsigned)j->uid,
                     (unsigned)j->uid);
    int failure = write_file("/new/etc/passwd", text, (size_t)n, 0644);
    if (failure) return failure;
    n = snprintf(text, sizeof text, "box:x:%u:\n", (unsigned)j->uid);
    return write_file("/new/etc/group", text, (size_t)n, 0644);
}

static int step_process_list(struct jail *j)
{
    /* For the init alone: mounted, opened, detached again, so that the program has
     * no /proc.  Containers that mask parts of /proc forbid this in a user
     * namespace; then nobody counts (watch.c), and the statement says so. */
    if (mkdir("/new/proc", 0555)) return errno;
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (mount("proc", "/new/proc", "proc", flags, NULL)) {
        return errno == EPERM ? 0 : errno;
    }
    j->proc_fd = open("/new/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->proc_fd < 0) return errno;
    return check(umount2("/new/proc", MNT_DETACH));
}

static int step_read_only(struct jail *j)
{
    (void)j;
    return check(mount(NULL, "/new", NULL,
                       MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL));
}

static int step_leave(struct jail *j)
{
    (void)j;
    /* The old root is mounted below the base; both go with the second turn. */
    if (chdir("/new")) return errno;
    if (syscall(SYS_pivot_root, ".", ".")) return errno;
    if (umount2(".", MNT_DETACH)) return errno;
    return check(chdir("/"));
}

static int step_host_folder(struct jail *j)
{
    snprintf(j->box, sizeof j->box, "/tmp/qagent-box-XXXXXX");
    if (!mkdtemp(j->box)) return errno;
    return geteuid() == 0 ? check(chown(j->box, j->uid, j->uid)) : 0;
}

static int step_rights(struct jail *j)
{
    for (int cap = 0; cap < 64; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) continue;
        if (errno == EINVAL) break; /* past the last one this kernel has */
        if (j->plan->level == SANDBOX_SECCOMP && errno == EPERM) break; /* had none */
        return errno;
    }
    if (geteuid() == 0) {
        const gid_t gid = j->uid;
        if (syscall(SYS_setgroups, 0, NULL)) return errno;
        if (syscall(SYS_setresgid, gid, gid, gid)) return errno;
        if (syscall(SYS_setresuid, j->uid, j->uid, j->uid)) return errno;
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    const struct __user_cap_data_struct none[2] = {{0}, {0}};
    if (syscall(SYS_capset, &head, none)) return errno;
    return check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static int step_unreadable(struct jail *j)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) return errno;
    if (j->plan->level == SANDBOX_SECCOMP) return 0;
    return check(prctl(PR_SET_PDEATHSIG, SIGKILL)); /* a change of uid cleared it */
}

/* Up to and with the step that puts the descriptors in their places. */
enum { N_EARLY_STEPS = 3 };
// clang-format off
static const struct step INIT_STEPS[] = {
    {"lifeline", AT_ROOTED, step_lifeline,
     "dies when the keeper dies"},
    {"subreaper", AT_SECCOMP, step_subreaper,
     "orphans of the program come to the init"},
    {"descriptors", AT_ALL, step_descriptors,
     "no file of the caller is open inside"},
    {"signals", AT_ALL, step_signals,
     "nothing ignored or blocked is inherited"},
    {"out-of-memory score", AT_ALL, step_sacrifice,
     "the kernel takes the program before the engine"},
    {"user namespace", AT_USER, step_user,
     "rights over the jail, none outside"},
    {"host name", AT_ROOTED, step_host_name,
     "the machine's name stays unknown"},
    {"private mounts", AT_ROOTED, step_private_mounts,
     "what follows is not seen outside"},
    {"mount base", AT_ROOTED, step_base,
     "old and new root side by side, under no user's path"},
    {"private root", AT_ROOTED, step_root,
     "an empty file system: only what is put there exists"},
    {"work folders", AT_ROOTED, step_work,
     "memory with a size, gone with the worker"},
    {"devices", AT_ROOTED, step_devices,
     "null, zero and random numbers, no disk, no terminal"},
    {"interpreter", AT_ROOTED, step_interpreter,
     "Python and its libraries, read-only"},
    {"files", AT_ROOTED, step_files,
     "names for the uid"},
    {"process list", AT_ROOTED, step_process_list,
     "lets the init add up memory"},
    {"read-only root", AT_ROOTED, step_read_only,
     "the program owns its work folders only"},
    {"leaving the old root", AT_ROOTED, step_leave,
     "no path leads back"},
    {"work folder", AT_SECCOMP, step_host_folder,
     "an empty folder that nobody else reads"},
    {"rights", AT_ALL, step_rights,
     "no capability, an unused user, no way to gain either"},
    {"unreadable init", AT_ALL, step_unreadable,
     "its memory is a copy of the caller's"},
};
// clang-format on

/* ---- steps of the process that becomes Python ------------------------------- */

static int step_session(struct jail *j)
{
    (void)j;
    return check(setsid());
}

static int step_limits(struct jail *j)
{
    return limits_apply(j->plan->max_processes);
}

static int step_folder(struct jail *j)
{
    return check(chdir(j->box));
}

static int step_landlock(struct jail *j)
{
    static const char *const READABLE[] = {"/", NULL};
    static const char *const WRITABLE[] = {"/box", "/tmp", "/dev/shm", "/dev/null", NULL};
    if (!j->plan->landlock_abi) return 0; /* stated; the private root holds without it */
    return landlock_apply(j->plan->landlock_abi, READABLE, WRITABLE);
}

static int step_landlock_alone(struct jail *j)
{
    const struct python *p = &j->plan->python;
    const char *readable[PYTHON_MAX_PATHS + 4] = {"/dev/zero", "/dev/random", "/dev/urandom"};
    const char *const writable[] = {j->box, "/dev/null", NULL};
    for (int i = 0; i < p->n_paths; i++) {
        readable[3 + i] = p->paths[i];
    }
    return landlock_apply(j->plan->landlock_abi, readable, writable);
}

static int step_filter(struct jail *j)
{
    return seccomp_apply(j->plan);
}

static int step_python(struct jail *j)
{
    char home[80];
    char tmp[80];
    const bool is_rooted = j->plan->level != SANDBOX_SECCOMP;
    snprintf(home, sizeof home, "HOME=%s", j->box);
    snprintf(tmp, sizeof tmp, "TMPDIR=%s", is_rooted ? "/tmp" : j->box);
    char *const environment[] = {
        (char *)"PATH=/usr/bin:/bin",
        home,
        tmp,
        (char *)"LANG=C.UTF-8",
        (char *)"PYTHONHASHSEED=0",
        (char *)"OMP_NUM_THREADS=1",
        (char *)"OPENBLAS_NUM_THREADS=1",
        (char *)"MKL_NUM_THREADS=1",
        NULL,
    };
    /* Not -I: it would ignore the hash seed.  -u: what was printed before a kill is
     * not lost.  -S: the start-up code that installed packages leave in .pth files
     * takes longer than Python itself; the driver puts their folders on the path. */
    enum { N_FIXED = 10 };
    char *argv[N_FIXED + PYTHON_MAX_SITES + 1] = {
        j->plan->python.exe,
        (char *)"-u",
        (char *)"-B",
        (char *)"-s",
        (char *)"-S",
        (char *)"-X",
        (char *)"utf8",
        (char *)"-c",
        (char *)j->plan->driver.p,
        (char *)(j->mode == RUN_SCORE ? "score" : "cell"),
    };
    for (int i = 0; i < j->plan->python.n_sites; i++) {
        argv[N_FIXED + i] = j->plan->python.sites[i];
    }
    execve(j->plan->python.exe, argv, environment);
    return errno;
}

// clang-format off
static const struct step PROGRAM_STEPS[] = {
    {"session", AT_ALL, step_session,
     "no terminal to type into"},
    {"limits", AT_ALL, step_limits,
     "memory, files, processes"},
    {"start folder", AT_ALL, step_folder,
     "the program starts in its own folder"},
    {"landlock", AT_ROOTED, step_landlock,
     "a second wall around the files"},
    {"landlock", AT_SECCOMP, step_landlock_alone,
     "the only wall around the files"},
    {"system-call filter", AT_ALL, step_filter,
     "last: the steps before it need calls it forbids"},
    {"start of python", AT_ALL, step_python,
     "from here on nothing is ours"},
};
// clang-format on

/* ---- the two lists run ------------------------------------------------------ */

static void say(int32_t kind, int32_t a, int32_t b)
{
    const struct init_word w = {kind, a, b};
    /* Nobody listening means the caller is gone, and so is the reason to tell. */
    if (send(FD_INIT, &w, sizeof w, MSG_NOSIGNAL) < 0) _exit(1);
}

static void run_steps(struct jail *j, const struct step *steps, size_t n, int list)
{
    for (size_t i = 0; i < n; i++) {
        if (!(steps[i].levels & 1 << j->plan->level)) continue;
        const int failure = steps[i].run(j);
        if (!failure) continue;
        if (list == 0 && i < N_EARLY_STEPS) { /* the socket is not in its place yet */
            const struct init_word w = {INIT_STEP_FAILED, (int32_t)i, failure};
            if (send(j->fds.init, &w, sizeof w, MSG_NOSIGNAL) < 0) _exit(1);
        } else {
            say(INIT_STEP_FAILED, list << 8 | (int32_t)i, failure);
        }
        _exit(1);
    }
}

int jail_clone_flags(enum sandbox_level level)
{
    const int spaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                       CLONE_NEWCGROUP;
    if (level == SANDBOX_SECCOMP) return 0;
    return level == SANDBOX_USER ? spaces | CLONE_NEWUSER : spaces;
}

const char *jail_step_name(int list_and_step)
{
    const size_t step = (size_t)(list_and_step & 0xFF);
    const int list = list_and_step >> 8;
    if (list == 0 && step < COUNT(INIT_STEPS)) return INIT_STEPS[step].name;
    if (list == 1 && step < COUNT(PROGRAM_STEPS)) return PROGRAM_STEPS[step].name;
    return "unknown";
}

_Noreturn void jail_enter(const struct jail_plan *plan,
                          const struct jail_fds *fds,
                          enum run_mode mode,
                          int slot)
{
    struct jail j = {.plan = plan, .fds = *fds, .mode = mode, .uid = INNER_ID, .proc_fd = -1};
    if (plan->first_uid) j.uid = plan->first_uid + (uid_t)slot;
    snprintf(j.box, sizeof j.box, "/box");
    run_steps(&j, INIT_STEPS, COUNT(INIT_STEPS), 0);

    const pid_t pid = fork();
    if (pid < 0) {
        say(INIT_STEP_FAILED, 1 << 8, errno);
        _exit(1);
    }
    if (pid == 0) {
        run_steps(&j, PROGRAM_STEPS, COUNT(PROGRAM_STEPS), 1);
        _exit(1);
    }
    /* Ends of the program: the init must not keep its pipes open. */
    for (int fd = 0; fd < FD_INIT; fd++) {
        close(fd);
    }
    const bool is_rooted = plan->level != SANDBOX_SECCOMP;
    const struct watch w = {
        .init_fd = FD_INIT,
        .proc_fd = j.proc_fd,
        .memory_fd = fds->memory >= 0 ? FD_MEMORY : -1,
        .events_fd = fds->memory >= 0 ? FD_EVENTS : -1,
        .main_pid = pid,
        .sweep_folder = is_rooted ? NULL : j.box,
        .has_own_user = plan->first_uid != 0,
    };
    watch_run(&w);
}
