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
                   const struct ids *opening,
                   const struct ids *name)
{
    *p = (struct protocol){.ids = ids,
                           .opening = opening,
                           .name = name,
                           .phase = phase,
                           .may_call = may_call,
                           .last = '\n'};
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

/* Follow the beginning of the line; "def" there is followed by the name, once. */
static void step_line(struct protocol *p, struct str piece)
{
    if (p->is_naming) {
        p->is_naming = ++p->n_named < p->name->n;
        return;
    }
    for (size_t i = 0; i < piece.n; i++) {
        if (piece.p[i] == '\n') {
            p->n_line = 0;
        } else if (p->n_line < sizeof p->line) {
            p->line[p->n_line++] = piece.p[i];
        }
    }
    if (p->name && p->name->n && !p->n_named) {
        p->is_naming = p->n_line == 3 && memcmp(p->line, "def", 3) == 0;
    }
}

void protocol_step(struct protocol *p, int32_t id)
{
    if (engine_is_stop(p->ids->g, id)) return;
    if (p->phase != PROTOCOL_THINK) step_line(p, engine_piece(p->ids->g, id));
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

const int32_t *protocol_forced(const struct protocol *p, size_t *n)
{
    if (p->phase == PROTOCOL_OPEN) {
        *n = p->opening->n - p->n_opened;
        return p->opening->p + p->n_opened;
    }
    *n = p->is_naming ? p->name->n - p->n_named : 0;
    return *n ? p->name->p + p->n_named : NULL;
}

void protocol_mask(void *ctx, const int32_t *burst, int n_burst, float *logits, int n_vocab)
{
    struct protocol p = *(const struct protocol *)ctx;
    const struct protocol_ids *ids = p.ids;
    for (int i = 0; i < n_burst; i++) {
        protocol_step(&p, burst[i]);
    }
    size_t n_forced;
    const int32_t *forced = protocol_forced(&p, &n_forced);
    if (n_forced || p.phase == PROTOCOL_CLOSED) {
        allow_only(n_forced ? forced[0] : ids->turn_end, logits, n_vocab);
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
        if (memcmp(ids + n - span, ids + n - span - period, span * sizeof *ids) == 0)
            return true;
    }
    return false;
}
