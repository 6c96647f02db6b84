/* attempt.c - an attempt at the task: a turn of the model, and those that are taken back
 * before it. */
#include "agent/run.h"

#include <stdio.h>

enum {
    MAX_REPEATS = 24,  /* times that a spent plan is thought away before a turn */
    MAX_BRANCHES = 12, /* ways taken back before a turn                         */
};
static const float MAX_THINK_TEMP = 1.6f, AGAIN_TEMP = 0.7f;

/* Of thinking that nothing failed before. */
static struct sampling first_sampling(const struct run *r)
{
    return r->a->is_tiny ? sampling_greedy() : r->a->opts.sampling;
}

struct sampling run_think_sampling(const struct run *r)
{
    struct sampling s = r->a->opts.sampling;
    if (!r->is_sampled || !r->is_at_task) return first_sampling(r);
    s.temp = QA_MAX(s.temp, 1.0f);
    return s;
}

struct sampling run_again_sampling(const struct run *r)
{
    struct sampling s = r->a->opts.sampling;
    s.temp = QA_MAX(s.temp, AGAIN_TEMP);
    return s;
}

enum status run_open_frame(struct run *r, bool is_thinking, struct err *e)
{
    chat_add_frame(&r->pending, is_thinking
                                    ? STR("<|im_start|>assistant\n<think>\n")
                                    : STR("<|im_start|>assistant\n<think>\n\n</think>"));
    return run_append(r, &r->pending, "prompt", e);
}

/* How the next attempt begins: where the likeliest way not gone yet leaves the others, or
 * with all of one that waited.  On an answer step the code stands behind the opening, not
 * in a call. */
static enum status next_start(struct run *r,
                              struct turn_args *args,
                              bool wants_whole,
                              struct path_start *start,
                              struct err *e)
{
    struct path_start s;
    path_start_release(start);
    args->start = NULL;
    args->think = run_think_sampling(r);
    if (!args->keeps_forks || !paths_next(&r->paths, wants_whole, &s)) return QA_OK;
    if (s.is_whole) {
        run_notice(r, "the likeliest of the programs that wait");
        while (s.ids.n && engine_is_stop(r->a->opts.engine, s.ids.p[s.ids.n - 1])) {
            s.ids.n--;
        }
    } else {
        run_notice(r, "another way from its token %zu on, in the %s", s.ids.n,
                   s.i_code ? "code" : "plan");
    }
    *start = s;
    args->tried = s.i_code ? NULL : &r->tried;
    args->think = first_sampling(r);
    args->start = &start->ids;
    if (args->may_call || !s.i_code) return QA_OK;
    struct ids as_answer = {0};
    const size_t end = s.is_whole ? s.i_end : s.ids.n;
    enum status st = ids_add(&as_answer, s.ids.p, s.n_plan, e);
    if (!st) st = ids_add(&as_answer, args->opening->p, args->opening->n, e);
    if (!st) st = ids_add(&as_answer, s.ids.p + s.i_code, end - s.i_code, e);
    ids_release(&start->ids);
    start->ids = as_answer;
    return st;
}

/* Is another attempt to be made in place of that one?  t->end tells why: it was made before
 * (a plan that failed was cut behind its thinking), or it waits, which a first attempt and
 * one of a list that is full do not. */
static bool is_taken_back(struct run *r,
                          struct turn *t,
                          const struct turn_args *args,
                          const struct path_start *start,
                          bool is_last,
                          char verdict[PATHS_VERDICT])
{
    const struct session *s = r->a->session;
    verdict[0] = 0;
    if (t->end == TURN_ASIDE) t->end = TURN_DONE; /* the log says so; we shall see */
    if (args->keeps_forks && !start->is_whole) {
        paths_add(&r->paths, r->a->opts.engine, session_ids(s) + t->n_start,
                  (size_t)(session_n_tokens(s) - t->n_start), start, &t->forks, verdict);
        const bool is_ended = t->end == TURN_DONE;
        const bool may_wait = start->ids.n > 0 && !is_last && !verdict[0];
        if (is_ended && verdict[0]) t->end = TURN_REPEAT;
        if (is_ended && may_wait && paths_wait(&r->paths)) t->end = TURN_ASIDE;
    }
    return t->end == TURN_REPEAT || t->end == TURN_ASIDE;
}

/* Run a turn; an attempt that need not be run, or not yet, is taken back, and another one
 * is made.  That costs tokens, not an iteration. */
static enum status new_turn(struct run *r,
                            struct turn *t,
                            struct turn_args *args,
                            struct path_start *start,
                            struct err *e)
{
    char verdict[PATHS_VERDICT];
    const int most = args->keeps_forks ? MAX_BRANCHES : MAX_REPEATS;
    for (int n_repeats = 0;; n_repeats++) {
        if (n_repeats == most) args->tried = NULL;
        enum status st = recording_turn(args->recording, &args->recorded, e);
        if (!st) st = turn_run(t, args, e);
        const bool is_last = n_repeats == most;
        if (st || !is_taken_back(r, t, args, start, is_last, verdict)) return st;
        if (is_last) {
            t->end = TURN_DONE;
            return st;
        }
        run_log_turn(r, t, !args->may_call);
        run_notice(r, "%s; thinking again",
                   verdict[0]             ? verdict
                   : t->end == TURN_ASIDE ? "that program waits: likelier ones may be left"
                                          : "that plan failed before");
        turn_release(t);
        args->think.temp = QA_MIN(args->think.temp * 1.1f, MAX_THINK_TEMP);
        r->n_turn = 0;
        r->is_at_task = false;
        st = run_return_to_task(r, e);
        if (!st) st = run_open_frame(r, true, e);
        if (!st && r->branches) st = next_start(r, args, n_repeats + 1 == most, start, e);
        if (st) return st;
    }
}

enum status run_attempt(struct run *r, struct turn *t, struct turn_args *args, struct err *e)
{
    struct path_start start = {0};
    enum status st = args->keeps_forks ? next_start(r, args, false, &start, e) : QA_OK;
    if (!st) st = new_turn(r, t, args, &start, e);
    args->start = NULL;
    path_start_release(&start);
    return st;
}
