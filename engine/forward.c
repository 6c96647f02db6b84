/* forward.c - the model, written in verbs.
 *
 * Qwen3.5 and 3.6: a residual stream x; each layer adds a mixer of its normed
 * rows, then a feed-forward of its normed rows.  Three mixers of four are gated
 * DeltaNet (arXiv:2412.06464), the fourth is gated full attention.  The verbs and
 * the shape letters are explained in ops.h. */
#include "engine/forward.h"

#include <stdlib.h>

#define VERB(f, verb, ...) (f)->m->ops->verb((f)->m->dev, &(struct verb##_args){__VA_ARGS__})

static void attention(struct forward *f, const struct step *s, const struct layer *l, int first)
{
    const struct dims *d = &f->m->d;
    const struct attention *a = &l->attn;
    const int n = s->n_rows;

    VERB(f, matmul, .x = f->normed, .n_rows = n, .n_out = 3, .w = {&a->q, &a->k, &a->v},
         .out = {f->qg, f->k, f->v});
    VERB(f, qk_prep, .qg = f->qg, .k = f->k, .q_norm = a->q_norm, .k_norm = a->k_norm,
         .inv_freq = f->m->inv_freq, .rope_scale = f->m->rope_scale, .spans = s->spans,
         .n_heads = d->n_heads, .n_kv = d->n_kv, .dim = d->head_dim, .n_rot = d->n_rot,
         .eps = d->eps);
    VERB(f, attn, .out = f->heads, .qg = f->qg, .k = f->k, .v = f->v, .spans = s->spans,
         .k_offset = a->k_offset, .v_offset = a->v_offset, .k16_offset = a->k16_offset,
         .v16_offset = a->v16_offset, .type_k = f->type_k, .type_v = f->type_v,
         .page_tokens = f->page_tokens, .n_heads = d->n_heads, .n_kv = d->n_kv,
         .dim = d->head_dim, .first = first);
    VERB(f, matmul, .x = f->heads, .n_rows = n, .n_out = 1, .w = {&a->out}, .out = {f->mixed});
}

/* Rows that the delta rule reads: kept per layer when the step may be a trial. */
static const struct delta_rows *delta_rows_of(const struct forward *f, int i_delta, int n_rows)
{
    return n_rows <= f->cap_kept ? &f->small[i_delta] : &f->large;
}

/* Trials that share a large step: their rows go where forward_keep() looks for them. */
static void save_trials(struct forward *f, int i_delta, int n_rows)
{
    const struct ops *o = f->m->ops;
    const struct delta_rows *from = &f->large, *to = &f->small[i_delta];
    const size_t n_raw = (size_t)n_rows * (size_t)f->m->d.n_channels * sizeof(float);
    const size_t n_gate = (size_t)n_rows * (size_t)f->m->d.n_v * sizeof(float);
    o->copy(f->m->dev, to->raw, from->raw, n_raw);
    o->copy(f->m->dev, to->qkv, from->qkv, n_raw);
    o->copy(f->m->dev, to->decay, from->decay, n_gate);
    o->copy(f->m->dev, to->beta, from->beta, n_gate);
}

static void delta_net(struct forward *f, const struct step *s, const struct layer *l)
{
    const struct dims *d = &f->m->d;
    const struct delta_net *a = &l->delta;
    const struct delta_rows *r = delta_rows_of(f, a->i_delta, s->n_rows);
    const int n = s->n_rows;

    VERB(f, matmul, .x = f->normed, .n_rows = n, .n_out = 4,
         .w = {&a->qkv, &a->z, &a->alpha, &a->beta}, .out = {r->raw, f->z, r->decay, r->beta});
    VERB(f, conv, .out = r->qkv, .x = r->raw, .taps = a->taps, .spans = s->spans,
         .tail_offset = a->tail_offset, .n_channels = d->n_channels, .n_taps = d->n_taps);
    VERB(f, delta_prep, .qkv = r->qkv, .decay = r->decay, .beta = r->beta, .dt = a->dt,
         .ssm_a = a->ssm_a, .n_rows = n, .n_k = d->n_k, .n_v = d->n_v, .dim = d->delta_dim);
    VERB(f, delta, .out = f->heads, .qkv = r->qkv, .decay = r->decay, .beta = r->beta,
         .spans = s->spans, .state_offset = a->state_offset, .n_k = d->n_k, .n_v = d->n_v,
         .dim = d->delta_dim);
    if (s->n_trial > 0 && n > f->cap_kept) save_trials(f, a->i_delta, s->n_trial);
    VERB(f, norm_gate, .x = f->heads, .z = f->z, .w = a->norm, .n_rows = n, .n_heads = d->n_v,
         .dim = d->delta_dim, .eps = d->eps);
    VERB(f, matmul, .x = f->heads, .n_rows = n, .n_out = 1, .w = {&a->out}, .out = {f->mixed});
}

static void feed_forward(struct forward *f, int n, const struct layer *l)
{
    const struct dims *d = &f->m->d;

    if (d->n_experts == 0) {
        VERB(f, ffn, .out = f->mixed, .x = f->normed, .gate = &l->gate, .up = &l->up,
             .down = &l->down, .n_rows = n);
        return;
    }
    VERB(f, route, .ids = f->ids, .share = f->share, .shared_share = f->sh_share,
         .x = f->normed, .router = &l->router, .shared = l->sh_share, .n_rows = n,
         .n_used = d->n_used);
    VERB(f, experts, .out = f->mixed, .x = f->normed, .ids = f->ids, .share = f->share,
         .shared_share = f->sh_share, .gate = &l->x_gate, .up = &l->x_up, .down = &l->x_down,
         .sh_gate = &l->sh_gate, .sh_up = &l->sh_up, .sh_down = &l->sh_down, .n_rows = n,
         .n_used = d->n_used);
}

void forward_layer(struct forward *f,
                   const struct step *s,
                   const struct layer *l,
                   int first,
                   const float *add)
{
    const struct dims *d = &f->m->d;

    VERB(f, norm, .out = f->normed, .x = f->x, .add = add, .w = l->attn_norm,
         .n_rows = s->n_rows, .n = d->n_embd, .eps = d->eps);
    if (l->is_attention) {
        attention(f, s, l, first);
    } else {
        delta_net(f, s, l);
    }
    VERB(f, norm, .out = f->normed, .x = f->x, .add = f->mixed, .w = l->ffn_norm,
         .n_rows = s->n_rows, .n = d->n_embd, .eps = d->eps);
    feed_forward(f, s->n_rows, l);
}

void forward_trunk(struct forward *f, const struct step *s)
{
    const struct model *m = f->m;
    ASSERT(s->n_rows >= 1 && s->n_rows <= f->cap_rows && s->n_trial <= f->cap_kept);

    VERB(f, embed, .out = f->x, .ids = s->ids, .table = &m->embd, .n_rows = s->n_rows);
    const float *add = NULL;
    for (int i = 0; i < m->d.n_layers; i++) {
        forward_layer(f, s, &m->layers[i], 0, add);
        add = f->mixed; /* added by the next norm */
    }
    VERB(f, norm, .out = f->hidden, .x = f->x, .add = add, .w = m->output_norm,
         .n_rows = s->n_rows, .n = m->d.n_embd, .eps = m->d.eps);
}

void forward_head(struct forward *f, const float *hidden, int n_rows, float *logits)
{
    VERB(f, matmul, .x = hidden, .n_rows = n_rows, .n_out = 1, .w = {f->m->head},
         .out = {logits});
}

/* Keys and values need nothing: rows past the end are written again before they
 * are read.  Convolution tails and delta states left by the trial move on here. */
void forward_keep(struct forward *f, struct spans kept)
{
    const struct dims *d = &f->m->d;

    for (int i = 0; i < d->n_layers; i++) {
        const struct delta_net *a = &f->m->layers[i].delta;
        if (f->m->layers[i].is_attention) continue;
        const struct delta_rows *r = &f->small[a->i_delta];
        VERB(f, conv, .x = r->raw, .taps = a->taps, .spans = kept,
             .tail_offset = a->tail_offset, .n_channels = d->n_channels, .n_taps = d->n_taps);
        VERB(f, delta, .qkv = r->qkv, .decay = r->decay, .beta = r->beta, .spans = kept,
             .state_offset = a->state_offset, .n_k = d->n_k, .n_v = d->n_v,
             .dim = d->delta_dim);
    }
}
