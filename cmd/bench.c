/* bench.c - `qagent bench`: how fast, and which share of what the machine can do.
 *
 * Denominators are measured in the same run (probe.h).  Every figure is the median
 * of three runs with the slowest and the fastest beside it. */
#include "cmd/bench_many.h"
#include "cmd/probe.h"
#include "cmd/run.h"
#include "engine/base/clock.h"
#include "engine/base/cpu.h"
#include "engine/gguf.h"
#include "engine/quant.h"
#include "engine/tiny/tiny.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_PROMPT = 0x100, KEY_GEN, KEY_SESSIONS, KEY_JSON };
enum { MANY_MAX = 8 };
enum { N_RUNS = 3, N_DEPTHS = 3, TYPES_MAX = 64, MIX_SHOWN = 4, ROOM_TOKENS = 16 };
static const int64_t DEPTHS[N_DEPTHS] = {0, 512, 2048};

struct bench_opts {
    struct model_opts model;
    int64_t n_prompt, n_gen;
    int n_sessions; /* > 0: sessions together are measured, and nothing else     */
    bool want_json;
};

static const struct argp_option OPTIONS[] = {
    {"prompt",                                           KEY_PROMPT, "N", 0, "tokens of the prefill measurement (default 512)", 0},
    {"gen",                                               KEY_GEN, "N", 0, "tokens decoded per run (default 64)", 0},
    {"sessions", KEY_SESSIONS, "N", 0,
     "only this: how fast 1, 2, 4 .. N sessions decode together", 0},
    {"json",                                                  KEY_JSON, 0, 0, "one JSON object", 0},
    {0},
};

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct bench_opts *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->model; break;
    case KEY_PROMPT: o->n_prompt = opt_int_arg("prompt", arg, 2, 1 << 20); break;
    case KEY_GEN: o->n_gen = opt_int_arg("gen", arg, 1, 1 << 20); break;
    case KEY_SESSIONS:
        o->n_sessions = (int)opt_int_arg("sessions", arg, 1, BENCH_SESSIONS_MAX);
        break;
    case KEY_JSON: o->want_json = true; break;
    case ARGP_KEY_ARG: opt_fail("unexpected word '%s'", arg);
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* Rates of three runs, in order. */
struct rate {
    double low, median, high;
};

static struct rate rate_of(double r[N_RUNS])
{
    for (int i = 1; i < N_RUNS; i++) {
        for (int j = i; j > 0 && r[j] < r[j - 1]; j--) {
            const double x = r[j];
            r[j] = r[j - 1];
            r[j - 1] = x;
        }
    }
    return (struct rate){r[0], r[N_RUNS / 2], r[N_RUNS - 1]};
}

struct decode_result {
    int64_t depth;
    int n_draft;
    struct rate tps;
    double bytes_per_token; /* plain decoding: weights, KV, state read and written */
    double accepted;        /* share of the drafted tokens                         */
};

/* What the file holds: bytes by format, and the products of one prompt token. */
struct mix {
    uint64_t bytes[TYPES_MAX], total;
    double prefill_macs;
};

struct bench {
    struct bench_opts o;
    struct engine *g;
    struct probe machine;
    struct mix mix;
    int32_t *ids; /* pseudo-random prompt */
    int64_t n_ids;
    struct rate prefill;
    struct decode_result decode[2 * N_DEPTHS];
    int n_decode;
    struct many_result {
        int n_sessions;
        struct rate tps;
    } many[MANY_MAX];
    int n_many;
};

/* ---- the file ------------------------------------------------------------ */

static bool has_part(struct str name, const char *part)
{
    return str_find(name, str_of(part)) != SIZE_MAX;
}

/* Which layer a tensor belongs to, or -1. */
static int layer_of(struct str name)
{
    int64_t layer;
    if (!str_starts(name, STR("blk."))) return -1;
    const struct str rest = str_cut(name, 4, name.n);
    const size_t dot = str_find(rest, STR("."));
    return str_to_i64(str_cut(rest, 0, dot), 0, 1 << 16, &layer) ? (int)layer : -1;
}

/* Multiply-adds of one prompt token in this tensor: experts by the share in use; the
 * embedding is looked up, the head runs for the last token only, drafting is extra. */
static double macs_of(const struct gguf_tensor *t, int n_layers, double used)
{
    const double n = (double)t->ne[0] * (double)t->ne[1] * (double)t->ne[2];
    if (t->n_dims < 2 || layer_of(t->name) < 0 || layer_of(t->name) >= n_layers) return 0;
    return has_part(t->name, "_exps.") ? n * used : n;
}

static enum status read_mix(struct bench *b, struct err *e)
{
    const struct engine_info *i = engine_info(b->g);
    struct gguf *f = NULL;
    char key[80];
    int64_t n_experts = 0, n_used = 0;
    const struct str tiny = {(const char *)qa_tiny_gguf,
                             (size_t)(qa_tiny_gguf_end - qa_tiny_gguf)};
    const enum status st = b->o.model.model ? gguf_open(&f, b->o.model.model, false, e)
                                            : gguf_open_bytes(&f, tiny, "embedded model", e);
    if (st) return st;
    snprintf(key, sizeof key, "%s.expert_count", i->arch);
    gguf_get_i64(f, key, &n_experts);
    snprintf(key, sizeof key, "%s.expert_used_count", i->arch);
    gguf_get_i64(f, key, &n_used);
    const double used = n_experts > 0 ? (double)n_used / (double)n_experts : 1;
    for (size_t k = 0; k < gguf_n_tensors(f); k++) {
        const struct gguf_tensor *t = gguf_tensor_at(f, k);
        if (t->type < TYPES_MAX) b->mix.bytes[t->type] += t->n_bytes;
        b->mix.total += t->n_bytes;
        b->mix.prefill_macs += macs_of(t, i->n_layers, used);
    }
    gguf_close(f);
    return QA_OK;
}

/* The format with the most bytes that is not in `seen` yet, or -1. */
static int next_type(const struct mix *m, uint64_t seen)
{
    int best = -1;
    for (int t = 0; t < TYPES_MAX; t++) {
        if (seen >> t & 1 || !m->bytes[t]) continue;
        if (best < 0 || m->bytes[t] > m->bytes[best]) best = t;
    }
    return best;
}

/* ---- measuring ----------------------------------------------------------- */

static enum status make_ids(struct bench *b, int64_t n, struct err *e)
{
    struct rng r;
    rng_init(&r, 1, 1);
    b->ids = calloc((size_t)n, sizeof *b->ids);
    if (!b->ids) return err_set(e, QA_E_NOMEM, "no memory for %lld ids", (long long)n);
    for (int64_t i = 0; i < n; i++)
        b->ids[i] = (int32_t)rng_below(&r, (uint32_t)engine_info(b->g)->n_vocab);
    b->n_ids = n;
    return QA_OK;
}

static enum status measure_prefill(struct bench *b, struct err *e)
{
    double rates[N_RUNS];
    for (int run = 0; run < N_RUNS; run++) {
        struct session *s = NULL;
        const struct session_opts so = {.cap_tokens = b->o.n_prompt + ROOM_TOKENS};
        enum status st = session_open(&s, b->g, &so, e);
        const double start_s = clock_now_s();
        if (!st) st = session_append(s, b->ids, (size_t)b->o.n_prompt, e);
        rates[run] = (double)b->o.n_prompt / (clock_now_s() - start_s);
        session_close(s);
        if (st) return st;
    }
    b->prefill = rate_of(rates);
    return QA_OK;
}

/* Decode n tokens greedily; *seconds for them.  The first burst is not counted: it may
 * still compute what the rewind left open. */
static enum status decode_tokens(struct session *s,
                                 int64_t n,
                                 double *tokens_per_s,
                                 struct err *e)
{
    const struct sampling greedy = sampling_greedy();
    struct rng rng;
    struct burst burst;
    rng_init(&rng, 1, 1);
    const struct decode_args a = {
        .sampling = &greedy, .rng = &rng, .n_prompt = session_n_tokens(s)};
    enum status st = session_decode(s, &a, &burst, e);
    int64_t done = 0;
    const double start_s = clock_now_s();
    while (!st && done < n) {
        st = session_decode(s, &a, &burst, e);
        if (!st) done += burst.n;
    }
    *tokens_per_s = (double)done / (clock_now_s() - start_s);
    return st;
}

static enum status measure_decode(struct bench *b,
                                  struct session *s,
                                  struct decode_result *r,
                                  struct err *e)
{
    const struct engine_info *i = engine_info(b->g);
    double rates[N_RUNS];
    int mark;
    enum status st = session_mark(s, &mark, e);
    const struct session_stats before = session_stats(s);
    for (int run = 0; run < N_RUNS && !st; run++) {
        st = decode_tokens(s, b->o.n_gen, &rates[run], e);
        if (!st) st = session_rewind(s, mark, e);
    }
    if (st) return st;
    session_drop_mark(s, mark);
    const struct session_stats after = session_stats(s);
    const uint64_t drafted = after.n_drafted - before.n_drafted;
    r->tps = rate_of(rates);
    r->accepted =
        drafted ? (double)(after.n_accepted - before.n_accepted) / (double)drafted : 0;
    const double kv =
        (double)i->kv_bytes_per_token * ((double)r->depth + (double)b->o.n_gen / 2);
    r->bytes_per_token = (double)i->decode_bytes + kv + 2 * (double)i->state_bytes;
    return QA_OK;
}

/* All depths with one session that grows. */
static enum status measure_depths(struct bench *b,
                                  int n_draft,
                                  int64_t max_depth,
                                  struct err *e)
{
    struct session *s = NULL;
    const struct session_opts so = {.cap_tokens = max_depth + b->o.n_gen + 2 * ROOM_TOKENS,
                                    .n_draft = n_draft};
    enum status st = session_open(&s, b->g, &so, e);
    for (int k = 0; k < N_DEPTHS && !st && DEPTHS[k] <= max_depth; k++) {
        const int64_t want = QA_MAX(DEPTHS[k], 1); /* something must be there to follow */
        const int64_t have = session_n_tokens(s);
        struct decode_result r = {.depth = DEPTHS[k], .n_draft = n_draft};
        st = session_append(s, b->ids + have, (size_t)(want - have), e);
        if (!st) st = measure_decode(b, s, &r, e);
        if (!st) b->decode[b->n_decode++] = r;
    }
    session_close(s);
    return st;
}

/* 1, 2, 4 ... sessions, and as many as asked for. */
static enum status measure_many(struct bench *b, int n_draft, struct err *e)
{
    for (int n = 1; b->n_many < MANY_MAX; n = QA_MIN(2 * n, b->o.n_sessions)) {
        const struct bench_many m = {b->g, b->ids, b->o.n_prompt, b->o.n_gen, n, n_draft};
        double rates[N_RUNS];
        for (int run = 0; run < N_RUNS; run++) {
            const enum status st = bench_many(&m, &rates[run], e);
            if (st) return st;
        }
        b->many[b->n_many++] = (struct many_result){n, rate_of(rates)};
        if (n == b->o.n_sessions) break;
    }
    return QA_OK;
}

static enum status measure(struct bench *b, struct err *e)
{
    const struct engine_info *i = engine_info(b->g);
    const int n_draft = i->has_draft ? run_n_draft(&b->o.model) : 0;
    int64_t room = b->o.model.ctx_tokens ? b->o.model.ctx_tokens : i->n_ctx_train;
    room -= b->o.n_gen + 2 * ROOM_TOKENS;
    if (room < 1)
        return err_set(e, QA_E_USAGE, "--gen %lld leaves no room in the context",
                       (long long)b->o.n_gen);
    b->o.n_prompt = QA_MIN(b->o.n_prompt, room);
    enum status st =
        make_ids(b, QA_MAX(b->o.n_prompt + b->o.n_sessions, DEPTHS[N_DEPTHS - 1]), e);
    if (!st)
        st = probe_machine(&b->machine, i->n_threads,
                           str_starts(str_of(i->kernels), STR("avx")), e);
    if (b->o.n_sessions > 0) return st ? st : measure_many(b, n_draft, e);
    if (!st) st = measure_prefill(b, e);
    if (!st) st = measure_depths(b, 0, room, e);
    if (!st && n_draft > 0) st = measure_depths(b, n_draft, room, e);
    return st;
}

/* ---- printing ------------------------------------------------------------ */

static double prefill_gflops(const struct bench *b)
{
    return 2 * b->mix.prefill_macs * b->prefill.median * 1e-9;
}

/* The plain decode at the same depth: what drafting is compared with. */
static const struct decode_result *plain_at(const struct bench *b, int64_t depth)
{
    for (int i = 0; i < b->n_decode; i++) {
        if (b->decode[i].depth == depth && !b->decode[i].n_draft) return &b->decode[i];
    }
    return &b->decode[0];
}

static void print_header(const struct bench *b)
{
    const struct engine_info *i = engine_info(b->g);
    char cpu[64];
    printf("model    %s: %s, %.4g M parameters, %.4g MB:",
           b->o.model.model ? b->o.model.model : "embedded", i->arch,
           (double)i->n_params * 1e-6, (double)i->weight_bytes * 1e-6);
    uint64_t seen = 0;
    for (int k = 0; k < MIX_SHOWN; k++) {
        const int t = next_type(&b->mix, seen);
        if (t < 0) break;
        const struct quant *q = quant_find((uint32_t)t);
        printf("%s %s %.3g %%", k ? "," : "", q ? q->name : "?",
               100 * (double)b->mix.bytes[t] / (double)b->mix.total);
        seen |= 1ull << t;
    }
    printf("\nmachine  %s, %d threads, kernels %s\n", cpu_name(cpu, sizeof cpu), i->n_threads,
           i->kernels);
    printf("limits   read %.1f GB/s, f32 multiply-add %.1f GFLOP/s, "
           "16-bit integer multiply-add %.1f Gop/s (%s instructions)\n\n",
           b->machine.read_gbs, b->machine.f32_gflops, b->machine.int_gops,
           b->machine.instructions);
}

static void print_many(const struct bench *b)
{
    printf("%-22s %9s  %-17s\n", "decoding together", "tok/s", "(low - high)");
    for (int k = 0; k < b->n_many; k++) {
        const struct many_result *r = &b->many[k];
        printf("%-3d session%-11s %9.2f  (%.2f - %.2f)  %.2f x one\n", r->n_sessions,
               r->n_sessions == 1 ? "" : "s", r->tps.median, r->tps.low, r->tps.high,
               r->tps.median / b->many[0].tps.median);
    }
    printf(
        "\nTokens of all sessions a second; prompts are other pseudo-random ids for each.\n");
}

static void print_text(const struct bench *b)
{
    print_header(b);
    if (b->n_many > 0) {
        print_many(b);
        return;
    }
    printf("%-22s %9s  %-17s\n", "", "tok/s", "(low - high)");
    printf("prefill %-14lld %9.1f  (%.1f - %.1f)  %.1f GFLOP/s, %.0f %% of the integer limit\n",
           (long long)b->o.n_prompt, b->prefill.median, b->prefill.low, b->prefill.high,
           prefill_gflops(b), 100 * prefill_gflops(b) / b->machine.int_gops);
    for (int k = 0; k < b->n_decode; k++) {
        const struct decode_result *r = &b->decode[k];
        char what[40];
        if (r->n_draft) {
            snprintf(what, sizeof what, "draft %d after %lld", r->n_draft, (long long)r->depth);
        } else {
            snprintf(what, sizeof what, "decode after %lld", (long long)r->depth);
        }
        printf("%-22s %9.2f  (%.2f - %.2f)", what, r->tps.median, r->tps.low, r->tps.high);
        const double gbs = r->bytes_per_token * r->tps.median * 1e-9;
        if (r->n_draft) {
            printf("  %.2f x plain, %.0f %% of drafts accepted\n",
                   r->tps.median / plain_at(b, r->depth)->tps.median, 100 * r->accepted);
        } else {
            printf("  %.4g MB a token, %.2f GB/s, %.0f %% of the read limit\n",
                   r->bytes_per_token * 1e-6, gbs, 100 * gbs / b->machine.read_gbs);
        }
    }
    printf(
        "\nThe prompt is pseudo-random ids and the text what the model makes of it: "
        "acceptance\n"
        "of drafts on real text differs.  Drafting moves other bytes per token, so no share\n"
        "of the read limit is given for it.\n");
}

static json_t *json_rate(const struct rate *r)
{
    return json_pack("{s:f, s:f, s:f}", "low", r->low, "median", r->median, "high", r->high);
}

static json_t *json_decode(const struct bench *b, const struct decode_result *r)
{
    const double gbs = r->bytes_per_token * r->tps.median * 1e-9;
    json_t *o = json_pack("{s:I, s:i, s:o}", "depth", (json_int_t)r->depth, "n_draft",
                          r->n_draft, "tokens_per_s", json_rate(&r->tps));
    if (!o) return NULL;
    if (r->n_draft) {
        json_object_set_new(o, "accepted", json_real(r->accepted));
    } else {
        json_object_set_new(o, "bytes_per_token", json_real(r->bytes_per_token));
        json_object_set_new(o, "gb_per_s", json_real(gbs));
        json_object_set_new(o, "share_of_read", json_real(gbs / b->machine.read_gbs));
    }
    return o;
}

static json_t *json_mix(const struct mix *m)
{
    json_t *o = json_object();
    for (uint64_t seen = 0;;) {
        const int t = next_type(m, seen);
        if (t < 0) return o;
        const struct quant *q = quant_find((uint32_t)t);
        char name[16];
        snprintf(name, sizeof name, "%d", t);
        json_object_set_new(o, q ? q->name : name, json_integer((json_int_t)m->bytes[t]));
        seen |= 1ull << t;
    }
}

static void print_json_many(const struct bench *b)
{
    const struct engine_info *i = engine_info(b->g);
    json_t *many = json_array();
    for (int k = 0; k < b->n_many; k++) {
        json_array_append_new(many, json_pack("{s:i, s:o}", "sessions", b->many[k].n_sessions,
                                              "tokens_per_s", json_rate(&b->many[k].tps)));
    }
    json_t *o = json_pack("{s:s, s:s, s:i, s:o}", "model",
                          b->o.model.model ? b->o.model.model : "embedded", "kernels",
                          i->kernels, "threads", i->n_threads, "together", many);
    if (o) json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(o);
}

static void print_json(const struct bench *b)
{
    if (b->n_many > 0) {
        print_json_many(b);
        return;
    }
    const struct engine_info *i = engine_info(b->g);
    char cpu[64];
    json_t *decode = json_array();
    for (int k = 0; k < b->n_decode; k++)
        json_array_append_new(decode, json_decode(b, &b->decode[k]));
    json_t *o = json_pack(
        "{s:{s:s, s:s, s:I, s:I, s:o}, s:{s:s, s:i, s:s, s:f, s:f, s:f}, s:{s:I, s:o, s:f, "
        "s:f}, s:o}",
        "model", "file", b->o.model.model ? b->o.model.model : "embedded", "arch", i->arch,
        "params", (json_int_t)i->n_params, "bytes", (json_int_t)i->weight_bytes,
        "bytes_by_format", json_mix(&b->mix), "machine", "cpu", cpu_name(cpu, sizeof cpu),
        "threads", i->n_threads, "kernels", i->kernels, "read_gb_per_s", b->machine.read_gbs,
        "f32_gflop_per_s", b->machine.f32_gflops, "int16_gop_per_s", b->machine.int_gops,
        "prefill", "tokens", (json_int_t)b->o.n_prompt, "tokens_per_s", json_rate(&b->prefill),
        "gflop_per_s", prefill_gflops(b), "share_of_int16",
        prefill_gflops(b) / b->machine.int_gops, "decode", decode);
    if (o) json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(o);
}

int bench_main(int argc, char **argv)
{
    struct bench b = {
        .o = {.model = model_opts_default(), .n_prompt = 512, .n_gen = 64}
    };
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .children = MODEL_CHILDREN,
        .doc = "Speed of prefill and decoding, beside what this machine can do at most.\v"
               "Example: qagent bench -m MODEL.gguf --prompt 2048 --gen 128",
    };
    struct err e = {0};
    opt_parse(&parser, argc, argv, &b.o);
    cmd_catch_signals();
    int code = run_open_engine(&b.g, &b.o.model, true);
    if (code) return code;
    enum status st = read_mix(&b, &e);
    if (!st) st = measure(&b, &e);
    if (st == QA_E_STOP) {
        code = cmd_stop ? cmd_stop : EXIT_INTERRUPTED;
    } else if (st) {
        code = cmd_fail(st == QA_E_USAGE ? EXIT_USAGE : EXIT_INTERNAL, &e);
    } else if (b.o.want_json) {
        print_json(&b);
    } else {
        print_text(&b);
    }
    engine_close(b.g);
    free(b.ids);
    return code;
}
