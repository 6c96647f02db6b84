/* bench_many.h - several sessions decoding at once. */
#ifndef QA_CMD_BENCH_MANY_H
#define QA_CMD_BENCH_MANY_H

#include "engine/engine.h"

enum { BENCH_SESSIONS_MAX = 64 };

struct bench_many {
    struct engine *g;
    const int32_t *ids; /* [n_prompt + n_sessions] borrowed; session i starts at i */
    int64_t n_prompt;
    int64_t n_gen;  /* tokens that each session decodes, at least                  */
    int n_sessions; /* 1 to BENCH_SESSIONS_MAX, a thread each                      */
    int n_draft;
};

/* Tokens of all sessions together per second, from the moment all have read their
 * prompts until the last has decoded its tokens. */
enum status bench_many(const struct bench_many *b,
                       double *tokens_per_s,
                       struct err *e) MUST_USE;

#endif
