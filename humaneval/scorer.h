/* scorer.h - the process that knows the tests.
 *
 * scorer_open() forks before anything else is opened.  The child reads the data set,
 * holds its own jail, judges completions and writes results.jsonl and scores.jsonl;
 * the caller, which runs the agent, is told of each task its id, prompt and entry point
 * and of each verdict whether it passed.  Tests, reference solutions and the text of
 * failures (which can quote a test) are never in the caller's memory.  One exception
 * that cannot be: the suite `mini` lies in the program file itself. */
#ifndef QA_SCORER_H
#define QA_SCORER_H

#include "humaneval/humaneval.h"

#include <sys/types.h>

/* All that the agent's side ever sees of a problem; owned by the scorer. */
struct task {
    struct str task_id, prompt, entry_point;
};
struct scorer_opts {
    struct suite_source source;
    struct sandbox_opts sandbox;
    struct score_limits limits;
};
struct scorer {
    pid_t pid;
    int fd;
    struct task *tasks; /* owned */
    size_t n_tasks;
    char data_sha256[65];
    char *sandbox_statement, *python_version; /* owned; set by scorer_begin            */
    double scoring_s;                         /* wall clock spent waiting for verdicts */
};
/* Status as of dataset_open_suite. */
enum status scorer_open(struct scorer *out,
                        const struct scorer_opts *o,
                        struct err *e) MUST_USE;
void scorer_close(struct scorer *s); /* waits for the child; {0} is fine */

/* Open the child's jail and the two files in folder `dir`; `n_keep` rows of them are
 * kept at most.  QA_E_SANDBOX: no jail. */
enum status scorer_begin(struct scorer *s,
                         const char *dir,
                         size_t n_keep,
                         struct err *e) MUST_USE;

struct score {
    bool has_passed, has_timed_out, is_flagged;
    enum canary canary;
    double ms;
};
/* The canary of its name as JSON text, quotes included; CANARY_NONE for others. */
enum canary canary_of_json(struct str quoted);

/* Judge sample number `index` of the run (0, 1, 2, ... in this order; those that the
 * files already hold are looked up and not run again). */
enum status scorer_judge(struct scorer *s,
                         size_t index,
                         struct str task_id,
                         struct str completion,
                         struct score *out,
                         struct err *e) MUST_USE;

#endif
