/* bench_view.c - how the measurements of `qagent bench` are shown. */
#include "cmd/bench.h"
#include "engine/base/cpu.h"
#include "engine/quant.h"

#include <jansson.h>
#include <stdio.h>

enum { TYPES_SHOWN = 4 };

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

static void print_header(const struct bench *b)
{
    const struct engine_info *i = engine_info(b->g);
    char cpu[64];
    printf("model    %s: %s, %.4g M parameters, %.4g MB:",
           b->o.model.model ? b->o.model.model : "embedded", i->arch,
           (double)i->n_params * 1e-6, (double)i->weight_bytes * 1e-6);
    uint64_t seen = 0;
    for (int k = 0; k < TYPES_SHOWN; k++) {
        const int t = next_type(b, seen);
        if (t < 0) break;
        const struct quant *q = quant_find((uint32_t)t);
        printf("%s %s %.3g %%", k ? "," : "", q ? q->name : "?",
               100 * (double)b->bytes_of_type[t] / (double)b->bytes_of_file);
        seen |= 1ull << t;
    }
    printf("\nmachine  %s, %d threads, kernels %s\n", cpu_name(cpu, sizeof cpu), i->n_threads,
           i->kernels);
    printf("limits   read %.1f GB/s, f32 multiply-add %.1f GFLOP/s, "
           "16-bit integer multiply-add %.1f Gop/s (%s instructions)\n\n",
           b->machine.read_gbs, b->machine.f32_gflops, b->machine.int_gops,
           b->machine.instructions);
}

static void print_line(const struct bench *b, const struct bench_line *l)
{
    const struct total t = total_of(l);
    const struct bench_line *plain = plain_at(b, l->n);
    char what[40];
    snprintf(what, sizeof what, "%s %s%lld", bench_mode_name(l->mode),
             l->mode == MODE_PREFILL ? "" : "after ", (long long)l->n);
    printf("%-23s %9.2f  %-19.2f %9.4g %8.2f %5.0f %% %9.1f %5.0f %%", what, l->tps.median,
           l->tps.low, t.bytes_per_token * 1e-6, t.gb_per_s,
           100 * t.gb_per_s / b->machine.read_gbs, t.gflop_per_s,
           100 * t.gflop_per_s / b->machine.int_gops);
    if (l->mode > MODE_PLAIN && plain) {
        printf("  %.2f x plain", l->tps.median / plain->tps.median);
        if (l->stats.n_drafted) {
            printf(", %llu of %llu drafts accepted", (unsigned long long)l->stats.n_accepted,
                   (unsigned long long)l->stats.n_drafted);
        } else {
            printf(", nothing drafted");
        }
    }
    putchar('\n');
}

static void print_verbs(const struct bench *b, const struct bench_line *l)
{
    const struct total t = total_of(l);
    printf("\n%s %s%lld: %.4g ms a token\n", bench_mode_name(l->mode),
           l->mode == MODE_PREFILL ? "" : "after ", (long long)l->n,
           1e3 * l->seconds / (double)l->n_tokens);
    printf("  %-12s %10s %7s %9s %14s %10s\n", "verb", "us/token", "time", "GB/s",
           "of read limit", "GFLOP/s");
    for (int v = 0; v < VERB_COUNT; v++) {
        const struct verb_stats *s = &l->verbs[v];
        if (!s->n_calls) continue;
        const double gbs = 1e-9 * s->bytes / s->seconds;
        printf("  %-12s %10.1f %5.1f %% %9.2f %12.0f %% %10.2f\n", verb_name((enum verb)v),
               1e6 * s->seconds / (double)l->n_tokens, 100 * s->seconds / l->seconds, gbs,
               QA_MIN(100 * gbs / b->machine.read_gbs, 100.0), 2e-9 * s->macs / s->seconds);
    }
    /* What a small verb reads lies in the caches: no share of the memory's rate. */
    printf("  %-12s %10.1f %5.1f %%\n", "the rest",
           1e6 * (l->seconds - t.verb_s) / (double)l->n_tokens,
           100 * (l->seconds - t.verb_s) / l->seconds);
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

void bench_print_text(const struct bench *b)
{
    print_header(b);
    if (b->n_many > 0) {
        print_many(b);
        return;
    }
    printf("%-23s %9s  %-19s %9s %8s %7s %9s %7s\n", "", "tok/s", "slowest of 3", "MB/token",
           "GB/s", "of read", "GFLOP/s", "of int");
    for (int k = 0; k < b->n_lines; k++)
        print_line(b, &b->lines[k]);
    for (int k = 0; k < b->n_lines && b->o.want_verbs; k++)
        print_verbs(b, &b->lines[k]);
    printf("\nBytes are what had to move, each once a pass: weights, cache, state, rows; some\n"
           "of them may come from the processor's own caches.  Prompts are pseudo-random ids,\n"
           "for decoding a phrase of 96 of them again and again: acceptance of drafts on real\n"
           "text differs.\n");
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
