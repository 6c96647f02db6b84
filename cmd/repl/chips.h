/* chips.h - long pastes, which stand in the line as "[pasted 132 lines]".
 *
 * Threads: the terminal's thread only. */
#ifndef QA_REPL_CHIPS_H
#define QA_REPL_CHIPS_H

#include "engine/base/str.h"

struct chip {
    char label[48]; /* differs from all others */
    char *text;     /* owned                   */
};
struct chips {
    struct chip *p; /* owned */
    size_t n;
};
void chips_release(struct chips *c);

/* Is a text long enough to be shown as a chip? */
bool chips_is_long(struct str text);
/* Keep a copy; returns the label (borrowed until the next call), NULL without memory. */
const char *chips_add(struct chips *c, struct str text);
/* The chip whose label is the end of s, or NULL. */
const struct chip *chips_at_end(const struct chips *c, struct str s);
/* A text with its chips in full; owned by the caller. */
char *chips_expand(const struct chips *c, const char *text);

#endif
