/* turn.h - one turn of the model: decode until it ends, split what comes, keep the form.
 *
 * The prompt of the turn is in the session already.  Tokens of the template that must
 * follow (the end of thinking past its budget, the opening of an answer) are appended
 * and computed as a prompt, never sampled.
 *
 * Thinking and the rest are sampled with different settings; bursts end where they change.
 * The text of a turn is a function of what stands before it and of `rng` as it was at its
 * beginning: not of drafts, bursts, or who shares a step. */
#ifndef QA_AGENT_TURN_H
#define QA_AGENT_TURN_H

#include "agent/budget.h"
#include "agent/paths.h"
#include "agent/protocol.h"
#include "agent/recording.h"
#include "agent/stream.h"
#include "agent/tried.h"

struct turn_args {
    struct session *session;
    const struct protocol_ids *ids;
    struct budget *budget; /* tokens are counted here                                 */
    struct rng *rng;       /* moved on by the same distance each turn                       */
    struct sampling think, text;
    const struct tried *tried;        /* plans that failed; NULL: none. See TURN_REPEAT      */
    struct sampling again;            /* of the text, when the plan is one whose code failed */
    const struct ids *start;          /* how the turn begins: appended; NULL: freely         */
    bool keeps_forks;                 /* turn.forks is wanted                                */
    bool is_thinking;                 /* the prompt left <think> open                        */
    bool may_call;                    /* false on an answer step                             */
    const struct ids *opening;        /* after </think>, or at once when not thinking        */
    const struct protocol_line *line; /* the asked signature; NULL: none                */
    int think_tokens;                 /* thinking is closed by then; soft close a bit earlier */
    int64_t max_tokens;               /* of this turn                                        */
    struct recording *recording;      /* NULL: none                                */
    const struct recorded_turn *recorded; /* what the turn said before; NULL: it is new */
    const json_t *tools;
    stream_fn *sink;
    void *sink_ctx;
    void (*token)(void *ctx, int64_t n_tokens); /* after each burst; may be NULL */
};

enum turn_end {
    TURN_DONE,   /* the model ended its turn                          */
    TURN_EMPTY,  /* it wrote nothing but white space for a while      */
    TURN_LOOP,   /* it said the same again and again                  */
    TURN_REPEAT, /* its thinking is a spent plan; cut behind it       */
    TURN_ASIDE,  /* whole, but something likelier comes first: see paths.h */
    TURN_CUT,    /* max_tokens or the context is used up              */
    TURN_BUDGET, /* of the whole run: see spent                       */
};
const char *turn_end_name(enum turn_end end);

struct turn {
    struct stream stream; /* finished; owned                                        */
    enum turn_end end;
    enum budget_end spent;
    bool has_turn_end;  /* <|im_end|> is in the session                               */
    bool is_again;      /* the plan failed once by its code: text is sampled       */
    bool was_closed;    /* thinking was closed for the model                          */
    struct rng rng;     /* as it was at the beginning                                   */
    int64_t n_start;    /* where the turn began in the session                        */
    int64_t n_tokens;   /* generated                                                  */
    struct forks forks; /* of what was generated; owned */
};
enum status turn_run(struct turn *out, const struct turn_args *a, struct err *e) MUST_USE;
void turn_release(struct turn *t);

#endif
