/* trace_file.h - every output of every verb as a line: written, or compared with an
 * earlier run's. */
#ifndef QA_CMD_TRACE_FILE_H
#define QA_CMD_TRACE_FILE_H

#include "engine/engine.h"

struct trace_file;

/* Write to `path`, or compare with what it holds. */
enum status trace_file_open(struct trace_file **out,
                            const char *path,
                            bool is_comparing,
                            struct err *e) MUST_USE;
void trace_file_close(struct trace_file *t); /* NULL is fine */

struct engine_tracer trace_file_tracer(struct trace_file *t);

/* After the run.  Comparing: what was found goes to stdout, *is_same says it. */
enum status trace_file_end(struct trace_file *t, bool *is_same, struct err *e) MUST_USE;

#endif
