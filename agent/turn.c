/* turn.c - one turn of the model: decode until it ends, split what comes, keep the form. */
#include "agent/turn.h"

#include "agent/chat.h"

#include <string.h>

enum { MAX_BLANK_TOKENS = 24, SOFT_CLOSE_TOKENS = 128, LOOP_CHECK_TOKENS = 32 };

const char *turn_end_name(enum turn_end end)
{
    static const char *const names[] = {"done", "empty", "loop", "repeat", "cut", "budget"};
    return names[end];
}

void turn_release(struct turn *t)
{
    stream_release(&t->stream);
}

/* Append template tokens in the middle of the turn. */
static enum status append_ids(struct turn *t,
                              const struct turn_args *a,
                              struct protocol *p,
                              const int32_t *ids,
                              size_t n,
                              struct err *e)
{
    const enum status st = session_append(a->session, ids, n, e);
    for (size_t i = 0; i < n && !st; i++) {
        stream_feed(&t->stream, engine_piece(a->ids->g, ids[i]));
        protocol_step(p, ids[i]);
    }
    return st;
}

static enum status close_thinking(struct turn *t,
                                  const struct turn_args *a,
                                  struct protocol *p,
                                  struct err *e)
{
    struct ids ids = {0};
    enum status st = QA_OK;
    if (p->last != '\n') st = engine_encode(a->ids->g, STR("\n"), SPECIAL_NONE, &ids, e);
    if (!st) st = ids_add(&ids, &a->ids->think_close, 1, e);
    if (!st) st = append_ids(t, a, p, ids.p, ids.n, e);
    ids_release(&ids);
    t->was_closed = true;
    return st;
}

/* At the budget, or a little before it where a sentence ends. */
static bool is_time_to_close(const struct protocol *p, int budget)
{
    const int soft = budget - QA_MIN(budget / 4, SOFT_CLOSE_TOKENS);
    if (p->phase != PROTOCOL_THINK) return false;
    return p->n_think >= budget || (p->n_think >= soft && strchr(".!?\n", p->last) && p->last);
}

/* Give the burst to the parser and the protocol.  True when the turn ended in it. */
static bool take_burst(struct turn *t,
                       const struct turn_args *a,
                       struct protocol *p,
                       const struct burst *b)
{
    for (int i = 0; i < b->n; i++) {
        t->n_tokens++;
        a->budget->n_tokens++;
        if (engine_is_stop(a->ids->g, b->ids[i])) {
            t->has_turn_end = b->ids[i] == a->ids->turn_end;
            return true;
        }
        stream_feed(&t->stream, engine_piece(a->ids->g, b->ids[i]));
        protocol_step(p, b->ids[i]);
    }
    return false;
}

static bool is_looping(const struct turn *t, const struct session *s)
{
    const int64_t n = session_n_tokens(s) - t->n_start;
    return t->n_tokens % LOOP_CHECK_TOKENS < BURST_MAX && n > 0 &&
           protocol_is_loop(session_ids(s) + t->n_start, (size_t)n);
}

/* Thinking has just ended: is its plan one that failed? */
static bool is_spent_plan(struct turn *t, const struct turn_args *a)
{
    if (!a->tried) return false;
    const enum tried_state state = tried_find(a->tried, str_buf_str(&t->stream.think));
    t->is_again = state == TRIED_CODE_FAULT;
    return state == TRIED_SPENT;
}

static const struct sampling *sampling_of(const struct turn *t,
                                          const struct turn_args *a,
                                          const struct protocol *p)
{
    if (p->phase == PROTOCOL_THINK) return &a->think;
    return t->is_again ? &a->again : &a->text;
}

/* One round: what must be appended is appended, else a burst is decoded.  *is_over with
 * t->end set when the turn ends. */
static enum status step(struct turn *t,
                        const struct turn_args *a,
                        struct protocol *p,
                        bool *is_over,
                        struct err *e)
{
    struct burst b;
    *is_over = true;
    t->end = TURN_BUDGET;
    t->spent = budget_spent(a->budget);
    if (t->spent != BUDGET_LEFT) return QA_OK;
    t->end = TURN_CUT;
    const int64_t room = QA_MIN(a->max_tokens - t->n_tokens,
                                session_cap_tokens(a->session) - session_n_tokens(a->session));
    if (room <= 0) return QA_OK;
    t->end = TURN_DONE;
    if (p->phase == PROTOCOL_CLOSED) return QA_OK;

    *is_over = false;
    size_t n_forced;
    const int32_t *forced = protocol_forced(p, &n_forced);
    if (n_forced) return append_ids(t, a, p, forced, n_forced, e);
    if (is_time_to_close(p, a->think_tokens)) return close_thinking(t, a, p, e);

    const struct decode_args d = {
        .sampling = sampling_of(t, a, p),
        .rng = a->rng,
        .mask = protocol_mask,
        .mask_ctx = p,
        .n_prompt = t->n_start,
        .max_tokens = budget_tokens(a->budget, (int)QA_MIN(room, (int64_t)BURST_MAX)),
    };
    const bool was_thinking = p->phase == PROTOCOL_THINK;
    const enum status st = session_decode(a->session, &d, &b, e);
    if (st) return st;
    *is_over = take_burst(t, a, p, &b);
    if (a->token) a->token(a->sink_ctx, t->n_tokens);
    if (was_thinking && p->phase != PROTOCOL_THINK && is_spent_plan(t, a)) {
        t->end = TURN_REPEAT;
        *is_over = true;
    }
    if (*is_over) return QA_OK;
    if (p->phase == PROTOCOL_TEXT && p->n_blank > MAX_BLANK_TOKENS && !p->has_text) {
        t->end = TURN_EMPTY;
        *is_over = true;
    } else if (is_looping(t, a->session)) {
        if (p->phase == PROTOCOL_THINK) return close_thinking(t, a, p, e);
        t->end = TURN_LOOP;
        *is_over = true;
    }
    return QA_OK;
}

enum status turn_run(struct turn *out, const struct turn_args *a, struct err *e)
{
    struct turn t = {.n_start = session_n_tokens(a->session)};
    struct protocol p;
    bool is_over = false;
    enum status st = QA_OK;
    protocol_init(&p, a->ids,
                  a->is_thinking  ? PROTOCOL_THINK
                  : a->opening->n ? PROTOCOL_OPEN
                                  : PROTOCOL_TEXT,
                  a->may_call, a->opening, a->name);
    stream_init(&t.stream, a->is_thinking, a->tools);
    t.stream.sink = a->sink;
    t.stream.sink_ctx = a->sink_ctx;
    while (!is_over && !st) {
        st = step(&t, a, &p, &is_over, e);
    }
    if (st == QA_E_STOP) {
        t.end = TURN_BUDGET;
        t.spent = BUDGET_STOP;
        st = QA_OK;
    } else if (st == QA_E_LIMIT) {
        t.end = TURN_CUT;
        st = QA_OK;
    }
    if (!st) st = stream_finish(&t.stream, e);
    if (st) {
        turn_release(&t);
        return st;
    }
    *out = t;
    return QA_OK;
}
