/* session.h - what engine.c, session.c, spec.c and raw.c share.
 *
 * The tokens of a session are ids[0, n).  The trunk has computed n_done of them:
 * all, or all but the last, which decoding leaves for the next pass so that drafts
 * can be verified along with it.  The draft layer follows behind:
 *
 *     ids      0 ................ n_done [n_done]      the last may be pending
 *     trunk    0 ................ n_done               KV, recurrent state
 *     draft    1 ........ n_mtp                        KV rows of its own
 *     hidden              n_mtp-1 .. n_done            rows that the draft layer still needs
 *
 * so n_hidden = n_done - n_mtp + 1 always (n_mtp starts at 1). */
#ifndef QA_SESSION_H
#define QA_SESSION_H

#include "engine/cache.h"
#include "engine/engine.h"
#include "engine/sched.h"
#include "engine/spec.h"

#include <pthread.h>
#include <stdatomic.h>

struct tokenizer;

struct engine {
    struct gguf *file;
    struct tokenizer *tokenizer;
    const struct ops *ops;
    struct device *dev;
    struct model *m;
    struct cache_plan plan;
    struct forward *f; /* computes for whoever leads, see sched.h */
    struct sched *sched;
    struct engine_info info;
    bool is_traced;          /* ops and dev are those of trace.h */
    struct spec_costs costs; /* under costs_lock */
    pthread_mutex_t costs_lock;
    char name[128]; /* general.name, cut */
    _Atomic int n_sessions;
    _Atomic int n_trial_rows; /* that all sessions together can want in a step */
};

/* SHARED_TRIALS: sessions whose drafts one pass can verify; more wait for the next. */
enum { MARKS_MAX = 64, STEP_TOKENS = 512, SHARED_TRIALS = 8 };
enum { AUTO_MAX = 16, AUTO_DEFAULT = 4, MARK_EVERY = 4096, MARKS_ALL = MARKS_MAX + AUTO_MAX };

struct mark {
    bool is_used;
    struct cache_mark cache;
    float *logits; /* [V], NULL at position 0 and in automatic marks             */
    float *hidden; /* [E], NULL without drafting                                 */
};

struct session {
    struct engine *g;
    struct ids ids;
    int64_t cap_tokens;
    int step_tokens;
    struct cache cache;
    int64_t n_done;

    float *logits; /* [TRIAL_ROWS, V] of the last step, device                   */
    int i_logits;  /* row of token n_done - 1                                    */

    int64_t n_mtp;
    float *hidden; /* [step_tokens + 2 TRIAL_ROWS, E], device; NULL without drafting */
    int n_hidden;

    int n_trial_rows; /* of g->n_trial_rows, this session's                        */
    struct mark marks[MARKS_ALL]; /* behind MARKS_MAX: automatic ones, at most n_auto */
    int mark_every, n_auto;       /* mark_every 0: none                              */
    struct sampler sampler;
    struct dist target;
    struct spec spec;
    struct session_stats stats;
};

static inline bool session_has_pending(const struct session *s)
{
    return s->n_done < (int64_t)s->ids.n;
}
const float *session_row(const struct session *s, int i); /* logits of step row i */

/* Span for n_rows of s from position pos, rows from 0; see cache_span(). */
struct span session_span(struct session *s, int64_t pos, int n_rows, bool is_trial);
/* Pages for what the trunk or the draft layer will write, up to position `to`. */
enum status session_reserve(struct session *s, int64_t to, struct err *e) MUST_USE;

/* Back to no tokens. */
void session_forget(struct session *s);

/* sched_run() for this session; inside a call. */
void session_run(struct session *s, struct request *r);

/* Where the hidden rows of a trunk pass go for the draft layer to find; the caller
 * counts in n_hidden how many stand.  NULL without drafting. */
float *session_hidden_place(const struct session *s);
/* Draft layer over all positions it lags behind, up to `to`; their hidden inputs must be
 * there.  What it says after the last of them goes to the two places, unless NULL:
 * hidden [E], logits in head. */
void session_draft_rows(struct session *s, int64_t to, float *hidden, struct draft_head *head);

enum status ids_reserve(struct ids *v, size_t n_more, struct err *e) MUST_USE;

/* What the token after `burst` depends on besides its logits. */
struct sampler_past session_past(const struct session *s,
                                 const struct decode_args *a,
                                 const int32_t *burst,
                                 int n_burst);
/* Add to *b the token that follows it, drawn from `row` [V]. */
void session_pick(struct session *s,
                  const struct decode_args *a,
                  const float *row,
                  struct burst *b);

/* The parts of a round, see spec.h.  spec_propose: at most `limit` drafts; n = 0 when a plain
 * step is the better one.  Everything that can fail has happened when it returns. */
enum status spec_propose(struct session *s,
                         const struct decode_args *a,
                         int limit,
                         struct proposal *out,
                         struct err *e) MUST_USE;
/* Verify, accept and keep. */
void spec_decode(struct session *s,
                 const struct decode_args *a,
                 const struct proposal *what,
                 struct burst *out);
enum status spec_init(struct spec *p,
                      const struct engine *g,
                      const struct session_opts *o,
                      struct err *e) MUST_USE;
void spec_release(struct spec *p, const struct model *m);
/* What steps cost by now; and what one of n took, if nobody else was at work. */
struct spec_costs session_costs(const struct session *s);
typedef void learn_fn(struct spec_costs *c, int n, double seconds);
void session_learn_costs(struct session *s, learn_fn *learn, int n, double seconds);
void spec_cut(struct spec *p, size_t n); /* the session went back to n tokens */
/* Before anything is measured: from the bytes that a step must read. */
struct spec_costs spec_costs_guess(const struct model *m);

#endif
