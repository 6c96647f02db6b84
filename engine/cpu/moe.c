/* moe.c - feed-forward layers: dense, routed, shared.
 *
 * Rows are grouped by expert, so that the weights of an expert are read once for all
 * rows that chose it.  Two jobs: gate and up with the product of the two, then down.
 * The first splits the rows of all experts' weights by cost; in the second each
 * thread owns a run of output columns and adds the experts up in the order of their
 * ids, the shared one last: no thread writes what another reads. */
#include "engine/cpu/device.h"
#include "engine/quant.h"

#include <math.h>
#include <string.h>

struct ffn_job {
    struct device *d;
    const struct group *groups;
    int n_groups;
    int64_t cost;
    float *out; /* [T, n] */
    int n_rows, n;
    bool is_plain; /* one group whose pairs are the rows: the result needs no share */
};

/* Rows of weights cost by the rows of x they meet, and something for themselves. */
static int64_t group_cost(const struct group *g)
{
    return 3 + g->n_pairs;
}

/* The inner rows of a group.  They start where rows of max_inner would put its first
 * pair, and lie side by side in the group's own width. */
static struct act inner_of(const struct device *d, const struct group *g)
{
    const size_t at = (size_t)g->first * (size_t)d->needs.max_inner;
    return (struct act){
        .x = d->gate + at,
        .code = d->inner.code + at,
        .scale = d->inner.scale + at / ACT_BLOCK,
        .sum = d->inner.sum + at / ACT_BLOCK,
        .cols = g->down->cols,
    };
}

static void gate_up_part(void *ctx, int i_thread, int n_threads)
{
    const struct ffn_job *j = ctx;
    struct device *d = j->d;
    int64_t from, to, base = 0;
    pool_share(j->cost, 1, i_thread, n_threads, &from, &to);

    for (int i = 0; i < j->n_groups && base < to; i++) {
        const struct group *g = &j->groups[i];
        const int width = g->gate->rows;
        const int64_t cost = group_cost(g);
        const size_t at = (size_t)g->first * (size_t)d->needs.max_inner;
        struct product p = {.m = g->mat,
                            .x = &d->act,
                            .rows = d->pair_row + g->first,
                            .n_x = g->n_pairs,
                            .stride = (size_t)width};
        cost_share(from, to, base, cost, width, &p.r0, &p.r1);
        base += cost * width;
        if (p.r0 >= p.r1) continue;
        p.w = g->gate, p.out = d->gate + at + p.r0;
        device_product(d, i_thread, &p);
        p.w = g->up, p.out = d->up + at + p.r0;
        device_product(d, i_thread, &p);
        for (int k = 0; k < g->n_pairs; k++) {
            const size_t row = at + (size_t)k * (size_t)width + (size_t)p.r0;
            d->k->silu_mul(d->gate + row, d->gate + row, d->up + row, p.r1 - p.r0);
        }
    }
}

/* Quantising the inner rows: a job of its own, because every thread of the next one
 * reads all of them. */
static void inner_part(void *ctx, int i_thread, int n_threads)
{
    const struct ffn_job *j = ctx;
    const struct device *d = j->d;
    int64_t from, to, base = 0;
    int64_t n_pairs = 0;
    for (int i = 0; i < j->n_groups; i++)
        n_pairs += j->groups[i].n_pairs;
    pool_share(n_pairs, 1, i_thread, n_threads, &from, &to);

    for (int i = 0; i < j->n_groups; i++) {
        const struct group *g = &j->groups[i];
        int k0, k1;
        cost_share(from, to, base, 1, g->n_pairs, &k0, &k1);
        base += g->n_pairs;
        if (!device_is_8bit(d, g->down)) continue;
        const struct act x = inner_of(d, g);
        const size_t cols = (size_t)x.cols, blocks = cols / ACT_BLOCK;
        for (size_t k = (size_t)k0; k < (size_t)k1; k++) {
            d->k->quantise(x.x + k * cols, x.cols, x.code + k * cols, x.scale + k * blocks,
                           x.sum + k * blocks);
        }
    }
}

/* Columns [c0, c1) of the output for pairs [k0, k1) of a group: few enough for the tile. */
static void down_tile(const struct ffn_job *j,
                      const struct group *g,
                      int i_thread,
                      const int pair[2],
                      const int col[2])
{
    struct device *d = j->d;
    const struct act x = inner_of(d, g);
    const int width = col[1] - col[0];
    float *tile = d->threads[i_thread].tile;
    const struct product p = {.w = g->down,
                              .m = g->mat,
                              .r0 = col[0],
                              .r1 = col[1],
                              .x = &x,
                              .rows = d->counting + pair[0],
                              .n_x = pair[1] - pair[0],
                              .out = tile,
                              .stride = (size_t)width};
    device_product(d, i_thread, &p);
    for (int i = pair[0]; i < pair[1]; i++, tile += width) {
        float *out = j->out + (size_t)d->pair_row[g->first + i] * (size_t)j->n + col[0];
        d->k->add_scaled(out, tile, d->pair_share[g->first + i], width);
    }
}

/* Narrow tiles of all pairs rather than wide ones of few: weights are unpacked once
 * per tile. */
static void down_group(const struct ffn_job *j,
                       const struct group *g,
                       int i_thread,
                       int c0,
                       int c1)
{
    const int width = QA_MAX(TILE_FLOATS / g->n_pairs, 32);
    for (int c = c0; c < c1; c += width) {
        const int col[2] = {c, QA_MIN(c + width, c1)};
        const int n = QA_MAX(TILE_FLOATS / (col[1] - col[0]), 1);
        for (int k = 0; k < g->n_pairs; k += n) {
            const int pair[2] = {k, QA_MIN(k + n, g->n_pairs)};
            down_tile(j, g, i_thread, pair, col);
        }
    }
}

static void down_part(void *ctx, int i_thread, int n_threads)
{
    const struct ffn_job *j = ctx;
    int64_t from, to;
    pool_share(j->n, 4, i_thread, n_threads, &from, &to);
    if (from >= to) return;
    if (j->is_plain) {
        const struct group *g = j->groups;
        const struct act x = inner_of(j->d, g);
        const struct product p = {.w = g->down,
                                  .r0 = (int)from,
                                  .r1 = (int)to,
                                  .x = &x,
                                  .rows = j->d->counting,
                                  .n_x = g->n_pairs,
                                  .out = j->out + from,
                                  .stride = (size_t)j->n};
        device_product(j->d, i_thread, &p);
        return;
    }
    for (size_t t = 0; t < (size_t)j->n_rows; t++) {
        memset(j->out + t * (size_t)j->n + from, 0, (size_t)(to - from) * sizeof *j->out);
    }
    for (int i = 0; i < j->n_groups; i++)
        down_group(j, &j->groups[i], i_thread, (int)from, (int)to);
}

static void ffn_run(struct ffn_job *j, const float *x)
{
    struct device *d = j->d;
    int64_t macs = 0, n_inner = 0;
    bool is_x_8bit = false, is_inner_8bit = false;
    for (int i = 0; i < j->n_groups; i++) {
        const struct group *g = &j->groups[i];
        j->cost += group_cost(g) * g->gate->rows;
        n_inner += (int64_t)g->n_pairs * g->gate->rows;
        is_x_8bit |= device_is_8bit(d, g->gate) || device_is_8bit(d, g->up);
        is_inner_8bit |= device_is_8bit(d, g->down);
    }
    macs = n_inner * j->groups[0].gate->cols;
    d->act.x = x;
    d->act.cols = j->groups[0].gate->cols;
    if (is_x_8bit) device_quantise(d, &d->act, x, j->n_rows, d->act.cols);
    device_run(d, gate_up_part, j, 2 * macs);
    if (is_inner_8bit) device_run(d, inner_part, j, n_inner);
    device_run(d, down_part, j, macs);
}

void cpu_ffn(struct device *d, const struct ffn_args *a)
{
    d->groups[0] = (struct group){a->gate, a->up, a->down, 0, 0, a->n_rows};
    for (int t = 0; t < a->n_rows; t++)
        d->pair_row[t] = t;
    struct ffn_job j = {.d = d,
                        .groups = d->groups,
                        .n_groups = 1,
                        .out = a->out,
                        .n_rows = a->n_rows,
                        .n = a->down->rows,
                        .is_plain = true};
    ffn_run(&j, a->x);
}

/* Sort the (row, expert) pairs by expert, rows in order; one group per chosen expert. */
static int group_pairs(struct device *d, const struct experts_args *a)
{
    const int n_pairs = a->n_rows * a->n_used, n_experts = a->gate->n_mats;
    int n_groups = 0, at = 0;

    memset(d->cursor, 0, (size_t)n_experts * sizeof *d->cursor);
    for (int i = 0; i < n_pairs; i++)
        d->cursor[a->ids[i]]++;
    for (int e = 0; e < n_experts; e++) {
        const int n = d->cursor[e];
        if (n) d->groups[n_groups++] = (struct group){a->gate, a->up, a->down, e, at, n};
        d->cursor[e] = at;
        at += n;
    }
    for (int i = 0; i < n_pairs; i++) {
        const int to = d->cursor[a->ids[i]]++;
        d->pair_row[to] = i / a->n_used;
        d->pair_share[to] = a->share[i];
    }
    if (!a->sh_gate) return n_groups;
    d->groups[n_groups++] =
        (struct group){a->sh_gate, a->sh_up, a->sh_down, 0, n_pairs, a->n_rows};
    for (int t = 0; t < a->n_rows; t++) {
        d->pair_row[n_pairs + t] = t;
        d->pair_share[n_pairs + t] = a->shared_share[t];
    }
    return n_groups;
}

void cpu_experts(struct device *d, const struct experts_args *a)
{
    struct ffn_job j = {.d = d,
                        .groups = d->groups,
                        .n_groups = group_pairs(d, a),
                        .out = a->out,
                        .n_rows = a->n_rows,
                        .n = a->down->rows};
    ffn_run(&j, a->x);
}

/* ---- router -------------------------------------------------------------- */

struct route_job {
    struct device *d;
    const struct route_args *a;
};

/* Always in floats: a router decides, and near a tie rounding would decide for it. */
static void router_part(void *ctx, int i_thread, int n_threads)
{
    const struct route_job *j = ctx;
    const struct weight *w = j->a->router;
    int64_t from, to;
    pool_share(w->rows, 1, i_thread, n_threads, &from, &to);
    const struct product p = {.w = w,
                              .r0 = (int)from,
                              .r1 = (int)to,
                              .x = &j->d->act,
                              .rows = j->d->counting,
                              .n_x = j->a->n_rows,
                              .out = j->d->logits + from,
                              .stride = (size_t)w->rows,
                              .is_exact = true};
    device_product(j->d, i_thread, &p);
}

static void choose_row(const struct route_job *j, int t)
{
    const struct route_args *a = j->a;
    const struct kernels *k = j->d->k;
    const int n = a->router->rows;
    float *p = j->d->logits + (size_t)t * (size_t)n, sum = 0;
    int32_t *ids = a->ids + (size_t)t * (size_t)a->n_used;
    float *share = a->share + (size_t)t * (size_t)a->n_used;

    /* Softmax keeps the order, so the choice is made on the logits; the sum over all
     * experts cancels when the shares are divided by the sum of the chosen. */
    for (int u = 0; u < a->n_used; u++) {
        ids[u] = k->arg_max(p, n);
        share[u] = p[ids[u]];
        p[ids[u]] = -INFINITY;
    }
    const float most = share[0];
    for (int u = 0; u < a->n_used; u++)
        sum += share[u] = expf(share[u] - most);
    for (int u = 0; u < a->n_used; u++)
        share[u] /= sum;
}

static void choose_part(void *ctx, int i_thread, int n_threads)
{
    const struct route_job *j = ctx;
    const struct route_args *a = j->a;
    int64_t from, to;
    pool_share(a->n_rows, 1, i_thread, n_threads, &from, &to);
    for (int64_t t = from; t < to; t++)
        choose_row(j, (int)t);
    if (!a->shared || from >= to) return;

    const int cols = a->router->cols;
    const struct weight shared = {.type = QUANT_F32,
                                  .rows = 1,
                                  .cols = cols,
                                  .n_mats = 1,
                                  .row_bytes = (size_t)cols * sizeof(float),
                                  .data = (const uint8_t *)a->shared};
    const struct product p = {.w = &shared,
                              .r1 = 1,
                              .x = &j->d->act,
                              .rows = j->d->counting + from,
                              .n_x = (int)(to - from),
                              .out = a->shared_share + from,
                              .stride = 1,
                              .is_exact = true};
    device_product(j->d, i_thread, &p);
    for (int64_t t = from; t < to; t++)
        a->shared_share[t] = 1.0f / (1.0f + expf(-a->shared_share[t]));
}

void cpu_route(struct device *d, const struct route_args *a)
{
    struct route_job j = {d, a};
    d->act.x = a->x;
    d->act.cols = a->router->cols;
    device_run(d, router_part, &j, (int64_t)a->n_rows * a->router->rows * a->router->cols);
    device_run(d, choose_part, &j,
               a->n_rows > 1 ? (int64_t)a->n_rows * a->router->rows * a->n_used : 0);
}
