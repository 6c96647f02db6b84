/* protocol.h - what the sampler may not pick: the form of a turn, kept by a mask.
 *
 *   THINK   only </think> among the control tokens; a model that wants to end the turn
 *           or to call a tool is made to close its thinking first
 *   OPEN    an answer step opens the answer for the model: forced tokens
 *   TEXT    <tool_call> where calls are allowed; the end of the turn once there is text
 *   CALL    only </tool_call> among the control tokens
 *   CLOSED  only the end of the turn
 *
 * A line outside thinking that has begun as the asked function's signature can be made to
 * go on like it, token by token: a small model miscopies names, any model may choose other
 * parameters than the task gives.
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

/* A line that must go on as in `text` once it has begun with text[0, from). */
struct protocol_line {
    struct str text; /* owned                                                    */
    size_t from;
    bool is_once;  /* only the first such line of a turn                        */
    int32_t *next; /* [text.n] owned: first token of the rest, from `from` on   */
};
/* text is copied. */
enum status protocol_line_init(struct protocol_line *l,
                               const struct engine *g,
                               struct str text,
                               size_t from,
                               bool is_once,
                               struct err *e) MUST_USE;
void protocol_line_release(struct protocol_line *l);

enum protocol_phase {
    PROTOCOL_THINK,
    PROTOCOL_OPEN,
    PROTOCOL_TEXT,
    PROTOCOL_CALL,
    PROTOCOL_CLOSED
};

struct protocol {
    const struct protocol_ids *ids;
    const struct ids *opening;        /* forced after </think>; borrowed; may be empty */
    const struct protocol_line *line; /* forced; borrowed; may be NULL          */
    enum protocol_phase phase;
    bool may_call;
    bool has_text;   /* text that is not blank, opening not counted     */
    size_t n_opened; /* of opening                                      */
    int n_think;     /* tokens of thinking                              */
    int n_blank;     /* tokens of text while there was only white space */
    char last;       /* last byte of thinking                           */
    size_t n_line;   /* bytes of this line, outside thinking            */
    bool is_other;   /* they are not how `line` begins                  */
    bool had_line;   /* `line` stands there already                     */
};

void protocol_init(struct protocol *p,
                   const struct protocol_ids *ids,
                   enum protocol_phase phase,
                   bool may_call,
                   const struct ids *opening,
                   const struct protocol_line *line);
/* One more token of the turn, sampled or appended. */
void protocol_step(struct protocol *p, int32_t id);
/* Tokens that must follow now, whatever the model wants; *n = 0 when it is free. */
const int32_t *protocol_forced(const struct protocol *p, size_t *n);
/* A mask_fn; ctx is a struct protocol *, which is not changed. */
void protocol_mask(void *ctx, const int32_t *burst, int n_burst, float *logits, int n_vocab);

/* True when the last tokens are one short piece said again and again. */
bool protocol_is_loop(const int32_t *ids, size_t n);

#endif
