/* attach.h - @path in a message: the file's text goes along. */
#ifndef QA_REPL_ATTACH_H
#define QA_REPL_ATTACH_H

#include "engine/base/str.h"

enum { ATTACH_MAX_BYTES = 256 << 10, ATTACH_MAX_FILES = 16 };

/* Append the texts of the files that words "@path" of `text` name to *to, each in a code
 * fence with its path; a line about each file goes to *notes, "not attached: ..." where
 * it cannot be: a folder, too large, no text.  A word that names nothing is a word. */
void attach_files(struct str_buf *to, struct str_buf *notes, struct str text);

#endif
