/* The CPU backend, verb by verb, against the definition in ref; and its promise that
 * neither the number of threads nor the company in a step changes a bit. */
#include "engine/kv.h"
#include "tests/engine/cpu_rig.h"

/* ---- matmul -------------------------------------------------------------- */

static void check_matmul(struct rig *r,
                         uint32_t type,
                         int n_rows,
                         int rows,
                         int cols,
                         double tol)
{
    const struct weight w = weight_of(r, type, rows, cols, 1);
    const struct weight small = weight_of(r, QUANT_F32, 5, cols, 1);
    const size_t n = (size_t)n_rows * (size_t)rows, n_small = (size_t)n_rows * 5;
    float *x = floats(r, (size_t)n_rows * (size_t)cols, 1), *out[3], *out_small[3];
    char what[100];

    for (int i = 0; i < 3; i++) {
        out[i] = floats(r, n, 1);
        out_small[i] = floats(r, n_small, 1);
        const struct matmul_args a = {
            .out = {out[i], out_small[i]},
            .w = {&w,     &small      },
            .n_out = 2,
            .x = x,
            .n_rows = n_rows
        };
        r->ops[i]->matmul(r->dev[i], &a);
    }
    snprintf(what, sizeof what, "%s, %d rows of x, %d x %d", quant_find(type)->name, n_rows,
             rows, cols);
    expect_near(what, out[1], out[0], n, tol);
    expect_near(what, out_small[1], out_small[0], n_small, TOL_F32_SUM);
    expect_same(what, out[2], out[1], n);

    /* The last row on its own gets the same bits. */
    const struct matmul_args alone = {
        .out = {out[0], out_small[0]},
        .w = {&w,     &small      },
        .n_out = 2,
        .x = x + (size_t)(n_rows - 1) * (size_t)cols,
        .n_rows = 1
    };
    r->ops[1]->matmul(r->dev[1], &alone);
    expect_same(what, out[0], out[1] + (size_t)(n_rows - 1) * (size_t)rows, (size_t)rows);

    for (int i = 0; i < 3; i++)
        drop(r, out[i]), drop(r, out_small[i]);
    drop(r, x);
    drop(r, w.data);
    drop(r, small.data);
}

static void matmul_agrees_with_ref_in_every_format(void **fixture)
{
    struct rig *r = *fixture;
    static const int ROWS[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17, MAX_ROWS};
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        for (size_t t = 0; t < COUNT(TYPES_8BIT); t++)
            check_matmul(r, TYPES_8BIT[t], ROWS[i], 67, 1024, TOL_8BIT);
        for (size_t t = 0; t < COUNT(TYPES_FLOAT); t++)
            check_matmul(r, TYPES_FLOAT[t], ROWS[i], 67, 1024, TOL_F32_SUM);
        for (size_t t = 0; t < COUNT(TYPES_OTHER); t++)
            check_matmul(r, TYPES_OTHER[t], ROWS[i], 35, 512, TOL_F32_SUM);
    }
    check_matmul(r, QUANT_Q8_0, 9, 10, 32, TOL_8BIT); /* less than a piece of 256 */
    check_matmul(r, QUANT_IQ4_NL, 3, 10, 320, TOL_8BIT);
    check_matmul(r, QUANT_F16, 5, 1, 37, TOL_F32_SUM); /* no multiple of anything */
    check_matmul(r, QUANT_Q6_K, 1, 64, 4096, TOL_8BIT);
}

static void embed_copies_the_rows_of_the_table(void **fixture)
{
    struct rig *r = *fixture;
    const struct weight w = weight_of(r, QUANT_Q6_K, 50, 512, 1);
    const int32_t ids[] = {49, 0, 7, 7};
    float *out[2];
    for (int i = 0; i < 2; i++) {
        out[i] = floats(r, 4 * 512, 1);
        const struct embed_args a = {out[i], ids, &w, 4};
        r->ops[i]->embed(r->dev[i], &a);
    }
    expect_same("embed", out[1], out[0], 4 * 512);
    drop(r, out[0]), drop(r, out[1]), drop(r, w.data);
}

static void pick_takes_the_lowest_of_the_largest(void **fixture)
{
    struct rig *r = *fixture;
    enum { N = 1003, T = 6 };
    float *x = floats(r, T * N, 1);
    x[17] = x[900] = 50;               /* a tie                     */
    x[N + 1002] = 60;                  /* the last                  */
    x[2 * N] = NAN, x[2 * N + 3] = 70; /* NaN first, NaN never wins */
    for (int i = 0; i < N; i++)
        x[3 * N + i] = i < 5 ? -INFINITY : -1e30f;
    for (int i = 0; i < N; i++)
        x[4 * N + i] = -INFINITY;
    x[4 * N + 8] = NAN;
    for (int b = 0; b < 3; b++) {
        int32_t ids[T];
        const struct pick_args a = {ids, x, T, N};
        r->ops[b]->pick(r->dev[b], &a);
        r->ops[b]->sync(r->dev[b]);
        assert_int_equal(ids[0], 17);
        assert_int_equal(ids[1], 1002);
        assert_int_equal(ids[2], 3);
        assert_int_equal(ids[3], 5);
        assert_int_equal(ids[4], 0);
        int best = 0;
        for (int i = 0; i < N; i++)
            best = x[5 * N + i] > x[5 * N + best] ? i : best;
        assert_int_equal(ids[5], best);
    }
    drop(r, x);
}

/* ---- norms --------------------------------------------------------------- */

static void norms_agree_with_ref(void **fixture)
{
    struct rig *r = *fixture;
    static const int WIDTHS[] = {2048, 37, 3};
    for (size_t k = 0; k < COUNT(WIDTHS); k++) {
        const int n = WIDTHS[k], T = 33;
        const size_t all = (size_t)T * (size_t)n;
        float *x = floats(r, all, 3), *add = floats(r, all, 1), *w = floats(r, (size_t)n, 1);
        float *out[3], *res[3], *join[3];
        for (int i = 0; i < 3; i++) {
            res[i] = copy_of(r, x, all);
            out[i] = floats(r, all, 1);
            join[i] = floats(r, 2 * all, 1);
            const struct norm_args a = {out[i], res[i], add, w, T, n, 1e-6f};
            r->ops[i]->norm(r->dev[i], &a);
            const struct mtp_join_args j = {join[i], x, add, w, w, T, n, 1e-6f};
            r->ops[i]->mtp_join(r->dev[i], &j);
        }
        expect_near("norm", out[1], out[0], all, TOL_F32);
        expect_same("residual", res[1], res[0], all);
        expect_near("join", join[1], join[0], 2 * all, TOL_F32);
        expect_same("norm with three threads", out[2], out[1], all);
        for (int i = 0; i < 3; i++)
            drop(r, out[i]), drop(r, res[i]), drop(r, join[i]);
        drop(r, x), drop(r, add), drop(r, w);
    }
}

static void norm_gate_agrees_with_ref(void **fixture)
{
    struct rig *r = *fixture;
    enum { T = 9, H = 6, DIM = 128 };
    const size_t n = (size_t)T * H * DIM;
    float *x = floats(r, n, 2), *z = floats(r, n, 8), *w = floats(r, DIM, 1), *out[3];
    z[0] = 200, z[1] = -200; /* past the range of the exponential */
    for (int i = 0; i < 3; i++) {
        out[i] = copy_of(r, x, n);
        const struct norm_gate_args a = {out[i], z, w, T, H, DIM, 1e-6f};
        r->ops[i]->norm_gate(r->dev[i], &a);
    }
    expect_near("norm_gate", out[1], out[0], n, TOL_F32);
    expect_same("norm_gate with three threads", out[2], out[1], n);
    for (int i = 0; i < 3; i++)
        drop(r, out[i]);
    drop(r, x), drop(r, z), drop(r, w);
}

/* ---- feed-forward -------------------------------------------------------- */

static void check_ffn(struct rig *r, uint32_t type, uint32_t down_type, int n_rows, double tol)
{
    enum { E = 256, F = 512 };
    const struct weight gate = weight_of(r, type, F, E, 1), up = weight_of(r, type, F, E, 1);
    const struct weight down = weight_of(r, down_type, E, F, 1);
    const size_t n = (size_t)n_rows * E;
    float *x = floats(r, n, 1), *out[3];
    for (int i = 0; i < 3; i++) {
        out[i] = floats(r, n, 1);
        const struct ffn_args a = {out[i], x, &gate, &up, &down, n_rows};
        r->ops[i]->ffn(r->dev[i], &a);
    }
    expect_near(quant_find(type)->name, out[1], out[0], n, tol);
    expect_same("ffn with three threads", out[2], out[1], n);
    const struct ffn_args alone = {out[0], x + n - E, &gate, &up, &down, 1};
    r->ops[1]->ffn(r->dev[1], &alone);
    expect_same("ffn of one row", out[0], out[1] + n - E, E);
    for (int i = 0; i < 3; i++)
        drop(r, out[i]);
    drop(r, x), drop(r, gate.data), drop(r, up.data), drop(r, down.data);
}

static void ffn_agrees_with_ref(void **fixture)
{
    struct rig *r = *fixture;
    static const int ROWS[] = {1, 4, 11, MAX_ROWS};
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        check_ffn(r, QUANT_Q4_K, QUANT_Q6_K, ROWS[i], TOL_8BIT_FFN);
        check_ffn(r, QUANT_Q8_0, QUANT_F16, ROWS[i], TOL_8BIT_FFN);
        check_ffn(r, QUANT_F16, QUANT_F32, ROWS[i], TOL_F32_SUM);
    }
}

struct moe {
    struct weight gate, up, down, sh_gate, sh_up, sh_down;
};

static void check_experts(struct rig *r,
                          const struct moe *m,
                          int n_rows,
                          bool is_shared,
                          double tol)
{
    const int E = m->gate.cols;
    const size_t n = (size_t)n_rows * (size_t)E;
    float *x = floats(r, n, 1), *out[3];
    float *share = floats(r, (size_t)n_rows * N_USED, 1),
          *shared = floats(r, (size_t)n_rows, 1);
    int32_t ids[MAX_ROWS * N_USED];
    for (int t = 0; t < n_rows; t++) {
        for (int u = 0; u < N_USED; u++) /* distinct, and some experts much in demand */
            ids[t * N_USED + u] =
                u == 0 ? (int)rng_below(&r->rng, 2) : 2 + u * 4 + (int)rng_below(&r->rng, 2);
    }
    struct experts_args a = {.x = x,
                             .ids = ids,
                             .share = share,
                             .shared_share = shared,
                             .gate = &m->gate,
                             .up = &m->up,
                             .down = &m->down,
                             .n_rows = n_rows,
                             .n_used = N_USED};
    if (is_shared) a.sh_gate = &m->sh_gate, a.sh_up = &m->sh_up, a.sh_down = &m->sh_down;
    for (int i = 0; i < 3; i++) {
        a.out = out[i] = floats(r, n, 1);
        r->ops[i]->experts(r->dev[i], &a);
    }
    expect_near("experts", out[1], out[0], n, tol);
    expect_same("experts with three threads", out[2], out[1], n);
    a.out = out[0];
    a.x = x + n - E;
    a.ids = ids + (n_rows - 1) * N_USED;
    a.share = share + (n_rows - 1) * N_USED;
    a.shared_share = shared + n_rows - 1;
    a.n_rows = 1;
    r->ops[1]->experts(r->dev[1], &a);
    expect_same("experts of one row", out[0], out[1] + n - E, (size_t)E);
    for (int i = 0; i < 3; i++)
        drop(r, out[i]);
    drop(r, x), drop(r, share), drop(r, shared);
}

static void experts_agree_with_ref(void **fixture)
{
    struct rig *r = *fixture;
    static const int ROWS[] = {1, 2, 8, 30, MAX_ROWS};
    static const struct {
        uint32_t type, down;
        double tol;
    } KINDS[] = {
        {QUANT_Q4_K, QUANT_Q6_K, TOL_8BIT_FFN},
        {QUANT_F32,  QUANT_F16,  TOL_F32_SUM },
    };
    for (size_t k = 0; k < COUNT(KINDS); k++) {
        /* The shared expert is wider than the others here. */
        const struct moe m = {
            .gate = weight_of(r, KINDS[k].type, 256, 512, N_EXPERTS),
            .up = weight_of(r, KINDS[k].type, 256, 512, N_EXPERTS),
            .down = weight_of(r, KINDS[k].down, 512, 256, N_EXPERTS),
            .sh_gate = weight_of(r, KINDS[k].type, MAX_INNER, 512, 1),
            .sh_up = weight_of(r, KINDS[k].type, MAX_INNER, 512, 1),
            .sh_down = weight_of(r, KINDS[k].down, 512, MAX_INNER, 1),
        };
        for (size_t i = 0; i < COUNT(ROWS); i++) {
            check_experts(r, &m, ROWS[i], true, KINDS[k].tol);
            check_experts(r, &m, ROWS[i], false, KINDS[k].tol);
        }
        drop(r, m.gate.data), drop(r, m.up.data), drop(r, m.down.data);
        drop(r, m.sh_gate.data), drop(r, m.sh_up.data), drop(r, m.sh_down.data);
    }
}

static void route_chooses_what_ref_chooses(void **fixture)
{
    struct rig *r = *fixture;
    enum { E = 512, T = 40 };
    static const uint32_t TYPES[] = {QUANT_F32, QUANT_BF16, QUANT_Q8_0};
    for (size_t k = 0; k < COUNT(TYPES); k++) {
        const struct weight w = weight_of(r, TYPES[k], N_EXPERTS, E, 1);
        float *x = floats(r, (size_t)T * E, 1), *shared = floats(r, E, 0.05f);
        float *share[3], *shared_share[3];
        int32_t ids[3][T * N_USED];
        memset(x, 0, E * sizeof *x); /* all experts equal: the lowest ids */
        for (int i = 0; i < 3; i++) {
            share[i] = floats(r, (size_t)T * N_USED, 1);
            shared_share[i] = floats(r, T, 1);
            const struct route_args a = {.ids = ids[i],
                                         .share = share[i],
                                         .shared_share = shared_share[i],
                                         .x = x,
                                         .router = &w,
                                         .shared = shared,
                                         .n_rows = T,
                                         .n_used = N_USED};
            r->ops[i]->route(r->dev[i], &a);
        }
        assert_memory_equal(ids[1], ids[0], sizeof ids[0]);
        assert_memory_equal(ids[2], ids[0], sizeof ids[0]);
        for (int u = 0; u < N_USED; u++)
            assert_int_equal(ids[1][u], u);
        expect_near("share", share[1], share[0], (size_t)T * N_USED, TOL_F32_SUM);
        expect_near("shared share", shared_share[1], shared_share[0], T, TOL_F32_SUM);
        expect_same("share with three threads", share[2], share[1], (size_t)T * N_USED);
        for (int i = 0; i < 3; i++)
            drop(r, share[i]), drop(r, shared_share[i]);
        drop(r, x), drop(r, shared), drop(r, w.data);
    }
}

/* ---- attention ----------------------------------------------------------- */

enum { PAGE_TOKENS = 48 }; /* not the size that sessions use: it is an argument */

/* Pages of one session, the same content for every backend: kv, and f16 beside it. */
struct cache {
    void **kv, **f16;
    size_t n_pages;
};

struct attn_case {
    int heads, kv, dim;
    int64_t past;
    int n_rows, first;
    enum kv_type type_k, type_v;
};

static size_t side_bytes(const struct attn_case *k, enum kv_type t)
{
    return (size_t)k->kv * PAGE_TOKENS * kv_row_bytes(t, k->dim);
}
static size_t page_bytes(const struct attn_case *k)
{
    return side_bytes(k, k->type_k) + side_bytes(k, k->type_v);
}

static struct cache cache_of(struct rig *r, const struct attn_case *k)
{
    struct cache c = {.n_pages = (size_t)((k->past + k->n_rows) / PAGE_TOKENS + 1)};
    c.kv = malloc(c.n_pages * sizeof *c.kv);
    c.f16 = malloc(c.n_pages * sizeof *c.f16);
    assert_true(c.kv && c.f16);
    for (size_t i = 0; i < c.n_pages; i++) {
        c.kv[i] = r->ops[1]->alloc(r->dev[1], page_bytes(k));
        c.f16[i] = r->ops[1]->alloc(r->dev[1], 2 * side_bytes(k, KV_F16));
        assert_true(c.kv[i] && c.f16[i]);
    }
    return c;
}

static void cache_drop(struct rig *r, struct cache *c)
{
    for (size_t i = 0; i < c->n_pages; i++)
        drop(r, c->kv[i]), drop(r, c->f16[i]);
    free(c->kv);
    free(c->f16);
}

/* n rows of random numbers, as they lie in pages and in f16 pages. */
static void fill_rows(struct rig *r, uint8_t *to, uint8_t *to16, enum kv_type t, int n, int dim)
{
    for (int i = 0; i < n; i++) {
        float x[KV_HEAD_MAX];
        for (int c = 0; c < dim; c++)
            x[c] = normal(&r->rng);
        kv_encode(t, to + (size_t)i * kv_row_bytes(t, dim), x, dim);
        /* Other numbers in the f16 twin: who reads the wrong one is found out. */
        for (int c = 0; c < dim; c++)
            x[c] = normal(&r->rng);
        kv_encode(KV_F16, to16 + (size_t)i * kv_row_bytes(KV_F16, dim), x, dim);
    }
}

static void fill_past(struct rig *r, const struct attn_case *k, const struct cache c[3])
{
    for (size_t i = 0; i < c[0].n_pages; i++) {
        const size_t side = side_bytes(k, k->type_k), side16 = side_bytes(k, KV_F16);
        uint8_t *kv = c[0].kv[i], *f16 = c[0].f16[i];
        fill_rows(r, kv, f16, k->type_k, k->kv * PAGE_TOKENS, k->dim);
        fill_rows(r, kv + side, f16 + side16, k->type_v, k->kv * PAGE_TOKENS, k->dim);
        for (int b = 1; b < 3; b++) {
            memcpy(c[b].kv[i], kv, page_bytes(k));
            memcpy(c[b].f16[i], f16, 2 * side16);
        }
    }
}

static struct span span_of(const struct cache *c, int row, int n_rows, int64_t pos)
{
    return (struct span){
        .row = row, .n_rows = n_rows, .pos = pos, .pages = c->kv, .pages16 = c->f16};
}

static void check_attn(struct rig *r, const struct attn_case *k)
{
    const size_t n_q = (size_t)k->n_rows * (size_t)k->heads * (size_t)k->dim;
    const size_t n_k = (size_t)k->n_rows * (size_t)k->kv * (size_t)k->dim;
    float *qg = floats(r, 2 * n_q, 1), *key = floats(r, n_k, 1), *val = floats(r, n_k, 1);
    struct cache cache[3];
    float *out[3];
    char what[100];
    snprintf(what, sizeof what, "%d rows after %d, %d heads of %d, types %d and %d", k->n_rows,
             (int)k->past, k->heads, k->dim, (int)k->type_k, (int)k->type_v);

    for (int i = 0; i < 3; i++)
        cache[i] = cache_of(r, k);
    fill_past(r, k, cache);
    struct attn_args a = {.qg = qg,
                          .k = key,
                          .v = val,
                          .v_offset = side_bytes(k, k->type_k),
                          .v16_offset = side_bytes(k, KV_F16),
                          .type_k = k->type_k,
                          .type_v = k->type_v,
                          .page_tokens = PAGE_TOKENS,
                          .n_heads = k->heads,
                          .n_kv = k->kv,
                          .dim = k->dim,
                          .first = k->first};
    for (int i = 0; i < 3; i++) {
        /* Rows of two sessions in one step, when there is more than one row. */
        const int half = k->n_rows / 2;
        const struct span spans[2] = {
            span_of(&cache[i], 0, half, k->past),
            span_of(&cache[i], half, k->n_rows - half, k->past + half),
        };
        a.spans = half ? (struct spans){spans, 2} : (struct spans){spans + 1, 1};
        a.out = out[i] = floats(r, n_q, 1);
        r->ops[i]->attn(r->dev[i], &a);
    }
    expect_near(what, out[1], out[0], n_q, TOL_F32_SUM);
    expect_same(what, out[2], out[1], n_q);
    for (size_t i = 0; i < cache[0].n_pages; i++) {
        assert_memory_equal(cache[1].kv[i], cache[0].kv[i], page_bytes(k));
        assert_memory_equal(cache[1].f16[i], cache[0].f16[i], 2 * side_bytes(k, KV_F16));
    }

    /* The last row on its own gets the same bits. */
    const size_t row_q = (size_t)k->heads * (size_t)k->dim,
                 row_k = (size_t)k->kv * (size_t)k->dim;
    const struct span alone = span_of(&cache[1], 0, 1, k->past + k->n_rows - 1);
    a.spans = (struct spans){&alone, 1};
    a.qg = qg + 2 * (n_q - row_q), a.k = key + n_k - row_k, a.v = val + n_k - row_k;
    a.out = out[0];
    r->ops[1]->attn(r->dev[1], &a);
    expect_same(what, out[0], out[1] + n_q - row_q, row_q);

    for (int i = 0; i < 3; i++)
        cache_drop(r, &cache[i]), drop(r, out[i]);
    drop(r, qg), drop(r, key), drop(r, val);
}

static void attn_agrees_with_ref(void **fixture)
{
    static const struct attn_case CASES[] = {
        {4,  2, 256,         0,     1,        0, KV_F16, KV_F16}, /* the very first token         */
        {4,  2, 256,         0,     40,       0, KV_F16, KV_F16},
        {4,  1, 64,          100,   5,        1, KV_F32, KV_F32}, /* a draft layer: no position 0 */
        {4,  1, 64,          1,     3,        1, KV_F16, KV_F16},
        {16, 2, 128,         700,   MAX_ROWS, 0, KV_F16, KV_F16},
        {8,  2, 64,          16380, 9,        0, KV_F16, KV_F16}, /* both sides of longer chunks  */
        {2,  1, 32,          40000, 1,        0, KV_F16, KV_F16},
        {2,  2, 20,          30,    3,        0, KV_F32, KV_F32}, /* no multiple of a vector      */
        {4,  2, 512,         300,   9,        0, KV_F16, KV_F16}, /* larger than any published    */
        {2,  1, KV_HEAD_MAX, 40,    3,        0, KV_F32, KV_F16},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        check_attn(*fixture, &CASES[i]);
}

static void attn_on_compressed_rows_agrees_with_ref(void **fixture)
{
    static const int DIMS[] = {256, 128, 64, 192};
    for (enum kv_type t = KV_Q8_0; t < KV_TYPE_COUNT; t++) {
        for (size_t i = 0; i < COUNT(DIMS); i++) {
            struct attn_case c = {4, 2, DIMS[i], 0, MAX_ROWS, 1, t, t}; /* f16 pages alone */
            check_attn(*fixture, &c);
            c.past = 505, c.first = 0; /* across two page ends, five pages in between */
            check_attn(*fixture, &c);
            c.past = 2111, c.n_rows = 1;
            check_attn(*fixture, &c);
            c.type_k = KV_F16; /* one side alone is rotated */
            check_attn(*fixture, &c);
            c.type_k = t, c.type_v = KV_F32;
            check_attn(*fixture, &c);
        }
    }
    for (enum kv_type t = KV_Q8_0; t < KV_TYPE_COUNT; t++)
        check_attn(*fixture, &(struct attn_case){2, 1, KV_HEAD_MAX, 505, 3, 0, t, t});
    for (int dim = 32; dim < 256; dim += 64) { /* no whole units: blocks of 32 alone */
        check_attn(*fixture, &(struct attn_case){2, 1, dim, 400, 9, 0, KV_Q8_0, KV_Q4_0});
    }
}

static void qk_prep_agrees_with_ref(void **fixture)
{
    struct rig *r = *fixture;
    enum { T = 9, H = 4, K = 2, D = 512, ROT = 512 };
    const size_t n_q = (size_t)T * H * 2 * D, n_k = (size_t)T * K * D;
    float *qg = floats(r, n_q, 1), *key = floats(r, n_k, 1);
    float *q_norm = floats(r, D, 1), *k_norm = floats(r, D, 1), *q[3], *k[3];
    double freq[ROT / 2];
    for (int i = 0; i < ROT / 2; i++)
        freq[i] = pow(1e7, -2.0 * i / ROT);
    const struct span spans[] = {
        {.row = 0, .n_rows = 2, .pos = 262000},
        {.row = 2, .n_rows = 7, .pos = 5     },
    };
    for (int i = 0; i < 3; i++) {
        q[i] = copy_of(r, qg, n_q), k[i] = copy_of(r, key, n_k);
        const struct qk_prep_args a = {
            .qg = q[i],
            .k = k[i],
            .q_norm = q_norm,
            .k_norm = k_norm,
            .inv_freq = freq,
            .rope_scale = 1,
            .spans = {spans, 2},
            .n_heads = H,
            .n_kv = K,
            .dim = D,
            .n_rot = ROT,
            .eps = 1e-6f
        };
        r->ops[i]->qk_prep(r->dev[i], &a);
    }
    expect_near("queries", q[1], q[0], n_q, TOL_F32);
    expect_near("keys", k[1], k[0], n_k, TOL_F32);
    expect_same("queries with three threads", q[2], q[1], n_q);
    for (int i = 0; i < 3; i++)
        drop(r, q[i]), drop(r, k[i]);
    drop(r, qg), drop(r, key), drop(r, q_norm), drop(r, k_norm);
}

/* ---- delta --------------------------------------------------------------- */

struct delta_case {
    int n_k, n_v, dim, n_rows, second; /* rows of the second session, 0: none */
    bool is_trial;
};

static void check_delta(struct rig *r, const struct delta_case *k)
{
    const int n_rows = k->n_rows + k->second;
    const size_t dim = (size_t)k->dim, C = (size_t)(2 * k->n_k + k->n_v) * dim;
    const size_t n_x = (size_t)n_rows * C, n_g = (size_t)n_rows * (size_t)k->n_v;
    const size_t n_out = n_g * dim, tail = 3 * C, n_state = tail + (size_t)k->n_v * dim * dim;
    float *x = floats(r, n_x, 1), *taps = floats(r, 4 * C, 0.5f),
          *dt = floats(r, (size_t)k->n_v, 1);
    float *alpha = floats(r, n_g, 2), *beta_in = floats(r, n_g, 1),
          *ssm_a = floats(r, (size_t)k->n_v, 0.3f);
    float *start = floats(r, 2 * n_state, 0.3f), *state[3], *out[3], *conv[3];
    alpha[0] = 30; /* softplus past 20 */
    for (int h = 0; h < k->n_v; h++)
        ssm_a[h] = -fabsf(ssm_a[h]);

    for (int i = 0; i < 3; i++) {
        state[i] = copy_of(r, start, 2 * n_state);
        conv[i] = floats(r, n_x, 1), out[i] = floats(r, n_out, 1);
        float *decay = copy_of(r, alpha, n_g), *beta = copy_of(r, beta_in, n_g);
        const struct span spans[2] = {
            {.row = 0, .n_rows = k->n_rows, .state = state[i], .is_trial = k->is_trial},
            {.row = k->n_rows,        .n_rows = k->second,            .state = state[i] + n_state  },
        };
        const struct spans s = {spans, k->second ? 2 : 1};
        const struct conv_args c = {.out = conv[i],
                                    .x = x,
                                    .taps = taps,
                                    .spans = s,
                                    .n_channels = (int)C,
                                    .n_taps = 4};
        r->ops[i]->conv(r->dev[i], &c);
        const struct delta_prep_args p = {.qkv = conv[i],
                                          .decay = decay,
                                          .beta = beta,
                                          .dt = dt,
                                          .ssm_a = ssm_a,
                                          .n_rows = n_rows,
                                          .n_k = k->n_k,
                                          .n_v = k->n_v,
                                          .dim = k->dim};
        r->ops[i]->delta_prep(r->dev[i], &p);
        const struct delta_args d = {.out = out[i],
                                     .qkv = conv[i],
                                     .decay = decay,
                                     .beta = beta,
                                     .spans = s,
                                     .state_offset = tail,
                                     .n_k = k->n_k,
                                     .n_v = k->n_v,
                                     .dim = k->dim};
        r->ops[i]->delta(r->dev[i], &d);
        drop(r, decay), drop(r, beta);
    }
    expect_near("conv and delta_prep", conv[1], conv[0], n_x, TOL_F32);
    expect_near("delta", out[1], out[0], n_out, TOL_DELTA);
    expect_near("state", state[1], state[0], 2 * n_state, TOL_DELTA);
    expect_same("delta with three threads", out[2], out[1], n_out);
    expect_same("state with three threads", state[2], state[1], 2 * n_state);
    if (k->is_trial) expect_same("state after a trial", state[1], start, n_state);
    for (int i = 0; i < 3; i++)
        drop(r, state[i]), drop(r, out[i]), drop(r, conv[i]);
    drop(r, x), drop(r, taps), drop(r, dt), drop(r, alpha), drop(r, beta_in), drop(r, ssm_a);
    drop(r, start);
}

static void conv_and_delta_agree_with_ref(void **fixture)
{
    static const struct delta_case CASES[] = {
        {2, 4, 128, 1,  0, false},
        {2, 4, 128, 2,  0, false}, /* fewer rows than the convolution looks back */
        {2, 4, 128, 2,  0, true },
        {2, 6, 64,  40, 0, false},
        {2, 4, 32,  5,  3, true }, /* two sessions, the first on trial           */
        {1, 2, 24,  7,  1, false}, /* heads that are no multiple of a tile       */
        {1, 2, 24,  1,  0, false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        check_delta(*fixture, &CASES[i]);
}

/* A trial of four rows, then moving the state over the two that were accepted, must
 * leave what two ordinary rows leave. */
static void trial_and_replay_equal_ordinary_rows(void **fixture)
{
    struct rig *r = *fixture;
    enum { NK = 2, NV = 4, DIM = 64, C = (2 * NK + NV) * DIM, TAIL = 3 * C, T = 4, KEEP = 2 };
    enum { N_STATE = TAIL + NV * DIM * DIM };
    float *x = floats(r, T * C, 0.2f), *qkv = floats(r, T * C, 0.1f),
          *taps = floats(r, 4 * C, 1);
    float *decay = floats(r, T * NV, 0.1f), *beta = floats(r, T * NV, 0.1f);
    float *a_state = floats(r, N_STATE, 0.3f), *b_state = copy_of(r, a_state, N_STATE);
    float *a_out = floats(r, T * NV * DIM, 1), *b_out = floats(r, T * NV * DIM, 1);
    float *a_conv = floats(r, T * C, 1), *b_conv = floats(r, T * C, 1);
    const struct ops *o = r->ops[2];

    struct span s = {.n_rows = T, .state = a_state, .is_trial = true};
    struct conv_args c = {
        .out = a_conv, .x = x, .taps = taps, .spans = {&s, 1},
                   .n_channels = C, .n_taps = 4
    };
    struct delta_args d = {
        .out = a_out,
        .qkv = qkv,
        .decay = decay,
        .beta = beta,
        .spans = {&s, 1},
        .state_offset = TAIL,
        .n_k = NK,
        .n_v = NV,
        .dim = DIM
    };
    o->conv(r->dev[2], &c);
    o->delta(r->dev[2], &d);
    s.is_trial = false, s.n_rows = KEEP, c.out = NULL, d.out = NULL;
    o->conv(r->dev[2], &c);
    o->delta(r->dev[2], &d);

    s.state = b_state;
    c.out = b_conv, d.out = b_out;
    o->conv(r->dev[2], &c);
    o->delta(r->dev[2], &d);
    expect_same("state", a_state, b_state, N_STATE);
    expect_same("delta", a_out, b_out, KEEP * NV * DIM);
    expect_same("conv", a_conv, b_conv, KEEP * C);
    drop(r, x), drop(r, qkv), drop(r, taps), drop(r, decay), drop(r, beta), drop(r, a_state);
    drop(r, b_state), drop(r, a_out), drop(r, b_out), drop(r, a_conv), drop(r, b_conv);
}

static void kernels_are_offered_only_where_the_processor_has_them(void **fixture)
{
    (void)fixture;
    assert_string_equal(kernels_at(0, 0)->name, "plain");
    assert_null(kernels_at(1, 0));
    int n = 0;
    for (const struct kernels *k; (k = kernels_at(n, ~0u)); n++) {
        if (n > 0) assert_string_not_equal(k->name, kernels_at(n - 1, ~0u)->name);
        assert_true(k->needs || !kernels_at(n + 1, ~0u)); /* plain is the last */
    }
    assert_string_equal(kernels_at(n - 1, ~0u)->name, "plain");
    for (int i = 0; cpu_ops_at(i); i++)
        assert_string_equal(cpu_ops_at(i)->name, kernels_at(i, cpu_features())->name);
}

/* Every test above runs once per row of kernels that this machine has. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_agrees_with_ref_in_every_format),
        cmocka_unit_test(embed_copies_the_rows_of_the_table),
        cmocka_unit_test(pick_takes_the_lowest_of_the_largest),
        cmocka_unit_test(norms_agree_with_ref),
        cmocka_unit_test(norm_gate_agrees_with_ref),
        cmocka_unit_test(ffn_agrees_with_ref),
        cmocka_unit_test(experts_agree_with_ref),
        cmocka_unit_test(route_chooses_what_ref_chooses),
        cmocka_unit_test(attn_agrees_with_ref),
        cmocka_unit_test(attn_on_compressed_rows_agrees_with_ref),
        cmocka_unit_test(qk_prep_agrees_with_ref),
        cmocka_unit_test(conv_and_delta_agree_with_ref),
        cmocka_unit_test(trial_and_replay_equal_ordinary_rows),
        cmocka_unit_test(kernels_are_offered_only_where_the_processor_has_them),
    };
    int n_failed = 0;
    for (i_ops = 0; cpu_ops_at(i_ops); i_ops++) {
        fprintf(stderr, "kernels %s\n", cpu_ops_at(i_ops)->name);
        n_failed += cmocka_run_group_tests(tests, rig_open, rig_close);
    }
    return n_failed;
}
