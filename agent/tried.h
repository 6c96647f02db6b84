/* tried.h - the plans of one task that failed, so that none is tried again.
 *
 * Fresh thinking after a failure often comes out the same.  A plan (the text of the
 * thinking, word for word) that led to a wrong result is spent; one whose code did not
 * even load may be tried once more with the code sampled instead of greedy. */
#ifndef QA_AGENT_TRIED_H
#define QA_AGENT_TRIED_H

#include "engine/base/str.h"

enum tried_state { TRIED_NEVER, TRIED_CODE_FAULT, TRIED_SPENT };

struct tried_plan {
    char *text; /* owned */
    size_t n;
    enum tried_state state;
};
enum { TRIED_MAX = 64 };
struct tried {
    struct tried_plan plan[TRIED_MAX];
    int n;
};

void tried_release(struct tried *t);
enum tried_state tried_find(const struct tried *t, struct str plan);
/* Remember a plan that failed; a second code fault spends it.  A list that is full, and
 * a plan without memory, are forgotten: they may be tried again. */
void tried_add(struct tried *t, struct str plan, bool is_code_fault);

#endif
