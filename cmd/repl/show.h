/* show.h - what happens in a session, as a person reads it.
 *
 * On a terminal everything goes by on one screen: thinking dim, calls as titled blocks
 * with status and time, answers as text.  Else (a pipe, TERM=dumb) plain lines without
 * escapes; with a pipe as input answers go to standard output and the rest to standard
 * error. */
#ifndef QA_REPL_SHOW_H
#define QA_REPL_SHOW_H

#include "cmd/repl/screen.h"
#include "cmd/repl/work.h"
#include "cmd/view.h"

enum show_state {
    SHOW_LOADING,
    SHOW_READY,
    SHOW_READING, /* a prompt is computed */
    SHOW_THINKING,
    SHOW_WRITING,
    SHOW_RUNNING,
    SHOW_STOPPING,
    SHOW_WORKING, /* a job without a model's turn, or not begun yet */
};

enum { SHOW_OUTPUTS = 32 }; /* outputs of tools kept for /out */

struct show {
    struct screen *screen;  /* borrowed: the terminal, or plain progress            */
    struct screen *answers; /* borrowed: where answers go; may be the same          */
    bool is_piped;          /* answers are written once, when they are final       */
    bool hides_thinking;
    enum show_state state;
    int iteration, max_iter;
    int64_t n_context, cap_context; /* tokens used, and room                     */
    int64_t n_done, n_total;        /* of loading (bytes) or reading (tokens)        */
    double since_s;                 /* when this state began                        */
    double turn_s, job_s;           /* when the turn and the job began              */
    int64_t n_turn;                 /* tokens of the turn                           */
    double rate_tps;                /* of the turn; of the last one when idle       */
    struct view_tail tail;          /* half a character of the part being shown     */
    enum agent_event_type part;     /* being shown                                  */
    bool is_in_fence;               /* the answer is within a code fence            */
    struct str_buf said;            /* text of the turn so far                      */
    struct str_buf line;            /* of the answer: how its line begins, not sure yet */
    bool is_sure;                   /* it is known how to show the line ...         */
    enum screen_style line_style;   /* ... like this                                */
    struct str_buf scratch;
    struct str_buf answer; /* the last one, whole                          */
    struct str_buf output[SHOW_OUTPUTS];
    int n_outputs; /* ever; the last is output[(n - 1) % SHOW_OUTPUTS] */
    /* Of the session: */
    int n_messages, n_calls;
    int64_t n_generated, n_prompt, n_reused;
    double decode_s, prefill_s, tool_s, total_s;
    enum agent_outcome outcome; /* of the last message */
};
void show_init(struct show *s, struct screen *progress, struct screen *answers, bool is_piped);
void show_release(struct show *s);

void show_state(struct show *s, enum show_state state);
/* A message is sent: its text goes by. */
void show_message(struct show *s, const char *text);
void show_event(struct show *s, const struct work_event *ev);
/* Any text of ours or of others, made inert. */
void show_text(struct show *s, enum screen_style style, struct str text);
/* The status line, made for `columns`; n_queued messages wait.  `hint` (may be NULL)
 * stands in its place. */
void show_status(const struct show *s, struct str_buf *to, size_t n_queued, const char *hint);
/* "thinking", "ready", ... */
const char *show_state_word(const struct show *s);
/* Output number i, 1 the first; NULL when it is not kept. */
const struct str_buf *show_output(const struct show *s, int i);

#endif
