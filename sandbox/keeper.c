/* keeper.c - the small process that starts and buries workers. */
#include "sandbox/keeper.h"

#include "sandbox/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_WORKERS = 256, N_WORKER_FDS = 6, SWEEP_MS = 30000 };
_Static_assert(sizeof(struct worker_fds) == N_WORKER_FDS * sizeof(int), "sent as an array");

enum op { OP_START = 1, OP_BURY };
struct request {
    int32_t op;
    int32_t mode_or_pid;
};
struct answer {
    int32_t pid;      /* of the new or the buried worker            */
    int32_t failure;  /* errno, or 0                                */
    int32_t is_group; /* it was the control group that could not be made */
};

/* ---- inside the keeper ------------------------------------------------------ */

struct yard {
    const struct jail_plan *plan;
    int fd;
    pid_t pids[MAX_WORKERS]; /* by slot; 0: free */
    bool is_group_failure;   /* of the last start */
};

/* Both ends of everything; a failure closes what is there. */
struct ends {
    struct worker_fds ours;
    struct jail_fds theirs;
};

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0) close(fds[i]);
    }
}

static void close_ends(struct ends *p)
{
    close_all((int *)&p->ours, N_WORKER_FDS);
    close_all((int *)&p->theirs, sizeof p->theirs / sizeof(int));
}

static bool make_pair(int type, int *ours, int *theirs)
{
    int fds[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds)) return false;
    *ours = fds[0];
    *theirs = fds[1];
    return true;
}

static bool make_pipe(int *ours, int *theirs)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC)) return false;
    *ours = fds[0];
    *theirs = fds[1];
    /* The reader's end alone: the program's prints must block. */
    return fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0;
}

static bool make_ends(struct ends *p)
{
    memset(p, 0xFF, sizeof *p); /* all -1 */
    if (!make_pipe(&p->ours.out, &p->theirs.out)) return false;
    if (!make_pipe(&p->ours.err, &p->theirs.err)) return false;
    if (!make_pair(SOCK_STREAM, &p->ours.driver, &p->theirs.driver)) return false;
    if (!make_pair(SOCK_SEQPACKET, &p->ours.init, &p->theirs.init)) return false;
    p->ours.report = memfd_create("report", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (p->ours.report < 0 || ftruncate(p->ours.report, PROTO_REPORT_BYTES)) return false;
    /* Its size is fixed: the program cannot make it a store without end. */
    if (fcntl(p->ours.report, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return false;
    p->theirs.report = fcntl(p->ours.report, F_DUPFD_CLOEXEC, 0);
    return p->theirs.report >= 0;
}

static pid_t clone_worker(const struct jail_plan *plan, const struct cgroup *g, int *pidfd)
{
    const unsigned long flags = (unsigned long)jail_clone_flags(plan->level) | CLONE_PIDFD;
    if (g->folder >= 0) return cgroup_clone(g, flags, pidfd);
    /* A null stack is a copy of ours, as in fork.  clone3 is no better here and
     * missing in more places. */
    return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, pidfd, NULL, NULL);
}

static int start_worker(struct yard *y, int slot, enum run_mode mode, struct ends *p)
{
    const struct cgroup_home *home = &y->plan->cgroups;
    struct cgroup g = {-1, -1, -1};
    if (!make_ends(p)) return errno;
    if (*home->path) {
        const int failure = cgroup_make(home, slot, &g);
        y->is_group_failure = failure != 0;
        if (failure) return failure;
        p->theirs.memory = g.memory;
        p->theirs.events = g.events;
    }
    const pid_t pid = clone_worker(y->plan, &g, &p->ours.pidfd);
    const int failure = pid < 0 ? errno : 0;
    if (pid == 0) jail_enter(y->plan, &p->theirs, mode, slot);
    if (g.folder >= 0) close(g.folder); /* the others are among theirs */
    if (failure && *home->path) cgroup_remove(home, slot);
    if (!failure) y->pids[slot] = pid;
    return failure;
}

static void send_answer(int fd, const struct answer *a, const struct worker_fds *fds)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof *fds)] = {0};
    struct iovec iov = {(void *)a, sizeof *a};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fds) {
        m.msg_control = control;
        m.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof *fds);
        memcpy(CMSG_DATA(c), fds, sizeof *fds);
    }
    if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0) _exit(0); /* the caller is gone */
}

static void serve_start(struct yard *y, enum run_mode mode)
{
    struct answer a = {.failure = EAGAIN};
    struct ends p;
    memset(&p, 0xFF, sizeof p);
    for (int slot = 0; slot < MAX_WORKERS; slot++) {
        if (y->pids[slot]) continue;
        a.failure = start_worker(y, slot, mode, &p);
        a.pid = y->pids[slot];
        a.is_group = y->is_group_failure;
        break;
    }
    send_answer(y->fd, &a, a.failure ? NULL : &p.ours);
    close_ends(&p);
}

static void end_worker(const struct yard *y, pid_t pid)
{
    /* Without a namespace the init sweeps before it goes; it knows, because the caller
     * has closed its socket.  A dead init's orphans come to us. */
    for (int i = 0; y->plan->level == SANDBOX_SECCOMP && i < SWEEP_MS; i++) {
        if (waitpid(pid, NULL, WNOHANG) == pid) return;
        usleep(1000);
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static void serve_bury(struct yard *y, pid_t pid)
{
    struct answer a = {.pid = pid, .failure = ESRCH};
    for (int slot = 0; slot < MAX_WORKERS; slot++) {
        if (y->pids[slot] != pid) continue;
        end_worker(y, pid);
        y->pids[slot] = 0;
        a.failure = 0;
        send_answer(y->fd, &a, NULL);
        /* After the answer: the caller need not wait for it. */
        if (*y->plan->cgroups.path) cgroup_remove(&y->plan->cgroups, slot);
        return;
    }
    send_answer(y->fd, &a, NULL);
}

/* Keep only standard streams (on /dev/null) and the socket, which becomes 3. */
static void leave_caller(int fd)
{
    prctl(PR_SET_NAME, "qagent-keeper");
    umask(022); /* the caller's could lock the program out of its own jail */
    setsid();   /* Ctrl-C is for the caller: it decides what a program hears of it */
    const int null_fd = open("/dev/null", O_RDWR);
    const int high = fcntl(fd, F_DUPFD_CLOEXEC, 64);
    if (null_fd < 0 || high < 0) _exit(1);
    for (int i = 0; i < 3; i++) {
        if (dup2(null_fd, i) < 0) _exit(1);
    }
    if (dup2(high, 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC)) _exit(1);
    if (syscall(SYS_close_range, 4, ~0U, 0) == 0) return;
    for (int i = 4; i < 65536; i++) { /* kernels before 5.9 */
        close(i);
    }
}

static _Noreturn void keep(int fd, const struct jail_plan *plan)
{
    struct sigaction normal = {.sa_handler = SIG_DFL};
    for (int sig = 1; sig < NSIG; sig++) {
        sigaction(sig, &normal, NULL);
    }
    signal(SIGXFSZ, SIG_IGN); /* a caller's limit on files: the report is one, and says so */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    leave_caller(fd);

    struct yard y = {.plan = plan, .fd = 3};
    for (;;) {
        struct request r;
        const ssize_t n = recv(y.fd, &r, sizeof r, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n != sizeof r) break;
        if (r.op == OP_START)
            serve_start(&y, r.mode_or_pid == RUN_SCORE ? RUN_SCORE : RUN_CELL);
        if (r.op == OP_BURY) serve_bury(&y, r.mode_or_pid);
    }
    for (int slot = 0; slot < MAX_WORKERS; slot++) {
        if (y.pids[slot] && plan->level != SANDBOX_SECCOMP) kill(y.pids[slot], SIGKILL);
    }
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
    }
    for (int slot = 0; slot < MAX_WORKERS && *plan->cgroups.path; slot++) {
        if (y.pids[slot]) cgroup_remove(&plan->cgroups, slot);
    }
    _exit(0);
}

/* ---- the caller's side ------------------------------------------------------ */

enum status keeper_open(struct keeper *k, const struct jail_plan *plan, struct err *e)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds)) {
        return err_errno(e, QA_E_SANDBOX, errno, "cannot make a socket");
    }
    const pid_t pid = fork();
    if (pid == 0) keep(fds[1], plan);
    const int failure = errno;
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return err_errno(e, QA_E_SANDBOX, failure, "cannot start the keeper process");
    }
    *k = (struct keeper){.pid = pid, .fd = fds[0]};
    return QA_OK;
}

void keeper_close(struct keeper *k)
{
    if (k->fd < 0) return;
    close(k->fd);
    while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    k->fd = -1;
}

static enum status keeper_gone(struct err *e)
{
    return err_set(e, QA_E_SANDBOX, "the keeper process of the sandbox is gone");
}

static enum status send_request(struct keeper *k, struct request r, struct err *e)
{
    for (;;) {
        if (send(k->fd, &r, sizeof r, MSG_NOSIGNAL) == sizeof r) return QA_OK;
        if (errno != EINTR) return keeper_gone(e);
    }
}

static enum status receive_answer(struct keeper *k,
                                  struct answer *a,
                                  struct worker_fds *fds,
                                  struct err *e)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof *fds)] = {0};
    struct iovec iov = {a, sizeof *a};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    ssize_t n;
    do {
        n = recvmsg(k->fd, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n != sizeof *a) return keeper_gone(e);
    memset(fds, 0xFF, sizeof *fds);
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof *fds)) {
        memcpy(fds, CMSG_DATA(c), sizeof *fds);
    }
    return QA_OK;
}

enum status keeper_ask(struct keeper *k, enum run_mode mode, struct err *e)
{
    return send_request(k, (struct request){OP_START, (int32_t)mode}, e);
}

enum status keeper_answer(struct keeper *k, pid_t *pid, struct worker_fds *fds, struct err *e)
{
    struct answer a;
    struct worker_fds received;
    const enum status st = receive_answer(k, &a, &received, e);
    if (st) return st;
    if (a.failure) {
        return err_errno(e, QA_E_SANDBOX, a.failure, "step '%s' failed",
                         a.is_group ? "control group" : "namespaces");
    }
    if (received.pidfd < 0) { /* our own descriptor table is full */
        close_all((int *)&received, N_WORKER_FDS);
        struct err ignored = {0};
        if (keeper_bury(k, a.pid, &ignored)) return keeper_gone(e);
        return err_set(e, QA_E_SANDBOX, "too many open files to start a worker");
    }
    *pid = a.pid;
    *fds = received;
    return QA_OK;
}

enum status keeper_bury(struct keeper *k, pid_t pid, struct err *e)
{
    struct answer a;
    struct worker_fds none;
    enum status st = send_request(k, (struct request){OP_BURY, (int32_t)pid}, e);
    if (!st) st = receive_answer(k, &a, &none, e);
    return st;
}
