/* trace.c - a backend around a backend. */
#include "engine/trace.h"

#include "engine/base/clock.h"
#include "engine/hash.h"
#include "engine/kv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Room for what ref computes beside the wrapped backend; grown as needed. */
struct room {
    float *p;
    size_t cap;
};
enum { N_ROOMS = 6 };

struct device {
    struct ops table; /* what forward.c calls */
    const struct ops *ops;
    struct device *dev; /* wrapped, owned */
    const struct ops *ref_ops;
    struct device *ref; /* NULL: only counting; owned */
    struct room room[N_ROOMS];
    bool is_out_of_memory; /* some call could not be checked */
    struct verb_stats stats[VERB_COUNT];
    struct engine_tracer tracer;
};

const char *verb_name(enum verb v)
{
    static const char *const NAMES[] = {
        [VERB_EMBED] = "embed",
        [VERB_NORM] = "norm",
        [VERB_MATMUL] = "matmul",
        [VERB_QK_PREP] = "qk_prep",
        [VERB_ATTN] = "attn",
        [VERB_CONV] = "conv",
        [VERB_DELTA_PREP] = "delta_prep",
        [VERB_DELTA] = "delta",
        [VERB_NORM_GATE] = "norm_gate",
        [VERB_FFN] = "ffn",
        [VERB_ROUTE] = "route",
        [VERB_EXPERTS] = "experts",
        [VERB_MTP_JOIN] = "mtp_join",
        [VERB_PICK] = "pick",
    };
    _Static_assert(COUNT(NAMES) == VERB_COUNT, "a verb has no name");
    return (unsigned)v < VERB_COUNT ? NAMES[v] : "?";
}

/* ---- counting -------------------------------------------------------------- */

struct work {
    double bytes, macs;
};

static void account(struct device *d, enum verb v, double start_s, struct work w)
{
    d->ops->sync(d->dev);
    struct verb_stats *s = &d->stats[v];
    s->seconds += clock_now_s() - start_s;
    s->n_calls++;
    s->bytes += w.bytes;
    s->macs += w.macs;
}

static double floats(int n_rows, double n)
{
    return 4.0 * n_rows * n;
}

static struct work weight_work(const struct weight *w, int n_rows)
{
    return (struct work){(double)w->rows * (double)w->row_bytes,
                         (double)n_rows * w->rows * w->cols};
}

static struct work add(struct work a, struct work b)
{
    return (struct work){a.bytes + b.bytes, a.macs + b.macs};
}

static struct work matmul_work(const struct matmul_args *a)
{
    struct work w = {floats(a->n_rows, a->w[0]->cols), 0};
    for (int i = 0; i < a->n_out; i++) {
        w = add(w, weight_work(a->w[i], a->n_rows));
        w.bytes += floats(a->n_rows, a->w[i]->rows);
    }
    return w;
}

static struct work net_work(const struct weight *gate,
                            const struct weight *up,
                            const struct weight *down,
                            int n_rows)
{
    return add(add(weight_work(gate, n_rows), weight_work(up, n_rows)),
               weight_work(down, n_rows));
}

static struct work experts_work(const struct experts_args *a)
{
    const int n_pairs = a->n_rows * a->n_used;
    int n_chosen = 0; /* different ones: each is read once */
    for (int i = 0; i < n_pairs; i++) {
        int k = 0;
        while (k < i && a->ids[k] != a->ids[i])
            k++;
        n_chosen += k == i;
        if (n_chosen == a->gate->n_mats) break;
    }
    struct work w = net_work(a->gate, a->up, a->down, n_pairs);
    w.bytes *= n_chosen;
    if (a->sh_gate) w = add(w, net_work(a->sh_gate, a->sh_up, a->sh_down, a->n_rows));
    w.bytes += floats(a->n_rows, 2.0 * a->gate->cols);
    return w;
}

static struct work attn_work(const struct attn_args *a)
{
    /* As if all were read compressed: the f16 pages at both ends are few. */
    const double per_token =
        (double)(kv_row_bytes(a->type_k, a->dim) + kv_row_bytes(a->type_v, a->dim)) * a->n_kv;
    struct work w = {0, 0};
    for (int i = 0; i < a->spans.n; i++) {
        const struct span *s = &a->spans.p[i];
        const double n_ctx = (double)(s->pos + s->n_rows - a->first);
        const double mean_ctx = (double)(s->pos - a->first) + 0.5 * (s->n_rows + 1);
        w.bytes += n_ctx * per_token + floats(s->n_rows, 3.0 * a->n_heads * a->dim);
        w.macs += 2.0 * s->n_rows * mean_ctx * a->n_heads * a->dim;
    }
    return w;
}

static double delta_floats(const struct delta_args *a)
{
    return (double)a->n_v * a->dim * a->dim;
}

static struct work delta_work(const struct delta_args *a)
{
    const double n_state = delta_floats(a), n_row = (2.0 * a->n_k + 2.0 * a->n_v) * a->dim;
    struct work w = {0, 0};
    for (int i = 0; i < a->spans.n; i++) {
        const struct span *s = &a->spans.p[i];
        w.bytes += (s->is_trial ? 4 : 8) * n_state + floats(s->n_rows, n_row);
        w.macs += 3 * n_state * s->n_rows;
    }
    return w;
}

static int rows_of(struct spans s)
{
    return s.n ? s.p[s.n - 1].row + s.p[s.n - 1].n_rows : 0;
}

/* ---- ref beside it ---------------------------------------------------------- */

/* n floats in room i, filled from `from` when given; NULL: no memory. */
static float *room_take(struct device *d, int i, size_t n, const float *from)
{
    struct room *r = &d->room[i];
    if (n > r->cap) {
        float *p = realloc(r->p, n * sizeof *p);
        if (!p) {
            d->is_out_of_memory = true;
            return NULL;
        }
        r->p = p;
        r->cap = n;
    }
    if (from && n) memcpy(r->p, from, n * sizeof *from);
    return r->p;
}

/* Relative error of a whole output; what is not a number is infinitely wrong. */
static void compare(struct device *d,
                    enum verb v,
                    const float *got,
                    const float *want,
                    size_t n)
{
    double wrong = 0, right = 0;
    for (size_t i = 0; i < n; i++) {
        const double diff = (double)got[i] - (double)want[i];
        wrong += diff * diff;
        right += (double)want[i] * (double)want[i];
    }
    double error = wrong == 0 ? 0 : sqrt(wrong / QA_MAX(right, 1e-30));
    if (isnan(error)) error = INFINITY;
    struct verb_stats *s = &d->stats[v];
    s->n_checked++;
    if (error <= s->worst && s->n_checked > 1) return;
    s->worst = error;
    s->i_worst = s->n_calls - 1;
}

/* ---- what came out ---------------------------------------------------------- */

static void tell_sum(const struct device *d,
                     enum verb v,
                     int i_output,
                     const void *p,
                     size_t n,
                     double squares)
{
    struct hash h = {0};
    hash_add(&h, p, 4 * n);
    const struct verb_output o = {.verb = v,
                                  .i_call = d->stats[v].n_calls - 1,
                                  .i_output = i_output,
                                  .n = n,
                                  .sum = hash_value(&h),
                                  .rms = sqrt(squares / (double)QA_MAX(n, (size_t)1))};
    d->tracer.output(d->tracer.ctx, &o);
}

static void tell(const struct device *d, enum verb v, int i_output, const float *p, size_t n)
{
    double squares = 0;
    if (!d->tracer.output) return;
    for (size_t i = 0; i < n; i++)
        squares += (double)p[i] * (double)p[i];
    tell_sum(d, v, i_output, p, n, squares);
}

static void tell_ids(const struct device *d, enum verb v, int i, const int32_t *p, size_t n)
{
    double squares = 0;
    if (!d->tracer.output) return;
    for (size_t k = 0; k < n; k++)
        squares += (double)p[k] * (double)p[k];
    tell_sum(d, v, i, p, n, squares);
}

/* The state of every span, behind the output of its rows. */
static void tell_states(const struct device *d,
                        enum verb v,
                        struct spans s,
                        size_t offset,
                        size_t n)
{
    for (int i = 0; i < s.n; i++)
        tell(d, v, 1 + i, s.p[i].state + offset, n);
}

/* ---- the verbs ----------------------------------------------------------------- */

/* A verb that writes `out` [n] and changes nothing else. */
#define SIMPLE(d, a, verb, VERB, n_out, out_field, work_of)              \
    do {                                                                 \
        const size_t n_values = (size_t)(n_out);                         \
        float *want = (d)->ref ? room_take(d, 0, n_values, NULL) : NULL; \
        if (want) {                                                      \
            struct verb##_args b = *(a);                                 \
            b.out_field = want;                                          \
            (d)->ref_ops->verb((d)->ref, &b);                            \
        }                                                                \
        const double start_s = clock_now_s();                            \
        (d)->ops->verb((d)->dev, a);                                     \
        account(d, VERB, start_s, work_of);                              \
        tell(d, VERB, 0, (a)->out_field, n_values);                      \
        if (want) compare(d, VERB, (a)->out_field, want, n_values);      \
    } while (0)

static void t_embed(struct device *d, const struct embed_args *a)
{
    const double bytes = (double)a->n_rows * (double)a->table->row_bytes;
    const struct work w = {bytes + floats(a->n_rows, a->table->cols), 0};
    SIMPLE(d, a, embed, VERB_EMBED, (size_t)a->n_rows * (size_t)a->table->cols, out, w);
}

static void t_norm(struct device *d, const struct norm_args *a)
{
    const size_t n = (size_t)a->n_rows * (size_t)a->n;
    const struct work w = {floats(a->n_rows, (a->add ? 4.0 : 2.0) * a->n), 0};
    float *x = d->ref ? room_take(d, 1, n, a->x) : NULL;
    float *out = d->ref ? room_take(d, 0, n, NULL) : NULL;
    if (x && out) {
        struct norm_args b = *a;
        b.x = x;
        b.out = a->out == a->x ? x : out;
        d->ref_ops->norm(d->ref, &b);
        out = b.out;
    }
    const double start_s = clock_now_s();
    d->ops->norm(d->dev, a);
    account(d, VERB_NORM, start_s, w);
    tell(d, VERB_NORM, 0, a->out, n);
    if (a->add && a->out != a->x) tell(d, VERB_NORM, 1, a->x, n);
    if (x && out) compare(d, VERB_NORM, a->out, out, n);
    if (x && out && a->add && out != x) compare(d, VERB_NORM, a->x, x, n);
}

static void t_matmul(struct device *d, const struct matmul_args *a)
{
    struct matmul_args b = *a;
    bool is_checked = d->ref != NULL;
    for (int i = 0; i < a->n_out && is_checked; i++) {
        b.out[i] = room_take(d, i, (size_t)a->n_rows * (size_t)a->w[i]->rows, NULL);
        is_checked = b.out[i] != NULL;
    }
    if (is_checked) d->ref_ops->matmul(d->ref, &b);
    const double start_s = clock_now_s();
    d->ops->matmul(d->dev, a);
    account(d, VERB_MATMUL, start_s, matmul_work(a));
    for (int i = 0; i < a->n_out; i++)
        tell(d, VERB_MATMUL, i, a->out[i], (size_t)a->n_rows * (size_t)a->w[i]->rows);
    for (int i = 0; i < a->n_out && is_checked; i++)
        compare(d, VERB_MATMUL, a->out[i], b.out[i], (size_t)a->n_rows * (size_t)a->w[i]->rows);
}

static void t_qk_prep(struct device *d, const struct qk_prep_args *a)
{
    const int n_rows = rows_of(a->spans);
    const size_t n_q = (size_t)n_rows * (size_t)(2 * a->n_heads * a->dim);
    const size_t n_k = (size_t)n_rows * (size_t)(a->n_kv * a->dim);
    const struct work w = {floats(n_rows, 2.0 * (a->n_heads + a->n_kv) * a->dim), 0};
    struct qk_prep_args b = *a;
    b.qg = d->ref ? room_take(d, 0, n_q, a->qg) : NULL;
    b.k = d->ref ? room_take(d, 1, n_k, a->k) : NULL;
    const bool is_checked = b.qg && b.k;
    if (is_checked) d->ref_ops->qk_prep(d->ref, &b);
    const double start_s = clock_now_s();
    d->ops->qk_prep(d->dev, a);
    account(d, VERB_QK_PREP, start_s, w);
    tell(d, VERB_QK_PREP, 0, a->qg, n_q);
    tell(d, VERB_QK_PREP, 1, a->k, n_k);
    if (!is_checked) return;
    compare(d, VERB_QK_PREP, a->qg, b.qg, n_q);
    compare(d, VERB_QK_PREP, a->k, b.k, n_k);
}

/* ref stores its keys and values first, then the wrapped backend stores its own over them. */
static void t_attn(struct device *d, const struct attn_args *a)
{
    const size_t n = (size_t)rows_of(a->spans) * (size_t)(a->n_heads * a->dim);
    SIMPLE(d, a, attn, VERB_ATTN, n, out, attn_work(a));
}

/* Copies of the spans whose state is `n` floats at `offset`, copied too; NULL: no memory. */
static struct span *copy_spans(struct device *d, struct spans s, size_t offset, size_t n)
{
    struct span *copy = malloc((size_t)s.n * sizeof *copy);
    float *state = room_take(d, 1, (size_t)s.n * n, NULL);
    if (!copy || !state) {
        d->is_out_of_memory = true;
        free(copy);
        return NULL;
    }
    for (int i = 0; i < s.n; i++) {
        copy[i] = s.p[i];
        copy[i].state = state + (size_t)i * n;
        memcpy(copy[i].state, s.p[i].state + offset, n * sizeof *state);
    }
    return copy;
}

static void compare_states(struct device *d,
                           enum verb v,
                           struct spans got,
                           const struct span *want,
                           size_t offset,
                           size_t n)
{
    for (int i = 0; i < got.n; i++)
        compare(d, v, got.p[i].state + offset, want[i].state, n);
}

static void t_conv(struct device *d, const struct conv_args *a)
{
    const int n_rows = rows_of(a->spans);
    const size_t n_tail = (size_t)(a->n_taps - 1) * (size_t)a->n_channels;
    const size_t n = a->out ? (size_t)n_rows * (size_t)a->n_channels : 0;
    const struct work w = {floats(n_rows, 2.0 * a->n_channels) +
                               floats(a->spans.n, 2.0 * (double)n_tail),
                           (double)n_rows * a->n_channels * a->n_taps};
    struct span *spans = d->ref ? copy_spans(d, a->spans, a->tail_offset, n_tail) : NULL;
    float *out = spans ? room_take(d, 0, n + 1, NULL) : NULL;
    if (out) {
        struct conv_args b = *a;
        b.out = a->out ? out : NULL;
        b.spans.p = spans;
        b.tail_offset = 0;
        d->ref_ops->conv(d->ref, &b);
    }
    const double start_s = clock_now_s();
    d->ops->conv(d->dev, a);
    account(d, VERB_CONV, start_s, w);
    if (a->out) tell(d, VERB_CONV, 0, a->out, n);
    tell_states(d, VERB_CONV, a->spans, a->tail_offset, n_tail);
    if (out) {
        if (a->out) compare(d, VERB_CONV, a->out, out, n);
        compare_states(d, VERB_CONV, a->spans, spans, a->tail_offset, n_tail);
    }
    free(spans);
}

static void t_delta_prep(struct device *d, const struct delta_prep_args *a)
{
    const int width = (2 * a->n_k + a->n_v) * a->dim;
    const size_t n = (size_t)a->n_rows * (size_t)width,
                 n_heads = (size_t)a->n_rows * (size_t)a->n_v;
    const struct work w = {floats(a->n_rows, 4.0 * a->n_k * a->dim + 4.0 * a->n_v), 0};
    struct delta_prep_args b = *a;
    b.qkv = d->ref ? room_take(d, 0, n, a->qkv) : NULL;
    b.decay = d->ref ? room_take(d, 1, n_heads, a->decay) : NULL;
    b.beta = d->ref ? room_take(d, 2, n_heads, a->beta) : NULL;
    const bool is_checked = b.qkv && b.decay && b.beta;
    if (is_checked) d->ref_ops->delta_prep(d->ref, &b);
    const double start_s = clock_now_s();
    d->ops->delta_prep(d->dev, a);
    account(d, VERB_DELTA_PREP, start_s, w);
    tell(d, VERB_DELTA_PREP, 0, a->qkv, n);
    tell(d, VERB_DELTA_PREP, 1, a->decay, n_heads);
    tell(d, VERB_DELTA_PREP, 2, a->beta, n_heads);
    if (!is_checked) return;
    compare(d, VERB_DELTA_PREP, a->qkv, b.qkv, n);
    compare(d, VERB_DELTA_PREP, a->decay, b.decay, n_heads);
    compare(d, VERB_DELTA_PREP, a->beta, b.beta, n_heads);
}

static void t_delta(struct device *d, const struct delta_args *a)
{
    const size_t n_state = (size_t)delta_floats(a);
    const size_t n = a->out ? (size_t)rows_of(a->spans) * (size_t)(a->n_v * a->dim) : 0;
    struct span *spans = d->ref ? copy_spans(d, a->spans, a->state_offset, n_state) : NULL;
    float *out = spans ? room_take(d, 0, n + 1, NULL) : NULL;
    if (out) {
        struct delta_args b = *a;
        b.out = a->out ? out : NULL;
        b.spans.p = spans;
        b.state_offset = 0;
        d->ref_ops->delta(d->ref, &b);
    }
    const double start_s = clock_now_s();
    d->ops->delta(d->dev, a);
    account(d, VERB_DELTA, start_s, delta_work(a));
    if (a->out) tell(d, VERB_DELTA, 0, a->out, n);
    tell_states(d, VERB_DELTA, a->spans, a->state_offset, n_state);
    if (out) {
        if (a->out) compare(d, VERB_DELTA, a->out, out, n);
        compare_states(d, VERB_DELTA, a->spans, spans, a->state_offset, n_state);
    }
    free(spans);
}

static void t_norm_gate(struct device *d, const struct norm_gate_args *a)
{
    const size_t n = (size_t)a->n_rows * (size_t)(a->n_heads * a->dim);
    const struct work w = {floats(a->n_rows, 3.0 * a->n_heads * a->dim), 0};
    struct norm_gate_args b = *a;
    b.x = d->ref ? room_take(d, 0, n, a->x) : NULL;
    if (b.x) d->ref_ops->norm_gate(d->ref, &b);
    const double start_s = clock_now_s();
    d->ops->norm_gate(d->dev, a);
    account(d, VERB_NORM_GATE, start_s, w);
    tell(d, VERB_NORM_GATE, 0, a->x, n);
    if (b.x) compare(d, VERB_NORM_GATE, a->x, b.x, n);
}

static void t_ffn(struct device *d, const struct ffn_args *a)
{
    const struct work w = add(net_work(a->gate, a->up, a->down, a->n_rows),
                              (struct work){floats(a->n_rows, 2.0 * a->gate->cols), 0});
    SIMPLE(d, a, ffn, VERB_FFN, (size_t)a->n_rows * (size_t)a->down->rows, out, w);
}

/* Choices are compared as rows over all experts: who was chosen, with which share. */
static void compare_routes(struct device *d,
                           const struct route_args *got,
                           const struct route_args *want)
{
    const size_t n = (size_t)got->n_rows * (size_t)got->router->rows;
    float *x = room_take(d, 3, n, NULL), *y = room_take(d, 4, n, NULL);
    if (!x || !y) return;
    memset(x, 0, n * sizeof *x);
    memset(y, 0, n * sizeof *y);
    for (int i = 0; i < got->n_rows * got->n_used; i++) {
        const size_t row = (size_t)(i / got->n_used) * (size_t)got->router->rows;
        x[row + (size_t)got->ids[i]] = got->share[i];
        y[row + (size_t)want->ids[i]] = want->share[i];
    }
    compare(d, VERB_ROUTE, x, y, n);
    if (got->shared)
        compare(d, VERB_ROUTE, got->shared_share, want->shared_share, (size_t)got->n_rows);
}

static void t_route(struct device *d, const struct route_args *a)
{
    const size_t n = (size_t)(a->n_rows * a->n_used);
    struct route_args b = *a;
    b.ids = d->ref ? (int32_t *)(void *)room_take(d, 0, n, NULL) : NULL;
    b.share = d->ref ? room_take(d, 1, n, NULL) : NULL;
    b.shared_share = d->ref ? room_take(d, 2, (size_t)a->n_rows, NULL) : NULL;
    const bool is_checked = b.ids && b.share && b.shared_share;
    if (is_checked) d->ref_ops->route(d->ref, &b);
    const double start_s = clock_now_s();
    d->ops->route(d->dev, a);
    account(d, VERB_ROUTE, start_s, weight_work(a->router, a->n_rows));
    tell_ids(d, VERB_ROUTE, 0, a->ids, n);
    tell(d, VERB_ROUTE, 1, a->share, n);
    if (a->shared) tell(d, VERB_ROUTE, 2, a->shared_share, (size_t)a->n_rows);
    if (is_checked) compare_routes(d, a, &b);
}

static void t_experts(struct device *d, const struct experts_args *a)
{
    SIMPLE(d, a, experts, VERB_EXPERTS, (size_t)a->n_rows * (size_t)a->down->rows, out,
           experts_work(a));
}

static void t_mtp_join(struct device *d, const struct mtp_join_args *a)
{
    const struct work w = {floats(a->n_rows, 4.0 * a->n), 0};
    SIMPLE(d, a, mtp_join, VERB_MTP_JOIN, (size_t)a->n_rows * 2 * (size_t)a->n, out, w);
}

static void t_pick(struct device *d, const struct pick_args *a)
{
    const double start_s = clock_now_s();
    d->ops->pick(d->dev, a);
    account(d, VERB_PICK, start_s, (struct work){floats(a->n_rows, a->n), 0});
    tell_ids(d, VERB_PICK, 0, a->ids, (size_t)a->n_rows);
}

/* ---- memory: passed on -------------------------------------------------------- */

static enum status t_reserve(struct device *d, const struct device_needs *n, struct err *e)
{
    if (d->ref) {
        const enum status st = d->ref_ops->reserve(d->ref, n, e);
        if (st) return st;
    }
    return d->ops->reserve(d->dev, n, e);
}

static void *t_alloc(struct device *d, size_t n_bytes)
{
    return d->ops->alloc(d->dev, n_bytes);
}

static void t_release(struct device *d, void *p)
{
    d->ops->release(d->dev, p);
}

static enum status t_prepare(struct device *d, struct weight *w, struct err *e)
{
    return d->ops->prepare(d->dev, w, e);
}

static void t_forget(struct device *d, struct weight *w)
{
    d->ops->forget(d->dev, w);
}

static void t_copy(struct device *d, void *to, const void *from, size_t n_bytes)
{
    d->ops->copy(d->dev, to, from, n_bytes);
}

static void t_zero(struct device *d, void *p, size_t n_bytes)
{
    d->ops->zero(d->dev, p, n_bytes);
}

static void t_sync(struct device *d)
{
    d->ops->sync(d->dev);
}

static void t_close(struct device *d)
{
    if (!d) return;
    d->ops->close(d->dev);
    if (d->ref) d->ref_ops->close(d->ref);
    for (int i = 0; i < N_ROOMS; i++)
        free(d->room[i].p);
    free(d);
}

static const struct ops TABLE = {
    .close = t_close,
    .reserve = t_reserve,
    .alloc = t_alloc,
    .release = t_release,
    .prepare = t_prepare,
    .forget = t_forget,
    .copy = t_copy,
    .zero = t_zero,
    .sync = t_sync,
    .embed = t_embed,
    .norm = t_norm,
    .matmul = t_matmul,
    .qk_prep = t_qk_prep,
    .attn = t_attn,
    .conv = t_conv,
    .delta_prep = t_delta_prep,
    .delta = t_delta,
    .norm_gate = t_norm_gate,
    .ffn = t_ffn,
    .route = t_route,
    .experts = t_experts,
    .mtp_join = t_mtp_join,
    .pick = t_pick,
};

enum status trace_wrap(const struct ops **ops,
                       struct device **dev,
                       bool is_check,
                       struct engine_tracer tracer,
                       struct err *e)
{
    struct device *d = calloc(1, sizeof *d);
    if (!d) return err_set(e, QA_E_NOMEM, "no memory to trace the verbs");
    if (is_check) {
        d->ref_ops = ref_ops();
        const enum status st = d->ref_ops->open(&d->ref, &(struct device_opts){1}, e);
        if (st) {
            free(d);
            return st;
        }
    }
    d->ops = *ops;
    d->dev = *dev;
    d->tracer = tracer;
    d->table = TABLE;
    d->table.name = d->ops->name;
    d->table.max_threads = d->ops->max_threads;
    *ops = &d->table;
    *dev = d;
    return QA_OK;
}

struct verb_stats trace_stats(const struct device *dev, enum verb v)
{
    return dev->stats[v];
}

void trace_reset(struct device *dev)
{
    memset(dev->stats, 0, sizeof dev->stats);
}
