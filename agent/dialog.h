/* dialog.h - what talk.c (messages), compact.c (a full context) and saved.c (files)
 * share.  Private to the room. */
#ifndef QA_AGENT_DIALOG_H
#define QA_AGENT_DIALOG_H

#include "agent/record.h"
#include "agent/run.h"
#include "agent/talk.h"

struct talk_mark {
    int mark;
    int64_t n_tokens;
};

/* A message that was taken back, for talk_redo. */
struct talk_undone {
    char *text, *answer, *code; /* owned; answer and code may be NULL */
    struct ids ids;             /* owned: its tokens                  */
};

struct talk {
    struct agent *a;
    char *dir; /* owned; NULL: nothing is saved */
    struct record record;
    struct ids own_prefix;  /* owned: of this program, for talk_new */
    struct transcript *log; /* NULL: none yet */
    char path[1024];        /* "" while there is none */
    struct talk_mark mark[TALK_MARKS];
    size_t n_marks;
    volatile int stop, stop_tool;
    struct talk_undone *undone; /* owned; the last one taken back is the last */
    size_t n_undone;
    int n_retries;
    bool was_kept, was_compacted;
};

/* Apply an event (taken) to the record and write it to the log. */
enum status talk_event(struct talk *t, const char *type, json_t *event, struct err *e) MUST_USE;
/* Make the session hold the record's tokens, from the nearest mark on. */
enum status talk_restore(struct talk *t, struct err *e) MUST_USE;
void talk_emit(const struct talk *t, const struct agent_event *ev);
void talk_notice(struct talk *t, const char *fmt, ...) PRINTF(2, 3);

/* Have a log where there is a folder for it. */
enum status talk_open_log(struct talk *t, struct err *e) MUST_USE;
/* What cannot be saved is told once; the conversation goes on. */
void talk_give_up_log(struct talk *t, const struct err *why);

/* ---- undo.c ---- */

/* Something new was said: what was taken back is gone. */
void talk_forget_undone(struct talk *t);

/* ---- saved.c ---- */

/* A path for a new log in t->dir that no file has. */
void talk_new_path(const struct talk *t, char path[1024]);

#endif
