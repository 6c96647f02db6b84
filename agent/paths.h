/* paths.h - the attempts at one task as paths of tokens, and the likeliest way that none
 * of them went.
 *
 * Where a path is greedy, what the model thought of second is lost: a fork keeps the next
 * likely tokens of a place where there was any doubt.  After a failure the fork whose
 * beginning is likeliest of all (the product of the probabilities up to it and of the
 * other token) is where the next attempt leaves the ways that were gone.  No end of a
 * beginning is likelier than the beginning, so an attempt that came out less likely than
 * some beginning left waits, and of all that is left the likeliest is always next.  That
 * is a best-first walk through the model's own answers, the same for every seed. */
#ifndef QA_AGENT_PATHS_H
#define QA_AGENT_PATHS_H

#include "agent/glance.h"
#include "engine/engine.h"

#include <jansson.h>

enum {
    FORK_ALTS = 3,          /* other tokens kept of a place          */
    PATHS_MAX = 160,        /* attempts and cut attempts of one task */
    PATH_MAX_TOKENS = 4096, /* a longer one is not remembered        */
};

struct fork {
    int32_t at;    /* token of the turn, from 0               */
    float logprob; /* natural, of the token that was taken    */
    struct token_prob alt[FORK_ALTS];
};
struct forks {
    struct fork *p; /* owned */
    size_t n, cap;
};
void forks_release(struct forks *f);
/* The token at place `at` was `id`; top [FORK_ALTS + 1] are the likeliest there.  Kept
 * where another one had a chance.  Out of memory: it is not kept. */
void forks_add(struct forks *f,
               size_t at,
               int32_t id,
               float logprob,
               const struct token_prob *top);

/* For the log: a list [at, logprob, id, logprob, ...] for each. */
json_t *forks_to_json(const struct forks *f);
/* What is no such list is left out: a log may come from anywhere. */
void forks_of_json(struct forks *f, const json_t *list);

/* How an attempt begins: tokens that are appended, not decoded. */
struct path_start {
    struct ids ids; /* owned; empty: at the beginning                              */
    size_t n_plan;  /* of them up to </think>; 0: they end within the plan         */
    size_t i_code;  /* where the code begins in them; with n_plan                  */
    double logprob; /* of ids, as far as they were in doubt                        */
    bool is_whole;  /* an attempt that waited, all of it: nothing in it is chosen again */
    size_t i_end;   /* where its code ends; with is_whole                          */
};
void path_start_release(struct path_start *s);

struct path {
    struct ids ids;
    struct forks forks;
    double logprob;       /* of what stands before the first fork                        */
    double total;         /* of plan and definitions                                     */
    bool waits;           /* it was not run yet                                          */
    size_t n_plan;        /* tokens up to </think>, itself included; 0: there is none     */
    size_t i_code, i_end; /* tokens of the definitions in the code; equal: no code */
    char *code;           /* these as text, white space and kind of quotes apart; owned     */
};
struct paths {
    struct path *path; /* owned */
    int n;
};
void paths_release(struct paths *p);

/* An attempt: the tokens of its turn, begun with `start` (may be NULL).  forks is copied.
 * verdict: why it need not be run, "" when nothing speaks against it.  A list that is full,
 * and one without memory, forget the attempt. */
enum { PATHS_VERDICT = GLANCE_NOTE + 40 };
void paths_add(struct paths *p,
               const struct engine *g,
               const int32_t *ids,
               size_t n,
               const struct path_start *start,
               const struct forks *forks,
               char verdict[PATHS_VERDICT]);
/* Is something left that is likelier than the attempt added last?  Then it waits. */
bool paths_wait(struct paths *p);
/* The likeliest that is left, a beginning that no path has or an attempt that waits, given
 * once.  wants_whole: an attempt that waits, if there is any.  False: nothing is left. */
bool paths_next(struct paths *p, bool wants_whole, struct path_start *out);

#endif
