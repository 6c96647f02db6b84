/* eval_view.h - what a run of a suite looks like while it runs.
 *
 * On a terminal: a line for each finished sample and a live line under them.
 * Elsewhere: the lines alone.  With --json: events on stdout, one a line. */
#ifndef QA_EVAL_VIEW_H
#define QA_EVAL_VIEW_H

#include "humaneval/suite.h"

struct eval_view {
    bool want_json, is_live, has_colour;
    double start_s, task_s, drawn_s;
    size_t n_before; /* samples that were there on resuming   */
    char task[96];   /* being worked on                       */
    int iteration;
    int64_t n_tokens;  /* of this task, as far as told          */
    const char *doing; /* static text                           */
    struct suite_stats stats;
};
void eval_view_init(struct eval_view *v, bool want_json);
void eval_view_event(void *view, const struct suite_event *ev);
void eval_view_agent(void *view, const struct agent_event *ev); /* for agent_sink */
/* Takes the live line away. */
void eval_view_clear(struct eval_view *v);
void eval_view_end(struct eval_view *v, const char *state);

#endif
