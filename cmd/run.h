/* run.h - opening the model for a command: shared words, progress, exit codes. */
#ifndef QA_CMD_RUN_H
#define QA_CMD_RUN_H

#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "engine/engine.h"

/* Open the engine the options ask for (the embedded model when none), with a
 * progress bar on a terminal and one line about what was loaded on stderr unless
 * `is_quiet`.  Returns 0, or the exit code after the error was printed. */
int run_open_engine(struct engine **out, const struct model_opts *o, bool is_quiet);

/* Sampling defaults of the model card (thinking, precise coding: 0.6 / 0.95 / 20)
 * with what the user gave laid over them. */
struct sampling run_sampling(const struct model_opts *o);

/* Draft length: the user's, else 3. */
int run_n_draft(const struct model_opts *o);
/* Longest copy from the context: the user's, else 8. */
int run_n_copy(const struct model_opts *o);

#endif
