/* cache.h - what a session remembers: pages of keys and values, recurrent state.
 *
 * Pages are shared between forks and copied when one of them writes.  A page
 * holds PAGE_TOKENS positions of every attention layer, the draft layer included.
 *
 * With a compressed format there is a second kind, f16 pages: those that attention
 * still reads in f16 (attn_reads_f16) and those that are being written.  The others are
 * dropped as the session moves on; a mark keeps those that a return to it needs.  A
 * cache owns enough of them for any step from the start, so moving on cannot fail.
 *
 * The recurrent state (convolution tails and delta states of all DeltaNet layers)
 * is one block that only moves forwards; going back is copying an older block in. */
#ifndef QA_CACHE_H
#define QA_CACHE_H

#include "engine/model.h"

/* LAG_PAGES: drafted and lagging rows may start this much before the last span. */
enum { PAGE_TOKENS = 64, LAG_PAGES = 1, MARK_PAGES = ATTN_RECENT_PAGES + LAG_PAGES + 1 };

/* Sizes; fixed when the engine opens. */
struct cache_plan {
    enum kv_type type_k, type_v;
    size_t page_bytes;
    size_t page16_bytes; /* 0 when neither format is rotated                        */
    size_t state_bytes;
    size_t bytes_per_token; /* keys and values of one position, all layers       */
};

struct page; /* counted reference to device memory */

/* Pages by their place in the session.  mem[i] is the memory of page[i]. */
struct pages {
    struct page **page; /* owned references; NULL where there is none            */
    void **mem;
};

struct cache {
    const struct model *m;
    const struct cache_plan *plan;
    struct pages kv; /* [n_pages]                                              */
    int n_pages, cap_pages;
    struct pages f16; /* [to16], NULL where there is none                        */
    int to16;
    struct page **spare;  /* [n_spare] f16 pages for the next steps, owned           */
    int n_spare, n_own16; /* spare and in use by nobody else: at least n_own16       */
    float *state;         /* [plan->state_bytes], owned                              */
};

/* Where a session can return to.  All zero: position 0. */
struct cache_mark {
    int64_t n_tokens;
    float *state;                 /* owned                             */
    struct page *f16[MARK_PAGES]; /* the last pages before n_tokens, owned           */
};

/* Set the offsets in m's layers and the sizes in *p.  Refuses formats that do not fit
 * the model's heads. */
enum status cache_plan(struct cache_plan *p,
                       struct model *m,
                       enum kv_type type_k,
                       enum kv_type type_v,
                       struct err *e) MUST_USE;

/* Sessions of at most cap_tokens, computed in steps of at most step_tokens. */
enum status cache_init(struct cache *c,
                       const struct model *m,
                       const struct cache_plan *plan,
                       int64_t cap_tokens,
                       int step_tokens,
                       struct err *e) MUST_USE;
void cache_release(struct cache *c);
/* What cache_init() allocates: recurrent state and f16 pages. */
size_t cache_fixed_bytes(const struct cache_plan *p, int64_t cap_tokens, int step_tokens);

/* Make positions [from, to) writable: pages exist and belong to this cache alone. */
enum status cache_reserve(struct cache *c, int64_t from, int64_t to, struct err *e) MUST_USE;
/* The span of rows at positions [pos, pos + n_rows), which must be reserved.  Moves the
 * f16 pages on: later spans may start at most LAG_PAGES before this one. */
struct span cache_span(struct cache *c, int64_t pos, int n_rows, bool is_trial);
/* An empty `to` gets the first n_tokens of `from`, pages shared, and its state. */
enum status cache_share(struct cache *to,
                        struct cache *from,
                        int64_t n_tokens,
                        struct err *e) MUST_USE;

/* What going on after n_tokens positions takes, block by block, for writing to a file
 * and reading back: i from 0; false past the last.  The same sizes in the same
 * order for every cache of one plan that reaches as far. */
struct cache_block {
    void *mem; /* device */
    size_t n_bytes;
};
bool cache_block(const struct cache *c, int64_t n_tokens, int i, struct cache_block *out);

/* An empty cache gets the pages of those blocks, to be read into. */
enum status cache_restore(struct cache *c, int64_t n_tokens, struct err *e) MUST_USE;

/* A mark at position n_tokens, the end of what was computed. */
enum status cache_mark(struct cache *c,
                       int64_t n_tokens,
                       struct cache_mark *k,
                       struct err *e) MUST_USE;
/* Back to a mark that was made in this cache's past: forgets all positions behind it. */
void cache_return(struct cache *c, const struct cache_mark *k);
void cache_mark_release(const struct cache *c, struct cache_mark *k);

#endif
