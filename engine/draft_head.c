/* draft_head.c - the short list of the draft layer. */
#include "engine/draft_head.h"

#include <stdlib.h>
#include <string.h>

int draft_head_rows(int n_vocab, int wanted)
{
    if (wanted > 0) return QA_MIN(wanted, n_vocab);
    return n_vocab >= 4 * DRAFT_IDS ? DRAFT_IDS : n_vocab;
}

enum status draft_head_init(struct draft_head *h,
                            const struct model *m,
                            int n_ids,
                            struct err *e)
{
    const struct weight *whole = m->draft.head;
    const int n_top = draft_head_rows(whole->rows, n_ids);
    *h = (struct draft_head){.top = *whole, .is_short = n_top < whole->rows};
    h->top.rows = n_top;
    h->logits = m->ops->alloc(m->dev, ((size_t)n_top + EXTRA_MAX) * sizeof(float));
    bool is_ok = h->logits != NULL;
    if (h->is_short) {
        /* Whatever form the whole head was prepared in is not that of its first rows. */
        h->top.packed = NULL;
        h->top.packed_bytes = 0;
        h->extra = h->top;
        h->extra.rows = 0;
        h->extra.data = malloc(EXTRA_MAX * whole->row_bytes);
        h->list = malloc(((size_t)n_top + EXTRA_MAX) * sizeof *h->list);
        h->is_listed = calloc((size_t)whole->rows, 1);
        is_ok &= h->extra.data && h->list && h->is_listed;
    }
    if (!is_ok) {
        draft_head_release(h, m);
        return err_set(e, QA_E_NOMEM, "no memory for drafting");
    }
    for (int32_t i = 0; h->is_short && i < n_top; i++) {
        h->list[i] = i;
        h->is_listed[i] = 1;
    }
    return QA_OK;
}

void draft_head_release(struct draft_head *h, const struct model *m)
{
    m->ops->release(m->dev, h->logits);
    free((void *)(uintptr_t)h->extra.data); /* ours, though weights are const to readers */
    free(h->list);
    free(h->is_listed);
    *h = (struct draft_head){0};
}

void draft_head_add(struct draft_head *h, const struct model *m, int32_t id)
{
    if (!h->is_short || h->is_listed[id] || h->extra.rows == EXTRA_MAX) return;
    const struct weight *whole = m->draft.head;
    uint8_t *rows = (uint8_t *)(uintptr_t)h->extra.data;
    memcpy(rows + (size_t)h->extra.rows * whole->row_bytes,
           whole->data + (size_t)id * whole->row_bytes, whole->row_bytes);
    h->list[draft_head_n(h)] = id;
    h->extra.rows++;
    h->is_listed[id] = 1;
}

void draft_head_see(struct draft_head *h, const struct model *m, const int32_t *ids, size_t n)
{
    if (!h->is_short) return;
    for (size_t i = QA_MIN(h->n_seen, n); i < n; i++)
        draft_head_add(h, m, ids[i]);
    h->n_seen = n;
}

static void multiply(const struct forward *f,
                     const struct weight *w,
                     const float *x,
                     int n_rows,
                     float *out)
{
    const struct matmul_args a = {.x = x, .n_rows = n_rows, .n_out = 1, .w = {w}, .out = {out}};
    f->m->ops->matmul(f->m->dev, &a);
}

void draft_heads_logits(const struct forward *f,
                        struct draft_head *const *h,
                        int n,
                        const float *hidden,
                        float *shared)
{
    const size_t n_top = (size_t)h[0]->top.rows, n_embd = (size_t)f->m->d.n_embd;
    multiply(f, &h[0]->top, hidden, n, shared);
    for (int i = 0; i < n; i++) {
        const float *part = shared + (size_t)i * n_top;
        ASSERT((size_t)h[i]->top.rows == n_top);
        if (part != h[i]->logits)
            f->m->ops->copy(f->m->dev, h[i]->logits, part, n_top * sizeof *part);
        if (h[i]->extra.rows > 0)
            multiply(f, &h[i]->extra, hidden + (size_t)i * n_embd, 1, h[i]->logits + n_top);
    }
}
