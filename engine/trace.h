/* trace.h - wraps a backend: what each verb takes, or `ref` beside it.
 *
 * A trace is a backend like any other: every verb of the wrapped one is called, waited
 * for and counted.  With `is_check` the definition runs beside it on the same
 * inputs and the outputs are compared; the wrapped backend's results go on, so each
 * verb is judged alone.
 *
 * Bytes are what the verb must at least move, each once: the weights it reads (of
 * experts those that were chosen), keys and values, state, rows in and out. */
#ifndef QA_TRACE_H
#define QA_TRACE_H

#include "engine/engine.h"
#include "engine/ops.h"

/* Wrap *ops and *dev, which then stand for the trace; closing it closes both.  On failure
 * nothing has changed. */
enum status trace_wrap(const struct ops **ops,
                       struct device **dev,
                       bool is_check,
                       struct engine_tracer tracer,
                       struct err *e) MUST_USE;

/* Of a wrapped device. */
struct verb_stats trace_stats(const struct device *dev, enum verb v);
void trace_reset(struct device *dev);

#endif
