/* screen.h - the terminal of a session: text scrolls by, and below it live a status line
 * and the line being typed.
 *
 *     ... scrollback, never touched again ...
 *     the line of output that is not finished yet
 *     status
 *     queued messages
 *     > what is being typed
 *
 * The lower part is erased and drawn again; the alternate screen is never used.  Lines
 * are broken here, narrower than the terminal, so that it is known how many rows the
 * lower part has.  Bytes given as text are made inert first (view_add).
 *
 * Threads: the terminal's thread only. */
#ifndef QA_REPL_SCREEN_H
#define QA_REPL_SCREEN_H

#include "engine/base/str.h"

#include <stdio.h>
#include <wchar.h>

enum screen_style {
    STYLE_PLAIN,
    STYLE_DIM,
    STYLE_BOLD,
    STYLE_GOOD,
    STYLE_BAD,
    STYLE_CODE,
    STYLE_COUNT
};

enum { SCREEN_MAX_ROWS = 64 };

struct screen {
    FILE *f;
    bool is_live;    /* a lower part is drawn; else lines only go by           */
    bool has_colour; /* styles are shown                                       */
    int cols, rows;
    struct str_buf out;  /* finished, not yet written                            */
    struct str_buf line; /* the unfinished line, without styles                  */
    enum screen_style style;
    const char *margin;   /* in front of every row, as asked for ...                */
    const char *lead;     /* ... and of the unfinished line: "> " and "* " lead once */
    int width;            /* columns of `line`                                     */
    size_t i_space;       /* behind its last blank; 0: none                        */
    bool breaks_words;    /* lines are broken anywhere (code), not between words    */
    struct str_buf drawn; /* what was written last                                 */
    char title[64];       /* of the window; "": not ours                           */
    bool is_drawn;
    int n_drawn, i_cursor;            /* rows of the lower part; the cursor's        */
    int drawn_width[SCREEN_MAX_ROWS]; /* of each                                     */
};

/* What the lower part shows. */
struct screen_live {
    struct str status;       /* one line                                   */
    const struct str *queue; /* messages that wait                         */
    size_t n_queue;
    const wchar_t *input;
    size_t n_input, i_cursor;
};

void screen_init(struct screen *s, FILE *f, bool is_live, bool has_colour);
void screen_release(struct screen *s);
void screen_resize(struct screen *s, int cols, int rows);

/* More text of one kind.  A change of style or margin begins a new line. */
void screen_text(struct screen *s,
                 enum screen_style style,
                 const char *margin,
                 bool breaks_words,
                 struct str inert);
/* End the unfinished line, if there is one. */
void screen_end_line(struct screen *s);
/* A whole line. */
void screen_line(struct screen *s, enum screen_style style, const char *fmt, ...) PRINTF(3, 4);

/* Write what has come and draw the lower part. */
void screen_draw(struct screen *s, const struct screen_live *live);
/* Write what has come; take the lower part away. */
void screen_hide(struct screen *s);
void screen_clear(struct screen *s); /* the whole window: Ctrl-L */

/* The window's title, which is put away first; NULL: back to what it was. */
void screen_title(struct screen *s, const char *text);

/* Columns of a character; 0 for a combining one. */
int screen_width(unsigned code_point);
/* The character at the start of s (well-formed UTF-8): its bytes, its columns. */
size_t screen_next(struct str s, int *columns);

#endif
