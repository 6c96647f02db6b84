/* command.c - what begins with a slash. */
#include "cmd/cmd.h"
#include "cmd/repl/repl.h"
#include "engine/base/file.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void unusable(struct repl *r, const char *usage)
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
        unusable(r, "/think on|off|N|show|hide");
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
        unusable(r, "/temp N, from 0 to 5");
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
        unusable(r, "/seed N");
        return;
    }
    if (*arg) r->sampling.seed = (uint64_t)n;
    repl_say(r, STYLE_DIM, "seed: %llu", (unsigned long long)r->sampling.seed);
}

static void do_iter(struct repl *r, const char *arg)
{
    int64_t n;
    if (*arg && !str_to_i64(str_of(arg), 1, 1000, &n)) {
        unusable(r, "/iter N, from 1 to 1000");
        return;
    }
    if (*arg) r->limits.max_iter = (int)n;
    r->show.max_iter = r->limits.max_iter;
    repl_say(r, STYLE_DIM, "iterations a message: %d, the last one for the answer",
             r->limits.max_iter);
}

/* ---- looking ---- */

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

/* ---- conversations ---- */

static void do_new(struct repl *r, const char *arg)
{
    (void)arg;
    repl_start(r, JOB_NEW, NULL);
}

static void do_undo(struct repl *r, const char *arg)
{
    (void)arg;
    repl_start(r, JOB_UNDO, NULL);
}

static void do_retry(struct repl *r, const char *arg)
{
    const struct talk *t = work_talk(r->work);
    const size_t n = talk_info(t).n_messages;
    (void)arg;
    if (n) show_message(&r->show, talk_get(t, n - 1).text.p);
    repl_start(r, JOB_RETRY, NULL);
}

static void do_fork(struct repl *r, const char *arg)
{
    (void)arg;
    repl_start(r, JOB_FORK, NULL);
}

static void do_compact(struct repl *r, const char *arg)
{
    (void)arg;
    repl_start(r, JOB_COMPACT, NULL);
}

enum { LIST_MAX = 20 };

static void do_sessions(struct repl *r, const char *arg)
{
    struct talk_saved *list = calloc(LIST_MAX, sizeof *list);
    const size_t n = list && r->opts.dir ? talk_list(r->opts.dir, list, LIST_MAX) : 0;
    (void)arg;
    if (!n) repl_say(r, STYLE_DIM, "no saved sessions");
    for (size_t i = 0; i < n; i++) {
        char day[24];
        struct tm tm;
        const time_t at = (time_t)list[i].time_s;
        localtime_r(&at, &tm);
        strftime(day, sizeof day, "%Y-%m-%d %H:%M", &tm);
        repl_say(r, STYLE_PLAIN, "%2zu  %s  %2d  %s", i + 1, day, list[i].n_messages,
                 list[i].first);
    }
    if (n) repl_say(r, STYLE_DIM, "/resume N goes on with one");
    free(list);
}

static void do_resume(struct repl *r, const char *arg)
{
    struct talk_saved *list = calloc(LIST_MAX, sizeof *list);
    const size_t n = list && r->opts.dir ? talk_list(r->opts.dir, list, LIST_MAX) : 0;
    int64_t i = 1;
    if (*arg && !str_to_i64(str_of(arg), 1, 1000000, &i)) {
        repl_start(r, JOB_RESUME, arg); /* a file */
    } else if ((size_t)i > n) {
        repl_say(r, STYLE_BAD, "there is no session %lld; /sessions lists them", (long long)i);
    } else {
        repl_start(r, JOB_RESUME, list[i - 1].path);
    }
    free(list);
}

/* ---- files and the clipboard ---- */

static void do_save(struct repl *r, const char *arg)
{
    const char *path = talk_info(work_talk(r->work)).path;
    struct str_buf b;
    struct err e = {0};
    if (!path) {
        repl_say(r, STYLE_DIM, "nothing to save yet: each message is saved as it is sent");
        return;
    }
    if (!*arg) {
        repl_say(r, STYLE_PLAIN, "saved in %s", path);
        return;
    }
    str_buf_init(&b, 1 << 30);
    enum status st = file_read(&b, path, &e);
    if (!st) st = file_write(arg, str_buf_str(&b), &e);
    str_buf_release(&b);
    repl_say(r, st ? STYLE_BAD : STYLE_PLAIN, "%s%s", st ? "" : "saved in ", st ? e.text : arg);
}

static void do_export(struct repl *r, const char *arg)
{
    struct str_buf b;
    struct err e = {0};
    const struct talk *t = work_talk(r->work);
    if (!*arg || !talk_info(t).n_messages) {
        repl_say(r, STYLE_BAD, "%s", *arg ? "nothing was said yet" : "usage: /export FILE.md");
        return;
    }
    str_buf_init(&b, 1 << 30);
    talk_export(t, &b);
    enum status st = str_buf_check(&b, "the Markdown", &e);
    if (!st) st = file_write(arg, str_buf_str(&b), &e);
    repl_say(r, st ? STYLE_BAD : STYLE_PLAIN, "%s%s", st ? "" : "written: ", st ? e.text : arg);
    str_buf_release(&b);
}

static void add_base64(struct str_buf *b, struct str s)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        unsigned x = 0;
        for (size_t k = 0; k < 3; k++) {
            x = x << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            str_buf_add_char(b, i + k <= s.n ? digits[x >> (18 - 6 * k) & 63] : '=');
        }
    }
}

/* The terminal itself puts it into the clipboard (OSC 52), also over ssh. */
static void do_copy(struct repl *r, const char *arg)
{
    const struct talk *t = work_talk(r->work);
    const size_t n = talk_info(t).n_messages;
    struct str_buf b;
    (void)arg;
    if (!r->out.is_live) {
        repl_say(r, STYLE_BAD, "/copy needs a terminal");
        return;
    }
    const struct talk_message m = n ? talk_get(t, n - 1) : (struct talk_message){0};
    const struct str s = m.code.n ? m.code : m.answer;
    if (!s.n) {
        repl_say(r, STYLE_BAD, "there is no answer to copy");
        return;
    }
    str_buf_init(&b, 64 << 20);
    str_buf_add_z(&b, "\033]52;c;");
    add_base64(&b, s);
    str_buf_add_z(&b, "\a");
    screen_hide(&r->out);
    fwrite(b.p, 1, b.n, stdout);
    fflush(stdout);
    str_buf_release(&b);
    repl_say(r, STYLE_PLAIN, "copied: %s of %zu bytes", m.code.n ? "code" : "text", s.n);
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
    {"resume",   "[N|FILE]", "go on with a saved one; without N the last",      do_resume,   false},
    {"fork",     "",         "go on in a copy, the present one stays",          do_fork,     false},
    {"undo",     "",         "take the last message back, or a compaction",     do_undo,     false},
    {"retry",    "",         "send the last message again, with another seed",  do_retry,    false},
    {"compact",  "",         "replace the middle by a summary",                 do_compact,  false},
    {"context",  "",         "how full the context is",                         do_context,  false},
    {"stats",    "",         "tokens, speed, where the time went",              do_stats,    true },
    {"out",      "[N]",      "the output of a program, whole",                  do_out,      true },
    {"think",    "[on|off|N|show|hide]", "thinking, its budget, whether it is shown", do_think, true},
    {"temp",     "[X]",      "temperature of thinking",                         do_temp,     true },
    {"seed",     "[N]",      "seed of the sampler",                             do_seed,     true },
    {"iter",     "[N]",      "iterations a message",                            do_iter,     true },
    {"sandbox",  "",         "which layers of the jail hold",                   do_sandbox,  false},
    {"model",    "",         "the model and how it runs",                       do_model,    false},
    {"save",     "[FILE]",   "where the session is saved; a copy of it",        do_save,     false},
    {"export",   "FILE.md",  "the conversation as Markdown",                    do_export,   false},
    {"copy",     "",         "the last answer into the clipboard",              do_copy,     false},
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
                 "Alt-Enter or \\ Enter: new line. Esc, Ctrl-C: stop. Ctrl-D: quit. "
                 "What is typed meanwhile is sent next; Up takes it back.");
    }
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

void command_complete(struct repl *r)
{
    char *text = line_text(r->line);
    struct str_buf b;
    size_t n_found = 0;
    size_t last = 0;
    const size_t n = strlen(text);
    str_buf_init(&b, 4096);
    for (size_t i = 0; text[0] == '/' && !strchr(text, ' ') && i < COUNT(COMMANDS); i++) {
        if (strncmp(COMMANDS[i].name, text + 1, n - 1) != 0) continue;
        str_buf_addf(&b, "%s/%s", n_found ? "  " : "", COMMANDS[i].name);
        n_found++;
        last = i;
    }
    if (n_found == 1) {
        line_insert(r->line, str_of(COMMANDS[last].name + n - 1));
        if (*COMMANDS[last].arg) line_insert(r->line, STR(" "));
    } else if (n_found > 1) {
        repl_hint(r, 5, "%s", b.p);
    } else if (text[0] != '/') {
        line_insert(r->line, STR("    "));
    }
    str_buf_release(&b);
    free(text);
}
