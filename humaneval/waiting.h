/* waiting.h - finished samples whose turn has not come.
 *
 * With several tasks in flight a later one may finish first, while the log keeps the
 * order of the plan.  Such a record waits in memory and, so that a kill loses nothing,
 * in a file DIR/waiting/INDEX.json, until the ones before it are in the log.
 * Threads: the caller's lock. */
#ifndef QA_WAITING_H
#define QA_WAITING_H

#include "humaneval/entry.h"

struct waiting {
    char *dir;        /* owned */
    struct entry **r; /* owned; [n]; NULL where nothing waits */
    size_t n;
};
/* n: samples of the plan. */
enum status waiting_init(struct waiting *w,
                         const char *run_dir,
                         size_t n,
                         struct err *e) MUST_USE;
void waiting_release(struct waiting *w); /* {0} is fine; files stay */

/* Write the file of sample `index`; safe to call without a lock. */
enum status waiting_save(const struct waiting *w,
                         size_t index,
                         const struct entry *r,
                         struct str task_id,
                         int i_sample,
                         struct err *e) MUST_USE;
/* Read the file of sample `index` if there is one that belongs to this task; another
 * or a damaged one is removed. */
enum status waiting_load(struct waiting *w,
                         size_t index,
                         struct str task_id,
                         int i_sample,
                         struct err *e) MUST_USE;
/* Put a record (moved into the list) in its place; take it out again, NULL: not there. */
enum status waiting_put(struct waiting *w,
                        size_t index,
                        const struct entry *r,
                        struct err *e) MUST_USE;
struct entry *waiting_take(struct waiting *w, size_t index);
/* It is in the log now. */
void waiting_forget(const struct waiting *w, size_t index);
/* Everything is in the log: remove the folder, and what a kill left in it. */
void waiting_clean(const struct waiting *w);

#endif
