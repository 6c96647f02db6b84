/* protocol.c - what the sampler may not pick: the form of a turn, kept by a mask. */
#include "agent/protocol.h"

#include <math.h>
#include <string.h>

enum { LOOP_MAX_PERIOD = 96, LOOP_MIN_TOKENS = 256, LOOP_MIN_TIMES = 8 };

enum status protocol_ids_init(struct protocol_ids *p, const struct engine *g, struct err *e)
{
    enum status st = QA_OK;
    *p = (struct protocol_ids){
        .g = g,
        .think_close = engine_special(g, "</think>"),
        .call_open = engine_special(g, "<tool_call>"),
        .call_close = engine_special(g, "</tool_call>"),
        .turn_end = engine_special(g, "<|im_end|>"),
    };
    if (p->turn_end < 0 || p->think_close < 0 || p->call_open < 0 || p->call_close < 0) {
        return err_set(e, QA_E_FORMAT,
                       "the model's vocabulary lacks the tokens of the chat template");
    }
    const int32_t n_vocab = engine_info(g)->n_vocab;
    for (int32_t id = 0; id < n_vocab && !st; id++) {
        if (engine_is_control(g, id)) st = ids_add(&p->control, &id, 1, e);
    }
    if (st) protocol_ids_release(p);
    return st;
}

void protocol_ids_release(struct protocol_ids *p)
{
    ids_release(&p->control);
}

void protocol_init(struct protocol *p,
                   const struct protocol_ids *ids,
                   enum protocol_phase phase,
                   bool may_call,
                   const struct ids *opening)
{
    *p = (struct protocol){
        .ids = ids, .opening = opening, .phase = phase, .may_call = may_call, .last = '\n'};
}

static bool is_blank(struct str s)
{
    return str_trim(s).n == 0;
}

static void step_text(struct protocol *p, int32_t id)
{
    if (id == p->ids->call_open) {
        p->phase = PROTOCOL_CALL;
    } else if (!is_blank(engine_piece(p->ids->g, id))) {
        p->has_text = true;
    } else if (!p->has_text) {
        p->n_blank++;
    }
}

void protocol_step(struct protocol *p, int32_t id)
{
    if (engine_is_stop(p->ids->g, id)) return;
    switch (p->phase) {
    case PROTOCOL_THINK: {
        const struct str piece = engine_piece(p->ids->g, id);
        if (id == p->ids->think_close) {
            p->phase = p->opening->n ? PROTOCOL_OPEN : PROTOCOL_TEXT;
        } else if (piece.n) {
            p->last = piece.p[piece.n - 1];
        }
        p->n_think++;
        break;
    }
    case PROTOCOL_OPEN:
        if (++p->n_opened == p->opening->n) p->phase = PROTOCOL_TEXT;
        break;
    case PROTOCOL_TEXT: step_text(p, id); break;
    case PROTOCOL_CALL:
        if (id == p->ids->call_close) p->phase = PROTOCOL_CLOSED;
        break;
    case PROTOCOL_CLOSED: break;
    }
}

static void allow_only(int32_t id, float *logits, int n_vocab)
{
    const float kept = isfinite(logits[id]) ? logits[id] : 0;
    for (int i = 0; i < n_vocab; i++) {
        logits[i] = -INFINITY;
    }
    logits[id] = kept;
}

/* Would the model rather end its thinking by ending the turn or calling a tool? */
static bool wants_out(const struct protocol_ids *ids, const float *logits, int n_vocab)
{
    int best = 0;
    for (int i = 1; i < n_vocab; i++) {
        if (logits[i] > logits[best]) best = i;
    }
    return best == ids->call_open || engine_is_stop(ids->g, best);
}

void protocol_mask(void *ctx, const int32_t *burst, int n_burst, float *logits, int n_vocab)
{
    struct protocol p = *(const struct protocol *)ctx;
    const struct protocol_ids *ids = p.ids;
    for (int i = 0; i < n_burst; i++) {
        protocol_step(&p, burst[i]);
    }
    if (p.phase == PROTOCOL_CLOSED) {
        allow_only(ids->turn_end, logits, n_vocab);
        return;
    }
    if (p.phase == PROTOCOL_OPEN) {
        allow_only(p.opening->p[p.n_opened], logits, n_vocab);
        return;
    }
    if (p.phase == PROTOCOL_THINK && wants_out(ids, logits, n_vocab)) {
        allow_only(ids->think_close, logits, n_vocab);
        return;
    }
    for (size_t i = 0; i < ids->control.n; i++) {
        const int32_t id = ids->control.p[i];
        const bool is_allowed =
            (p.phase == PROTOCOL_THINK && id == ids->think_close) ||
            (p.phase == PROTOCOL_TEXT && id == ids->call_open && p.may_call) ||
            (p.phase == PROTOCOL_TEXT && p.has_text && engine_is_stop(ids->g, id)) ||
            (p.phase == PROTOCOL_CALL && id == ids->call_close);
        if (!is_allowed) logits[id] = -INFINITY;
    }
}

bool protocol_is_loop(const int32_t *ids, size_t n)
{
    for (size_t period = 1; period <= LOOP_MAX_PERIOD; period++) {
        const size_t span = QA_MAX(period * LOOP_MIN_TIMES, (size_t)LOOP_MIN_TOKENS);
        if (n < span + period) break;
        if (memcmp(ids + n - span, ids + n - span - period, span * sizeof *ids) == 0) return true;
    }
    return false;
}
