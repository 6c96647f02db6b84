/* history.h - lines entered before, each once, newest last; libedit's, and a file.
 *
 * Sessions that run side by side append to one file.  It is written anew only when it
 * has grown to much more than what is kept. */
#ifndef QA_REPL_HISTORY_H
#define QA_REPL_HISTORY_H

#include "engine/base/err.h"

#include <histedit.h>
#include <stddef.h>

struct history {
    HistoryW *lines; /* as libedit wants them                         */
    wchar_t **line;  /* owned: the same, oldest first                 */
    size_t n;
    char path[1024]; /* "": no file */
};
/* path: a file that may be missing, or NULL. */
enum status history_open(struct history *h, const char *path, struct err *e) MUST_USE;
void history_close(struct history *h);
/* Append a line; an equal one before goes.  What cannot be written is no reason to stop. */
void history_add(struct history *h, const wchar_t *line);

#endif
