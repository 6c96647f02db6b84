/* session.c - one timeline of tokens: append, sync, mark, rewind, fork, decode. */
#include "engine/session.h"

#include "engine/base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- the stop flag ------------------------------------------------------- */

/* Lock-free, so that a signal handler may set it: the one global there is. */
static atomic_bool is_stop_requested;
_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "a signal handler sets it");

void engine_stop(void)
{
    atomic_store(&is_stop_requested, true);
}

void engine_stop_clear(void)
{
    atomic_store(&is_stop_requested, false);
}

bool engine_stop_requested(void)
{
    return atomic_load(&is_stop_requested);
}

/* ---- small things -------------------------------------------------------- */

static struct device *device_of(const struct session *s)
{
    return s->g->dev;
}

static void *device_floats(const struct engine *g, size_t n_rows, size_t n)
{
    return g->ops->alloc(g->dev, n_rows * n * sizeof(float));
}

static size_t embd_bytes(const struct session *s)
{
    return (size_t)s->g->m->d.n_embd * sizeof(float);
}

static size_t vocab_bytes(const struct session *s)
{
    return (size_t)s->g->m->d.n_vocab * sizeof(float);
}

static float *hidden_row(const struct session *s, int i)
{
    return s->hidden + (size_t)i * (size_t)s->g->m->d.n_embd;
}

const float *session_row(const struct session *s, int i)
{
    return s->logits + (size_t)i * (size_t)s->g->m->d.n_vocab;
}

struct span session_span(struct session *s, int64_t pos, int n_rows, bool is_trial)
{
    return cache_span(&s->cache, pos, n_rows, is_trial);
}

static enum status stopped(struct err *e)
{
    return err_set(e, QA_E_STOP, "stopped on request");
}

/* ---- opening and closing -------------------------------------------------- */

static void mark_release(struct session *s, struct mark *k)
{
    const struct engine *g = s->g;
    cache_mark_release(&s->cache, &k->cache);
    g->ops->release(g->dev, k->logits);
    g->ops->release(g->dev, k->hidden);
    *k = (struct mark){0};
}

void session_close(struct session *s)
{
    if (!s) return;
    struct engine *g = s->g;
    for (int i = 0; i < MARKS_ALL; i++)
        mark_release(s, &s->marks[i]);
    spec_release(&s->spec, g->m);
    dist_release(&s->target);
    sampler_release(&s->sampler);
    g->ops->release(g->dev, s->hidden);
    g->ops->release(g->dev, s->logits);
    cache_release(&s->cache);
    ids_release(&s->ids);
    atomic_fetch_sub(&g->n_trial_rows, s->n_trial_rows);
    atomic_fetch_sub(&g->n_sessions, 1);
    free(s);
}

static enum status check_opts(const struct session_opts *o, struct err *e)
{
    if (o->cap_tokens < 1 || o->cap_tokens > INT32_MAX) {
        return err_set(e, QA_E_USAGE, "cannot hold %lld tokens: 1 to %d",
                       (long long)o->cap_tokens, INT32_MAX);
    }
    if (o->n_draft < 0 || o->n_draft > DRAFT_MAX) {
        return err_set(e, QA_E_USAGE, "cannot draft %d tokens: 0 to %d", o->n_draft, DRAFT_MAX);
    }
    if (o->n_copy < 0 || o->n_copy > DRAFT_MAX) {
        return err_set(e, QA_E_USAGE, "cannot copy %d tokens: 0 to %d", o->n_copy, DRAFT_MAX);
    }
    if (o->n_auto < 0 || o->n_auto > AUTO_MAX) {
        return err_set(e, QA_E_USAGE, "cannot keep %d automatic marks: 0 to %d", o->n_auto,
                       AUTO_MAX);
    }
    if (o->step_tokens < 0) {
        return err_set(e, QA_E_USAGE, "cannot read %d tokens a step: 0 or more",
                       o->step_tokens);
    }
    return QA_OK;
}

/* Room for this session in a pass that it shares with those that are open already. */
static enum status reserve_pass(const struct session *s, int max_rows, struct err *e)
{
    struct engine *g = s->g;
    struct batch *b = sched_own(g->sched);
    const int n_sessions = atomic_load(&g->n_sessions);
    const int n_others = QA_MIN(n_sessions, (int)SHARED_TRIALS) - 1;
    const int n_trial = QA_MIN(atomic_load(&g->n_trial_rows), (int)SHARED_TRIALS * TRIAL_ROWS);
    const enum status st = batch_reserve(b, n_sessions, max_rows + n_others * TRIAL_ROWS,
                                         n_trial, s->cap_tokens, e);
    sched_disown(g->sched);
    return st;
}

enum status session_open(struct session **out,
                         struct engine *g,
                         const struct session_opts *o,
                         struct err *e)
{
    enum status st = check_opts(o, e);
    if (st) return st;
    if (!g->f) return err_set(e, QA_E_USAGE, "the model was opened for its text alone");
    struct session *s = calloc(1, sizeof *s);
    if (!s) return err_set(e, QA_E_NOMEM, "no memory for a session");
    const int64_t step = o->step_tokens ? o->step_tokens : STEP_TOKENS;
    const int n_draft = g->info.has_draft ? o->n_draft : 0;
    s->g = g;
    s->cap_tokens = o->cap_tokens;
    s->step_tokens = (int)QA_MIN(step, o->cap_tokens);
    s->n_mtp = 1;
    s->n_auto = o->n_auto ? o->n_auto : AUTO_DEFAULT;
    s->mark_every = o->mark_every < 0 ? 0 : o->mark_every ? o->mark_every : MARK_EVERY;
    s->n_trial_rows = 1 + QA_MAX(n_draft, o->n_copy);
    atomic_fetch_add(&g->n_sessions, 1);
    atomic_fetch_add(&g->n_trial_rows, s->n_trial_rows);

    const int max_rows = s->step_tokens + 2 * TRIAL_ROWS;
    st = cache_init(&s->cache, g->m, &g->plan, s->cap_tokens, max_rows, e);
    if (st) goto fail;
    st = reserve_pass(s, max_rows, e);
    if (st) goto fail;
    s->logits = device_floats(g, TRIAL_ROWS, (size_t)g->m->d.n_vocab);
    if (n_draft) s->hidden = device_floats(g, (size_t)max_rows, (size_t)g->m->d.n_embd);
    if (!s->logits || (n_draft && !s->hidden)) {
        st = err_set(e, QA_E_NOMEM, "no memory for a session's logits");
        goto fail;
    }
    st = sampler_init(&s->sampler, g->m->d.n_vocab, e);
    if (st) goto fail;
    st = dist_init(&s->target, g->m->d.n_vocab, e);
    if (st) goto fail;
    st = spec_init(&s->spec, g, o, e);
    if (st) goto fail;
    *out = s;
    return QA_OK;

fail:
    session_close(s);
    return st;
}

int64_t session_n_tokens(const struct session *s)
{
    return (int64_t)s->ids.n;
}

int64_t session_cap_tokens(const struct session *s)
{
    return s->cap_tokens;
}

const int32_t *session_ids(const struct session *s)
{
    return s->ids.p;
}

struct session_stats session_stats(const struct session *s)
{
    return s->stats;
}

struct spec_costs session_costs(const struct session *s)
{
    pthread_mutex_lock(&s->g->costs_lock);
    const struct spec_costs c = s->g->costs;
    pthread_mutex_unlock(&s->g->costs_lock);
    return c;
}

void session_learn_costs(struct session *s, learn_fn *learn, int n, double seconds)
{
    if (s->spec.n_company > 1) return; /* part of the time was other sessions' */
    pthread_mutex_lock(&s->g->costs_lock);
    learn(&s->g->costs, n, seconds);
    pthread_mutex_unlock(&s->g->costs_lock);
}

/* ---- computing ------------------------------------------------------------ */

void session_run(struct session *s, struct request *r)
{
    sched_run(s->g->sched, r);
    s->spec.n_company = QA_MAX(s->spec.n_company, r->n_company);
}

float *session_hidden_place(const struct session *s)
{
    return s->hidden ? hidden_row(s, s->n_hidden) : NULL;
}

void session_draft_rows(struct session *s, int64_t to, float *hidden, struct draft_head *head)
{
    const int n = (int)(to - s->n_mtp);
    if (n <= 0) return;
    ASSERT(n <= s->n_hidden);

    struct request r = {.kind = REQUEST_DRAFT,
                        .span = session_span(s, s->n_mtp, n, false),
                        .ids = s->ids.p + s->n_mtp,
                        .hidden_in = s->hidden,
                        .hidden_out = hidden,
                        .head = head};
    session_run(s, &r);
    s->n_mtp = to;
    s->n_hidden -= n; /* one row may be left: its successor is not known yet */
    ASSERT(s->n_hidden <= 1);
    if (s->n_hidden == 1) {
        s->g->ops->copy(device_of(s), s->hidden, hidden_row(s, n), embd_bytes(s));
    }
}

/* The next of n_left rows through the trunk, as many as the pass has room for, and the
 * draft layer behind them.  Returns true when this was the last step, by end or by
 * stop: its last row has logits then. */
static bool compute_step(struct session *s, int64_t n_left)
{
    const int n_rows = (int)QA_MIN(n_left, (int64_t)s->step_tokens);
    struct request r = {.kind = REQUEST_TRUNK,
                        .span = session_span(s, s->n_done, n_rows, false),
                        .ids = s->ids.p + s->n_done,
                        .n_left = n_left,
                        .hidden_out = session_hidden_place(s),
                        .logits = s->logits};
    session_run(s, &r);
    s->n_done += r.span.n_rows;
    if (s->hidden) s->n_hidden += r.span.n_rows;
    if (r.is_last) s->i_logits = 0;
    /* A lone row can wait for others: the layer's weights are read once for all. */
    if (s->hidden && (r.span.n_rows > 1 || s->n_hidden > TRIAL_ROWS))
        session_draft_rows(s, s->n_done, NULL, NULL);
    return r.is_last;
}

enum status session_reserve(struct session *s, int64_t to, struct err *e)
{
    /* Pages before that are only read, and may stay shared. */
    const int64_t from = s->hidden ? QA_MIN(s->n_mtp, s->n_done) : s->n_done;
    return cache_reserve(&s->cache, from, to, e);
}

/* has_logits: the last token's are there. */
static enum status mark_fill(struct session *s, struct mark *k, bool has_logits, struct err *e)
{
    const struct engine *g = s->g;
    const bool has_hidden = s->n_done > 0 && s->hidden;

    enum status st = session_reserve(s, s->n_done, e);
    if (st) return st;
    if (has_hidden)
        session_draft_rows(s, s->n_done, NULL, NULL); /* leaves one hidden row to keep */
    st = cache_mark(&s->cache, s->n_done, &k->cache, e);
    if (st) return st;
    k->is_used = true;
    if (has_logits) k->logits = g->ops->alloc(g->dev, vocab_bytes(s));
    if (has_hidden) k->hidden = g->ops->alloc(g->dev, embd_bytes(s));
    if ((has_logits && !k->logits) || (has_hidden && !k->hidden)) {
        mark_release(s, k);
        return err_set(e, QA_E_NOMEM, "no memory for a mark's logits");
    }
    if (has_logits)
        g->ops->copy(g->dev, k->logits, session_row(s, s->i_logits), vocab_bytes(s));
    if (has_hidden) g->ops->copy(g->dev, k->hidden, s->hidden, embd_bytes(s));
    return QA_OK;
}

static int64_t last_marked(const struct session *s)
{
    int64_t n = 0;
    for (int i = 0; i < MARKS_ALL; i++) {
        if (s->marks[i].is_used) n = QA_MAX(n, s->marks[i].cache.n_tokens);
    }
    return n;
}

/* In the middle of a prompt: an automatic mark when the last mark is far behind.  The
 * oldest makes room.  Without memory there is none, and nothing else is wrong. */
static void mark_if_far(struct session *s)
{
    struct mark *k = &s->marks[MARKS_MAX];
    if (s->mark_every == 0 || s->n_done - last_marked(s) < s->mark_every) return;
    for (int i = 0; i < s->n_auto && k->is_used; i++) {
        struct mark *other = &s->marks[MARKS_MAX + i];
        if (!other->is_used || other->cache.n_tokens < k->cache.n_tokens) k = other;
    }
    mark_release(s, k);
    (void)!mark_fill(s, k, false, NULL);
}

/* Compute everything that ids hold.  All memory is taken first, so that only a stop
 * can end it early, and nobody waits for it. */
static enum status compute_all(struct session *s, struct err *e)
{
    const int64_t n = (int64_t)s->ids.n;
    const enum status st = session_reserve(s, n, e);
    if (st) return st;
    bool is_last = engine_stop_requested();
    sched_enter(s->g->sched);
    while (!is_last) {
        is_last = compute_step(s, n - s->n_done);
        if (!is_last) mark_if_far(s);
    }
    sched_leave(s->g->sched, true);
    return s->n_done == n ? QA_OK : stopped(e);
}

static enum status check_ids(const struct session *s,
                             const int32_t *ids,
                             size_t n,
                             struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= s->g->m->d.n_vocab) {
            return err_set(e, QA_E_USAGE, "token %d at %zu is not in the vocabulary", ids[i],
                           i);
        }
    }
    return QA_OK;
}

enum status session_append(struct session *s, const int32_t *ids, size_t n, struct err *e)
{
    const size_t before = s->ids.n;
    if (n > (size_t)s->cap_tokens - before) {
        return err_set(e, QA_E_LIMIT, "context is full: %zu and %zu more tokens, room for %lld",
                       before, n, (long long)s->cap_tokens);
    }
    enum status st = check_ids(s, ids, n, e);
    if (st || n == 0) return st;
    st = ids_add(&s->ids, ids, n, e);
    if (st) return st;

    const double start_s = clock_now_s();
    const int64_t n_done = s->n_done;
    st = compute_all(s, e);
    if (st) s->ids.n = QA_MAX(before, (size_t)s->n_done); /* what was not computed goes */
    s->stats.n_prefilled += (uint64_t)(s->n_done - n_done);
    s->stats.prefill_s += clock_now_s() - start_s;
    return st;
}

/* The last token may still wait for the next decode; some calls cannot wait. */
static enum status compute_pending(struct session *s, struct err *e)
{
    if (!session_has_pending(s)) return QA_OK;
    const enum status st = session_reserve(s, (int64_t)s->ids.n, e);
    if (!st) compute_step(s, 1);
    return st;
}

/* Row of the last token, computed if need be; NULL on an error.  Inside. */
static const float *last_row(struct session *s, struct err *e)
{
    if (s->ids.n == 0) {
        err_set(e, QA_E_USAGE, "an empty session predicts nothing");
        return NULL;
    }
    if (compute_pending(s, e)) return NULL;
    s->g->ops->sync(device_of(s));
    return session_row(s, s->i_logits);
}

const float *session_logits(struct session *s, struct err *e)
{
    sched_enter(s->g->sched);
    const float *row = last_row(s, e);
    sched_leave(s->g->sched, false);
    return row;
}

/* ---- marks ---------------------------------------------------------------- */

enum status session_mark(struct session *s, int *mark, struct err *e)
{
    int i = 0;
    while (i < MARKS_MAX && s->marks[i].is_used)
        i++;
    if (i == MARKS_MAX)
        return err_set(e, QA_E_LIMIT, "a session holds at most %d marks", MARKS_MAX);
    sched_enter(s->g->sched);
    enum status st = compute_pending(s, e);
    if (!st) st = mark_fill(s, &s->marks[i], s->n_done > 0, e);
    sched_leave(s->g->sched, true);
    if (!st) *mark = i;
    return st;
}

/* Back to where the cache was at k; marks behind it are void. */
static void go_back(struct session *s, const struct cache_mark *k)
{
    const int64_t n = k->n_tokens;
    s->ids.n = (size_t)n;
    s->n_done = n;
    s->n_mtp = QA_MAX(n, 1);
    s->n_hidden = 0;
    spec_cut(&s->spec, s->ids.n);
    cache_return(&s->cache, k);
    for (int i = 0; i < MARKS_ALL; i++) {
        if (s->marks[i].is_used && s->marks[i].cache.n_tokens > n)
            mark_release(s, &s->marks[i]);
    }
}

void session_forget(struct session *s)
{
    go_back(s, &(struct cache_mark){0});
}

static void go_to_mark(struct session *s, const struct mark *k)
{
    const struct engine *g = s->g;
    go_back(s, &k->cache);
    s->i_logits = 0;
    if (k->logits) g->ops->copy(g->dev, s->logits, k->logits, vocab_bytes(s));
    if (k->hidden) {
        g->ops->copy(g->dev, s->hidden, k->hidden, embd_bytes(s));
        s->n_hidden = 1;
    }
}

enum status session_rewind(struct session *s, int mark, struct err *e)
{
    if (mark < 0 || mark >= MARKS_MAX || !s->marks[mark].is_used) {
        return err_set(e, QA_E_USAGE, "mark %d does not exist", mark);
    }
    go_to_mark(s, &s->marks[mark]);
    return QA_OK;
}

void session_drop_mark(struct session *s, int mark)
{
    if (mark >= 0 && mark < MARKS_MAX) mark_release(s, &s->marks[mark]);
}

enum status session_fork(struct session **out, struct session *s, struct err *e)
{
    const struct session_opts o = {
        .cap_tokens = s->cap_tokens,
        .n_draft = s->spec.n_max[DRAFT_LAYER],
        .n_copy = s->spec.n_max[DRAFT_COPY],
        .n_draft_ids = s->spec.head.top.rows,
        .step_tokens = s->step_tokens,
        .mark_every = s->mark_every ? s->mark_every : -1,
        .n_auto = s->n_auto,
    };
    const struct engine *g = s->g;
    struct session *t = NULL;
    enum status st = session_open(&t, s->g, &o, e);
    if (st) return st;
    st = ids_add(&t->ids, s->ids.p, s->ids.n, e);
    if (!st) st = cache_share(&t->cache, &s->cache, s->n_done, e);
    if (st) {
        session_close(t);
        return st;
    }
    t->n_done = s->n_done;
    t->n_mtp = s->n_mtp;
    if (s->n_done > 0) {
        g->ops->copy(g->dev, t->logits, session_row(s, s->i_logits), vocab_bytes(s));
    }
    if (s->hidden) {
        g->ops->copy(g->dev, t->hidden, s->hidden, (size_t)s->n_hidden * embd_bytes(s));
        t->n_hidden = s->n_hidden;
    }
    *out = t;
    return QA_OK;
}

static size_t common_prefix(const struct session *s, const int32_t *ids, size_t n)
{
    size_t i = 0;
    while (i < n && i < s->ids.n && ids[i] == s->ids.p[i])
        i++;
    return i;
}

/* The last mark that leads to n_wanted tokens of which n_same are there.  One without
 * logits does when a token follows it. */
static const struct mark *last_mark(const struct session *s, size_t n_same, size_t n_wanted)
{
    const struct mark *best = NULL;
    for (int i = 0; i < MARKS_ALL; i++) {
        const struct mark *k = &s->marks[i];
        if (!k->is_used || k->cache.n_tokens > (int64_t)n_same) continue;
        if (i >= MARKS_MAX && k->cache.n_tokens == (int64_t)n_wanted) continue;
        if (!best || k->cache.n_tokens > best->cache.n_tokens) best = k;
    }
    return best;
}

enum status session_sync(struct session *s,
                         const int32_t *ids,
                         size_t n,
                         size_t *n_reused,
                         struct err *e)
{
    if (n > (size_t)s->cap_tokens) {
        return err_set(e, QA_E_LIMIT, "context is full: %zu tokens, room for %lld", n,
                       (long long)s->cap_tokens);
    }
    enum status st = check_ids(s, ids, n, e);
    if (st) return st;

    const size_t same = common_prefix(s, ids, n);
    if (same < s->ids.n) { /* something must go: only a mark leads back */
        const struct mark *k = last_mark(s, same, n);
        if (k)
            go_to_mark(s, k);
        else
            go_back(s, &(struct cache_mark){0});
    }
    const size_t kept = s->ids.n;
    st = session_append(s, ids + kept, n - kept, e);
    if (!st && n_reused) *n_reused = kept;
    return st;
}

/* ---- decoding ------------------------------------------------------------- */

struct sampler_past session_past(const struct session *s,
                                 const struct decode_args *a,
                                 const int32_t *burst,
                                 int n_burst)
{
    const size_t from = (size_t)QA_MAX(0, QA_MIN(a->n_prompt, (int64_t)s->ids.n));
    return (struct sampler_past){
        .ids = s->ids.p + from,
        .n_ids = s->ids.n - from,
        .burst = burst,
        .n_burst = n_burst,
        .mask = a->mask,
        .mask_ctx = a->mask_ctx,
        .banned = a->banned,
        .n_banned = a->n_banned,
        .want_logprob = true,
        .n_top = a->n_top,
        .top = a->top ? a->top + n_burst * a->n_top : NULL,
    };
}

void session_pick(struct session *s,
                  const struct decode_args *a,
                  const float *row,
                  struct burst *b)
{
    const struct sampler_past past = session_past(s, a, b->ids, b->n);
    sampler_shape(&s->sampler, row, a->sampling, &past, &s->target);
    const int32_t id = dist_draw(&s->target, rng_u64(a->rng));
    b->logprob[b->n] = sampler_logprob(&s->sampler, row, id);
    b->ids[b->n++] = id;
}

/* Without drafts: one token from the last row, left pending. */
static enum status decode_one(struct session *s,
                              const struct decode_args *a,
                              struct burst *b,
                              struct err *e)
{
    const bool is_step = session_has_pending(s);
    const double start_s = clock_now_s();
    enum status st = ids_reserve(&s->ids, 1, e);
    if (st) return st;
    const float *row = last_row(s, e);
    if (!row) return e->code ? e->code : QA_E_INTERNAL;
    session_pick(s, a, row, b);
    st = ids_add(&s->ids, b->ids, 1, e);
    if (!is_step) return st;
    s->spec.n_since_plain = 0;
    session_learn_costs(s, spec_costs_step, 1, clock_now_s() - start_s);
    return st;
}

/* How many drafts there is room for: never past a limit, and one more token follows them. */
static int draft_limit(const struct session *s, const struct decode_args *a)
{
    int64_t limit = s->cap_tokens - (int64_t)s->ids.n - 1;
    if (a->max_tokens > 0) limit = QA_MIN(limit, a->max_tokens - 1);
    return (int)QA_MAX(0, QA_MIN(limit, DRAFT_MAX));
}

enum status session_decode(struct session *s,
                           const struct decode_args *a,
                           struct burst *out,
                           struct err *e)
{
    struct err local = {0};
    if (!e) e = &local; /* decode_one() reads it */
    if (engine_stop_requested()) return stopped(e);
    if ((int64_t)s->ids.n >= s->cap_tokens) {
        return err_set(e, QA_E_LIMIT, "context is full: %lld tokens", (long long)s->cap_tokens);
    }
    const double start_s = clock_now_s();
    struct burst b = {.n = 0};
    struct proposal what;
    s->stats.n_steps += session_has_pending(s);
    sched_enter(s->g->sched);
    enum status st = spec_propose(s, a, draft_limit(s, a), &what, e);
    if (!st && what.n > 0) {
        spec_decode(s, a, &what, &b);
    } else if (!st) {
        st = decode_one(s, a, &b, e);
    }
    /* After a stop token a tool runs, or nothing. */
    sched_leave(s->g->sched, !st && !engine_is_stop(s->g, b.ids[b.n - 1]));
    s->stats.decode_s += clock_now_s() - start_s;
    if (st) return st;
    s->stats.n_decoded += (uint64_t)b.n;
    *out = b;
    return QA_OK;
}
