/* work.h - the thread that owns jail, model and conversation, so that the terminal never
 * waits: it takes one job at a time and tells what happens as a list of events.
 *
 * Threads: all functions are for the terminal's thread.  While no job runs, the terminal
 * may look at the conversation (work_talk). */
#ifndef QA_REPL_WORK_H
#define QA_REPL_WORK_H

#include "agent/talk.h"
#include "cmd/opt.h"

enum job_type {
    JOB_SEND,
    JOB_RETRY,
    JOB_UNDO,
    JOB_REWIND, /* text: how many messages are left */
    JOB_REDO,
    JOB_NEW,
    JOB_FORK,
    JOB_RESUME,
    JOB_COMPACT, /* text: what must not get lost */
    JOB_RUN,     /* text: a program, for the user */
};

enum work_type {
    WORK_LOADING, /* n_done of n_total bytes of the model are there               */
    WORK_READY,
    WORK_FAILED, /* it cannot go on: text, exit_code                             */
    WORK_AGENT,  /* something happened in a run: see agent                        */
    WORK_DONE,   /* the job has ended: job, status, text                          */
};

struct work_event {
    enum work_type type;
    struct work_event *next;
    enum agent_event_type agent;
    char *text; /* owned; never NULL                                             */
    size_t n_text;
    int iteration;
    int64_t n_tokens, n_reused, n_total;
    double t_s;
    bool has_run; /* AGENT_TOOL_DONE: the four below */
    enum run_status run_status;
    int exit_code; /* also of WORK_FAILED */
    double run_ms;
    struct agent_result result; /* AGENT_DONE: numbers; without answer and code    */
    enum job_type job;
    enum status status;
    bool was_kept; /* WORK_DONE of a message                                       */
};
void work_event_free(struct work_event *ev);

struct work_opts {
    struct model_opts model;
    struct sandbox_opts sandbox;
    struct agent_limits limits;
    const char *dir;    /* of the logs; NULL: nothing is saved */
    const char *resume; /* a log to go on with; NULL: none     */
};
struct work;
enum status work_open(struct work **out, const struct work_opts *o, struct err *e) MUST_USE;
/* Stops what runs and waits for its end. */
void work_close(struct work *w);

int work_fd(const struct work *w);                           /* readable when an event waits */
struct work_event *work_next(struct work *w);                /* owned by the caller; or NULL */
bool work_is_idle(struct work *w);                           /* ready for a job              */
void work_stop(struct work *w);                              /* the job that runs            */
void work_stop_program(struct work *w);                      /* only the program of a call   */
const struct talk *work_talk(const struct work *w);          /* while idle                 */
const struct engine_info *work_engine(const struct work *w); /* NULL before READY   */
const char *work_sandbox(const struct work *w);              /* NULL before READY   */

/* Start a job; text is copied.  Only while idle. */
void work_start(struct work *w,
                enum job_type job,
                const char *text,
                const struct agent_limits *limits,
                const struct sampling *sampling);

#endif
