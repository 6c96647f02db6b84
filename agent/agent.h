/* agent.h - the door of the agent: one task in, think-execute-observe, one answer out.
 *
 * The loop pulls bursts from an engine session, splits them into thinking, text
 * and tool calls, runs calls in the sandbox, appends results, and ends with an
 * answer or a reason, always within its limits.  Text flows outwards through one
 * optional sink, which cannot steer.
 *
 * Threads: one thread per agent; agents of one engine run at once and share passes. */
#ifndef QA_AGENT_H
#define QA_AGENT_H

#include "engine/engine.h"
#include "sandbox/sandbox.h"

struct agent;
struct recording; /* recording.h */

struct agent_limits {
    int max_iter;           /* model turns, the last one being an answer step; >= 1     */
    double timeout_s;       /* wall clock of the whole task; 0: none                    */
    int64_t max_tokens;     /* generated tokens; 0: none                                */
    int think_tokens;       /* thinking budget per turn; -1: none, 0: thinking off      */
    struct run_limits tool; /* of one code_execution call                               */
    double tool_total_s;    /* of all of them together; 0: none                         */
};
struct agent_limits agent_limits_default(void); /* 5 turns, 10 minutes, no token limit */

/* What a turn that failed (a crash, an example of the task with another result) is
 * followed by.  The choice is told as a notice. */
enum agent_retry {
    AGENT_RETRY_AUTO,   /* branch for models below 100 M parameters; else repair, then fresh */
    AGENT_RETRY_REPAIR, /* the result is appended and the model repairs                     */
    AGENT_RETRY_FRESH,  /* back to the task: other thinking, sampled; code stays greedy     */
    AGENT_RETRY_LESSON, /* back to the task, with two lines about what failed               */
    AGENT_RETRY_BRANCH, /* back to the task, on the likeliest way not gone yet (paths.h)    */
};
const char *agent_retry_name(enum agent_retry r);           /* "auto", "repair", ... */
bool agent_retry_of(const char *name, enum agent_retry *r); /* false: no such policy */

/* What happens, as it happens.  Text is borrowed for the call. */
enum agent_event_type {
    AGENT_STARTED,        /* n_tokens: prompt, n_reused: already computed           */
    AGENT_PREFILL,        /* a long prompt: n_tokens of n_total are computed        */
    AGENT_COMPACTED,      /* text: the summary; n_total tokens became n_tokens      */
    AGENT_ITERATION,      /* iteration: 1..                                         */
    AGENT_THINK,          /* text: more thinking                                    */
    AGENT_TEXT,           /* text: more of the answer text                          */
    AGENT_TOOL_CODE,      /* text: more of the code while it is being written       */
    AGENT_TOOL_STARTED,   /* text: the whole code                                   */
    AGENT_TOOL_DONE,      /* text: what goes back to the model; run: the result     */
    AGENT_NOTICE,         /* text: what the loop decided, one line                  */
    AGENT_ITERATION_DONE, /* n_tokens: generated in this turn                       */
    AGENT_ANSWER,         /* text: the final answer                                 */
    AGENT_DONE,           /* result: how it ended                                   */
};
struct agent_result;
struct agent_event {
    enum agent_event_type type;
    int iteration;
    struct str text;
    int64_t n_tokens, n_reused, n_total;
    double t_s; /* since agent_run began, monotonic */
    const struct run_result *run;
    const struct agent_result *result;
};
struct agent_sink {
    void (*event)(void *ctx, const struct agent_event *ev);
    void *ctx;
};

/* How a run ended; agent_outcome_exit gives the exit code of `qagent solve`. */
enum agent_outcome {
    AGENT_ANSWERED,      /* 0  answered, its own checks passed or there were none     */
    AGENT_NO_ANSWER,     /* 4  nothing usable came out                                */
    AGENT_ITER_SPENT,    /* 5  iteration budget spent without an answer               */
    AGENT_BUDGET_SPENT,  /* 6  time or token budget spent                             */
    AGENT_CONTEXT_FULL,  /* 8  the task does not fit the context                      */
    AGENT_CHECKS_FAILED, /* 9  answered, but its own checks failed                    */
    AGENT_INTERRUPTED,   /* 130                                                       */
    AGENT_FAILED,        /* 1  internal error, text in struct err                     */
};
const char *agent_outcome_name(enum agent_outcome o);
int agent_outcome_exit(enum agent_outcome o);

struct agent_result {
    enum agent_outcome outcome;
    char *answer; /* final text as shown; owned; NULL when there is none          */
    char *code;   /* the code of the answer, fences removed; owned; may be NULL   */
    size_t n_answer, n_code;
    int n_iterations, n_tool_calls;
    int64_t n_prompt_tokens;    /* computed for prompts and tool results               */
    int64_t n_reused_tokens;    /* not computed again                                  */
    int64_t n_generated_tokens; /* sampled                                             */
    uint64_t n_drafted, n_accepted;
    double total_s, prefill_s, decode_s, tool_s;
    double peak_tps; /* n_generated / decode_s */
};
void agent_result_release(struct agent_result *r);

/* Context when nobody asks for one, at most the model's own; marks that a run holds at the
 * same time: behind the prefix, behind the task, while a full context is summed up. */
enum { AGENT_CTX = 65536, AGENT_MARKS = 3 };

struct agent_opts {
    struct engine *engine;   /* borrowed; the agent opens and closes its own sessions  */
    struct sandbox *sandbox; /* borrowed                                               */
    struct agent_limits limits;
    struct sampling sampling; /* of thinking; code and answers are greedy, and so is the
                               * first turn of a model below 100 M parameters.  Thinking
                               * afresh is sampled at temperature 1 or more            */
    enum agent_retry retry;
    bool keeps_signature;        /* a function whose signature the task gives gets that one */
    int64_t ctx_tokens;          /* 0: AGENT_CTX                                           */
    int n_draft, n_copy;         /* -1: default                                            */
    int n_candidates;            /* complete answers to choose from; <= 1: one             */
    const char *session_path;    /* JSONL log to append to; NULL: none                    */
    struct recording *recording; /* borrowed: a run to go on with, or to compare; or NULL */
    const char *model_path, *kv; /* for the log; borrowed; NULL: not known               */
    const char *prefix_dir;      /* keeps the computed prefix between starts; NULL: nothing */
    struct agent_sink sink;
    const volatile int *stop; /* non-zero: stop within one token; may be NULL           */
    volatile int *stop_tool;  /* non-zero: end the program of a call that runs; what it
                               * printed goes to the model.  0 again when the next one
                               * begins.  Who stops sets it after `stop`.  May be NULL  */
};
struct agent_opts agent_opts_default(void);

/* Opens a session and computes the system-and-tools prefix, which later tasks reuse. */
enum status agent_open(struct agent **out, const struct agent_opts *o, struct err *e) MUST_USE;
void agent_close(struct agent *a);

/* Solve one task.  QA_OK whenever *out is filled, whatever the outcome; the
 * result is released by the caller.  entry_point (may be NULL) names the function
 * the task asks for, for choosing among code blocks. */
enum status agent_run(struct agent *a,
                      struct str task,
                      const char *entry_point,
                      struct agent_result *out,
                      struct err *e) MUST_USE;

/* Replace agent_opts.session_path for the next run (eval: one transcript per task). */
void agent_set_session_path(struct agent *a, const char *path);

#endif
