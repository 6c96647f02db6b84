/* repl.h - a session at the terminal: what its parts share. */
#ifndef QA_REPL_REPL_H
#define QA_REPL_REPL_H

#include "cmd/repl/line.h"
#include "cmd/repl/show.h"
#include "cmd/repl/work.h"

enum { REPL_QUEUE = 32 };

struct repl {
    struct work_opts opts;
    struct work *work;
    struct show show;
    struct screen out, err; /* err: of a piped session */
    struct line *line;      /* NULL: plain lines from standard input */
    struct agent_limits limits;
    struct sampling sampling;
    char *queue[REPL_QUEUE]; /* owned; messages and commands that wait, oldest first */
    size_t n_queue;
    char *sent; /* owned: the message that runs */
    char hint[160];
    double hint_until_s, drawn_s;
    double ctrl_c_s, esc_s, program_s; /* when such a key came last; the third: for a program */
    bool is_tty, is_quitting, was_stopped, is_loading;
    bool gives_back; /* what a rewind takes back goes into the line */
    int exit_code;
};

/* A word of ours. */
void repl_say(struct repl *r, enum screen_style style, const char *fmt, ...) PRINTF(3, 4);
void repl_hint(struct repl *r, double seconds, const char *fmt, ...) PRINTF(3, 4);
/* Message or command i of those that wait; owned by the caller. */
char *repl_take_queued(struct repl *r, size_t i);
/* What is typed goes through the user's editor. */
void repl_edit(struct repl *r);
/* Run a job; only while the worker is idle. */
void repl_start(struct repl *r, enum job_type job, const char *text);

/* ---- command.c ---- */

/* May it run while the model works? */
bool command_is_immediate(const char *line);
void command_run(struct repl *r, const char *line);
/* The name of row i, NULL behind the last. */
const char *command_name(size_t i, bool *has_arg);
/* The id of a saved session: the name of its file. */
void command_session_id(const char *path, char id[64]);

/* ---- complete.c ---- */

/* Complete the word being typed, or show what it could be. */
void command_complete(struct repl *r);

#endif
