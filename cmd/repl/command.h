/* command.h - the commands that are not in command.c.  Private to it. */
#ifndef QA_REPL_COMMAND_H
#define QA_REPL_COMMAND_H

#include "cmd/repl/repl.h"

void command_usage(struct repl *r, const char *usage);

/* ---- command_talk.c ---- */

void do_new(struct repl *r, const char *arg);
void do_undo(struct repl *r, const char *arg);
void do_redo(struct repl *r, const char *arg);
void do_rewind(struct repl *r, const char *arg);
void do_retry(struct repl *r, const char *arg);
void do_fork(struct repl *r, const char *arg);
void do_compact(struct repl *r, const char *arg);
void do_queue(struct repl *r, const char *arg);
void do_sessions(struct repl *r, const char *arg);
void do_resume(struct repl *r, const char *arg);

/* ---- command_text.c ---- */

void do_save(struct repl *r, const char *arg);
void do_export(struct repl *r, const char *arg);
void do_copy(struct repl *r, const char *arg);
void do_run(struct repl *r, const char *arg);
void do_diff(struct repl *r, const char *arg);
void do_edit(struct repl *r, const char *arg);

#endif
