/* test_task.c - names and examples off a task's text, code off an answer. */
#include "agent/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct task the_task;

static void read_task(const char *text, const char *entry_point)
{
    task_read(&the_task, str_of(text), entry_point);
}

static void expect_example(size_t i, const char *call, const char *want)
{
    if (i >= the_task.n_examples)
        fail_msg("no example %zu, there are %zu", i, the_task.n_examples);
    if (!str_eq(the_task.example[i].call, str_of(call)) ||
        !str_eq(the_task.example[i].want, str_of(want))) {
        fail_msg("%.*s -> %.*s", (int)the_task.example[i].call.n, the_task.example[i].call.p,
                 (int)the_task.example[i].want.n, the_task.example[i].want.p);
    }
}

static void the_name_is_found_however_the_task_is_written(void **fixture)
{
    static const char *const cases[][2] = {
        {"Write `add(a, b)`, please.",                                                 "add"     },
        {"Complete:\n```python\ndef run_it(x: int) -> int:\n    \"\"\"...\"\"\"\n```",
         "run_it"                                                                                },
        {"Write a function `go` that takes a list.",                                   "go"      },
        {"I need a function named sum_all for lists.",                                 "sum_all" },
        {"The function is called `last_one(xs)`.",                                     "last_one"},
        {"Give me a Python function do_it that doubles.",                              "do_it"   },
        {"Make it so that f(3) == 9.",                                                 "f"       },
        {"Write a function that sorts. Call it anything.",                             ""        },
        {"What is the capital of France?",                                             ""        },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        read_task(cases[i][0], NULL);
        if (!str_eq(the_task.name, str_of(cases[i][1]))) {
            fail_msg("'%.*s' in: %s", (int)the_task.name.n, the_task.name.p, cases[i][0]);
        }
    }
    read_task("def other(x): ...", "mine");
    assert_true(str_eq(the_task.name, STR("mine")));
}

static void examples_are_read_in_every_usual_form(void **fixture)
{
    static const char *const forms[] = {
        "f(1) -> 2",
        "f(1) => 2",
        "f(1) == 2",
        "f(1) = 2",
        "assert f(1) == 2",
        "`f(1)` returns `2`",
        "f(1) should return 2.",
        "f(1) gives 2",
        "f(1)  # 2",
        "f(1) yields 2",
        "* f(1) is 2",
        ">>> f(1)\n2",
        "    >>> f(1)\n    2\n",
        "f(1) \xE2\x9E\x9E 2",
        "f(1), which returns 2",
        "f(1) evaluates to 2",
        "f(1): 2",
        "f(1) ==> 2",
        "f(1) # returns 2",
        ">>> f(1) == 2",
        "f(1)  # => 2",
    };
    for (size_t i = 0; i < COUNT(forms); i++) {
        read_task(forms[i], "f");
        if (the_task.n_examples != 1) fail_msg("'%s' gives %zu", forms[i], the_task.n_examples);
        expect_example(0, "f(1)", "2");
    }
}

static void examples_hold_any_literal(void **fixture)
{
    read_task("f([1, -2.5e3], 'a\\'b)', {\"k\": (1, None)}, flag=True) -> [\n  'x', {1: 2}]",
              "f");
    assert_int_equal(the_task.n_examples, 1);
    expect_example(0, "f([1, -2.5e3], 'a\\'b)', {\"k\": (1, None)}, flag=True)",
                   "[\n  'x', {1: 2}]");
}

static void input_and_output_lines_make_a_call(void **fixture)
{
    read_task("Input: 14, 20\nOutput: [14, 16]\n\n- input: \"a\"\n- output: \"b\"\n", "evens");
    assert_int_equal(the_task.n_examples, 2);
    expect_example(0, "evens(14, 20)", "[14, 16]");
    expect_example(1, "evens(\"a\")", "\"b\"");
}

static void what_is_no_literal_is_left_out(void **fixture)
{
    static const char *const forms[] = {
        "f(x) == 2",
        "f(1) == g(2)",
        "f(1) == 2 + 1",
        "f(open('x')) == 2",
        "f(1)\n>>> 2",
        "pf(1) == 2",
        "f (1) == 2",
        "f(1) returns x",
        "f(1",
        "o.f(1) == 2",
        "f(1) == 4a",
        "f(1) == \"\"a\"",
        "Input: x\nOutput: 3",
        "Input: 3\nThen Output: 3",
    };
    for (size_t i = 0; i < COUNT(forms); i++) {
        read_task(forms[i], "f");
        if (the_task.n_examples) fail_msg("'%s' is no example", forms[i]);
    }
}

static void examples_are_counted_once_and_bounded(void **fixture)
{
    char text[4096] = "";
    size_t n = 0;
    for (int i = 0; i < 60; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "f(%d) -> %d\n", i / 2, i / 2);
    }
    read_task(text, "f");
    assert_int_equal(the_task.n_examples, TASK_MAX_EXAMPLES);
    expect_example(1, "f(1)", "1");
}

static void deep_nesting_is_refused_not_followed(void **fixture)
{
    char text[3000] = "f(";
    memset(text + 2, '[', 2900);
    read_task(text, "f");
    assert_int_equal(the_task.n_examples, 0);
}

static void code_is_taken_from_the_block_that_defines_the_name(void **fixture)
{
    static const struct {
        const char *answer, *code;
    } cases[] = {
        {"```python\ndef f():\n    pass\n```",                               "def f():\n    pass"},
        {"```\ndef f(): 1\n```\nUse:\n```python\nprint(f())\n```\n",         "def f(): 1"        },
        {"```python\ndef g(): 1\n```\n```python\ndef f(): 2\n```",           "def f(): 2"        },
        {"```python\nx = 1\n```\n```\ny = 2\n```",                           "y = 2"             },
        {"text only",                                                        ""                  },
        {"```python\ndef f(): 1",                                            "def f(): 1"        },
        {"```python\ndef f():\n    '''a ``` b\n    ```python\n    '''\n```",
         "def f():\n    '''a ``` b\n    ```python\n    '''"                                      },
        {"```python\n```python\ndef f(): 1\n```",                            "def f(): 1"        },
        {"```python\nclass f:\n    pass\n\n\n```",                           "class f:\n    pass"},
        {"```",                                                              ""                  },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct str code = task_code(str_of(cases[i].answer), STR("f"));
        if (!str_eq(code, str_of(cases[i].code))) {
            fail_msg("case %zu: '%.*s'", i, (int)code.n, code.p);
        }
    }
}

static void definitions_are_seen_at_the_left_margin_only(void **fixture)
{
    assert_true(task_defines(STR("import x\nasync def f(a):\n  pass"), STR("f")));
    assert_true(task_defines(STR("f = lambda x: x"), STR("f")));
    assert_false(task_defines(STR("f == 1"), STR("f")));
    assert_false(task_defines(STR("def ff(): pass"), STR("f")));
    assert_false(task_defines(STR("class A:\n    def f(self): pass"), STR("f")));
    assert_true(task_defines(STR("def anything(): pass"), STR("")));
}

static void a_signature_is_taken_from_one_stub_or_from_a_call_of_names(void **fixture)
{
    static const struct {
        const char *text, *name, *want;
        bool is_stub;
    } cases[] = {
        {"def f(a, b):\n    \"\"\"...\"\"\"",                                   "f", "def f(a, b):",    true },
        {"```python\ndef f(a: list[int], *, b=(1, 2)) -> dict[str, int]:\n```", "f",
         "def f(a: list[int], *, b=(1, 2)) -> dict[str, int]:",                                         true },
        {"def g(x): ...\ndef f(y): ...",                                        "f", "def f(y):",       true },
        {"def f(x):\n...\ndef f(x):",                                           "f", "def f(x):",       true },
        {"Write a function `f(text, n)`. f('a', 2) gives 'aa'.",                "f", "def f(text, n):", false},
        {"Write f(s). For f(s) of an empty s return 0.",                        "f", "def f(s):",       false},
        {"def f(x):\ndef f(x, y):",                                             "f", "",                false}, /* which one? */
        {"def f(xs: List[int]) -> int:",                                        "f", "",                false}, /* needs an import */
        {"def f(xs) -> Optional[int]:",                                         "f", "",                false},
        {"def f(x: 'Node') -> int:",                                            "f", "",                false},
        {"def f(x=LIMIT):",                                                     "f", "",                false},
        {"def f(x",                                                             "f", "",                false},
        {"def f(x,\n      y):",                                                 "f", "",                false},
        {"def f(x)",                                                            "f", "",                false},
        {"Write f(x) and f(x, y).",                                             "f", "",                false},
        {"f(n) = f(n - 1) + 1",                                                 "f", "",                false},
        {"f(3, x) is 4",                                                        "f", "",                false},
        {"def ff(x): and my_def f",                                             "f", "",                false},
        {"f(1) -> 2",                                                           "f", "",                false},
        {"def f():",                                                            "f", "def f():",        true },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        read_task(cases[i].text, cases[i].name);
        if (!str_eq(the_task.signature, str_of(cases[i].want)) ||
            (the_task.signature.n && the_task.is_stub != cases[i].is_stub)) {
            fail_msg("'%.*s' in: %s", (int)the_task.signature.n, the_task.signature.p,
                     cases[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_is_found_however_the_task_is_written),
        cmocka_unit_test(a_signature_is_taken_from_one_stub_or_from_a_call_of_names),
        cmocka_unit_test(examples_are_read_in_every_usual_form),
        cmocka_unit_test(examples_hold_any_literal),
        cmocka_unit_test(input_and_output_lines_make_a_call),
        cmocka_unit_test(what_is_no_literal_is_left_out),
        cmocka_unit_test(examples_are_counted_once_and_bounded),
        cmocka_unit_test(deep_nesting_is_refused_not_followed),
        cmocka_unit_test(code_is_taken_from_the_block_that_defines_the_name),
        cmocka_unit_test(definitions_are_seen_at_the_left_margin_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
