/* replay.c - `qagent replay`: a recorded run again, and the first difference. */
#include "agent/agent.h"
#include "agent/recording.h"
#include "cmd/recorded.h"
#include "cmd/run.h"
#include "cmd/view.h"

#include <stdio.h>

struct replay_opts {
    struct model_opts model;
    const char *file;
};

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct replay_opts *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->model; break;
    case ARGP_KEY_ARG:
        if (o->file) opt_fail("unexpected word '%s': one session at a time", arg);
        o->file = arg;
        break;
    case ARGP_KEY_END:
        if (!o->file)
            opt_fail("replay needs the log of a session; example: qagent replay run.jsonl");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* `id "its text"`, inert. */
static void add_token(struct str_buf *b, const struct engine *g, int32_t id)
{
    struct view_tail tail = {0};
    if (id < 0) {
        str_buf_add_z(b, "nothing");
        return;
    }
    str_buf_addf(b, "%d \"", (int)id);
    view_add(b, &tail, engine_piece(g, id), true);
    str_buf_add_z(b, "\"");
}

static void print_difference(const struct engine *g, const struct recording_difference *d)
{
    struct view_tail tail = {0};
    struct str_buf b;
    str_buf_init(&b, 1 << 16);
    if (d->recorded < 0 && d->now < 0) {
        str_buf_addf(&b, "iteration %d: the run goes on otherwise than recorded\n",
                     d->iteration);
    } else {
        str_buf_addf(&b, "iteration %d, %s: token %lld differs: recorded ", d->iteration,
                     d->what, (long long)d->position);
        add_token(&b, g, d->recorded);
        str_buf_add_z(&b, ", now ");
        add_token(&b, g, d->now);
        str_buf_add_z(&b, "\nafter: ");
        for (size_t i = 0; i < d->n_before; i++) {
            view_add(&b, &tail, engine_piece(g, d->before[i]), true);
        }
        str_buf_add_char(&b, '\n');
    }
    fwrite(b.p, 1, b.n, stdout);
    str_buf_release(&b);
}

static int replay(const struct agent_opts *a, struct recording *rec)
{
    struct err e = {0};
    struct agent *agent = NULL;
    struct agent_result r = {0};
    const struct recording_head *h = recording_head(rec);
    enum status st = agent_open(&agent, a, &e);
    if (!st) st = agent_run(agent, h->task, *h->name ? h->name : NULL, &r, &e);
    agent_close(agent);
    const enum agent_outcome outcome = r.outcome;
    agent_result_release(&r);
    if (cmd_stop) return cmd_stop;
    if (st || outcome == AGENT_FAILED) return cmd_fail(EXIT_INTERNAL, &e);
    const struct recording_difference *d = recording_difference(rec);
    if (d) {
        print_difference(a->engine, d);
        return EXIT_INTERNAL;
    }
    printf("identical: %lld tokens\n", (long long)recording_n_compared(rec));
    return EXIT_OK;
}

int replay_main(int argc, char **argv)
{
    const struct argp parser = {
        NULL,
        option,
        "RUN.jsonl",
        "Run a recorded session again, with the recorded results of its programs, and name the "
        "first token that differs.  Exit 0: none did; 1: one did.\v"
        "Example: qagent replay ~/.local/state/qagent/sessions/20261121-101500-42.jsonl",
        MODEL_CHILDREN,
        NULL,
        NULL};
    struct replay_opts o = {.model = model_opts_default()};
    struct engine *engine = NULL;
    struct recording *rec = NULL;
    struct err e = {0};
    char line[240];

    opt_parse(&parser, argc, argv, &o);
    cmd_catch_signals();
    if (recording_open(&rec, o.file, RECORDING_REPLAY, &e)) return cmd_fail(EXIT_USAGE, &e);
    recorded_model(&o.model, recording_head(rec));
    struct engine_expect x = run_expect(&o.model, AGENT_CTX);
    x.n_marks = AGENT_MARKS;
    int code = run_open_engine(&engine, &o.model, &x, true);
    if (!code) {
        const struct recording_head *h = recording_head(rec);
        struct agent_opts a = agent_opts_default();
        if (recorded_is_other_model(h, engine, line)) fprintf(stderr, "qagent: %s\n", line);
        if (recorded_is_other_kernels(h, engine, line)) fprintf(stderr, "qagent: %s\n", line);
        recording_settings(rec, &a);
        a.engine = engine;
        a.recording = rec;
        a.stop = &cmd_stop;
        code = replay(&a, rec);
    }
    engine_close(engine);
    recording_close(rec);
    return code;
}
