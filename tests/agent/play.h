/* play.h - one run of the agent from a tape, with everything it told. */
#ifndef QA_TEST_PLAY_H
#define QA_TEST_PLAY_H

#include "tests/agent/tape.h"

/* One run with its tape, and everything that was told. */
struct play {
    struct fake_tape tape;
    struct agent_limits limits;
    struct agent_opts opts;
    struct engine *engine;
    struct sandbox *sandbox;
    struct agent_result result;
    struct str_buf notices, think, text, code, tool, answer, log;
    int n_done, n_answers, n_iterations;
    double last_t_s;
    char *session; /* decoded tokens of the session */
    struct ids ids;
    struct fake_log seen;
};

static void on_event(void *ctx, const struct agent_event *ev)
{
    struct play *p = ctx;
    assert_true(ev->t_s >= p->last_t_s);
    assert_int_equal(p->n_done, 0); /* nothing comes after the end */
    p->last_t_s = ev->t_s;
    switch (ev->type) {
    case AGENT_STARTED:
    case AGENT_PREFILL:
    case AGENT_COMPACTED: break;
    case AGENT_ITERATION: p->n_iterations++; break;
    case AGENT_THINK: str_buf_add(&p->think, ev->text); break;
    case AGENT_TEXT: str_buf_add(&p->text, ev->text); break;
    case AGENT_TOOL_CODE: str_buf_add(&p->code, ev->text); break;
    case AGENT_TOOL_STARTED: break;
    case AGENT_TOOL_DONE:
        str_buf_add(&p->tool, ev->text);
        str_buf_add_char(&p->tool, '|');
        break;
    case AGENT_NOTICE:
        str_buf_add(&p->notices, ev->text);
        str_buf_add_char(&p->notices, '|');
        break;
    case AGENT_ITERATION_DONE: break;
    case AGENT_ANSWER:
        p->n_answers++;
        str_buf_add(&p->answer, ev->text);
        break;
    case AGENT_DONE: p->n_done++; break;
    }
}

static void init(struct play *p, const struct fake_turn *turns, size_t n)
{
    struct str_buf *bufs[] = {&p->notices, &p->think, &p->text, &p->code, &p->tool, &p->answer};
    *p = (struct play){
        .tape = {.turns = turns, .n_turns = n}
    };
    for (size_t i = 0; i < COUNT(bufs); i++) {
        str_buf_init(bufs[i], 16 << 20);
        str_buf_add_z(bufs[i], "");
    }
    p->opts = agent_opts_default();
    p->opts.sink = (struct agent_sink){on_event, p};
}

static void play(struct play *p, const char *task)
{
    struct err e = {0};
    struct agent *a = NULL;
    assert_int_equal(fake_engine_open(&p->engine, &p->tape, &e), QA_OK);
    assert_int_equal(sandbox_open(&p->sandbox, &(struct sandbox_opts){0}, &e), QA_OK);
    p->opts.engine = p->engine;
    p->opts.sandbox = p->sandbox;
    assert_int_equal(agent_open(&a, &p->opts, &e), QA_OK);
    if (agent_run(a, str_of(task), NULL, &p->result, &e)) fail_msg("%s", e.text);
    agent_close(a);
    p->session = strdup(fake_engine_text(p->engine));
    assert_int_equal(
        ids_add(&p->ids, fake_engine_ids(p->engine)->p, fake_engine_ids(p->engine)->n, &e),
        QA_OK);
    p->seen = *fake_engine_log(p->engine);
    assert_int_equal(p->n_done, 1);
    assert_int_equal(p->n_answers, p->result.answer != NULL);
    /* The one promise: an answer, or a reason that is not 0. */
    if (!p->result.answer) assert_int_not_equal(agent_outcome_exit(p->result.outcome), 0);
    if (p->result.answer) assert_string_equal(p->answer.p, p->result.answer);
}

static void release(struct play *p)
{
    struct str_buf *bufs[] = {&p->notices, &p->think, &p->text, &p->code, &p->tool, &p->answer};
    for (size_t i = 0; i < COUNT(bufs); i++) {
        str_buf_release(bufs[i]);
    }
    agent_result_release(&p->result);
    ids_release(&p->ids);
    free(p->session);
    engine_close(p->engine);
    sandbox_close(p->sandbox);
}

static void has(const struct play *p, const char *where, const char *text)
{
    if (!strstr(where, text)) {
        fail_msg("no '%s' in '%s'\nsession: %s\nnotices: %s", text, where, p->session,
                 p->notices.p);
    }
}

static void hasnt(const char *where, const char *text)
{
    if (strstr(where, text)) fail_msg("'%s' in '%s'", text, where);
}

static void ends(struct play *p, enum agent_outcome o, const char *code)
{
    if (p->result.outcome != o) {
        fail_msg("%s, not %s; notices: %s\nsession: %s", agent_outcome_name(p->result.outcome),
                 agent_outcome_name(o), p->notices.p, p->session);
    }
    if (code) {
        assert_non_null(p->result.code);
        assert_string_equal(p->result.code, code);
    }
}

static struct play the_play;
#define PLAY(...)                                          \
    struct play *p = &the_play;                            \
    static const struct fake_turn turns[] = {__VA_ARGS__}; \
    init(p, turns, COUNT(turns))

/* A tiny model whose second attempt comes out less likely than the way of its third, which
 * fails: the second waits, is run then, and is right. */
static const struct fake_turn WAITING[] = {
    {"add it\n</think>" CALL("def    return x + 2"), false},
    {"ul it\n</think>" CALL("def    return 2 * x"),  false},
    {"ub it\n</think>" CALL("def    return 3 * x"),  false},
    {"ok" OPENED("def    return 2 * x"),             false},
};
static const struct fake_doubt WAITING_DOUBTS[] = {
    {0, 0, 'm', 1}, /* -1.31                                     */
    {0, 4, 's', 2}, /* -0.31 - 2.13, and four of -0.31 below it: */
    {1, 0, 'A', 1},
    {1, 1, 'B', 1},
    {1, 3, 'C', 1},
    {1, 4, 'D', 1},
};

/* n_told turns of the tape were played before. */
static inline void wait_with(struct play *p, struct fake_doubt *doubts, size_t n_told)
{
    size_t n = 0;
    for (size_t i = 0; i < COUNT(WAITING_DOUBTS); i++) {
        if (WAITING_DOUBTS[i].turn < n_told) continue;
        doubts[n] = WAITING_DOUBTS[i];
        doubts[n++].turn -= n_told;
    }
    init(p, WAITING + n_told, COUNT(WAITING) - n_told);
    p->tape.n_params = 5000000;
    p->tape.doubts = doubts;
    p->tape.n_doubts = n;
}

#endif
