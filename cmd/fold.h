/* fold.h - text and tables that keep to the width of a terminal.
 *
 * A row is cells of fixed widths: those that do not fit go to the next line, and since a
 * heading is folded like the rows below it, each value still stands under its name.
 * Columns are characters; wide ones are not counted twice. */
#ifndef QA_CMD_FOLD_H
#define QA_CMD_FOLD_H

#include "engine/base/str.h"

enum { FOLD_CELL_MAX = 64 }; /* bytes of a cell's text, its end included */

struct fold {
    struct str_buf out; /* owned */
    int width;          /* columns of a line, at least 1; 0: no limit */
    int column;         /* of the line so far */
};

/* As wide as the terminal that fd is; without a limit when it is none. */
void fold_init(struct fold *f, int fd);
void fold_release(struct fold *f);

/* At least `width` columns: right-aligned, with a blank before it; width < 0: left-aligned. */
void fold_cell(struct fold *f, int width, const char *fmt, ...) PRINTF(3, 4);
/* Words, broken at blanks, within words only when one is longer than a line.  Further
 * lines begin with so many blanks. */
void fold_words(struct fold *f, int indent, const char *fmt, ...) PRINTF(3, 4);
void fold_line(struct fold *f); /* ends the line */

#endif
