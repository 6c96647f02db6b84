/* talk_rig.h - a conversation from a tape, in a folder of its own. */
#ifndef QA_TEST_TALK_RIG_H
#define QA_TEST_TALK_RIG_H

#include "agent/record.h"
#include "agent/talk.h"
#include "tests/agent/tape.h"

#include <dirent.h>

/* A conversation with its tape and a folder of its own. */
struct rig {
    struct fake_tape tape;
    struct engine *engine;
    struct sandbox *sandbox;
    struct talk_opts opts;
    struct talk *talk;
    struct agent_result result;
    struct err e;
    char dir[64];
    struct str_buf notices, text;
    volatile int stop_now; /* set by the tape */
};
static struct rig the_rig;

static void on_talk(void *ctx, const struct agent_event *ev)
{
    struct rig *r = ctx;
    if (ev->type == AGENT_NOTICE || ev->type == AGENT_COMPACTED) {
        str_buf_add(&r->notices, ev->text);
        str_buf_add_char(&r->notices, '|');
    }
    if (ev->type == AGENT_TEXT || ev->type == AGENT_THINK) {
        str_buf_add(&r->text, ev->text);
        if (r->stop_now && r->talk) talk_stop(r->talk);
    }
}

static void start(struct rig *r)
{
    assert_int_equal(fake_engine_open(&r->engine, &r->tape, &r->e), QA_OK);
    assert_int_equal(sandbox_open(&r->sandbox, &(struct sandbox_opts){0}, &r->e), QA_OK);
    r->opts.agent.engine = r->engine;
    r->opts.agent.sandbox = r->sandbox;
    if (talk_open(&r->talk, &r->opts, &r->e)) fail_msg("%s", r->e.text);
}

static void rig_init(struct rig *r, const struct fake_turn *turns, size_t n)
{
    *r = (struct rig){
        .tape = {.turns = turns, .n_turns = n}
    };
    snprintf(r->dir, sizeof r->dir, "/tmp/qa-talk-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    str_buf_init(&r->notices, 1 << 20);
    str_buf_init(&r->text, 1 << 20);
    str_buf_add_z(&r->notices, "");
    str_buf_add_z(&r->text, "");
    r->opts.agent = agent_opts_default();
    r->opts.agent.sink = (struct agent_sink){on_talk, r};
    r->opts.dir = r->dir;
    r->tape.stop = &r->stop_now;
}

static void stop_rig(struct rig *r)
{
    talk_close(r->talk);
    r->talk = NULL;
    engine_close(r->engine);
    sandbox_close(r->sandbox);
}

static int n_files(const struct rig *r, bool remove)
{
    int n = 0;
    char path[400];
    DIR *d = opendir(r->dir);
    for (struct dirent *x; (x = readdir(d));) {
        if (x->d_name[0] == '.') continue;
        n++;
        snprintf(path, sizeof path, "%s/%s", r->dir, x->d_name);
        if (remove) unlink(path);
    }
    closedir(d);
    return n;
}

static void rig_release(struct rig *r)
{
    if (r->talk) stop_rig(r);
    agent_result_release(&r->result);
    str_buf_release(&r->notices);
    str_buf_release(&r->text);
    n_files(r, true);
    rmdir(r->dir);
}

#define RIG(...)                                           \
    struct rig *r = &the_rig;                              \
    static const struct fake_turn turns[] = {__VA_ARGS__}; \
    rig_init(r, turns, COUNT(turns))

/* What the log says is what the conversation holds, whatever was done to it. */
static void log_agrees(const struct rig *r)
{
    struct record rec;
    struct err e = {0};
    char *unfinished = NULL;
    const struct talk_info info = talk_info(r->talk);
    if (!info.path) return;
    if (record_read(&rec, info.path, &unfinished, &e)) fail_msg("%s", e.text);
    assert_null(unfinished);
    assert_int_equal(rec.ids.n, info.n_tokens);
    assert_int_equal(rec.n, info.n_messages);
    for (size_t i = 0; i < rec.n; i++) {
        const struct talk_message m = talk_get(r->talk, i);
        assert_int_equal(rec.message[i].is_folded, m.is_folded);
        assert_string_equal(rec.message[i].text, m.text.p);
        assert_int_equal(rec.message[i].n_answer, m.answer.n);
    }
    record_release(&rec);
}

static void say(struct rig *r, const char *text, enum agent_outcome want)
{
    agent_result_release(&r->result);
    talk_stop_clear(r->talk);
    if (talk_send(r->talk, str_of(text), &r->result, &r->e)) fail_msg("%s", r->e.text);
    if (r->result.outcome != want) {
        fail_msg("'%s': %s, not %s; notices: %s", text, agent_outcome_name(r->result.outcome),
                 agent_outcome_name(want), r->notices.p);
    }
    log_agrees(r);
}

/* The tokens as text, control tokens by name. */
static char *held(struct rig *r)
{
    struct record rec;
    struct str_buf b;
    char *unfinished;
    str_buf_init(&b, 1 << 24);
    assert_int_equal(record_read(&rec, talk_info(r->talk).path, &unfinished, &r->e), QA_OK);
    for (size_t i = rec.n_prefix; i < rec.ids.n; i++) {
        str_buf_add(&b, engine_piece(r->engine, rec.ids.p[i]));
    }
    record_release(&rec);
    return b.n ? str_buf_take(&b) : strdup("");
}

/* A turn of thinking and text; the blank line between is the loop's. */
#define PROSE(text)                 \
    {                               \
        "Hm.\n</think>" text, false \
    }

#endif
