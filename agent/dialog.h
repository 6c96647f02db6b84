/* dialog.h - what talk.c (messages), compact.c (a full context) and saved.c (files)
 * share.  Private to the room. */
#ifndef QA_AGENT_DIALOG_H
#define QA_AGENT_DIALOG_H

#include "agent/record.h"
#include "agent/run.h"
#include "agent/talk.h"

enum { TALK_MARKS = 8 }; /* each holds a copy of the recurrent state */

struct talk_mark {
    int mark;
    int64_t n_tokens;
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
    int n_retries;
    bool was_kept, was_compacted;
};

/* Apply an event (taken) to the record and write it to the log. */
enum status talk_event(struct talk *t, const char *type, json_t *event, struct err *e) MUST_USE;
/* Make the session hold the record's tokens, from the nearest mark on. */
enum status talk_restore(struct talk *t, struct err *e) MUST_USE;
void talk_emit(const struct talk *t, const struct agent_event *ev);
void talk_notice(struct talk *t, const char *fmt, ...) PRINTF(2, 3);

/* ---- saved.c ---- */

/* A path for a new log in t->dir that no file has. */
void talk_new_path(const struct talk *t, char path[1024]);

#endif
