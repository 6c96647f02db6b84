/* diff.h - what changed between two texts, line by line. */
#ifndef QA_REPL_DIFF_H
#define QA_REPL_DIFF_H

#include "engine/base/str.h"

/* Append lines with "+ ", "- " or "  " in front: a longest common part stays, the lines
 * around a change are shown, and "..." stands for what is left out.  Nothing for equal
 * texts; lines above 4,000 are not looked at. */
void diff_lines(struct str_buf *to, struct str a, struct str b);

#endif
