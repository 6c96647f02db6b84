/* choose.h - which tasks of a suite a run takes. */
#ifndef QA_CHOOSE_H
#define QA_CHOOSE_H

#include "humaneval/suite.h"

/* Indices into s->tasks, in the suite's order; the list is the caller's to free.
 * QA_E_USAGE: a word of o->tasks names no task, or nothing is left. */
enum status choose_tasks(size_t **chosen,
                         size_t *n_chosen,
                         const struct scorer *s,
                         const struct suite_opts *o,
                         struct err *e) MUST_USE;

#endif
