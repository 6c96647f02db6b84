/* transcript.h - the log of a run: one JSON object a line, only ever appended.
 *
 * Every line is written as a whole and reaches the file before the loop goes on, so a
 * run that is killed leaves a log that is complete up to its last event.  A last line
 * that was torn is cut off when the file is opened again. */
#ifndef QA_AGENT_TRANSCRIPT_H
#define QA_AGENT_TRANSCRIPT_H

#include "engine/base/str.h"

#include <jansson.h>

struct transcript; /* NULL is a log that goes nowhere */

/* *n_torn_bytes: what was cut off (0: nothing).  QA_E_IO also where another run has the
 * log open: two would write into each other. */
enum status transcript_open(struct transcript **out,
                            const char *path,
                            uint64_t *n_torn_bytes,
                            struct err *e) MUST_USE;
void transcript_close(struct transcript *t);

/* Append `event` (taken) with "v", "t" (seconds since the log was opened) and "type"
 * put in front.  After a failure nothing more is written; see transcript_check. */
void transcript_add(struct transcript *t, const char *type, json_t *event);
/* While held, events are dropped: the file has them already. */
void transcript_hold(struct transcript *t, bool is_held);
enum status transcript_check(const struct transcript *t, struct err *e) MUST_USE;

/* Values for events.  Text of any bytes: what is no UTF-8 becomes U+FFFD. */
json_t *transcript_text(struct str s);
json_t *transcript_ids(const int32_t *ids, size_t n);

#endif
