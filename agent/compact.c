/* compact.c - a context that runs full: its middle becomes a summary.
 *
 *     before   prefix | message 0, turns | message 1, turns | ... | message k, turns | ...
 *     after    prefix | message 0 | message 1 | ... | summary | message k, turns | ...
 *
 * What the user wrote is encoded again (it was text all along); the turns of the kept
 * tail are the same tokens as before. */
#include "agent/dialog.h"
#include "prompts/prompts.h"

#include <stdlib.h>
#include <string.h>

enum {
    SUMMARY_TOKENS = 1024,
    SUMMARY_MIN_BYTES = 40, /* less says nothing of a conversation */
    TAIL_SHARE = 4,         /* the tail is at most this part of the context ... */
    USER_SHARE = 8,         /* ... and so are the messages kept of the middle   */
};

static void add_user(struct chat_text *c, struct str text)
{
    chat_add_frame(c, STR("<|im_start|>user\n"));
    chat_add_text(c, chat_trim(text));
    chat_add_frame(c, STR("<|im_end|>\n"));
}

static struct str text_of(const struct record_message *m)
{
    return (struct str){m->text, m->n_text};
}

/* First message whose turns are kept; at least 1, at most n. */
static size_t choose_tail(const struct record *r, int64_t cap)
{
    size_t k = r->n;
    while (k > 1 && !r->message[k - 1].is_folded &&
           (int64_t)(r->ids.n - r->message[k - 1].n_start) <= cap / TAIL_SHARE) {
        k--;
    }
    return k;
}

/* ---- a summary without a model ---- */

static void add_line(struct str_buf *b, const char *word, struct str s, size_t most)
{
    if (!s.n) return;
    size_t n = QA_MIN(s.n, most);
    while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80) {
        n--; /* not within a character */
    }
    str_buf_add_z(b, word);
    str_buf_add(b, str_cut(s, 0, n));
    str_buf_add_z(b, n < s.n ? " [...]\n" : "\n");
}

/* Messages, answers, and the current code of messages 0 .. k-1. */
static void list_turns(const struct record *r, size_t k, size_t max_bytes, struct str_buf *b)
{
    const struct record_message *with_code = NULL;
    const size_t share = QA_MAX(max_bytes / (2 * k + 2), (size_t)80);
    if (r->summary) add_line(b, "Before: ", str_of(r->summary), max_bytes / 4);
    for (size_t i = 0; i < k; i++) {
        const struct record_message *m = &r->message[i];
        if (m->is_folded) continue; /* in the summary before */
        add_line(b, "Asked: ", text_of(m), share);
        if (m->n_code) {
            with_code = m;
        } else {
            add_line(b, "Answered: ", (struct str){m->answer, m->n_answer}, share);
        }
        if (!m->answer) str_buf_add_z(b, "There was no answer.\n");
    }
    if (with_code) {
        add_line(b, "The code last answered:\n",
                 (struct str){with_code->code, with_code->n_code}, max_bytes / 2);
    }
}

/* ---- a summary by the model ---- */

/* The turn itself, behind the instruction.  *out stays empty when it is not usable. */
static enum status write_turn(struct talk *t, struct str_buf *out, struct err *e)
{
    struct agent *a = t->a;
    struct turn turn = {0};
    struct ids opening = {0};
    struct budget budget;
    struct rng rng;
    struct agent_limits limits = agent_limits_default();
    limits.timeout_s = 0;
    budget_init(&budget, &limits, &t->stop);
    rng_init(&rng, a->opts.sampling.seed, 2);
    enum status st = engine_encode(a->opts.engine, STR("\n\n"), SPECIAL_NONE, &opening, e);
    const struct turn_args args = {
        .session = a->session,
        .ids = &a->ids,
        .budget = &budget,
        .rng = &rng,
        .think = sampling_greedy(),
        .text = sampling_greedy(),
        .opening = &opening,
        .max_tokens = QA_MIN((int64_t)SUMMARY_TOKENS,
                             session_cap_tokens(a->session) - session_n_tokens(a->session) - 1),
        .tools = a->tools,
    };
    if (!st) st = turn_run(&turn, &args, e);
    ids_release(&opening);
    if (st) return st;
    const struct str text = str_trim(str_buf_str(&turn.stream.text));
    if (turn.spent == BUDGET_STOP) {
        st = err_set(e, QA_E_STOP, "stopped");
    } else if (turn.end == TURN_DONE && text.n >= SUMMARY_MIN_BYTES) {
        str_buf_add(out, text);
    }
    turn_release(&turn);
    return st;
}

static void add_request(struct chat_text *c, struct str focus)
{
    struct str_buf b;
    str_buf_init(&b, PROMPT(summary).n + focus.n + 64);
    str_buf_add(&b, PROMPT(summary));
    if (focus.n) str_buf_add_z(&b, "\nAbove all keep what matters for: ");
    str_buf_add(&b, focus);
    add_user(c, str_buf_str(&b));
    str_buf_release(&b);
}

/* Ask for it at the end of the conversation, and take question and answer back. */
static enum status ask_model(struct talk *t,
                             struct str focus,
                             struct str_buf *out,
                             struct err *e)
{
    struct session *s = t->a->session;
    struct chat_text c;
    struct ids ids = {0};
    int mark;
    enum status st = session_mark(s, &mark, e);
    if (st) return st;
    chat_text_init(&c);
    add_request(&c, focus);
    chat_add_frame(&c, STR("<|im_start|>assistant\n<think>\n\n</think>"));
    st = chat_encode(t->a->opts.engine, &c, &ids, e);
    if (!st &&
        (int64_t)ids.n + SUMMARY_MIN_BYTES <= session_cap_tokens(s) - session_n_tokens(s)) {
        st = session_append(s, ids.p, ids.n, e);
        if (!st) st = write_turn(t, out, e);
    }
    ids_release(&ids);
    chat_text_release(&c);
    struct err own = {0};
    const enum status back = session_rewind(s, mark, &own);
    session_drop_mark(s, mark);
    return st ? st : back ? err_set(e, back, "%s", own.text) : QA_OK;
}

static enum status summarise(struct talk *t,
                             size_t k,
                             struct str focus,
                             struct str_buf *out,
                             bool *is_by_model,
                             struct err *e)
{
    const size_t max_bytes =
        (size_t)QA_MAX(session_cap_tokens(t->a->session) / 6, (int64_t)400);
    enum status st = QA_OK;
    /* A very small model cannot: it knows tasks alone. */
    if (!t->a->is_tiny) st = ask_model(t, focus, out, e);
    if (st) return st;
    *is_by_model = out->n > 0;
    if (!*is_by_model) list_turns(&t->record, k, max_bytes, out);
    return str_buf_check(out, "the summary", e);
}

/* ---- the new tokens ---- */

/* Messages 0 .. k-1 without their turns: the first, and of the others the last that are
 * within their share. */
static enum status encode_head(const struct talk *t,
                               size_t k,
                               struct str summary,
                               struct ids *out,
                               struct err *e)
{
    const struct record *r = &t->record;
    const size_t most = (size_t)session_cap_tokens(t->a->session) / USER_SHARE;
    struct chat_text c;
    size_t from = k;
    size_t n = 0;
    while (from > 1 && n + r->message[from - 1].n_text / 3 <= most) {
        n += r->message[--from].n_text / 3; /* about three bytes a token */
    }
    chat_text_init(&c);
    add_user(&c, text_of(&r->message[0]));
    for (size_t i = from; i < k; i++) {
        add_user(&c, text_of(&r->message[i]));
    }
    if (summary.n) {
        struct str_buf b;
        str_buf_init(&b, summary.n + 256);
        str_buf_add_z(&b, "The turns up to here were left out to save room. Notes on them:\n");
        str_buf_add(&b, summary);
        add_user(&c, str_buf_str(&b));
        str_buf_release(&b);
    }
    const enum status st = chat_encode(t->a->opts.engine, &c, out, e);
    chat_text_release(&c);
    return st;
}

static json_t *list_starts(const struct record *r, size_t k, size_t n_head)
{
    json_t *starts = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const size_t moved = i < k ? 0 : r->message[i].n_start - r->message[k].n_start;
        json_array_append_new(
            starts, json_integer(i < k ? -1 : (json_int_t)(r->n_prefix + n_head + moved)));
    }
    return starts;
}

/* Replace, unless it would not become smaller by `gain`. */
static enum status replace(struct talk *t,
                           size_t k,
                           const struct str_buf *summary,
                           struct talk_compacted *out,
                           struct err *e)
{
    const struct record *r = &t->record;
    struct ids ids = {0};
    const size_t before = r->ids.n;
    enum status st = encode_head(t, k, str_buf_str(summary), &ids, e);
    const size_t n_head = ids.n;
    const size_t tail = k < r->n ? r->message[k].n_start : before;
    if (!st) st = ids_add(&ids, r->ids.p + tail, before - tail, e);
    if (!st && r->n_prefix + ids.n >= before) {
        st =
            err_set(e, QA_E_USAGE, "a compaction would gain nothing: %zu tokens now, %zu after",
                    before, r->n_prefix + ids.n);
    }
    if (!st) {
        st = talk_event(t, "compact",
                        json_pack("{s:o, s:b, s:I, s:o, s:o}", "summary",
                                  transcript_text(str_buf_str(summary)), "by_model",
                                  out->is_by_model, "n_before", (json_int_t)before, "starts",
                                  list_starts(r, k, n_head), "ids",
                                  transcript_ids(ids.p, ids.n)),
                        e);
    }
    ids_release(&ids);
    out->n_before = (int64_t)before;
    out->n_after = (int64_t)t->record.ids.n;
    out->summary = t->record.summary;
    return st;
}

enum status talk_compact(struct talk *t,
                         struct str focus,
                         struct talk_compacted *out,
                         struct err *e)
{
    const struct record *r = &t->record;
    const int64_t cap = session_cap_tokens(t->a->session);
    struct talk_compacted done = {0};
    struct str_buf summary;
    struct ids head = {0};
    if (!r->n) return err_set(e, QA_E_USAGE, "nothing was said yet: nothing to compact");
    const size_t k = choose_tail(r, cap);
    const size_t tail = k < r->n ? r->message[k].n_start : r->ids.n;
    enum status st = encode_head(t, k, STR(""), &head, e);
    const size_t n_gone = tail - r->n_prefix - QA_MIN(tail - r->n_prefix, head.n);
    ids_release(&head);
    if (st) return st;
    if (n_gone < r->ids.n / 5) {
        return err_set(
            e, QA_E_USAGE,
            "a compaction would gain little: %zu of %zu tokens are results and turns "
            "that could go",
            n_gone, r->ids.n);
    }
    talk_forget_undone(t);
    st = talk_restore(t, e);
    if (st) return st;
    str_buf_init(&summary, 1 << 20);
    st = summarise(t, k, focus, &summary, &done.is_by_model, e);
    if (!st) st = replace(t, k, &summary, &done, e);
    str_buf_release(&summary);
    if (st) return st;
    talk_emit(t, &(struct agent_event){.type = AGENT_COMPACTED,
                                       .text = str_of(done.summary),
                                       .n_tokens = done.n_after,
                                       .n_total = done.n_before});
    st = talk_restore(t, e);
    if (st == QA_E_STOP) st = QA_OK; /* the next message computes the rest */
    if (st) return st;
    *out = done;
    return QA_OK;
}
