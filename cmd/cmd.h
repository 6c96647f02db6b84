/* cmd.h - the subcommands and what they share.  Only cmd/ prints and exits.
 *
 * Every NAME_main takes argv[0] = "qagent NAME" and returns the process's exit
 * code: 0 done, 1 internal error or a negative result, 2 wrong usage or bad
 * input, 3 the model cannot be loaded, 7 the sandbox cannot be set up, 130/143
 * interrupted; `solve` has more (agent_outcome_exit). */
#ifndef QA_CMD_H
#define QA_CMD_H

#include "engine/base/err.h"

enum {
    EXIT_OK = 0,
    EXIT_INTERNAL = 1,
    EXIT_USAGE = 2,
    EXIT_MODEL = 3,
    EXIT_SANDBOX = 7,
    EXIT_INTERRUPTED = 130,
    EXIT_TERMINATED = 143,
};

int bench_main(int argc, char **argv);
int complete_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int eval_main(int argc, char **argv);
int inspect_main(int argc, char **argv);
int logits_main(int argc, char **argv);
int plan_main(int argc, char **argv);
int repl_main(int argc, char **argv);
int replay_main(int argc, char **argv);
int run_code_main(int argc, char **argv);
int score_main(int argc, char **argv);
int solve_main(int argc, char **argv);
int tokens_main(int argc, char **argv);

/* Set by SIGINT (130), SIGTERM (143) and SIGHUP (129) to the exit code; 0 before.  The handler
 * also calls engine_stop(); a second signal ends the process at once. */
extern volatile int cmd_stop;
/* Install that handler; long-running commands call it before their work. */
void cmd_catch_signals(void);
/* A mapped file that cannot be read is one line and EXIT_MODEL; main() calls it. */
void cmd_catch_bus_errors(void);

/* "qagent: text" on stderr; returns `code`, so `return cmd_fail(EXIT_USAGE, &e)` works. */
int cmd_fail(int code, const struct err *e);

/* The word in `names` (NULL-terminated) nearest to `word`, or NULL when none is near. */
const char *cmd_nearest(const char *word, const char *const *names);

#endif
