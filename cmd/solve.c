/* solve.c - `qagent solve`: one task in, the answer on standard output. */
#include "agent/agent.h"
#include "agent/recording.h"
#include "cmd/recorded.h"
#include "cmd/run.h"
#include "cmd/view.h"
#include "engine/base/file.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TASK_MAX_BYTES = 4 << 20, SCHEMA = 1 };
enum {
    KEY_MAX_ITER = 0x300,
    KEY_TIMEOUT,
    KEY_MAX_TOKENS,
    KEY_ANSWER,
    KEY_JSON,
    KEY_SESSION,
    KEY_RESUME,
    KEY_CANDIDATES,
    KEY_RETRY,
    KEY_SIGNATURE,
    KEY_LEVEL,
    KEY_PYTHON,
    KEY_QUIET,
    KEY_NO_SESSION,
};

struct solve_opts {
    struct model_opts model;
    const char *file, *answer, *session;
    struct agent_limits limits;
    enum agent_retry retry;
    bool keeps_signature;
    struct sandbox_opts sandbox;
    bool want_json, want_resume, is_quiet, has_no_session;
    bool has_max_iter, has_timeout, has_max_tokens; /* the user gave it */
    int n_candidates;
};

// clang-format off
static const struct argp_option OPTIONS[] = {
    {"max-iter",   KEY_MAX_ITER,   "N",       0, "model turns, the last one for the answer (default 5)", 0},
    {"timeout",    KEY_TIMEOUT,    "TIME",    0, "for the whole task (default 10m)", 0},
    {"max-tokens", KEY_MAX_TOKENS, "N",       0, "generated tokens (default: no limit)", 0},
    {"answer",     KEY_ANSWER,     "FILE",    0, "write the answer to FILE too", 0},
    {"answer-file", 0,             0,         OPTION_ALIAS | OPTION_HIDDEN, 0, 0},
    {"json",       KEY_JSON,       0,         0, "events on standard output, one JSON object a line", 0},
    {"session",    KEY_SESSION,    "FILE",    0, "log of the run, appended to (default: a new file below ~/.local/state/qagent)", 0},
    {"no-session", KEY_NO_SESSION, 0,         0, "no log of the run", 0},
    {"quiet",      KEY_QUIET,      0,         0, "no progress, only the answer and errors", 0},
    {"resume",     KEY_RESUME,     0,         0, "go on with the last run in --session FILE, which was interrupted", 0},
    {"candidates", KEY_CANDIDATES, "K",       0, "K whole attempts; the answer is what most of those that pass agree on (default 1)", 0},
    {"retry",      KEY_RETRY,      "POLICY",  0, "after a failure: auto (default), repair, fresh, lesson, branch", 0},
    {"signature",  KEY_SIGNATURE,  "on|off",  0, "a function whose signature the task gives gets exactly that one (default on)", 0},
    {"level",      KEY_LEVEL,      "NAME",    0, "jail: auto, full, user, seccomp", 0},
    {"python",     KEY_PYTHON,     "PROGRAM", 0, "the interpreter (default: python3)", 0},
    {0},
};
// clang-format on

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct solve_opts *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->model; break;
    case KEY_MAX_ITER:
        o->limits.max_iter = (int)opt_int_arg("max-iter", arg, 1, 1000);
        o->has_max_iter = true;
        break;
    case KEY_TIMEOUT:
        o->limits.timeout_s = opt_seconds_arg("timeout", arg);
        o->has_timeout = true;
        break;
    case KEY_MAX_TOKENS:
        o->limits.max_tokens = opt_int_arg("max-tokens", arg, 1, 1 << 30);
        o->has_max_tokens = true;
        break;
    case KEY_ANSWER: o->answer = arg; break;
    case KEY_JSON: o->want_json = true; break;
    case KEY_SESSION: o->session = arg; break;
    case KEY_RESUME: o->want_resume = true; break;
    case KEY_QUIET: o->is_quiet = true; break;
    case KEY_NO_SESSION: o->has_no_session = true; break;
    case KEY_CANDIDATES: o->n_candidates = (int)opt_int_arg("candidates", arg, 1, 64); break;
    case KEY_RETRY:
        if (!agent_retry_of(arg, &o->retry)) {
            opt_fail("--retry %s: auto, repair, fresh, lesson or branch", arg);
        }
        break;
    case KEY_SIGNATURE: o->keeps_signature = opt_on_off("signature", arg); break;
    case KEY_LEVEL:
        if (!sandbox_level_of(arg, &o->sandbox.level)) {
            opt_fail("--level %s: auto, full, user or seccomp", arg);
        }
        break;
    case KEY_PYTHON: o->sandbox.python = arg; break;
    case ARGP_KEY_ARG:
        if (o->file) opt_fail("unexpected word '%s': one task at a time", arg);
        o->file = arg;
        break;
    case ARGP_KEY_END:
        if (o->want_resume && !o->session) opt_fail("--resume needs --session FILE");
        if (o->session && o->has_no_session) opt_fail("--session or --no-session: not both");
        if (o->want_resume && o->file) opt_fail("--resume takes the task from the session");
        if (!o->file && !o->want_resume)
            opt_fail("solve needs a task: a file, or - for standard input");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* ---- events as JSON ---- */

struct json_sink {
    char id[32];           /* of the session             */
    struct view_tail tail; /* of the part being streamed */
    enum agent_event_type part;
    struct str_buf text;
};

/* Text for JSON: whole characters of well-formed UTF-8. */
static json_t *json_text(struct json_sink *s, struct str text, bool is_stream)
{
    struct view_tail whole = {0};
    str_buf_reset(&s->text);
    view_add(&s->text, is_stream ? &s->tail : &whole, text, false);
    return json_stringn(s->text.p ? s->text.p : "", s->text.n);
}

static void put(struct json_sink *s,
                const char *name,
                const struct agent_event *ev,
                json_t *more)
{
    json_t *line = json_pack("{s:i, s:s, s:s, s:f, s:i, s:I}", "schema", SCHEMA, "event", name,
                             "session", s->id, "t", ev->t_s, "iteration", ev->iteration,
                             "n_tokens", (json_int_t)ev->n_tokens);
    if (more) json_object_update(line, more);
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
    json_decref(more);
    json_decref(line);
}

static void put_text(struct json_sink *s, const char *name, const struct agent_event *ev)
{
    if (s->part != ev->type) s->tail.n = 0;
    s->part = ev->type;
    json_t *text = json_text(s, ev->text, true);
    put(s, name, ev, json_pack("{s:o}", "text", text));
}

static void put_tool(struct json_sink *s, const struct agent_event *ev)
{
    const struct run_result *r = ev->run;
    put(s, "tool.output", ev, json_pack("{s:o}", "text", json_text(s, ev->text, false)));
    put(s, "tool.completed", ev,
        json_pack("{s:s, s:i, s:f, s:I}", "status", r ? run_status_name(r->status) : "refused",
                  "exit_code", r ? r->exit_code : -1, "duration_ms", r ? r->duration_ms : 0.0,
                  "truncated_bytes", r ? (json_int_t)r->truncated_bytes : (json_int_t)0));
}

static void put_end(struct json_sink *s, const struct agent_event *ev)
{
    const struct agent_result *r = ev->result;
    const int code = agent_outcome_exit(r->outcome);
    put(s, code == 0 ? "session.completed" : "session.failed", ev,
        json_pack("{s:s, s:i, s:b, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f}",
                  "outcome", agent_outcome_name(r->outcome), "exit", code, "has_answer",
                  r->answer != NULL, "n_iterations", r->n_iterations, "n_tool_calls",
                  r->n_tool_calls, "n_tokens", (json_int_t)r->n_generated_tokens,
                  "n_prompt_tokens", (json_int_t)r->n_prompt_tokens, "n_reused_tokens",
                  (json_int_t)r->n_reused_tokens, "n_drafted", (json_int_t)r->n_drafted,
                  "n_accepted", (json_int_t)r->n_accepted, "total_s", r->total_s, "prefill_s",
                  r->prefill_s, "decode_s", r->decode_s, "tool_s", r->tool_s));
}

static void json_event(void *ctx, const struct agent_event *ev)
{
    struct json_sink *s = ctx;
    switch (ev->type) {
    case AGENT_STARTED:
        put(s, "session.started", ev, json_pack("{s:I}", "n_reused", (json_int_t)ev->n_reused));
        break;
    case AGENT_PREFILL:
    case AGENT_COMPACTED: break; /* of conversations */
    case AGENT_ITERATION: put(s, "iteration.started", ev, NULL); break;
    case AGENT_THINK: put_text(s, "think.delta", ev); break;
    case AGENT_TEXT: put_text(s, "text.delta", ev); break;
    case AGENT_TOOL_CODE: break; /* the whole code comes with tool.started */
    case AGENT_TOOL_STARTED:
        put(s, "tool.started", ev,
            json_pack("{s:s, s:o}", "tool", "code_execution", "code",
                      json_text(s, ev->text, false)));
        break;
    case AGENT_TOOL_DONE: put_tool(s, ev); break;
    case AGENT_NOTICE:
        put(s, "notice", ev, json_pack("{s:o}", "text", json_text(s, ev->text, false)));
        break;
    case AGENT_ITERATION_DONE: put(s, "iteration.completed", ev, NULL); break;
    case AGENT_ANSWER:
        put(s, "answer", ev, json_pack("{s:o}", "text", json_text(s, ev->text, false)));
        break;
    case AGENT_DONE: put_end(s, ev); break;
    }
}

/* ---- the command ---- */

/* Text as editors elsewhere save it: without a byte order mark, lines end with \n. */
static void normalise(struct str_buf *b)
{
    const struct str s = str_buf_str(b);
    size_t n = 0;
    for (size_t i = str_starts(s, STR("\xEF\xBB\xBF")) ? 3 : 0; i < s.n; i++) {
        if (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n') continue;
        b->p[n++] = s.p[i];
    }
    b->n = n;
    if (b->p) b->p[n] = 0;
}

static enum status read_task(struct str_buf *b, const char *path, struct err *e)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    const enum status st = file_read(b, path, e);
    char name[300];
    if (st) return st;
    if (is_stdin) snprintf(name, sizeof name, "the task on standard input");
    if (!is_stdin) snprintf(name, sizeof name, "the task '%.250s'", path);
    normalise(b);
    if (!str_trim(str_buf_str(b)).n) {
        return err_set(e, QA_E_USAGE, "%s is empty", name);
    }
    if (!str_is_utf8(str_buf_str(b)) || memchr(b->p, 0, b->n)) {
        return err_set(e, QA_E_USAGE, "%s is no text in UTF-8", name);
    }
    return QA_OK;
}

/* Can a file be written there, as far as that can be known without doing it? */
static enum status check_writable(const char *path, struct err *e)
{
    struct stat info;
    char dir[4096];
    const char *slash = strrchr(path, '/');
    const int n = slash == path ? 1 : slash ? (int)(slash - path) : 1;
    snprintf(dir, sizeof dir, "%.*s", n, slash ? path : ".");
    const bool is_there = stat(path, &info) == 0;
    if (is_there && S_ISDIR(info.st_mode)) {
        return err_set(e, QA_E_IO, "cannot write '%s': is a directory", path);
    }
    if (access(is_there ? path : dir, W_OK)) {
        return err_errno(e, QA_E_IO, errno, "cannot write '%s'", path);
    }
    return QA_OK;
}

/* A log that another run writes to is known to be so before the model is loaded. */
static enum status check_session(const char *path, struct err *e)
{
    enum status st = check_writable(path, e);
    const int fd = st ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return st;
    if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        st = err_set(e, QA_E_IO, "session log '%s': another process writes to it", path);
    }
    close(fd);
    return st;
}

static void make_id(char id[32])
{
    const time_t now = time(NULL);
    struct tm tm;
    char stamp[20];
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
    snprintf(id, 32, "%s-%ld", stamp, (long)getpid());
}

/* Where the log goes: the user's file, or a new one below the state folder; "" when
 * there is no such place, which is no reason not to solve. */
static void session_path(char path[1024], const struct solve_opts *o, const char *id)
{
    struct err e = {0};
    path[0] = 0;
    if (o->session) {
        snprintf(path, 1024, "%s", o->session);
        return;
    }
    if (o->has_no_session || !*opt_state_dir()) return;
    snprintf(path, 1024, "%s/sessions", opt_state_dir());
    if (file_make_dirs(path, &e)) {
        path[0] = 0;
        return;
    }
    const size_t n = strlen(path);
    snprintf(path + n, 1024 - n, "/%s.jsonl", id);
}

/* The code where the task asks for code, else the text; a newline at the end. */
static void put_answer(FILE *f, const struct agent_result *r)
{
    const char *p = r->code ? r->code : r->answer;
    const size_t n = r->code ? r->n_code : r->n_answer;
    view_put(f, (struct str){p, n});
    if (!n || p[n - 1] != '\n') fputc('\n', f);
}

static int hand_out(const struct solve_opts *o, const struct agent_result *r)
{
    struct err e = {0};
    if (!r->answer || r->outcome == AGENT_INTERRUPTED) return EXIT_OK;
    if (!o->want_json) put_answer(stdout, r);
    if (fflush(stdout) || ferror(stdout)) {
        err_set(&e, QA_E_IO, "cannot write the answer to standard output");
        return cmd_fail(EXIT_INTERNAL, &e);
    }
    if (!o->answer) return EXIT_OK;
    struct str_buf b;
    str_buf_init(&b, 64 << 20);
    str_buf_add(&b,
                (struct str){r->code ? r->code : r->answer, r->code ? r->n_code : r->n_answer});
    str_buf_add_char(&b, '\n');
    const enum status st = file_write(o->answer, str_buf_str(&b), &e);
    str_buf_release(&b);
    return st ? cmd_fail(EXIT_INTERNAL, &e) : EXIT_OK;
}

static struct agent_opts agent_opts_of(const struct solve_opts *o, const char *log)
{
    struct agent_opts a = run_agent_opts(&o->model);
    a.limits = o->limits;
    a.limits.think_tokens = o->model.think_tokens;
    a.retry = o->retry;
    a.keeps_signature = o->keeps_signature;
    a.n_candidates = o->n_candidates;
    a.session_path = *log ? log : NULL;
    a.stop = &cmd_stop;
    return a;
}

/* With engine and jail open: run, and hand out the answer. */
static int solve(const struct solve_opts *o,
                 struct agent_opts *a,
                 struct str task,
                 const char *name)
{
    struct err e = {0};
    struct agent *agent = NULL;
    struct agent_result r = {0};
    enum status st = agent_open(&agent, a, &e);
    if (st == QA_E_STOP) return cmd_stop ? cmd_stop : EXIT_INTERRUPTED;
    /* The system prompt alone does not fit: no task does. */
    if (st == QA_E_LIMIT) return cmd_fail(agent_outcome_exit(AGENT_CONTEXT_FULL), &e);
    if (st) return cmd_fail(st == QA_E_FORMAT ? EXIT_MODEL : EXIT_INTERNAL, &e);
    st = agent_run(agent, task, name, &r, &e);
    agent_close(agent);
    if (st) return cmd_fail(st == QA_E_IO ? EXIT_USAGE : EXIT_INTERNAL, &e);
    if (e.text[0]) fprintf(stderr, "qagent: %s\n", e.text);
    const int failed = hand_out(o, &r);
    int code = failed ? failed : agent_outcome_exit(r.outcome);
    if (r.outcome == AGENT_INTERRUPTED) {
        code = cmd_stop ? cmd_stop : EXIT_INTERRUPTED;
        if (a->session_path) {
            fprintf(stderr, "qagent: interrupted; qagent solve --session %s --resume goes on\n",
                    a->session_path);
        }
    } else if (!r.answer && !failed) {
        fprintf(stderr, "qagent: no answer: %s\n", agent_outcome_name(r.outcome));
    }
    agent_result_release(&r);
    return code;
}

/* The run that is gone on with: its settings, but for limits that the user gives now. */
static enum status open_recording(struct recording **out,
                                  struct solve_opts *o,
                                  struct agent_opts *a,
                                  struct err *e)
{
    const enum status st = recording_open(out, o->session, RECORDING_RESUME, e);
    if (st) return st;
    recorded_model(&o->model, recording_head(*out));
    recording_settings(*out, a);
    if (o->has_max_iter) a->limits.max_iter = o->limits.max_iter;
    if (o->has_timeout) a->limits.timeout_s = o->limits.timeout_s;
    if (o->has_max_tokens) a->limits.max_tokens = o->limits.max_tokens;
    a->recording = *out;
    return QA_OK;
}

/* The task: of the recording, or read. */
static enum status find_task(struct str_buf *b,
                             const struct recording *rec,
                             const char *path,
                             struct err *e)
{
    if (!rec) return read_task(b, path, e);
    str_buf_add(b, recording_head(rec)->task);
    return str_buf_check(b, "the task", e);
}

int solve_main(int argc, char **argv)
{
    const struct argp parser = {OPTIONS,
                                option,
                                "TASK.md|-",
                                "Solve one task; the final answer goes to standard output.\v"
                                "Example: qagent solve --max-iter 5 task.md",
                                MODEL_CHILDREN,
                                NULL,
                                NULL};
    struct solve_opts o = {.model = model_opts_default(),
                           .limits = agent_limits_default(),
                           .keeps_signature = true};
    struct engine *engine = NULL;
    struct sandbox *sandbox = NULL;
    struct recording *rec = NULL;
    struct json_sink json = {0};
    struct view view;
    struct str_buf task;
    struct err e = {0};
    char log[1024];
    char kv[32];
    int code = EXIT_OK;

    opt_parse(&parser, argc, argv, &o);
    cmd_catch_signals();
    str_buf_init(&task, TASK_MAX_BYTES);
    str_buf_init(&json.text, 64 << 20);
    view_init(&view, o.limits.max_iter);
    make_id(json.id);
    session_path(log, &o, json.id);
    struct agent_opts a = agent_opts_of(&o, log);
    if (o.want_json) {
        a.sink = (struct agent_sink){json_event, &json};
    } else if (!o.is_quiet) {
        a.sink = (struct agent_sink){view_event, &view};
    }

    /* What fails in a blink comes before what takes minutes. */
    if ((o.answer && check_writable(o.answer, &e)) ||
        (o.session && check_session(o.session, &e)) ||
        (o.want_resume && open_recording(&rec, &o, &a, &e)) ||
        find_task(&task, rec, o.file, &e)) {
        code = cmd_fail(EXIT_USAGE, &e);
        goto out;
    }
    if (sandbox_open(&sandbox, &o.sandbox, &e)) {
        code = cmd_fail(EXIT_SANDBOX, &e);
        goto out;
    }
    view.max_iter = a.limits.max_iter * QA_MAX(a.n_candidates, 1);
    struct engine_expect x = run_expect(&o.model, AGENT_CTX);
    x.n_marks = AGENT_MARKS;
    code = run_open_engine(&engine, &o.model, &x, o.want_json || o.is_quiet);
    if (code) goto out;
    const struct recording_head *h = rec ? recording_head(rec) : NULL;
    if (h && recorded_is_other_model(h, engine, e.text)) {
        code = cmd_fail(EXIT_USAGE, &e);
        goto out;
    }
    recorded_kv(kv, &o.model);
    a.engine = engine;
    a.sandbox = sandbox;
    a.model_path = o.model.model;
    a.kv = kv;
    code = solve(&o, &a, str_buf_str(&task), h && *h->name ? h->name : NULL);
out:
    engine_close(engine);
    sandbox_close(sandbox);
    recording_close(rec);
    view_release(&view);
    str_buf_release(&json.text);
    str_buf_release(&task);
    return code;
}
