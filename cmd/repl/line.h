/* line.h - the line being typed: libedit edits, the caller draws.
 *
 * libedit keeps the text, the keys and the history; its own drawing goes nowhere, since
 * the line stands below output that goes by while it is typed.  It asks for one key at a
 * time; while there is none the caller's `wait` is called with what else happens.
 *
 * A paste (bracketed) is text, whatever it holds; a long one stands in the line as a chip,
 * "[pasted 132 lines]" (chips.h), which goes with one rubout and opens with Tab.  Texts
 * of this header have chips by their labels; line_full has them in full.  Alt-Enter,
 * Ctrl-J and a backslash in front of Enter begin a new line. */
#ifndef QA_REPL_LINE_H
#define QA_REPL_LINE_H

#include "engine/base/str.h"

#include <wchar.h>

enum line_key {
    LINE_ESC,
    LINE_CTRL_C,
    LINE_CTRL_D, /* on an empty line */
    LINE_UP,     /* on an empty line */
    LINE_TAB,
    LINE_CLEAR,   /* Ctrl-L */
    LINE_SUSPEND, /* Ctrl-Z */
    LINE_EDITOR,  /* Ctrl-G, Ctrl-X Ctrl-E */
};

struct line_hooks {
    void *ctx;
    /* Before every wait for a key: draw, look after other things; returns for how long
     * to wait at most, in ms, or -1 when the line is to be given up. */
    int (*wait)(void *ctx);
    bool (*key)(void *ctx, enum line_key key); /* true: it was of use                */
    int fd;                                    /* ends the wait when readable        */
};

struct line;
/* The terminal is raw from here to line_close. history: a file, or NULL. */
enum status line_open(struct line **out,
                      const struct line_hooks *hooks,
                      const char *history,
                      struct err *e) MUST_USE;
void line_close(struct line *l);

/* The next line, without its newline (owned by the caller); NULL when it was given up. */
char *line_read(struct line *l);

struct line_view {
    const wchar_t *text;
    size_t n, i_cursor;
};
struct line_view line_view(struct line *l);
void line_set(struct line *l, const char *text); /* replace what is typed             */
void line_insert(struct line *l, struct str text);
void line_put(struct line *l, struct str text);    /* the same, as a chip when it is long   */
char *line_text(struct line *l);                   /* owned by the caller                   */
char *line_before(struct line *l);                 /* up to the cursor; owned by the caller */
char *line_full(struct line *l, const char *text); /* owned by the caller                */

/* Keep a text, in full, for the history.  One that begins with a blank, or is very long, is
 * left out; an equal one before goes. */
void line_remember(struct line *l, const char *text);

void line_pause(struct line *l);   /* the terminal as it was before, for another program  */
void line_go_on(struct line *l);   /* and ours again                                       */
void line_suspend(struct line *l); /* Ctrl-Z: until the process goes on                    */

#endif
