/* log.h - notices to stderr, one line each, prefixed "qagent: ".
 *
 * Only rooms below cmd use it, and only for notices that change nothing about
 * the result; errors travel in struct err.  Thread-safe: one write per line. */
#ifndef QA_LOG_H
#define QA_LOG_H

#include "engine/base/base.h"

enum log_level { LOG_QUIET, LOG_NOTICE, LOG_DEBUG };

void log_set_level(enum log_level level);
void log_notice(const char *fmt, ...) PRINTF(1, 2);
void log_debug(const char *fmt, ...) PRINTF(1, 2);

#endif
