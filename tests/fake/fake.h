/* fake.h - an engine that plays a tape, and a jail that is none, for tests.
 *
 * Both implement the real doors.  The vocabulary is 256 bytes and the 33 added tokens;
 * a "model" says what its tape says, one turn after another: a turn begins when the
 * loop opens one ("<|im_start|>" was appended).  A token that the mask forbids is
 * replaced by the best one left and the tape goes on; where only one is left (it is forced)
 * the tape waits. */
#ifndef QA_TEST_FAKE_H
#define QA_TEST_FAKE_H

#include "engine/engine.h"
#include "sandbox/sandbox.h"

struct fake_turn {
    const char *text; /* control tokens by name; <|im_end|> follows unless is_endless */
    bool is_endless;  /* says it again and again                                    */
};

/* At token `at` of turn `turn` of the tape the model is in doubt: `second` comes next, less
 * likely by a factor of exp(behind). */
struct fake_doubt {
    size_t turn, at;
    char second;
    float behind;
};

struct fake_tape {
    const struct fake_turn *turns;
    size_t n_turns;
    const struct fake_doubt *doubts;
    size_t n_doubts;
    int n_burst;       /* tokens a burst; 0: 1                                     */
    int n_ctx;         /* 0: 65536                                                 */
    uint64_t n_params; /* 0: 4,000 M                                               */
    const char *chat_template;
    int64_t stop_after; /* after that many tokens *stop becomes 1; 0: never         */
    volatile int *stop;
    bool is_random; /* any token at all, by seed                                */
    uint64_t seed;
    double rate_tps; /* as fast as that; 0: at once                             */
};
/* What engine_open() plays, for programs that open their engine by themselves. */
extern struct fake_tape fake_default;
enum status fake_engine_open(struct engine **out,
                             const struct fake_tape *t,
                             struct err *e) MUST_USE;

/* What the engine saw: one entry a decoded token. */
struct fake_log {
    float temp[1 << 16];
    size_t n_decoded, n_appended, n_rewinds;
};
const struct fake_log *fake_engine_log(const struct engine *g);

/* Everything the last closed session held, control tokens by name; owned by the fake. */
const char *fake_engine_text(const struct engine *g);
const struct ids *fake_engine_ids(const struct engine *g);

#endif
