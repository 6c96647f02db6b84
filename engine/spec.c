/* spec.c - speculative decoding: from the draft layer, or by copying from the context.
 *
 * One round, with a token x pending at position n:
 *   1. propose: either the draft layer reads x (and what it lags behind) and
 *      proposes d1; reading d1 with its own hidden it proposes d2, and so on; or the
 *      suffix automaton says what followed where the text's end occurred before;
 *   2. verify: the trunk reads [x, d1 .. dm] as a trial: row j gives the
 *      distribution of the token after d1 .. dj;
 *   3. accept: row by row the next token is drawn as without drafts; while it is
 *      the draft, the following row holds too;
 *   4. keep: the trunk's memory moves on over x and the drafts that stand.
 * The token drawn last is pending for the next round. */
#include "engine/spec.h"

#include "engine/base/clock.h"
#include "engine/session.h"

#include <string.h>

const char *draft_source_name(enum draft_source source)
{
    static const char *const NAMES[] = {[DRAFT_LAYER] = "draft layer", [DRAFT_COPY] = "copy"};
    return (unsigned)source < COUNT(NAMES) ? NAMES[source] : "?";
}

/* ---- what it costs --------------------------------------------------------- */

/* The first plain steps may wait for weights to come from the disk: the shortest counts. */
enum { PLAIN_FIRST = 4, MEAN_OVER = 16 };
/* Steps until one is plain again, to know what that takes by now. */
enum { PLAIN_EVERY = 256 };
/* One sample weighs no more than this many means: the machine may have been elsewhere. */
static const double SAMPLE_MOST = 3;

static void learn_mean(double *mean, int *n, double sample)
{
    *n = QA_MIN(*n + 1, MEAN_OVER);
    *mean += (QA_MIN(sample, SAMPLE_MOST * *mean) - *mean) / (*n + 1);
}

void spec_costs_step(struct spec_costs *c, int n_rows, double seconds)
{
    if (c->is_fixed) return;
    if (n_rows > 1) {
        const double rest_s = QA_MAX(seconds - c->plain_s, 0);
        /* Not nothing, or a few lucky samples would end the learning. */
        learn_mean(&c->row_s, &c->n_row, QA_MAX(rest_s / (n_rows - 1), 0.01 * c->plain_s));
    } else if (c->n_plain < PLAIN_FIRST) {
        if (c->n_plain++ == 0) { /* until now all was in units of a plain step */
            c->row_s *= seconds / c->plain_s;
            c->draft_s *= seconds / c->plain_s;
            c->plain_s = seconds;
        }
        c->plain_s = QA_MIN(c->plain_s, seconds);
    } else {
        learn_mean(&c->plain_s, &c->n_plain, seconds);
    }
}

void spec_costs_draft(struct spec_costs *c, int n_drafts, double seconds)
{
    if (!c->is_fixed) learn_mean(&c->draft_s, &c->n_draft, seconds / n_drafts);
}

/* ---- how many to draft ----------------------------------------------------- */

/* After a source stopped paying, try one draft again after so many steps. */
enum { RETRY_STEPS = 32 };
/* A guess weighs as much as RATE_PRIOR drafts, the mean looks back on RATE_OVER. */
enum { RATE_PRIOR = 5, RATE_OVER = 25 };
static const double RATE_START = 0.8;
static const double COPY_RATE_START[MATCH_CLASSES] = {0.7, 0.85, 0.95};

static int match_class(size_t n_match)
{
    return n_match < 2 * SUFFIX_MATCH_MIN ? 0 : n_match < 4 * SUFFIX_MATCH_MIN ? 1 : 2;
}

double spec_best_chain(double rate, double cost, int max, int *length)
{
    double stands = 1, tokens = 1, best = 1;
    *length = 0;
    for (int m = 1; m <= max; m++) {
        stands *= rate;
        tokens += stands;
        if (tokens / (1 + m * cost) <= best) continue;
        best = tokens / (1 + m * cost);
        *length = m;
    }
    return best;
}

void spec_learn(struct spec *p, const struct proposal *what, int n_stood)
{
    struct rate *rate =
        what->source == DRAFT_LAYER ? &p->layer : &p->copy[match_class(what->n_match)];
    for (int i = 0; i < what->n && i <= n_stood; i++) {
        rate->n = QA_MIN(rate->n + 1, RATE_OVER - RATE_PRIOR);
        rate->mean += ((i < n_stood ? 1.0 : 0.0) - rate->mean) / (rate->n + RATE_PRIOR);
    }
}

/* A source that does not pay is tried with one draft now and then. */
static int or_retry(struct spec *p, enum draft_source source, int length, int max)
{
    if (length > 0) p->n_paused[source] = 0;
    if (length > 0 || max == 0 || ++p->n_paused[source] <= RETRY_STEPS) return length;
    p->n_paused[source] = 0;
    return 1;
}

/* Those who share a pass share the cost of one row, and a further row of each adds what
 * it adds: in company a row weighs more, beside what it is compared with. */
static struct spec_costs costs_in_company(const struct session *s)
{
    struct spec_costs c = session_costs(s);
    const int n = QA_MAX(s->spec.n_before, 1);
    const double share = (c.plain_s + (n - 1) * c.row_s) / n;
    c.draft_s *= share / c.plain_s;
    c.plain_s = share;
    return c;
}

/* Leaves the source and the number of drafts in *out, and the drafts of a copy. */
static void choose(struct session *s, int limit, struct proposal *out)
{
    struct spec *p = &s->spec;
    const struct spec_costs c = costs_in_company(s);
    const int max_layer = QA_MIN(limit, p->n_max[DRAFT_LAYER]);
    int max_copy = QA_MIN(limit, p->n_max[DRAFT_COPY]), n_layer, n_copy = 0;

    const double per_layer =
        spec_best_chain(p->layer.mean, (c.draft_s + c.row_s) / c.plain_s, max_layer, &n_layer);
    if (max_copy > 0) {
        max_copy = suffix_propose(&p->suffix, s->ids.p, max_copy, out->ids, &out->n_match);
    }
    if (max_copy > 0) {
        const double rate = p->copy[match_class(out->n_match)].mean;
        const double per_copy = spec_best_chain(rate, c.row_s / c.plain_s, max_copy, &n_copy);
        n_copy = or_retry(p, DRAFT_COPY, n_copy, max_copy);
        if (n_copy > 0 && per_copy >= per_layer) {
            out->source = DRAFT_COPY;
            out->n = n_copy;
            return;
        }
    }
    out->source = DRAFT_LAYER;
    out->n = or_retry(p, DRAFT_LAYER, n_layer, max_layer);
}

/* ---- life ------------------------------------------------------------------- */

struct spec_costs spec_costs_guess(const struct model *m)
{
    /* In units of a plain step, by the bytes that must be read.  A further row reads its
     * own experts, at worst none of them in common. */
    const double whole = (double)m->decode_bytes;
    struct spec_costs c = {.plain_s = 1, .row_s = 0.05 + 0.7 * (double)m->routed_bytes / whole};
    if (m->d.n_draft) {
        const struct weight *head = m->draft.head;
        const int n_skipped = head->rows - draft_head_rows(head->rows, 0);
        const double skipped = (double)n_skipped * (double)head->row_bytes;
        c.draft_s = ((double)m->draft_bytes - skipped) / whole;
    }
    return c;
}

enum status spec_init(struct spec *p,
                      const struct engine *g,
                      const struct session_opts *o,
                      struct err *e)
{
    const int n_draft = g->info.has_draft ? o->n_draft : 0;
    *p = (struct spec){
        .n_max = {n_draft, o->n_copy}
    };
    p->layer.mean = RATE_START;
    for (int i = 0; i < MATCH_CLASSES; i++)
        p->copy[i].mean = COPY_RATE_START[i];
    suffix_init(&p->suffix);
    if (n_draft == 0) return QA_OK;
    enum status st = draft_head_init(&p->head, g->m, o->n_draft_ids, e);
    if (st) return st;
    p->hidden = g->ops->alloc(g->dev, (size_t)g->m->d.n_embd * sizeof(float));
    if (!p->hidden) return err_set(e, QA_E_NOMEM, "no memory for drafting");
    for (int32_t id = p->head.top.rows; id < g->m->d.n_vocab; id++) {
        if (engine_is_control(g, id)) draft_head_add(&p->head, g->m, id);
    }
    return dist_init(&p->q, draft_head_n(&p->head) + EXTRA_MAX, e);
}

void spec_release(struct spec *p, const struct model *m)
{
    m->ops->release(m->dev, p->hidden);
    draft_head_release(&p->head, m);
    dist_release(&p->q);
    suffix_release(&p->suffix);
    *p = (struct spec){0};
}

void spec_cut(struct spec *p, size_t n)
{
    suffix_cut(&p->suffix, n);
    p->head.n_seen = QA_MIN(p->head.n_seen, n);
}

/* ---- proposing -------------------------------------------------------------- */

/* What the trunk will pick after `burst` under `key`, if the draft layer sees as it does. */
static int32_t draw_draft(struct session *s,
                          const struct decode_args *a,
                          const int32_t *burst,
                          int n,
                          uint64_t key)
{
    struct spec *p = &s->spec;
    struct sampler_past past = session_past(s, a, burst, n);
    past.want_logprob = false; /* nobody sees a draft's */
    past.list = p->head.list;
    past.n_list = draft_head_n(&p->head);
    sampler_shape(&s->sampler, p->head.logits, a->sampling, &past, &p->q);
    return dist_draw(&p->q, key);
}

static void draft_chain(struct session *s, const struct decode_args *a, struct proposal *out)
{
    struct spec *p = &s->spec;
    const int64_t pending = s->n_done;
    struct rng ahead = *a->rng; /* the numbers that accept() will take */
    const double start_s = clock_now_s();
    draft_head_see(&p->head, s->g->m, s->ids.p, s->ids.n);

    session_draft_rows(s, pending + 1, p->hidden, &p->head);
    out->ids[0] = draw_draft(s, a, out->ids, 0, rng_u64(&ahead));
    for (int i = 1; i < out->n; i++) {
        struct request r = {.kind = REQUEST_DRAFT,
                            .span = session_span(s, pending + i, 1, false),
                            .ids = &out->ids[i - 1],
                            .hidden_in = p->hidden,
                            .hidden_out = p->hidden,
                            .head = &p->head};
        session_run(s, &r);
        out->ids[i] = draw_draft(s, a, out->ids, i, rng_u64(&ahead));
    }
    session_learn_costs(s, spec_costs_draft, out->n, clock_now_s() - start_s);
}

/* Time for a plain step, to know what one takes.  In company nothing can be learnt. */
static bool must_measure(const struct session *s)
{
    const struct spec_costs c = session_costs(s);
    if (c.is_fixed || s->spec.n_before > 1) return false;
    return c.n_plain < 2 || s->spec.n_since_plain > PLAIN_EVERY;
}

enum status spec_propose(struct session *s,
                         const struct decode_args *a,
                         int limit,
                         struct proposal *out,
                         struct err *e)
{
    struct spec *p = &s->spec;
    *out = (struct proposal){.n = 0};
    p->n_before = p->n_company;
    p->n_company = 1;
    if (limit <= 0 || !session_has_pending(s)) return QA_OK;
    p->n_since_plain++;
    if (must_measure(s)) return QA_OK;

    enum status st = QA_OK;
    if (p->n_max[DRAFT_COPY] > 0) st = suffix_append(&p->suffix, s->ids.p, s->ids.n, e);
    if (st) return st;
    choose(s, limit, out);
    if (out->n == 0) return QA_OK;
    st = session_reserve(s, s->n_done + out->n + 1, e);
    if (!st) st = ids_reserve(&s->ids, BURST_MAX, e);
    if (!st && out->source == DRAFT_LAYER) draft_chain(s, a, out);
    return st;
}

/* ---- verifying and keeping --------------------------------------------------- */

/* Trunk over the pending token and the drafts; rows of logits into s->logits.  The
 * span says afterwards where the rows are that may be kept. */
static struct span verify_rows(struct session *s, const struct proposal *what)
{
    int32_t ids[TRIAL_ROWS];
    const int n_rows = what->n + 1;
    ids[0] = s->ids.p[s->n_done];
    memcpy(ids + 1, what->ids, (size_t)what->n * sizeof *ids);
    struct request r = {.kind = REQUEST_TRUNK,
                        .span = session_span(s, s->n_done, n_rows, true),
                        .ids = ids,
                        .n_left = n_rows,
                        .hidden_out = session_hidden_place(s),
                        .logits = s->logits};
    session_run(s, &r);
    return r.span;
}

static bool is_end(const struct session *s, const struct decode_args *a, int32_t id)
{
    for (int i = 0; i < a->n_ends; i++) {
        if (a->ends[i] == id) return true;
    }
    return engine_is_stop(s->g, id);
}

/* Fill the burst from the rows of logits; returns how many drafts stand.  The last of
 * them may be the end of the burst: nothing follows it then. */
static int accept(struct session *s,
                  const struct decode_args *a,
                  const struct proposal *what,
                  struct burst *b)
{
    for (int j = 0;; j++) {
        const float *row = session_row(s, j);
        session_pick(s, a, row, b);
        const bool stands = j < what->n && b->ids[j] == what->ids[j];
        if (!stands) return j;
        if (is_end(s, a, b->ids[j])) return j + 1; /* nothing follows it */
    }
}

static void count(struct session *s, const struct proposal *what, int n_stood)
{
    struct draft_stats *d = &s->stats.draft[what->source];
    for (int i = 0; i < what->n; i++) {
        d->drafted[i]++;
        d->accepted[i] += i < n_stood;
    }
    s->stats.n_drafted += (uint64_t)what->n;
    s->stats.n_accepted += (uint64_t)n_stood;
}

static void keep(struct session *s,
                 const struct proposal *what,
                 struct span trial,
                 int n_stood,
                 const struct burst *b)
{
    struct err none = {0};
    struct request r = {.kind = REQUEST_KEEP, .span = trial};
    r.span.n_rows = n_stood + 1;
    r.span.is_trial = false;
    session_run(s, &r);
    s->n_done += n_stood + 1;
    if (s->hidden) s->n_hidden += n_stood + 1;
    s->i_logits = n_stood;
    const enum status st = ids_add(&s->ids, b->ids, (size_t)b->n, &none);
    ASSERT(st == QA_OK); /* spec_propose() made room */
    /* While copies do the work the draft layer follows in batches. */
    if (s->hidden && s->n_hidden > TRIAL_ROWS) session_draft_rows(s, s->n_done, NULL, NULL);
    count(s, what, n_stood);
    spec_learn(&s->spec, what, n_stood);
}

void spec_decode(struct session *s,
                 const struct decode_args *a,
                 const struct proposal *what,
                 struct burst *out)
{
    const double start_s = clock_now_s();
    const struct span trial = verify_rows(s, what);
    const int n_stood = accept(s, a, what, out);
    keep(s, what, trial, n_stood, out);
    session_learn_costs(s, spec_costs_step, what->n + 1, clock_now_s() - start_s);
}
