/* toolcall.h - calls out of a model's output, in the form the template asks for:
 *
 *   <tool_call>\n<function=NAME>\n<parameter=KEY>\nVALUE\n</parameter>\n</function>\n</tool_call>
 *
 * Values hold raw text (no escapes), so where one ends is a matter of policy; the
 * rules are at toolcall.c's value_end().  Whatever cannot be read as a call stays
 * text, and toolcall_fault() says what is wrong in words the model can act on. */
#ifndef QA_AGENT_TOOLCALL_H
#define QA_AGENT_TOOLCALL_H

#include "engine/base/str.h"

#include <jansson.h>

enum { TOOLCALL_MAX = 32 };

/* One call.  Arguments are typed by the tool's schema. */
struct toolcall {
    struct str name;   /* borrowed from the parsed text  */
    json_t *arguments; /* object; owned                  */
};

struct toolcalls {
    struct toolcall call[TOOLCALL_MAX];
    size_t n;
    struct str_buf text; /* what stood between and after the calls, owned           */
    bool is_cut;         /* the output ended within a call; that call is in `text`  */
};
void toolcalls_release(struct toolcalls *c);

/* True when `s` starts with "<tool_call>", optional blanks and "<function=".  With
 * *is_open set when s ends before that is decided. */
bool toolcall_starts(struct str s, bool *is_open);

/* Read `s`, the output from the first call on.  tools: array as in a request, or NULL. */
enum status toolcall_parse(struct toolcalls *out,
                           struct str s,
                           const json_t *tools,
                           struct err *e) MUST_USE;

/* One line about the first thing in `text` that looks like an attempt at a call and is
 * none; NULL when there is no such thing.  Static text. */
const char *toolcall_fault(struct str text);

/* The value of a parameter as its schema (may be NULL) wants it; a new reference. */
json_t *toolcall_value(struct str text, const json_t *schema);

#endif
