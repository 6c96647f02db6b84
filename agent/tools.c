/* tools.c - the tools a model may call: one table of name and function. */
#include "agent/tools.h"

#include "agent/chat.h"

#include <string.h>

typedef enum status tool_fn(const struct tools *t,
                            const struct toolcall *c,
                            struct tool_result *out,
                            struct err *e);

void tool_result_release(struct tool_result *r)
{
    str_buf_release(&r->text);
    if (r->has_run) run_result_release(&r->run);
    *r = (struct tool_result){0};
}

struct str tools_code(const struct toolcall *c)
{
    const json_t *code = json_object_get(c->arguments, "code");
    if (!json_is_string(code)) return (struct str){"", 0};
    return (struct str){json_string_value(code), json_string_length(code)};
}

void tools_add_inert(struct str_buf *b, struct str s)
{
    for (size_t i = 0; i < s.n;) {
        uint32_t cp = 0;
        const size_t n = str_first_char(str_cut(s, i, s.n), &cp);
        if (!n || str_is_steering(cp)) {
            str_buf_add_z(b, "\xEF\xBF\xBD");
        } else {
            str_buf_add(b, str_cut(s, i, i + n));
        }
        i += n ? n : 1;
    }
}

/* s without its last newlines, on a line of its own. */
static void add_lines(struct str_buf *b, struct str s)
{
    while (s.n && s.p[s.n - 1] == '\n') {
        s.n--;
    }
    if (!s.n) return;
    if (b->n) str_buf_add_char(b, '\n');
    tools_add_inert(b, s);
}

static void add_status(struct str_buf *b,
                       const struct run_result *r,
                       const struct run_limits *l)
{
    const char *gap = b->n ? "\n" : "";
    switch (r->status) {
    case RUN_OK: break;
    case RUN_ERROR: str_buf_addf(b, "%s[exit code %d]", gap, r->exit_code); break;
    case RUN_TIMEOUT: {
        const double s = l->timeout_ms / 1e3;
        str_buf_addf(b, "%s[timed out after %.*f s]", gap, s < 10 && s != (int)s ? 1 : 0, s);
        break;
    }
    case RUN_OOM: str_buf_addf(b, "%s[out of memory]", gap); break;
    case RUN_OUTPUT_LIMIT: str_buf_addf(b, "%s[output limit reached]", gap); break;
    case RUN_SIGNAL: str_buf_addf(b, "%s[killed by signal %d]", gap, r->signal); break;
    case RUN_KILLED: str_buf_addf(b, "%s[interrupted]", gap); break;
    }
}

/* The first 40 % and the last 60 % of s, cut at characters. */
static void add_clipped(struct str_buf *b, struct str s, size_t max)
{
    if (s.n <= max) {
        str_buf_add(b, s);
        return;
    }
    size_t head = max / 10 * 4;
    size_t tail = s.n - max / 10 * 6;
    while (head > 0 && ((unsigned char)s.p[head] & 0xC0) == 0x80) {
        head--;
    }
    while (tail < s.n && ((unsigned char)s.p[tail] & 0xC0) == 0x80) {
        tail++;
    }
    str_buf_add(b, str_cut(s, 0, head));
    str_buf_addf(b, "\n[... %zu bytes left out ...]\n", tail - head);
    str_buf_add(b, str_cut(s, tail, s.n));
}

void tools_format(struct str_buf *b,
                  const struct run_result *r,
                  const struct run_limits *limits,
                  size_t max_bytes)
{
    struct str_buf all;
    str_buf_init(&all, 4 * (r->n_out + r->n_errtext) + 256);
    add_lines(&all, (struct str){r->out, r->n_out});
    if (!all.n && r->status == RUN_OK) str_buf_add_z(&all, "(no output)");
    add_lines(&all, (struct str){r->errtext, r->n_errtext});
    add_status(&all, r, limits);
    add_clipped(b, chat_trim(str_buf_str(&all)), max_bytes);
    str_buf_release(&all);
}

/* What ends the program: a stop that came before this one began is the run's, or late. */
static const volatile int *arm_stop(const struct tools *t)
{
    const volatile int *run_stop = t->budget->stop;
    if (!t->stop) return run_stop;
    *t->stop = 0;
    if (run_stop && *run_stop) *t->stop = 1;
    return t->stop;
}

static enum status run_code(const struct tools *t,
                            const struct toolcall *c,
                            struct tool_result *out,
                            struct err *e)
{
    struct run_limits limits = t->limits;
    out->code = tools_code(c);
    if (!str_trim(out->code).n) {
        str_buf_add_z(&out->text,
                      "error: code_execution needs the parameter 'code': a program");
        return QA_OK;
    }
    limits.timeout_ms = budget_tool_ms(t->budget, limits.timeout_ms);
    const volatile int *stop = arm_stop(t);
    const enum status st = program_run(&t->programs, out->code, &limits, stop, &out->run, e);
    const bool was_stopped = t->stop && *t->stop && budget_spent(t->budget) != BUDGET_STOP;
    if (st == QA_E_STOP && was_stopped) { /* before its first line */
        out->was_stopped = true;
        str_buf_add_z(&out->text, "[interrupted]");
        return QA_OK;
    }
    if (st) return st;
    out->has_run = true;
    out->is_ok = out->run.status == RUN_OK;
    out->was_stopped = out->run.status == RUN_KILLED && was_stopped;
    tools_format(&out->text, &out->run, &limits, TOOLS_RESULT_MAX_BYTES);
    return QA_OK;
}

static const struct {
    const char *name;
    tool_fn *run;
} TOOLS[] = {
    {"code_execution", run_code},
};

enum status tools_run(const struct tools *t,
                      const struct toolcall *c,
                      struct tool_result *out,
                      struct err *e)
{
    struct tool_result r = {0};
    enum status st = QA_OK;
    bool is_known = false;
    str_buf_init(&r.text, 4 * TOOLS_RESULT_MAX_BYTES);
    for (size_t i = 0; i < COUNT(TOOLS) && !is_known; i++) {
        if (!str_eq(c->name, str_of(TOOLS[i].name))) continue;
        is_known = true;
        st = TOOLS[i].run(t, c, &r, e);
    }
    if (!is_known) {
        str_buf_add_z(&r.text, "error: there is no tool '");
        tools_add_inert(&r.text, str_cut(c->name, 0, 80));
        str_buf_addf(&r.text, "'; there is %s", TOOLS[0].name);
    }
    if (!st) st = str_buf_check(&r.text, "a tool's result", e);
    if (st) {
        tool_result_release(&r);
        return st;
    }
    *out = r;
    return QA_OK;
}
