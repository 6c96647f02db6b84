/* eval_view.h - what a run of a suite looks like while it runs.
 *
 * On a terminal: a line for each finished sample and a live line under them.
 * Elsewhere: the lines alone.  With --json: events on stdout, one a line. */
#ifndef QA_EVAL_VIEW_H
#define QA_EVAL_VIEW_H

#include "humaneval/suite.h"

#include <pthread.h>

/* A task in flight. */
struct eval_job {
    struct eval_view *view;
    double task_s;
    char task[96]; /* "" before the first */
    int iteration;
    const char *doing; /* static text */
};
struct eval_view {
    pthread_mutex_t lock; /* events come from the threads of all tasks in flight */
    bool want_json, is_live, has_colour;
    double start_s, drawn_s;
    size_t n_before; /* samples that were there on resuming   */
    int n_jobs;
    struct eval_job job[SUITE_MAX_JOBS];
    struct suite_stats stats;
};
void eval_view_init(struct eval_view *v, bool want_json, int n_jobs);
void eval_view_event(void *view, const struct suite_event *ev);
void eval_view_agent(void *job,
                     const struct agent_event *ev); /* for agent_sink; &view->job[i] */
/* Takes the live line away. */
void eval_view_clear(struct eval_view *v);
void eval_view_end(struct eval_view *v, const char *state);

#endif
