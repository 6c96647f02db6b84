/* forward.h - the model as a function of rows: ids and memory in, hidden rows out. */
#ifndef QA_FORWARD_H
#define QA_FORWARD_H

#include "engine/model.h"

/* Rows of a trial step that can be kept afterwards: 8 drafts and the token before. */
enum { TRIAL_ROWS = 9 };

/* The tokens of one step.  Spans that are trials come first. */
struct step {
    const int32_t *ids; /* [T], host */
    int n_rows;
    struct spans spans;
    int n_trial; /* rows of trials, at most f->cap_kept                          */
};

/* Activations of one step, shared by all sessions of an engine. */
struct forward {
    const struct model *m;
    enum kv_type type_k, type_v;
    int page_tokens;
    int cap_rows;
    int cap_kept; /* rows of trials that a step can hold                         */
    int64_t cap_ctx;

    float *x;      /* [T, E]  residual stream                                    */
    float *normed; /* [T, E]                                                     */
    float *mixed;  /* [T, E]  output of a mixer or FFN, not yet added            */
    float *hidden; /* [T, E]  after the output norm: result of a step            */

    float *qg, *k, *v; /* [T, H, 2, D], [T, K, D] twice                          */
    float *z;          /* [T, NV, S]                                             */
    float *heads;      /* [T, max(H D, NV S)]  output of attention or delta rule */
    float *embd;       /* [T, E]   draft layer                                   */
    float *joined;     /* [T, 2 E] draft layer                                   */
    int32_t *ids;      /* [T, U] */
    float *share;      /* [T, U] */
    float *sh_share;   /* [T]    */

    /* Inputs of the delta rule.  One set for large steps; for steps of at most
     * cap_kept rows one per DeltaNet layer, so that they outlive the step.  A large
     * step's trials are copied there. */
    struct delta_rows {
        float *raw;   /* [T, C]  before the convolution                          */
        float *qkv;   /* [T, C]  after it                                        */
        float *decay; /* [T, NV] */
        float *beta;  /* [T, NV] */
    } large, *small;  /* small: [n_delta] */
};

enum status forward_open(struct forward **out,
                         const struct model *m,
                         enum kv_type type_k,
                         enum kv_type type_v,
                         int page_tokens,
                         struct err *e) MUST_USE;
void forward_close(struct forward *f); /* NULL is fine */
/* Make room for steps of n_rows, n_kept of them trials, and sessions of n_ctx tokens.
 * No trial may wait for forward_keep(). */
enum status forward_reserve(struct forward *f,
                            int n_rows,
                            int n_kept,
                            int64_t n_ctx,
                            struct err *e) MUST_USE;

/* Trunk: rows to hidden rows [T, E] in f->hidden, valid until the next call. */
void forward_trunk(struct forward *f, const struct step *s);

/* After a trial step: take the first s->n_rows rows of each span into its state.
 * `kept` has the spans of the trial step with n_rows lowered (0 is fine). */
void forward_keep(struct forward *f, struct spans kept);

/* Logits [n_rows, V] of hidden rows. */
void forward_head(struct forward *f, const float *hidden, int n_rows, float *logits);

/* Draft layer (forward_mtp.c): row of position p reads ids[p] and the hidden of
 * position p - 1, and its result in f->hidden predicts position p + 1.  Positions
 * start at 1.  Logits by forward_draft_head(). */
void forward_draft(struct forward *f, const struct step *s, const float *hidden);
void forward_draft_head(struct forward *f, const float *hidden, int n_rows, float *logits);

/* One layer on f->x, shared by both: what it adds is left in f->mixed. */
void forward_layer(struct forward *f,
                   const struct step *s,
                   const struct layer *l,
                   int first,
                   const float *add);

#endif
