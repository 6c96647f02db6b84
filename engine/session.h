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
#include "engine/forward.h"
#include "engine/spec.h"

struct tokenizer;

struct engine {
    struct gguf *file;
    struct tokenizer *tokenizer;
    const struct ops *ops;
    struct device *dev;
    struct model *m;
    struct cache_plan plan;
    struct forward *f;
    struct engine_info info;
    struct spec_costs costs;
    char name[128]; /* general.name, cut */
    int n_sessions;
};

enum { MARKS_MAX = 64, STEP_TOKENS = 512 };

struct mark {
    bool is_used;
    int64_t n_tokens;
    float *state;  /* recurrent state                                            */
    float *logits; /* [V], NULL at position 0                                    */
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

    struct mark marks[MARKS_MAX];
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

/* Span for n_rows of s from position pos, rows from 0. */
struct span session_span(const struct session *s, int64_t pos, int n_rows, bool is_trial);
/* Put n hidden rows of the last trunk step where the draft layer will find them. */
void session_keep_hidden(struct session *s, int n_rows);
/* Draft layer over all positions it lags behind, up to `to`; leaves its hidden rows in
 * f->hidden and returns how many there are.  Their hidden inputs must be there. */
int session_draft_rows(struct session *s, int64_t to);

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
/* Fill the burst from the rows of logits in s->logits; returns how many drafts stand.  The
 * last of them may be a stop token: nothing follows it then. */
int spec_accept(struct session *s,
                const struct decode_args *a,
                const struct proposal *what,
                struct burst *b);
/* Move the session on, right after the trial step: f->hidden still holds its rows. */
void spec_keep(struct session *s,
               const struct proposal *what,
               int n_stood,
               const struct burst *b);
/* Verify, accept and keep, for a session alone in its step. */
void spec_decode(struct session *s,
                 const struct decode_args *a,
                 const struct proposal *what,
                 struct burst *out);
enum status spec_init(struct spec *p,
                      const struct model *m,
                      int n_draft,
                      int n_copy,
                      struct err *e) MUST_USE;
void spec_release(struct spec *p, const struct model *m);
/* Before anything is measured: from the bytes that a step must read. */
struct spec_costs spec_costs_guess(const struct model *m);

#endif
