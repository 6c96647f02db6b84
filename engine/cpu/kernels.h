/* kernels.h - the inner loops, one row of function pointers per instruction set.
 *
 * The drivers (matmul.c, attn.c, ...) split work over threads and call these; they
 * are portable C and never know which row is in use.  Every row computes the same
 * thing in the same order for one row of x as for many, so what a token gets does
 * not depend on what else shares its step. */
#ifndef QA_CPU_KERNELS_H
#define QA_CPU_KERNELS_H

#include "engine/base/err.h"
#include "engine/kv.h"

enum {
    ACT_BLOCK = 32,   /* values of x under one scale                            */
    DOT_ROWS = 8,     /* rows of x that one pass over unpacked weights serves   */
    ATTEND_TILE = 16, /* positions of keys and values handled at once           */
    DELTA_COLS = 16,  /* columns of a delta head's state handled at once        */
    N_DOT_TYPES = 48, /* GGUF type ids below this index the table               */
    DELTA_DIM_MAX = 256,
};

/* Rows of x, as floats and in 8-bit form: x[i] ~ code[i] * scale[i / 32], codes
 * within +-127.  Codes lie in 16 bits because that is what the multipliers of the
 * baseline instruction set take.  sum = scale * (sum of the 32 codes): offsets of
 * weights multiply it.  code is NULL when no weight wants it. */
struct act {
    const float *x; /* [n, cols]              */
    int16_t *code;  /* [n, cols]              */
    float *scale;   /* [n, cols / ACT_BLOCK]  */
    float *sum;     /* [n, cols / ACT_BLOCK]  */
    int cols;
};

/* out[i * out_stride + r] = weight row r . row x_rows[i] of x. */
struct dot_args {
    uint32_t type; /* of the weight, see quant.h                    */
    const uint8_t *w;
    size_t row_bytes;
    int n_w;
    const struct act *x;
    const int32_t *x_rows; /* [n_x] */
    int n_x;
    float *out;
    size_t out_stride;
    void *panel;        /* scratch of this thread, 64-byte aligned; holds at least  */
    size_t panel_bytes; /* one decoded row: PANEL_ROW_BYTES(cols)            */
};
typedef void dot_fn(const struct dot_args *a);
#define PANEL_ROW_BYTES(cols) ((size_t)(cols)*4 + 256)

/* One query against n <= ATTEND_TILE positions: running softmax.  `most` is the
 * largest score so far, `sum` and acc [dim] are relative to it. */
struct attend_args {
    const float *q;    /* [dim]  already divided by sqrt(dim) */
    const float *k;    /* [n, dim] */
    const float *v;    /* [n, dim] */
    float *most, *sum; /* one number each */
    float *acc;        /* [dim] */
    int n, dim;
};

/* DELTA_COLS columns of one head's state M [dim, m_stride], n_rows rows in order.
 * Only n_cols of them exist in v and out; m has room for all. */
struct delta_args_tile {
    float *m;
    size_t m_stride;
    int dim, n_cols;
    const float *q, *k; /* first row; rows are x_stride apart */
    const float *v;     /* the same, at the first of the columns */
    size_t x_stride;
    const float *decay, *beta; /* one per row, gate_stride apart */
    size_t gate_stride;
    float *out; /* NULL, or first row at the first of the columns */
    size_t out_stride;
    int n_rows;
};

/* n channels of one row: out = silu(sum over taps), see conv_args. */
struct conv_row_args {
    float *out;               /* [n] */
    const float *const *rows; /* [n_taps], oldest first, each [n] */
    const float *taps;        /* [n_taps, n] */
    int n, n_taps;
};

struct kernels {
    const char *name;
    uint32_t needs; /* bits of enum cpu_feature */

    /* One row of x to 8 bits; cols is a multiple of ACT_BLOCK. */
    void (*quantise)(const float *x, int cols, int16_t *code, float *scale, float *sum);
    /* By type; NULL where weights are decoded to floats: then dot_any. */
    dot_fn *dot[N_DOT_TYPES];
    dot_fn *dot_any; /* any type, f32 throughout, reads x->x */

    void (*attend)(const struct attend_args *a);
    void (*delta)(const struct delta_args_tile *a);
    void (*conv_row)(const struct conv_row_args *a);
    /* n rows of keys or values of dim each, as kv.h describes them; rotated ones stay
     * rotated. */
    void (*kv_load)(enum kv_type t, float *out, const uint8_t *rows, int n, int dim);
    void (*kv_rotate)(float *x, int dim);   /* x = R x  */
    void (*kv_unrotate)(float *x, int dim); /* x = R' x */
    void (*f32_to_f16)(uint16_t *out, const float *x, int n);
    /* x += add when given; out = x / sqrt(mean(x^2) + eps) * w. */
    void (*rms)(float *out, float *x, const float *add, const float *w, int n, float eps);
    void (*unit)(float *x, int n, float scale); /* x *= scale / sqrt(sum(x^2) + 1e-6) */
    void (*silu_mul)(float *out, const float *gate, const float *up, int n);
    void (*sigmoid_mul)(float *out, const float *gate, int n); /* out *= sigmoid(gate) */
    float (*exp_sum)(float *x, int n, float most); /* x = exp(x - most); returns the sum */
    void (*add_scaled)(float *out, const float *x, float f, int n); /* out += f x */
    int32_t (*arg_max)(const float *x, int n); /* lowest on a tie; NaN never wins */
};

/* The rows that a processor with feature bits `have` can run, best first: row i, or
 * NULL when there are no more.  The last is always "plain". */
const struct kernels *kernels_at(int i, uint32_t have);

extern const struct kernels kernels_plain;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512;
#endif

#endif
