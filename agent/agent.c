/* agent.c - the loop: think, execute, observe, until there is an answer or a reason. */
#include "agent/agent.h"

#include "agent/prefix.h"
#include "agent/run.h"
#include "engine/base/clock.h"
#include "prompts/prompts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TINY_PARAMS = 100000000,
    TINY_THINK = 512, /* thinking of a tiny model when no budget is given       */
    RECAP_THINK = 64, /* thinking between a program that passed and the answer  */
    MIN_ROOM = 64,    /* a turn with less room than this is not begun           */
};

/* ---- names and defaults ---- */

static const struct {
    const char *name;
    int exit;
} OUTCOMES[] = {
    [AGENT_ANSWERED] = {"answered",         0  },
      [AGENT_NO_ANSWER] = {"no answer",        4  },
    [AGENT_ITER_SPENT] = {"iterations spent", 5  },
      [AGENT_BUDGET_SPENT] = {"budget spent",     6  },
    [AGENT_CONTEXT_FULL] = {"context full",     8  },
      [AGENT_CHECKS_FAILED] = {"checks failed",    9  },
    [AGENT_INTERRUPTED] = {"interrupted",      130},
      [AGENT_FAILED] = {"failed",           1  },
};
static const char *const RETRIES[] = {"auto", "repair", "fresh", "lesson", "branch"};

const char *agent_outcome_name(enum agent_outcome o)
{
    return OUTCOMES[o].name;
}

int agent_outcome_exit(enum agent_outcome o)
{
    return OUTCOMES[o].exit;
}

const char *agent_retry_name(enum agent_retry r)
{
    return RETRIES[r];
}

bool agent_retry_of(const char *name, enum agent_retry *r)
{
    for (size_t i = 0; i < COUNT(RETRIES); i++) {
        if (strcmp(RETRIES[i], name) != 0) continue;
        *r = (enum agent_retry)i;
        return true;
    }
    return false;
}

struct agent_limits agent_limits_default(void)
{
    return (struct agent_limits){
        .max_iter = 5, .timeout_s = 600, .think_tokens = -1, .tool = run_limits_default()};
}

struct agent_opts agent_opts_default(void)
{
    return (struct agent_opts){
        .limits = agent_limits_default(),
        .sampling = {.temp = 0.6f, .top_k = 20, .top_p = 0.95f, .repetition_penalty = 1},
        .keeps_signature = true,
        .n_draft = -1,
        .n_copy = -1,
    };
}

void agent_result_release(struct agent_result *r)
{
    free(r->answer);
    free(r->code);
    *r = (struct agent_result){0};
}

/* ---- events ---- */

void run_event(struct run *r, struct agent_event *ev)
{
    const struct agent_sink *sink = &r->a->opts.sink;
    ev->iteration = r->iteration;
    ev->t_s = budget_elapsed_s(&r->budget);
    if (sink->event) sink->event(sink->ctx, ev);
}

void run_emit(struct run *r, enum agent_event_type type, struct str text)
{
    run_event(r, &(struct agent_event){.type = type, .text = text});
}

void run_notice(struct run *r, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    transcript_add(r->log, "notice",
                   json_pack("{s:i, s:o}", "iteration", r->iteration, "text",
                             transcript_text(str_of(text))));
    run_emit(r, AGENT_NOTICE, str_of(text));
}

static void on_stream(void *ctx, enum stream_part part, struct str more)
{
    static const enum agent_event_type types[] = {AGENT_THINK, AGENT_TEXT, AGENT_TOOL_CODE};
    struct run *r = ctx;
    run_event(r,
              &(struct agent_event){.type = types[part], .text = more, .n_tokens = r->n_turn});
}

static void on_token(void *ctx, int64_t n_tokens)
{
    ((struct run *)ctx)->n_turn = n_tokens;
}

/* ---- opening ---- */

static enum status open_prefix(struct agent *a, struct err *e)
{
    struct chat_text t;
    struct ids ids = {0};
    chat_text_init(&t);
    chat_add_system(&t, PROMPT(tools), PROMPT(system));
    enum status st = chat_encode(a->opts.engine, &t, &ids, e);
    if (!st && (int64_t)ids.n + MIN_ROOM > session_cap_tokens(a->session)) {
        st = err_set(e, QA_E_LIMIT, "a context of %lld tokens is too small: the prompt has %zu",
                     (long long)session_cap_tokens(a->session), ids.n);
    }
    const char *dir = a->is_tiny ? NULL : a->opts.prefix_dir; /* faster than a file */
    if (!st) st = prefix_sync(a->session, a->opts.engine, dir, &ids, &a->opts.sink, e);
    if (!st) st = session_mark(a->session, &a->mark, e);
    a->n_prefix = (int64_t)ids.n;
    ids_release(&ids);
    chat_text_release(&t);
    return st;
}

static bool is_thinking_on(const struct agent *a)
{
    const int n = a->opts.limits.think_tokens;
    return a->chat.tmpl == CHAT_QWEN35_SMALL ? n > 0 : n != 0;
}

enum status agent_open(struct agent **out, const struct agent_opts *o, struct err *e)
{
    const struct engine_info *info = engine_info(o->engine);
    struct agent *a = calloc(1, sizeof *a);
    if (!a) return err_set(e, QA_E_NOMEM, "out of memory for the agent");
    a->opts = *o;
    a->is_tiny = info->n_params < TINY_PARAMS;
    a->knows_template = chat_template_of(info->chat_template, &a->chat.tmpl);
    a->chat.has_think = true;
    a->chat.want_think = is_thinking_on(a);
    agent_set_session_path(a, o->session_path);
    a->opts.session_path = NULL;
    const int64_t most = info->n_ctx_train > 0 ? info->n_ctx_train : AGENT_CTX;
    const struct session_opts so = {
        .cap_tokens = o->ctx_tokens ? o->ctx_tokens : QA_MIN(most, (int64_t)AGENT_CTX),
        .n_draft = o->n_draft < 0 ? 3 : o->n_draft,
        .n_copy = o->n_copy < 0 ? DRAFT_MAX : o->n_copy,
    };
    const struct str tools = PROMPT(tools);
    json_t *tool = json_loadb(tools.p, tools.n, 0, NULL);
    ASSERT(tool); /* our own text */
    a->tools = json_pack("[o]", tool);
    enum status st = protocol_ids_init(&a->ids, o->engine, e);
    if (!st) st = session_open(&a->session, o->engine, &so, e);
    if (!st) st = open_prefix(a, e);
    if (st) {
        agent_close(a);
        return st;
    }
    *out = a;
    return QA_OK;
}

void agent_close(struct agent *a)
{
    if (!a) return;
    session_close(a->session);
    protocol_ids_release(&a->ids);
    json_decref(a->tools);
    free(a->session_path);
    free(a);
}

void run_set(struct agent *a, const struct agent_limits *limits, const struct sampling *s)
{
    a->opts.limits = *limits;
    a->opts.sampling = *s;
    a->chat.want_think = is_thinking_on(a);
}

void agent_set_session_path(struct agent *a, const char *path)
{
    free(a->session_path);
    a->session_path = path ? strdup(path) : NULL;
}

/* ---- turns ---- */

/* What a turn may be: an answer step masks calls and opens the answer. */
struct plan {
    bool is_last, is_answer, is_thinking, opens_code;
    int think_tokens;
    int64_t max_tokens;
};

int run_last_iteration(const struct run *r)
{
    const int most = recording_max_iter(r->recording, r->a->opts.limits.max_iter);
    return r->n_before + QA_MAX(most, 1);
}

static struct plan plan_turn(const struct run *r)
{
    const struct agent *a = r->a;
    const int budget = a->opts.limits.think_tokens;
    const int64_t cap = session_cap_tokens(a->session);
    const int64_t reserve = QA_MIN((int64_t)ANSWER_RESERVE, cap / 8);
    struct plan p = {.is_last = r->iteration >= run_last_iteration(r)};
    p.is_answer = p.is_last || r->wants_answer;
    /* Thinking is for what is new: a task, or a result that failed.  The last step
     * answers at once unless it is the first thing the model says. */
    p.is_thinking = a->chat.want_think && (!p.is_last || r->is_at_task);
    p.opens_code = p.is_answer && r->task.wants_code;
    p.max_tokens = cap - session_n_tokens(a->session) -
                   (!p.is_answer ? reserve
                    : r->talk    ? CLOSE_RESERVE
                                 : 0);
    p.think_tokens = budget > 0 ? budget : a->is_tiny ? TINY_THINK : INT32_MAX;
    if (p.is_answer && !r->is_at_task) p.think_tokens = QA_MIN(p.think_tokens, RECAP_THINK);
    p.think_tokens = (int)QA_MIN((int64_t)p.think_tokens, QA_MAX(p.max_tokens / 2, 1));
    return p;
}

/* Append what is pending and open the model's turn.  A context that is full is left by
 * going back to the task; *is_full when even that does not help. */
static enum status open_turn(struct run *r, bool *is_full, struct err *e)
{
    struct agent *a = r->a;
    *is_full = false;
    enum status st = run_append(r, &r->pending, "result", e);
    const int64_t room = session_cap_tokens(a->session) - session_n_tokens(a->session);
    if (!st && room >= MIN_ROOM) return QA_OK;
    if (st && st != QA_E_LIMIT) return st;
    *is_full = r->is_at_task;
    if (*is_full) return QA_OK;
    run_notice(r, "the context of %lld tokens is full; back to the task",
               (long long)session_cap_tokens(a->session));
    return run_return_to_task(r, e);
}

static enum status encode_frame(struct run *r, struct str text, struct ids *out, struct err *e)
{
    struct chat_text t;
    chat_text_init(&t);
    chat_add_frame(&t, text);
    const enum status st = chat_encode(r->a->opts.engine, &t, out, e);
    chat_text_release(&t);
    return st;
}

/* What came of a turn that went back to the task: its plan is not to come again. */
static void remember_plan(struct run *r, const struct turn *t)
{
    const struct str plan = str_trim(str_buf_str(&t->stream.think));
    if (r->is_accepted || !r->is_at_task || !plan.n) return;
    tried_add(&r->tried, plan,
              !r->branches &&
                  (r->last_rank == EVIDENCE_NONE || r->last_rank == EVIDENCE_BROKEN));
}

static enum status run_turn(struct run *r, enum budget_end *spent, struct err *e)
{
    struct agent *a = r->a;
    struct turn t = {0};
    struct ids opening = {0};
    enum status st = open_turn(r, &r->is_full, e);
    if (st || r->is_full) return st;
    const struct plan p = plan_turn(r);
    r->wants_answer = false;
    r->n_turn = 0;
    const bool is_fresh = p.is_thinking && r->is_at_task && r->is_sampled;
    st = run_open_frame(r, p.is_thinking, e);
    if (!st) {
        st = encode_frame(r, p.opens_code ? STR("\n\n```python\n") : STR("\n\n"), &opening, e);
    }
    struct turn_args args = {
        .session = a->session,
        .ids = &a->ids,
        .budget = &r->budget,
        .rng = &r->rng,
        .think = run_think_sampling(r),
        .text = sampling_greedy(),
        .tried = is_fresh ? &r->tried : NULL,
        .again = run_again_sampling(r),
        .keeps_forks = r->branches && r->is_at_task,
        .is_thinking = p.is_thinking,
        .may_call = !p.is_answer,
        .opening = &opening,
        .line = r->line.text.n ? &r->line : NULL,
        .think_tokens = p.think_tokens,
        .max_tokens = p.max_tokens,
        .recording = r->recording,
        .tools = a->tools,
        .sink = on_stream,
        .sink_ctx = r,
        .token = on_token,
    };
    r->last_rank = EVIDENCE_NONE;
    if (!st) st = run_attempt(r, &t, &args, e);
    if (!st) {
        run_event(r,
                  &(struct agent_event){.type = AGENT_ITERATION_DONE, .n_tokens = t.n_tokens});
        *spent = t.spent;
        st = run_handle_turn(r, &t, args.recorded ? args.recorded->is_answer : p.is_answer, e);
        if (!st) remember_plan(r, &t);
        turn_release(&t);
    }
    ids_release(&opening);
    return st;
}

/* ---- a run ---- */

static bool keeps_signature(const struct run *r)
{
    const struct task *t = &r->task;
    return r->a->opts.keeps_signature && t->signature.n && (r->a->is_tiny || t->is_stub);
}

/* The line that the asked function begins with, as far as the task gives it.  A tiny model
 * miscopies even the name: its first "def" is made to be that line.  Another model is held
 * to a stub only, and only once it has written the name itself. */
static enum status prepare_line(struct run *r, struct err *e)
{
    const struct task *t = &r->task;
    const struct agent *a = r->a;
    const bool has_line = keeps_signature(r);
    struct str_buf b;
    if (!t->name.n || !(a->is_tiny || has_line)) return QA_OK;
    str_buf_init(&b, t->name.n + t->signature.n + 16);
    if (has_line) {
        str_buf_add(&b, t->signature);
        str_buf_add_char(&b, '\n');
    } else {
        str_buf_add_z(&b, "def ");
        str_buf_add(&b, t->name);
    }
    const size_t from = a->is_tiny ? STR("def").n : STR("def (").n + t->name.n;
    const enum status st =
        protocol_line_init(&r->line, a->opts.engine, str_buf_str(&b), from, a->is_tiny, e);
    str_buf_release(&b);
    return st;
}

/* The settings that recording_settings() reads again. */
static json_t *log_limits(const struct agent_limits *l)
{
    return json_pack("{s:i, s:f, s:I, s:i, s:f, s:i, s:I, s:I}", "max_iter", l->max_iter,
                     "timeout_s", l->timeout_s, "max_tokens", (json_int_t)l->max_tokens,
                     "think_tokens", l->think_tokens, "tool_total_s", l->tool_total_s,
                     "tool_timeout_ms", l->tool.timeout_ms, "tool_memory_bytes",
                     (json_int_t)l->tool.memory_bytes, "tool_output_bytes",
                     (json_int_t)l->tool.output_bytes);
}

static json_t *log_sampling(const struct sampling *s)
{
    char seed[20];
    snprintf(seed, sizeof seed, "%llx", (unsigned long long)s->seed);
    return json_pack("{s:f, s:i, s:f, s:f, s:f, s:f, s:i, s:s}", "temp", (double)s->temp,
                     "top_k", s->top_k, "top_p", (double)s->top_p, "min_p", (double)s->min_p,
                     "presence_penalty", (double)s->presence_penalty, "repetition_penalty",
                     (double)s->repetition_penalty, "penalty_last_n", s->penalty_last_n, "seed",
                     seed);
}

static void log_start(struct run *r, struct str task)
{
    const struct agent *a = r->a;
    const struct agent_opts *o = &a->opts;
    const struct engine_info *info = engine_info(o->engine);
    char hash[20];
    if (!r->log || r->talk) return;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)info->model_hash);
    json_t *start = json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:i, s:i, s:I}", "model",
        info->name, "model_path", o->model_path ? o->model_path : "", "model_hash", hash,
        "n_params", (json_int_t)info->n_params, "kernels", info->kernels, "kv",
        o->kv ? o->kv : "", "n_threads", info->n_threads, "sandbox",
        sandbox_statement(o->sandbox), "python", sandbox_python_version(o->sandbox), "retry",
        agent_retry_name(o->retry), "candidates", o->n_candidates, "n_draft", o->n_draft,
        "n_copy", o->n_copy, "ctx_tokens", (json_int_t)session_cap_tokens(a->session));
    json_object_set_new(start, "limits", log_limits(&o->limits));
    json_object_set_new(start, "sampling", log_sampling(&o->sampling));
    json_object_set_new(start, "n_prefix", json_integer(a->n_prefix));
    json_object_set_new(start, "prefix_ids",
                        transcript_ids(session_ids(a->session), (size_t)a->n_prefix));
    json_object_set_new(start, "name", transcript_text(r->task.name));
    json_object_set_new(start, "keeps_signature", json_boolean(o->keeps_signature));
    if (keeps_signature(r)) {
        json_object_set_new(start, "signature", transcript_text(r->task.signature));
    }
    json_object_set_new(start, "task", transcript_text(task));
    transcript_add(r->log, "start", start);
}

/* The run's first line, or the recording that has it. */
static enum status begin_recording(struct run *r, struct str task, struct err *e)
{
    const struct agent *a = r->a;
    if (!r->recording) log_start(r, task);
    return recording_begin(r->recording, r->log, session_ids(a->session), (size_t)a->n_prefix,
                           e);
}

static enum status open_log(struct run *r, struct err *e)
{
    uint64_t n_torn = 0;
    if (r->talk) r->log = r->talk->log;
    if (r->talk || !r->a->session_path) return QA_OK;
    const enum status st = transcript_open(&r->log, r->a->session_path, &n_torn, e);
    if (!st && n_torn) {
        run_notice(r, "session log: a torn last line of %llu bytes was cut off",
                   (unsigned long long)n_torn);
    }
    return st;
}

/* The task behind the prefix (a message: behind the conversation), and a mark behind
 * that. */
static enum status add_task(struct run *r, struct str task, struct err *e)
{
    struct agent *a = r->a;
    const int64_t cap = session_cap_tokens(a->session);
    const int64_t before = session_n_tokens(a->session);
    enum status st = QA_OK;
    if (!r->talk && before != a->n_prefix) st = session_rewind(a->session, a->mark, e);
    if (st) return st;
    const int64_t kept = session_n_tokens(a->session);
    r->result->n_reused_tokens = kept;
    run_add_user(r, task);
    struct ids ids = {0};
    st = chat_encode(a->opts.engine, &r->pending, &ids, e);
    const int64_t need = kept + (int64_t)ids.n + QA_MIN((int64_t)ANSWER_RESERVE, cap / 4);
    ids_release(&ids);
    if (st) return st;
    if (need > cap) {
        r->is_full = true;
        run_notice(
            r, "the task needs %lld tokens of context with room for an answer; there are %lld",
            (long long)need, (long long)cap);
        return QA_OK;
    }
    st = run_append(r, &r->pending, "task", e);
    if (!st) st = session_mark(a->session, &r->mark, e);
    r->has_mark = !st;
    if (r->talk) r->talk->has_message = r->has_mark;
    return st;
}

static void fill_stats(struct run *r)
{
    struct agent_result *out = r->result;
    const struct session_stats now = session_stats(r->a->session);
    out->n_iterations = r->iteration;
    out->n_prompt_tokens = (int64_t)(now.n_prefilled - r->stats.n_prefilled);
    out->n_generated_tokens = r->budget.n_tokens;
    out->n_drafted = now.n_drafted - r->stats.n_drafted;
    out->n_accepted = now.n_accepted - r->stats.n_accepted;
    out->prefill_s = now.prefill_s - r->stats.prefill_s;
    out->decode_s = now.decode_s - r->stats.decode_s;
    out->tool_s = r->budget.tool_s;
    out->total_s = budget_elapsed_s(&r->budget);
    if (out->decode_s > 0) out->peak_tps = (double)out->n_generated_tokens / out->decode_s;
}

static void announce_start(struct run *r, struct str task)
{
    run_event(r, &(struct agent_event){
                     .type = AGENT_STARTED,
                     .text = task,
                     .n_tokens = session_n_tokens(r->a->session),
                     .n_reused = r->result->n_reused_tokens,
                 });
    if (!r->a->knows_template) {
        run_notice(r, "the model's chat template is not one of the known three; using %s",
                   chat_template_name(r->a->chat.tmpl));
    }
}

static void announce_end(struct run *r)
{
    const struct agent_result *out = r->result;
    transcript_add(
        r->log, "end",
        json_pack("{s:s, s:i, s:o, s:o, s:i, s:i, s:I, s:I, s:I, s:f, s:f, s:f, s:f}",
                  "outcome", agent_outcome_name(out->outcome), "exit",
                  agent_outcome_exit(out->outcome), "answer",
                  transcript_text((struct str){out->answer, out->n_answer}), "code",
                  transcript_text((struct str){out->code, out->n_code}), "n_iterations",
                  out->n_iterations, "n_tool_calls", out->n_tool_calls, "n_prompt_tokens",
                  (json_int_t)out->n_prompt_tokens, "n_reused_tokens",
                  (json_int_t)out->n_reused_tokens, "n_generated_tokens",
                  (json_int_t)out->n_generated_tokens, "total_s", out->total_s, "prefill_s",
                  out->prefill_s, "decode_s", out->decode_s, "tool_s", out->tool_s));
    if (out->answer) run_emit(r, AGENT_ANSWER, (struct str){out->answer, out->n_answer});
    run_event(r, &(struct agent_event){.type = AGENT_DONE, .result = out});
}

/* One candidate: turns until there is an answer. */
static enum status iterate(struct run *r, enum budget_end *spent, struct err *e)
{
    enum status st = QA_OK;
    while (!st && !r->is_accepted && !r->is_full && r->iteration < run_last_iteration(r)) {
        *spent = budget_spent(&r->budget);
        if (*spent != BUDGET_LEFT) break;
        r->iteration++;
        run_event(r, &(struct agent_event){.type = AGENT_ITERATION,
                                           .n_tokens = session_n_tokens(r->a->session)});
        st = run_turn(r, spent, e);
        if (*spent != BUDGET_LEFT) break;
    }
    if (!st && !r->is_accepted && *spent == BUDGET_LEFT) *spent = budget_spent(&r->budget);
    return st;
}

/* --candidates: whole attempts from the task's mark, each with all its iterations; what
 * passed is put to the vote. */
static enum status iterate_all(struct run *r, enum budget_end *spent, struct err *e)
{
    const int n = r->talk || !r->task.wants_code ? 1 : QA_MAX(r->a->opts.n_candidates, 1);
    enum status st = iterate(r, spent, e);
    for (int i = 2; i <= n && !st && *spent == BUDGET_LEFT && !r->is_full; i++) {
        if (r->is_accepted) st = judge_keep(r, e);
        if (!st) st = run_return_to_task(r, e);
        if (st) break;
        r->is_accepted = r->wants_answer = false;
        r->n_before = r->iteration;
        r->n_failures = 0;
        run_notice(r, "candidate %d of %d", i, n);
        st = iterate(r, spent, e);
    }
    if (!st && n > 1) {
        if (r->is_accepted) st = judge_keep(r, e);
        if (!st) judge_vote(r);
    }
    if (*spent != BUDGET_LEFT && *spent != BUDGET_STOP) {
        run_notice(r, "the %s budget is spent", budget_end_name(*spent));
    }
    return st;
}

static void release_run(struct run *r)
{
    if (r->has_mark) session_drop_mark(r->a->session, r->mark);
    chat_text_release(&r->pending);
    protocol_line_release(&r->line);
    candidate_release(&r->best);
    for (int i = 0; i < r->n_passed; i++) {
        candidate_release(&r->passed[i]);
    }
    free(r->passed);
    if (!r->talk) transcript_close(r->log);
    tried_release(&r->tried);
    paths_release(&r->paths);
    free(r->prose);
    free(r->last_code);
    free(r->last_result);
}

enum status run_task(struct agent *a,
                     struct run_talk *talk,
                     struct str task,
                     const char *entry_point,
                     struct agent_result *out,
                     struct err *e)
{
    struct agent_result result = {0};
    struct err own = {0};
    enum budget_end spent = BUDGET_LEFT;
    struct run r = {.a = a,
                    .talk = talk,
                    .recording = talk ? NULL : a->opts.recording,
                    .result = &result,
                    .is_at_task = true};
    r.is_sampled = talk && talk->wants_other;
    r.branches =
        a->opts.n_candidates <= 1 && (a->opts.retry == AGENT_RETRY_BRANCH ||
                                      (a->opts.retry == AGENT_RETRY_AUTO && a->is_tiny));
    r.stats = session_stats(a->session);
    task = chat_trim(task);
    task_read(&r.task, task, entry_point);
    budget_init(&r.budget, &a->opts.limits, a->opts.stop);
    rng_init(&r.rng, a->opts.sampling.seed, 1);
    chat_text_init(&r.pending);

    enum status st = open_log(&r, &own);
    if (st) goto fail; /* nothing has happened yet: an error of the caller's */
    st = prepare_line(&r, &own);
    if (!st) st = begin_recording(&r, task, &own);
    if (!st) st = add_task(&r, task, &own);
    announce_start(&r, task);
    if (!st) st = iterate_all(&r, &spent, &own);
    if (st == QA_E_STOP) {
        const bool is_late = budget_spent(&r.budget) == BUDGET_TIME;
        spent = is_late ? BUDGET_TIME : BUDGET_STOP;
        if (is_late) run_notice(&r, "the %s budget is spent", budget_end_name(spent));
        st = QA_OK;
    }
    fill_stats(&r);
    if (!st) st = judge_finish(&r, spent, &own);
    if (!st && talk && talk->has_message) st = run_settle(&r, &own);
    if (st) {
        run_notice(&r, "%s", own.text);
        result.outcome = AGENT_FAILED;
    }
    recording_end(r.recording, result.outcome == AGENT_INTERRUPTED);
    announce_end(&r);
    if (!st) st = transcript_check(r.log, &own);
    release_run(&r);
    if (st && e) *e = own; /* told beside the outcome */
    *out = result;
    return QA_OK;

fail:
    release_run(&r);
    if (e) *e = own;
    return st;
}

enum status agent_run(struct agent *a,
                      struct str task,
                      const char *entry_point,
                      struct agent_result *out,
                      struct err *e)
{
    return run_task(a, NULL, task, entry_point, out, e);
}
