/* record.h - what a conversation holds: its tokens, its messages, and how it was before
 * the last compaction.
 *
 * A record is what the events of a session log say: a conversation in progress applies
 * each event that it logs, and reading the log again gives the same record.  So what is
 * resumed is what was computed, to the token. */
#ifndef QA_AGENT_RECORD_H
#define QA_AGENT_RECORD_H

#include "engine/engine.h"

#include <jansson.h>

struct record_message {
    char *text; /* owned: what the user wrote                   */
    size_t n_text;
    char *answer; /* owned: NULL while there is none              */
    size_t n_answer;
    char *code; /* owned: the program of the answer, or NULL   */
    size_t n_code;
    size_t n_start; /* tokens before it                             */
    bool is_folded; /* only a summary of it is left in the tokens   */
};

struct record {
    struct ids ids; /* owned: all tokens from 0                        */
    size_t n_prefix;
    struct record_message *message; /* owned */
    size_t n, cap;
    bool is_open;          /* the last message has no end yet            */
    struct record *before; /* owned: what a compaction replaced, or NULL */
    size_t n_compacted;    /* messages there were at that time           */
    char *summary;         /* owned: of that compaction                  */
    char model[128];
    int64_t n_params, n_vocab;
};
void record_init(struct record *r);
void record_release(struct record *r);

/* One event of a log; types that say nothing about the conversation are passed over.
 * QA_E_FORMAT: the event cannot follow what was there; r is unchanged. */
enum status record_apply(struct record *r, const json_t *event, struct err *e) MUST_USE;

/* The open message as a run left it: its tokens, which the run logged by itself, and
 * the "end" event.  ids, n: all tokens from 0. */
enum status record_take(struct record *r,
                        const int32_t *ids,
                        size_t n,
                        const json_t *end,
                        struct err *e) MUST_USE;

/* One line of a log (JSON, any bytes). */
enum status record_line(struct record *r, struct str line, struct err *e) MUST_USE;

/* A whole log.  A torn last line is left out.  A message that never came to its end is
 * taken back; *unfinished (owned by the caller, may be set to NULL) is its text. */
enum status record_read(struct record *r,
                        const char *path,
                        char **unfinished,
                        struct err *e) MUST_USE;

/* May the last thing be undone, and is it the compaction? */
bool record_can_undo(const struct record *r);
bool record_ends_compacted(const struct record *r);

enum { RECORD_MAX_TOKENS = 1 << 24, RECORD_MAX_MESSAGES = 1 << 16 };

#endif
