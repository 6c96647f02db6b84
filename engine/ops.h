/* ops.h - the closed list of verbs that a backend implements.
 *
 * forward.c is written only in these verbs.  ref_ops() says what each one means,
 * in plain f32 loops; every other backend must agree with it within
 * tests/engine/tolerance.h.  A verb cannot fail and does not allocate; it may
 * enqueue work and return before it is done (sync() waits).  All pointers inside
 * arguments are memory of the device, from alloc(), unless a comment says host.
 *
 * Shapes read [outer, ..., inner], inner contiguous; nothing is strided unless
 * said.  Letters:
 *     T  rows (tokens) in this step, >= 1; 1 to 9 rows matter as much as 512
 *     E  width of the residual stream     V  vocabulary
 *     H  query heads   K  KV heads   D  attention head size      (256, 128, 64)
 *     NK key heads     NV value heads     S  delta head size     (128, 64, 32)
 *     C  convolution channels = 2 NK S + NV S; one row is q | k | v
 *     X  experts       U  experts used per token    F  inner width of an FFN
 * Head sizes are parameters; widths need not be multiples of anything but the
 * block of the weight's format.
 *
 * Rows of several sessions may share a step.  Row-wise verbs do not see that.
 * The three verbs with memory (attn, conv, delta) get spans: a span is a run of
 * rows of one session, with what belongs to that session; what belongs to the
 * layer stands in the arguments as an offset.  Spans of a step cover its rows in
 * order, and no session has two.
 *
 * Threads: alloc, release, copy, zero and sync from any thread at any time; all other
 * functions from one at a time, with everything before seen by it. */
#ifndef QA_OPS_H
#define QA_OPS_H

#include "engine/base/err.h"
#include "engine/kv_type.h"

/* A backend's own: thread pool, scratch memory, stream.  Only its verbs look inside. */
struct device;

/* One matrix, or n_mats of them (experts): y[r] = sum over c of W[r, c] x[c].
 * Row r of matrix m starts at data + m * mat_bytes + r * row_bytes. */
struct weight {
    uint32_t type; /* GGUF tensor type, see quant.h                            */
    int rows, cols;
    int n_mats; /* 1, or X                                                     */
    size_t row_bytes;
    size_t mat_bytes;    /* from one matrix to the next; may be > rows * row_bytes  */
    const uint8_t *data; /* host bytes as in the file; borrowed while the model lives */
    float *scale;        /* [n_mats] or NULL: matrix m stands for scale[m] times its values  */
    void *packed;        /* prepare()'s own form; NULL: every verb reads data as it is */
    size_t packed_bytes;
};

/* A run of rows of one session within a step. */
struct span {
    int row, n_rows;      /* rows [row, row + n_rows) of every [T, ...] array     */
    int64_t pos;          /* position of the first of them in the session         */
    void *const *pages;   /* host array: KV page i holds positions from i * page_tokens */
    void *const *pages16; /* the same in f16: those that attn_reads_f16() names for the
                             rows, others may be NULL; unused when no format is rotated */
    float *state;         /* recurrent state of the session, all layers           */
    bool is_trial;        /* conv and delta read the state and leave it as it is  */
};

struct spans {
    const struct span *p; /* host */
    int n;
};

/* ---- row-wise verbs ----------------------------------------------------- */

/* out[t] = row ids[t] of table, as f32. */
struct embed_args {
    float *out;         /* [T, E] */
    const int32_t *ids; /* [T], host; each in [0, V) */
    const struct weight *table;
    int n_rows;
};

/* x += add, when add is given; then out = x / sqrt(mean(x^2) + eps) * w.
 * The residual stream is only ever changed here. */
struct norm_args {
    float *out;       /* [T, n]  may be x itself                                */
    float *x;         /* [T, n]  changed only when add is given                 */
    const float *add; /* [T, n]  or NULL                                        */
    const float *w;   /* [n]                                                    */
    int n_rows, n;
    float eps;
};

/* out[i] = x W[i]^T for up to four weights that read the same rows: one call, so
 * that x is quantised once and the work split once.  Also the language model head. */
enum { MATMUL_MAX = 4 };
struct matmul_args {
    float *out[MATMUL_MAX];             /* each [T, w[i]->rows]                */
    const struct weight *w[MATMUL_MAX]; /* same cols, n_mats = 1                */
    int n_out;
    const float *x; /* [T, cols] */
    int n_rows;
};

/* Normalise each query and key head (RMS over D), then rotate its first n_rot
 * values: pair i with i + n_rot/2 by the angle position * inv_freq[i], times
 * rope_scale.  Angles are taken in f64: positions reach 2^18. */
struct qk_prep_args {
    float *qg;              /* [T, H, 2, D]  query, then its gate; only the query changes */
    float *k;               /* [T, K, D]                                        */
    const float *q_norm;    /* [D] */
    const float *k_norm;    /* [D] */
    const double *inv_freq; /* [n_rot / 2], host                                */
    float rope_scale;       /* 1 without YaRN                                   */
    struct spans spans;     /* for positions only                               */
    int n_heads, n_kv, dim, n_rot;
    float eps;
};

/* Convolution output to what the delta rule wants, in place:
 *     q, k   divided by sqrt(sum of squares + 1e-6) per head; q also by sqrt(S)
 *     decay  ssm_a * softplus(decay + dt): natural log, <= 0
 *     beta   sigmoid(beta)
 * softplus(y) = y for y > 20.  The 1e-6 is fixed by the model's definition. */
struct delta_prep_args {
    float *qkv;         /* [T, C]  v is left alone                              */
    float *decay;       /* [T, NV] in: projection ssm_alpha                     */
    float *beta;        /* [T, NV] in: projection ssm_beta                      */
    const float *dt;    /* [NV] */
    const float *ssm_a; /* [NV]  <= 0 in sane files                             */
    int n_rows, n_k, n_v, dim;
};

/* x = RMS over S of each head (x; w) * silu(z), in place. */
struct norm_gate_args {
    float *x;       /* [T, NV, S] */
    const float *z; /* [T, NV, S] */
    const float *w; /* [S] */
    int n_rows, n_heads, dim;
    float eps;
};

/* out = down (silu(gate x) * (up x)): the dense feed-forward layer. */
struct ffn_args {
    float *out;     /* [T, E] */
    const float *x; /* [T, E] */
    const struct weight *gate, *up, *down;
    int n_rows;
};

/* Softmax over all X router logits, the U largest (lower id first on a tie), their
 * probabilities divided by their sum; and sigmoid(x . shared) when given. */
struct route_args {
    int32_t *ids;                /* [T, U]  largest first                               */
    float *share;                /* [T, U]  sums to 1                                   */
    float *shared_share;         /* [T]     unused when shared is NULL                  */
    const float *x;              /* [T, E] */
    const struct weight *router; /* [X, E] */
    const float *shared;         /* [E] or NULL                                 */
    int n_rows, n_used;
};

/* out = sum over the chosen of share * ffn_e(x), in the order of ids, then
 *     + shared_share * shared_ffn(x).
 * Rows choose differently: a backend groups them by expert. */
struct experts_args {
    float *out;                                     /* [T, E] */
    const float *x;                                 /* [T, E] */
    const int32_t *ids;                             /* [T, U] */
    const float *share;                             /* [T, U] */
    const float *shared_share;                      /* [T]                  */
    const struct weight *gate, *up, *down;          /* n_mats = X           */
    const struct weight *sh_gate, *sh_up, *sh_down; /* NULL: no shared expert */
    int n_rows, n_used;
};

/* out = [RMS(embedding; e_norm) | RMS(hidden; h_norm)]: the draft layer's input. */
struct mtp_join_args {
    float *out;          /* [T, 2 E] */
    const float *embd;   /* [T, E] */
    const float *hidden; /* [T, E] */
    const float *e_norm; /* [E] */
    const float *h_norm; /* [E] */
    int n_rows, n;
    float eps;
};

/* ids[t] = index of the largest of row t, the lowest on a tie; NaN never wins. */
struct pick_args {
    int32_t *ids;   /* [T], host; valid after sync() */
    const float *x; /* [T, n] */
    int n_rows, n;
};

/* ---- verbs with memory -------------------------------------------------- */

/* Where the cache's format is a rotated one (kv.h), the row at position p reads these
 * pages in f16: the first, and its own with two before it.  The text at both ends of
 * the context weighs most.  The rule looks at positions alone, so what a row reads does
 * not depend on the steps, marks and forks that led to it. */
enum { ATTN_FIRST_PAGES = 1, ATTN_RECENT_PAGES = 2 };
static inline bool attn_reads_f16(int64_t page, int64_t row_page)
{
    return page < ATTN_FIRST_PAGES || page + ATTN_RECENT_PAGES >= row_page;
}

/* Gated causal attention.  Per row t at position p of its session:
 *     store k[t], v[t] at p; then for each head h, with g = h / (H / K)
 *     s_j  = q[t,h] . k_j[g] / sqrt(D)      for j in [first, p]
 *     out  = sum over j of softmax(s)_j v_j[g]  *  sigmoid(gate[t,h])
 * A page holds for this layer, from k_offset bytes, [K, page_tokens] rows of keys as
 * kv.h describes them and, from v_offset, as many of values: position j is row
 * j % page_tokens.  Where a format is rotated, page i of pages16 holds the same rotated
 * numbers in f16 from k16_offset or v16_offset; k[t], v[t] are stored in both.
 * All rows of a span are stored before any is read back. */
struct attn_args {
    float *out;      /* [T, H, D]     not an alias of qg                        */
    const float *qg; /* [T, H, 2, D]  from qk_prep                              */
    const float *k;  /* [T, K, D]     from qk_prep                              */
    const float *v;  /* [T, K, D]                                               */
    struct spans spans;
    size_t k_offset, v_offset, k16_offset, v16_offset;
    enum kv_type type_k, type_v;
    int page_tokens;
    int n_heads, n_kv, dim;
    int first; /* lowest position that exists: 0, or 1 for the draft layer      */
};

/* Causal depthwise convolution and SiLU:
 *     out[t, c] = silu(sum over j of taps[c, j] x[t - (n_taps - 1) + j, c])
 * Rows before the span come from the tail, which keeps the last n_taps - 1 raw
 * inputs, oldest first.  The tail moves on unless the span is a trial. */
struct conv_args {
    float *out;        /* [T, C]  or NULL: only move the tail                      */
    const float *x;    /* [T, C]  not an alias of out                              */
    const float *taps; /* [C, n_taps]  the last tap meets the newest input      */
    struct spans spans;
    size_t tail_offset; /* floats from span.state to this layer's [n_taps - 1, C] */
    int n_channels, n_taps;
};

/* Gated delta rule.  Per row in order, and per value head h, key head h % NK:
 *     M   <- exp(decay) M
 *     M   <- M + beta * k (v - k'M)      store the error, not the value
 *     out <- q'M
 * The state moves on unless the span is a trial.
 * Source: Gated Delta Networks, arXiv:2412.06464. */
struct delta_args {
    float *out;         /* [T, NV, S]  or NULL: only move the state             */
    const float *qkv;   /* [T, C]   from delta_prep                             */
    const float *decay; /* [T, NV]  natural log                                 */
    const float *beta;  /* [T, NV] */
    struct spans spans;
    size_t state_offset; /* floats from span.state to this layer's M: [NV, S key, S value] */
    int n_k, n_v, dim;
};

/* ---- the table ---------------------------------------------------------- */

struct device_opts {
    int n_threads; /* >= 1 */
};

/* Largest shapes that will come, for the backend's own scratch memory. */
struct device_needs {
    int n_rows;    /* T                                                      */
    int max_cols;  /* widest input of any weight                             */
    int max_inner; /* widest F; with experts, of one expert                  */
    int n_experts, n_used;
    int n_heads;   /* attention heads                                        */
    int head_dim;  /* D                                                      */
    int64_t n_ctx; /* longest session                                        */
};

struct ops {
    const char *name; /* "ref", "plain", "avx2" ...                             */
    int max_threads;  /* that it can use; 0: any number                          */

    /* Memory.  Only these can fail. */
    enum status (*open)(struct device **out, const struct device_opts *o, struct err *e);
    void (*close)(struct device *d); /* NULL is fine */
    /* Bytes that reserve(n) takes with that many threads. */
    size_t (*scratch_bytes)(int n_threads, const struct device_needs *n);
    /* Make scratch memory large enough; may be called again with larger needs. */
    enum status (*reserve)(struct device *d, const struct device_needs *n, struct err *e);
    /* Zeroed memory of the device, 64-byte aligned; NULL when there is none. */
    void *(*alloc)(struct device *d, size_t n_bytes);
    void (*release)(struct device *d, void *p); /* NULL is fine */
    /* At load, once per weight: set packed, or leave it.  forget() undoes it. */
    enum status (*prepare)(struct device *d, struct weight *w, struct err *e);
    void (*forget)(struct device *d, struct weight *w);
    void (*copy)(struct device *d, void *to, const void *from, size_t n_bytes); /* no overlap */
    void (*zero)(struct device *d, void *p, size_t n_bytes);
    void (*sync)(struct device *d); /* all work is done, results are visible to the host */

    void (*embed)(struct device *d, const struct embed_args *a);
    void (*norm)(struct device *d, const struct norm_args *a);
    void (*matmul)(struct device *d, const struct matmul_args *a);
    void (*qk_prep)(struct device *d, const struct qk_prep_args *a);
    void (*attn)(struct device *d, const struct attn_args *a);
    void (*conv)(struct device *d, const struct conv_args *a);
    void (*delta_prep)(struct device *d, const struct delta_prep_args *a);
    void (*delta)(struct device *d, const struct delta_args *a);
    void (*norm_gate)(struct device *d, const struct norm_gate_args *a);
    void (*ffn)(struct device *d, const struct ffn_args *a);
    void (*route)(struct device *d, const struct route_args *a);
    void (*experts)(struct device *d, const struct experts_args *a);
    void (*mtp_join)(struct device *d, const struct mtp_join_args *a);
    void (*pick)(struct device *d, const struct pick_args *a);
};

const struct ops *ref_ops(void); /* the definition; one thread                   */
const struct ops *cpu_ops(void); /* threads; the best row of kernels this machine runs */
/* All of them, best first: "avx512", "avx2", "plain"; NULL past the last. */
const struct ops *cpu_ops_at(int i);

#endif
