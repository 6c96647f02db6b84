/* budget.h - what a run may still spend: tokens, seconds, seconds in tools. */
#ifndef QA_AGENT_BUDGET_H
#define QA_AGENT_BUDGET_H

#include "agent/agent.h"

enum budget_end { BUDGET_LEFT, BUDGET_TIME, BUDGET_TOKENS, BUDGET_TOOLS, BUDGET_STOP };

struct budget {
    double start_s, timeout_s, max_tool_s; /* 0: no such limit */
    int64_t max_tokens;
    int64_t n_tokens; /* generated so far */
    double tool_s;    /* spent in tools   */
    const volatile int *stop;
};

void budget_init(struct budget *b, const struct agent_limits *l, const volatile int *stop);
double budget_elapsed_s(const struct budget *b);
/* Which limit is reached; BUDGET_LEFT while none is. */
enum budget_end budget_spent(const struct budget *b);
/* Tokens that may still be generated, at most `most`. */
int budget_tokens(const struct budget *b, int most);
/* A tool call's time limit, cut to what is left of the run; at least 1 ms. */
int budget_tool_ms(const struct budget *b, int timeout_ms);
const char *budget_end_name(enum budget_end end); /* "time", "tokens", ... */

#endif
