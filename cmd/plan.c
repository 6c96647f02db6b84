/* plan.c - `qagent plan`: what a model will take of this machine, before it is loaded. */
#include "agent/agent.h"
#include "cmd/run.h"

#include <jansson.h>
#include <stdio.h>

enum { KEY_JSON = 0x100, KEY_SESSIONS, KEY_MARKS };

struct plan_opts {
    struct model_opts model;
    bool want_json, has_word;
    int n_sessions, n_marks;
};

static const struct argp_option OPTIONS[] = {
    {"sessions",                               KEY_SESSIONS, "N", 0, "sessions at the same time (default 1)", 0},
    {"marks",                                     KEY_MARKS, "N", 0, "marks per session (default 3, what a task takes)", 0},
    {"json", KEY_JSON, 0, 0, "one JSON object, sizes in bytes", 0},
    {0                                       },
};

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct plan_opts *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->model; break;
    case KEY_JSON: o->want_json = true; break;
    case KEY_SESSIONS: o->n_sessions = (int)opt_int_arg("sessions", arg, 1, 1024); break;
    case KEY_MARKS: o->n_marks = (int)opt_int_arg("marks", arg, 0, 1024); break;
    case ARGP_KEY_ARG:
        if (o->has_word) opt_fail("unexpected word '%s'; plan takes one model", arg);
        o->model.model = arg;
        o->has_word = true;
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* 12.34 GB, 56.7 MB, 8.9 kB */
static void print_size(uint64_t bytes)
{
    if (bytes >= 1000000000) {
        printf("%9.2f GB", (double)bytes * 1e-9);
    } else if (bytes >= 1000000) {
        printf("%9.1f MB", (double)bytes * 1e-6);
    } else {
        printf("%9.1f kB", (double)bytes * 1e-3);
    }
}

static void print_row(const char *name, uint64_t bytes, const char *note)
{
    printf("  %-28s", name);
    print_size(bytes);
    printf("%s%s\n", *note ? "  " : "", note);
}

static void print_plain(const struct plan_opts *o, const struct engine_plan *p)
{
    char kv[96], marks[64];
    snprintf(kv, sizeof kv, "%lld tokens, K %s, V %s", (long long)p->n_ctx,
             kv_type_name(o->model.kv_k), kv_type_name(o->model.kv_v));
    snprintf(marks, sizeof marks, "%d, and %d that long prompts get", p->n_marks,
             p->n_auto_marks);
    printf("%s: %.2f B parameters%s, %d session%s\n",
           o->model.model ? o->model.model : "embedded model", (double)p->n_params * 1e-9,
           p->has_draft ? ", with draft layer" : "", p->n_sessions,
           p->n_sessions == 1 ? "" : "s");
    printf("\n  %-28s%12s\n", "", "RAM");
    for (int i = 0; i < PLAN_PARTS; i++) {
        if (!p->bytes[i]) continue;
        print_row(plan_part_name((enum plan_part)i), p->bytes[i],
                  i == PLAN_KV      ? kv
                  : i == PLAN_MARKS ? marks
                                    : "");
    }
    putchar('\n');
    if (p->mapped) print_row("mapped, page cache", p->mapped, "");
    print_row("needed", p->needed, "");
    if (p->free != UINT64_MAX) print_row("free", p->free, "");
    printf("\n  KV cache of %lld tokens by type (K and V)\n", (long long)p->n_ctx);
    for (int t = 0; t < KV_TYPE_COUNT; t++) {
        if (p->kv_bytes[t]) print_row(kv_type_name((enum kv_type)t), p->kv_bytes[t], "");
    }
}

static json_t *size_json(uint64_t v)
{
    return v == UINT64_MAX ? json_null() : json_integer((json_int_t)v);
}

static void print_json(const struct plan_opts *o, const struct engine_plan *p)
{
    json_t *parts = json_object(), *kv = json_object();
    for (int i = 0; i < PLAN_PARTS; i++)
        json_object_set_new(parts, plan_part_name((enum plan_part)i), size_json(p->bytes[i]));
    for (int t = 0; t < KV_TYPE_COUNT; t++) {
        if (p->kv_bytes[t])
            json_object_set_new(kv, kv_type_name((enum kv_type)t), size_json(p->kv_bytes[t]));
    }
    json_t *all = json_pack(
        "{s:s?, s:I, s:I, s:i, s:i, s:i, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:b}", "model",
        o->model.model, "parameters", (json_int_t)p->n_params, "ctx", (json_int_t)p->n_ctx,
        "sessions", p->n_sessions, "marks", p->n_marks, "automatic_marks", p->n_auto_marks,
        "kv_k", kv_type_name(o->model.kv_k), "kv_v", kv_type_name(o->model.kv_v), "parts",
        parts, "kv_by_type", kv, "needed", size_json(p->needed), "mapped", size_json(p->mapped),
        "free", size_json(p->free), "fits", p->needed <= p->free);
    json_dumpf(all, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(all);
}

int plan_main(int argc, char **argv)
{
    struct plan_opts o = {
        .model = model_opts_default(), .n_sessions = 1, .n_marks = AGENT_MARKS};
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .args_doc = "[MODEL.gguf]",
        .children = MODEL_CHILDREN,
        .doc = "What a model will take of memory, and whether that is free, before anything "
               "is loaded.  Exit 3 when it does not fit.\v"
               "Example: qagent plan -m MODEL.gguf --ctx 65536 --kv f16",
    };
    opt_parse(&parser, argc, argv, &o);
    struct err e = {0};
    struct engine_plan p;
    struct engine_expect x = run_expect(&o.model, AGENT_CTX);
    x.n_sessions = o.n_sessions;
    x.n_marks = o.n_marks;
    const struct engine_opts eo = run_engine_opts(&o.model, &x);
    const enum status st = engine_plan(&p, &eo, &e);
    if (st) return cmd_fail(st == QA_E_USAGE ? EXIT_USAGE : EXIT_MODEL, &e);
    if (o.want_json) {
        print_json(&o, &p);
    } else {
        print_plain(&o, &p);
    }
    fflush(stdout);
    return engine_plan_check(&p, &e) ? cmd_fail(EXIT_MODEL, &e) : EXIT_OK;
}
