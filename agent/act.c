/* act.c - what follows a turn: calls are run, answers are judged, failures lead back. */
#include "agent/run.h"
#include "engine/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the session of a run ---- */

struct programs run_programs(const struct run *r)
{
    return (struct programs){r->a->opts.sandbox, r->recording, r->log};
}

/* In the steps that the engine takes itself, told in between: a long prompt takes its
 * time. */
static enum status append_steps(struct run *r, const struct ids *ids, struct err *e)
{
    enum { STEP = 512 };
    struct session *s = r->a->session;
    enum status st = QA_OK;
    if ((int64_t)ids->n > session_cap_tokens(s) - session_n_tokens(s)) {
        return err_set(e, QA_E_LIMIT, "%zu more tokens do not fit the context", ids->n);
    }
    for (size_t i = 0; i < ids->n && !st; i += STEP) {
        if (ids->n > STEP) {
            run_event(r, &(struct agent_event){.type = AGENT_PREFILL,
                                               .n_tokens = (int64_t)i,
                                               .n_total = (int64_t)ids->n});
        }
        /* A conversation goes on and needs it whole; a task whose time is over does not. */
        if (i > 0 && !r->talk && budget_spent(&r->budget) == BUDGET_TIME) {
            return err_set(e, QA_E_STOP, "the time is over");
        }
        st = session_append(s, ids->p + i, QA_MIN(ids->n - i, (size_t)STEP), e);
    }
    return st;
}

/* A conversation goes on after a stop, so nothing may stand there by half. */
static enum status finish_append(struct run *r,
                                 const struct ids *ids,
                                 size_t n_done,
                                 struct err *e)
{
    enum status st = QA_E_STOP;
    while (st == QA_E_STOP) {
        const int64_t before = session_n_tokens(r->a->session);
        engine_stop_clear();
        st = session_append(r->a->session, ids->p + n_done, ids->n - n_done, e);
        n_done += (size_t)(session_n_tokens(r->a->session) - before);
    }
    return st;
}

enum status run_append(struct run *r, struct chat_text *t, const char *what, struct err *e)
{
    struct ids ids = {0};
    const int64_t before = session_n_tokens(r->a->session);
    bool is_stopped = false;
    enum status st = chat_encode(r->a->opts.engine, t, &ids, e);
    if (!st && ids.n) {
        st = recording_append(r->recording, what, session_ids(r->a->session), (size_t)before,
                              ids.p, ids.n, e);
    }
    if (!st && ids.n) st = append_steps(r, &ids, e);
    if (st == QA_E_STOP && r->talk && r->has_mark) {
        is_stopped = true;
        st = finish_append(r, &ids, (size_t)(session_n_tokens(r->a->session) - before), e);
    }
    if (!st && ids.n && r->log) {
        transcript_add(r->log, "append",
                       json_pack("{s:i, s:s, s:o, s:o}", "iteration", r->iteration, "what",
                                 what, "text", transcript_text(str_buf_str(&t->bytes)), "ids",
                                 transcript_ids(ids.p, ids.n)));
    }
    ids_release(&ids);
    if (!st) chat_text_reset(t);
    return st ? st : is_stopped ? err_set(e, QA_E_STOP, "stopped") : QA_OK;
}

/* Close the model's turn in `pending`: what follows is somebody else's. */
static void close_turn(struct run *r)
{
    if (r->is_at_task) return;
    chat_add_frame(&r->pending, r->has_turn_end ? STR("\n") : STR("<|im_end|>\n"));
}

void run_add_user(struct run *r, struct str text)
{
    close_turn(r);
    chat_add_frame(&r->pending, STR("<|im_start|>user\n"));
    chat_add_text(&r->pending, chat_trim(text));
    chat_add_frame(&r->pending, STR("<|im_end|>\n"));
}

static void add_tool_result(struct run *r, struct str text, bool is_first, bool is_last)
{
    if (is_first) {
        close_turn(r);
        chat_add_frame(&r->pending, STR("<|im_start|>user"));
    }
    chat_add_frame(&r->pending, STR("\n<tool_response>\n"));
    chat_add_text(&r->pending, chat_trim(text));
    chat_add_frame(&r->pending, STR("\n</tool_response>"));
    if (is_last) chat_add_frame(&r->pending, STR("<|im_end|>\n"));
}

enum status run_return_to_task(struct run *r, struct err *e)
{
    chat_text_reset(&r->pending);
    r->is_sampled = true;
    free(r->last_code);
    free(r->last_result);
    r->last_code = r->last_result = NULL;
    if (r->is_at_task) return QA_OK;
    const enum status st = session_rewind(r->a->session, r->mark, e);
    if (st) return st;
    r->is_at_task = true;
    r->result->n_reused_tokens += session_n_tokens(r->a->session);
    transcript_add(r->log, "rewind",
                   json_pack("{s:i, s:I}", "iteration", r->iteration, "to",
                             (json_int_t)session_n_tokens(r->a->session)));
    return QA_OK;
}

/* ---- after a failure ---- */

static enum agent_retry retry_policy(const struct run *r)
{
    const enum agent_retry asked = r->a->opts.retry;
    if (asked == AGENT_RETRY_BRANCH && !r->branches) return AGENT_RETRY_FRESH;
    if (asked != AGENT_RETRY_AUTO) return asked;
    if (r->a->is_tiny) return r->branches ? AGENT_RETRY_BRANCH : AGENT_RETRY_FRESH;
    return r->n_failures <= 1 ? AGENT_RETRY_REPAIR : AGENT_RETRY_FRESH;
}

static bool has_room(const struct run *r)
{
    return session_cap_tokens(r->a->session) - session_n_tokens(r->a->session) >
           4 * ANSWER_RESERVE;
}

/* An attempt failed for the reason in `note`.  *stays: what failed stays in the context
 * and the caller appends what the model should know; else the session is back at the
 * task already. */
static enum status after_failure(struct run *r, const char *note, bool *stays, struct err *e)
{
    static const char *const words[] = {
        [AGENT_RETRY_AUTO] = "",
        [AGENT_RETRY_REPAIR] = "the model sees it and repairs",
        [AGENT_RETRY_FRESH] = "back to the task with fresh thinking",
        [AGENT_RETRY_LESSON] = "back to the task with a lesson",
        [AGENT_RETRY_BRANCH] = "back to the task by the likeliest way not gone yet",
    };
    *stays = false;
    if (r->iteration >= run_last_iteration(r)) return QA_OK; /* no turn is left */
    r->n_failures++;
    enum agent_retry policy = retry_policy(r);
    if (policy == AGENT_RETRY_REPAIR && !has_room(r)) policy = AGENT_RETRY_FRESH;
    run_notice(r, "%s; %s", note[0] ? note : "the attempt failed", words[policy]);
    *stays = policy == AGENT_RETRY_REPAIR;
    if (*stays) return QA_OK;
    enum status st = run_return_to_task(r, e);
    if (st || policy != AGENT_RETRY_LESSON) return st;
    struct str_buf b;
    str_buf_init(&b, 1024);
    str_buf_addf(&b, "An earlier attempt failed: %s\nSolve the task in another way.", note);
    run_add_user(r, str_buf_str(&b));
    str_buf_release(&b);
    return QA_OK;
}

/* ---- what a turn brought ---- */

static bool set_copy(char **to, struct str s)
{
    free(*to);
    *to = malloc(s.n + 1);
    if (!*to) return false;
    if (s.n) memcpy(*to, s.p, s.n);
    (*to)[s.n] = 0;
    return true;
}

/* The same program with the same result as the call before, in the same context? */
static bool is_repeated(struct run *r, struct str code, struct str result)
{
    const bool same = r->last_code && r->last_result && str_eq(str_of(r->last_code), code) &&
                      str_eq(str_of(r->last_result), result);
    if (!set_copy(&r->last_code, code) || !set_copy(&r->last_result, result)) return false;
    return same;
}

static void log_tool(struct run *r, const struct tool_result *t)
{
    transcript_add(r->log, "tool",
                   json_pack("{s:i, s:o, s:o, s:s, s:f}", "iteration", r->iteration, "code",
                             transcript_text(t->code), "result",
                             transcript_text(str_buf_str(&t->text)), "status",
                             t->has_run ? run_status_name(t->run.status) : "refused", "ms",
                             t->has_run ? t->run.duration_ms : 0.0));
}

/* Run one call and judge its program.  *note says why it failed, "" when it passed. */
static enum status run_call(struct run *r,
                            const struct toolcall *c,
                            struct tool_result *out,
                            char note[240],
                            struct err *e)
{
    const struct tools tools = {.programs = run_programs(r),
                                .limits = r->a->opts.limits.tool,
                                .budget = &r->budget,
                                .stop = r->a->opts.stop_tool};
    run_emit(r, AGENT_TOOL_STARTED, tools_code(c));
    const double start_s = clock_now_s();
    enum status st = tools_run(&tools, c, out, e);
    r->budget.tool_s += clock_now_s() - start_s;
    if (st) return st;
    r->result->n_tool_calls++;
    log_tool(r, out);
    run_event(r, &(struct agent_event){.type = AGENT_TOOL_DONE,
                                       .text = str_buf_str(&out->text),
                                       .run = out->has_run ? &out->run : NULL});
    /* That the user had enough of a program is no failure of it. */
    snprintf(note, 240, "%s", out->is_ok || out->was_stopped ? "" : "the program failed");
    if (!out->has_run || out->run.status == RUN_KILLED) return QA_OK;
    if (!r->task.wants_code || !task_defines(out->code, r->task.name)) return QA_OK;

    struct evidence v;
    st = judge_code(r, out->code, &out->run, NULL, &v, e);
    if (st) {
        tool_result_release(out);
        return st;
    }
    snprintf(note, 240, "%s", v.rank == EVIDENCE_GOOD ? "" : v.note[0] ? v.note : "it failed");
    if (v.rank == EVIDENCE_GOOD || !out->is_ok) return QA_OK;
    /* It passed its own checks but not the task's: the model must hear of that. */
    str_buf_addf(&out->text, "\n\nThe task's own example fails: %s", v.note);
    return QA_OK;
}

static enum status handle_calls(struct run *r, const struct toolcalls *calls, struct err *e)
{
    struct tool_result results[TOOLCALL_MAX];
    char note[240] = "";
    char first_note[240] = "";
    size_t n = 0;
    bool stays = true;
    enum status st = QA_OK;
    for (; n < calls->n && !st; n++) {
        st = run_call(r, &calls->call[n], &results[n], note, e);
        if (st) break;
        if (note[0] && !first_note[0]) memcpy(first_note, note, sizeof note);
        if (budget_spent(&r->budget) == BUDGET_STOP) {
            n++;
            break;
        }
    }
    if (!st && first_note[0]) st = after_failure(r, first_note, &stays, e);
    for (size_t i = 0; i < n && !st && stays; i++) {
        struct str_buf *text = &results[i].text;
        if (is_repeated(r, results[i].code, str_buf_str(text))) {
            str_buf_add_z(text, "\n\nThis was the same program with the same result as before. "
                                "Answer now.");
            run_notice(r, "the same program gave the same result again; the answer is next");
            r->wants_answer = true;
        }
        add_tool_result(r, str_buf_str(text), i == 0, i + 1 == n);
    }
    if (!st && !first_note[0] && r->best.evidence.rank == EVIDENCE_GOOD) r->wants_answer = true;
    for (size_t i = 0; i < n; i++) {
        tool_result_release(&results[i]);
    }
    return st;
}

/* A call that cannot be read goes back as a message the model can act on. */
static enum status handle_fault(struct run *r, const char *fault, struct err *e)
{
    struct str_buf b;
    bool stays;
    enum status st = after_failure(r, "the call cannot be read", &stays, e);
    if (st || !stays) return st;
    str_buf_init(&b, 1024);
    str_buf_addf(&b,
                 "error: the call was not run: %s. Write it like this:\n<tool_call>\n"
                 "<function=code_execution>\n<parameter=code>\nprint(1)\n</parameter>\n"
                 "</function>\n</tool_call>",
                 fault);
    add_tool_result(r, str_buf_str(&b), true, true);
    str_buf_release(&b);
    return QA_OK;
}

/* Code in an answer: in a block, or the whole text when it is nothing but code. */
static struct str answer_code(const struct run *r, struct str text)
{
    const struct str code = task_code(text, r->task.name);
    if (code.n || !r->task.name.n || !task_defines(text, r->task.name)) return code;
    return str_trim(text);
}

/* Text that ended the turn: the answer, unless running it speaks against it. */
static enum status handle_text(struct run *r, struct str text, struct err *e)
{
    bool stays;
    text = str_trim(text);
    if (!r->task.wants_code) {
        if (!text.n) return after_failure(r, "the answer is empty", &stays, e);
        r->is_accepted = set_copy(&r->prose, text);
        r->n_prose = text.n;
        return QA_OK;
    }
    const struct str code = answer_code(r, text);
    if (!code.n) {
        enum status st = after_failure(r, "the answer has no code", &stays, e);
        if (!st && stays)
            run_add_user(r, STR("Answer with the final code in one Python code block."));
        return st;
    }
    struct evidence v;
    enum status st = judge_code(r, code, NULL, &text, &v, e);
    if (st) return st;
    /* An earlier program that passed stands; the answer was to be its copy. */
    r->is_accepted = r->best.evidence.rank == EVIDENCE_GOOD;
    if (r->is_accepted || budget_spent(&r->budget) != BUDGET_LEFT) return QA_OK;
    st = after_failure(r, v.note, &stays, e);
    if (st || !stays) return st;
    struct str_buf b;
    str_buf_init(&b, 1024);
    str_buf_addf(&b,
                 "Running the answer shows: %s\nRead the task again and answer with the "
                 "whole corrected code.",
                 v.note);
    run_add_user(r, str_buf_str(&b));
    str_buf_release(&b);
    return QA_OK;
}

void run_log_turn(struct run *r, const struct turn *t, bool is_answer)
{
    if (!r->log) return;
    char rng[20];
    const int64_t n = session_n_tokens(r->a->session) - t->n_start;
    snprintf(rng, sizeof rng, "%016llx", (unsigned long long)r->rng.state);
    json_t *event =
        json_pack("{s:i, s:s, s:b, s:s, s:I, s:o, s:o, s:o}", "iteration", r->iteration, "end",
                  turn_end_name(t->end), "is_answer", is_answer, "rng", rng, "n_tokens",
                  (json_int_t)t->n_tokens, "ids",
                  transcript_ids(session_ids(r->a->session) + t->n_start, (size_t)n), "think",
                  transcript_text(str_buf_str(&t->stream.think)), "text",
                  transcript_text(str_buf_str(&t->stream.text)));
    if (t->forks.n) json_object_set_new(event, "forks", forks_to_json(&t->forks));
    transcript_add(r->log, "turn", event);
}

enum status run_handle_turn(struct run *r, struct turn *t, bool is_answer, struct err *e)
{
    const struct toolcalls *calls = &t->stream.calls;
    const struct str text = str_buf_str(&t->stream.text);
    bool stays;
    run_log_turn(r, t, is_answer);
    r->is_at_task = false;
    r->has_turn_end = t->has_turn_end;
    if (t->was_closed) run_notice(r, "thinking was closed at its budget");
    if (t->end == TURN_BUDGET) return QA_OK;
    if (!is_answer && calls->n) return handle_calls(r, calls, e);
    if (is_answer && calls->n) { /* written out in letters: at least a candidate */
        const struct str code = tools_code(&calls->call[0]);
        struct evidence v;
        if (!r->task.wants_code || !task_defines(code, r->task.name)) {
            return after_failure(r, "a tool call where the answer should be", &stays, e);
        }
        const enum status st = judge_code(r, code, NULL, NULL, &v, e);
        r->is_accepted = !st && r->best.evidence.rank == EVIDENCE_GOOD;
        return st ? st : r->is_accepted ? QA_OK : after_failure(r, v.note, &stays, e);
    }
    const char *fault = is_answer ? NULL : toolcall_fault(text);
    if (fault && t->end == TURN_DONE) return handle_fault(r, fault, e);
    if (t->end != TURN_DONE && !answer_code(r, text).n) {
        enum status st = after_failure(r,
                                       t->end == TURN_EMPTY  ? "the turn was empty"
                                       : t->end == TURN_LOOP ? "the turn went in circles"
                                                             : "the turn did not end",
                                       &stays, e);
        if (!st && stays) st = run_return_to_task(r, e); /* half a turn is no good to repair */
        return st;
    }
    return handle_text(r, text, e);
}
