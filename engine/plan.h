/* plan.h - how much memory a model will take, by running it dry.
 *
 * The engine's own code opens the model, reserves the activations and opens a session
 * on a backend that counts and gives out nothing.  So the plan cannot forget what the
 * engine takes: it is the same calls. */
#ifndef QA_PLAN_H
#define QA_PLAN_H

#include "engine/engine.h"
#include "engine/gguf.h"
#include "engine/ops.h"
#include "engine/tokenizer.h"

/* Fill *p for `file` and the sessions that o->expect tells of.  Reads no weights. */
enum status plan_make(struct engine_plan *p,
                      struct gguf *file,
                      struct tokenizer *t,
                      const struct ops *ops,
                      int n_threads,
                      const struct engine_opts *o,
                      struct err *e) MUST_USE;

#endif
