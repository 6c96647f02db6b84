/* repl.c - `qagent repl`: a session at the terminal, or message by message from a pipe. */
#include "cmd/repl/repl.h"

#include "cmd/cmd.h"
#include "cmd/repl/attach.h"
#include "cmd/repl/editor.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { KEY_MAX_ITER = 0x300, KEY_TIMEOUT, KEY_RESUME, KEY_LEVEL, KEY_PYTHON, KEY_PLAIN };
enum { BUSY_MS = 200, IDLE_MS = 1000, FRAME_MS = 30, LINE_MAX_BYTES = 16 << 20 };

// clang-format off
static const struct argp_option OPTIONS[] = {
    {"max-iter", KEY_MAX_ITER, "N",       0, "iterations a message, the last one for the answer (default 5)", 0},
    {"timeout",  KEY_TIMEOUT,  "TIME",    0, "for each message (default: none)", 0},
    {"resume",   KEY_RESUME,   "SESSION", 0, "go on with a saved session: a number of /sessions, 'last', or a file", 0},
    {"level",    KEY_LEVEL,    "NAME",    0, "jail: auto, full, user, seccomp", 0},
    {"python",   KEY_PYTHON,   "PROGRAM", 0, "the interpreter (default: python3)", 0},
    {"plain",    KEY_PLAIN,    0,         0, "whole lines only, nothing drawn again: for screen readers", 0},
    {0},
};
// clang-format on

struct repl_opts {
    struct work_opts work;
    const char *resume;
    bool is_plain;
};

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct repl_opts *o = state->input;
    struct agent_limits *l = &o->work.limits;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->work.model; break;
    case KEY_MAX_ITER: l->max_iter = (int)opt_int_arg("max-iter", arg, 1, 1000); break;
    case KEY_TIMEOUT: l->timeout_s = opt_seconds_arg("timeout", arg); break;
    case KEY_RESUME: o->resume = arg; break;
    case KEY_LEVEL:
        if (!sandbox_level_of(arg, &o->work.sandbox.level)) {
            opt_fail("--level %s: auto, full, user or seccomp", arg);
        }
        break;
    case KEY_PYTHON: o->work.sandbox.python = arg; break;
    case KEY_PLAIN: o->is_plain = true; break;
    case ARGP_KEY_ARG: opt_fail("unexpected word '%s': messages are typed, or piped in", arg);
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* ---- signals ---- */

static volatile sig_atomic_t got_int, got_winch, got_cont, got_end;

static void on_signal(int sig)
{
    if (sig == SIGINT) got_int = 1;
    if (sig == SIGWINCH) got_winch = 1;
    if (sig == SIGCONT) got_cont = 1;
    if (sig == SIGTERM || sig == SIGHUP) got_end = 128 + sig;
}

static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGWINCH, SIGCONT, SIGTERM, SIGHUP};
    struct sigaction a = {.sa_handler = on_signal}; /* no SA_RESTART: a wait ends */
    sigemptyset(&a.sa_mask);
    for (size_t i = 0; i < COUNT(signals); i++) {
        sigaction(signals[i], &a, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

/* ---- words ---- */

void repl_say(struct repl *r, enum screen_style style, const char *fmt, ...)
{
    struct str_buf b;
    va_list ap;
    str_buf_init(&b, 1 << 20);
    va_start(ap, fmt);
    str_buf_vaddf(&b, fmt, ap);
    va_end(ap);
    str_buf_add_char(&b, '\n');
    show_text(&r->show, style, str_buf_str(&b));
    str_buf_release(&b);
}

void repl_hint(struct repl *r, double seconds, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->hint, sizeof r->hint, fmt, ap);
    va_end(ap);
    r->hint_until_s = clock_now_s() + seconds;
}

/* ---- jobs and the queue ---- */

void repl_start(struct repl *r, enum job_type job, const char *text)
{
    r->was_stopped = false;
    r->show.job_s = clock_now_s();
    r->show.iteration = 0;
    show_state(&r->show, SHOW_WORKING);
    work_start(r->work, job, text, &r->limits, &r->sampling);
}

static bool is_command(const char *text)
{
    if (text[0] != '/') return false;
    const size_t n = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz?-_");
    return n > 0 && (!text[1 + n] || strchr(" \t\n", text[1 + n]));
}

static void run_command(struct repl *r, const char *text)
{
    if (r->out.is_live) repl_say(r, STYLE_BOLD, "> %s", text);
    command_run(r, text);
}

char *repl_take_queued(struct repl *r, size_t i)
{
    char *text = r->queue[i];
    memmove(r->queue + i, r->queue + i + 1, (r->n_queue - i - 1) * sizeof r->queue[0]);
    r->n_queue--;
    return text;
}

/* A message as it is sent: pastes in full, and the files that it names. */
static char *whole_message(struct repl *r, const char *text)
{
    char *full = r->line ? line_full(r->line, text) : strdup(text);
    struct str_buf b, notes;
    str_buf_init(&b, 64 << 20);
    str_buf_init(&notes, 1 << 20);
    str_buf_add_z(&b, full ? full : "");
    attach_files(&b, &notes, str_of(text)); /* what was pasted names no files */
    if (notes.n) show_text(&r->show, STYLE_DIM, str_buf_str(&notes));
    str_buf_release(&notes);
    free(full);
    return b.n ? str_buf_take(&b) : strdup("");
}

/* What waits is run, one after another. */
static void pump(struct repl *r)
{
    while (r->n_queue && !r->is_quitting && work_is_idle(r->work)) {
        char *text = repl_take_queued(r, 0);
        if (is_command(text)) {
            run_command(r, text);
            free(text);
            continue;
        }
        show_message(&r->show, text);
        char *full = whole_message(r, text);
        repl_start(r, JOB_SEND, full);
        free(full);
        free(r->sent);
        r->sent = text;
    }
}

/* A line was entered. */
static void on_line(struct repl *r, const char *text)
{
    if (!text[strspn(text, " \t\n")]) return;
    if (is_command(text) && command_is_immediate(text)) {
        run_command(r, text);
    } else if (r->n_queue == REPL_QUEUE) {
        repl_say(r, STYLE_BAD, "too much is waiting already; not taken: %s", text);
    } else {
        r->queue[r->n_queue] = strdup(text);
        if (r->queue[r->n_queue]) r->n_queue++;
    }
    pump(r);
}

/* After a stop what waited goes back into the line: the user decides. */
static void hand_back(struct repl *r, const char *sent)
{
    struct str_buf b;
    if (!r->line) return;
    char *typed = line_text(r->line);
    str_buf_init(&b, LINE_MAX_BYTES);
    if (sent) str_buf_add_z(&b, sent);
    while (r->n_queue) {
        char *text = repl_take_queued(r, 0);
        str_buf_addf(&b, "%s%s", b.n ? "\n" : "", text);
        free(text);
    }
    if (b.n) {
        str_buf_addf(&b, "%s%s", *typed ? "\n" : "", typed);
        char *full = line_full(r->line, b.p); /* a chip holds no others */
        line_set(r->line, "");
        line_put(r->line, str_of(full));
        free(full);
    }
    str_buf_release(&b);
    free(typed);
}

static void stop(struct repl *r)
{
    r->was_stopped = true;
    show_state(&r->show, SHOW_STOPPING);
    work_stop(r->work);
}

/* ---- what the worker tells ---- */

static void show_last(struct repl *r)
{
    const struct talk *t = work_talk(r->work);
    const struct talk_info i = talk_info(t);
    if (!i.n_messages) return;
    const struct talk_message m = talk_get(t, i.n_messages - 1);
    repl_say(r, STYLE_DIM, "resumed: %zu message%s, %lld tokens; the last one:", i.n_messages,
             i.n_messages == 1 ? "" : "s", (long long)i.n_tokens);
    repl_say(r, STYLE_BOLD, "> %s", m.text.p);
    repl_say(r, STYLE_PLAIN, "%s", m.answer.n ? m.answer.p : "(no answer)");
}

static void take_unfinished(struct repl *r, const char *text)
{
    if (!*text) return;
    repl_say(r, STYLE_DIM, "a message was not finished when the session ended: %s", text);
    if (r->line && !line_view(r->line).n) line_put(r->line, str_of(text));
}

/* The jail's level, as far as the colon of its statement. */
static void say_where(struct repl *r)
{
    const char *jail = work_sandbox(r->work);
    repl_say(r, STYLE_DIM, "context %lld tokens, sandbox %.*s",
             (long long)talk_info(work_talk(r->work)).cap_tokens, (int)strcspn(jail, ":"),
             jail);
}

static void on_ready(struct repl *r, const struct work_event *ev)
{
    const struct engine_info *i = work_engine(r->work);
    r->is_loading = false;
    if (r->opts.model.model) {
        repl_say(r, STYLE_DIM, "%s, %.2f B parameters, %d threads, kernels %s, %.1f s",
                 *i->name ? i->name : i->arch, (double)i->n_params * 1e-9, i->n_threads,
                 i->kernels, i->load_s);
    } else {
        repl_say(r, STYLE_DIM,
                 "embedded demo model, %.1f M parameters: small tasks only; -m FILE.gguf takes "
                 "a real one",
                 (double)i->n_params * 1e-6);
    }
    if (!talk_info(work_talk(r->work)).does_fit_template) {
        repl_say(r, STYLE_DIM,
                 "the model's chat template is not a known one; the nearest is used");
    }
    say_where(r);
    if (r->opts.resume) show_last(r);
    take_unfinished(r, ev->text);
}

/* A text that was taken back, by its first line. */
static void say_back(struct repl *r, const char *text)
{
    const int n = (int)strcspn(text, "\n");
    repl_say(r, STYLE_DIM, "taken back: %.*s%s", n, text, text[n] ? " ..." : "");
    if (r->gives_back && r->line) line_put(r->line, str_of(text));
}

static void on_done(struct repl *r, const struct work_event *ev)
{
    const bool is_message = ev->job == JOB_SEND || ev->job == JOB_RETRY;
    const struct talk_info i = talk_info(work_talk(r->work));
    if (ev->status) {
        repl_say(r, STYLE_BAD, "%s", ev->text);
        if (is_message)
            r->show.outcome = ev->status == QA_E_LIMIT ? AGENT_CONTEXT_FULL : AGENT_FAILED;
    } else if (ev->job == JOB_UNDO || ev->job == JOB_REWIND) {
        if (*ev->text) say_back(r, ev->text);
        if (!*ev->text) repl_say(r, STYLE_DIM, "back to before the compaction");
    } else if (ev->job == JOB_REDO) {
        repl_say(r, STYLE_DIM, "here again: %zu message%s", i.n_messages,
                 i.n_messages == 1 ? "" : "s");
    } else if (ev->job == JOB_NEW) {
        repl_say(r, STYLE_DIM, "a new conversation");
    } else if (ev->job == JOB_FORK) {
        repl_say(r, STYLE_DIM, "this goes on in a copy: %s", i.path);
    } else if (ev->job == JOB_RESUME) {
        show_last(r);
        take_unfinished(r, ev->text);
    }
    const bool is_lost = ev->job == JOB_SEND && (ev->status || !ev->was_kept);
    if (r->was_stopped || (is_lost && r->line)) {
        hand_back(r, is_lost && !is_command(r->sent) ? r->sent : NULL);
    }
    r->was_stopped = r->gives_back = false;
}

static void sync_status(struct repl *r)
{
    const struct talk_info i = talk_info(work_talk(r->work));
    r->show.n_context = i.n_tokens;
    r->show.cap_context = i.cap_tokens;
    show_state(&r->show, SHOW_READY);
}

static void take_events(struct repl *r)
{
    for (struct work_event *ev; (ev = work_next(r->work));) {
        show_event(&r->show, ev);
        if (ev->type == WORK_FAILED) {
            screen_hide(&r->out);
            fprintf(stderr, "qagent: %s\n", ev->text);
            r->exit_code = ev->exit_code;
            r->is_quitting = true;
        }
        if (ev->type == WORK_READY) on_ready(r, ev);
        if (ev->type == WORK_DONE) on_done(r, ev);
        if (ev->type == WORK_READY || ev->type == WORK_DONE) sync_status(r);
        work_event_free(ev);
    }
}

/* ---- on a terminal ---- */

static void draw(struct repl *r)
{
    struct str_buf status;
    struct str queue[3];
    char shown[3][256];
    const struct line_view v = line_view(r->line);
    const size_t n = QA_MIN(r->n_queue, COUNT(queue));
    for (size_t i = 0; i < n; i++) {
        struct view_tail tail = {0};
        struct str_buf b;
        str_buf_init(&b, 1 << 20);
        view_add(&b, &tail, str_of(r->queue[i]), true);
        snprintf(shown[i], sizeof shown[i], "  next: %.*s", 200, b.p ? b.p : "");
        for (size_t k = strlen(shown[i]); k && !str_is_utf8(str_of(shown[i])); k--) {
            shown[i][k - 1] = 0; /* it was cut within a character */
        }
        queue[i] = str_of(shown[i]);
        str_buf_release(&b);
    }
    const bool is_idle = r->show.state == SHOW_READY;
    char title[64];
    snprintf(title, sizeof title, "qagent%s%s", is_idle ? "" : ": ",
             is_idle ? "" : show_state_word(&r->show));
    screen_title(&r->out, title);
    str_buf_init(&status, 4096);
    show_status(&r->show, &status, r->n_queue,
                clock_now_s() < r->hint_until_s ? r->hint : NULL);
    const struct screen_live live = {.status = str_buf_str(&status),
                                     .queue = queue,
                                     .n_queue = n,
                                     .input = v.text,
                                     .n_input = v.n,
                                     .i_cursor = v.i_cursor};
    screen_draw(&r->out, &live);
    str_buf_release(&status);
    r->drawn_s = clock_now_s();
}

static void take_size(struct repl *r)
{
    struct winsize w;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0) {
        screen_resize(&r->out, w.ws_col, w.ws_row);
    }
}

static bool is_busy(struct repl *r)
{
    return !r->is_loading && !work_is_idle(r->work);
}

static void on_ctrl_c(struct repl *r)
{
    const double now = clock_now_s();
    if (is_busy(r) && r->show.state == SHOW_RUNNING && now - r->program_s >= 2) {
        r->program_s = now;
        work_stop_program(r->work);
        repl_hint(r, 2, "the program is stopped; Ctrl-C again stops the answer");
        if (!r->line) repl_say(r, STYLE_DIM, "%s", r->hint);
    } else if (is_busy(r)) {
        stop(r);
    } else if (r->line && line_view(r->line).n) {
        char *text = line_text(r->line);
        line_remember(r->line, text); /* Up brings it back */
        free(text);
        line_set(r->line, "");
    } else if (now - r->ctrl_c_s < 2) {
        r->is_quitting = true;
    } else {
        r->ctrl_c_s = now;
        repl_hint(r, 2, "Ctrl-C again quits; so do /quit and Ctrl-D");
        if (!r->line) repl_say(r, STYLE_DIM, "%s", r->hint);
    }
}

/* While nothing runs, twice on an empty line: back to an earlier message. */
static void on_escape(struct repl *r)
{
    const double now = clock_now_s();
    if (is_busy(r)) {
        stop(r);
    } else if (r->is_loading || line_view(r->line).n) {
        return;
    } else if (now - r->esc_s < 2) {
        r->esc_s = 0;
        on_line(r, "/rewind");
        line_set(r->line, "/rewind ");
    } else {
        r->esc_s = now;
        repl_hint(r, 2, "Esc again: back to an earlier message");
    }
}

void repl_edit(struct repl *r)
{
    char *typed = line_text(r->line);
    char *text = line_full(r->line, typed);
    struct err e = {0};
    screen_hide(&r->out);
    line_pause(r->line);
    const enum status st = editor_run(&text, &e);
    line_go_on(r->line);
    got_int = 0; /* it was the editor's */
    if (st) repl_say(r, STYLE_BAD, "%s", e.text);
    if (!st) line_set(r->line, text);
    free(text);
    free(typed);
}

static void take_signals(struct repl *r)
{
    if (got_winch) take_size(r);
    if (got_int) on_ctrl_c(r);
    if (got_cont && r->line) screen_clear(&r->out);
    got_winch = got_int = got_cont = 0;
    if (!got_end) return;
    r->exit_code = got_end;
    r->is_quitting = true;
}

static int on_wait(void *ctx)
{
    struct repl *r = ctx;
    take_signals(r);
    take_events(r);
    pump(r);
    if (r->is_quitting) return -1;
    /* Not more often than an eye sees: the terminal would be busy with drawing. */
    if ((clock_now_s() - r->drawn_s) * 1e3 < FRAME_MS && is_busy(r)) return FRAME_MS;
    draw(r);
    const bool is_moving = r->is_loading || is_busy(r) || clock_now_s() < r->hint_until_s;
    return is_moving ? BUSY_MS : IDLE_MS;
}

static bool on_key(void *ctx, enum line_key key)
{
    struct repl *r = ctx;
    char *text;
    switch (key) {
    case LINE_ESC: on_escape(r); return true;
    case LINE_CTRL_C: on_ctrl_c(r); return true;
    case LINE_CTRL_D: r->is_quitting = true; return true;
    case LINE_UP:
        if (!r->n_queue) return false;
        text = repl_take_queued(r, r->n_queue - 1);
        line_set(r->line, text);
        free(text);
        return true;
    case LINE_TAB: command_complete(r); return true;
    case LINE_CLEAR: screen_clear(&r->out); return true;
    case LINE_SUSPEND:
        screen_hide(&r->out);
        screen_title(&r->out, NULL);
        line_suspend(r->line);
        return true;
    case LINE_EDITOR: repl_edit(r); return true;
    }
    return false;
}

/* What was typed and not sent outlives the session. */
static void keep_unsent(struct repl *r)
{
    char *typed = line_text(r->line);
    bool is_any = *typed != 0;
    for (size_t i = 0; i < r->n_queue; i++) {
        is_any |= !is_command(r->queue[i]);
        if (!is_command(r->queue[i])) line_remember(r->line, r->queue[i]);
    }
    line_remember(r->line, typed);
    if (is_any)
        repl_say(r, STYLE_DIM, "what was not sent is in the history: Up brings it back");
    free(typed);
}

static void run_terminal(struct repl *r)
{
    const struct line_hooks hooks = {r, on_wait, on_key, work_fd(r->work)};
    char history[1024] = "";
    struct err e = {0};
    if (*opt_state_dir() && !file_make_dirs(opt_state_dir(), &e)) {
        snprintf(history, sizeof history, "%s/history", opt_state_dir());
    }
    if (line_open(&r->line, &hooks, *history ? history : NULL, &e)) {
        r->exit_code = cmd_fail(EXIT_INTERNAL, &e);
        return;
    }
    take_size(r);
    repl_say(r, STYLE_DIM, "qagent %s: /help for commands, Esc stops, Ctrl-D quits",
             opt_version());
    for (char *text; (text = line_read(r->line)); free(text)) {
        line_remember(r->line, text);
        on_line(r, text);
    }
    keep_unsent(r);
    screen_hide(&r->out);
    screen_title(&r->out, NULL);
    line_close(r->line);
    r->line = NULL;
}

/* ---- line by line: a pipe, or a terminal that cannot move its cursor ---- */

struct input {
    struct str_buf bytes;
    bool is_over;
};

static void read_input(struct input *in)
{
    char block[4096];
    const ssize_t n = read(STDIN_FILENO, block, sizeof block);
    if (n > 0) str_buf_add(&in->bytes, (struct str){block, (size_t)n});
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) in->is_over = true;
}

/* The next whole line, and the last one without its newline; NULL when there is none. */
static char *next_line(struct input *in)
{
    const struct str all = str_buf_str(&in->bytes);
    const size_t end = str_find(all, STR("\n"));
    if (end == SIZE_MAX && !(in->is_over && all.n)) return NULL;
    const size_t n = QA_MIN(end, all.n);
    char *text = strndup(all.p, n);
    const size_t used = QA_MIN(n + 1, all.n);
    memmove(in->bytes.p, in->bytes.p + used, all.n - used);
    in->bytes.n -= used;
    return text;
}

static void write_screens(struct repl *r)
{
    screen_hide(&r->out);
    screen_hide(&r->err);
}

static void run_plain(struct repl *r)
{
    struct input in = {0};
    bool is_asked = false;
    str_buf_init(&in.bytes, LINE_MAX_BYTES);
    while (!r->is_quitting) {
        take_signals(r);
        take_events(r);
        pump(r);
        write_screens(r);
        const bool is_free = work_is_idle(r->work) && !r->n_queue;
        char *text = r->is_tty || is_free ? next_line(&in) : NULL;
        if (text) {
            on_line(r, text);
            free(text);
            is_asked = false;
            continue;
        }
        if (is_free && in.is_over) break;
        if (is_free && r->is_tty && !is_asked) {
            fputs("> ", stdout);
            fflush(stdout);
            is_asked = true;
        }
        struct pollfd p[] = {
            {.fd = in.is_over || (!r->is_tty && !is_free) ? -1 : STDIN_FILENO,
             .events = POLLIN                                                                  },
            {.fd = work_fd(r->work),                                           .events = POLLIN}
        };
        if (r->is_quitting) break;
        if (poll(p, 2, IDLE_MS) > 0 && p[0].revents) read_input(&in);
        if (got_int && !r->is_tty) {
            r->is_quitting = true;
            r->exit_code = EXIT_INTERRUPTED;
        }
    }
    write_screens(r);
    str_buf_release(&in.bytes);
}

/* ---- the command ---- */

/* The folder of the logs, made when it is missing; NULL when there can be none. */
static const char *session_dir(char dir[1024])
{
    struct err e = {0};
    if (!*opt_state_dir()) return NULL;
    snprintf(dir, 1024, "%s/sessions", opt_state_dir());
    return file_make_dirs(dir, &e) ? NULL : dir;
}

/* --resume: a number of the list, "last", or a file. */
static const char *resume_path(const char *arg, const char *dir, char path[1024])
{
    enum { MOST = 100 };
    int64_t i = 1;
    if (strcmp(arg, "last") != 0 && !str_to_i64(str_of(arg), 1, MOST, &i)) return arg;
    struct talk_saved *list = calloc(MOST, sizeof *list);
    const size_t n = list && dir ? talk_list(dir, list, MOST) : 0;
    if ((size_t)i <= n) snprintf(path, 1024, "%s", list[i - 1].path);
    free(list);
    if ((size_t)i > n) opt_fail("--resume %s: there are %zu saved sessions", arg, n);
    return path;
}

static void say_goodbye(struct repl *r)
{
    char path[1024] = "";
    const struct talk *t = r->is_loading || !work_is_idle(r->work) ? NULL : work_talk(r->work);
    if (t && talk_info(t).path) snprintf(path, sizeof path, "%s", talk_info(t).path);
    if (*path && r->is_tty) printf("saved; to go on: qagent repl --resume %s\n", path);
}

int repl_main(int argc, char **argv)
{
    const struct argp parser = {OPTIONS,
                                option,
                                "",
                                "A session: messages are answered with think, run, observe.\v"
                                "Standard input that is no terminal is read as one message a "
                                "line; answers then go to standard output.\n"
                                "Example: qagent repl --resume last",
                                MODEL_CHILDREN,
                                NULL,
                                NULL};
    struct repl_opts o = {.work = {.model = model_opts_default()}};
    struct repl r = {.is_loading = true};
    struct err e = {0};
    char dir[1024], path[1024];

    o.work.limits = agent_limits_default();
    o.work.limits.timeout_s = 0; /* a person watches */
    opt_parse(&parser, argc, argv, &o);
    o.work.limits.think_tokens = o.work.model.think_tokens;
    o.work.dir = session_dir(dir);
    if (o.resume) o.work.resume = resume_path(o.resume, o.work.dir, path);
    catch_signals();
    r.opts = o.work;
    r.limits = o.work.limits;
    r.sampling = o.work.model.sampling;
    r.is_tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    const bool is_live = r.is_tty && opt_has_cursor(STDOUT_FILENO) && !o.is_plain;
    screen_init(&r.out, stdout, is_live, is_live && opt_has_colour(STDOUT_FILENO));
    screen_init(&r.err, stderr, false, false);
    show_init(&r.show, r.is_tty ? &r.out : &r.err, &r.out, !r.is_tty);
    r.show.max_iter = r.limits.max_iter;

    if (work_open(&r.work, &o.work, &e)) {
        r.exit_code = cmd_fail(EXIT_INTERNAL, &e);
    } else {
        if (is_live) run_terminal(&r);
        if (!is_live) run_plain(&r);
        if (!r.exit_code && !r.is_tty) r.exit_code = agent_outcome_exit(r.show.outcome);
        say_goodbye(&r);
    }
    work_close(r.work);
    while (r.n_queue) {
        free(repl_take_queued(&r, 0));
    }
    free(r.sent);
    show_release(&r.show);
    screen_release(&r.out);
    screen_release(&r.err);
    return r.exit_code;
}
