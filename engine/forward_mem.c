/* forward_mem.c - where the activations of a step live. */
#include "engine/forward.h"

#include <stdlib.h>

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void rows_release(const struct forward *f, struct delta_rows *r)
{
    const struct ops *o = f->m->ops;
    o->release(f->m->dev, r->raw);
    o->release(f->m->dev, r->qkv);
    o->release(f->m->dev, r->decay);
    o->release(f->m->dev, r->beta);
    *r = (struct delta_rows){0};
}

static void *row_alloc(const struct forward *f, size_t n_rows, size_t n_values)
{
    size_t n; /* every caller's value is 4 bytes wide */
    if (!size_mul_ok(n_rows, n_values, &n) || !size_mul_ok(n, sizeof(float), &n)) return NULL;
    return f->m->ops->alloc(f->m->dev, n);
}

static bool rows_alloc(const struct forward *f, struct delta_rows *r, size_t n_rows)
{
    const struct dims *d = &f->m->d;
    r->raw = row_alloc(f, n_rows, (size_t)d->n_channels);
    r->qkv = row_alloc(f, n_rows, (size_t)d->n_channels);
    r->decay = row_alloc(f, n_rows, (size_t)d->n_v);
    r->beta = row_alloc(f, n_rows, (size_t)d->n_v);
    return r->raw && r->qkv && r->decay && r->beta;
}

static void large_release(struct forward *f)
{
    void **all[] = {(void **)&f->x,      (void **)&f->normed,  (void **)&f->mixed,
                    (void **)&f->hidden, (void **)&f->qg,      (void **)&f->k,
                    (void **)&f->v,      (void **)&f->z,       (void **)&f->heads,
                    (void **)&f->embd,   (void **)&f->joined,  (void **)&f->ids,
                    (void **)&f->share,  (void **)&f->sh_share};
    for (size_t i = 0; i < COUNT(all); i++) {
        f->m->ops->release(f->m->dev, *all[i]);
        *all[i] = NULL;
    }
    rows_release(f, &f->large);
    f->cap_rows = 0;
}

static bool large_alloc(struct forward *f, size_t n)
{
    const struct dims *d = &f->m->d;
    const size_t n_embd = (size_t)d->n_embd, n_q = (size_t)d->n_heads * (size_t)d->head_dim;
    const size_t n_kv = (size_t)d->n_kv * (size_t)d->head_dim;

    f->x = row_alloc(f, n, n_embd);
    f->normed = row_alloc(f, n, n_embd);
    f->mixed = row_alloc(f, n, n_embd);
    f->hidden = row_alloc(f, n, n_embd);
    f->qg = row_alloc(f, n, 2 * n_q);
    f->k = row_alloc(f, n, n_kv);
    f->v = row_alloc(f, n, n_kv);
    f->z = row_alloc(f, n, (size_t)d->n_value);
    f->heads = row_alloc(f, n, max_size(n_q, (size_t)d->n_value));
    f->embd = row_alloc(f, n, n_embd);
    f->joined = row_alloc(f, n, 2 * n_embd);
    f->ids = row_alloc(f, n, (size_t)QA_MAX(d->n_used, 1));
    f->share = row_alloc(f, n, (size_t)QA_MAX(d->n_used, 1));
    f->sh_share = row_alloc(f, n, 1);
    return f->x && f->normed && f->mixed && f->hidden && f->qg && f->k && f->v && f->z &&
           f->heads && f->embd && f->joined && f->ids && f->share && f->sh_share &&
           rows_alloc(f, &f->large, n);
}

/* Both grow beside what is there, which stays in use when there is no memory. */
static bool large_grow(struct forward *f, int n_rows)
{
    struct forward fresh = {.m = f->m, .cap_rows = n_rows};
    if (!large_alloc(&fresh, (size_t)n_rows)) {
        large_release(&fresh);
        return false;
    }
    large_release(f);
    fresh.type_k = f->type_k;
    fresh.type_v = f->type_v;
    fresh.page_tokens = f->page_tokens;
    fresh.cap_kept = f->cap_kept;
    fresh.cap_ctx = f->cap_ctx;
    fresh.small = f->small;
    *f = fresh;
    return true;
}

static void small_release(struct forward *f)
{
    for (int i = 0; f->small && i < f->m->n_delta; i++)
        rows_release(f, &f->small[i]);
    free(f->small);
    f->small = NULL;
}

static bool small_grow(struct forward *f, int n_rows)
{
    struct forward fresh = {.m = f->m};
    fresh.small = calloc((size_t)f->m->n_delta + 1, sizeof *fresh.small);
    bool is_ok = fresh.small != NULL;
    for (int i = 0; is_ok && i < f->m->n_delta; i++)
        is_ok = rows_alloc(f, &fresh.small[i], (size_t)n_rows);
    if (!is_ok) {
        small_release(&fresh);
        return false;
    }
    small_release(f);
    f->small = fresh.small;
    f->cap_kept = n_rows;
    return true;
}

void forward_close(struct forward *f)
{
    if (!f) return;
    large_release(f);
    small_release(f);
    free(f);
}

enum status forward_open(struct forward **out,
                         const struct model *m,
                         enum kv_type type_k,
                         enum kv_type type_v,
                         int page_tokens,
                         struct err *e)
{
    struct forward *f = calloc(1, sizeof *f);
    if (!f) return err_set(e, QA_E_NOMEM, "no memory for the activations");
    f->m = m;
    f->type_k = type_k;
    f->type_v = type_v;
    f->page_tokens = page_tokens;
    if (!small_grow(f, TRIAL_ROWS)) {
        forward_close(f);
        return err_set(e, QA_E_NOMEM, "no memory for the activations");
    }
    *out = f;
    return QA_OK;
}

enum status forward_reserve(struct forward *f,
                            int n_rows,
                            int n_kept,
                            int64_t n_ctx,
                            struct err *e)
{
    const struct dims *d = &f->m->d;
    const int widest =
        (int)max_size((size_t)QA_MAX(2 * d->n_embd, d->n_heads * d->head_dim),
                      (size_t)QA_MAX(d->n_value, QA_MAX(d->n_ff, d->n_ff_shared)));
    const struct device_needs needs = {
        .n_rows = QA_MAX(n_rows, f->cap_rows),
        .max_cols = QA_MAX(widest, d->n_ff_expert),
        .max_inner = QA_MAX(d->n_ff, QA_MAX(d->n_ff_expert, d->n_ff_shared)),
        .n_experts = d->n_experts,
        .n_used = d->n_used,
        .n_heads = d->n_heads,
        .head_dim = d->head_dim,
        .n_ctx = QA_MAX(n_ctx, f->cap_ctx),
    };
    const enum status st = f->m->ops->reserve(f->m->dev, &needs, e);
    if (st) return st;
    f->cap_ctx = needs.n_ctx;
    if (n_kept > f->cap_kept && !small_grow(f, n_kept))
        return err_set(e, QA_E_NOMEM, "no memory for %d drafted tokens a step", n_kept);
    if (n_rows > f->cap_rows && !large_grow(f, n_rows))
        return err_set(e, QA_E_NOMEM, "no memory for steps of %d tokens", n_rows);
    return QA_OK;
}
