/* raw.c - engine_raw(): every row's outputs, for checking engines against each other. */
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_ROWS = 16, RAW_STEP_MAX = 512 };

struct raw {
    struct engine *g;
    struct cache cache;
    const int32_t *ids;
    const struct raw_outputs *out;
    float *before; /* [step + 1, E] device: hidden of position pos - 1, then of this step */
    float *logits; /* [HEAD_ROWS, V] device                                      */
};

static void raw_copy(const struct raw *r,
                     float *to,
                     int64_t row,
                     const float *from,
                     int n,
                     int width)
{
    if (!to) return;
    const struct engine *g = r->g;
    g->ops->sync(g->dev);
    g->ops->copy(g->dev, to + (size_t)row * (size_t)width, from,
                 (size_t)n * (size_t)width * sizeof(float));
    g->ops->sync(g->dev);
}

typedef void head_fn(struct forward *f, const float *hidden, int n_rows, float *logits);

static void raw_head(const struct raw *r,
                     head_fn *head,
                     float *to,
                     int64_t row,
                     const float *hidden,
                     int n)
{
    const struct dims *d = &r->g->m->d;
    for (int i = 0; to && i < n; i += HEAD_ROWS) {
        const int rows = QA_MIN(n - i, (int)HEAD_ROWS);
        head(r->g->f, hidden + (size_t)i * (size_t)d->n_embd, rows, r->logits);
        raw_copy(r, to, row + i, r->logits, rows, d->n_vocab);
    }
}

/* Draft rows of positions [pos, pos + n): row 0 of the session does not exist. */
static void raw_draft(struct raw *r, int64_t pos, int n)
{
    const int skip = pos == 0 ? 1 : 0, n_embd = r->g->m->d.n_embd;
    if (n == skip) return;
    const struct span span = cache_span(&r->cache, pos + skip, n - skip, false);
    const struct step step = {
        .ids = r->ids + pos + skip, .n_rows = n - skip, .spans = {&span, 1}
    };
    struct forward *f = r->g->f;

    forward_draft(f, &step, r->before + (size_t)skip * (size_t)n_embd);
    raw_copy(r, r->out->mtp_hidden, pos + skip, f->hidden, n - skip, n_embd);
    raw_head(r, forward_draft_head, r->out->mtp, pos + skip, f->hidden, n - skip);
}

static void raw_step(struct raw *r, int64_t pos, int n)
{
    const struct engine *g = r->g;
    const size_t n_embd = (size_t)g->m->d.n_embd;
    const struct span span = cache_span(&r->cache, pos, n, false);
    const struct step step = {
        .ids = r->ids + pos, .n_rows = n, .spans = {&span, 1}
    };

    forward_trunk(g->f, &step);
    raw_copy(r, r->out->hidden, pos, g->f->hidden, n, (int)n_embd);
    raw_head(r, forward_head, r->out->logits, pos, g->f->hidden, n);
    if (!r->before) return;
    g->ops->copy(g->dev, r->before + n_embd, g->f->hidden, (size_t)n * n_embd * sizeof(float));
    raw_draft(r, pos, n);
    g->ops->copy(g->dev, r->before, r->before + (size_t)n * n_embd, n_embd * sizeof(float));
}

static enum status raw_check(const struct engine *g,
                             const int32_t *ids,
                             size_t n,
                             size_t step,
                             const struct raw_outputs *out,
                             struct err *e)
{
    if ((out->mtp || out->mtp_hidden) && !g->info.has_draft) {
        return err_set(e, QA_E_USAGE, "the model has no draft layer");
    }
    if (step == 0) return err_set(e, QA_E_USAGE, "cannot read 0 tokens a step: 1 or more");
    if (n > INT32_MAX)
        return err_set(e, QA_E_USAGE, "cannot hold %zu tokens: 1 to %d", n, INT32_MAX);
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= g->m->d.n_vocab) {
            return err_set(e, QA_E_USAGE, "token %d at %zu is not in the vocabulary", ids[i],
                           i);
        }
    }
    return QA_OK;
}

enum status engine_raw(struct engine *g,
                       const int32_t *ids,
                       size_t n,
                       size_t step,
                       const struct raw_outputs *out,
                       struct err *e)
{
    enum status st = raw_check(g, ids, n, step, out, e);
    if (st || n == 0) return st;
    const size_t n_embd = (size_t)g->m->d.n_embd, n_vocab = (size_t)g->m->d.n_vocab;
    struct raw r = {.g = g, .ids = ids, .out = out};
    /* Large steps are cut: rows do not depend on it beyond rounding. */
    const int rows = (int)QA_MIN(step, QA_MIN(n, (size_t)RAW_STEP_MAX));

    st = cache_init(&r.cache, g->m, &g->plan, (int64_t)n, rows, e);
    if (!st) st = cache_reserve(&r.cache, 0, (int64_t)n, e);
    if (!st) {
        st = batch_reserve(sched_own(g->sched), 1, rows, 0, (int64_t)n, e);
        sched_disown(g->sched);
    }
    if (st) goto out;
    r.logits = g->ops->alloc(g->dev, HEAD_ROWS * n_vocab * sizeof(float));
    if (out->mtp || out->mtp_hidden) {
        r.before = g->ops->alloc(g->dev, ((size_t)rows + 1) * n_embd * sizeof(float));
        if (out->mtp) memset(out->mtp, 0, n_vocab * sizeof(float));
        if (out->mtp_hidden) memset(out->mtp_hidden, 0, n_embd * sizeof(float));
    }
    if (!r.logits || ((out->mtp || out->mtp_hidden) && !r.before)) {
        st = err_set(e, QA_E_NOMEM, "no memory for raw outputs");
        goto out;
    }
    for (int64_t pos = 0; pos < (int64_t)n && !st; pos += rows) {
        if (engine_stop_requested()) {
            st = err_set(e, QA_E_STOP, "stopped on request");
            break;
        }
        sched_own(g->sched);
        raw_step(&r, pos, (int)QA_MIN((int64_t)n - pos, (int64_t)rows));
        sched_disown(g->sched);
    }

out:
    g->ops->release(g->dev, r.before);
    g->ops->release(g->dev, r.logits);
    cache_release(&r.cache);
    return st;
}
