/* tried.c - the plans of one task that failed. */
#include "agent/tried.h"

#include <stdlib.h>
#include <string.h>

static struct tried_plan *find(struct tried *t, struct str plan)
{
    for (int i = 0; i < t->n; i++) {
        if (str_eq((struct str){t->plan[i].text, t->plan[i].n}, plan)) return &t->plan[i];
    }
    return NULL;
}

void tried_release(struct tried *t)
{
    for (int i = 0; i < t->n; i++) {
        free(t->plan[i].text);
    }
    t->n = 0;
}

enum tried_state tried_find(const struct tried *t, struct str plan)
{
    const struct str key = str_trim(plan);
    for (int i = 0; i < t->n; i++) {
        if (str_eq((struct str){t->plan[i].text, t->plan[i].n}, key)) return t->plan[i].state;
    }
    return TRIED_NEVER;
}

void tried_add(struct tried *t, struct str plan, bool is_code_fault)
{
    const struct str key = str_trim(plan);
    struct tried_plan *p = find(t, key);
    if (p) {
        p->state = TRIED_SPENT;
        return;
    }
    char *text = t->n < TRIED_MAX ? malloc(key.n + 1) : NULL;
    if (!text) return;
    if (key.n) memcpy(text, key.p, key.n);
    text[key.n] = 0;
    t->plan[t->n++] = (struct tried_plan){
        .text = text, .n = key.n, .state = is_code_fault ? TRIED_CODE_FAULT : TRIED_SPENT};
}
