/* stream.h - splits a model's output into thinking, text and calls, fed any number of
 * bytes at a time; every split of the same bytes gives the same result.
 *
 * States, and who leaves them:
 *   THINK  the prompt left <think> open; "</think>" ends it
 *   TEXT   the answer; a call ("<tool_call>", blanks, "<function=") ends it
 *   CALL   everything from the first call on, kept until the output ends: only then is
 *          it sure where a call ended (code may quote one)
 * A call that begins in THINK counts when no "</think>" follows it.  White space at
 * the seams of thinking, and before a call, is dropped. */
#ifndef QA_AGENT_STREAM_H
#define QA_AGENT_STREAM_H

#include "agent/toolcall.h"

enum stream_part { STREAM_THINK, STREAM_TEXT, STREAM_CODE };

/* More of a part, as soon as it is sure.  STREAM_CODE is the first value of a call, for
 * a person to watch; what is run comes from stream.calls. */
typedef void stream_fn(void *ctx, enum stream_part part, struct str more);

enum stream_state { STREAM_IN_THINK, STREAM_IN_TEXT, STREAM_IN_CALL };

struct stream {
    enum stream_state state;
    struct str_buf think, text; /* owned; what was sure so far                       */
    struct str_buf held;        /* owned; bytes not yet sure; in CALL all of the call */
    struct toolcalls calls;     /* owned; after stream_finish()                       */
    const json_t *tools;        /* borrowed                                           */
    stream_fn *sink;            /* may be NULL */
    void *sink_ctx;
    size_t n_code;         /* bytes of held already shown as code      */
    bool was_thinking;     /* began in THINK                            */
    bool is_call_in_think; /* the held call began inside thinking       */
};
enum { STREAM_MAX_BYTES = 16 << 20 };

void stream_init(struct stream *s, bool is_thinking, const json_t *tools);
void stream_release(struct stream *s);
/* Never fails; running out of memory is reported by stream_finish. */
void stream_feed(struct stream *s, struct str bytes);
/* The output is over: decide what is still open and read the calls. */
enum status stream_finish(struct stream *s, struct err *e) MUST_USE;

#endif
