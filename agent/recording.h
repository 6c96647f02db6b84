/* recording.h - a run as its log tells it, to be taken up again or checked.
 *
 * A log (transcript.h) holds, in order, what was appended to the session, what each
 * turn said, and how each program ended.  The loop is a function of these: given them
 * again it comes to the same place.  So a run is resumed by giving the loop what the log
 * has, until it ends, and going on from there; and it is replayed by letting the model
 * speak anew, giving it the programs' recorded results, and comparing every token.
 *
 * A second door of the room, for the commands that open logs.  One thread. */
#ifndef QA_AGENT_RECORDING_H
#define QA_AGENT_RECORDING_H

#include "agent/agent.h"

#include <jansson.h>

struct transcript;

enum recording_mode {
    RECORDING_RESUME, /* recorded turns are appended, not decoded; then the run goes on */
    RECORDING_REPLAY, /* turns are decoded; the first token that differs stops the run  */
};

/* How and with what the recorded run was made.  Pointers live as long as the recording;
 * text is "" where the log does not say. */
struct recording_head {
    const char *model_path; /* "" for the embedded model                         */
    const char *model, *model_hash, *kernels, *kv, *sandbox;
    int n_threads;
    const char *name; /* of the asked function                             */
    struct str task;
    const char *outcome; /* how it ended; "" when it was broken off           */
};

struct recording;

/* The last run of the log at `path`; a torn last line is left out.  QA_E_FORMAT: there is
 * no run in it. */
enum status recording_open(struct recording **out,
                           const char *path,
                           enum recording_mode mode,
                           struct err *e) MUST_USE;
void recording_close(struct recording *r);
const struct recording_head *recording_head(const struct recording *r);

/* The settings of the recorded run into *o: limits, sampling, retry, context, drafts.
 * For a replay without the limits of time, which no run keeps twice. */
void recording_settings(const struct recording *r, struct agent_opts *o);

/* After a replay.  NULL: every token of the log came again. */
struct recording_difference {
    int iteration;
    int64_t position;      /* in the session, from 0                            */
    int32_t recorded, now; /* ids; -1: there was no further token               */
    const char *what;      /* "turn", "task", ... : what the token belongs to     */
    const int32_t *before; /* ids of what stands before it; borrowed            */
    size_t n_before;
};
const struct recording_difference *recording_difference(const struct recording *r);
int64_t recording_n_compared(const struct recording *r); /* tokens that were the same */

/* ---- for the loop ------------------------------------------------------- */

/* r may be NULL in all of these: no recording, everything is new. */

/* The run begins; in RESUME `log` (may be NULL) is held until the run goes on. */
enum status recording_begin(struct recording *r,
                            struct transcript *log,
                            const int32_t *prefix,
                            size_t n,
                            struct err *e) MUST_USE;
/* The run is over: nothing of it was new, or the log goes on. */
void recording_end(struct recording *r, bool is_interrupted);

/* n ids that the loop is about to append behind `ids`[0, n_before).  RESUME: QA_E_FORMAT
 * when the log has others there.  REPLAY: QA_E_STOP when it has, or ends there. */
enum status recording_append(struct recording *r,
                             const char *what,
                             const int32_t *session,
                             size_t n_before,
                             const int32_t *ids,
                             size_t n,
                             struct err *e) MUST_USE;

struct recorded_turn {
    const int32_t *ids;
    size_t n;
    int64_t n_tokens;    /* generated; the others were forced       */
    uint64_t rng;        /* state behind it                         */
    const char *end;     /* turn_end_name                           */
    const json_t *forks; /* as forks_to_json() has them; NULL: none */
    bool is_answer;      /* it was an answer step                   */
    bool is_unfinished;  /* broken off by a budget or by the user  */
};
/* The turn that comes next.  NULL with QA_OK: the log ends here and the turn is new (in a
 * replay: QA_E_STOP). */
enum status recording_turn(struct recording *r,
                           const struct recorded_turn **out,
                           struct err *e) MUST_USE;
/* While the log lasts its limit holds, else `own`: a resumed run may have more. */
int recording_max_iter(const struct recording *r, int own);
/* In RESUME a recorded turn that was broken off goes on: from here all is new. */
void recording_goes_on(struct recording *r);
bool recording_is_replay(const struct recording *r);
/* REPLAY: the turn so far is `session`[from, n).  False: it differs, or the log broke off
 * there; the run is to stop.  is_over: nothing follows. */
bool recording_compare(struct recording *r,
                       const struct recorded_turn *t,
                       const int32_t *session,
                       size_t from,
                       size_t n,
                       bool is_over);

/* The result of the program that runs next.  *has = false: it has to be run. */
enum status recording_program(struct recording *r,
                              struct run_result *out,
                              bool *has,
                              struct err *e) MUST_USE;

#endif
