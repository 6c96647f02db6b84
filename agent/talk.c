/* talk.c - a conversation: several messages of a user over one engine session. */
#include "agent/dialog.h"
#include "engine/base/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- telling ---- */

void talk_emit(const struct talk *t, const struct agent_event *ev)
{
    const struct agent_sink *sink = &t->a->opts.sink;
    if (sink->event) sink->event(sink->ctx, ev);
}

void talk_notice(struct talk *t, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    transcript_add(t->log, "notice", json_pack("{s:o}", "text", transcript_text(str_of(text))));
    talk_emit(t, &(struct agent_event){.type = AGENT_NOTICE, .text = str_of(text)});
}

/* ---- the log ---- */

static json_t *talk_header(const struct talk *t)
{
    const struct engine_info *info = engine_info(t->a->opts.engine);
    const struct sandbox *jail = t->a->opts.sandbox;
    return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:I, s:o}", "type", "talk", "model",
                     info->name, "n_params", (json_int_t)info->n_params, "n_vocab",
                     (json_int_t)info->n_vocab, "kernels", info->kernels, "sandbox",
                     sandbox_statement(jail), "python", sandbox_python_version(jail), "time",
                     (json_int_t)time(NULL), "prefix",
                     transcript_ids(t->record.ids.p, t->record.n_prefix));
}

enum status talk_open_log(struct talk *t, struct err *e)
{
    uint64_t n_torn = 0;
    if (t->log || !t->dir) return QA_OK;
    const bool is_new = !t->path[0];
    if (is_new) talk_new_path(t, t->path);
    const enum status st = transcript_open(&t->log, t->path, &n_torn, e);
    if (st) {
        if (is_new) t->path[0] = 0;
        return st;
    }
    if (n_torn) {
        talk_notice(t, "a torn last line of %llu bytes was cut off the log",
                    (unsigned long long)n_torn);
    }
    if (is_new) transcript_add(t->log, "talk", talk_header(t));
    return QA_OK;
}

void talk_give_up_log(struct talk *t, const struct err *why)
{
    transcript_close(t->log);
    t->log = NULL;
    free(t->dir);
    t->dir = NULL;
    t->path[0] = 0;
    talk_notice(t, "this conversation is not saved any more: %s", why->text);
}

enum status talk_event(struct talk *t, const char *type, json_t *event, struct err *e)
{
    if (!event) return err_set(e, QA_E_NOMEM, "out of memory for an event");
    json_object_set_new(event, "type", json_string(type));
    const enum status st = record_apply(&t->record, event, e);
    if (st) {
        json_decref(event);
        return st;
    }
    transcript_add(t->log, type, event);
    return QA_OK;
}

static void close_log(struct talk *t)
{
    transcript_close(t->log);
    t->log = NULL;
    t->path[0] = 0;
}

/* ---- the session behind the record ---- */

static size_t common_prefix(const struct talk *t)
{
    const struct session *s = t->a->session;
    const size_t n = QA_MIN((size_t)session_n_tokens(s), t->record.ids.n);
    const int32_t *ids = session_ids(s);
    size_t i = 0;
    while (i < n && ids[i] == t->record.ids.p[i]) {
        i++;
    }
    return i;
}

/* Back to the last mark at or before n.  False: not even the prefix is there. */
static bool go_back(struct talk *t, size_t n)
{
    struct err e = {0};
    const struct talk_mark *best = NULL;
    if ((int64_t)n < t->a->n_prefix) return false;
    for (size_t i = 0; i < t->n_marks; i++) {
        if (t->mark[i].n_tokens <= (int64_t)n) best = &t->mark[i];
    }
    const int64_t to = best ? best->n_tokens : t->a->n_prefix;
    if (session_rewind(t->a->session, best ? best->mark : t->a->mark, &e)) return false;
    while (t->n_marks && t->mark[t->n_marks - 1].n_tokens > to) {
        t->n_marks--; /* the engine has dropped it */
    }
    return true;
}

/* A session that begins with the record's prefix, which is not the one it has. */
static enum status reopen(struct talk *t, struct err *e)
{
    struct agent *a = t->a;
    struct session *s = NULL;
    const struct session_opts o = {.cap_tokens = session_cap_tokens(a->session),
                                   .n_draft = a->opts.n_draft < 0 ? 3 : a->opts.n_draft,
                                   .n_copy = a->opts.n_copy < 0 ? DRAFT_MAX : a->opts.n_copy};
    enum status st = session_open(&s, a->opts.engine, &o, e);
    if (st) return st;
    session_close(a->session);
    a->session = s;
    a->n_prefix = 0;
    t->n_marks = 0;
    st = session_append(s, t->record.ids.p, t->record.n_prefix, e);
    if (!st) st = session_mark(s, &a->mark, e);
    if (!st) a->n_prefix = (int64_t)t->record.n_prefix;
    return st;
}

enum status talk_restore(struct talk *t, struct err *e)
{
    enum { STEP = 512 };
    const struct ids *want = &t->record.ids;
    const size_t same = common_prefix(t);
    enum status st = QA_OK;
    if ((int64_t)want->n > session_cap_tokens(t->a->session)) {
        return err_set(e, QA_E_LIMIT, "the conversation has %zu tokens, the context %lld",
                       want->n, (long long)session_cap_tokens(t->a->session));
    }
    if (same < (size_t)session_n_tokens(t->a->session) && !go_back(t, same)) st = reopen(t, e);
    if (!st && t->a->n_prefix != (int64_t)t->record.n_prefix) st = reopen(t, e);
    const int64_t from = session_n_tokens(t->a->session);
    while (!st && session_n_tokens(t->a->session) < (int64_t)want->n) {
        const size_t at = (size_t)session_n_tokens(t->a->session);
        if (want->n - (size_t)from > STEP) {
            talk_emit(t, &(struct agent_event){.type = AGENT_PREFILL,
                                               .n_tokens = (int64_t)at - from,
                                               .n_total = (int64_t)want->n - from});
        }
        st = session_append(t->a->session, want->p + at, QA_MIN(want->n - at, (size_t)STEP), e);
    }
    return st;
}

/* A mark in front of the next message; the oldest gives way. */
static enum status add_mark(struct talk *t, struct err *e)
{
    const int64_t n = session_n_tokens(t->a->session);
    if (n == t->a->n_prefix) return QA_OK; /* there is one */
    if (t->n_marks && t->mark[t->n_marks - 1].n_tokens == n) return QA_OK;
    if (t->n_marks == TALK_MARKS) {
        session_drop_mark(t->a->session, t->mark[0].mark);
        memmove(t->mark, t->mark + 1, (TALK_MARKS - 1) * sizeof t->mark[0]);
        t->n_marks--;
    }
    int mark;
    const enum status st = session_mark(t->a->session, &mark, e);
    if (!st) t->mark[t->n_marks++] = (struct talk_mark){mark, n};
    return st;
}

/* ---- opening ---- */

/* The record of a conversation in which nothing was said yet. */
static enum status begin(struct talk *t, const struct ids *prefix, struct err *e)
{
    const struct engine_info *info = engine_info(t->a->opts.engine);
    record_release(&t->record);
    json_t *x =
        json_pack("{s:s, s:s, s:I, s:I, s:o}", "type", "talk", "model", info->name, "n_params",
                  (json_int_t)info->n_params, "n_vocab", (json_int_t)info->n_vocab, "prefix",
                  transcript_ids(prefix->p, prefix->n));
    const enum status st = record_apply(&t->record, x, e);
    json_decref(x);
    return st;
}

enum status talk_open(struct talk **out, const struct talk_opts *o, struct err *e)
{
    struct talk *t = calloc(1, sizeof *t);
    if (!t) return err_set(e, QA_E_NOMEM, "out of memory for a conversation");
    struct agent_opts ao = o->agent;
    ao.session_path = NULL;
    ao.stop = &t->stop;
    ao.stop_tool = &t->stop_tool;
    enum status st = agent_open(&t->a, &ao, e);
    if (!st) {
        st = ids_add(&t->own_prefix, session_ids(t->a->session), (size_t)t->a->n_prefix, e);
    }
    if (!st) st = begin(t, &t->own_prefix, e);
    if (!st && o->dir && !(t->dir = strdup(o->dir))) {
        st = err_set(e, QA_E_NOMEM, "out of memory for a conversation");
    }
    if (st) {
        talk_close(t);
        return st;
    }
    *out = t;
    return QA_OK;
}

void talk_close(struct talk *t)
{
    if (!t) return;
    talk_forget_undone(t);
    transcript_close(t->log);
    agent_close(t->a);
    record_release(&t->record);
    ids_release(&t->own_prefix);
    free(t->dir);
    free(t);
}

void talk_set(struct talk *t, const struct agent_limits *limits, const struct sampling *s)
{
    run_set(t->a, limits, s);
}

void talk_stop(struct talk *t)
{
    t->stop = 1;
    t->stop_tool = 1;
    engine_stop();
}

void talk_stop_program(struct talk *t)
{
    t->stop_tool = 1;
}

void talk_stop_clear(struct talk *t)
{
    t->stop = 0;
    engine_stop_clear();
}

/* ---- messages ---- */

/* Room that a message needs beside itself. */
static int64_t reserve(const struct talk *t)
{
    return QA_MIN((int64_t)ANSWER_RESERVE, session_cap_tokens(t->a->session) / 4);
}

/* Tokens of a message with its frame. */
static enum status count_message(const struct talk *t,
                                 struct str text,
                                 int64_t *n,
                                 struct err *e)
{
    struct chat_text c;
    struct ids ids = {0};
    chat_text_init(&c);
    chat_add_frame(&c, STR("<|im_start|>user\n"));
    chat_add_text(&c, text);
    chat_add_frame(&c, STR("<|im_end|>\n<|im_start|>assistant\n<think>\n"));
    const enum status st = chat_encode(t->a->opts.engine, &c, &ids, e);
    *n = (int64_t)ids.n;
    ids_release(&ids);
    chat_text_release(&c);
    return st;
}

/* Make room for a message of n tokens, or say why there cannot be. */
static enum status make_room(struct talk *t, int64_t n, struct err *e)
{
    const int64_t cap = session_cap_tokens(t->a->session);
    const int64_t need = n + reserve(t);
    const int64_t prefix = (int64_t)t->record.n_prefix;
    struct talk_compacted done;
    struct err own = {0};
    t->was_compacted = false;
    if (prefix + need > cap) {
        return err_set(e, QA_E_LIMIT,
                       "the message has %lld tokens; the context of %lld has room for %lld "
                       "beside the prompt and an answer",
                       (long long)n, (long long)cap, (long long)(cap - prefix - reserve(t)));
    }
    if ((int64_t)t->record.ids.n + need <= cap - cap / 8) return QA_OK;
    const enum status st = talk_compact(t, STR(""), &done, &own);
    if (st && st != QA_E_USAGE) return err_set(e, st, "%s", own.text);
    t->was_compacted = !st;
    if ((int64_t)t->record.ids.n + need <= cap) return QA_OK;
    return err_set(e, QA_E_LIMIT,
                   "the message has %lld tokens, the conversation %zu, and the context of %lld "
                   "cannot hold both and an answer",
                   (long long)n, t->record.ids.n, (long long)cap);
}

/* What became of the message goes into the record, or the message goes. */
static enum status take_run(struct talk *t,
                            const struct run_talk *run,
                            const struct agent_result *r,
                            struct err *e)
{
    const struct session *s = t->a->session;
    enum status st = QA_OK;
    t->was_kept = run->has_message && r->outcome != AGENT_FAILED;
    if (t->was_kept) {
        json_t *end = json_pack("{s:o, s:o}", "answer",
                                transcript_text((struct str){r->answer, r->n_answer}), "code",
                                transcript_text((struct str){r->code, r->n_code}));
        st = record_take(&t->record, session_ids(s), (size_t)session_n_tokens(s), end, e);
        json_decref(end);
    }
    if (st) t->was_kept = false;
    struct err own = {0};
    const enum status st2 =
        talk_event(t, "done", json_pack("{s:b}", "kept", t->was_kept), st ? &own : e);
    return st ? st : st2;
}

static enum status send(struct talk *t,
                        struct str text,
                        bool wants_other,
                        struct agent_result *out,
                        struct err *e)
{
    struct err own = {0};
    int64_t n = 0;
    t->was_kept = false;
    text = chat_trim(text);
    if (!text.n) return err_set(e, QA_E_USAGE, "the message is empty");
    talk_forget_undone(t);
    enum status st = count_message(t, text, &n, e);
    if (!st) st = make_room(t, n, e);
    if (st) return st;
    if (talk_open_log(t, &own)) talk_give_up_log(t, &own);
    st = talk_event(t, "message", json_pack("{s:o}", "text", transcript_text(text)), e);
    if (st) return st;

    struct run_talk run = {.log = t->log, .wants_other = wants_other};
    struct agent_result r = {0};
    st = talk_restore(t, e);
    if (!st) st = add_mark(t, e);
    if (!st) st = run_task(t->a, &run, text, NULL, &r, &own);
    if (st == QA_E_STOP) { /* while an earlier part was computed again */
        r.outcome = AGENT_INTERRUPTED;
        talk_emit(t, &(struct agent_event){.type = AGENT_DONE, .result = &r});
        st = QA_OK;
    } else if (st) {
        r.outcome = AGENT_FAILED;
    }
    const enum status taken = take_run(t, &run, &r, st ? &own : e);
    if (!st) st = taken;
    if (transcript_check(t->log, &own)) talk_give_up_log(t, &own);
    if (st) {
        agent_result_release(&r);
        return st;
    }
    *out = r;
    return QA_OK;
}

enum status talk_send(struct talk *t, struct str text, struct agent_result *out, struct err *e)
{
    t->n_retries = 0;
    return send(t, text, false, out, e);
}

enum status talk_retry(struct talk *t, struct agent_result *out, struct err *e)
{
    char *text = NULL;
    if (!t->record.n || record_ends_compacted(&t->record)) {
        return err_set(e, QA_E_USAGE, "there is no message to send again");
    }
    enum status st = talk_undo(t, &text, e);
    if (st) return st;
    const uint64_t seed = t->a->opts.sampling.seed;
    t->a->opts.sampling.seed = seed + (uint64_t)++t->n_retries;
    st = send(t, str_of(text), true, out, e);
    t->a->opts.sampling.seed = seed;
    free(text);
    return st;
}

/* ---- other conversations ---- */

enum status talk_new(struct talk *t, struct err *e)
{
    talk_forget_undone(t);
    close_log(t);
    const enum status st = begin(t, &t->own_prefix, e);
    return st ? st : talk_restore(t, e);
}

static enum status copy_file(const char *from, const char *to, struct err *e)
{
    struct str_buf b;
    str_buf_init(&b, 1 << 30);
    enum status st = file_read(&b, from, e);
    if (!st) st = file_write(to, str_buf_str(&b), e);
    str_buf_release(&b);
    return st;
}

enum status talk_fork(struct talk *t, struct err *e)
{
    char to[1024];
    if (!t->dir) return err_set(e, QA_E_USAGE, "this conversation is not saved: no fork");
    if (!t->path[0]) return err_set(e, QA_E_USAGE, "nothing was said yet: nothing to fork");
    talk_new_path(t, to);
    enum status st = copy_file(t->path, to, e);
    if (st) return st;
    transcript_close(t->log);
    t->log = NULL;
    memcpy(t->path, to, sizeof to);
    return talk_open_log(t, e);
}

static enum status check_model(const struct talk *t, const struct record *r, struct err *e)
{
    const struct engine_info *info = engine_info(t->a->opts.engine);
    if (strcmp(r->model, info->name) == 0 && r->n_params == (int64_t)info->n_params &&
        r->n_vocab == info->n_vocab) {
        return QA_OK;
    }
    return err_set(e, QA_E_USAGE, "it was held with model '%s' of %.2f B parameters", r->model,
                   (double)r->n_params * 1e-9);
}

enum status talk_resume(struct talk *t, const char *path, char **unfinished, struct err *e)
{
    struct record r;
    char *text = NULL;
    struct err own = {0};
    if (strlen(path) >= sizeof t->path) return err_set(e, QA_E_USAGE, "the path is too long");
    enum status st = record_read(&r, path, &text, e);
    if (st) return st;
    st = check_model(t, &r, e);
    if (!st && (int64_t)r.ids.n > session_cap_tokens(t->a->session)) {
        st = err_set(e, QA_E_LIMIT, "the conversation has %zu tokens, the context %lld",
                     r.ids.n, (long long)session_cap_tokens(t->a->session));
    }
    if (st) {
        record_release(&r);
        free(text);
        return st;
    }
    close_log(t);
    talk_forget_undone(t);
    record_release(&t->record);
    t->record = r;
    snprintf(t->path, sizeof t->path, "%s", path);
    if (talk_open_log(t, &own)) talk_give_up_log(t, &own);
    if (text) transcript_add(t->log, "done", json_pack("{s:b}", "kept", 0));
    st = talk_restore(t, e);
    if (st && st != QA_E_STOP) {
        free(text);
        return st;
    }
    *unfinished = text;
    return QA_OK;
}

/* ---- looking at it ---- */

struct talk_info talk_info(const struct talk *t)
{
    return (struct talk_info){
        .n_tokens = (int64_t)t->record.ids.n,
        .cap_tokens = session_cap_tokens(t->a->session),
        .n_prefix = (int64_t)t->record.n_prefix,
        .n_messages = t->record.n,
        .n_marks = t->n_marks,
        .path = t->path[0] ? t->path : NULL,
        .summary = t->record.summary,
        .was_kept = t->was_kept,
        .was_compacted = t->was_compacted,
        .does_fit_template = t->a->knows_template,
    };
}

struct talk_message talk_get(const struct talk *t, size_t i)
{
    ASSERT(i < t->record.n);
    const struct record_message *m = &t->record.message[i];
    return (struct talk_message){
        .text = {m->text,                    m->n_text  },
        .answer = {m->answer ? m->answer : "", m->n_answer},
        .code = {m->code ? m->code : "",     m->n_code  },
        .is_folded = m->is_folded,
    };
}
