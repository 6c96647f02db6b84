/* batch.c - puts the rows of several sessions into one step and takes them apart. */
#include "engine/batch.h"

#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

enum status batch_init(struct batch *b, struct forward *f, struct err *e)
{
    *b = (struct batch){.f = f};
    b->spans = calloc(BATCH_MAX, sizeof *b->spans);
    return b->spans ? QA_OK : err_set(e, QA_E_NOMEM, "no memory for a batch");
}

void batch_release(struct batch *b)
{
    if (b->logits) b->f->m->ops->release(b->f->m->dev, b->logits);
    free(b->ids);
    free(b->spans);
    *b = (struct batch){0};
}

static enum status reserve_logits(struct batch *b, int n_rows, struct err *e)
{
    const struct model *m = b->f->m;
    if (n_rows <= b->n_logits) return QA_OK;
    float *p = m->ops->alloc(m->dev, (size_t)n_rows * (size_t)m->d.n_vocab * sizeof *p);
    if (!p) return err_set(e, QA_E_NOMEM, "no memory for the logits of %d rows", n_rows);
    m->ops->release(m->dev, b->logits);
    b->logits = p;
    b->n_logits = n_rows;
    return QA_OK;
}

enum status batch_reserve(struct batch *b,
                          int n_sessions,
                          int n_rows,
                          int n_kept,
                          int64_t n_ctx,
                          struct err *e)
{
    const enum status st = forward_reserve(b->f, n_rows, n_kept, n_ctx, e);
    if (st || n_sessions < 2) return st; /* one session needs no gathering */
    if (b->cap_ids < b->f->cap_rows) {
        int32_t *ids = realloc(b->ids, (size_t)b->f->cap_rows * sizeof *ids);
        if (!ids) return err_set(e, QA_E_NOMEM, "no memory for a batch");
        b->ids = ids;
        b->cap_ids = b->f->cap_rows;
    }
    return reserve_logits(b, QA_MIN(QA_MAX(n_kept, n_sessions), (int)BATCH_LOGITS), e);
}

/* ---- rows together ---------------------------------------------------------- */

static float *row_of(const struct batch *b, float *rows, int i)
{
    return rows + (size_t)i * (size_t)b->f->m->d.n_embd;
}

static void copy_rows(const struct batch *b, float *to, const float *from, int n)
{
    const struct model *m = b->f->m;
    m->ops->copy(m->dev, to, from, (size_t)n * (size_t)m->d.n_embd * sizeof *to);
}

/* Give every request its rows; returns how many there are.  Keep: they have them. */
static struct step lay_out(struct batch *b, struct request *const *r, int n)
{
    struct step step = {
        .spans = {b->spans, n}
    };
    for (int i = 0; i < n; i++) {
        r[i]->span.row = step.n_rows;
        step.n_rows += r[i]->span.n_rows;
        if (r[i]->span.is_trial) step.n_trial = step.n_rows;
        b->spans[i] = r[i]->span;
    }
    if (n == 1) {
        step.ids = r[0]->ids;
        return step;
    }
    ASSERT(step.n_rows <= b->cap_ids);
    for (int i = 0; i < n; i++) {
        memcpy(b->ids + r[i]->span.row, r[i]->ids, (size_t)r[i]->span.n_rows * sizeof *b->ids);
    }
    step.ids = b->ids;
    return step;
}

/* ---- logits apart ----------------------------------------------------------- */

/* Rows of f->hidden that want logits: the last n_logits rows of the request. */
static int n_logits_of(const struct request *r)
{
    if (!r->logits || !r->is_last) return 0;
    return r->span.is_trial ? r->span.n_rows : 1;
}

/* Rows collected in f->normed, free between passes, and where each one's logits go. */
struct gather {
    struct batch *b;
    float *to[BATCH_LOGITS];
    int n;
};

static void gather_flush(struct gather *t)
{
    const struct model *m = t->b->f->m;
    const size_t n_vocab = (size_t)m->d.n_vocab;
    if (t->n == 0) return;
    forward_head(t->b->f, t->b->f->normed, t->n, t->b->logits);
    for (int i = 0; i < t->n; i++) {
        m->ops->copy(m->dev, t->to[i], t->b->logits + (size_t)i * n_vocab,
                     n_vocab * sizeof(float));
    }
    t->n = 0;
}

static void run_heads(struct batch *b, struct request *const *r, int n)
{
    struct gather t = {.b = b};
    for (int i = 0; i < n; i++) {
        const int rows = n_logits_of(r[i]);
        const int first = r[i]->span.row + r[i]->span.n_rows - rows;
        if (n == 1 && rows > 0)
            forward_head(b->f, row_of(b, b->f->hidden, first), rows, r[i]->logits);
        for (int k = 0; n > 1 && k < rows; k++) {
            copy_rows(b, row_of(b, b->f->normed, t.n), row_of(b, b->f->hidden, first + k), 1);
            t.to[t.n++] = r[i]->logits + (size_t)k * (size_t)b->f->m->d.n_vocab;
            if (t.n == b->n_logits) gather_flush(&t);
        }
    }
    gather_flush(&t);
}

/* Short heads share their first rows, which are read once for all; the others are each
 * session's own. */
static void run_draft_heads(struct batch *b, struct request *const *r, int n)
{
    struct draft_head *heads[BATCH_LOGITS];
    int n_heads = 0;
    for (int i = 0; i < n; i++) {
        const float *hidden = row_of(b, b->f->hidden, r[i]->span.row + r[i]->span.n_rows - 1);
        if (!r[i]->head) continue;
        if (n == 1) {
            draft_heads_logits(b->f, &r[0]->head, 1, hidden, r[0]->head->logits);
            return;
        }
        if (n_heads > 0 &&
            (n_heads == b->n_logits || heads[0]->top.rows != r[i]->head->top.rows)) {
            draft_heads_logits(b->f, heads, n_heads, b->f->normed, b->logits);
            n_heads = 0;
        }
        copy_rows(b, row_of(b, b->f->normed, n_heads), hidden, 1);
        heads[n_heads++] = r[i]->head;
    }
    if (n_heads > 0) draft_heads_logits(b->f, heads, n_heads, b->f->normed, b->logits);
}

/* ---- the three kinds -------------------------------------------------------- */

static void run_keep(struct batch *b, struct request *const *r, int n)
{
    for (int i = 0; i < n; i++)
        b->spans[i] = r[i]->span;
    forward_keep(b->f, (struct spans){b->spans, n});
}

static void run_draft(struct batch *b, struct request *const *r, int n)
{
    struct forward *f = b->f;
    const struct step step = lay_out(b, r, n);
    const float *hidden = r[0]->hidden_in;
    if (n > 1) {
        hidden = f->normed; /* read by the first verb, long before it is written */
        for (int i = 0; i < n; i++)
            copy_rows(b, row_of(b, f->normed, r[i]->span.row), r[i]->hidden_in,
                      r[i]->span.n_rows);
    }
    forward_draft(f, &step, hidden);
    for (int i = 0; i < n; i++) {
        const int last = r[i]->span.row + r[i]->span.n_rows - 1;
        if (r[i]->hidden_out) copy_rows(b, r[i]->hidden_out, row_of(b, f->hidden, last), 1);
    }
    run_draft_heads(b, r, n);
}

static void run_trunk(struct batch *b, struct request *const *r, int n)
{
    struct forward *f = b->f;
    const struct step step = lay_out(b, r, n);

    forward_trunk(f, &step);
    /* The flag may rise at any moment: it is read once, here. */
    const bool is_stopped = engine_stop_requested();
    for (int i = 0; i < n; i++) {
        const struct span *s = &r[i]->span;
        r[i]->is_last = is_stopped || s->n_rows == r[i]->n_left;
        if (r[i]->hidden_out)
            copy_rows(b, r[i]->hidden_out, row_of(b, f->hidden, s->row), s->n_rows);
    }
    run_heads(b, r, n);
}

void batch_run(struct batch *b, struct request *const *r, int n)
{
    const struct model *m = b->f->m;
    ASSERT(n >= 1 && n <= BATCH_MAX);
    switch (r[0]->kind) {
    case REQUEST_KEEP: run_keep(b, r, n); break;
    case REQUEST_DRAFT: run_draft(b, r, n); break;
    case REQUEST_TRUNK: run_trunk(b, r, n); break;
    }
    m->ops->sync(m->dev);
}
