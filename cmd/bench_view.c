/* bench_view.c - how the measurements of `qagent bench` are shown. */
#include "cmd/bench.h"
#include "cmd/fold.h"
#include "cmd/view.h"
#include "engine/base/cpu.h"
#include "engine/quant.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

enum { TYPES_SHOWN = 4, HEAD_INDENT = 9, NOTE_INDENT = 4, PROSE_COLUMNS = 80 };

const char *bench_mode_name(enum bench_mode m)
{
    static const char *const NAMES[] = {"prefill", "plain", "draft layer", "copy", "both"};
    _Static_assert(COUNT(NAMES) == MODE_COUNT, "a mode has no name");
    return NAMES[m];
}

/* The sums of a line over its verbs. */
struct total {
    double bytes_per_token, gb_per_s, gflop_per_s, verb_s;
};
static struct total total_of(const struct bench_line *l)
{
    double bytes = 0, macs = 0, verb_s = 0;
    for (int v = 0; v < VERB_COUNT; v++) {
        bytes += l->verbs[v].bytes;
        macs += l->verbs[v].macs;
        verb_s += l->verbs[v].seconds;
    }
    return (struct total){bytes / (double)l->n_tokens, 1e-9 * bytes / l->seconds,
                          2e-9 * macs / l->seconds, verb_s};
}

/* Plain decoding at the same depth: what the other modes are compared with. */
static const struct bench_line *plain_at(const struct bench *b, int64_t depth)
{
    for (int i = 0; i < b->n_lines; i++) {
        if (b->lines[i].mode == MODE_PLAIN && b->lines[i].n == depth) return &b->lines[i];
    }
    return NULL;
}

/* The format with the most bytes that is not in `seen` yet, or -1. */
static int next_type(const struct bench *b, uint64_t seen)
{
    int best = -1;
    for (int t = 0; t < TYPES_MAX; t++) {
        if (seen >> t & 1 || !b->bytes_of_type[t]) continue;
        if (best < 0 || b->bytes_of_type[t] > b->bytes_of_type[best]) best = t;
    }
    return best;
}

static void add_header(const struct bench *b, struct fold *f)
{
    const struct engine_info *i = engine_info(b->g);
    char cpu[64];
    fold_words(f, HEAD_INDENT, "model    %s: %s, %.4g M parameters, %.4g MB:",
               b->o.model.model ? b->o.model.model : "embedded", i->arch,
               (double)i->n_params * 1e-6, (double)i->weight_bytes * 1e-6);
    uint64_t seen = 0;
    for (int k = 0, t = next_type(b, 0); k < TYPES_SHOWN && t >= 0; k++) {
        const struct quant *q = quant_find((uint32_t)t);
        const double percent = 100 * (double)b->bytes_of_type[t] / (double)b->bytes_of_file;
        seen |= 1ull << t;
        t = next_type(b, seen);
        fold_words(f, HEAD_INDENT, " %s %.3g %%%s", q ? q->name : "?", percent,
                   k + 1 < TYPES_SHOWN && t >= 0 ? "," : "");
    }
    fold_line(f);
    fold_words(f, HEAD_INDENT, "machine  %s, %d threads, kernels %s", cpu_name(cpu, sizeof cpu),
               i->n_threads, i->kernels);
    fold_line(f);
    fold_words(f, HEAD_INDENT,
               "limits   read %.1f GB/s, f32 multiply-add %.1f GFLOP/s, "
               "16-bit integer multiply-add %.1f Gop/s (%s instructions)",
               b->machine.read_gbs, b->machine.f32_gflops, b->machine.int_gops,
               b->machine.instructions);
    fold_line(f);
    fold_line(f);
}

static void add_line_heading(struct fold *f)
{
    fold_cell(f, -21, "%s", "");
    fold_cell(f, 9, "tok/s");
    fold_cell(f, 9, "slowest");
    fold_cell(f, 9, "MB/token");
    fold_cell(f, 8, "GB/s");
    fold_cell(f, 7, "read %%");
    fold_cell(f, 9, "GFLOP/s");
    fold_cell(f, 7, "int %%");
    fold_line(f);
}

/* 79 columns with the widths of the heading, then what only drafts have. */
static void add_line(const struct bench *b, struct fold *f, const struct bench_line *l)
{
    const struct total t = total_of(l);
    const struct bench_line *plain = plain_at(b, l->n);
    fold_cell(f, -21, "%s %s%lld", bench_mode_name(l->mode),
              l->mode == MODE_PREFILL ? "" : "at ", (long long)l->n);
    fold_cell(f, 9, "%.2f", l->tps.median);
    fold_cell(f, 9, "%.2f", l->tps.low);
    fold_cell(f, 9, "%.4g", t.bytes_per_token * 1e-6);
    fold_cell(f, 8, "%.2f", t.gb_per_s);
    fold_cell(f, 7, "%.0f", 100 * t.gb_per_s / b->machine.read_gbs);
    fold_cell(f, 9, "%.1f", t.gflop_per_s);
    fold_cell(f, 7, "%.0f", 100 * t.gflop_per_s / b->machine.int_gops);
    if (l->mode > MODE_PLAIN && plain) {
        fold_words(f, NOTE_INDENT, "  %.2f x plain,", l->tps.median / plain->tps.median);
        if (l->stats.n_drafted) {
            fold_words(f, NOTE_INDENT, " %llu of %llu drafts accepted",
                       (unsigned long long)l->stats.n_accepted,
                       (unsigned long long)l->stats.n_drafted);
        } else {
            fold_words(f, NOTE_INDENT, " nothing drafted");
        }
    }
    fold_line(f);
}

/* A verb's name and its time, the same for what no verb took. */
static void add_time(struct fold *f, const struct bench_line *l, const char *name, double s)
{
    fold_cell(f, -14, "  %s", name);
    fold_cell(f, 11, "%.1f", 1e6 * s / (double)l->n_tokens);
    fold_cell(f, 8, "%.1f", 100 * s / l->seconds);
}

static void add_verbs(const struct bench *b, struct fold *f, const struct bench_line *l)
{
    fold_line(f);
    fold_words(f, NOTE_INDENT, "%s %s%lld: %.4g ms a token", bench_mode_name(l->mode),
               l->mode == MODE_PREFILL ? "" : "at ", (long long)l->n,
               1e3 * l->seconds / (double)l->n_tokens);
    fold_line(f);
    fold_cell(f, -14, "  verb");
    fold_cell(f, 11, "us/token");
    fold_cell(f, 8, "time %%");
    fold_cell(f, 10, "GB/s");
    fold_cell(f, 8, "read %%");
    fold_cell(f, 10, "GFLOP/s");
    fold_line(f);
    for (int v = 0; v < VERB_COUNT; v++) {
        const struct verb_stats *s = &l->verbs[v];
        if (!s->n_calls) continue;
        const double gbs = 1e-9 * s->bytes / s->seconds;
        add_time(f, l, verb_name((enum verb)v), s->seconds);
        fold_cell(f, 10, "%.2f", gbs);
        /* What a small verb reads lies in the caches: no share of the memory's rate. */
        fold_cell(f, 8, "%.0f", QA_MIN(100 * gbs / b->machine.read_gbs, 100.0));
        fold_cell(f, 10, "%.2f", 2e-9 * s->macs / s->seconds);
        fold_line(f);
    }
    add_time(f, l, "the rest", l->seconds - total_of(l).verb_s);
    fold_line(f);
}

static void add_many(const struct bench *b, struct fold *f)
{
    fold_cell(f, -18, "decoding together");
    fold_cell(f, 10, "tok/s");
    fold_cell(f, 10, "slowest");
    fold_cell(f, 10, "fastest");
    fold_cell(f, 7, "x one");
    fold_line(f);
    for (int k = 0; k < b->n_many; k++) {
        const struct many_result *r = &b->many[k];
        fold_cell(f, -18, "%d session%s", r->n_sessions, r->n_sessions == 1 ? "" : "s");
        fold_cell(f, 10, "%.2f", r->tps.median);
        fold_cell(f, 10, "%.2f", r->tps.low);
        fold_cell(f, 10, "%.2f", r->tps.high);
        fold_cell(f, 7, "%.2f", r->tps.median / b->many[0].tps.median);
        fold_line(f);
    }
}

/* However wide the terminal, prose is read best in lines of 80. */
static void add_prose(struct fold *f, const char *text)
{
    const int width = f->width;
    f->width = width ? QA_MIN(width, PROSE_COLUMNS) : PROSE_COLUMNS;
    fold_line(f);
    fold_words(f, 0, "%s", text);
    fold_line(f);
    f->width = width;
}

void bench_print_text(const struct bench *b)
{
    struct fold f;
    fold_init(&f, STDOUT_FILENO);
    add_header(b, &f);
    if (b->n_many > 0) {
        add_many(b, &f);
        add_prose(&f, "Tokens of all sessions a second, the median of three runs; prompts are "
                      "other pseudo-random ids for each.");
    } else {
        add_line_heading(&f);
        for (int k = 0; k < b->n_lines; k++)
            add_line(b, &f, &b->lines[k]);
        for (int k = 0; k < b->n_lines && b->o.want_verbs; k++)
            add_verbs(b, &f, &b->lines[k]);
        add_prose(&f, "Medians of three runs. A mode \"at\" N decodes after N tokens; read % "
                      "and int % are shares of the limits of reading and of 16-bit integers. "
                      "Bytes are what had to move, each once a pass: weights, cache, state, "
                      "rows; some of them may come from the processor's own caches. Prompts "
                      "are pseudo-random ids, for decoding a phrase of 96 of them again and "
                      "again: acceptance of drafts on real text differs.");
    }
    view_put(stdout, str_buf_str(&f.out));
    fold_release(&f);
}

/* ---- JSON ---------------------------------------------------------------- */

static json_t *json_rate(const struct rate3 *r)
{
    return json_pack("{s:f, s:f, s:f}", "low", r->low, "median", r->median, "high", r->high);
}

static json_t *json_together(const struct bench *b)
{
    json_t *o = json_array();
    for (int k = 0; k < b->n_many; k++) {
        json_array_append_new(o, json_pack("{s:i, s:o}", "sessions", b->many[k].n_sessions,
                                           "tokens_per_s", json_rate(&b->many[k].tps)));
    }
    return o;
}

static json_t *json_verbs(const struct bench_line *l)
{
    json_t *o = json_object();
    for (int v = 0; v < VERB_COUNT; v++) {
        const struct verb_stats *s = &l->verbs[v];
        if (!s->n_calls) continue;
        json_object_set_new(o, verb_name((enum verb)v),
                            json_pack("{s:I, s:f, s:f, s:f}", "calls", (json_int_t)s->n_calls,
                                      "seconds", s->seconds, "bytes", s->bytes, "macs",
                                      s->macs));
    }
    return o;
}

static json_t *json_places(const uint64_t *n)
{
    json_t *o = json_array();
    for (int i = 0; i < DRAFT_MAX && n[i]; i++)
        json_array_append_new(o, json_integer((json_int_t)n[i]));
    return o;
}

static json_t *json_drafts(const struct bench_line *l)
{
    json_t *o = json_object();
    for (int k = 0; k < DRAFT_SOURCES; k++) {
        const struct draft_stats *d = &l->stats.draft[k];
        if (!d->drafted[0]) continue;
        json_object_set_new(o, draft_source_name((enum draft_source)k),
                            json_pack("{s:o, s:o}", "drafted", json_places(d->drafted),
                                      "accepted", json_places(d->accepted)));
    }
    return o;
}

static json_t *json_line(const struct bench *b, const struct bench_line *l)
{
    const struct total t = total_of(l);
    return json_pack("{s:s, s:I, s:o, s:f, s:f, s:f, s:f, s:f, s:o, s:o}", "mode",
                     bench_mode_name(l->mode), l->mode == MODE_PREFILL ? "tokens" : "depth",
                     (json_int_t)l->n, "tokens_per_s", json_rate(&l->tps), "bytes_per_token",
                     t.bytes_per_token, "gb_per_s", t.gb_per_s, "share_of_read",
                     t.gb_per_s / b->machine.read_gbs, "gflop_per_s", t.gflop_per_s,
                     "share_of_int16", t.gflop_per_s / b->machine.int_gops, "drafts",
                     json_drafts(l), "verbs", json_verbs(l));
}

static json_t *json_types(const struct bench *b)
{
    json_t *o = json_object();
    for (uint64_t seen = 0;;) {
        const int t = next_type(b, seen);
        if (t < 0) return o;
        const struct quant *q = quant_find((uint32_t)t);
        json_object_set_new(o, q ? q->name : "?",
                            json_integer((json_int_t)b->bytes_of_type[t]));
        seen |= 1ull << t;
    }
}

void bench_print_json(const struct bench *b)
{
    const struct engine_info *i = engine_info(b->g);
    char cpu[64];
    json_t *lines = json_array();
    for (int k = 0; k < b->n_lines; k++)
        json_array_append_new(lines, json_line(b, &b->lines[k]));
    json_t *o = json_pack(
        "{s:{s:s, s:s, s:I, s:I, s:o}, s:{s:s, s:i, s:s, s:f, s:f, s:f}, s:o}", "model", "file",
        b->o.model.model ? b->o.model.model : "embedded", "arch", i->arch, "params",
        (json_int_t)i->n_params, "bytes", (json_int_t)i->weight_bytes, "bytes_by_format",
        json_types(b), "machine", "cpu", cpu_name(cpu, sizeof cpu), "threads", i->n_threads,
        "kernels", i->kernels, "read_gb_per_s", b->machine.read_gbs, "f32_gflop_per_s",
        b->machine.f32_gflops, "int16_gop_per_s", b->machine.int_gops, "runs", lines);
    if (o && b->n_many > 0) json_object_set_new(o, "together", json_together(b));
    if (o) json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(o);
}
