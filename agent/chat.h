/* chat.h - conversations to the exact bytes and ids of the official templates.
 *
 * Three templates are known, by the sha256 of their text.  A conversation is
 * rendered into a chat_text: bytes, and the spans of them that are control tokens.
 * Only text of the template itself can make such a span, so whatever a user, a
 * tool or a model wrote stays ordinary text when it is encoded.
 *
 * Two users: chat_render() takes whole conversations as JSON; the agent's loop adds
 * frame and text as it goes (chat_add_frame, chat_add_text) and never renders
 * again what was sampled. */
#ifndef QA_AGENT_CHAT_H
#define QA_AGENT_CHAT_H

#include "engine/engine.h"

#include <jansson.h>

enum chat_template {
    CHAT_QWEN36,       /* Qwen3.6                                            */
    CHAT_QWEN35,       /* Qwen3.5 from 4B up                                 */
    CHAT_QWEN35_SMALL, /* Qwen3.5 0.8B and 2B: thinking is off unless asked  */
};
const char *chat_template_name(enum chat_template t);

/* The template with this text.  False when it is none of the three: *t is then the
 * nearest.  An empty text (the file has none) is taken as Qwen3.6, and true. */
bool chat_template_of(struct str text, enum chat_template *t);

/* Rendered text.  Spans are [from, to) pairs in rising order, each one control token. */
struct chat_text {
    struct str_buf bytes;
    size_t *spans; /* owned; 2 * n_spans offsets */
    size_t n_spans, cap_spans;
};
enum { CHAT_MAX_BYTES = 64 << 20 };
void chat_text_init(struct chat_text *t);
void chat_text_release(struct chat_text *t);
void chat_text_reset(struct chat_text *t);

/* Template text: the names of control tokens in it become control tokens. */
void chat_add_frame(struct chat_text *t, struct str s);
/* Anybody else's text: stays text. */
void chat_add_text(struct chat_text *t, struct str s);
/* Append the ids of t.  Text between two control tokens is encoded as one piece, as
 * the official tokenizer does. */
enum status chat_encode(const struct engine *g,
                        const struct chat_text *t,
                        struct ids *out,
                        struct err *e) MUST_USE;

/* Python's str.strip(), which the templates apply to every message. */
struct str chat_trim(struct str s);

struct chat_opts {
    enum chat_template tmpl;
    bool want_prompt;     /* add_generation_prompt: open the assistant's turn  */
    bool has_think;       /* enable_thinking was given ...                     */
    bool want_think;      /* ... with this value                               */
    bool keep_think;      /* preserve_thinking (Qwen3.6)                       */
    bool number_pictures; /* add_vision_id                                     */
    bool parse_arguments; /* string arguments of calls are JSON: open them     */
};

/* Append `messages` (array) with `tools` (array or NULL) to t.  QA_E_FORMAT with the
 * template's own words when it refuses them; t is then undefined. */
enum status chat_render(struct chat_text *t,
                        const json_t *messages,
                        const json_t *tools,
                        const struct chat_opts *o,
                        struct err *e) MUST_USE;

/* What stands between the tools and the system text, and opens an assistant's turn:
 * the pieces of a template that the loop adds by itself. */
void chat_add_system(struct chat_text *t, struct str tools_json, struct str system);
struct str chat_prompt(const struct chat_opts *o);

/* x as Python's json.dumps(x, ensure_ascii=False) writes it. */
void chat_add_json(struct str_buf *b, const json_t *x);

#endif
