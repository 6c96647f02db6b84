/* talk.h - a conversation: several messages of a user over one engine session.
 *
 * Each message runs the loop of agent.h behind everything that was said before.
 * Tokens are only appended; the last message, its turns and its results go away by a
 * rewind to the mark in front of it.  The log (agent/record.h) holds every token, so a
 * conversation is resumed without rendering anything again.
 *
 * When the context runs full the middle is replaced by a summary; see talk_compact.
 *
 * Threads: one caller at a time; only talk_stop may come from another thread. */
#ifndef QA_AGENT_TALK_H
#define QA_AGENT_TALK_H

#include "agent/agent.h"

/* In front of the last messages; each holds a copy of the recurrent state. */
enum { TALK_MARKS = 8 };

struct talk;

struct talk_opts {
    struct agent_opts agent; /* session_path, stop: not used                          */
    const char *dir;         /* where logs go; NULL: nothing is saved                  */
};
enum status talk_open(struct talk **out, const struct talk_opts *o, struct err *e) MUST_USE;
void talk_close(struct talk *t); /* NULL is fine */

/* Settings of the next message. */
void talk_set(struct talk *t, const struct agent_limits *limits, const struct sampling *s);

/* One message.  QA_OK whenever *out is filled (release it), whatever the outcome.
 *   QA_E_LIMIT  it can never fit the context; the text has the numbers
 *   QA_E_USAGE  it is empty
 * An outcome of AGENT_INTERRUPTED keeps what was said so far, but a message that was
 * stopped before the model began leaves no trace: see talk_info.was_kept. */
enum status talk_send(struct talk *t,
                      struct str text,
                      struct agent_result *out,
                      struct err *e) MUST_USE;

/* Take the last message back, or the compaction when nothing came after it.  *text
 * (owned by the caller, free()) is the message, NULL when it was a compaction.
 * QA_E_USAGE: there is nothing. */
enum status talk_undo(struct talk *t, char **text, struct err *e) MUST_USE;
/* Take messages back, with the compactions behind them, until n are left; *text is the
 * first of those.  QA_E_USAGE: there are no more than n. */
enum status talk_rewind(struct talk *t, size_t n, char **text, struct err *e) MUST_USE;
/* Bring the message that was taken back last here again, with its answer, as the same
 * tokens.  Possible until something else is sent, compacted or opened.  QA_E_USAGE:
 * there is none. */
enum status talk_redo(struct talk *t, struct err *e) MUST_USE;
/* Take the last message back and send it again with the next seed. */
enum status talk_retry(struct talk *t, struct agent_result *out, struct err *e) MUST_USE;

/* Begin anew, in another log. */
enum status talk_new(struct talk *t, struct err *e) MUST_USE;
/* Go on from here in another log; the present one stays as it is. */
enum status talk_fork(struct talk *t, struct err *e) MUST_USE;
/* Go on with a saved conversation, in its own log.  *unfinished (owned by the caller) is
 * the text of a message that never came to its end, else NULL. */
enum status talk_resume(struct talk *t,
                        const char *path,
                        char **unfinished,
                        struct err *e) MUST_USE;

/* Replace the middle by a summary: the first message, what the user wrote since and the
 * last turns stay to the letter.  The model writes the summary; where it gives nothing
 * usable the results and answers are listed.  `focus` (may be empty) says what must not
 * get lost.  talk_undo leads back.  *summary is borrowed until the next call.
 * QA_E_USAGE: nothing would be gained. */
struct talk_compacted {
    const char *summary;
    bool is_by_model;
    int64_t n_before, n_after;
};
enum status talk_compact(struct talk *t,
                         struct str focus,
                         struct talk_compacted *out,
                         struct err *e) MUST_USE;

/* ---- looking at it ---- */

struct talk_message {
    struct str text, answer, code; /* borrowed; n = 0: none */
    bool is_folded;                /* only in the summary   */
};
struct talk_info {
    int64_t n_tokens, cap_tokens, n_prefix;
    size_t n_messages, n_marks;
    const char *path;    /* of the log; NULL: not saved (yet) */
    const char *summary; /* of the last compaction; NULL: none */
    bool was_kept;       /* the last talk_send left its message in the conversation  */
    bool was_compacted;  /* and compacted before, by itself                           */
    bool does_fit_template;
};
struct talk_info talk_info(const struct talk *t);
struct talk_message talk_get(const struct talk *t, size_t i);

/* The conversation as Markdown. */
void talk_export(const struct talk *t, struct str_buf *to);
/* The same as one JSON object: "model", "summary" (of the last compaction) and
 * "messages", each with "text", "answer", "code" and "is_folded" (only in the summary);
 * null where there is none. */
enum status talk_export_json(const struct talk *t, struct str_buf *to, struct err *e) MUST_USE;

/* Stop what runs, within one token or 50 ms of a program; safe from any thread. */
void talk_stop(struct talk *t);
/* Stop the program of a call that runs, and nothing else: the model is given what it
 * printed and goes on.  Safe from any thread. */
void talk_stop_program(struct talk *t);
/* The stop has been seen to; what comes next runs again. */
void talk_stop_clear(struct talk *t);

/* ---- saved ones ---- */

struct talk_saved {
    char path[1024];
    char first[160]; /* first line of the first message */
    int64_t time_s;  /* of the last change              */
    int n_messages;
};
/* Newest first, at most `max`; returns how many.  Files that are no conversation, or
 * have no message, are passed over. */
size_t talk_list(const char *dir, struct talk_saved *out, size_t max);

#endif
