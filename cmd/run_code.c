/* run_code.c - `qagent run`: the code_execution tool by hand. */
#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "engine/base/file.h"
#include "sandbox/sandbox.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { CODE_MAX_BYTES = 8 << 20 };
enum { KEY_TIMEOUT = 0x100, KEY_MEMORY, KEY_JSON, KEY_LEVEL };

struct run_code_opts {
    const char *file;
    struct run_limits limits;
    enum sandbox_level level;
    bool want_json;
};

static const struct argp_option OPTIONS[] = {
    {"timeout",                                        KEY_TIMEOUT, "TIME", 0, "end the program after this long (default 10s)", 0},
    {"memory",                                          KEY_MEMORY, "SIZE", 0, "memory of the program (default 2G)", 0},
    {"json", KEY_JSON, 0, 0, "print one JSON object about the run", 0},
    {"level",                                                KEY_LEVEL, "NAME", 0,
     "jail: auto, full, user, seccomp (default auto: full as root, else user)", 0},
    {0},
};

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct run_code_opts *o = state->input;
    switch (key) {
    case KEY_TIMEOUT: {
        const double seconds = opt_seconds_arg("timeout", arg);
        if (seconds < 0.001 || seconds > 24 * 3600) {
            opt_fail("--timeout %s: 1ms to 24h is possible", arg);
        }
        o->limits.timeout_ms = (int)(seconds * 1000);
        break;
    }
    case KEY_MEMORY: o->limits.memory_bytes = opt_bytes_arg("memory", arg); break;
    case KEY_JSON: o->want_json = true; break;
    case KEY_LEVEL:
        if (!sandbox_level_of(arg, &o->level)) {
            opt_fail("--level %s: auto, full, user or seccomp", arg);
        }
        break;
    case ARGP_KEY_ARG:
        if (o->file) opt_fail("unexpected word '%s': one file at a time", arg);
        o->file = arg;
        break;
    case ARGP_KEY_END:
        if (!o->file) opt_fail("run needs a file, or - for standard input");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static int print_json(const struct run_result *r, const char *statement)
{
    json_t *all = json_pack("{s:s, s:i, s:i, s:s%, s:s%, s:I, s:f, s:s}", "status",
                            run_status_name(r->status), "exit_code", r->exit_code, "signal",
                            r->signal, "stdout", r->out, r->n_out, "stderr", r->errtext,
                            r->n_errtext, "truncated_bytes", (json_int_t)r->truncated_bytes,
                            "duration_ms", r->duration_ms, "sandbox", statement);
    if (!all) return -1;
    const int failure = json_dumpf(all, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(all);
    return failure;
}

/* Why a program that did not end with 0 ended: the words that the model gets. */
static void print_ending(const struct run_result *r, const struct run_limits *limits)
{
    switch (r->status) {
    case RUN_OK: break;
    case RUN_ERROR: fprintf(stderr, "[exit code %d]\n", r->exit_code); break;
    case RUN_TIMEOUT:
        fprintf(stderr, "[timed out after %g s]\n", limits->timeout_ms / 1000.0);
        break;
    case RUN_OOM: fputs("[out of memory]\n", stderr); break;
    case RUN_OUTPUT_LIMIT: fputs("[output limit reached]\n", stderr); break;
    case RUN_SIGNAL: fprintf(stderr, "[killed by signal %d]\n", r->signal); break;
    case RUN_KILLED: fputs("[killed]\n", stderr); break;
    }
}

static void print_text(const struct run_result *r, const struct run_limits *limits)
{
    fwrite(r->out, 1, r->n_out, stdout);
    fflush(stdout);
    fwrite(r->errtext, 1, r->n_errtext, stderr);
    if (r->n_errtext && r->errtext[r->n_errtext - 1] != '\n') fputc('\n', stderr);
    print_ending(r, limits);
}

int run_code_main(int argc, char **argv)
{
    struct run_code_opts o = {.limits = run_limits_default()};
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .args_doc = "FILE.py|-",
        .doc = "Run Python in the jail that the model's code runs in, with its limits.\v"
               "Exit: 0 the program ended with 0, 1 it did not, 7 the jail cannot be set up.\n"
               "Example: qagent run --timeout 30s --memory 1G program.py",
    };
    opt_parse(&parser, argc, argv, &o);
    cmd_catch_signals();

    struct err e = {0};
    struct sandbox *s = NULL;
    struct run_result r = {0};
    struct str_buf code;
    str_buf_init(&code, CODE_MAX_BYTES);
    int exit_code = EXIT_USAGE;

    if (file_read(&code, o.file, &e)) {
        exit_code = cmd_stop ? cmd_stop : cmd_fail(EXIT_USAGE, &e);
        goto out;
    }
    const struct sandbox_opts so = {.level = o.level};
    if (sandbox_open(&s, &so, &e)) {
        exit_code = cmd_stop ? cmd_stop : cmd_fail(EXIT_SANDBOX, &e);
        goto out;
    }
    const enum status st =
        sandbox_run(s, str_buf_str(&code), RUN_CELL, &o.limits, &cmd_stop, &r, &e);
    if (st) {
        exit_code =
            cmd_stop ? cmd_stop : cmd_fail(st == QA_E_USAGE ? EXIT_USAGE : EXIT_SANDBOX, &e);
        goto out;
    }
    exit_code = r.status == RUN_OK ? EXIT_OK : EXIT_INTERNAL;
    if (o.want_json && print_json(&r, sandbox_statement(s))) exit_code = EXIT_INTERNAL;
    if (!o.want_json) print_text(&r, &o.limits);
    if (cmd_stop) exit_code = cmd_stop;
out:
    run_result_release(&r);
    sandbox_close(s);
    str_buf_release(&code);
    return exit_code;
}
