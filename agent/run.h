/* run.h - one task being solved: what agent.c (the loop) and judge.c (the candidates)
 * share.  Private to the room. */
#ifndef QA_AGENT_RUN_H
#define QA_AGENT_RUN_H

#include "agent/chat.h"
#include "agent/evidence.h"
#include "agent/protocol.h"
#include "agent/tools.h"
#include "agent/transcript.h"
#include "agent/turn.h"

struct agent {
    struct agent_opts opts;
    char *session_path; /* owned; NULL: none */
    struct session *session;
    struct protocol_ids ids;
    json_t *tools;
    struct chat_opts chat;
    bool is_tiny; /* below 100 M parameters: greedy first, fresh on failure */
    bool knows_template;
    int mark; /* after the system prefix */
    int64_t n_prefix;
};

/* Code that was executed, and what speaks for it. */
struct candidate {
    struct evidence evidence;
    char *code; /* owned: what would be handed out            */
    size_t n_code;
    char *text; /* owned: the answer it came with; NULL: none, or more than the code */
    size_t n_text;
    bool is_answer; /* it came with an answer, not from a cell */
};
void candidate_release(struct candidate *c);

/* A run inside a conversation (talk.c): it starts behind what was said before, and
 * leaves the session with every turn closed. */
struct run_talk {
    struct transcript *log; /* borrowed; in place of the agent's own; may be NULL     */
    bool wants_other;       /* another answer than before: thinking is sampled         */
    bool has_message;       /* out: the message stands in the session; false: it did
                             * not fit or was stopped, and part of it may stand there  */
};

struct run {
    struct agent *a;
    struct run_talk *talk; /* NULL: a task by itself */
    struct task task;
    struct protocol_line line; /* the asked signature, or how it begins; none: empty */
    struct budget budget;
    struct rng rng;
    struct recording *recording; /* NULL: none */
    struct transcript *log;      /* NULL: none */
    struct agent_result *result;
    struct session_stats stats; /* of the session when the run began */
    int iteration;
    int n_before;             /* iterations of the candidates before this one */
    int64_t n_turn;           /* tokens generated in this turn       */
    struct chat_text pending; /* to be appended before the next turn */
    int mark;                 /* after the task                      */
    bool has_mark;
    bool is_at_task;   /* nothing stands after the task         */
    bool is_sampled;   /* thinking is sampled: an attempt failed */
    bool wants_answer; /* the next turn is an answer step       */
    bool has_turn_end; /* the last turn's <|im_end|> is there   */
    bool is_full;      /* the context has no room left          */
    int n_failures;
    struct candidate *passed; /* owned: answers of earlier candidates that passed */
    int n_passed;
    struct candidate best; /* by rank; the first of equals, but an answer beats a cell */
    bool is_accepted;      /* best is the answer                                       */
    char *prose;           /* owned: answer to a task that wants no code               */
    size_t n_prose;
    struct tried tried;            /* plans of this task that failed          */
    struct paths paths;            /* attempts at it, when they branch        */
    bool branches;                 /* attempts at the task are kept as paths  */
    enum evidence_rank last_rank;  /* of what this turn brought; NONE: not run */
    char *last_code, *last_result; /* owned: for telling a repeated call */
};

/* Tell the sink; iteration and time are filled in. */
void run_event(struct run *r, struct agent_event *ev);
void run_emit(struct run *r, enum agent_event_type type, struct str text);
void run_notice(struct run *r, const char *fmt, ...) PRINTF(2, 3);

enum {
    ANSWER_RESERVE = 1024, /* tokens of context kept for an answer step             */
    CLOSE_RESERVE = 64,    /* in a conversation: for the end of an answer cut short */
};

/* ---- agent.c ---- */

/* agent_run, and with `talk` a message of a conversation. */
enum status run_task(struct agent *a,
                     struct run_talk *talk,
                     struct str task,
                     const char *entry_point,
                     struct agent_result *out,
                     struct err *e) MUST_USE;
/* Other settings for the next run. */
void run_set(struct agent *a, const struct agent_limits *limits, const struct sampling *s);

/* The iteration that is an answer step because it is the last. */
int run_last_iteration(const struct run *r);

/* ---- attempt.c ---- */

/* Of a turn's thinking, and of the code of a plan whose greedy code did not load. */
struct sampling run_think_sampling(const struct run *r);
struct sampling run_again_sampling(const struct run *r);
/* The frame in front of a turn.  Without thinking it closes that at once, in the
 * template's own form. */
enum status run_open_frame(struct run *r, bool is_thinking, struct err *e) MUST_USE;
/* Run a turn behind its frame.  With keeps_forks it begins where paths.h says; what need
 * not be run, or not yet, is taken back and another one made, within the iteration. */
enum status run_attempt(struct run *r,
                        struct turn *t,
                        struct turn_args *args,
                        struct err *e) MUST_USE;

/* ---- act.c ---- */

/* How this run runs programs. */
struct programs run_programs(const struct run *r);
void run_log_turn(struct run *r, const struct turn *t, bool is_answer);
/* Encode and append t, log it, and empty it.  QA_E_LIMIT: it does not fit; nothing was
 * appended.  QA_E_STOP: in a conversation all of it stands there nevertheless, unless it
 * was the message. */
enum status run_append(struct run *r,
                       struct chat_text *t,
                       const char *what,
                       struct err *e) MUST_USE;
/* A user's message into r->pending, behind the model's turn if there is one. */
void run_add_user(struct run *r, struct str text);
/* Back to the task: everything after it is forgotten, nothing is computed again. */
enum status run_return_to_task(struct run *r, struct err *e) MUST_USE;
/* Act on a finished turn; r->is_accepted when it brought the answer. */
enum status run_handle_turn(struct run *r,
                            struct turn *t,
                            bool is_answer,
                            struct err *e) MUST_USE;

/* ---- settle.c ---- */

/* Close what a run of a conversation left open: results that were not yet appended, a
 * turn that was cut, an answer that is not the model's last text. */
enum status run_settle(struct run *r, struct err *e) MUST_USE;

/* ---- judge.c ---- */

/* Run `code` in a clean worker with the task's examples.  own (may be NULL): how the
 * program it comes from ended; text (may be NULL): the answer it comes from.  The
 * candidate replaces run.best where it is better.  *out is a copy without owned parts. */
enum status judge_code(struct run *r,
                       struct str code,
                       const struct run_result *own,
                       const struct str *text,
                       struct evidence *out,
                       struct err *e) MUST_USE;

/* --candidates: put the answer that passed aside, and at the end take the one whose
 * definitions came most often. */
enum status judge_keep(struct run *r, struct err *e) MUST_USE;
void judge_vote(struct run *r);

/* Fill result.answer, result.code and result.outcome at the end of a run. */
enum status judge_finish(struct run *r, enum budget_end spent, struct err *e) MUST_USE;

#endif
