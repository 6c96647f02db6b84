/* sandbox.c - the jail's door without a jail: programs of the tests themselves run in a
 * plain python3 child, with the fixed form of failures and a time limit (fake.h). */
#include "engine/base/clock.h"
#include "tests/fake/fake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct sandbox {
    int n_runs;
};

static const char DRIVER[] =
    "import sys, os\n"
    "code = sys.stdin.buffer.read().decode('utf-8', 'replace')\n"
    "sys.stdin = open(os.devnull)\n"
    "lines = code.split('\\n')\n"
    "def show(kind, value, trace):\n"
    "    sys.stdout.flush()\n"
    "    out = []\n"
    "    while trace:\n"
    "        if trace.tb_frame.f_code.co_filename == 'cell.py':\n"
    "            n = trace.tb_lineno\n"
    "            name = trace.tb_frame.f_code.co_name\n"
    "            out.append('  File \"cell.py\", line %d, in %s' % (n, name))\n"
    "            out.append('    ' + lines[n - 1].strip())\n"
    "        trace = trace.tb_next\n"
    "    if out: out.insert(0, 'Traceback (most recent call last):')\n"
    "    if isinstance(value, SyntaxError):\n"
    "        out.append('  File \"cell.py\", line %d' % value.lineno)\n"
    "        out.append('    ' + lines[value.lineno - 1].strip())\n"
    "    text = getattr(value, 'msg', None) or str(value)\n"
    "    out.append(kind.__name__ + (': ' + text if text else ''))\n"
    "    sys.stderr.write('\\n'.join(out) + '\\n')\n"
    "try:\n"
    "    exec(compile(code, 'cell.py', 'exec'), {'__name__': '__main__'})\n"
    "except SystemExit as x:\n"
    "    sys.exit(x.code)\n"
    "except BaseException:\n"
    "    show(*sys.exc_info())\n"
    "    sys.exit(1)\n";

/* Looked up once: "python3" may be a script that looks for the real one, slowly. */
static char python[512];

static void find_python(void)
{
    if (python[0]) return;
    FILE *f = popen("python3 -I -S -c 'import sys; print(sys.executable)'", "r");
    if (f && fgets(python, sizeof python, f)) python[strcspn(python, "\n")] = 0;
    if (f) pclose(f);
    if (!python[0]) snprintf(python, sizeof python, "python3");
}

enum status sandbox_open(struct sandbox **out, const struct sandbox_opts *o, struct err *e)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return err_set(e, QA_E_NOMEM, "out of memory");
    find_python();
    return QA_OK;
}

void sandbox_close(struct sandbox *s)
{
    free(s);
}

const char *sandbox_statement(const struct sandbox *s)
{
    return "none: a test's own programs";
}

const char *sandbox_python_version(const struct sandbox *s)
{
    return "3";
}

struct run_limits run_limits_default(void)
{
    /* A test that is about a time limit sets its own; no other may depend on speed. */
    return (struct run_limits){600000, 2ull << 30, 64 << 10};
}

const char *run_status_name(enum run_status s)
{
    static const char *const names[] = {"ok",           "error",  "timeout", "oom",
                                        "output-limit", "signal", "killed"};
    return names[s];
}

void run_result_release(struct run_result *r)
{
    free(r->out);
    free(r->errtext);
    free(r->verdict);
    *r = (struct run_result){0};
}

static void read_all(int fd, struct str_buf *b, bool *is_open)
{
    char block[4096];
    const ssize_t n = read(fd, block, sizeof block);
    if (n <= 0) {
        *is_open = false;
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (block[i]) str_buf_add_char(b, block[i]);
    }
}

/* Until both streams are closed, the time is over, or *stop. */
static enum run_status drain(int out,
                             int err,
                             struct run_result *r,
                             double end_s,
                             const volatile int *stop)
{
    struct str_buf o, x;
    bool has_out = true, has_err = true;
    enum run_status st = RUN_OK;
    str_buf_init(&o, 4 << 20);
    str_buf_init(&x, 4 << 20);
    while (has_out || has_err) {
        struct pollfd p[2] = {
            {has_out ? out : -1, POLLIN, 0},
            {has_err ? err : -1, POLLIN, 0}
        };
        poll(p, 2, 20);
        if (p[0].revents) read_all(out, &o, &has_out);
        if (p[1].revents) read_all(err, &x, &has_err);
        if (stop && *stop) st = RUN_KILLED;
        if (!st && clock_now_s() > end_s) st = RUN_TIMEOUT;
        if (st) break;
    }
    r->n_out = o.n;
    r->n_errtext = x.n;
    r->out = str_buf_take(&o);
    r->errtext = str_buf_take(&x);
    return st;
}

enum status sandbox_run(struct sandbox *s,
                        struct str code,
                        enum run_mode mode,
                        const struct run_limits *limits,
                        const volatile int *stop,
                        struct run_result *out,
                        struct err *e)
{
    struct run_result r = {.exit_code = -1};
    int in[2], ou[2], er[2], status = 0;
    const double start_s = clock_now_s();
    ASSERT(mode == RUN_CELL);
    s->n_runs++;
    if (pipe(in) || pipe(ou) || pipe(er)) return err_set(e, QA_E_IO, "no pipes");
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(ou[1], 1);
        dup2(er[1], 2);
        for (int fd = 3; fd < 64; fd++) {
            close(fd);
        }
        execlp(python, python, "-I", "-S", "-c", DRIVER, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(ou[1]);
    close(er[1]);
    signal(SIGPIPE, SIG_IGN);
    for (size_t n = 0; n < code.n;) {
        const ssize_t k = write(in[1], code.p + n, code.n - n);
        if (k <= 0) break;
        n += (size_t)k;
    }
    close(in[1]);
    r.status = drain(ou[0], er[0], &r, start_s + limits->timeout_ms / 1e3, stop);
    if (r.status) kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    close(ou[0]);
    close(er[0]);
    if (!r.status && WIFEXITED(status)) {
        r.exit_code = WEXITSTATUS(status);
        if (r.exit_code) r.status = RUN_ERROR;
    } else if (!r.status) {
        r.status = RUN_SIGNAL;
        r.signal = WTERMSIG(status);
    }
    r.duration_ms = (clock_now_s() - start_s) * 1e3;
    *out = r;
    return QA_OK;
}
