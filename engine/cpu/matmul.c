/* matmul.c - products with whole weights: rows of the weights over threads. */
#include "engine/cpu/device.h"
#include "engine/quant.h"

struct quantise_job {
    struct device *d;
    struct act *act;
    const float *x;
    int n_rows;
};

static void quantise_part(void *ctx, int i_thread, int n_threads)
{
    const struct quantise_job *j = ctx;
    const size_t cols = (size_t)j->act->cols, blocks = cols / ACT_BLOCK;
    int64_t from, to;
    pool_share(j->n_rows, 1, i_thread, n_threads, &from, &to);
    for (size_t t = (size_t)from; t < (size_t)to; t++) {
        j->d->k->quantise(j->x + t * cols, j->act->cols, j->act->code + t * cols,
                          j->act->scale + t * blocks, j->act->sum + t * blocks);
    }
}

void device_quantise(struct device *d, struct act *act, const float *x, int n_rows, int cols)
{
    act->cols = cols;
    struct quantise_job j = {d, act, x, n_rows};
    device_run(d, quantise_part, &j, (int64_t)n_rows * cols);
}

bool device_is_8bit(const struct device *d, const struct weight *w)
{
    return w->type < N_DOT_TYPES && d->k->dot[w->type] && w->cols % ACT_BLOCK == 0;
}

void device_product(struct device *d, int i_thread, const struct product *p)
{
    const struct weight *w = p->w;
    if (p->r0 >= p->r1) return;
    const struct dot_args a = {
        .type = w->type,
        .w = w->data + (size_t)p->m * w->mat_bytes + (size_t)p->r0 * w->row_bytes,
        .row_bytes = w->row_bytes,
        .n_w = p->r1 - p->r0,
        .x = p->x,
        .x_rows = p->rows,
        .n_x = p->n_x,
        .out = p->out,
        .out_stride = p->stride,
        .panel = d->threads[i_thread].panel,
        .panel_bytes = d->panel_bytes,
    };
    (!p->is_exact && device_is_8bit(d, w) ? d->k->dot[w->type] : d->k->dot_any)(&a);
    for (int t = 0; w->scale && t < p->n_x; t++) {
        for (int r = 0; r < a.n_w; r++)
            p->out[(size_t)t * p->stride + (size_t)r] *= w->scale[p->m];
    }
}

/* What a row costs next to others of the same call: bytes for one row of x, mostly
 * arithmetic for many, and floats are slower than 8 bits. */
static int64_t row_cost(const struct device *d, const struct weight *w, int n_x)
{
    const int64_t per_row = (int64_t)w->cols * n_x;
    return 64 + (int64_t)w->row_bytes + (device_is_8bit(d, w) ? per_row / 4 : per_row / 2);
}

struct matmul_job {
    struct device *d;
    const struct matmul_args *a;
    int64_t cost;
};

static void matmul_part(void *ctx, int i_thread, int n_threads)
{
    const struct matmul_job *j = ctx;
    const struct matmul_args *a = j->a;
    int64_t from, to, base = 0;
    pool_share(j->cost, 1, i_thread, n_threads, &from, &to);
    for (int i = 0; i < a->n_out; i++) {
        const struct weight *w = a->w[i];
        const int64_t cost = row_cost(j->d, w, a->n_rows);
        struct product p = {.w = w,
                            .x = &j->d->act,
                            .rows = j->d->counting,
                            .n_x = a->n_rows,
                            .stride = (size_t)w->rows};
        cost_share(from, to, base, cost, w->rows, &p.r0, &p.r1);
        p.out = a->out[i] + p.r0;
        device_product(j->d, i_thread, &p);
        base += cost * w->rows;
    }
}

void cpu_matmul(struct device *d, const struct matmul_args *a)
{
    struct matmul_job j = {d, a, 0};
    int64_t macs = 0;
    bool is_8bit = false;
    for (int i = 0; i < a->n_out; i++) {
        j.cost += row_cost(d, a->w[i], a->n_rows) * a->w[i]->rows;
        macs += (int64_t)a->w[i]->rows * a->w[i]->cols * a->n_rows;
        is_8bit |= device_is_8bit(d, a->w[i]);
    }
    d->act.x = a->x;
    d->act.cols = a->w[0]->cols;
    if (is_8bit) device_quantise(d, &d->act, a->x, a->n_rows, a->w[0]->cols);
    device_run(d, matmul_part, &j, macs);
}

void cpu_embed(struct device *d, const struct embed_args *a)
{
    const struct weight *w = a->table;
    (void)d;
    for (int t = 0; t < a->n_rows; t++) {
        float *out = a->out + (size_t)t * (size_t)w->cols;
        quant_decode(w->type, w->data + (size_t)a->ids[t] * w->row_bytes, out, (size_t)w->cols);
        for (int i = 0; w->scale && i < w->cols; i++)
            out[i] *= w->scale[0];
    }
}

struct pick_job {
    struct device *d;
    const struct pick_args *a;
};

static void pick_part(void *ctx, int i_thread, int n_threads)
{
    const struct pick_job *j = ctx;
    int64_t from, to;
    pool_share(j->a->n_rows, 1, i_thread, n_threads, &from, &to);
    for (int64_t t = from; t < to; t++)
        j->a->ids[t] = j->d->k->arg_max(j->a->x + t * j->a->n, j->a->n);
}

void cpu_pick(struct device *d, const struct pick_args *a)
{
    struct pick_job j = {d, a};
    device_run(d, pick_part, &j, a->n_rows > 1 ? (int64_t)a->n_rows * a->n : 0);
}
