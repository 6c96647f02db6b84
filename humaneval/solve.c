/* solve.c - who answers: the agent, the bare model, or a file of answers. */
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "humaneval/pyjson.h"
#include "humaneval/suite.h"
#include "prompts/prompts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_TEXT = 64 << 20 };

static const char *const END_NAMES[] = {
    [ATTEMPT_ANSWERED] = "answered",
    [ATTEMPT_NO_ANSWER] = "no-answer",
    [ATTEMPT_BUDGET] = "budget",
    [ATTEMPT_FAILED] = "failed",
};

const char *attempt_end_name(enum attempt_end end)
{
    return END_NAMES[end];
}

void attempt_release(struct attempt *a)
{
    free(a->answer);
    *a = (struct attempt){0};
}

/* ---- the agent ---- */

/* The user's message: the template with the prompt in it, trailing white space off. */
static void add_task(struct str_buf *b, struct str prompt)
{
    const struct str word = STR("{{prompt}}");
    const struct str text = str_trim((struct str){
        qa_prompt_humaneval, (size_t)(qa_prompt_humaneval_end - qa_prompt_humaneval)});
    const size_t at = str_find(text, word);
    while (prompt.n && strchr(" \t\r\n\f\v", prompt.p[prompt.n - 1])) {
        prompt.n--;
    }
    str_buf_add(b, str_cut(text, 0, at));
    str_buf_add(b, prompt);
    if (at != SIZE_MAX) str_buf_add(b, str_cut(text, at + word.n, text.n));
}

static enum status open_agent(struct agentic *a, int i_sample, struct err *e)
{
    if (a->agent && a->i_sample == i_sample) return QA_OK;
    agentic_close(a);
    struct agent_opts o = a->opts;
    o.sampling.seed += (uint64_t)i_sample;
    o.session_path = NULL;
    a->i_sample = i_sample;
    return agent_open(&a->agent, &o, e);
}

void agentic_close(struct agentic *a)
{
    agent_close(a->agent);
    a->agent = NULL;
}

static enum attempt_end end_of(enum agent_outcome o, bool has_answer)
{
    switch (o) {
    case AGENT_ANSWERED:
    case AGENT_CHECKS_FAILED: return has_answer ? ATTEMPT_ANSWERED : ATTEMPT_NO_ANSWER;
    case AGENT_ITER_SPENT:
    case AGENT_BUDGET_SPENT:
    case AGENT_CONTEXT_FULL: return has_answer ? ATTEMPT_ANSWERED : ATTEMPT_BUDGET;
    case AGENT_FAILED: return ATTEMPT_FAILED;
    case AGENT_NO_ANSWER:
    case AGENT_INTERRUPTED: break;
    }
    return ATTEMPT_NO_ANSWER;
}

static void take_result(struct attempt *out, struct agent_result *r, const struct err *e)
{
    *out = (struct attempt){
        .answer = r->answer,
        .n_answer = r->n_answer,
        .end = end_of(r->outcome, r->answer && r->n_answer),
        .n_iterations = r->n_iterations,
        .n_tool_calls = r->n_tool_calls,
        .n_prompt_tokens = r->n_prompt_tokens,
        .n_reused_tokens = r->n_reused_tokens,
        .n_generated_tokens = r->n_generated_tokens,
        .n_drafted = r->n_drafted,
        .n_accepted = r->n_accepted,
        .total_s = r->total_s,
        .prefill_s = r->prefill_s,
        .decode_s = r->decode_s,
        .tool_s = r->tool_s,
    };
    const bool has_text = r->outcome == AGENT_FAILED && e && e->text[0];
    snprintf(out->reason, sizeof out->reason, "%s%s%s", agent_outcome_name(r->outcome),
             has_text ? ": " : "", has_text ? e->text : "");
    r->answer = NULL; /* taken */
    agent_result_release(r);
}

enum status agentic_solve(void *agentic,
                          const struct task *t,
                          int i_sample,
                          const char *transcript_path,
                          struct attempt *out,
                          struct err *e)
{
    struct agentic *a = agentic;
    struct err own = {0};
    struct str_buf text;
    struct str_buf name;
    struct agent_result r = {0};
    str_buf_init(&text, MAX_TEXT);
    str_buf_init(&name, MAX_TEXT);
    add_task(&text, t->prompt);
    str_buf_add(&name, t->entry_point);
    enum status st = str_buf_check(&text, "the task", e);
    if (!st) st = str_buf_check(&name, "the entry point", e);
    if (!st) st = open_agent(a, i_sample, e);
    if (!st) {
        agent_set_session_path(a->agent, transcript_path);
        st = agent_run(a->agent, str_buf_str(&text), name.p, &r, &own);
        agent_set_session_path(a->agent, NULL);
        if (st && e) *e = own;
        if (!st && r.outcome == AGENT_INTERRUPTED) {
            agent_result_release(&r);
            st = err_set(e, QA_E_STOP, "interrupted");
        }
        if (!st) take_result(out, &r, &own);
    }
    str_buf_release(&text);
    str_buf_release(&name);
    return st;
}

/* ---- the bare model ---- */

static const char *const STOPS[] = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"};
enum { LONGEST_STOP = 6 };

/* Where the text ends: at the earliest stop text that begins behind `from`. */
static size_t find_stop(struct str text, size_t from)
{
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < COUNT(STOPS); i++) {
        const size_t at = str_find(str_cut(text, from, text.n), str_of(STOPS[i]));
        if (at != SIZE_MAX) first = QA_MIN(first, from + at);
    }
    return first;
}

/* Decode into `text` up to a stop; *n_tokens counts what was picked. */
static enum status decode(const struct vanilla *v,
                          struct session *s,
                          struct str_buf *text,
                          int64_t *n_tokens,
                          struct err *e)
{
    const struct sampling greedy = sampling_greedy();
    struct rng rng;
    rng_init(&rng, 0, 0);
    const int64_t n_prompt = session_n_tokens(s);
    bool is_over = false;
    while (!is_over && *n_tokens < VANILLA_TOKENS) {
        const int64_t left = VANILLA_TOKENS - *n_tokens;
        const struct decode_args a = {.sampling = &greedy,
                                      .rng = &rng,
                                      .n_prompt = n_prompt,
                                      .max_tokens = (int)QA_MIN(left, BURST_MAX)};
        struct burst b;
        const enum status st = session_decode(s, &a, &b, e);
        if (st == QA_E_LIMIT) return QA_OK; /* the context is full: what there is counts */
        if (st) return st;
        for (int i = 0; i < b.n && !is_over; i++) {
            ++*n_tokens;
            is_over = engine_is_stop(v->engine, b.ids[i]);
            if (is_over) break;
            const size_t before = text->n;
            str_buf_add(text, engine_piece(v->engine, b.ids[i]));
            const size_t at =
                find_stop(str_buf_str(text), before > LONGEST_STOP ? before - LONGEST_STOP : 0);
            if (at == SIZE_MAX) continue;
            text->n = at;
            text->p[at] = 0;
            is_over = true;
        }
    }
    return str_buf_check(text, "the completion", e);
}

static enum status write_transcript(const char *path,
                                    const struct task *t,
                                    struct str completion,
                                    struct err *e)
{
    struct str_buf row;
    str_buf_init(&row, MAX_TEXT);
    str_buf_add_z(&row, "{\"type\": \"completion\", \"prompt\": ");
    pyjson_add_string(&row, t->prompt);
    str_buf_add_z(&row, ", \"text\": ");
    pyjson_add_string(&row, completion);
    str_buf_add_z(&row, "}\n");
    enum status st = str_buf_check(&row, "the transcript", e);
    /* Written in place: what a kill leaves of it goes when the sample is run again. */
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (!st && fd < 0) st = err_errno(e, QA_E_IO, errno, "cannot create '%s'", path);
    if (!st) st = file_write_all(fd, row.p, row.n, path, e);
    if (fd >= 0) close(fd);
    str_buf_release(&row);
    return st;
}

static enum status open_session(struct session **s,
                                const struct vanilla *v,
                                const struct task *t,
                                struct err *e)
{
    struct ids ids = {0};
    enum status st = engine_encode(v->engine, t->prompt, SPECIAL_NONE, &ids, e);
    int64_t cap = v->ctx_tokens ? v->ctx_tokens : (int64_t)ids.n + VANILLA_TOKENS + BURST_MAX;
    cap = QA_MIN(cap, (int64_t)engine_info(v->engine)->n_ctx_train);
    const struct session_opts so = {
        .cap_tokens = cap, .n_draft = v->n_draft, .n_copy = v->n_copy};
    if (!st) st = session_open(s, v->engine, &so, e);
    if (!st) st = session_append(*s, ids.p, ids.n, e);
    ids_release(&ids);
    return st;
}

enum status vanilla_solve(void *vanilla,
                          const struct task *t,
                          int i_sample,
                          const char *transcript_path,
                          struct attempt *out,
                          struct err *e)
{
    (void)i_sample; /* greedy: all samples of a task are the same */
    const struct vanilla *v = vanilla;
    const double start_s = clock_now_s();
    struct session *s = NULL;
    struct str_buf text;
    str_buf_init(&text, MAX_TEXT);
    struct attempt a = {.is_completion = true, .n_iterations = 1};
    enum status st = open_session(&s, v, t, e);
    if (st == QA_E_LIMIT) { /* a task that does not fit is an outcome, not an accident */
        a.end = ATTEMPT_BUDGET;
        snprintf(a.reason, sizeof a.reason, "context full");
        st = QA_OK;
    } else if (!st) {
        st = decode(v, s, &text, &a.n_generated_tokens, e);
    }
    if (!st) st = write_transcript(transcript_path, t, str_buf_str(&text), e);
    if (!st) {
        const struct session_stats stats = s ? session_stats(s) : (struct session_stats){0};
        a.n_answer = text.n;
        if (!a.end && !text.n) a.end = ATTEMPT_NO_ANSWER;
        a.answer = str_buf_take(&text);
        if (!a.answer) st = err_set(e, QA_E_NOMEM, "out of memory");
        a.n_prompt_tokens = (int64_t)stats.n_prefilled;
        a.n_drafted = stats.n_drafted;
        a.n_accepted = stats.n_accepted;
        a.prefill_s = stats.prefill_s;
        a.decode_s = stats.decode_s;
        a.total_s = clock_now_s() - start_s;
    }
    session_close(s);
    str_buf_release(&text);
    if (!st) *out = a;
    return st;
}

/* ---- a file of answers ---- */

struct replies {
    struct reply {
        struct str task_id, answer; /* owned */
    } * p;
    size_t n, cap;
};

static enum status read_string(const struct pyjson_row *row,
                               const char *name,
                               struct str *out,
                               struct err *e)
{
    struct str_buf text;
    str_buf_init(&text, MAX_TEXT);
    if (!pyjson_decode(pyjson_row_find(row, name), &text)) {
        str_buf_release(&text);
        return err_set(e, QA_E_FORMAT, "field '%s' is missing or not a string", name);
    }
    out->n = text.n;
    out->p = str_buf_take(&text);
    return out->p ? QA_OK : err_set(e, QA_E_NOMEM, "out of memory");
}

static enum status add_reply(struct replies *r, struct str line, struct err *e)
{
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        struct reply *grown = realloc(r->p, r->cap * sizeof *grown);
        if (!grown) return err_set(e, QA_E_NOMEM, "out of memory");
        r->p = grown;
    }
    struct pyjson_row row = {0};
    enum status st = pyjson_row_parse(&row, line, e);
    if (st) return st;
    struct reply *p = &r->p[r->n++];
    *p = (struct reply){0};
    st = read_string(&row, "task_id", &p->task_id, e);
    if (!st) st = read_string(&row, "answer", &p->answer, e);
    pyjson_row_release(&row);
    return st;
}

enum status replies_open(struct replies **out, const char *path, struct err *e)
{
    struct str_buf text;
    enum status st = dataset_read_file(&text, path, (size_t)2 << 30, NULL, e);
    if (st) return st;
    struct replies *r = calloc(1, sizeof *r);
    if (!r) st = err_set(e, QA_E_NOMEM, "out of memory");
    struct str rest = str_buf_str(&text);
    struct str line;
    for (size_t n = 1; !st && dataset_next_line(&rest, &line); n++) {
        if (str_trim(line).n) st = add_reply(r, line, e);
        if (st) err_wrap(e, st, "cannot read '%s': line %zu", path, n);
    }
    str_buf_release(&text);
    if (st) {
        replies_close(r);
        return st;
    }
    *out = r;
    return QA_OK;
}

void replies_close(struct replies *r)
{
    for (size_t i = 0; r && i < r->n; i++) {
        free((void *)(uintptr_t)r->p[i].task_id.p);
        free((void *)(uintptr_t)r->p[i].answer.p);
    }
    if (r) free(r->p);
    free(r);
}

enum status replies_solve(void *replies,
                          const struct task *t,
                          int i_sample,
                          const char *transcript_path,
                          struct attempt *out,
                          struct err *e)
{
    const struct replies *r = replies;
    const struct reply *found = NULL;
    int n = 0; /* the i-th row of a task answers its sample i */
    for (size_t i = 0; i < r->n && !found; i++) {
        if (str_eq(r->p[i].task_id, t->task_id) && n++ == i_sample) found = &r->p[i];
    }
    struct attempt a = {.end = found ? ATTEMPT_ANSWERED : ATTEMPT_NO_ANSWER, .n_iterations = 1};
    const struct str text = found ? found->answer : (struct str){"", 0};
    const enum status st = write_transcript(transcript_path, t, text, e);
    if (st) return st;
    a.answer = strndup(text.p, text.n);
    if (!a.answer) return err_set(e, QA_E_NOMEM, "out of memory");
    a.n_answer = strlen(a.answer);
    *out = a;
    return QA_OK;
}
