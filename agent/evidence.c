/* evidence.c - what is known about a piece of code because it was run. */
#include "agent/evidence.h"

#include "agent/tools.h"
#include "prompts/prompts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRACE_MS = 1000 };

/* Starts each line of the check program's report.  The checked code runs in the same
 * interpreter; this only keeps honest output apart from the report. */
static const struct str MARK = STR("qagent-check-5f1c");

const char *evidence_name(enum evidence_rank r)
{
    static const char *const names[] = {"none",      "broken",     "crashes", "wrong",
                                        "own-crash", "own-assert", "good"};
    return names[r];
}

void evidence_release(struct evidence *v)
{
    free(v->source);
    *v = (struct evidence){0};
}

/* s as a Python string literal. */
static void add_python(struct str_buf *b, struct str s)
{
    str_buf_add_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            str_buf_addf(b, "\\%c", c);
        } else if (c == '\n') {
            str_buf_add_z(b, "\\n");
        } else if (c < 0x20 || c == 0x7F) {
            str_buf_addf(b, "\\x%02x", c);
        } else {
            str_buf_add_char(b, (char)c);
        }
    }
    str_buf_add_char(b, '"');
}

static void add_checks(struct str_buf *b, const struct task *t)
{
    str_buf_add_char(b, '[');
    for (size_t i = 0; i < t->n_examples; i++) {
        str_buf_add_char(b, '(');
        add_python(b, t->example[i].call);
        str_buf_add_z(b, ", ");
        add_python(b, t->example[i].want);
        str_buf_add_z(b, "), ");
    }
    str_buf_add_char(b, ']');
}

/* The check program with its four places filled in. */
static void build_program(struct str_buf *b, struct str code, const struct task *t)
{
    const struct str text = PROMPT(check);
    size_t from = 0;
    for (size_t i = 0; i + 1 < text.n; i++) {
        const struct str rest = str_cut(text, i, text.n);
        if (!str_starts(rest, STR("{{"))) continue;
        const size_t n = str_find(rest, STR("}}"));
        ASSERT(n != SIZE_MAX);
        const struct str place = str_cut(rest, 2, n);
        str_buf_add(b, str_cut(text, from, i));
        if (str_eq(place, STR("source"))) {
            struct str_buf clean; /* a program must be UTF-8 to be quoted in one */
            str_buf_init(&clean, 4 * code.n + 16);
            tools_add_inert(&clean, code);
            add_python(b, str_buf_str(&clean));
            str_buf_release(&clean);
        } else if (str_eq(place, STR("name"))) {
            add_python(b, t->name);
        } else if (str_eq(place, STR("mark"))) {
            add_python(b, MARK);
        } else {
            add_checks(b, t);
        }
        i += n + 1;
        from = i + 1;
    }
    str_buf_add(b, str_cut(text, from, text.n));
    str_buf_add_char(b, '\n');
}

static void lower(struct evidence *v, enum evidence_rank rank, struct str note)
{
    if (rank >= v->rank) return;
    v->rank = rank;
    snprintf(v->note, sizeof v->note, "%.*s", (int)QA_MIN(note.n, sizeof v->note - 1), note.p);
}

static struct str next_line(struct str *rest)
{
    size_t end = str_find(*rest, STR("\n"));
    if (end == SIZE_MAX) end = rest->n;
    const struct str line = str_cut(*rest, 0, end);
    *rest = str_cut(*rest, end + 1, rest->n);
    return line;
}

/* "wrong f(1) gives 2, ..." without its first word, when that is `kind`. */
static bool is_line(struct str line, const char *kind, struct str *text)
{
    const struct str k = str_of(kind);
    if (!str_starts(line, k) || (line.n > k.n && line.p[k.n] != ' ')) return false;
    *text = str_trim(str_cut(line, k.n, line.n));
    return true;
}

/* Read the report.  True when it reached its end. */
static bool read_report(struct evidence *v, struct str out)
{
    const char *start = NULL; /* of the definitions */
    bool is_done = false;
    for (struct str rest = out; rest.n;) {
        const char *at = rest.p;
        struct str text;
        struct str line = next_line(&rest);
        if (!str_starts(line, MARK)) continue;
        line = str_trim(str_cut(line, MARK.n, line.n));
        if (is_line(line, "broken", &text)) {
            lower(v, EVIDENCE_BROKEN, text);
            is_done = true;
        } else if (is_line(line, "missing", &text)) {
            char note[160];
            snprintf(note, sizeof note, "the code does not define %.*s",
                     (int)QA_MIN(text.n, 100u), text.p);
            lower(v, EVIDENCE_BROKEN, str_of(note));
            is_done = true;
        } else if (is_line(line, "source", &text)) {
            int64_t n = 0;
            start = rest.p;
            if (str_to_i64(text, 0, 1 << 20, &n)) v->n_dropped = (int)n;
        } else if (is_line(line, "end", &text) && start && !v->source) {
            v->source = strndup(start, (size_t)(at - start));
        } else if (is_line(line, "ok", &text)) {
            v->n_ok++;
        } else if (is_line(line, "wrong", &text)) {
            lower(v, EVIDENCE_WRONG, text);
        } else if (is_line(line, "crash", &text)) {
            lower(v, EVIDENCE_CRASHES, text);
        } else if (is_line(line, "done", &text)) {
            is_done = true;
        }
    }
    return is_done;
}

/* The last line of a traceback. */
static struct str last_line(struct str s)
{
    s = str_trim(s);
    size_t i = s.n;
    while (i > 0 && s.p[i - 1] != '\n') {
        i--;
    }
    return str_cut(s, i, s.n);
}

void evidence_add_run(struct evidence *v, const struct run_result *r)
{
    if (r->status == RUN_OK || (v->n_checks && v->n_ok == v->n_checks)) return;
    const struct str why = last_line((struct str){r->errtext, r->n_errtext});
    const bool is_assert = r->status == RUN_ERROR && str_starts(why, STR("AssertionError"));
    const struct str note = why.n ? why : str_of(run_status_name(r->status));
    lower(v, is_assert ? EVIDENCE_OWN_ASSERT : EVIDENCE_OWN_CRASH, note);
}

/* A whole program: it ends well, or it waits for input that is not there. */
static enum status check_program(const struct programs *p,
                                 struct str code,
                                 const struct run_limits *limits,
                                 const struct budget *b,
                                 struct evidence *out,
                                 struct err *e)
{
    struct evidence v = {.rank = EVIDENCE_GOOD};
    struct run_result r;
    const enum status st = program_run(p, code, limits, b->stop, &r, e);
    if (st) return st;
    if (str_find((struct str){r.errtext, r.n_errtext}, STR("EOFError")) == SIZE_MAX) {
        evidence_add_run(&v, &r);
    }
    v.ms = r.duration_ms;
    run_result_release(&r);
    *out = v;
    return QA_OK;
}

enum status evidence_check(const struct programs *p,
                           struct str code,
                           const struct task *t,
                           const struct run_limits *limits,
                           const struct budget *b,
                           struct evidence *out,
                           struct err *e)
{
    struct evidence v = {.rank = EVIDENCE_GOOD, .n_checks = (int)t->n_examples};
    struct str_buf program;
    struct run_result r;
    struct run_limits l = *limits;
    /* Code that is there is checked even when the run's time is just over. */
    l.timeout_ms = QA_MAX(budget_tool_ms(b, l.timeout_ms), QA_MIN(l.timeout_ms, GRACE_MS));
    if (!t->name.n) return check_program(p, code, &l, b, out, e);
    str_buf_init(&program, 64 << 20);
    build_program(&program, code, t);
    enum status st = str_buf_check(&program, "the check program", e);
    if (!st) st = program_run(p, str_buf_str(&program), &l, b->stop, &r, e);
    str_buf_release(&program);
    if (st) return st;

    if (!read_report(&v, (struct str){r.out, r.n_out})) {
        char note[120];
        const enum evidence_rank rank = v.source ? EVIDENCE_CRASHES : EVIDENCE_BROKEN;
        snprintf(note, sizeof note, "%s the program ended with %s",
                 v.source ? "trying the task's examples," : "loading the definitions,",
                 run_status_name(r.status));
        lower(&v, rank, str_of(note));
    }
    if (v.source) {
        v.n_source = strlen(v.source);
        while (v.n_source && v.source[v.n_source - 1] == '\n') {
            v.source[--v.n_source] = 0;
        }
    }
    v.ms = r.duration_ms;
    run_result_release(&r);
    *out = v;
    return QA_OK;
}
