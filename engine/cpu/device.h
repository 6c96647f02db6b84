/* device.h - what the files of the CPU backend share: threads and scratch memory. */
#ifndef QA_CPU_DEVICE_H
#define QA_CPU_DEVICE_H

#include "engine/base/pool.h"
#include "engine/cpu/kernels.h"
#include "engine/ops.h"

/* Work below this many multiply-adds is done by the caller: waking the others
 * takes longer when they sleep, and gains little when they do not. */
enum { ALONE_MACS = 96 * 1024 };

/* Partial results of attention are merged in batches of rows that fit here. */
enum { ATTN_SCRATCH_FLOATS = 4 << 20 };

struct thread_scratch {
    void *panel; /* unpacked weights, see dot_args */
    float *tile; /* small results before they are added up, TILE_FLOATS */
};
enum { TILE_FLOATS = 32 << 10, PANEL_BYTES = 192 << 10 };

/* Rows that go through one expert (or through the only feed-forward net there is). */
struct group {
    const struct weight *gate, *up, *down;
    int mat;            /* which matrix of the three                          */
    int first, n_pairs; /* its places in the list of (row, expert) pairs      */
};

struct device {
    const struct kernels *k;
    struct pool *pool;
    struct device_needs needs;
    struct thread_scratch *threads; /* [n_threads] */
    size_t panel_bytes;

    struct act act;       /* rows of x; codes [n_rows, max_cols]                         */
    struct act inner;     /* rows inside a feed-forward net, [n_pairs, max_inner]        */
    float *gate, *up;     /* [n_pairs, max_inner]                                        */
    float *logits;        /* [n_rows, n_experts] of the router                           */
    int32_t *counting;    /* 0, 1, 2 ...: the rows of x in order                      */
    int32_t *pair_row;    /* [n_pairs] row of x, sorted by expert                     */
    float *pair_share;    /* [n_pairs]                                                */
    struct group *groups; /* [n_experts + 1]                                         */
    int32_t *cursor;      /* [n_experts]                                             */
    float *attn;          /* ATTN_SCRATCH_FLOATS or more                             */
    size_t attn_floats;
    double *rope; /* [n_rows, max_cols]: cosines and sines, as far as a row needs    */
};

/* fn on all threads, or on the caller alone when `macs` is little. */
void device_run(struct device *d, pool_fn *fn, void *ctx, int64_t macs);

/* True when products with w want x in 8 bits. */
bool device_is_8bit(const struct device *d, const struct weight *w);

/* Fill act's codes from n_rows rows of x. */
void device_quantise(struct device *d, struct act *act, const float *x, int n_rows, int cols);

/* out[i * stride + r - r0] = row r of matrix m . row rows[i] of x, r in [r0, r1);
 * on thread i_thread.  `exact`: floats even where 8 bits would do. */
struct product {
    const struct weight *w;
    int m, r0, r1;
    const struct act *x;
    const int32_t *rows;
    int n_x;
    float *out;
    size_t stride;
    bool is_exact;
};
void device_product(struct device *d, int i_thread, const struct product *p);

/* Items lie one after another on a line, item rows cost `cost` each from `base` on.
 * Which rows of an item of n rows start within [from, to)? */
static inline void cost_share(int64_t from,
                              int64_t to,
                              int64_t base,
                              int64_t cost,
                              int n,
                              int *r0,
                              int *r1)
{
    const int64_t a = from <= base ? 0 : (from - base + cost - 1) / cost;
    const int64_t b = to <= base ? 0 : (to - base + cost - 1) / cost;
    *r0 = (int)QA_MIN(a, n);
    *r1 = (int)QA_MIN(b, n);
}

void cpu_embed(struct device *d, const struct embed_args *a);
void cpu_norm(struct device *d, const struct norm_args *a);
void cpu_matmul(struct device *d, const struct matmul_args *a);
void cpu_qk_prep(struct device *d, const struct qk_prep_args *a);
void cpu_attn(struct device *d, const struct attn_args *a);
void cpu_conv(struct device *d, const struct conv_args *a);
void cpu_delta_prep(struct device *d, const struct delta_prep_args *a);
void cpu_delta(struct device *d, const struct delta_args *a);
void cpu_norm_gate(struct device *d, const struct norm_gate_args *a);
void cpu_ffn(struct device *d, const struct ffn_args *a);
void cpu_route(struct device *d, const struct route_args *a);
void cpu_experts(struct device *d, const struct experts_args *a);
void cpu_mtp_join(struct device *d, const struct mtp_join_args *a);
void cpu_pick(struct device *d, const struct pick_args *a);

#endif
