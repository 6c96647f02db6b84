/* spec.h - speculation: propose tokens, verify them in one pass, keep what stands.
 *
 * One round of a session with a pending token (spec.c):
 *     spec_propose   drafts from the source that promises most, or none
 *     spec_decode    verify: the trunk reads [pending, drafts] as a trial; accept: which
 *                    drafts stand; keep: the session moves on over them
 *
 * Drafts never change the text, sampled or greedy: the token at a place follows
 * from its logits and one number of the caller's generator (dist_draw), and a draft
 * stands when it is that token.  So lengths may follow the clock.
 *
 * Both sources adapt: the length of a chain is the one that yields most tokens per
 * second, by the running acceptance of the source and by running means of what a
 * plain step, a draft and a further row in a step took.  Below break-even a source
 * pauses and is tried again with one draft. */
#ifndef QA_SPEC_H
#define QA_SPEC_H

#include "engine/draft_head.h"
#include "engine/sampler.h"
#include "engine/suffix.h"

/* Seconds, running means.  Shared by the sessions of an engine; session_costs() and
 * session_learn_costs() hold the lock. */
struct spec_costs {
    double plain_s; /* a step of one row, its pick included                       */
    double row_s;   /* each further row of a step                                 */
    double draft_s; /* one token drafted by the draft layer                       */
    int n_plain;    /* plain steps measured: at first, and from time to time, a step
                         is plain for the sake of the measurement                   */
    int n_row, n_draft;
    bool is_fixed; /* values are given and stay: nothing is measured               */
};
/* A step of n_rows rows of one session alone took `seconds`, drafting not counted. */
void spec_costs_step(struct spec_costs *c, int n_rows, double seconds);
void spec_costs_draft(struct spec_costs *c, int n_drafts, double seconds);

/* Running mean: a draft stands, given that those before it did. */
struct rate {
    double mean;
    int n; /* drafts seen, up to what the mean looks back on */
};

/* Acceptance is learnt apart for short, long and very long matches. */
enum { MATCH_CLASSES = 3 };

struct spec {
    int n_max[DRAFT_SOURCES]; /* longest proposal of each source, 0: not in use      */
    struct rate layer, copy[MATCH_CLASSES];
    int n_paused[DRAFT_SOURCES]; /* steps since the source stopped paying             */
    int n_since_plain;           /* steps since the last plain one                    */
    struct suffix suffix;
    int n_company;          /* most sessions seen at work in a pass of this call, oneself too */
    int n_before;           /* the same, of the call before                                   */
    struct draft_head head; /* empty without the draft layer */
    struct dist q;          /* of its row                    */
    float *hidden; /* [E], device: the draft layer's, behind the last draft           */
};

struct proposal {
    enum draft_source source;
    int n; /* 0: this step is plain */
    int32_t ids[DRAFT_MAX];
    size_t n_match; /* DRAFT_COPY: length of the match */
};

/* Tokens per plain step's time that the best chain of 1 to max drafts yields, when each stands
 * with `rate` and costs `cost` of a plain step; *length is 0 and the result 1 when none pays. */
double spec_best_chain(double rate, double cost, int max, int *length);
/* What became of a proposal: the first n_stood stood, the next one (if any) did not. */
void spec_learn(struct spec *p, const struct proposal *what, int n_stood);

#endif
