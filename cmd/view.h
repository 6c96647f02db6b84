/* view.h - what a run looks like to a person: progress on stderr while it happens.
 *
 * On a terminal text streams as it is generated: thinking dim, code with a margin,
 * results with status and time; a long prompt has a line that counts.  Elsewhere whole lines with a word in front.  Bytes
 * from a model or a program cannot steer the terminal: control characters, escape
 * sequences and direction marks are shown, not obeyed. */
#ifndef QA_CMD_VIEW_H
#define QA_CMD_VIEW_H

#include "agent/agent.h"

#include <stdio.h>

/* Bytes of a character that came in two pieces. */
struct view_tail {
    char p[4];
    size_t n;
};
/* Append s to b as whole characters of UTF-8: an unfinished one at the end waits in
 * *tail, each ill-formed one becomes U+FFFD, wherever the bytes are cut.  is_inert: control
 * characters but newline and tab become ^X or <U+XXXX>, and so do marks that turn the
 * direction of text or hide in it. */
void view_add(struct str_buf *b, struct view_tail *tail, struct str s, bool is_inert);

/* Text of a model or a file on f: as it is, but inert when f is a terminal. */
void view_put(FILE *f, struct str s);

struct view {
    bool is_terminal, has_colour;
    int max_iter;
    enum agent_event_type part; /* being shown: THINK, TEXT, TOOL_CODE; else none */
    bool is_in_part, is_line_start;
    struct view_tail tail;
    struct str_buf line; /* not a terminal: the line so far */
    struct str_buf text; /* scratch                         */
    int64_t n_turn_tokens;
    double turn_start_s;
    double prefill_start_s; /* of the long prompt being read        */
    bool is_bar_drawn;      /* its progress stands on the last line */
};
void view_init(struct view *v, int max_iter);
void view_release(struct view *v);
/* The function of an agent_sink whose ctx is a struct view. */
void view_event(void *ctx, const struct agent_event *ev);

#endif
