/* fuzz_task.c - any bytes as a task and as an answer: what is read off them stands in
 * them, and examples are calls and literals, whole. */
#include "agent/task.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_within(struct str part, struct str whole)
{
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void check_task(struct str text, const char *entry_point)
{
    static struct task t; /* large */
    task_read(&t, text, entry_point);
    const struct str made = {t.made, t.n_made};
    ASSERT(!t.name.n || t.wants_code);
    ASSERT(entry_point || !t.name.n || is_within(t.name, text));
    ASSERT(t.n_examples <= TASK_MAX_EXAMPLES && t.n_made <= sizeof t.made);
    for (size_t i = 0; i < t.n_examples; i++) {
        const struct str call = t.example[i].call;
        const struct str want = t.example[i].want;
        ASSERT(is_within(call, text) || is_within(call, made));
        ASSERT(str_starts(call, t.name) && call.p[t.name.n] == '(');
        ASSERT(call.p[call.n - 1] == ')');
        ASSERT(want.n && task_literal(want) == want.n);
        for (size_t k = 0; k < i; k++) {
            ASSERT(!str_eq(call, t.example[k].call));
        }
    }
}

static void check_answer(struct str answer, struct str name)
{
    const struct str code = task_code(answer, name);
    if (!code.n) return;
    ASSERT(is_within(code, answer) && str_trim(code).n);
    /* The code stands by itself, fenced again. */
    struct str_buf again;
    str_buf_init(&again, answer.n + 64);
    str_buf_add_z(&again, "```python\n");
    str_buf_add(&again, code);
    str_buf_add_z(&again, "\n```\n");
    const struct str same = task_code(str_buf_str(&again), name);
    /* An inner fence ends the block sooner; nothing else may change it. */
    ASSERT(str_eq(same, code) || str_find(code, STR("```")) != SIZE_MAX);
    ASSERT(task_defines(same, name) == task_defines(code, name) ||
           str_find(code, STR("```")) != SIZE_MAX);
    str_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = {(const char *)data, size};
    if (size > 1 << 14) return 0;
    check_task(text, NULL);
    check_task(text, "f");
    const size_t n = task_literal(text);
    ASSERT(n <= size && (!n || task_literal(str_cut(text, 0, n)) == n));
    check_answer(text, STR("f"));
    check_answer(text, STR(""));
    return 0;
}
