/* model.c - binds every tensor of a file to its field, by one table. */
#include "engine/model.h"

#include "engine/quant.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ----------------------------------------------------------- */

/* Dimensions by name, so that a shape in the table reads as in the documentation. */
enum dim {
    ONE, /* absent */
    EMBD,
    EMBD_2,
    VOCAB,
    Q_GATE,
    KV,
    HEADS,
    HEAD,
    CHANNELS,
    VALUE,
    N_V,
    STATE,
    TAPS,
    FF,
    FF_X,
    FF_X_2,
    FF_S,
    EXPERTS,
};

static int dim_of(const struct dims *d, enum dim which)
{
    switch (which) {
    case ONE: return 1;
    case EMBD: return d->n_embd;
    case EMBD_2: return 2 * d->n_embd;
    case VOCAB: return d->n_vocab;
    case Q_GATE: return 2 * d->n_heads * d->head_dim;
    case KV: return d->n_kv * d->head_dim;
    case HEADS: return d->n_heads * d->head_dim;
    case HEAD: return d->head_dim;
    case CHANNELS: return d->n_channels;
    case VALUE: return d->n_value;
    case N_V: return d->n_v;
    case STATE: return d->delta_dim;
    case TAPS: return d->n_taps;
    case FF: return d->n_ff;
    case FF_X: return d->n_ff_expert;
    case FF_X_2: return 2 * d->n_ff_expert;
    case FF_S: return d->n_ff_shared;
    case EXPERTS: return d->n_experts;
    }
    return 0;
}

/* Where a row applies. */
enum {
    GLOBAL = 1, /* once, field of struct model; the others once per layer       */
    EVERY = 2,  /* layers of every kind                                         */
    ATTN = 4,
    DELTA = 8,
    DENSE = 16,
    MOE = 32,
    DRAFT = 64, /* the draft layer only, field of struct model                  */
    OPTIONAL = 128,
};

enum kind {
    MATRIX, /* struct weight, any format that has a decoder                        */
    VECTOR, /* float *, decoded at load                                            */
};

struct row {
    const char *name; /* after "blk.N." for layers                               */
    size_t at;        /* offset of the field                                      */
    enum kind kind;
    int where;
    enum dim shape[3]; /* as in the file, contiguous first                        */
};

#define M(field) offsetof(struct model, field)
#define L(field) offsetof(struct layer, field)
// clang-format off
static const struct row TABLE[] = {
    {"token_embd.weight",              M(embd),            MATRIX, GLOBAL,            {EMBD, VOCAB}},
    {"output.weight",                  M(output),          MATRIX, GLOBAL | OPTIONAL, {EMBD, VOCAB}},
    {"output_norm.weight",             M(output_norm),     VECTOR, GLOBAL,            {EMBD}},

    {"attn_norm.weight",               L(attn_norm),       VECTOR, EVERY,             {EMBD}},
    {"post_attention_norm.weight",     L(ffn_norm),        VECTOR, EVERY,             {EMBD}},

    {"attn_q.weight",                  L(attn.q),          MATRIX, ATTN,              {EMBD, Q_GATE}},
    {"attn_k.weight",                  L(attn.k),          MATRIX, ATTN,              {EMBD, KV}},
    {"attn_v.weight",                  L(attn.v),          MATRIX, ATTN,              {EMBD, KV}},
    {"attn_output.weight",             L(attn.out),        MATRIX, ATTN,              {HEADS, EMBD}},
    {"attn_q_norm.weight",             L(attn.q_norm),     VECTOR, ATTN,              {HEAD}},
    {"attn_k_norm.weight",             L(attn.k_norm),     VECTOR, ATTN,              {HEAD}},

    {"attn_qkv.weight",                L(delta.qkv),       MATRIX, DELTA,             {EMBD, CHANNELS}},
    {"attn_gate.weight",               L(delta.z),         MATRIX, DELTA,             {EMBD, VALUE}},
    {"ssm_beta.weight",                L(delta.beta),      MATRIX, DELTA,             {EMBD, N_V}},
    {"ssm_alpha.weight",               L(delta.alpha),     MATRIX, DELTA,             {EMBD, N_V}},
    {"ssm_out.weight",                 L(delta.out),       MATRIX, DELTA,             {VALUE, EMBD}},
    {"ssm_conv1d.weight",              L(delta.taps),      VECTOR, DELTA,             {TAPS, CHANNELS}},
    {"ssm_dt.bias",                    L(delta.dt),        VECTOR, DELTA,             {N_V}},
    {"ssm_a",                          L(delta.ssm_a),     VECTOR, DELTA,             {N_V}},
    {"ssm_norm.weight",                L(delta.norm),      VECTOR, DELTA,             {STATE}},

    {"ffn_gate.weight",                L(gate),            MATRIX, DENSE,             {EMBD, FF}},
    {"ffn_up.weight",                  L(up),              MATRIX, DENSE,             {EMBD, FF}},
    {"ffn_down.weight",                L(down),            MATRIX, DENSE,             {FF, EMBD}},

    {"ffn_gate_inp.weight",            L(router),          MATRIX, MOE,               {EMBD, EXPERTS}},
    {"ffn_gate_exps.weight",           L(x_gate),          MATRIX, MOE | OPTIONAL,    {EMBD, FF_X, EXPERTS}},
    {"ffn_up_exps.weight",             L(x_up),            MATRIX, MOE | OPTIONAL,    {EMBD, FF_X, EXPERTS}},
    {"ffn_gate_up_exps.weight",        L(x_gate_up),       MATRIX, MOE | OPTIONAL,    {EMBD, FF_X_2, EXPERTS}},
    {"ffn_down_exps.weight",           L(x_down),          MATRIX, MOE,               {FF_X, EMBD, EXPERTS}},
    {"ffn_gate_inp_shexp.weight",      L(sh_share),        VECTOR, MOE,               {EMBD}},
    {"ffn_gate_shexp.weight",          L(sh_gate),         MATRIX, MOE,               {EMBD, FF_S}},
    {"ffn_up_shexp.weight",            L(sh_up),           MATRIX, MOE,               {EMBD, FF_S}},
    {"ffn_down_shexp.weight",          L(sh_down),         MATRIX, MOE,               {FF_S, EMBD}},

    {"nextn.eh_proj.weight",           M(draft.join),      MATRIX, DRAFT,             {EMBD_2, EMBD}},
    {"nextn.enorm.weight",             M(draft.e_norm),    VECTOR, DRAFT,             {EMBD}},
    {"nextn.hnorm.weight",             M(draft.h_norm),    VECTOR, DRAFT,             {EMBD}},
    {"nextn.shared_head_norm.weight",  M(draft.norm),      VECTOR, DRAFT | OPTIONAL,  {EMBD}},
    {"nextn.embed_tokens.weight",      M(draft.own_embd),  MATRIX, DRAFT | OPTIONAL,  {EMBD, VOCAB}},
    {"nextn.shared_head_head.weight",  M(draft.own_head),  MATRIX, DRAFT | OPTIONAL,  {EMBD, VOCAB}},
};
// clang-format on
#undef M
#undef L

/* ---- one tensor ---------------------------------------------------------- */

static enum status check_shape(const struct model *m,
                               const struct row *r,
                               const struct gguf_tensor *t,
                               struct err *e)
{
    for (size_t i = 0; i < 4; i++) {
        const int64_t want = i < 3 ? dim_of(&m->d, r->shape[i]) : 1;
        if (t->ne[i] == want) continue;
        return err_set(e, QA_E_FORMAT,
                       "tensor '%.*s': [%lld, %lld, %lld, %lld], must be [%d, %d, %d, 1]",
                       (int)t->name.n, t->name.p, (long long)t->ne[0], (long long)t->ne[1],
                       (long long)t->ne[2], (long long)t->ne[3], dim_of(&m->d, r->shape[0]),
                       dim_of(&m->d, r->shape[1]), dim_of(&m->d, r->shape[2]));
    }
    return QA_OK;
}

/* Vectors are small: f32 for all backends, in memory that the model owns.  Their values
 * follow in model_load(). */
static enum status bind_vector(struct model *m,
                               float **v,
                               const struct gguf_tensor *t,
                               struct err *e)
{
    const size_t n = (size_t)t->ne[0] * (size_t)t->ne[1];
    float *p = m->ops->alloc(m->dev, n * sizeof *p);
    if (!p) {
        return err_set(e, QA_E_NOMEM, "no memory for tensor '%.*s'", (int)t->name.n, t->name.p);
    }
    m->vectors[m->n_vectors++] = (struct bound_vector){p, t};
    *v = p;
    return QA_OK;
}

/* NVFP4 files keep a factor of the whole matrix, or of each expert's, in a companion:
 * "x.weight" has "x.scale".  Their "x.input_scale" is for hardware that computes in
 * four bits; products do not need it. */
static enum status bind_scale(struct model *m,
                              struct weight *w,
                              const char *name,
                              struct err *e)
{
    static const char *const ENDINGS[] = {"scale", "input_scale"};
    for (size_t i = 0; i < COUNT(ENDINGS); i++) {
        char full[96];
        snprintf(full, sizeof full, "%.*s%s", (int)(strlen(name) - strlen("weight")), name,
                 ENDINGS[i]);
        const struct gguf_tensor *t = gguf_find_tensor(m->file, full);
        if (!t) continue;
        if (t->ne[0] != w->n_mats || t->ne[1] != 1 || t->ne[2] != 1 || t->ne[3] != 1) {
            return err_set(e, QA_E_FORMAT, "tensor '%s': %lld values, must be %d", full,
                           (long long)t->ne[0], w->n_mats);
        }
        m->n_bound++;
        const enum status st = i == 0 ? bind_vector(m, &w->scale, t, e) : QA_OK;
        if (st) return st;
    }
    return QA_OK;
}

static enum status bind_matrix(struct model *m,
                               struct weight *w,
                               const struct gguf_tensor *t,
                               const char *name,
                               struct err *e)
{
    size_t row_bytes;
    ASSERT(quant_row_bytes(quant_find(t->type), t->ne[0], &row_bytes)); /* gguf.c checked */
    *w = (struct weight){
        .type = t->type,
        .rows = (int)t->ne[1],
        .cols = (int)t->ne[0],
        .n_mats = (int)t->ne[2],
        .row_bytes = row_bytes,
        .mat_bytes = row_bytes * (size_t)t->ne[1],
        .data = t->data,
    };
    m->weights[m->n_weights] = w;
    m->sources[m->n_sources++] = t;
    m->n_weights++;
    return bind_scale(m, w, name, e);
}

/* Bytes of t that one token reads: of expert tensors, those of the chosen ones. */
static uint64_t bytes_per_token(struct model *m,
                                const struct row *r,
                                const struct gguf_tensor *t)
{
    if (r->shape[2] != EXPERTS) return t->n_bytes;
    const uint64_t n = t->n_bytes / (uint64_t)m->d.n_experts * (uint64_t)m->d.n_used;
    m->routed_bytes += n;
    return n;
}

/* Bind the tensor of row r, whose full name is `name`, to the field at `base`. */
static enum status bind_row(struct model *m,
                            const struct row *r,
                            const char *name,
                            void *base,
                            uint64_t *n_bytes,
                            struct err *e)
{
    const struct gguf_tensor *t = gguf_find_tensor(m->file, name);
    if (!t) {
        if (r->where & OPTIONAL) return QA_OK;
        return err_set(e, QA_E_FORMAT, "tensor '%s' is missing", name);
    }
    void *field = (char *)base + r->at;
    m->n_bound++;
    *n_bytes += bytes_per_token(m, r, t);
    const enum status st = check_shape(m, r, t, e);
    if (st) return st;
    return r->kind == VECTOR ? bind_vector(m, field, t, e) : bind_matrix(m, field, t, name, e);
}

/* ---- all tensors --------------------------------------------------------- */

static int kind_of_layer(const struct model *m, int i)
{
    return EVERY | (m->layers[i].is_attention ? ATTN : DELTA) | (m->d.n_experts ? MOE : DENSE) |
           (i >= m->d.n_layers ? DRAFT : 0);
}

static enum status bind_layer(struct model *m, int i, uint64_t *n_bytes, struct err *e)
{
    const int kind = kind_of_layer(m, i);
    for (size_t k = 0; k < COUNT(TABLE); k++) {
        const struct row *r = &TABLE[k];
        char name[80];
        if (!(r->where & kind)) continue;
        snprintf(name, sizeof name, "blk.%d.%s", i, r->name);
        void *base = r->where & DRAFT ? (void *)m : (void *)&m->layers[i];
        const enum status st = bind_row(m, r, name, base, n_bytes, e);
        if (st) return st;
    }
    return QA_OK;
}

/* Some files hold gate and up of all experts in one tensor, gate rows first. */
static enum status split_gate_up(struct model *m, int i, struct err *e)
{
    struct layer *l = &m->layers[i];
    if (l->x_gate.data && l->x_up.data && !l->x_gate_up.data) return QA_OK;
    if (l->x_gate.data || l->x_up.data || !l->x_gate_up.data) {
        return err_set(e, QA_E_FORMAT,
                       "layer %d: needs 'ffn_gate_exps.weight' and 'ffn_up_exps.weight', or "
                       "'ffn_gate_up_exps.weight' alone",
                       i);
    }
    l->x_gate = l->x_up = l->x_gate_up;
    l->x_gate.rows = l->x_up.rows = l->x_gate_up.rows / 2;
    l->x_up.data += (size_t)l->x_up.rows * l->x_up.row_bytes;
    for (int k = 0; k < m->n_weights; k++) { /* kernels see the halves */
        if (m->weights[k] == &l->x_gate_up) m->weights[k] = &l->x_gate;
    }
    m->weights[m->n_weights++] = &l->x_up;
    return QA_OK;
}

/* Bytes of a head; they are the embedding's own when the file ties the two. */
static uint64_t weight_bytes(const struct weight *w)
{
    return (uint64_t)w->rows * w->row_bytes;
}

static enum status bind_globals(struct model *m, struct err *e)
{
    uint64_t unused = 0; /* which part of them a token reads follows below */
    for (size_t k = 0; k < COUNT(TABLE); k++) {
        if (!(TABLE[k].where & GLOBAL)) continue;
        const enum status st = bind_row(m, &TABLE[k], TABLE[k].name, m, &unused, e);
        if (st) return st;
    }
    m->head = m->output.data ? &m->output : &m->embd;
    m->decode_bytes = weight_bytes(m->head) + (m->head == &m->embd ? 0 : m->embd.row_bytes) +
                      (uint64_t)m->d.n_embd * sizeof(float); /* the output norm */
    return QA_OK;
}

static enum status bind_draft(struct model *m, struct err *e)
{
    const int i = m->d.n_layers;
    enum status st = bind_layer(m, i, &m->draft_bytes, e);
    if (!st && m->d.n_experts) st = split_gate_up(m, i, e);
    if (st) return st;
    m->draft.embd = m->draft.own_embd.data ? &m->draft.own_embd : &m->embd;
    m->draft.head = m->draft.own_head.data ? &m->draft.own_head : m->head;
    if (!m->draft.norm) m->draft.norm = m->output_norm;
    if (!m->draft.own_head.data) m->draft_bytes += weight_bytes(m->head);
    if (m->draft.own_embd.data) m->draft_bytes -= weight_bytes(m->draft.embd);
    m->draft_bytes += m->draft.embd->row_bytes;
    return QA_OK;
}

/* Forget what was bound last: the draft layer, when it is checked but not wanted. */
static void drop_from(struct model *m, int n_weights, int n_vectors, int n_sources)
{
    for (int i = n_vectors; i < m->n_vectors; i++)
        m->ops->release(m->dev, m->vectors[i].p);
    m->n_weights = n_weights;
    m->n_vectors = n_vectors;
    m->n_sources = n_sources;
    m->draft = (struct draft){0};
}

static enum status bind_all(struct model *m, bool want_draft, struct err *e)
{
    enum status st = bind_globals(m, e);
    for (int i = 0; i < m->d.n_layers && !st; i++) {
        st = bind_layer(m, i, &m->decode_bytes, e);
        if (!st && m->d.n_experts) st = split_gate_up(m, i, e);
    }
    const uint64_t routed_bytes = m->routed_bytes; /* of the trunk */
    const int n_weights = m->n_weights, n_vectors = m->n_vectors, n_sources = m->n_sources;
    if (!st && m->d.n_draft) st = bind_draft(m, e);
    if (!want_draft) drop_from(m, n_weights, n_vectors, n_sources);
    m->routed_bytes = routed_bytes;
    return st;
}

/* True when `name` is a row of the table for this model; companions of rows that are
 * there have been bound. */
static bool is_known(const struct model *m, const char *name)
{
    for (size_t k = 0; k < COUNT(TABLE); k++) {
        if ((TABLE[k].where & GLOBAL) && strcmp(name, TABLE[k].name) == 0) return true;
    }
    int i = 0;
    if (sscanf(name, "blk.%3d.", &i) != 1) return false;
    if (i < 0 || i >= m->d.n_layers + m->d.n_draft) return false;
    for (size_t k = 0; k < COUNT(TABLE); k++) {
        char full[80]; /* "blk.03." is no name of layer 3 */
        snprintf(full, sizeof full, "blk.%d.%s", i, TABLE[k].name);
        if ((TABLE[k].where & kind_of_layer(m, i)) && strcmp(name, full) == 0) return true;
    }
    return false;
}

/* A tensor that nothing reads means that the model is not the one we compute. */
static enum status check_unknown(const struct model *m, struct err *e)
{
    const size_t n = gguf_n_tensors(m->file);
    if ((size_t)m->n_bound == n) return QA_OK;
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(m->file, i);
        char name[80];
        snprintf(name, sizeof name, "%.*s", (int)QA_MIN(t->name.n, sizeof name - 1), t->name.p);
        if (!is_known(m, name)) {
            return err_set(e, QA_E_FORMAT, "tensor '%s' is not part of this architecture",
                           name);
        }
    }
    ASSERT(!"a tensor of the table was not bound");
}

/* ---- rotation ------------------------------------------------------------ */

/* Multi-axis rotation of text: three of four axes hold the position, the fourth 0,
 * so sectors of the fourth do not turn. */
static bool sector_turns(const int *sections, int i)
{
    const int sum = sections[0] + sections[1] + sections[2] + sections[3];
    const int sector = i % sum;
    return sector < 3 * sections[sector % 3];
}

/* Share of the unstretched angle for pair i (YaRN, arXiv:2309.00071): high
 * frequencies keep it, low ones are stretched, with a ramp between. */
static double yarn_keep(const struct dims *d, int i)
{
    enum { BETA_FAST = 32, BETA_SLOW = 1 };
    const double scale = d->n_rot / (2 * log(d->rope_base)), turn = 2 * acos(-1.0);
    const double low = floor(scale * log(d->n_ctx_original / (BETA_FAST * turn)));
    const double high = ceil(scale * log(d->n_ctx_original / (BETA_SLOW * turn)));
    const double from = fmax(0, low), to = fmin(d->n_rot - 1, high);
    return 1 - fmin(1, fmax(0, (i - from) / fmax(0.001, to - from)));
}

static enum status plan_rotation(struct model *m, struct err *e)
{
    const struct dims *d = &m->d;
    m->inv_freq = calloc((size_t)d->n_rot / 2, sizeof *m->inv_freq);
    if (!m->inv_freq) return err_set(e, QA_E_NOMEM, "no memory for the model");
    for (int i = 0; i < d->n_rot / 2; i++) {
        const double keep = d->is_yarn ? yarn_keep(d, i) : 0;
        const double stretched = 1 / d->rope_factor * (1 - keep) + keep;
        const bool turns = sector_turns(d->rope_sections, i);
        m->inv_freq[i] = turns ? pow(d->rope_base, -2.0 * i / d->n_rot) * stretched : 0;
    }
    m->rope_scale = (float)d->rope_attn_factor;
    if (d->is_yarn) m->rope_scale *= (float)(1 + 0.1 * log(d->rope_factor));
    return QA_OK;
}

/* ---- opening ------------------------------------------------------------- */

void model_close(struct model *m)
{
    if (!m) return;
    for (int i = 0; i < m->n_prepared; i++)
        m->ops->forget(m->dev, m->weights[i]);
    for (int i = 0; i < m->n_vectors; i++)
        m->ops->release(m->dev, m->vectors[i].p);
    free(m->vectors);
    free(m->sources);
    free(m->weights);
    free(m->layers);
    free(m->inv_freq);
    free(m);
}

static void count_file(struct model *m)
{
    for (size_t i = 0; i < gguf_n_tensors(m->file); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(m->file, i);
        m->n_params +=
            (uint64_t)t->ne[0] * (uint64_t)t->ne[1] * (uint64_t)t->ne[2] * (uint64_t)t->ne[3];
        m->weight_bytes += t->n_bytes;
    }
}

static enum status make_layers(struct model *m, struct err *e)
{
    const struct dims *d = &m->d;
    const size_t n = (size_t)(d->n_layers + d->n_draft);
    /* A fused tensor becomes two weights: at most twice as many as tensors. */
    const size_t n_tensors = gguf_n_tensors(m->file) + 1;
    m->layers = calloc(n, sizeof *m->layers);
    m->vectors = calloc(n_tensors, sizeof *m->vectors);
    m->weights = calloc(2 * n_tensors, sizeof *m->weights);
    m->sources = calloc(n_tensors, sizeof *m->sources);
    if (!m->layers || !m->vectors || !m->weights || !m->sources) {
        return err_set(e, QA_E_NOMEM, "no memory for the model");
    }
    for (int i = 0; i < d->n_layers + d->n_draft; i++) {
        struct layer *l = &m->layers[i];
        l->is_attention = i >= d->n_layers || (i + 1) % d->interval == 0;
        if (!l->is_attention) l->delta.i_delta = m->n_delta++;
    }
    return QA_OK;
}

enum status model_open(struct model **out,
                       struct gguf *file,
                       const struct ops *ops,
                       struct device *dev,
                       bool want_draft,
                       struct err *e)
{
    struct model *m = calloc(1, sizeof *m);
    if (!m) return err_set(e, QA_E_NOMEM, "no memory for the model");
    m->file = file;
    m->ops = ops;
    m->dev = dev;

    enum status st = dims_read(&m->d, &m->arch, file, e);
    if (!st) st = make_layers(m, e);
    if (!st) st = bind_all(m, want_draft, e);
    if (!st) st = check_unknown(m, e);
    if (!st) st = plan_rotation(m, e);
    if (st) {
        model_close(m);
        return st;
    }
    count_file(m);
    if (!want_draft) m->d.n_draft = 0;
    *out = m;
    return QA_OK;
}
