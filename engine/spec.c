/* spec.c - speculative decoding with the draft layer.
 *
 * One round, with a token x pending at position n:
 *   1. the draft layer reads x (and what it lags behind) and proposes d1; reading
 *      d1 with its own hidden it proposes d2, and so on;
 *   2. the trunk reads [x, d1 .. dm] as a trial: row j gives the distribution of
 *      the token after d1 .. dj;
 *   3. each draft stands or falls by the rule of arXiv:2211.17192; the first that
 *      falls is replaced by a draw from what is left of its row, and if none
 *      falls the last row gives one more token;
 *   4. the trunk's memory moves on over x and the drafts that stand.
 * The token drawn last is pending for the next round. */
#include "engine/spec.h"

#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

/* ---- how many to draft ----------------------------------------------------- */

/* After drafting stopped paying, try one draft again after so many plain tokens. */
enum { RETRY_TOKENS = 32 };
static const double RATE_START = 0.8, RATE_STEP = 0.04;

/* The chain that yields most tokens per cost: 1 + r + r^2 + ... against 1 + m c. */
static int best_length(const struct spec *p)
{
    const double cost = p->cost_draft + p->cost_row;
    double stands = 1, tokens = 1, best = 1;
    int length = 0;
    for (int m = 1; m <= p->n_max; m++) {
        stands *= p->rate;
        tokens += stands;
        if (tokens / (1 + m * cost) <= best) continue;
        best = tokens / (1 + m * cost);
        length = m;
    }
    return length;
}

int spec_length(struct spec *p, int limit)
{
    int length = best_length(p);
    if (length == 0 && p->n_max > 0 && ++p->n_paused > RETRY_TOKENS) {
        p->n_paused = 0;
        length = 1;
    }
    return QA_MIN(length, limit);
}

void spec_learn(struct spec *p, int n_drafted, int n_stood)
{
    for (int i = 0; i < n_drafted && i <= n_stood; i++) {
        p->rate += RATE_STEP * ((i < n_stood ? 1.0 : 0.0) - p->rate);
    }
}

enum status spec_init(struct spec *p, const struct model *m, int n_max, struct err *e)
{
    *p = (struct spec){.n_max = n_max, .rate = RATE_START};
    if (n_max == 0) return QA_OK;
    /* A verified row reads its own experts, at worst none of them in common. */
    p->cost_draft = (double)m->draft_bytes / (double)m->decode_bytes;
    p->cost_row = 0.05 + 0.7 * (double)m->routed_bytes / (double)m->decode_bytes;
    p->logits = m->ops->alloc(m->dev, (size_t)m->d.n_vocab * sizeof(float));
    if (!p->logits) return err_set(e, QA_E_NOMEM, "no memory for drafting");
    for (int i = 0; i < n_max; i++) {
        const enum status st = dist_init(&p->q[i], m->d.n_vocab, e);
        if (st) return st;
    }
    return QA_OK;
}

void spec_release(struct spec *p, const struct model *m)
{
    m->ops->release(m->dev, p->logits);
    for (int i = 0; i < DRAFT_MAX; i++)
        dist_release(&p->q[i]);
    *p = (struct spec){0};
}

/* ---- drafting -------------------------------------------------------------- */

/* Draw from the draft layer's row what the trunk might pick after `burst`. */
static int32_t draw_draft(struct session *s,
                          const struct decode_args *a,
                          const int32_t *burst,
                          int n,
                          const float *hidden)
{
    struct spec *p = &s->spec;
    struct sampler_past past = session_past(s, a, burst, n);
    past.want_logprob = false; /* nobody sees a draft's */
    forward_draft_head(s->g->f, hidden, 1, p->logits);
    s->g->ops->sync(s->g->dev);
    sampler_shape(&s->sampler, p->logits, a->sampling, &past, &p->q[n]);
    return dist_draw(&p->q[n], a->rng);
}

static void draft_chain(struct session *s,
                        const struct decode_args *a,
                        int n_draft,
                        int32_t *drafts)
{
    struct forward *f = s->g->f;
    const int n_embd = s->g->m->d.n_embd;
    const int64_t pending = s->n_done;
    const int n_rows = session_draft_rows(s, pending + 1);
    const float *hidden = f->hidden + (size_t)(n_rows - 1) * (size_t)n_embd;

    for (int i = 0; i < n_draft; i++) {
        if (i > 0) {
            const struct span span = session_span(s, pending + i, 1, false);
            const struct step step = {
                &drafts[i - 1], 1, {&span, 1}
            };
            forward_draft(f, &step, hidden);
            hidden = f->hidden;
        }
        drafts[i] = draw_draft(s, a, drafts, i, hidden);
    }
}

/* ---- verifying ------------------------------------------------------------- */

/* Trunk over the pending token and the drafts; rows of logits into s->logits. */
static void verify_rows(struct session *s, const int32_t *drafts, int n_draft)
{
    int32_t ids[TRIAL_ROWS];
    ids[0] = s->ids.p[s->n_done];
    memcpy(ids + 1, drafts, (size_t)n_draft * sizeof *drafts);
    const struct span span = session_span(s, s->n_done, n_draft + 1, true);
    const struct step step = {
        ids, n_draft + 1, {&span, 1}
    };

    forward_trunk(s->g->f, &step);
    forward_head(s->g->f, s->g->f->hidden, n_draft + 1, s->logits);
    s->g->ops->sync(s->g->dev);
}

static void take(struct session *s, struct burst *b, const float *row, int32_t id)
{
    b->logprob[b->n] = sampler_logprob(&s->sampler, row, id);
    b->ids[b->n++] = id;
}

/* Fill the burst; returns how many drafts stand.  The last of them may be a stop
 * token: nothing follows it then. */
static int accept_drafts(struct session *s,
                         const struct decode_args *a,
                         const int32_t *drafts,
                         int n_draft,
                         struct burst *b)
{
    for (int j = 0;; j++) {
        const float *row = session_row(s, j);
        const struct sampler_past past = session_past(s, a, b->ids, b->n);
        sampler_shape(&s->sampler, row, a->sampling, &past, &s->target);
        const bool stands = j < n_draft && sampler_accept(&s->sampler, &s->target,
                                                          &s->spec.q[j], drafts[j], a->rng);
        take(s, b, row, stands ? drafts[j] : dist_draw(&s->target, a->rng));
        if (!stands) return j;
        if (engine_is_stop(s->g, drafts[j])) return j + 1;
    }
}

enum status spec_decode(struct session *s,
                        const struct decode_args *a,
                        int n_draft,
                        struct burst *out,
                        struct err *e)
{
    const int64_t n = s->n_done;
    ASSERT(n_draft >= 1 && n_draft <= DRAFT_MAX && session_has_pending(s));
    enum status st = cache_reserve(&s->cache, QA_MIN(s->n_mtp, n), n + n_draft + 1, e);
    if (st) return st;
    st = ids_reserve(&s->ids, BURST_MAX, e);
    if (st) return st;

    int32_t drafts[DRAFT_MAX];
    draft_chain(s, a, n_draft, drafts);
    verify_rows(s, drafts, n_draft);
    const int n_stood = accept_drafts(s, a, drafts, n_draft, out);

    const struct span kept = session_span(s, n, n_stood + 1, false);
    forward_keep(s->g->f, (struct spans){&kept, 1});
    session_keep_hidden(s, n_stood + 1);
    s->n_done = n + n_stood + 1;
    s->i_logits = n_stood;
    st = ids_add(&s->ids, out->ids, (size_t)out->n, e);
    ASSERT(st == QA_OK); /* room was made before anything moved */

    s->stats.n_drafted += (uint64_t)n_draft;
    s->stats.n_accepted += (uint64_t)n_stood;
    spec_learn(&s->spec, n_draft, n_stood);
    return QA_OK;
}
