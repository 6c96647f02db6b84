/* ref.h - what the files of the reference backend share. */
#ifndef QA_REF_H
#define QA_REF_H

#include "engine/ops.h"

#include <math.h>

enum { REF_DELTA_DIM_MAX = 256 };

struct device {
    float *trial;  /* [S, S]  one delta head's state, for trials */
    float *row;    /* [max_cols]      one decoded weight row                     */
    float *inner;  /* [2, max_inner]  gate and up of one row                     */
    float *expert; /* [max_cols]      one expert's output                        */
    float *router; /* [n_experts]     router probabilities of one row            */
    float *score;  /* [n_ctx]         attention weights of one head              */
};

/* Row `r` of matrix `m` of w, decoded into d->row. */
const float *ref_weight_row(struct device *d, const struct weight *w, int m, int r);
/* y[r] = W x for matrix m of w. */
void ref_matvec(struct device *d, const struct weight *w, int m, const float *x, float *y);

void ref_embed(struct device *d, const struct embed_args *a);
void ref_norm(struct device *d, const struct norm_args *a);
void ref_matmul(struct device *d, const struct matmul_args *a);
void ref_qk_prep(struct device *d, const struct qk_prep_args *a);
void ref_attn(struct device *d, const struct attn_args *a);
void ref_conv(struct device *d, const struct conv_args *a);
void ref_delta_prep(struct device *d, const struct delta_prep_args *a);
void ref_delta(struct device *d, const struct delta_args *a);
void ref_norm_gate(struct device *d, const struct norm_gate_args *a);
void ref_ffn(struct device *d, const struct ffn_args *a);
void ref_route(struct device *d, const struct route_args *a);
void ref_experts(struct device *d, const struct experts_args *a);
void ref_mtp_join(struct device *d, const struct mtp_join_args *a);
void ref_pick(struct device *d, const struct pick_args *a);

static inline float ref_sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}
static inline float ref_silu(float x)
{
    return x * ref_sigmoid(x);
}
/* out = x / sqrt(mean(x^2) + eps) * w; out may be x.  The mean is taken in f64. */
static inline void ref_rms(float *out, const float *x, const float *w, int n, float eps)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    const float scale = 1.0f / sqrtf((float)(sum / n) + eps);
    for (int i = 0; i < n; i++)
        out[i] = x[i] * scale * w[i];
}

#endif
