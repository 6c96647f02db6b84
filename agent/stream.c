/* stream.c - splits a model's output into thinking, text and calls. */
#include "agent/stream.h"

#include <string.h>

static const struct str THINK_OPEN = STR("<think>");
static const struct str THINK_CLOSE = STR("</think>");
static const struct str CALL_OPEN = STR("<tool_call>");

void stream_init(struct stream *s, bool is_thinking, const json_t *tools)
{
    *s = (struct stream){.state = is_thinking ? STREAM_IN_THINK : STREAM_IN_TEXT,
                         .was_thinking = is_thinking,
                         .tools = tools};
    str_buf_init(&s->think, STREAM_MAX_BYTES);
    str_buf_init(&s->text, STREAM_MAX_BYTES);
    str_buf_init(&s->held, STREAM_MAX_BYTES);
}

void stream_release(struct stream *s)
{
    str_buf_release(&s->think);
    str_buf_release(&s->text);
    str_buf_release(&s->held);
    toolcalls_release(&s->calls);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Drop the first n held bytes. */
static void drop(struct stream *s, size_t n)
{
    if (!n) return;
    memmove(s->held.p, s->held.p + n, s->held.n - n + 1);
    s->held.n -= n;
}

static void emit(struct stream *s, enum stream_part part, struct str more)
{
    struct str_buf *b = part == STREAM_THINK ? &s->think : &s->text;
    if (!more.n) return;
    str_buf_add(b, more);
    if (s->sink) s->sink(s->sink_ctx, part, more);
}

/* Hand out the first n held bytes as `part`.  Blanks at their end are not handed out:
 * they wait (n stays held from there) for what follows.  Returns what was handed out. */
static size_t emit_sure(struct stream *s, enum stream_part part, size_t n)
{
    const struct str_buf *b = part == STREAM_THINK ? &s->think : &s->text;
    const bool eats_start = part == STREAM_THINK || s->was_thinking;
    size_t from = 0;
    while (eats_start && !b->n && from < n && is_blank(s->held.p[from])) {
        from++;
    }
    size_t to = n;
    while (to > from && is_blank(s->held.p[to - 1])) {
        to--;
    }
    emit(s, part, str_cut(str_buf_str(&s->held), from, to));
    drop(s, to);
    return to;
}

/* True when the end of `rest` cuts `tag` in two. */
static bool is_cut_tag(struct str rest, struct str tag)
{
    return rest.n < tag.n && str_eq(rest, str_cut(tag, 0, rest.n));
}

/* Scan held thinking.  True when the state changed. */
static bool step_think(struct stream *s)
{
    const struct str held = str_buf_str(&s->held);
    bool is_open;
    for (size_t i = 0; i < held.n; i++) {
        const struct str rest = str_cut(held, i, held.n);
        if (rest.p[0] != '<') continue;
        const bool is_first = !s->think.n && !str_trim(str_cut(held, 0, i)).n;
        if (is_first && str_starts(rest, THINK_OPEN)) { /* the model repeats the tag */
            drop(s, i + THINK_OPEN.n);
            return true;
        }
        if (str_starts(rest, THINK_CLOSE)) {
            i -= emit_sure(s, STREAM_THINK, i);
            drop(s, i + THINK_CLOSE.n);
            s->state = STREAM_IN_TEXT;
            return true;
        }
        if (toolcall_starts(rest, &is_open)) {
            i -= emit_sure(s, STREAM_THINK, i);
            s->state = STREAM_IN_CALL;
            s->is_call_in_think = true;
            s->n_code = i; /* blanks before the call: only kept if it is none */
            return true;
        }
        if (is_open || is_cut_tag(rest, THINK_CLOSE) ||
            (is_first && is_cut_tag(rest, THINK_OPEN))) {
            emit_sure(s, STREAM_THINK, i);
            return false;
        }
    }
    emit_sure(s, STREAM_THINK, held.n);
    return false;
}

static bool step_text(struct stream *s)
{
    const struct str held = str_buf_str(&s->held);
    for (size_t i = 0; i < held.n; i++) {
        bool is_open;
        if (held.p[i] != '<') continue;
        const bool is_call = toolcall_starts(str_cut(held, i, held.n), &is_open);
        if (!is_call && !is_open) continue;
        i -= emit_sure(s, STREAM_TEXT, i);
        if (is_call) {
            s->state = STREAM_IN_CALL;
            s->n_code = i;
        }
        return is_call;
    }
    emit_sure(s, STREAM_TEXT, held.n);
    return false;
}

/* Show more of the first value: from its first line to before what may be its end. */
static void show_code(struct stream *s)
{
    static const struct str open = STR("<parameter=");
    static const struct str close = STR("\n</parameter>");
    const struct str held = str_buf_str(&s->held);
    const size_t param = str_find(held, open);
    if (!s->sink || param == SIZE_MAX) return;
    const size_t gt = str_find(str_cut(held, param, held.n), STR(">"));
    if (gt == SIZE_MAX) return;
    size_t from = param + gt + 1;
    if (from < held.n && held.p[from] == '\n') from++;
    size_t to = str_find(str_cut(held, from, held.n), close);
    to = to == SIZE_MAX ? held.n : from + to;
    if (to == held.n) { /* a tail that may become the closing tag waits */
        for (size_t k = QA_MIN(close.n - 1, held.n - from); k > 0; k--) {
            if (!str_eq(str_cut(held, held.n - k, held.n), str_cut(close, 0, k))) continue;
            to -= k;
            break;
        }
    }
    from = QA_MAX(from, s->n_code);
    if (to <= from) return;
    s->sink(s->sink_ctx, STREAM_CODE, str_cut(held, from, to));
    s->n_code = to;
}

/* A call that began in thinking was none if the thinking is closed after it. */
static bool step_call(struct stream *s)
{
    const size_t at =
        s->is_call_in_think ? str_find(str_buf_str(&s->held), THINK_CLOSE) : SIZE_MAX;
    if (at == SIZE_MAX) {
        show_code(s);
        return false;
    }
    const size_t n = at - emit_sure(s, STREAM_THINK, at);
    drop(s, n + THINK_CLOSE.n);
    s->is_call_in_think = false;
    s->state = STREAM_IN_TEXT;
    return true;
}

void stream_feed(struct stream *s, struct str bytes)
{
    str_buf_add(&s->held, bytes);
    if (s->held.bad) return;
    for (bool more = true; more;) {
        switch (s->state) {
        case STREAM_IN_THINK: more = step_think(s); break;
        case STREAM_IN_TEXT: more = step_text(s); break;
        case STREAM_IN_CALL: more = step_call(s); break;
        }
    }
}

static enum status finish_calls(struct stream *s, struct err *e)
{
    const struct str held = str_buf_str(&s->held);
    const size_t at = str_find(held, CALL_OPEN);
    struct str all = str_cut(held, at, held.n);
    const enum status st = toolcall_parse(&s->calls, all, s->tools, e);
    if (st) return st;
    if (!s->calls.n) { /* no call after all: the bytes are what they are */
        const enum stream_part part = s->is_call_in_think ? STREAM_THINK : STREAM_TEXT;
        emit(s, part, held);
        return QA_OK;
    }
    if (!s->calls.text.n) return QA_OK;
    if (s->text.n) emit(s, STREAM_TEXT, STR("\n"));
    emit(s, STREAM_TEXT, str_buf_str(&s->calls.text));
    return QA_OK;
}

enum status stream_finish(struct stream *s, struct err *e)
{
    enum status st = QA_OK;
    if (s->held.bad) return str_buf_check(&s->held, "the model's output", e);
    if (s->state == STREAM_IN_CALL) {
        st = finish_calls(s, e);
    } else if (s->state == STREAM_IN_THINK) {
        /* A tag that was never finished is thinking; blanks at the end are not. */
        const struct str rest = str_trim(str_buf_str(&s->held));
        if (rest.n) emit(s, STREAM_THINK, str_buf_str(&s->held));
    } else if (s->text.n || !s->was_thinking || str_trim(str_buf_str(&s->held)).n) {
        emit(s, STREAM_TEXT, str_buf_str(&s->held));
    }
    str_buf_reset(&s->held);
    if (!st) st = str_buf_check(&s->think, "the thinking", e);
    if (!st) st = str_buf_check(&s->text, "the answer", e);
    return st;
}
