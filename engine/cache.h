/* cache.h - what a session remembers: pages of keys and values, recurrent state.
 *
 * Pages are shared between forks and copied when one of them writes.  A page
 * holds PAGE_TOKENS positions of every attention layer, the draft layer included.
 * The recurrent state (convolution tails and delta states of all DeltaNet layers)
 * is one block that only moves forwards; going back is copying an older block in. */
#ifndef QA_CACHE_H
#define QA_CACHE_H

#include "engine/model.h"

enum { PAGE_TOKENS = 64 };

/* Sizes; fixed when the engine opens. */
struct cache_plan {
    enum kv_type type_k, type_v;
    size_t page_bytes;
    size_t state_bytes;
    size_t bytes_per_token; /* keys and values of one position, all layers       */
};

struct page; /* counted reference to device memory */

struct cache {
    const struct model *m;
    const struct cache_plan *plan;
    struct page **page; /* [n_pages], owned references                           */
    void **mem;         /* [n_pages], their memory, as struct span wants it      */
    int n_pages, cap_pages;
    float *state; /* [plan->state_bytes], owned                                 */
};

/* Set the offsets in m's layers and the sizes in *p.  Refuses formats that the
 * kernels do not store yet. */
enum status cache_plan(struct cache_plan *p,
                       struct model *m,
                       enum kv_type type_k,
                       enum kv_type type_v,
                       struct err *e) MUST_USE;

enum status cache_init(struct cache *c,
                       const struct model *m,
                       const struct cache_plan *plan,
                       int64_t cap_tokens,
                       struct err *e) MUST_USE;
void cache_release(struct cache *c);

/* Make positions [from, to) writable: pages exist and belong to this cache alone. */
enum status cache_reserve(struct cache *c, int64_t from, int64_t to, struct err *e) MUST_USE;
/* Forget positions from n_tokens on: whole pages go back, the rest is overwritten. */
void cache_cut(struct cache *c, int64_t n_tokens);
/* An empty `to` gets the first n_tokens of `from`, pages shared, and its state. */
void cache_share(struct cache *to, const struct cache *from, int64_t n_tokens);

/* What the first n_tokens positions and the state take, block by block, for writing to
 * a file and reading back: i from 0; false past the last.  The same sizes in the same
 * order for every cache of one plan that reaches as far. */
struct cache_block {
    void *mem; /* device */
    size_t n_bytes;
};
bool cache_block(const struct cache *c, int64_t n_tokens, int i, struct cache_block *out);

/* A copy of the recurrent state; NULL when there is no memory. */
float *cache_state_save(const struct cache *c);
void cache_state_load(struct cache *c, const float *saved); /* NULL: zeros */
void cache_state_free(const struct cache *c, float *saved);

#endif
