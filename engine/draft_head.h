/* draft_head.h - which ids the draft layer may propose, and their logits.
 *
 * The head is most of what one draft reads: at 248,320 ids nine tenths of it.  A
 * draft need not know them all, it must only be cheap and often right.  So drafting
 * looks at a short list: the ids of lowest rank (the tokenizer's merges, and so its
 * ids, come roughly by frequency), all added tokens, and the ids that the session
 * holds already.  The trunk verifies with the whole head, so the list changes how
 * often a draft stands, never the text.
 *
 * Memory per session: four bytes per id of the vocabulary and the head's rows of the
 * ids beyond the first n_top, at most EXTRA_MAX of them. */
#ifndef QA_DRAFT_HEAD_H
#define QA_DRAFT_HEAD_H

#include "engine/forward.h"

/* Default list length, used where the vocabulary is at least four times as long. */
enum { DRAFT_IDS = 32768, EXTRA_MAX = 4096 };

struct draft_head {
    struct weight top;   /* rows [0, n_top) of the head, in place                    */
    struct weight extra; /* rows gathered from the head; data owned                  */
    int32_t *list;       /* [top.rows + extra.rows] ids in the order of the logits   */
    uint8_t *is_listed;  /* [V] */
    float *logits;       /* [n_top + EXTRA_MAX], device                              */
    size_t n_seen;       /* tokens of the session looked at                          */
    bool is_short;       /* false: top is the whole head and there is no list        */
};

/* Rows that a draft reads of a head of n_vocab ids; `wanted` 0 takes the default. */
int draft_head_rows(int n_vocab, int wanted);

/* n_ids: see draft_head_rows().  On failure everything is released. */
enum status draft_head_init(struct draft_head *h,
                            const struct model *m,
                            int n_ids,
                            struct err *e) MUST_USE;
void draft_head_release(struct draft_head *h, const struct model *m);

/* Put an id on the list, unless it stands there or the list is full. */
void draft_head_add(struct draft_head *h, const struct model *m, int32_t id);
/* The session holds ids[0, n): new ones join the list, whatever was undone stays on it. */
void draft_head_see(struct draft_head *h, const struct model *m, const int32_t *ids, size_t n);

/* Logits of one hidden row [E] for each of n heads with the same n_top, into its logits: of its
 * list, or of all ids when it is not short.  `shared` [n, n_top] is room for the part that
 * is read once for all; with n = 1 it is the head's own logits. */
void draft_heads_logits(const struct forward *f,
                        struct draft_head *const *h,
                        int n,
                        const float *hidden,
                        float *shared);

static inline int draft_head_n(const struct draft_head *h)
{
    return h->top.rows + h->extra.rows;
}

#endif
