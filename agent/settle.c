/* settle.c - how a run of a conversation leaves the session: every turn closed, so that
 * the next message can follow. */
#include "agent/run.h"

/* Where the session's last turn stands, read off its tokens. */
struct tail {
    bool is_open;     /* <|im_start|> without its <|im_end|>         */
    bool is_thinking; /* and <think> without its </think>            */
    bool is_bare;     /* <|im_end|> is the last token: no newline yet */
};

static struct tail find_tail(const struct agent *a)
{
    const struct engine *g = a->opts.engine;
    const int32_t start = engine_special(g, "<|im_start|>");
    const int32_t think = engine_special(g, "<think>");
    const int32_t *ids = session_ids(a->session);
    struct tail t = {0};
    bool has_closed = false;
    const int64_t n = session_n_tokens(a->session);
    for (int64_t i = n - 1; i >= 0; i--) {
        if (ids[i] == a->ids.turn_end) {
            t.is_bare = i + 1 == n;
            return t;
        }
        if (ids[i] == a->ids.think_close) has_closed = true;
        if (ids[i] == think && !has_closed) t.is_thinking = true;
        if (ids[i] != start) continue;
        t.is_open = true;
        return t;
    }
    return t;
}

/* Frame that ends the last turn. */
static void add_end(const struct run *r, struct chat_text *t)
{
    const struct tail tail = find_tail(r->a);
    if (tail.is_bare) chat_add_frame(t, STR("\n"));
    if (!tail.is_open) return;
    if (tail.is_thinking) chat_add_frame(t, STR("\n</think>\n\n"));
    chat_add_frame(t, STR("<|im_end|>\n"));
}

/* The answer is not what the model said last: an earlier program, or text of a turn that
 * was taken back.  The conversation should know it. */
static bool is_answer_elsewhere(const struct run *r)
{
    if (!r->result->answer || r->result->outcome == AGENT_INTERRUPTED) return false;
    return r->task.wants_code && (!r->is_accepted || !r->best.is_answer);
}

enum status run_settle(struct run *r, struct err *e)
{
    struct chat_text t;
    engine_stop_clear(); /* what stopped the run has done so */
    enum status st = run_append(r, &r->pending, "result", e);
    if (st == QA_E_STOP) st = QA_OK; /* all of it is there */
    if (st) return st;
    chat_text_init(&t);
    add_end(r, &t);
    if (is_answer_elsewhere(r)) {
        chat_add_frame(&t, STR("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
        chat_add_text(&t, (struct str){r->result->answer, r->result->n_answer});
        chat_add_frame(&t, STR("<|im_end|>\n"));
    }
    st = run_append(r, &t, "end", e);
    chat_text_release(&t);
    return st == QA_E_STOP ? QA_OK : st;
}
