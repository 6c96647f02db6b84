/* model.h - one open model: its sizes and its weights, checked against the file.
 *
 * Shapes use the letters of ops.h.  Vectors (norms, biases, taps) are f32 in the
 * memory of the device, whatever the file holds; matrices stay as stored. */
#ifndef QA_MODEL_H
#define QA_MODEL_H

#include "engine/engine.h"
#include "engine/gguf.h"
#include "engine/load.h"
#include "engine/ops.h"

struct dims {
    int n_layers; /* trunk; the draft layer, when there is one, comes after      */
    int n_draft;  /* 0 or 1                                                      */
    int n_embd, n_vocab, n_ctx_train;
    int n_heads, n_kv, head_dim, n_rot;              /* H, K, D            */
    int n_k, n_v, delta_dim, n_taps;                 /* NK, NV, S          */
    int n_channels, n_value;                         /* C, NV S            */
    int n_ff;                                        /* dense F            */
    int n_experts, n_used, n_ff_expert, n_ff_shared; /* 0 experts: dense   */
    int interval;                                    /* every n-th layer attends */
    float eps;
    double rope_base;
    int rope_sections[4];
    bool is_yarn;
    double rope_factor;      /* 1: none; linear and YaRN: context stretch       */
    double rope_attn_factor; /* 1                                                */
    int n_ctx_original;      /* YaRN                                             */
};

/* What a layer does with its normed input: gated attention or gated DeltaNet. */
struct attention {
    struct weight q, k, v, out;    /* [2 H D, E], [K D, E], [K D, E], [E, H D]   */
    float *q_norm, *k_norm;        /* [D]                                        */
    size_t k_offset, v_offset;     /* within a KV page, set by cache_plan()      */
    size_t k16_offset, v16_offset; /* within an f16 page, the same */
};
struct delta_net {
    struct weight qkv, z, beta, alpha, out; /* [C, E], [NV S, E], [NV, E] twice, [E, NV S] */
    float *taps, *dt, *ssm_a, *norm;        /* [C, n_taps], [NV], [NV], [S]     */
    size_t tail_offset, state_offset;       /* within a session's state, cache_plan() */
    int i_delta;                            /* counts DeltaNet layers from 0     */
};
struct layer {
    bool is_attention;
    float *attn_norm, *ffn_norm; /* [E]; the second is "post_attention_norm"    */
    struct attention attn;
    struct delta_net delta;
    struct weight gate, up, down;          /* dense [F, E], [F, E], [E, F]       */
    struct weight router;                  /* [X, E]                             */
    struct weight x_gate, x_up, x_down;    /* X matrices each                    */
    struct weight x_gate_up;               /* a file may hold both in one tensor */
    struct weight sh_gate, sh_up, sh_down; /* shared expert                      */
    float *sh_share;                       /* [E]                                */
};
struct draft {
    struct weight join;               /* [E, 2 E]                                 */
    float *e_norm, *h_norm, *norm;    /* [E]; norm is output_norm when not given  */
    struct weight own_embd, own_head; /* data NULL when not given               */
    const struct weight *embd, *head; /* what to use                             */
};

struct model {
    struct dims d;
    const char *arch;
    struct gguf *file; /* borrowed */
    const struct ops *ops;
    struct device *dev; /* borrowed */
    struct weight embd, output;
    const struct weight *head; /* output, or embd when the file ties them        */
    float *output_norm;
    struct layer *layers; /* [n_layers + n_draft], owned                         */
    struct draft draft;
    double *inv_freq; /* [n_rot / 2], owned                                      */
    float rope_scale;
    int n_delta; /* DeltaNet layers                                              */
    uint64_t n_params, weight_bytes, decode_bytes; /* as in engine_info          */
    uint64_t draft_bytes;  /* what one drafted token must read                        */
    uint64_t routed_bytes; /* part of decode_bytes: experts chosen by the router      */
    struct bound_vector {
        float *p; /* owned, device */
        const struct gguf_tensor *t;
    } * vectors; /* [n_vectors] all of them                                      */
    int n_vectors;
    struct weight **weights; /* [n_weights] all matrices above, trunk first      */
    int n_weights, n_prepared;
    const struct gguf_tensor **sources; /* [n_sources] tensors that matrices lie in   */
    int n_sources;
    int n_bound; /* tensors of the file that have a field                        */
};

/* Name the architecture; whatever is no model of the family is refused for what it is. */
enum status arch_read(const char **arch, const struct gguf *file, struct err *e) MUST_USE;

/* Read the sizes alone; every refusal of an inconsistent file is here.  The tokenizer of
 * the file must have been opened: it checks the vocabulary. */
enum status dims_read(struct dims *d,
                      const char **arch,
                      const struct gguf *file,
                      struct err *e) MUST_USE;

/* Bind every tensor of `file`; a missing, unknown or wrongly shaped one is an error
 * that names it.  Reads no weights: sizes are known, values follow in model_load().
 * want_draft false: the draft layer of the file is checked and left out. */
enum status model_open(struct model **out,
                       struct gguf *file,
                       const struct ops *ops,
                       struct device *dev,
                       bool want_draft,
                       struct err *e) MUST_USE;
/* Read the weights, decode the vectors, let the backend prepare the matrices.  Once. */
enum status model_load(struct model *m,
                       const struct engine_progress *progress,
                       struct load_stats *stats,
                       struct err *e) MUST_USE;
void model_close(struct model *m); /* NULL is fine */

#endif
