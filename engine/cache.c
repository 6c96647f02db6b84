/* cache.c - pages of keys and values, and recurrent state. */
#include "engine/cache.h"

#include "engine/engine.h"
#include "engine/kv.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct page {
    _Atomic int n_refs; /* forks are other threads' */
    void *mem;          /* owned, device */
};

/* ---- sizes ---------------------------------------------------------------- */

/* Bytes of a page's keys or values in one layer; refuses what does not fit. */
static enum status side_bytes(size_t *out,
                              enum kv_type t,
                              const char *what,
                              const struct dims *d,
                              struct err *e)
{
    const size_t row = kv_row_bytes(t, d->head_dim);
    if (!row) {
        return err_set(e, QA_E_USAGE,
                       "%s in '%s' need heads of a multiple of %d values, the model's have %d",
                       what, kv_type_name(t), t == KV_Q8_0 || t == KV_Q4_0 ? KV_BLOCK : KV_UNIT,
                       d->head_dim);
    }
    *out = row * (size_t)d->n_kv * PAGE_TOKENS;
    return QA_OK;
}

static size_t side16_bytes(enum kv_type t, const struct dims *d)
{
    if (!kv_is_rotated(t)) return 0;
    return kv_row_bytes(KV_F16, d->head_dim) * (size_t)d->n_kv * PAGE_TOKENS;
}

enum status cache_plan(struct cache_plan *p,
                       struct model *m,
                       enum kv_type type_k,
                       enum kv_type type_v,
                       struct err *e)
{
    const struct dims *d = &m->d;
    size_t k_bytes = 0, v_bytes = 0;
    enum status st = side_bytes(&k_bytes, type_k, "keys", d, e);
    if (!st) st = side_bytes(&v_bytes, type_v, "values", d, e);
    if (st) return st;
    const size_t k16_bytes = side16_bytes(type_k, d), v16_bytes = side16_bytes(type_v, d);

    size_t page = 0, page16 = 0, n_state = 0;
    for (int i = 0; i < d->n_layers + d->n_draft; i++) {
        struct layer *l = &m->layers[i];
        if (l->is_attention) {
            l->attn.k_offset = page;
            l->attn.v_offset = page + k_bytes;
            page += k_bytes + v_bytes;
            l->attn.k16_offset = page16;
            l->attn.v16_offset = page16 + k16_bytes;
            page16 += k16_bytes + v16_bytes;
        } else {
            l->delta.tail_offset = n_state;
            n_state += (size_t)(d->n_taps - 1) * (size_t)d->n_channels;
            l->delta.state_offset = n_state;
            n_state += (size_t)d->n_v * (size_t)d->delta_dim * (size_t)d->delta_dim;
        }
    }
    *p = (struct cache_plan){
        .type_k = type_k,
        .type_v = type_v,
        .page_bytes = page,
        .page16_bytes = page16,
        .state_bytes = n_state * sizeof(float),
        .bytes_per_token = page / PAGE_TOKENS,
    };
    return QA_OK;
}

static int pages_of(int64_t n_tokens)
{
    return (int)((n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS);
}

/* The most f16 pages that one cache uses at a time: the first ones, those before a step
 * and those that a step touches. */
static int own_pages16(const struct cache_plan *p, int64_t cap_tokens, int step_tokens)
{
    if (!p->page16_bytes) return 0;
    return QA_MIN(pages_of(cap_tokens),
                  ATTN_FIRST_PAGES + ATTN_RECENT_PAGES + LAG_PAGES + 1 + pages_of(step_tokens));
}

size_t cache_fixed_bytes(const struct cache_plan *p, int64_t cap_tokens, int step_tokens)
{
    const int n = own_pages16(p, cap_tokens, step_tokens);
    return p->state_bytes + (size_t)n * p->page16_bytes;
}

/* ---- pages ---------------------------------------------------------------- */

static void page_drop(const struct cache *c, struct page *p)
{
    if (!p || atomic_fetch_sub(&p->n_refs, 1) > 1) return;
    c->m->ops->release(c->m->dev, p->mem);
    free(p);
}

/* Nobody else can come to hold such a page: only its holder shares it. */
static bool page_is_own(const struct page *p)
{
    return p && atomic_load(&p->n_refs) == 1;
}

static struct page *page_hold(struct page *p)
{
    atomic_fetch_add(&p->n_refs, 1);
    return p;
}

static struct page *page_new(const struct cache *c, size_t n_bytes)
{
    struct page *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    atomic_init(&p->n_refs, 1);
    p->mem = c->m->ops->alloc(c->m->dev, n_bytes);
    if (p->mem) return p;
    free(p);
    return NULL;
}

static bool pages_init(struct pages *v, int n)
{
    v->page = calloc((size_t)n + 1, sizeof(struct page *));
    v->mem = calloc((size_t)n + 1, sizeof(void *));
    return v->page && v->mem;
}

static void pages_release(struct pages *v)
{
    free(v->page);
    free(v->mem);
    *v = (struct pages){0};
}

/* `p`, which may be NULL, becomes page i; the reference is taken. */
static void pages_set(struct pages *v, int i, struct page *p)
{
    v->page[i] = p;
    v->mem[i] = p ? p->mem : NULL;
}

/* `fresh`, owned, takes the place of page i, with its content when there is one. */
static void page_replace(struct cache *c, struct pages *v, int i, struct page *fresh, size_t n)
{
    if (v->page[i]) {
        c->m->ops->copy(c->m->dev, fresh->mem, v->mem[i], n);
        page_drop(c, v->page[i]);
    }
    pages_set(v, i, fresh);
}

/* ---- f16 pages -------------------------------------------------------------- */

/* Page i goes: back among the spare ones if nobody else holds it. */
static void drop16(struct cache *c, int i)
{
    struct page *p = c->f16.page[i];
    if (page_is_own(p) && c->n_spare < c->n_own16) {
        c->spare[c->n_spare++] = p;
    } else {
        page_drop(c, p);
    }
    pages_set(&c->f16, i, NULL);
}

static void drop_all16(struct cache *c)
{
    for (int i = 0; i < c->to16; i++)
        drop16(c, i);
    c->to16 = 0;
}

/* Spare pages for whatever of the cache's own others hold now. */
static enum status fill_spare(struct cache *c, struct err *e)
{
    int n = c->n_spare;
    for (int i = 0; i < c->to16; i++)
        n += page_is_own(c->f16.page[i]);
    for (; n < c->n_own16; n++) {
        struct page *p = page_new(c, c->plan->page16_bytes);
        if (!p) {
            return err_set(e, QA_E_NOMEM, "no memory for the cache: %zu bytes in f16",
                           c->plan->page16_bytes);
        }
        c->spare[c->n_spare++] = p;
    }
    return QA_OK;
}

struct span cache_span(struct cache *c, int64_t pos, int n_rows, bool is_trial)
{
    const struct span span = {.n_rows = n_rows,
                              .pos = pos,
                              .pages = c->kv.mem,
                              .pages16 = c->f16.mem,
                              .state = c->state,
                              .is_trial = is_trial};
    if (!c->plan->page16_bytes) return span;

    const int first = (int)(pos / PAGE_TOKENS), end = pages_of(pos + n_rows);
    for (int i = ATTN_FIRST_PAGES; i < first - ATTN_RECENT_PAGES - LAG_PAGES; i++)
        drop16(c, i);
    for (int i = first; i < end; i++) {
        if (page_is_own(c->f16.page[i])) continue;
        ASSERT(c->n_spare > 0);
        page_replace(c, &c->f16, i, c->spare[--c->n_spare], c->plan->page16_bytes);
    }
    c->to16 = QA_MAX(c->to16, end);
    return span;
}

/* ---- the cache -------------------------------------------------------------- */

enum status cache_init(struct cache *c,
                       const struct model *m,
                       const struct cache_plan *plan,
                       int64_t cap_tokens,
                       int step_tokens,
                       struct err *e)
{
    *c = (struct cache){.m = m,
                        .plan = plan,
                        .cap_pages = pages_of(cap_tokens),
                        .n_own16 = own_pages16(plan, cap_tokens, step_tokens)};
    c->spare = calloc((size_t)c->n_own16 + 1, sizeof(struct page *));
    c->state = m->ops->alloc(m->dev, plan->state_bytes);
    if (!pages_init(&c->kv, c->cap_pages) || !pages_init(&c->f16, c->cap_pages) || !c->spare ||
        !c->state || fill_spare(c, NULL)) {
        cache_release(c);
        return err_set(e, QA_E_NOMEM, "no memory for a session: %zu bytes",
                       cache_fixed_bytes(plan, cap_tokens, step_tokens));
    }
    return QA_OK;
}

/* Forget positions from n_tokens on: whole pages go back, the rest is overwritten. */
static void cut(struct cache *c, int64_t n_tokens)
{
    const int keep = pages_of(n_tokens);
    while (c->n_pages > keep) {
        c->n_pages--;
        page_drop(c, c->kv.page[c->n_pages]);
        pages_set(&c->kv, c->n_pages, NULL);
    }
}

void cache_release(struct cache *c)
{
    if (!c->m) return;
    cut(c, 0);
    drop_all16(c);
    while (c->n_spare > 0)
        page_drop(c, c->spare[--c->n_spare]);
    c->m->ops->release(c->m->dev, c->state);
    pages_release(&c->kv);
    pages_release(&c->f16);
    free(c->spare);
    *c = (struct cache){0};
}

/* Page i, which may be the next one after the last, becomes this cache's own. */
static enum status page_own(struct cache *c, int i, struct err *e)
{
    ASSERT(i <= c->n_pages && i < c->cap_pages);
    if (page_is_own(c->kv.page[i])) return QA_OK;

    struct page *p = page_new(c, c->plan->page_bytes);
    if (!p) {
        return err_set(e, QA_E_NOMEM, "no memory for the cache: %zu bytes for tokens %d to %d",
                       c->plan->page_bytes, i * PAGE_TOKENS, (i + 1) * PAGE_TOKENS - 1);
    }
    page_replace(c, &c->kv, i, p, c->plan->page_bytes);
    c->n_pages = QA_MAX(c->n_pages, i + 1);
    return QA_OK;
}

enum status cache_reserve(struct cache *c, int64_t from, int64_t to, struct err *e)
{
    for (int64_t i = from / PAGE_TOKENS; i * PAGE_TOKENS < to; i++) {
        const enum status st = page_own(c, (int)i, e);
        if (st) return st;
    }
    return QA_OK;
}

static void share(struct pages *to, const struct pages *from, int i)
{
    if (from->page[i]) pages_set(to, i, page_hold(from->page[i]));
}

enum status cache_share(struct cache *to, struct cache *from, int64_t n_tokens, struct err *e)
{
    const int n = pages_of(n_tokens);
    ASSERT(to->n_pages == 0 && to->to16 == 0 && n <= from->n_pages && n <= to->cap_pages);
    for (int i = 0; i < n; i++)
        share(&to->kv, &from->kv, i);
    to->n_pages = n;
    to->to16 = QA_MIN(n, from->to16);
    for (int i = 0; i < to->to16; i++)
        share(&to->f16, &from->f16, i);
    const enum status st = fill_spare(from, e);
    if (st) {
        cut(to, 0);
        drop_all16(to);
        return st;
    }
    to->m->ops->copy(to->m->dev, to->state, from->state, to->plan->state_bytes);
    return QA_OK;
}

/* ---- marks ------------------------------------------------------------------ */

/* The first of the f16 pages that rows from position n_tokens on read before their own,
 * and draft rows a little behind it; apart from those that every session keeps. */
static int first16(int64_t n_tokens)
{
    return QA_MAX((int)(n_tokens / PAGE_TOKENS) - ATTN_RECENT_PAGES - LAG_PAGES,
                  (int)ATTN_FIRST_PAGES);
}

enum status cache_mark(struct cache *c, int64_t n_tokens, struct cache_mark *k, struct err *e)
{
    const int end = pages_of(n_tokens);
    *k = (struct cache_mark){.n_tokens = n_tokens};
    k->state = c->m->ops->alloc(c->m->dev, c->plan->state_bytes);
    if (!k->state)
        return err_set(e, QA_E_NOMEM, "no memory for a mark: %zu bytes", c->plan->state_bytes);
    c->m->ops->copy(c->m->dev, k->state, c->state, c->plan->state_bytes);
    if (!c->plan->page16_bytes) return QA_OK;

    const int first = first16(n_tokens);
    for (int i = first; i < end; i++) {
        ASSERT(c->f16.page[i]);
        k->f16[i - first] = page_hold(c->f16.page[i]);
    }
    const enum status st = fill_spare(c, e);
    if (st) cache_mark_release(c, k);
    return st;
}

/* f16 pages that go with n_tokens positions: the first ones and those from first16(). */
static int n_kept16(const struct cache *c, int64_t n_tokens)
{
    const int end = pages_of(n_tokens);
    if (!c->plan->page16_bytes) return 0;
    return QA_MIN(end, (int)ATTN_FIRST_PAGES) + QA_MAX(end - first16(n_tokens), 0);
}

static int kept16(int64_t n_tokens, int i)
{
    return i < ATTN_FIRST_PAGES ? i : first16(n_tokens) + i - ATTN_FIRST_PAGES;
}

bool cache_block(const struct cache *c, int64_t n_tokens, int i, struct cache_block *out)
{
    const int n = pages_of(n_tokens), n16 = n_kept16(c, n_tokens);
    ASSERT(n <= c->n_pages);
    if (i > n + n16) return false;
    if (i < n) {
        *out = (struct cache_block){c->kv.mem[i], c->plan->page_bytes};
    } else if (i < n + n16) {
        *out = (struct cache_block){c->f16.mem[kept16(n_tokens, i - n)], c->plan->page16_bytes};
        ASSERT(out->mem);
    } else {
        *out = (struct cache_block){c->state, c->plan->state_bytes};
    }
    return true;
}

enum status cache_restore(struct cache *c, int64_t n_tokens, struct err *e)
{
    ASSERT(c->n_pages == 0 && c->to16 == 0);
    for (int i = 0; i < n_kept16(c, n_tokens); i++) {
        ASSERT(c->n_spare > 0);
        pages_set(&c->f16, kept16(n_tokens, i), c->spare[--c->n_spare]);
    }
    c->to16 = c->plan->page16_bytes ? pages_of(n_tokens) : 0;
    return cache_reserve(c, 0, n_tokens, e);
}

void cache_return(struct cache *c, const struct cache_mark *k)
{
    const int end = pages_of(k->n_tokens), first = first16(k->n_tokens);
    cut(c, k->n_tokens);
    for (int i = 0; i < c->to16; i++) {
        if (i >= ATTN_FIRST_PAGES || i >= end) drop16(c, i);
    }
    for (int i = first; c->plan->page16_bytes && i < end; i++) {
        pages_set(&c->f16, i, page_hold(k->f16[i - first]));
    }
    c->to16 = c->plan->page16_bytes ? end : 0;
    if (k->state) {
        c->m->ops->copy(c->m->dev, c->state, k->state, c->plan->state_bytes);
    } else {
        c->m->ops->zero(c->m->dev, c->state, c->plan->state_bytes);
    }
}

void cache_mark_release(const struct cache *c, struct cache_mark *k)
{
    for (size_t i = 0; i < COUNT(k->f16); i++)
        page_drop(c, k->f16[i]);
    if (k->state) c->m->ops->release(c->m->dev, k->state);
    *k = (struct cache_mark){0};
}
