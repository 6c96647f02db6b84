/* evidence.h - what is known about a piece of code because it was run.
 *
 * Only the definitions are loaded, in a clean worker, and the task's own examples are
 * tried on them; a program's own asserts ran before, as a cell.  What counts more
 * stands first: not loading, examples that crash, examples with another result, the
 * model's own crash, the model's own asserts (it invents wrong expectations). */
#ifndef QA_AGENT_EVIDENCE_H
#define QA_AGENT_EVIDENCE_H

#include "agent/program.h"
#include "agent/task.h"

enum evidence_rank {
    EVIDENCE_NONE,       /* was not run                                          */
    EVIDENCE_BROKEN,     /* does not load, or lacks the asked function           */
    EVIDENCE_CRASHES,    /* an example of the task raises or does not end        */
    EVIDENCE_WRONG,      /* an example of the task has another result            */
    EVIDENCE_OWN_CRASH,  /* the model's own program failed, not in an assert     */
    EVIDENCE_OWN_ASSERT, /* an assert of the model's own failed                  */
    EVIDENCE_GOOD,       /* nothing speaks against it                            */
};
const char *evidence_name(enum evidence_rank r);

struct evidence {
    enum evidence_rank rank;
    int n_checks, n_ok;
    int n_dropped; /* statements of the code that are no definitions (asserts, prints) */
    char *source;  /* the definitions as they stand in the code; owned; NULL if broken */
    size_t n_source;
    char note[240]; /* one line: the first thing that speaks against it              */
    double ms;
};
void evidence_release(struct evidence *v);

/* Load `code` in a clean worker and try the task's examples.  A task that names no
 * function wants a program: that is run as it is. */
enum status evidence_check(const struct programs *p,
                           struct str code,
                           const struct task *t,
                           const struct run_limits *limits,
                           const struct budget *b,
                           struct evidence *out,
                           struct err *e) MUST_USE;

/* Lower the rank by how the model's own program ended.  The task's examples count more:
 * where they all pass, only what the program did besides can have failed. */
void evidence_add_run(struct evidence *v, const struct run_result *r);

#endif
