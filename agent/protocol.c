/* protocol.c - what the sampler may not pick: the form of a turn, kept by a mask. */
#include "agent/protocol.h"

#include <math.h>
#include <stdlib.h>
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
                   const struct protocol_line *line)
{
    *p = (struct protocol){.ids = ids,
                           .opening = opening,
                           .line = line,
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

/* Follow how the line begins. */
static void step_line(struct protocol *p, struct str piece)
{
    if (!p->line) return;
    const struct str text = p->line->text;
    for (size_t i = 0; i < piece.n; i++) {
        p->is_other |= p->n_line >= text.n || text.p[p->n_line] != piece.p[i];
        p->n_line++;
        p->had_line |= !p->is_other && p->n_line == text.n;
        if (piece.p[i] != '\n') continue;
        p->n_line = 0;
        p->is_other = false;
    }
}

/* The token that the line must go on with. */
static const int32_t *line_forced(const struct protocol *p)
{
    const struct protocol_line *l = p->line;
    const bool is_there = l && p->phase != PROTOCOL_THINK && p->phase != PROTOCOL_CLOSED &&
                          !p->is_other && !(l->is_once && p->had_line) &&
                          p->n_line >= l->from && p->n_line < l->text.n;
    return is_there ? &l->next[p->n_line] : NULL;
}

enum status protocol_line_init(struct protocol_line *l,
                               const struct engine *g,
                               struct str text,
                               size_t from,
                               bool is_once,
                               struct err *e)
{
    char *copy = malloc(text.n + 1);
    int32_t *next = calloc(text.n + 1, sizeof *next);
    enum status st = QA_OK;
    if (!copy || !next) st = err_set(e, QA_E_NOMEM, "out of memory for a signature");
    for (size_t i = from; i < text.n && !st; i++) {
        struct ids rest = {0};
        st = engine_encode(g, str_cut(text, i, text.n), SPECIAL_NONE, &rest, e);
        if (!st) next[i] = rest.p[0];
        ids_release(&rest);
    }
    if (st) {
        free(copy);
        free(next);
        return st;
    }
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    *l = (struct protocol_line){
        .text = {copy, text.n},
          .from = from, .is_once = is_once, .next = next
    };
    return QA_OK;
}

void protocol_line_release(struct protocol_line *l)
{
    free((char *)l->text.p);
    free(l->next);
    *l = (struct protocol_line){0};
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
    const int32_t *next = line_forced(p);
    *n = next != NULL;
    return next;
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
