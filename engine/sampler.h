/* sampler.h - from a row of logits to a distribution, and from that to a token.
 *
 * The order is fixed: bans, mask, penalties, temperature, top-k, top-p, min-p.  top-p
 * and min-p look at what top-k left, renormalised.  Greedy is the distribution
 * with one token in it.  Drafting and plain decoding use the same function, which
 * is why they agree. */
#ifndef QA_SAMPLER_H
#define QA_SAMPLER_H

#include "engine/engine.h"

struct candidate {
    int32_t id;
    float p;
};
/* Tokens that can be drawn; every p > 0, the sum is 1. */
struct dist {
    struct candidate *c; /* [n], room for the whole vocabulary; owned            */
    int n;
};

struct sampler {
    int n_vocab;
    float *row;     /* [V]  masked, penalised logits                            */
    float *wide;    /* [V]  a list of logits spread out for the mask             */
    uint32_t *seen; /* [V]  == round: this id has been penalised already        */
    uint32_t round;
    double log_sum; /* of the last shaped row: log of the sum of exp, masked     */
};

enum status sampler_init(struct sampler *s, int n_vocab, struct err *e) MUST_USE;
void sampler_release(struct sampler *s);
enum status dist_init(struct dist *d, int n_vocab, struct err *e) MUST_USE;
void dist_release(struct dist *d);

/* What the next token depends on besides its logits. */
struct sampler_past {
    const int32_t *ids; /* generated before this burst                           */
    size_t n_ids;
    const int32_t *burst; /* picked in this burst                                */
    int n_burst;
    mask_fn *mask; /* may be NULL */
    void *mask_ctx;
    const int32_t *banned; /* [n_banned] */
    size_t n_banned;
    bool want_logprob;      /* sampler_logprob() will be asked: one more pass over the row */
    int n_top;              /* with want_logprob: report the likeliest, masked like those    */
    struct token_prob *top; /* [n_top], best first                               */
    /* Given: the logits are [n_list], of these ids alone; no other can be drawn.       */
    const int32_t *list;
    int n_list;
};

/* The distribution of the next token after logits [V] (or of a list), which are left as
 * they are. */
void sampler_shape(struct sampler *s,
                   const float *logits,
                   const struct sampling *p,
                   const struct sampler_past *past,
                   struct dist *out);
/* Of the row shaped last, with want_logprob: masked, without penalties and temperature. */
float sampler_logprob(const struct sampler *s, const float *logits, int32_t id);

/* A draw that follows from d and key alone: every candidate runs a race whose time is
 * exponential with rate p and depends on (key, id); the first one home is drawn.  With
 * keys that are uniform the draw follows d, and two distributions that are alike mostly
 * give the same id under the same key: P(equal) >= (1 - t) / (1 + t), t their total
 * variation.  That is what lets drafts come true.
 * Source: Daliri, Musco, Suresh, arXiv:2408.07978. */
int32_t dist_draw(const struct dist *d, uint64_t key);
float dist_p(const struct dist *d, int32_t id);

#endif
