/* bench.c - `qagent bench`: how fast, and which share of what the machine can do.
 *
 * Denominators are measured in the same run (probe.h); bytes and multiply-adds are
 * counted verb by verb while it runs.  Every figure is the median of three runs with
 * the slowest and the fastest beside it. */
#include "cmd/bench.h"

#include "cmd/bench_many.h"
#include "cmd/run.h"
#include "engine/base/clock.h"
#include "engine/gguf.h"
#include "engine/tiny/tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_PROMPT = 0x100, KEY_DEPTH, KEY_GEN, KEY_SESSIONS, KEY_JSON, KEY_VERBS };
enum { ROOM_TOKENS = 16, PHRASE_TOKENS = 96, TOKENS_MAX = 1 << 20 };

static const struct argp_option OPTIONS[] = {
    {"prompt",                                                  KEY_PROMPT, "N,N...", 0,
     "tokens of the prefill measurements (default 32,128,512)", 0},
    {"depth",                                                 KEY_DEPTH, "N,N...", 0,
     "tokens in the session where decoding begins (default 0,512,2048)", 0},
    {"gen", KEY_GEN, "N", 0, "tokens decoded per run (default 64)", 0},
    {"sessions",                                                         KEY_SESSIONS, "N", 0,
     "only this: how fast 1, 2, 4 .. N sessions decode together", 0},
    {"verbs",KEY_VERBS, 0, 0, "also show where the time goes: every verb of the forward pass",
     0},
    {"json",                                                        KEY_JSON, 0, 0, "one JSON object, verbs included", 0},
    {0                                                       },
};

/* "32,128": rising numbers. */
static int sizes_arg(const char *option, const char *text, int64_t lo, int64_t *out)
{
    int n = 0;
    for (const char *p = text;;) {
        char word[24];
        const size_t len = strcspn(p, ",");
        snprintf(word, sizeof word, "%.*s", (int)QA_MIN(len, sizeof word - 1), p);
        if (n == SIZES_MAX)
            opt_fail("option '--%s' takes at most %d numbers", option, SIZES_MAX);
        out[n] = opt_int_arg(option, word, lo, TOKENS_MAX);
        if (n > 0 && out[n] <= out[n - 1])
            opt_fail("option '--%s' takes rising numbers, not '%s'", option, text);
        n++;
        if (!p[len]) return n;
        p += len + 1;
    }
}

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct bench_opts *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->model; break;
    case KEY_PROMPT: o->n_prompts = sizes_arg("prompt", arg, 2, o->prompts); break;
    case KEY_DEPTH: o->n_depths = sizes_arg("depth", arg, 0, o->depths); break;
    case KEY_GEN: o->n_gen = opt_int_arg("gen", arg, 1, TOKENS_MAX); break;
    case KEY_SESSIONS:
        o->n_sessions = (int)opt_int_arg("sessions", arg, 1, BENCH_SESSIONS_MAX);
        break;
    case KEY_VERBS: o->want_verbs = true; break;
    case KEY_JSON: o->want_json = true; break;
    case ARGP_KEY_ARG: opt_fail("unexpected word '%s'", arg);
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* ---- the file ------------------------------------------------------------ */

static enum status read_types(struct bench *b, struct err *e)
{
    struct gguf *f = NULL;
    const struct str tiny = {(const char *)qa_tiny_gguf,
                             (size_t)(qa_tiny_gguf_end - qa_tiny_gguf)};
    const enum status st = b->o.model.model ? gguf_open(&f, b->o.model.model, false, e)
                                            : gguf_open_bytes(&f, tiny, "embedded model", e);
    if (st) return st;
    for (size_t k = 0; k < gguf_n_tensors(f); k++) {
        const struct gguf_tensor *t = gguf_tensor_at(f, k);
        if (t->type < TYPES_MAX) b->bytes_of_type[t->type] += t->n_bytes;
        b->bytes_of_file += t->n_bytes;
    }
    gguf_close(f);
    return QA_OK;
}

/* ---- measuring ----------------------------------------------------------- */

static enum status make_ids(struct bench *b, int64_t n, struct err *e)
{
    struct rng r;
    rng_init(&r, 1, 1);
    b->ids = calloc((size_t)n, sizeof *b->ids);
    b->phrase = calloc((size_t)n, sizeof *b->phrase);
    if (!b->ids || !b->phrase)
        return err_set(e, QA_E_NOMEM, "no memory for %lld ids", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        b->ids[i] = (int32_t)rng_below(&r, (uint32_t)engine_info(b->g)->n_vocab);
        b->phrase[i] = b->ids[i % PHRASE_TOKENS];
    }
    return QA_OK;
}

static struct rate3 rate_of(const double *runs)
{
    double r[N_RUNS];
    for (int i = 0; i < N_RUNS; i++) {
        int at = i;
        for (; at > 0 && r[at - 1] > runs[i]; at--)
            r[at] = r[at - 1];
        r[at] = runs[i];
    }
    return (struct rate3){r[0], r[N_RUNS / 2], r[N_RUNS - 1]};
}

/* A run of n tokens is over: what it took joins the line. */
static double run_done(const struct bench *b, struct bench_line *l, int64_t n, double start_s)
{
    const double seconds = clock_now_s() - start_s;
    l->n_tokens += n;
    l->seconds += seconds;
    for (int v = 0; v < VERB_COUNT; v++) {
        const struct verb_stats s = engine_verb(b->g, (enum verb)v);
        l->verbs[v].n_calls += s.n_calls;
        l->verbs[v].seconds += s.seconds;
        l->verbs[v].bytes += s.bytes;
        l->verbs[v].macs += s.macs;
    }
    return (double)n / seconds;
}

static enum status measure_prefill(struct bench *b, int64_t n, struct err *e)
{
    struct bench_line l = {.mode = MODE_PREFILL, .n = n};
    double runs[N_RUNS];
    for (int run = 0; run < N_RUNS; run++) {
        struct session *s = NULL;
        const struct session_opts so = {.cap_tokens = n + ROOM_TOKENS};
        enum status st = session_open(&s, b->g, &so, e);
        engine_verbs_reset(b->g);
        const double start_s = clock_now_s();
        if (!st) st = session_append(s, b->ids, (size_t)n, e);
        if (!st) runs[run] = run_done(b, &l, n, start_s);
        session_close(s);
        if (st) return st;
    }
    l.tps = rate_of(runs);
    b->lines[b->n_lines++] = l;
    return QA_OK;
}

/* Decode greedily.  The first burst is not counted: it may still compute what the rewind
 * left open. */
static enum status decode_run(struct bench *b,
                              struct session *s,
                              struct bench_line *l,
                              double *tps,
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
    engine_verbs_reset(b->g);
    const double start_s = clock_now_s();
    while (!st && done < b->o.n_gen) {
        st = session_decode(s, &a, &burst, e);
        if (!st) done += burst.n;
    }
    if (!st) *tps = run_done(b, l, done, start_s);
    return st;
}

static enum status measure_decode(struct bench *b,
                                  struct session *s,
                                  struct bench_line *l,
                                  struct err *e)
{
    double runs[N_RUNS];
    int mark;
    enum status st = session_mark(s, &mark, e);
    const struct session_stats before = session_stats(s);
    for (int run = 0; run < N_RUNS && !st; run++) {
        st = decode_run(b, s, l, &runs[run], e);
        if (!st) st = session_rewind(s, mark, e);
    }
    if (st) return st;
    session_drop_mark(s, mark);
    l->stats = session_stats(s);
    l->stats.n_drafted -= before.n_drafted;
    l->stats.n_accepted -= before.n_accepted;
    l->stats.n_steps -= before.n_steps;
    for (int k = 0; k < DRAFT_SOURCES; k++) {
        for (int i = 0; i < DRAFT_MAX; i++) {
            l->stats.draft[k].drafted[i] -= before.draft[k].drafted[i];
            l->stats.draft[k].accepted[i] -= before.draft[k].accepted[i];
        }
    }
    l->tps = rate_of(runs);
    return QA_OK;
}

/* All depths with one session that grows. */
static enum status measure_depths(struct bench *b,
                                  enum bench_mode mode,
                                  int64_t room,
                                  struct err *e)
{
    const bool drafts = mode == MODE_DRAFT || mode == MODE_BOTH;
    const bool copies = mode == MODE_COPY || mode == MODE_BOTH;
    struct session *s = NULL;
    const struct session_opts so = {
        .cap_tokens = room + b->o.n_gen + 2 * ROOM_TOKENS,
        .n_draft = drafts ? run_n_draft(&b->o.model) : 0,
        .n_copy = copies ? run_n_copy(&b->o.model) : 0,
    };
    enum status st = session_open(&s, b->g, &so, e);
    for (int k = 0; k < b->o.n_depths && !st && b->o.depths[k] <= room; k++) {
        struct bench_line l = {.mode = mode, .n = b->o.depths[k]};
        const int64_t want = QA_MAX(l.n, 1); /* something must be there to follow */
        const int64_t have = session_n_tokens(s);
        st = session_append(s, b->phrase + have, (size_t)(want - have), e);
        if (!st) st = measure_decode(b, s, &l, e);
        if (!st) b->lines[b->n_lines++] = l;
    }
    session_close(s);
    return st;
}

/* 1, 2, 4 ... sessions, and as many as asked for. */
static enum status measure_many(struct bench *b, int64_t room, struct err *e)
{
    const bool drafts = engine_info(b->g)->has_draft;
    const int n_draft = drafts ? run_n_draft(&b->o.model) : 0;
    const int64_t n_prompt = QA_MIN(b->o.prompts[b->o.n_prompts - 1], room);
    for (int n = 1; b->n_many < MANY_MAX; n = QA_MIN(2 * n, b->o.n_sessions)) {
        const struct bench_many m = {b->g, b->ids, n_prompt, b->o.n_gen, n, n_draft};
        double runs[N_RUNS];
        for (int run = 0; run < N_RUNS; run++) {
            const enum status st = bench_many(&m, &runs[run], e);
            if (st) return st;
        }
        b->many[b->n_many++] = (struct many_result){n, rate_of(runs)};
        if (n == b->o.n_sessions) break;
    }
    return QA_OK;
}

/* A limit that was passed was none: something else ran while it was measured, or what was
 * read lies in the processor's caches. */
static void raise_limits(struct bench *b)
{
    for (int k = 0; k < b->n_lines; k++) {
        const struct bench_line *l = &b->lines[k];
        double bytes = 0, macs = 0;
        for (int v = 0; v < VERB_COUNT; v++) {
            const struct verb_stats *s = &l->verbs[v];
            bytes += s->bytes;
            macs += s->macs;
        }
        b->machine.read_gbs = QA_MAX(b->machine.read_gbs, 1e-9 * bytes / l->seconds);
        b->machine.int_gops = QA_MAX(b->machine.int_gops, 2e-9 * macs / l->seconds);
    }
}

static enum status measure(struct bench *b, struct err *e)
{
    const struct engine_info *i = engine_info(b->g);
    const struct bench_opts *o = &b->o;
    int64_t room = o->model.ctx_tokens ? o->model.ctx_tokens : i->n_ctx_train;
    room -= o->n_gen + 2 * ROOM_TOKENS;
    if (room < 1)
        return err_set(e, QA_E_USAGE, "--gen %lld leaves no room in the context",
                       (long long)o->n_gen);
    const int64_t most = QA_MAX(o->prompts[o->n_prompts - 1], o->depths[o->n_depths - 1]);
    room = QA_MIN(room, most);
    enum status st = make_ids(b, QA_MAX(most + o->n_sessions, PHRASE_TOKENS), e);
    if (!st)
        st = probe_machine(&b->machine, i->n_threads,
                           str_starts(str_of(i->kernels), STR("avx")), e);
    if (o->n_sessions > 0) return st ? st : measure_many(b, room, e);
    for (int k = 0; k < o->n_prompts && !st && o->prompts[k] <= room; k++)
        st = measure_prefill(b, o->prompts[k], e);
    const bool drafts = i->has_draft && run_n_draft(&o->model) > 0;
    const bool copies = run_n_copy(&o->model) > 0;
    if (!st) st = measure_depths(b, MODE_PLAIN, room, e);
    if (!st && drafts) st = measure_depths(b, MODE_DRAFT, room, e);
    if (!st && copies) st = measure_depths(b, MODE_COPY, room, e);
    if (!st && drafts && copies) st = measure_depths(b, MODE_BOTH, room, e);
    raise_limits(b);
    return st;
}

/* The longest session there will be, or as many as decode together. */
static struct engine_expect expect(const struct bench_opts *o)
{
    const int64_t prompt = o->prompts[o->n_prompts - 1], depth = o->depths[o->n_depths - 1];
    const int64_t most = o->n_sessions ? prompt : QA_MAX(prompt, depth);
    struct engine_expect x = run_expect(&o->model, most + o->n_gen + 2 * ROOM_TOKENS);
    x.n_sessions = o->n_sessions;
    x.n_marks = o->n_sessions ? 0 : 1;
    return x;
}

int bench_main(int argc, char **argv)
{
    static struct bench b = {
        .o = {.prompts = {32, 128, 512},
              .depths = {0, 512, 2048},
              .n_prompts = 3,
              .n_depths = 3,
              .n_gen = 64}
    };
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .children = MODEL_CHILDREN,
        .doc = "Speed of prefill and decoding, beside what this machine can do at most.\v"
               "Example: qagent bench -m MODEL.gguf --prompt 512,2048 --depth 0,8192 --verbs",
    };
    struct err e = {0};
    b.o.model = model_opts_default();
    opt_parse(&parser, argc, argv, &b.o);
    cmd_catch_signals();
    b.o.model.trace = TRACE_COUNT;
    const struct engine_expect x = expect(&b.o);
    int code = run_open_engine(&b.g, &b.o.model, &x, true);
    if (code) return code;
    enum status st = read_types(&b, &e);
    if (!st) st = measure(&b, &e);
    if (st == QA_E_STOP) {
        code = cmd_stop ? cmd_stop : EXIT_INTERRUPTED;
    } else if (st) {
        code = cmd_fail(st == QA_E_USAGE ? EXIT_USAGE : EXIT_INTERNAL, &e);
    } else if (b.o.want_json) {
        bench_print_json(&b);
    } else {
        bench_print_text(&b);
    }
    engine_close(b.g);
    free(b.ids);
    free(b.phrase);
    return code;
}
