/* suffix.h - a suffix automaton over the tokens of a session: where has this been before?
 *
 * Knows every stretch of the text so far, and for the longest suffix of it that
 * occurs earlier as well, where it occurred and what followed: a copy to propose.
 *
 * cost    append: O(1) amortised (a hash look-up or two); proposing: O(1).
 * memory  2 states at most and 3 transitions at most per token: a state is 24
 *         bytes and holds one transition; each further one takes 16 bytes and 8 to
 *         16 of the hash table.  At most 128 bytes a token in use, 256 with the
 *         slack of growing; code and prose take about 60.
 * going back  is a rebuild: an automaton cannot give up its last letter, and a
 *         log of changes would cost more than the rebuild.  suffix_cut() is O(1),
 *         the next suffix_append() starts from the first token.
 * Source: Blumer et al., The smallest automaton recognizing the subwords of a
 * text, Theoretical Computer Science 40 (1985).  Drafting from it as in
 * SuffixDecoding, arXiv:2411.04975. */
#ifndef QA_SUFFIX_H
#define QA_SUFFIX_H

#include "engine/base/err.h"

enum { SUFFIX_MATCH_MIN = 8 };    /* shorter matches say too little about what follows */
enum { SUFFIX_TOKEN_BYTES = 96 }; /* per token of code and prose, slack included: for plans */

struct suffix_state;
struct suffix_edge;

struct suffix {
    struct suffix_state *states; /* [n_states], owned; 0 is the start            */
    struct suffix_edge *edges;   /* [n_edges], owned: all but the first of a state */
    int32_t *slots;              /* [n_slots], owned; edge + 1 by (state, token)  */
    size_t n_states, cap_states, n_edges, cap_edges, n_slots;
    int32_t last; /* state of the whole text */
    size_t n;     /* tokens taken in         */
};

void suffix_init(struct suffix *x); /* empty; takes no memory until something is appended */
void suffix_release(struct suffix *x);

/* Take in ids[x->n, n): ids is the whole text, of which the first x->n tokens are
 * known already.  n < 2^30.  QA_E_NOMEM leaves it empty, and usable. */
enum status suffix_append(struct suffix *x,
                          const int32_t *ids,
                          size_t n,
                          struct err *e) MUST_USE;
/* The text has been cut to n tokens. */
void suffix_cut(struct suffix *x, size_t n);

/* At most max tokens that followed where the longest repeated suffix occurred last.  ids is
 * the whole text as appended.  A copy that runs into the end of the text goes on with
 * itself.  Returns how many, 0 when the match is shorter than SUFFIX_MATCH_MIN; *n_match
 * is its length. */
int suffix_propose(const struct suffix *x,
                   const int32_t *ids,
                   int max,
                   int32_t *out,
                   size_t *n_match);

size_t suffix_bytes(const struct suffix *x); /* memory held */

#endif
