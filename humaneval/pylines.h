/* pylines.h - Python text as lines: which of them begin a statement, and how deep.
 *
 * Not a parser: it knows strings, comments, brackets and joined lines, which is what
 * telling code from its surroundings and moving indentation needs.  Wrong input gives
 * some answer, never an error. */
#ifndef QA_PYLINES_H
#define QA_PYLINES_H

#include "engine/base/str.h"

/* Where the scan stands between two lines; {0} at the start of a text. */
struct pyscan {
    int n_brackets;
    char quote;     /* of the triple-quoted string it is inside of, or 0                */
    bool is_joined; /* the last line ended in a backslash                           */
};
void pyscan_line(struct pyscan *s, struct str line);
bool pyscan_is_inside(const struct pyscan *s); /* the next line begins no statement */

struct pyline {
    struct str text; /* borrowed, without the newline                               */
    size_t indent;   /* bytes of leading blanks and tabs                            */
    bool is_blank;   /* white space, or only a comment                              */
    bool is_inside;  /* goes on with a string, a bracket or a joined line           */
};
struct pylines {
    struct pyline *p; /* owned */
    size_t n;
};
/* Cut the next line off *rest and look at it; false at the end.  *scan starts as {0}. */
bool pyline_next(struct pyscan *scan, struct str *rest, struct pyline *out);
/* Split at '\n'; a final newline begins no line. */
enum status pylines_split(struct pylines *out, struct str text, struct err *e) MUST_USE;
void pylines_release(struct pylines *v);

/* A line that begins a statement. */
bool pyline_is_statement(const struct pyline *l);
/* Does the line, after its indentation, begin with this word (whole)? */
bool pyline_has_word(const struct pyline *l, const char *word);
/* Does it define `name` by def, async def, class or assignment? */
bool pyline_defines(const struct pyline *l, struct str name);
/* Do the statements of lines [from, to) fit Python's rule of indentation, when the
 * first of them is taken to stand at `first_indent`? */
bool pylines_is_consistent(const struct pylines *v,
                           size_t from,
                           size_t to,
                           size_t first_indent);

#endif
