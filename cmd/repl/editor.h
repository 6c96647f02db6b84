/* editor.h - a text in the user's editor. */
#ifndef QA_REPL_EDITOR_H
#define QA_REPL_EDITOR_H

#include "engine/base/str.h"

/* Waits until the editor (opt_editor) has ended; the terminal is its own in between.
 * *text is replaced by what was saved, without the newline at its end.
 *   QA_E_IO  no temporary file, the editor failed; *text is as it was */
enum status editor_run(char **text, struct err *e) MUST_USE;

#endif
