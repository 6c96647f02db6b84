/* program.h - the one way in which the loop runs a program: in the jail, or as its log
 * tells that it ended. */
#ifndef QA_AGENT_PROGRAM_H
#define QA_AGENT_PROGRAM_H

#include "agent/budget.h"
#include "agent/recording.h"
#include "agent/transcript.h"

/* All borrowed. */
struct programs {
    struct sandbox *sandbox;
    struct recording *recording; /* NULL: none */
    struct transcript *log;      /* NULL: none */
};

/* sandbox_run() of a cell.  A result is logged as "program", but for one that the user
 * interrupted: that is run again when the run is resumed. */
enum status program_run(const struct programs *p,
                        struct str code,
                        const struct run_limits *limits,
                        const volatile int *stop,
                        struct run_result *out,
                        struct err *e) MUST_USE;

#endif
