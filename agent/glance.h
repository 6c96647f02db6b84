/* glance.h - what is wrong with Python code at first sight, without running it.
 *
 * Knows brackets, strings and names, and nothing of grammar: what it finds is surely wrong
 * (a bracket without its other half, a string without its end, a name that nothing in
 * the code binds); most that is wrong it does not find. */
#ifndef QA_AGENT_GLANCE_H
#define QA_AGENT_GLANCE_H

#include "engine/base/str.h"

enum { GLANCE_NOTE = 120 };

/* False: `code` cannot run; note says why in one line.  True: nothing was found, or the code
 * does something (exec, import *, match) that hides what it binds. */
bool glance_code(struct str code, char note[GLANCE_NOTE]);

#endif
