/* folder.h - a run's folder read back: for merging, comparing and extracting again. */
#ifndef QA_FOLDER_H
#define QA_FOLDER_H

#include "humaneval/entry.h"

struct folder {
    char *path;         /* owned */
    json_t *summary;    /* owned; has objects "settings", "facts" and array "samples" */
    size_t n_rows;      /* samples, in the order of the plan */
    json_t **row;       /* owned; [n_rows] of tasks.jsonl */
    struct str text[4]; /* owned; tasks, samples, results and scores as stored */
};
/* QA_E_FORMAT: not the folder of a run, or a damaged one. */
enum status folder_open(struct folder *out, const char *path, struct err *e) MUST_USE;
void folder_release(struct folder *f); /* {0} is fine */

/* Names of the four files of rows, in the order of folder.text. */
extern const char *const FOLDER_FILES[4];

/* "complete", "interrupted", ... */
const char *folder_state(const struct folder *f);
struct str folder_task_id(const struct folder *f, size_t i);
int folder_sample(const struct folder *f, size_t i);

#endif
