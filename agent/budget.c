/* budget.c - what a run may still spend: tokens, seconds, seconds in tools. */
#include "agent/budget.h"

#include "engine/base/clock.h"

void budget_init(struct budget *b, const struct agent_limits *l, const volatile int *stop)
{
    *b = (struct budget){
        .start_s = clock_now_s(),
        .timeout_s = l->timeout_s,
        .max_tool_s = l->tool_total_s,
        .max_tokens = l->max_tokens,
        .stop = stop,
    };
}

double budget_elapsed_s(const struct budget *b)
{
    return clock_now_s() - b->start_s;
}

enum budget_end budget_spent(const struct budget *b)
{
    if ((b->stop && *b->stop) || engine_stop_requested()) return BUDGET_STOP;
    if (b->timeout_s > 0 && budget_elapsed_s(b) >= b->timeout_s) return BUDGET_TIME;
    if (b->max_tokens > 0 && b->n_tokens >= b->max_tokens) return BUDGET_TOKENS;
    if (b->max_tool_s > 0 && b->tool_s >= b->max_tool_s) return BUDGET_TOOLS;
    return BUDGET_LEFT;
}

int budget_tokens(const struct budget *b, int most)
{
    if (b->max_tokens <= 0) return most;
    const int64_t left = b->max_tokens - b->n_tokens;
    return left < 1 ? 1 : (int)QA_MIN(left, (int64_t)most);
}

int budget_tool_ms(const struct budget *b, int timeout_ms)
{
    double ms = timeout_ms;
    if (b->timeout_s > 0) ms = QA_MIN(ms, (b->timeout_s - budget_elapsed_s(b)) * 1e3);
    if (b->max_tool_s > 0) ms = QA_MIN(ms, (b->max_tool_s - b->tool_s) * 1e3);
    return ms < 1 ? 1 : (int)ms;
}

const char *budget_end_name(enum budget_end end)
{
    switch (end) {
    case BUDGET_LEFT: return "none";
    case BUDGET_TIME: return "time";
    case BUDGET_TOKENS: return "token";
    case BUDGET_TOOLS: return "tool time";
    case BUDGET_STOP: return "stop";
    }
    return "?";
}
