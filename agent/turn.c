/* turn.c - one turn of the model: decode until it ends, split what comes, keep the form. */
#include "agent/turn.h"

#include "agent/chat.h"

#include <string.h>

enum { MAX_BLANK_TOKENS = 24, SOFT_CLOSE_TOKENS = 128, LOOP_CHECK_TOKENS = 32 };
enum { N_TOP = FORK_ALTS + 1 };
enum { DRAWS_PER_TOKEN = 2 }; /* rng_u32s behind one key of session_decode */
static const uint64_t DRAWS_PER_TURN = (uint64_t)1 << 32;

static const char *const ENDS[] = {"done", "empty", "loop", "repeat", "aside", "cut", "budget"};

const char *turn_end_name(enum turn_end end)
{
    return ENDS[end];
}

static enum turn_end turn_end_of(const char *name)
{
    for (size_t i = 0; i < COUNT(ENDS); i++) {
        if (strcmp(ENDS[i], name) == 0) return (enum turn_end)i;
    }
    return TURN_DONE;
}

void turn_release(struct turn *t)
{
    stream_release(&t->stream);
    forks_release(&t->forks);
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

/* Tokens of thinking from which it is closed where a sentence ends. */
static int soft_close(int budget)
{
    return budget - QA_MIN(budget / 4, SOFT_CLOSE_TOKENS);
}

/* At the budget, or a little before it where a sentence ends. */
static bool is_time_to_close(const struct protocol *p, int budget)
{
    if (p->phase != PROTOCOL_THINK) return false;
    return p->n_think >= budget ||
           (p->n_think >= soft_close(budget) && strchr(".!?\n", p->last) && p->last);
}

/* Give the burst to the parser and the protocol.  True when the turn ended in it. */
static bool take_burst(struct turn *t,
                       const struct turn_args *a,
                       struct protocol *p,
                       const struct burst *b,
                       const struct token_prob *top)
{
    const size_t at = (size_t)(session_n_tokens(a->session) - t->n_start - b->n);
    for (int i = 0; i < b->n; i++) {
        if (top) {
            forks_add(&t->forks, at + (size_t)i, b->ids[i], b->logprob[i],
                      top + (size_t)i * N_TOP);
        }
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

/* Looked at each time the turn's length passes a multiple of LOOP_CHECK_TOKENS. */
static bool is_looping(const struct turn *t, const struct session *s, int64_t n_before)
{
    const int64_t n = session_n_tokens(s) - t->n_start;
    return n / LOOP_CHECK_TOKENS > n_before / LOOP_CHECK_TOKENS &&
           protocol_is_loop(session_ids(s) + t->n_start, (size_t)n);
}

/* How long the next burst may be: what is decided between two bursts has to be decided at
 * the same token whatever was drafted. */
static int burst_limit(const struct turn *t,
                       const struct turn_args *a,
                       const struct protocol *p,
                       int64_t room)
{
    const int64_t n = session_n_tokens(a->session) - t->n_start;
    int64_t limit = QA_MIN(room, (int64_t)BURST_MAX);
    limit = QA_MIN(limit, LOOP_CHECK_TOKENS - n % LOOP_CHECK_TOKENS);
    if (p->phase == PROTOCOL_THINK) {
        limit = QA_MIN(limit, QA_MAX(soft_close(a->think_tokens) - p->n_think, 1));
    } else if (!p->has_text) {
        limit = QA_MIN(limit, QA_MAX(MAX_BLANK_TOKENS + 1 - p->n_blank, 1));
    }
    return (int)limit;
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

/* A turn that the log tells: appended as it stands.  *is_over: that was all of it. */
static enum status tell(struct turn *t,
                        const struct turn_args *a,
                        struct protocol *p,
                        bool *is_over,
                        struct err *e)
{
    const struct recorded_turn *x = a->recorded;
    const enum status st = session_append(a->session, x->ids, x->n, e);
    if (st) return st;
    for (size_t i = 0; i < x->n; i++) {
        const bool was_thinking = p->phase == PROTOCOL_THINK;
        if (engine_is_stop(a->ids->g, x->ids[i])) {
            t->has_turn_end = x->ids[i] == a->ids->turn_end;
            break;
        }
        stream_feed(&t->stream, engine_piece(a->ids->g, x->ids[i]));
        protocol_step(p, x->ids[i]);
        if (was_thinking && p->phase != PROTOCOL_THINK) (void)is_spent_plan(t, a);
    }
    if (a->keeps_forks) forks_of_json(&t->forks, x->forks);
    t->n_tokens = x->n_tokens;
    a->budget->n_tokens += x->n_tokens;
    a->rng->state = x->rng;
    if (a->token) a->token(a->sink_ctx, t->n_tokens);
    *is_over = !x->is_unfinished;
    t->end = turn_end_of(x->end);
    if (x->is_unfinished) recording_goes_on(a->recording);
    return QA_OK;
}

/* Does the turn say what the log says?  If not, it ends here. */
static void compare(struct turn *t, const struct turn_args *a, bool *is_over)
{
    const bool is_same =
        recording_compare(a->recording, a->recorded, session_ids(a->session),
                          (size_t)t->n_start, (size_t)session_n_tokens(a->session), *is_over);
    if (is_same) return;
    t->end = TURN_BUDGET;
    t->spent = BUDGET_STOP;
    *is_over = true;
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
    struct token_prob top[BURST_MAX * N_TOP];
    *is_over = true;
    t->end = TURN_BUDGET;
    t->spent = budget_spent(a->budget);
    if (t->spent != BUDGET_LEFT) return QA_OK;
    t->end = TURN_CUT;
    const int64_t room = QA_MIN(a->max_tokens - t->n_tokens,
                                session_cap_tokens(a->session) - session_n_tokens(a->session));
    if (room <= 0) return QA_OK;
    t->end = TURN_DONE;
    if (p->phase == PROTOCOL_CLOSED) { /* only one token can follow: it is not asked for */
        t->has_turn_end = true;
        return session_append(a->session, &a->ids->turn_end, 1, e);
    }

    *is_over = false;
    size_t n_forced;
    const int32_t *forced = protocol_forced(p, &n_forced);
    if (n_forced) return append_ids(t, a, p, forced, n_forced, e);
    if (is_time_to_close(p, a->think_tokens)) return close_thinking(t, a, p, e);

    /* A token's random numbers belong to its place in the turn, and bursts end where the
     * settings change: a seed gives the same text with any drafts. */
    const int32_t ends[] = {a->ids->think_close, a->ids->call_open, a->ids->call_close};
    const int64_t n_before = session_n_tokens(a->session) - t->n_start;
    struct rng rng = t->rng;
    rng_skip(&rng, DRAWS_PER_TOKEN * (uint64_t)n_before);
    const struct decode_args d = {
        .sampling = sampling_of(t, a, p),
        .rng = &rng,
        .mask = protocol_mask,
        .mask_ctx = p,
        .n_top = a->keeps_forks ? N_TOP : 0,
        .top = a->keeps_forks ? top : NULL,
        .n_prompt = t->n_start,
        .max_tokens = budget_tokens(a->budget, burst_limit(t, a, p, room)),
        .ends = ends,
        .n_ends = COUNT(ends),
    };
    const bool was_thinking = p->phase == PROTOCOL_THINK;
    const enum status st = session_decode(a->session, &d, &b, e);
    if (st) return st;
    *is_over = take_burst(t, a, p, &b, d.top);
    if (a->token) a->token(a->sink_ctx, t->n_tokens);
    if (was_thinking && p->phase != PROTOCOL_THINK && is_spent_plan(t, a)) {
        t->end = TURN_REPEAT;
        *is_over = true;
    }
    if (*is_over) return QA_OK;
    if (p->phase == PROTOCOL_TEXT && p->n_blank > MAX_BLANK_TOKENS && !p->has_text) {
        t->end = TURN_EMPTY;
        *is_over = true;
    } else if (is_looping(t, a->session, n_before)) {
        if (p->phase == PROTOCOL_THINK) return close_thinking(t, a, p, e);
        t->end = TURN_LOOP;
        *is_over = true;
    }
    return QA_OK;
}

enum status turn_run(struct turn *out, const struct turn_args *a, struct err *e)
{
    struct turn t = {.n_start = session_n_tokens(a->session), .rng = *a->rng};
    struct protocol p;
    bool is_over = false;
    enum status st = QA_OK;
    protocol_init(&p, a->ids,
                  a->is_thinking  ? PROTOCOL_THINK
                  : a->opening->n ? PROTOCOL_OPEN
                                  : PROTOCOL_TEXT,
                  a->may_call, a->opening, a->line);
    stream_init(&t.stream, a->is_thinking, a->tools);
    t.stream.sink = a->sink;
    t.stream.sink_ctx = a->sink_ctx;
    const bool is_compared = a->recorded && recording_is_replay(a->recording);
    if (a->recorded && !is_compared)
        st = tell(&t, a, &p, &is_over, e);
    else if (a->start)
        st = append_ids(&t, a, &p, a->start->p, a->start->n, e);
    while (!is_over && !st) {
        st = step(&t, a, &p, &is_over, e);
        if (!st && is_compared) compare(&t, a, &is_over);
    }
    if (st == QA_E_STOP) {
        t.end = TURN_BUDGET;
        t.spent = BUDGET_STOP;
        st = QA_OK;
    } else if (st == QA_E_LIMIT) {
        t.end = TURN_CUT;
        st = QA_OK;
    }
    *a->rng = t.rng;
    rng_skip(a->rng,
             DRAWS_PER_TURN); /* the next turn's are others, however long this one was */
    if (!st) st = stream_finish(&t.stream, e);
    if (st) {
        turn_release(&t);
        return st;
    }
    *out = t;
    return QA_OK;
}
