/* prefix.h - the system-and-tools prefix on disk, so that the next start need not
 * compute it.
 *
 * One file per session_key(): weights, KV formats, kernels, drafting and tokens.  The
 * folder holds at most PREFIX_FILES of them; the one not used for longest goes first.
 * A prefix that is computed faster than a file is read is not kept, and a cache that
 * cannot be read or written costs one notice and nothing else. */
#ifndef QA_AGENT_PREFIX_H
#define QA_AGENT_PREFIX_H

#include "agent/agent.h"

enum { PREFIX_FILES = 8 };

/* Make the session, just opened on g, hold exactly ids.  dir NULL or "": no cache. */
enum status prefix_sync(struct session *s,
                        const struct engine *g,
                        const char *dir,
                        const struct ids *ids,
                        const struct agent_sink *sink,
                        struct err *e) MUST_USE;

#endif
