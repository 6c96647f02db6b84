/* batch.h - one pass over the weights for the requests of several sessions.
 *
 * A request is the rows that one session wants next, and where its results go.  A
 * batch runs requests of one kind together: their rows lie one after another in the
 * step, their outputs are copied apart again.  One request alone takes the direct
 * way: nothing is gathered, nothing is copied twice.
 *
 * Not locked: whoever leads (sched.h) has the batch and the forward pass to itself. */
#ifndef QA_BATCH_H
#define QA_BATCH_H

#include "engine/draft_head.h"
#include "engine/forward.h"

/* In the order in which they run: what ends a step comes before what begins one. */
enum request_kind {
    REQUEST_KEEP,  /* forward_keep() over the rows of a trial that stand            */
    REQUEST_DRAFT, /* rows of the draft layer                                       */
    REQUEST_TRUNK, /* rows of the trunk: a trial, one token, a piece of a prompt    */
};

/* Pointers are device memory unless said; all are borrowed until the request is done. */
struct request {
    enum request_kind kind;
    struct span span;        /* row is set when it runs, and n_rows lowered when cut  */
    const int32_t *ids;      /* [n_rows], host; keep: NULL                            */
    int64_t n_left;          /* trunk: rows to the end of the prompt, these included  */
    const float *hidden_in;  /* draft: [n_rows, E], its input                         */
    float *hidden_out;       /* trunk: [n_rows, E]; draft: [E], last row; or NULL     */
    float *logits;           /* trial: [n_rows, V]; trunk: [V], last row; or NULL     */
    struct draft_head *head; /* draft: gets the logits of the last row; or NULL       */
    bool is_last;            /* out, trunk: the prompt ends here (or was stopped), so */
                             /* there are logits                                      */
    int n_company;           /* out: sessions at work when it was filed or ran, this one too */
    bool is_done;            /* sched.c                                               */
    struct request *next;    /* sched.c: filed after this one                         */
};

/* Sessions in one pass, and rows of the head that run together. */
enum { BATCH_MAX = 64, BATCH_LOGITS = 32 };

struct batch {
    struct forward *f;  /* borrowed */
    struct span *spans; /* [BATCH_MAX], owned */
    int32_t *ids;       /* [f->cap_rows], owned */
    int cap_ids;
    float *logits; /* [n_logits, V], owned, device; NULL until there are two sessions */
    int n_logits;
};

enum status batch_init(struct batch *b, struct forward *f, struct err *e) MUST_USE;
void batch_release(struct batch *b);

/* Make room for n_sessions at once: steps of n_rows, of which n_kept can be trials. */
enum status batch_reserve(struct batch *b,
                          int n_sessions,
                          int n_rows,
                          int n_kept,
                          int64_t n_ctx,
                          struct err *e) MUST_USE;

/* Run n >= 1 requests of one kind together, trials before others.  Together they have at
 * most f->cap_rows rows, and at most f->cap_kept rows of trials. */
void batch_run(struct batch *b, struct request *const *r, int n);

#endif
