/* bench.h - what `qagent bench` measures (bench.c) and how it is shown (bench_view.c). */
#ifndef QA_CMD_BENCH_H
#define QA_CMD_BENCH_H

#include "cmd/opt.h"
#include "cmd/probe.h"

enum { N_RUNS = 3, SIZES_MAX = 8, MANY_MAX = 8, TYPES_MAX = 64 };

/* What decodes: plain steps, drafts of the draft layer, copies from the context, both. */
enum bench_mode { MODE_PREFILL, MODE_PLAIN, MODE_DRAFT, MODE_COPY, MODE_BOTH, MODE_COUNT };

struct bench_opts {
    struct model_opts model;
    int64_t prompts[SIZES_MAX], depths[SIZES_MAX]; /* rising */
    int n_prompts, n_depths;
    int64_t n_gen;
    int n_sessions; /* > 0: sessions together are measured, and nothing else         */
    bool want_json, want_verbs;
};

/* Tokens per second of the runs, in order. */
struct rate3 {
    double low, median, high;
};

/* One line of the table: three runs of one thing. */
struct bench_line {
    enum bench_mode mode;
    int64_t n; /* prefill: tokens; else tokens in the session before */
    struct rate3 tps;
    int64_t n_tokens;                    /* all runs */
    double seconds;                      /* all runs */
    struct session_stats stats;          /* of all runs, only counts of decoding */
    struct verb_stats verbs[VERB_COUNT]; /* of all runs */
};

struct bench {
    struct bench_opts o;
    struct engine *g;
    struct probe machine;
    uint64_t bytes_of_type[TYPES_MAX], bytes_of_file;
    int32_t *ids;    /* pseudo-random prompt */
    int32_t *phrase; /* the same length, a phrase again and again */
    struct bench_line lines[SIZES_MAX * MODE_COUNT];
    int n_lines;
    struct many_result {
        int n_sessions;
        struct rate3 tps;
    } many[MANY_MAX];
    int n_many;
};

const char *bench_mode_name(enum bench_mode m); /* "prefill", "plain" ... */
void bench_print_text(const struct bench *b);
void bench_print_json(const struct bench *b);

#endif
