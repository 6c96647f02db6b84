/* forward_mtp.c - the draft layer: multi-token prediction, one token further.
 *
 * One attention layer of the trunk's kind with keys and values of its own.  The
 * row of position p joins the embedding of token p with the trunk's hidden of
 * position p - 1 and predicts token p + 1; in a chain the layer's own hidden takes
 * the place of the trunk's.  The first token has no row: nothing precedes it. */
#include "engine/forward.h"

#define VERB(f, verb, ...) (f)->m->ops->verb((f)->m->dev, &(struct verb##_args){__VA_ARGS__})

void forward_draft(struct forward *f, const struct step *s, const float *hidden)
{
    const struct model *m = f->m;
    const struct draft *a = &m->draft;
    const int n = s->n_rows, n_embd = m->d.n_embd;
    ASSERT(m->d.n_draft == 1 && n >= 1 && n <= f->cap_rows);

    VERB(f, embed, .out = f->embd, .ids = s->ids, .table = a->embd, .n_rows = n);
    VERB(f, mtp_join, .out = f->joined, .embd = f->embd, .hidden = hidden, .e_norm = a->e_norm,
         .h_norm = a->h_norm, .n_rows = n, .n = n_embd, .eps = m->d.eps);
    VERB(f, matmul, .x = f->joined, .n_rows = n, .n_out = 1, .w = {&a->join}, .out = {f->x});
    forward_layer(f, s, &m->layers[m->d.n_layers], 1, NULL);
    VERB(f, norm, .out = f->hidden, .x = f->x, .add = f->mixed, .w = a->norm, .n_rows = n,
         .n = n_embd, .eps = m->d.eps);
}

void forward_draft_head(struct forward *f, const float *hidden, int n_rows, float *logits)
{
    VERB(f, matmul, .x = hidden, .n_rows = n_rows, .n_out = 1, .w = {f->m->draft.head},
         .out = {logits});
}
