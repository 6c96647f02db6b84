/* foreign.h - files that people take for models, called by their names.
 *
 * Both only write a refusal: one line that says what the file is. */
#ifndef QA_FOREIGN_H
#define QA_FOREIGN_H

#include "engine/gguf.h"

enum { FOREIGN_HEAD_BYTES = 512 }; /* as much as foreign_refuse() wants to see       */

/* `head` begins a file of n_file bytes and is no GGUF.  Always QA_E_FORMAT. */
enum status foreign_refuse(struct str head, size_t n_file, struct err *e);

/* A GGUF file that is no language model of ours for a reason that its tensors or keys
 * give away: adapter, projector, importance matrix, ...  QA_OK: nothing of the kind. */
enum status foreign_check(const struct gguf *g, struct err *e) MUST_USE;

#endif
