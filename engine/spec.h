/* spec.h - speculation: draft a chain with the draft layer, verify it in one pass.
 *
 * How many tokens to draft follows from how often drafts stood lately and from what
 * a draft and a verified row cost in weight bytes.  Both are counts, not clocks: the
 * same run drafts the same way everywhere. */
#ifndef QA_SPEC_H
#define QA_SPEC_H

#include "engine/sampler.h"

enum { DRAFT_MAX = BURST_MAX - 1 };

struct spec {
    int n_max; /* longest chain asked for, 0 to DRAFT_MAX                        */
    /* Costs in units of one plain token.  A chain of m costs 1 + m (draft + row). */
    double cost_draft, cost_row;
    double rate;              /* running mean: a draft stands, given that those before it did */
    int n_paused;             /* plain tokens since drafting stopped paying                  */
    struct dist q[DRAFT_MAX]; /* what each draft was drawn from                  */
    float *logits;            /* [V], device                                    */
};

/* Length of the next chain, 0 to limit. */
int spec_length(struct spec *p, int limit);
/* What became of a chain: the first n_stood stood, the next one (if any) did not. */
void spec_learn(struct spec *p, int n_drafted, int n_stood);

#endif
