/* judge.c - candidates: which executed code is handed out, and with which outcome. */
#include "agent/run.h"
#include "engine/base/clock.h"

#include <stdlib.h>
#include <string.h>

void candidate_release(struct candidate *c)
{
    evidence_release(&c->evidence);
    free(c->code);
    free(c->text);
    *c = (struct candidate){0};
}

static char *copy(struct str s)
{
    char *p = malloc(s.n + 1);
    if (!p) return NULL;
    if (s.n) memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

static bool has_same_source(const struct evidence *a, const struct evidence *b)
{
    return a->source && b->source && a->n_source == b->n_source &&
           memcmp(a->source, b->source, a->n_source) == 0;
}

/* More of the task's examples count within a rank: a task may have one that is wrong.
 * The first of equals stays, but the text of an answer beats a cell. */
static bool is_better(const struct candidate *best, const struct evidence *v, bool is_answer)
{
    if (v->rank != best->evidence.rank) return v->rank > best->evidence.rank;
    if (v->n_ok != best->evidence.n_ok) return v->n_ok > best->evidence.n_ok;
    return is_answer && !best->is_answer;
}

static void log_check(struct run *r, const struct evidence *v, bool is_answer)
{
    transcript_add(r->log, "check",
                   json_pack("{s:i, s:s, s:s, s:i, s:i, s:o, s:f}", "iteration", r->iteration,
                             "of", is_answer ? "answer" : "cell", "rank",
                             evidence_name(v->rank), "n_examples", v->n_checks, "n_passed",
                             v->n_ok, "note", transcript_text(str_of(v->note)), "ms", v->ms));
}

/* What is handed out: the definitions.  An answer that is nothing else stays as it is
 * written; asserts and prints around it are left out, since only without them it ran. */
static struct str code_of(const struct evidence *v, struct str code, bool is_answer)
{
    if (!v->source || !v->n_source || (is_answer && !v->n_dropped)) return code;
    return (struct str){v->source, v->n_source};
}

enum status judge_code(struct run *r,
                       struct str code,
                       const struct run_result *own,
                       const struct str *text,
                       struct evidence *out,
                       struct err *e)
{
    struct evidence v;
    const struct agent *a = r->a;
    const double start_s = clock_now_s();
    const struct programs programs = run_programs(r);
    enum status st =
        evidence_check(&programs, code, &r->task, &a->opts.limits.tool, &r->budget, &v, e);
    r->budget.tool_s += clock_now_s() - start_s;
    if (st) return st;
    if (own) evidence_add_run(&v, own);
    r->last_rank = v.rank;
    /* The same definitions again: what is known about them holds. */
    const struct evidence *known = &r->best.evidence;
    if (text && has_same_source(&v, known) && known->rank < v.rank) {
        v.rank = known->rank;
        memcpy(v.note, known->note, sizeof v.note);
    }
    log_check(r, &v, text != NULL);
    *out = v;
    out->source = NULL;
    if (!is_better(&r->best, &v, text != NULL)) {
        evidence_release(&v);
        return QA_OK;
    }
    const struct str keep = code_of(&v, code, text != NULL);
    struct candidate c = {.evidence = v, .code = copy(keep), .n_code = keep.n};
    const bool keeps_text = text && keep.p == code.p;
    c.is_answer = text != NULL;
    if (keeps_text) {
        c.text = copy(*text);
        c.n_text = text->n;
    }
    if (!c.code || (keeps_text && !c.text)) {
        candidate_release(&c);
        return err_set(e, QA_E_NOMEM, "out of memory for a candidate");
    }
    candidate_release(&r->best);
    r->best = c;
    return QA_OK;
}

/* The answer from run.best: its own text, or its code in a block. */
static enum status hand_out(struct run *r, struct err *e)
{
    struct candidate *c = &r->best;
    struct agent_result *out = r->result;
    if (!c->text) {
        struct str_buf b;
        str_buf_init(&b, c->n_code + 64);
        str_buf_add_z(&b, "```python\n");
        str_buf_add(&b, (struct str){c->code, c->n_code});
        str_buf_add_z(&b, "\n```");
        const enum status st = str_buf_check(&b, "the answer", e);
        if (st) return st;
        c->n_text = b.n;
        c->text = str_buf_take(&b);
    }
    out->answer = c->text;
    out->n_answer = c->n_text;
    out->code = c->code;
    out->n_code = c->n_code;
    c->text = c->code = NULL;
    return QA_OK;
}

/* Outcome of a run that has no answer. */
static enum agent_outcome no_answer(const struct run *r, enum budget_end spent)
{
    if (spent != BUDGET_LEFT) return AGENT_BUDGET_SPENT;
    if (r->is_full) return AGENT_CONTEXT_FULL;
    return r->iteration >= run_last_iteration(r) && r->iteration > 1 ? AGENT_ITER_SPENT
                                                                     : AGENT_NO_ANSWER;
}

enum status judge_keep(struct run *r, struct err *e)
{
    const size_t n = (size_t)r->n_passed + 1;
    struct candidate *p = realloc(r->passed, n * sizeof *p);
    if (!p) return err_set(e, QA_E_NOMEM, "out of memory for a candidate");
    r->passed = p;
    p[r->n_passed++] = r->best;
    r->best = (struct candidate){0};
    return QA_OK;
}

void judge_vote(struct run *r)
{
    int most = 0;
    int best = -1;
    for (int i = 0; i < r->n_passed; i++) {
        int n = 0;
        for (int k = 0; k < r->n_passed; k++) {
            n += has_same_source(&r->passed[i].evidence, &r->passed[k].evidence) || i == k;
        }
        if (n > most) {
            most = n;
            best = i;
        }
    }
    if (best < 0) return;
    if (r->n_passed > 1) {
        run_notice(r, "%d answers passed; %d of them agree with the one chosen", r->n_passed,
                   most);
    }
    candidate_release(&r->best);
    r->best = r->passed[best];
    r->passed[best] = (struct candidate){0};
    r->is_accepted = true;
}

enum status judge_finish(struct run *r, enum budget_end spent, struct err *e)
{
    struct agent_result *out = r->result;
    const struct candidate *c = &r->best;
    const bool has_code = c->evidence.rank != EVIDENCE_NONE;
    const bool is_good = c->evidence.rank == EVIDENCE_GOOD;
    enum status st = QA_OK;
    if (r->prose) {
        out->answer = r->prose;
        out->n_answer = r->n_prose;
        r->prose = NULL;
        out->outcome = AGENT_ANSWERED;
    } else if (has_code) {
        if (!c->is_answer && is_good && spent != BUDGET_STOP) {
            run_notice(r, "no finished answer: the executed program that passed is the answer");
        } else if (!is_good) {
            run_notice(r, "the answer fails its checks: %s", c->evidence.note);
        }
        out->outcome = is_good                ? AGENT_ANSWERED
                       : spent == BUDGET_LEFT ? AGENT_CHECKS_FAILED
                                              : AGENT_BUDGET_SPENT;
        st = hand_out(r, e);
    } else {
        out->outcome = no_answer(r, spent);
    }
    if (spent == BUDGET_STOP) out->outcome = AGENT_INTERRUPTED;
    return st;
}
