/* cache.c - pages of keys and values, and recurrent state. */
#include "engine/cache.h"

#include "engine/engine.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct page {
    _Atomic int n_refs; /* forks are other threads' */
    void *mem;          /* owned, device */
};

static const char *const KV_NAMES[KV_TYPE_COUNT] = {
    [KV_F32] = "f32",       [KV_F16] = "f16",       [KV_Q8_0] = "q8_0",     [KV_Q4_0] = "q4_0",
    [KV_TURBO4] = "turbo4", [KV_TURBO3] = "turbo3", [KV_TURBO2] = "turbo2",
};

const char *kv_type_name(enum kv_type t)
{
    return (unsigned)t < KV_TYPE_COUNT ? KV_NAMES[t] : "?";
}

bool kv_type_of(const char *name, enum kv_type *t)
{
    for (int i = 0; i < KV_TYPE_COUNT; i++) {
        if (strcmp(name, KV_NAMES[i]) != 0) continue;
        *t = (enum kv_type)i;
        return true;
    }
    return false;
}

/* Bytes of n values; 0 for a format that the kernels do not store. */
static size_t kv_bytes(enum kv_type t, size_t n)
{
    switch (t) {
    case KV_F32: return 4 * n;
    case KV_F16: return 2 * n;
    case KV_Q8_0:
    case KV_Q4_0:
    case KV_TURBO4:
    case KV_TURBO3:
    case KV_TURBO2:
    case KV_TYPE_COUNT: break;
    }
    return 0;
}

enum status cache_plan(struct cache_plan *p,
                       struct model *m,
                       enum kv_type type_k,
                       enum kv_type type_v,
                       struct err *e)
{
    const struct dims *d = &m->d;
    const size_t head_values = (size_t)d->n_kv * (size_t)d->head_dim;
    const size_t k_bytes = kv_bytes(type_k, head_values),
                 v_bytes = kv_bytes(type_v, head_values);
    if (!k_bytes || !v_bytes) {
        return err_set(e, QA_E_USAGE, "cache format '%s' is not supported: use f16 or f32",
                       kv_type_name(k_bytes ? type_v : type_k));
    }

    size_t token_bytes = 0, n_state = 0;
    for (int i = 0; i < d->n_layers + d->n_draft; i++) {
        struct layer *l = &m->layers[i];
        if (l->is_attention) {
            l->attn.k_offset = token_bytes * PAGE_TOKENS;
            l->attn.v_offset = (token_bytes + k_bytes) * PAGE_TOKENS;
            token_bytes += k_bytes + v_bytes;
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
        .page_bytes = token_bytes * PAGE_TOKENS,
        .state_bytes = n_state * sizeof(float),
        .bytes_per_token = token_bytes,
    };
    return QA_OK;
}

static void page_drop(const struct cache *c, struct page *p)
{
    if (!p || atomic_fetch_sub(&p->n_refs, 1) > 1) return;
    c->m->ops->release(c->m->dev, p->mem);
    free(p);
}

static struct page *page_new(const struct cache *c)
{
    struct page *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    atomic_init(&p->n_refs, 1);
    p->mem = c->m->ops->alloc(c->m->dev, c->plan->page_bytes);
    if (p->mem) return p;
    free(p);
    return NULL;
}

enum status cache_init(struct cache *c,
                       const struct model *m,
                       const struct cache_plan *plan,
                       int64_t cap_tokens,
                       struct err *e)
{
    const int64_t cap_pages = (cap_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    *c = (struct cache){.m = m, .plan = plan, .cap_pages = (int)cap_pages};
    c->page = calloc((size_t)cap_pages + 1, sizeof(struct page *));
    c->mem = calloc((size_t)cap_pages + 1, sizeof(void *));
    c->state = m->ops->alloc(m->dev, plan->state_bytes);
    if (c->page && c->mem && c->state) return QA_OK;
    cache_release(c);
    return err_set(e, QA_E_NOMEM, "no memory for a session: %zu bytes of recurrent state",
                   plan->state_bytes);
}

void cache_release(struct cache *c)
{
    if (!c->m) return;
    cache_cut(c, 0);
    c->m->ops->release(c->m->dev, c->state);
    free(c->page);
    free(c->mem);
    *c = (struct cache){0};
}

/* Page i, which may be the next one after the last, becomes this cache's own. */
static enum status page_own(struct cache *c, int i, struct err *e)
{
    ASSERT(i <= c->n_pages && i < c->cap_pages);
    if (i < c->n_pages && atomic_load(&c->page[i]->n_refs) == 1) return QA_OK;

    struct page *p = page_new(c);
    if (!p) {
        return err_set(e, QA_E_NOMEM, "no memory for the cache: %zu bytes for tokens %d to %d",
                       c->plan->page_bytes, i * PAGE_TOKENS, (i + 1) * PAGE_TOKENS - 1);
    }
    if (i < c->n_pages) {
        c->m->ops->copy(c->m->dev, p->mem, c->mem[i], c->plan->page_bytes);
        page_drop(c, c->page[i]);
    } else {
        c->n_pages++;
    }
    c->page[i] = p;
    c->mem[i] = p->mem;
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

void cache_cut(struct cache *c, int64_t n_tokens)
{
    const int64_t keep = (n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    while (c->n_pages > keep) {
        c->n_pages--;
        page_drop(c, c->page[c->n_pages]);
    }
}

void cache_share(struct cache *to, const struct cache *from, int64_t n_tokens)
{
    const int64_t n = (n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    ASSERT(to->n_pages == 0 && n <= from->n_pages && n <= to->cap_pages);
    for (int i = 0; i < n; i++) {
        to->page[i] = from->page[i];
        to->mem[i] = from->mem[i];
        atomic_fetch_add(&to->page[i]->n_refs, 1);
    }
    to->n_pages = (int)n;
    cache_state_load(to, from->state);
}

bool cache_block(const struct cache *c, int64_t n_tokens, int i, struct cache_block *out)
{
    const int64_t n = (n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    ASSERT(n <= c->n_pages);
    if (i > n) return false;
    *out = i < n ? (struct cache_block){c->mem[i], c->plan->page_bytes}
                 : (struct cache_block){c->state, c->plan->state_bytes};
    return true;
}

float *cache_state_save(const struct cache *c)
{
    float *p = c->m->ops->alloc(c->m->dev, c->plan->state_bytes);
    if (p) c->m->ops->copy(c->m->dev, p, c->state, c->plan->state_bytes);
    return p;
}

void cache_state_load(struct cache *c, const float *saved)
{
    if (saved) {
        c->m->ops->copy(c->m->dev, c->state, saved, c->plan->state_bytes);
    } else {
        c->m->ops->zero(c->m->dev, c->state, c->plan->state_bytes);
    }
}

void cache_state_free(const struct cache *c, float *saved)
{
    c->m->ops->release(c->m->dev, saved);
}
