/* jail.h - a real jail for tests, or a loud skip where the machine allows none. */
#ifndef QA_TEST_JAIL_H
#define QA_TEST_JAIL_H

#include "sandbox/sandbox.h"

#include <stdio.h>

/* NULL, after a line on stderr, when no level can be had. */
static inline struct sandbox *jail_open(void)
{
    static const enum sandbox_level LEVELS[] = {SANDBOX_AUTO, SANDBOX_SECCOMP};
    struct err e = {0};
    for (size_t i = 0; i < COUNT(LEVELS); i++) {
        struct sandbox *s = NULL;
        const struct sandbox_opts o = {.level = LEVELS[i]};
        if (!sandbox_open(&s, &o, &e)) return s;
    }
    fprintf(stderr, "SKIPPED: no jail on this machine: %s\n", e.text);
    return NULL;
}

#endif
