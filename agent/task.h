/* task.h - what can be read off a task's text without a model: the name of the
 * function it asks for, and examples with their results; and off an answer's: its code. */
#ifndef QA_AGENT_TASK_H
#define QA_AGENT_TASK_H

#include "engine/base/str.h"

enum { TASK_MAX_EXAMPLES = 16, TASK_MADE_BYTES = 4096, TASK_SIGNATURE_BYTES = 256 };

/* f(1, [2]) -> 3: both sides are literals, so that trying it is safe and sure. */
struct task_example {
    struct str call, want; /* borrowed from the task's text or from task.made */
};

struct task {
    struct str name;      /* of the function asked for; n = 0: not known; borrowed */
    bool wants_code;      /* the answer is code, not prose                         */
    struct str signature; /* "def f(a, b: int) -> str:", of sig_text; n = 0: none, or not one */
    bool is_stub;         /* it stands in the task like that; else made of "f(a, b)" */
    struct task_example example[TASK_MAX_EXAMPLES];
    size_t n_examples;
    char made[TASK_MADE_BYTES]; /* calls that do not stand in the task as such */
    size_t n_made;
    char sig_text[TASK_SIGNATURE_BYTES];
};

/* entry_point (may be NULL) overrides the name found in the text.  Examples are
 *   >>> f(x)        and on the next line y
 *   f(x) -> y       also =>  ==  =  :  #  "returns", "should return", "gives", "is", ...
 *   assert f(x) == y
 *   Input: x        and on the next line Output: y
 * of the asked function; others are left out. */
void task_read(struct task *t, struct str text, const char *entry_point);

/* End of the Python literal at the start of s (number, string, list, tuple, dict, set,
 * True, False, None), or 0 when there is none. */
size_t task_literal(struct str s);

/* True when a line of `code` defines `name` at its left margin (def, async def, class,
 * or an assignment); with an empty name, when it defines any function. */
bool task_defines(struct str code, struct str name);

/* The code of an answer: the last fenced block that defines `name`, else the last one;
 * n = 0 when there is no block.  A block that is not closed ends with the answer. */
struct str task_code(struct str answer, struct str name);

#endif
