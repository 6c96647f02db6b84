/* run.c - opening the model for a command: shared words, progress, exit codes. */
#include "cmd/run.h"

#include "engine/base/clock.h"
#include "engine/tiny/tiny.h"

#include <stdio.h>
#include <unistd.h>

struct bar {
    double start_s, drawn_s;
    bool is_drawn;
};

/* At most ten times a second, and never for a load that ends in a blink. */
static void draw_bar(void *ctx, uint64_t done, uint64_t total)
{
    struct bar *b = ctx;
    const double now = clock_now_s();
    if (now - b->start_s < 0.3 || (now - b->drawn_s < 0.1 && done < total) || !total) return;
    b->drawn_s = now;
    b->is_drawn = true;
    const double rate = (double)done / (now - b->start_s);
    const double left_s = rate > 0 ? (double)(total - done) / rate : 0;
    const bool is_slow = rate < 1e9;
    char line[128]; /* what the terminal is too narrow for goes: a second row would stay */
    snprintf(line, sizeof line, "loading %3.0f %%  %.2f of %.2f GB  %.*f %s/s  %.0f s left",
             100.0 * (double)done / (double)total, (double)done * 1e-9, (double)total * 1e-9,
             is_slow ? 0 : 2, rate * (is_slow ? 1e-6 : 1e-9), is_slow ? "MB" : "GB", left_s);
    fprintf(stderr, "\r\033[K%.*s", QA_MAX(opt_columns(STDERR_FILENO) - 1, 1), line);
}

static void announce(const struct engine_info *i, const struct model_opts *o)
{
    if (!o->model) {
        fprintf(stderr,
                "qagent: embedded demo model, %.1f M parameters: small tasks only; "
                "-m FILE.gguf takes a real one\n",
                (double)i->n_params * 1e-6);
        return;
    }
    char how[64] = "read"; /* how the weights came; those of a small file with its metadata */
    char name[128];        /* out of the file: any bytes */
    snprintf(name, sizeof name, "%s", *i->name ? i->name : i->arch);
    str_make_inert(name);
    if (o->want_mmap) {
        snprintf(how, sizeof how, "mapped");
    } else if (i->read_bytes) {
        snprintf(how, sizeof how, "read at %.2f GB/s",
                 (double)i->read_bytes * 1e-9 / i->read_s);
    }
    fprintf(stderr,
            "qagent: %s, %.2f B parameters, %.2f GB %s, %d threads, kernels %s, %.1f s\n", name,
            (double)i->n_params * 1e-9, (double)i->weight_bytes * 1e-9, how, i->n_threads,
            i->kernels, i->load_s);
}

struct engine_expect run_expect(const struct model_opts *o, int64_t otherwise)
{
    return (struct engine_expect){.cap_tokens = o->ctx_tokens ? o->ctx_tokens : otherwise,
                                  .is_default = !o->ctx_tokens,
                                  .n_draft = run_n_draft(o),
                                  .n_copy = run_n_copy(o)};
}

struct engine_opts run_engine_opts(const struct model_opts *o, const struct engine_expect *x)
{
    struct engine_opts eo = engine_opts_default();
    eo.model_path = o->model;
    if (!o->model) {
        eo.model_bytes = (struct str){qa_tiny_gguf, (size_t)(qa_tiny_gguf_end - qa_tiny_gguf)};
    }
    eo.kernels = o->kernels;
    eo.n_threads = o->n_threads;
    eo.kv_k = o->kv_k;
    eo.kv_v = o->kv_v;
    eo.want_mmap = o->want_mmap;
    eo.trace = o->trace;
    eo.tracer = o->tracer;
    eo.want_draft = o->n_draft != 0;
    eo.expect = *x;
    return eo;
}

static int open_with(struct engine **out, const struct engine_opts *eo)
{
    struct err e = {0};
    const enum status st = engine_open(out, eo, &e);
    const struct bar *bar = eo->progress.ctx;
    if (bar && bar->is_drawn) fputs("\r\033[K", stderr);
    if (st == QA_E_STOP) {
        fprintf(stderr, "qagent: %s while the model was loading\n",
                cmd_stop == EXIT_TERMINATED ? "terminated" : "interrupted");
        return cmd_stop ? cmd_stop : EXIT_INTERRUPTED;
    }
    if (st == QA_E_USAGE) return cmd_fail(EXIT_USAGE, &e);
    return st ? cmd_fail(EXIT_MODEL, &e) : EXIT_OK;
}

int run_open_engine(struct engine **out,
                    const struct model_opts *o,
                    const struct engine_expect *x,
                    bool is_quiet)
{
    struct bar bar = {.start_s = clock_now_s()};
    struct engine_opts eo = run_engine_opts(o, x);
    if (!is_quiet && isatty(STDERR_FILENO)) {
        eo.progress = (struct engine_progress){.report = draw_bar, .ctx = &bar};
    }
    const int code = open_with(out, &eo);
    if (!code && !is_quiet) announce(engine_info(*out), o);
    return code;
}

int run_open_text(struct engine **out, const struct model_opts *o)
{
    struct engine_opts eo = run_engine_opts(o, &(struct engine_expect){0});
    eo.is_text_only = true;
    return open_with(out, &eo);
}

struct sampling run_sampling(const struct model_opts *o)
{
    return o->sampling;
}

int run_n_draft(const struct model_opts *o)
{
    return o->n_draft < 0 ? 3 : o->n_draft;
}

int run_n_copy(const struct model_opts *o)
{
    return o->n_copy < 0 ? DRAFT_MAX : o->n_copy;
}

struct agent_opts run_agent_opts(const struct model_opts *o)
{
    struct agent_opts a = agent_opts_default();
    a.limits.think_tokens = o->think_tokens;
    a.sampling = run_sampling(o);
    a.ctx_tokens = o->ctx_tokens;
    a.n_draft = run_n_draft(o);
    a.n_copy = run_n_copy(o);
    a.prefix_dir = opt_prefix_dir();
    return a;
}
