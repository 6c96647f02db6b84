/* run.h - opening the model for a command: shared words, progress, exit codes. */
#ifndef QA_CMD_RUN_H
#define QA_CMD_RUN_H

#include "agent/agent.h"
#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "engine/engine.h"

/* What a command will open, for the memory check: one session of --ctx tokens, or of
 * `otherwise` where the user gave none, at most the model's own then. */
struct engine_expect run_expect(const struct model_opts *o, int64_t otherwise);

/* What the options say of the engine. */
struct engine_opts run_engine_opts(const struct model_opts *o, const struct engine_expect *x);

/* Open the engine the options ask for (the embedded model when none), with a
 * progress bar on a terminal and one line about what was loaded on stderr unless
 * `is_quiet`.  Returns 0, or the exit code after the error was printed. */
int run_open_engine(struct engine **out,
                    const struct model_opts *o,
                    const struct engine_expect *x,
                    bool is_quiet);
/* The same for text alone: the tokenizer, no weights. */
int run_open_text(struct engine **out, const struct model_opts *o);

/* Sampling defaults of the model card (thinking, precise coding: 0.6 / 0.95 / 20)
 * with what the user gave laid over them. */
struct sampling run_sampling(const struct model_opts *o);

/* Draft length: the user's, else 3. */
int run_n_draft(const struct model_opts *o);
/* Longest copy from the context: the user's, else 8. */
int run_n_copy(const struct model_opts *o);

/* What these options say of an agent; engine, jail, limits and sink are the caller's. */
struct agent_opts run_agent_opts(const struct model_opts *o);

#endif
