/* command.c - what begins with a slash. */
#include "cmd/repl/command.h"

#include "cmd/cmd.h"

#include <stdlib.h>
#include <string.h>

void command_usage(struct repl *r, const char *usage)
{
    repl_say(r, STYLE_BAD, "usage: %s", usage);
}

/* ---- settings ---- */

static void do_think(struct repl *r, const char *arg)
{
    int64_t n;
    if (strcmp(arg, "show") == 0 || strcmp(arg, "hide") == 0) {
        r->show.hides_thinking = arg[0] == 'h';
    } else if (strcmp(arg, "on") == 0) {
        r->limits.think_tokens = -1;
    } else if (strcmp(arg, "off") == 0) {
        r->limits.think_tokens = 0;
    } else if (str_to_i64(str_of(arg), 1, 1 << 20, &n)) {
        r->limits.think_tokens = (int)n;
    } else if (*arg) {
        command_usage(r, "/think on|off|N|show|hide");
        return;
    }
    const int think = r->limits.think_tokens;
    const char *seen = r->show.hides_thinking ? "not shown" : "shown";
    if (think > 0) {
        repl_say(r, STYLE_DIM, "thinking: at most %d tokens a turn, %s", think, seen);
    } else {
        repl_say(r, STYLE_DIM, "thinking: %s, %s", think ? "on" : "off", seen);
    }
}

static void do_temp(struct repl *r, const char *arg)
{
    double x;
    if (*arg && (!str_to_f64(str_of(arg), &x) || !(x >= 0 && x <= 5))) {
        command_usage(r, "/temp N, from 0 to 5");
        return;
    }
    if (*arg) r->sampling.temp = (float)x;
    repl_say(r, STYLE_DIM, "temperature of thinking: %.2f; code and answers are greedy",
             (double)r->sampling.temp);
}

static void do_seed(struct repl *r, const char *arg)
{
    int64_t n;
    if (*arg && !str_to_i64(str_of(arg), 0, INT64_MAX, &n)) {
        command_usage(r, "/seed N");
        return;
    }
    if (*arg) r->sampling.seed = (uint64_t)n;
    repl_say(r, STYLE_DIM, "seed: %llu", (unsigned long long)r->sampling.seed);
}

static void do_iter(struct repl *r, const char *arg)
{
    int64_t n;
    if (*arg && !str_to_i64(str_of(arg), 1, 1000, &n)) {
        command_usage(r, "/iter N, from 1 to 1000");
        return;
    }
    if (*arg) r->limits.max_iter = (int)n;
    r->show.max_iter = r->limits.max_iter;
    repl_say(r, STYLE_DIM, "iterations a message: %d, the last one for the answer",
             r->limits.max_iter);
}

static void do_budget(struct repl *r, const char *arg)
{
    double s = 0;
    if (*arg && strcmp(arg, "off") != 0 && !(opt_seconds(arg, &s) && s > 0)) {
        command_usage(r, "/budget TIME|off, such as 90s or 5m, for each message");
        return;
    }
    if (*arg) r->limits.timeout_s = s;
    if (r->limits.timeout_s > 0) {
        repl_say(r, STYLE_DIM, "time a message: %g s", r->limits.timeout_s);
    } else {
        repl_say(r, STYLE_DIM, "time a message: no limit");
    }
}

/* ---- looking ---- */

static void do_status(struct repl *r, const char *arg)
{
    const struct show *s = &r->show;
    const int think = r->limits.think_tokens;
    (void)arg;
    repl_say(r, STYLE_PLAIN, "%s; %lld of %lld tokens used; %zu waiting", show_state_word(s),
             (long long)s->n_context, (long long)s->cap_context, r->n_queue);
    repl_say(r, STYLE_PLAIN, "thinking %s, temperature %.2f, seed %llu, %d iterations, time %s",
             think < 0 ? "on"
             : think   ? "with a budget"
                       : "off",
             (double)r->sampling.temp, (unsigned long long)r->sampling.seed, r->limits.max_iter,
             r->limits.timeout_s > 0 ? "limited" : "not limited");
    repl_say(r, STYLE_DIM, "/context, /stats, /model and /sandbox say more");
}

static void do_out(struct repl *r, const char *arg)
{
    int64_t n = r->show.n_outputs;
    if (!r->show.n_outputs) {
        repl_say(r, STYLE_DIM, "no program was run yet");
        return;
    }
    if (*arg && !str_to_i64(str_of(arg), 1, r->show.n_outputs, &n)) {
        repl_say(r, STYLE_BAD, "there are outputs 1 to %d", r->show.n_outputs);
        return;
    }
    const struct str_buf *b = show_output(&r->show, (int)n);
    if (!b) {
        repl_say(r, STYLE_BAD, "only the last %d outputs are kept", SHOW_OUTPUTS);
        return;
    }
    show_text(&r->show, STYLE_PLAIN, b->n ? str_buf_str(b) : STR("(no output)"));
}

static void do_stats(struct repl *r, const char *arg)
{
    const struct show *s = &r->show;
    const double all = s->total_s > 0 ? s->total_s : 1;
    (void)arg;
    repl_say(r, STYLE_PLAIN, "%d message%s, %d call%s, %.1f s", s->n_messages,
             s->n_messages == 1 ? "" : "s", s->n_calls, s->n_calls == 1 ? "" : "s", s->total_s);
    repl_say(r, STYLE_PLAIN, "tokens: %lld written, %lld read, %lld not read again",
             (long long)s->n_generated, (long long)s->n_prompt, (long long)s->n_reused);
    repl_say(r, STYLE_PLAIN, "speed: %.1f tok/s written, %.1f tok/s read",
             s->decode_s > 0 ? (double)s->n_generated / s->decode_s : 0.0,
             s->prefill_s > 0 ? (double)s->n_prompt / s->prefill_s : 0.0);
    repl_say(r, STYLE_PLAIN, "time: writing %.0f %%, reading %.0f %%, programs %.0f %%",
             100 * s->decode_s / all, 100 * s->prefill_s / all, 100 * s->tool_s / all);
}

static void do_context(struct repl *r, const char *arg)
{
    const struct talk_info i = talk_info(work_talk(r->work));
    (void)arg;
    repl_say(r, STYLE_PLAIN,
             "%lld of %lld tokens (%.0f %%): prompt and tools %lld, %zu message%s",
             (long long)i.n_tokens, (long long)i.cap_tokens,
             100.0 * (double)i.n_tokens / (double)i.cap_tokens, (long long)i.n_prefix,
             i.n_messages, i.n_messages == 1 ? "" : "s");
    if (i.summary) repl_say(r, STYLE_DIM, "earlier turns are a summary: %s", i.summary);
}

static void do_sandbox(struct repl *r, const char *arg)
{
    (void)arg;
    repl_say(r, STYLE_PLAIN, "sandbox %s", work_sandbox(r->work));
    repl_say(r, STYLE_DIM, "proven layer by layer by: qagent doctor");
}

static void do_model(struct repl *r, const char *arg)
{
    const struct engine_info *i = work_engine(r->work);
    if (*arg) {
        repl_say(r, STYLE_BAD, "another model needs another session: qagent repl -m %s", arg);
        return;
    }
    repl_say(r, STYLE_PLAIN, "%s, %.1f M parameters, %.2f GB, %d layers",
             *i->name ? i->name : i->arch, (double)i->n_params * 1e-6,
             (double)i->weight_bytes * 1e-9, i->n_layers);
    repl_say(r, STYLE_DIM, "%d threads, kernels %s, loaded in %.1f s", i->n_threads, i->kernels,
             i->load_s);
}

static void do_quit(struct repl *r, const char *arg)
{
    (void)arg;
    r->is_quitting = true;
}

/* ---- the table ---- */

static void do_help(struct repl *r, const char *arg);

// clang-format off
static const struct {
    const char *name, *arg, *what;
    void (*run)(struct repl *r, const char *arg);
    bool is_immediate; /* also while the model works; it does not touch the conversation */
} COMMANDS[] = {
    {"help",     "",         "this list",                                       do_help,     true },
    {"new",      "",         "begin a new conversation",                        do_new,      false},
    {"sessions", "",         "saved conversations",                             do_sessions, true },
    {"resume",   "[N|ID|FILE]", "go on with a saved one; without N the last",   do_resume,   false},
    {"fork",     "",         "go on in a copy, the present one stays",          do_fork,     false},
    {"undo",     "[N]",      "take the last message back, or a compaction; N of them", do_undo, false},
    {"redo",     "",         "bring the message taken back last here again",    do_redo,     false},
    {"rewind",   "[N]",      "back to before message N; without N a list (also: Esc Esc)", do_rewind, false},
    {"retry",    "[hotter]", "send the last message again, with another seed",  do_retry,    false},
    {"compact",  "[FOCUS]",  "replace the middle by a summary",                 do_compact,  false},
    {"queue",    "[N|clear]", "what waits; take number N back, or drop all",    do_queue,    true },
    {"status",   "",         "state and settings",                              do_status,   true },
    {"context",  "",         "how full the context is",                         do_context,  false},
    {"stats",    "",         "tokens, speed, where the time went",              do_stats,    true },
    {"out",      "[N]",      "the output of a program, whole",                  do_out,      true },
    {"run",      "",         "run the last answer's code",                      do_run,      false},
    {"diff",     "",         "what changed between the last two programs",      do_diff,     false},
    {"edit",     "",         "the last message in $EDITOR (a draft: Ctrl-G)",   do_edit,     true },
    {"think",    "[on|off|N|show|hide]", "thinking, its budget, whether it is shown", do_think, true},
    {"temp",     "[X]",      "temperature of thinking",                         do_temp,     true },
    {"seed",     "[N]",      "seed of the sampler",                             do_seed,     true },
    {"iter",     "[N]",      "iterations a message",                            do_iter,     true },
    {"budget",   "[TIME|off]", "time a message",                                do_budget,   true },
    {"sandbox",  "",         "which layers of the jail hold",                   do_sandbox,  false},
    {"model",    "",         "the model and how it runs",                       do_model,    false},
    {"save",     "[FILE]",   "where the session is saved; a copy of it",        do_save,     false},
    {"export",   "FILE",     "the conversation: FILE.json, else Markdown",      do_export,   false},
    {"copy",     "[N]",      "the last answer, or the Nth last, into the clipboard", do_copy, false},
    {"quit",     "",         "end",                                             do_quit,     true },
};
// clang-format on

static void do_help(struct repl *r, const char *arg)
{
    (void)arg;
    for (size_t i = 0; i < COUNT(COMMANDS); i++) {
        repl_say(r, STYLE_PLAIN, "/%s%s%s", COMMANDS[i].name, *COMMANDS[i].arg ? " " : "",
                 COMMANDS[i].arg);
        repl_say(r, STYLE_DIM, "    %s", COMMANDS[i].what);
    }
    if (r->line) {
        repl_say(r, STYLE_DIM,
                 "Alt-Enter or \\ Enter: new line. Ctrl-G: $EDITOR. Tab: commands, @files, "
                 "sessions, a paste in full. @path sends a file along. Ctrl-R: search. Esc, "
                 "Ctrl-C: stop; while a program runs Ctrl-C stops only that. Esc Esc: back. "
                 "Ctrl-D: quit. What is typed meanwhile is sent next; Up takes it back.");
    }
}

const char *command_name(size_t i, bool *has_arg)
{
    if (i >= COUNT(COMMANDS)) return NULL;
    *has_arg = *COMMANDS[i].arg != 0;
    return COMMANDS[i].name;
}

/* The row of a command, COUNT(COMMANDS) when there is none; *arg is what follows. */
static size_t find(const char *line, const char **arg)
{
    const size_t n = strcspn(line + 1, " \t\n");
    const char *rest = line + 1 + n;
    size_t i = 0;
    *arg = rest + strspn(rest, " \t\n");
    if (n == 1 && line[1] == '?') return 0;
    while (i < COUNT(COMMANDS) &&
           (strlen(COMMANDS[i].name) != n || strncmp(COMMANDS[i].name, line + 1, n) != 0)) {
        i++;
    }
    return i;
}

bool command_is_immediate(const char *line)
{
    const char *arg;
    const size_t i = find(line, &arg);
    return i == COUNT(COMMANDS) || COMMANDS[i].is_immediate;
}

void command_run(struct repl *r, const char *line)
{
    const char *arg;
    char word[64];
    const char *names[COUNT(COMMANDS) + 1] = {0};
    const size_t i = find(line, &arg);
    if (i < COUNT(COMMANDS)) {
        char *own = strdup(arg); /* without blanks at its end */
        for (size_t n = own ? strlen(own) : 0; n && strchr(" \t\n", own[n - 1]); n--) {
            own[n - 1] = 0;
        }
        if (own) COMMANDS[i].run(r, own);
        free(own);
        return;
    }
    for (size_t k = 0; k < COUNT(COMMANDS); k++) {
        names[k] = COMMANDS[k].name;
    }
    snprintf(word, sizeof word, "%.*s", (int)strcspn(line + 1, " \t\n"), line + 1);
    const char *near = cmd_nearest(word, names);
    if (near) {
        repl_say(r, STYLE_BAD, "unknown command '/%s'; did you mean '/%s'?", word, near);
    } else {
        repl_say(r, STYLE_BAD, "unknown command '/%s'; /help lists them", word);
    }
}
