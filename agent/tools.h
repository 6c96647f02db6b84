/* tools.h - the tools a model may call: one table of name and function. */
#ifndef QA_AGENT_TOOLS_H
#define QA_AGENT_TOOLS_H

#include "agent/program.h"
#include "agent/toolcall.h"

enum { TOOLS_RESULT_MAX_BYTES = 16 << 10 };

struct tools {
    struct programs programs;
    struct run_limits limits;
    const struct budget *budget;
    volatile int *stop; /* agent_opts.stop_tool; NULL: none */
};

/* What one call came to.  `text` goes back to the model. */
struct tool_result {
    struct str_buf text;   /* owned                                        */
    struct run_result run; /* owned; when has_run                           */
    bool has_run;          /* a program was run                             */
    bool is_ok;            /* it ended well                                 */
    bool was_stopped;      /* by the user; the run itself goes on           */
    struct str code;       /* the program; borrowed from the call           */
};
void tool_result_release(struct tool_result *r);

/* The program of a call, to be shown before it is run; n = 0 when it has none. */
struct str tools_code(const struct toolcall *c);

/* Run a call.  QA_OK whatever came of it, a call that names no tool included: then
 * the text says what there is.  An error is the jail's. */
enum status tools_run(const struct tools *t,
                      const struct toolcall *c,
                      struct tool_result *out,
                      struct err *e) MUST_USE;

/* The fixed form of docs/internals/code-execution.md, without blanks at its ends and
 * within max_bytes (head 40 %, tail 60 %). */
void tools_format(struct str_buf *b,
                  const struct run_result *r,
                  const struct run_limits *limits,
                  size_t max_bytes);

/* s with what is no UTF-8, and what str_is_steering tells, as U+FFFD. */
void tools_add_inert(struct str_buf *b, struct str s);

#endif
