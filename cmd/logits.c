/* logits.c - `qagent logits`: raw outputs for a list of ids, for checking engines. */
#include "cmd/run.h"
#include "cmd/trace_file.h"
#include "engine/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_TOKENS = 0x100,
    KEY_OUT,
    KEY_HIDDEN,
    KEY_MTP,
    KEY_MTP_HIDDEN,
    KEY_STEP,
    KEY_CHECK,
    KEY_TRACE,
    KEY_AGAINST
};
enum { TOKENS_MAX_BYTES = 64 << 20 };
/* No kernel is this far from the definition, whatever the weights' format. */
static const double CHECK_MOST = 0.1;

struct logits_opts {
    struct model_opts model;
    const char *tokens, *out, *hidden, *mtp, *mtp_hidden;
    const char *trace, *against; /* a file to write, or to compare with */
    int64_t step;                /* 0: all at once */
    bool want_check;
};

static const struct argp_option OPTIONS[] = {
    {"tokens",                                           KEY_TOKENS, "FILE", 0, "the ids, little-endian int32", 0},
    {"out",                                            KEY_OUT, "FILE", 0, "logits, float32 [T, vocab] (default: standard output)", 0},
    {"hidden",                    KEY_HIDDEN, "FILE", 0, "hidden after the output norm, float32 [T, embd]", 0},
    {"mtp",                                                  KEY_MTP, "FILE", 0, "the draft layer's logits, row 0 zeros", 0},
    {"mtp-hidden",KEY_MTP_HIDDEN, "FILE", 0, "the draft layer's hidden, row 0 zeros", 0},
    {"step",                                                 KEY_STEP, "N", 0, "feed N tokens at a time (default: all at once)", 0},
    {"check-ref",                                                 KEY_CHECK, 0, 0,
     "run the definition beside every verb, on the same inputs, and show the largest "
     "differences", 0},
    {"trace",                                           KEY_TRACE, "FILE", 0,
     "write a line for every output of every verb: its checksum, and its root mean square", 0},
    {"trace-against",                                            KEY_AGAINST, "FILE", 0,
     "compare with the trace of another run, bit by bit, and name the first verb that differs "
     "(exit 1)", 0},
    {0},
};

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct logits_opts *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->model; break;
    case KEY_TOKENS: o->tokens = arg; break;
    case KEY_OUT: o->out = arg; break;
    case KEY_HIDDEN: o->hidden = arg; break;
    case KEY_MTP: o->mtp = arg; break;
    case KEY_MTP_HIDDEN: o->mtp_hidden = arg; break;
    case KEY_STEP: o->step = opt_int_arg("step", arg, 1, 1 << 24); break;
    case KEY_CHECK:
        o->want_check = true;
        o->model.trace = TRACE_CHECK;
        break;
    case KEY_TRACE: o->trace = arg; break;
    case KEY_AGAINST: o->against = arg; break;
    case ARGP_KEY_ARG: opt_fail("unexpected word '%s'", arg);
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* One output: rows of `width` floats, written to `path` when it is asked for. */
struct matrix {
    const char *path;
    size_t width;
    float *p;
};

static enum status matrix_alloc(struct matrix *m, bool is_wanted, size_t rows, struct err *e)
{
    if (!is_wanted) return QA_OK;
    size_t n;
    if (!size_mul_ok(rows, m->width, &n) || !(m->p = calloc(n, sizeof *m->p))) {
        return err_set(e, QA_E_NOMEM, "no memory for %zu rows of %zu floats", rows, m->width);
    }
    return QA_OK;
}

static enum status matrix_write(const struct matrix *m, size_t rows, struct err *e)
{
    if (!m->p) return QA_OK;
    const struct str bytes = {(const char *)m->p, rows * m->width * sizeof *m->p};
    if (m->path) return file_write(m->path, bytes, e);
    return file_write_all(1, bytes.p, bytes.n, "standard output", e);
}

static enum status check_ids(const struct logits_opts *o,
                             const struct str_buf *b,
                             const struct engine_info *i,
                             struct err *e)
{
    if (b->n == 0 || b->n % 4) {
        return err_set(e, QA_E_USAGE, "'%s' is not a list of int32: %zu bytes", o->tokens,
                       b->n);
    }
    for (size_t k = 0; k < b->n / 4; k++) {
        int32_t id;
        memcpy(&id, b->p + 4 * k, 4);
        if (id < 0 || id >= i->n_vocab) {
            return err_set(e, QA_E_USAGE, "'%s': id %d at place %zu, the vocabulary has %d",
                           o->tokens, (int)id, k, i->n_vocab);
        }
    }
    return QA_OK;
}

/* Asked for, or nothing else is. */
static bool wants_logits(const struct logits_opts *o)
{
    return o->out ||
           !(o->hidden || o->mtp || o->mtp_hidden || o->want_check || o->trace || o->against);
}

static enum status work(const struct logits_opts *o,
                        struct engine *g,
                        const struct str_buf *tokens,
                        struct err *e)
{
    const struct engine_info *info = engine_info(g);
    const size_t n = tokens->n / 4;
    const size_t vocab = (size_t)info->n_vocab;
    const size_t embd = (size_t)info->n_embd;
    struct matrix m[4] = {
        {.path = o->out,        .width = vocab},
        {.path = o->hidden,     .width = embd },
        {.path = o->mtp,        .width = vocab},
        {.path = o->mtp_hidden, .width = embd },
    };
    enum status st = check_ids(o, tokens, info, e);
    if (!st && (o->mtp || o->mtp_hidden) && !info->has_draft) {
        st = err_set(e, QA_E_USAGE, "the model has no draft layer");
    }
    for (int i = 0; i < 4 && !st; i++) {
        st = matrix_alloc(&m[i], m[i].path || (i == 0 && wants_logits(o)), n, e);
    }
    if (!st) {
        const struct raw_outputs raw = {m[0].p, m[1].p, m[2].p, m[3].p};
        int32_t *ids = malloc(tokens->n); /* the buffer's bytes need not be aligned */
        st = ids ? QA_OK : err_set(e, QA_E_NOMEM, "out of memory");
        if (ids) memcpy(ids, tokens->p, tokens->n);
        if (!st) st = engine_raw(g, ids, n, o->step ? (size_t)o->step : n, &raw, e);
        free(ids);
    }
    for (int i = 0; i < 4; i++) {
        if (!st) st = matrix_write(&m[i], n, e);
        free(m[i].p);
    }
    return st;
}

/* The largest relative error of each verb.  False when one is out of all bounds; routing is
 * not judged by it, where two experts tie the choice may differ. */
static bool print_check(const struct engine *g)
{
    bool is_fine = true;
    printf("%-12s %10s %10s %14s %10s\n", "verb", "calls", "compared", "largest error",
           "at call");
    for (int v = 0; v < VERB_COUNT; v++) {
        const struct verb_stats s = engine_verb(g, (enum verb)v);
        if (!s.n_checked) continue;
        printf("%-12s %10llu %10llu %14.3g %10llu\n", verb_name((enum verb)v),
               (unsigned long long)s.n_calls, (unsigned long long)s.n_checked, s.worst,
               (unsigned long long)s.i_worst);
        if (v != VERB_ROUTE && !(s.worst <= CHECK_MOST)) is_fine = false;
    }
    return is_fine;
}

static enum status open_trace(struct trace_file **out, struct logits_opts *o, struct err *e)
{
    const char *path = o->trace ? o->trace : o->against;
    const enum status st = trace_file_open(out, path, o->against != NULL, e);
    if (st) return st;
    o->model.tracer = trace_file_tracer(*out);
    if (o->model.trace == TRACE_OFF) o->model.trace = TRACE_COUNT;
    return QA_OK;
}

int logits_main(int argc, char **argv)
{
    struct logits_opts o = {.model = model_opts_default()};
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .children = MODEL_CHILDREN,
        .doc = "Raw logits and hidden vectors for a list of token ids.\v"
               "Example: qagent logits -m MODEL.gguf --tokens ids.bin --out logits.f32",
    };
    opt_parse(&parser, argc, argv, &o);
    if (!o.tokens) opt_fail("logits needs --tokens FILE");
    if (o.trace && o.against) opt_fail("give --trace or --trace-against, not both");
    cmd_catch_signals();
    struct err e = {0};
    struct engine *g = NULL;
    struct trace_file *trace = NULL;
    struct str_buf tokens;
    str_buf_init(&tokens, TOKENS_MAX_BYTES);
    int code = EXIT_USAGE;
    if (file_read(&tokens, o.tokens, &e)) {
        code = cmd_fail(EXIT_USAGE, &e);
        goto out;
    }
    if ((o.trace || o.against) && open_trace(&trace, &o, &e)) {
        code = cmd_fail(EXIT_USAGE, &e);
        goto out;
    }
    const int64_t n = (int64_t)(tokens.n / 4);
    struct engine_expect x = run_expect(&o.model, QA_MAX(n, (int64_t)1));
    x.n_vocab_rows = n * ((wants_logits(&o) ? 1 : 0) + (o.mtp ? 1 : 0));
    x.n_embd_rows = n * ((o.hidden ? 1 : 0) + (o.mtp_hidden ? 1 : 0));
    code = run_open_engine(&g, &o.model, &x, true);
    if (code) goto out;
    bool is_same = true;
    enum status st = work(&o, g, &tokens, &e);
    if (!st && trace) st = trace_file_end(trace, &is_same, &e);
    if (st == QA_E_STOP) {
        code = cmd_stop;
    } else if (st) {
        code = cmd_fail(st == QA_E_USAGE || st == QA_E_IO ? EXIT_USAGE : EXIT_INTERNAL, &e);
    } else if (o.want_check && !print_check(g)) {
        err_set(&e, QA_E_INTERNAL, "kernels '%s' differ from ref by more than %g",
                engine_info(g)->kernels, CHECK_MOST);
        code = cmd_fail(EXIT_INTERNAL, &e);
    } else if (!is_same) {
        code = EXIT_INTERNAL;
    }
out:
    engine_close(g);
    trace_file_close(trace);
    str_buf_release(&tokens);
    return code;
}
