/* protocol.h - what the sampler may not pick: the form of a turn, kept by a mask.
 *
 *   THINK   only </think> among the control tokens; a model that wants to end the turn
 *           or to call a tool is made to close its thinking first
 *   OPEN    an answer step opens the answer for the model: forced tokens
 *   TEXT    <tool_call> where calls are allowed; the end of the turn once there is text
 *   CALL    only </tool_call> among the control tokens
 *   CLOSED  only the end of the turn
 *
 * A very small model miscopies long names, so the name of the asked function can be
 * forced: it follows the first "def" that begins a line outside thinking.
 *
 * A turn starts in THINK, OPEN or TEXT; </think> goes to OPEN or TEXT, <tool_call> to
 * CALL, </tool_call> to CLOSED.  The state is a function of the tokens alone: the mask
 * steps a copy over the burst.  The prompt is never changed for any of this. */
#ifndef QA_AGENT_PROTOCOL_H
#define QA_AGENT_PROTOCOL_H

#include "engine/engine.h"

/* Of one model; shared by all turns. */
struct protocol_ids {
    const struct engine *g;
    int32_t think_close, call_open, call_close, turn_end; /* -1: not in the vocabulary */
    struct ids control;                                   /* all added tokens        */
};
enum status protocol_ids_init(struct protocol_ids *p,
                              const struct engine *g,
                              struct err *e) MUST_USE;
void protocol_ids_release(struct protocol_ids *p);

enum protocol_phase {
    PROTOCOL_THINK,
    PROTOCOL_OPEN,
    PROTOCOL_TEXT,
    PROTOCOL_CALL,
    PROTOCOL_CLOSED
};

struct protocol {
    const struct protocol_ids *ids;
    const struct ids *opening; /* forced after </think>; borrowed; may be empty */
    const struct ids *name;    /* forced after the first "def" of a line; may be NULL */
    enum protocol_phase phase;
    bool may_call;
    bool has_text;   /* text that is not blank, opening not counted     */
    size_t n_opened; /* of opening                                      */
    int n_think;     /* tokens of thinking                              */
    int n_blank;     /* tokens of text while there was only white space */
    char last;       /* last byte of thinking                           */
    char line[4];    /* how the line outside thinking begins            */
    size_t n_line;   /* its bytes, at most sizeof line counted          */
    size_t n_named;  /* of name                                         */
    bool is_naming;  /* within name                                     */
};

void protocol_init(struct protocol *p,
                   const struct protocol_ids *ids,
                   enum protocol_phase phase,
                   bool may_call,
                   const struct ids *opening,
                   const struct ids *name);
/* One more token of the turn, sampled or appended. */
void protocol_step(struct protocol *p, int32_t id);
/* Tokens that must follow now, whatever the model wants; *n = 0 when it is free. */
const int32_t *protocol_forced(const struct protocol *p, size_t *n);
/* A mask_fn; ctx is a struct protocol *, which is not changed. */
void protocol_mask(void *ctx, const int32_t *burst, int n_burst, float *logits, int n_vocab);

/* True when the last tokens are one short piece said again and again. */
bool protocol_is_loop(const int32_t *ids, size_t n);

#endif
