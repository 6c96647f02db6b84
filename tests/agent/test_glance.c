/* What can be seen of a program without running it. */
#include "agent/glance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void what_is_surely_wrong_is_found(void **state)
{
    static const char *const cases[][2] = {
        {"def f(a):\n    return left + a",                "nothing binds the name 'left'"    },
        {"def f(a):\n    return (a",                      "a bracket is not closed"          },
        {"def f(a):\n    return a]",                      "']' closes no bracket"            },
        {"def f(a):\n    return (a]",                     "']' closes no bracket"            },
        {"def f(a):\n    return 'a",                      "a string has no end"              },
        {"def f(a):\n    return 'a\n    b'",              "a string has no end"              },
        {"def f(a):\n    return \"\"\"a",                 "a string has no end"              },
        {"def f(a):\n    return [0] * >= a",              "'>=' cannot follow '*'"           },
        {"def f(a):\n    return a b",                     "'b' cannot follow 'a'"            },
        {"def f(a):\n    return (a) a",                   "'a' cannot follow ')'"            },
        {"def f(a):\n    return a + ",                    NULL                               },
        {"def f(a):\n   0 = a",                           "'=' cannot follow '0'"            },
        {"def f(a):\n    x = [y for x in a]\n    return", "nothing binds the name 'y'"       },
        {"import re\ndef f(a):\n    return math.pi",      "nothing binds the name 'math'"    },
        {"def f(a):\n    return a.sort(key=absolute)",    "nothing binds the name 'absolute'"},
    };
    char note[GLANCE_NOTE];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const bool is_fine = glance_code(str_of(cases[i][0]), note);
        if (is_fine != !cases[i][1]) fail_msg("%s: '%s'", cases[i][0], note);
        if (cases[i][1]) assert_string_equal(note, cases[i][1]);
    }
}

/* Whatever Python takes must pass. */
static void what_may_be_right_passes(void **state)
{
    static const char *const cases[] = {
        "def f(a, *rest, key=None, **more):\n    return a, rest, key, more",
        "def f(a, /, b, *, c):\n    return a - -b ** -c",
        "x: int = 3\ny: str\ndef f():\n    return x",
        "def f(a):\n    b = c = a\n    d, (e, *g) = b, (c, 1)\n    return b + c + d + e",
        "def f(a):\n    for i, (k, v) in enumerate(a.items()):\n        yield i, k, v",
        "def f(a):\n    return {k: v for k, v in a if k not in'ab'}",
        "def f(a):\n    with open(a) as h, open(a) as g:\n        return h.read() + g.read()",
        "def f(a):\n    try:\n        return 1\n    except (ValueError, KeyError) as e:\n"
        "        raise RuntimeError(str(e)) from e",
        "from math import pi as p, tau\nimport os.path\ndef f():\n    return p, tau, os",
        "from typing import (\n    List,\n    Dict,\n)\ndef f(a: List[int]) -> Dict:\n    "
        "return a",
        "def f(a):\n    if (n := len(a)) > 3:\n        return n\n    return lambda x, y=1: x + "
        "y",
        "def f(a):\n    total = 0\n    total += a\n    a[1:2], a[::-1]\n    return total",
        "def f(a):\n    '''It's a \"doc\".'''\n    # it's (a comment\n    return f\"{a!r}\" "
        "'b' rb'c'",
        "def f(a):\n    return \\\n        a",
        "@decorated\ndef f(a): return a\ndef decorated(g): return g",
        "class A:\n    size = 3\n    def f(self):\n        return self.size, __name__",
        "def f(a):\n    global n\n    n = a\n    return 1_000, 0x1f, 1e-5, 1.5j, .5, 1.",
        "def f(a):\n    return exec('b = 1') or b",
        "from math import *\ndef f(a):\n    return floor(a)",
        "def f(a):\n    match a:\n        case [x, y]:\n            return x\n",
        "def f(a):\n    print(*a, sep='')\n    return [*a, *a], {**a}, a if a else not a",
        "async def f(a):\n    async for x in a:\n        await x\n",
        "def \xc3\xa9t\xc3\xa9(na\xc3\xafve):\n    return na\xc3\xafve",
        "",
        "\\",
    };
    char note[GLANCE_NOTE];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (!glance_code(str_of(cases[i]), note)) fail_msg("%s: '%s'", cases[i], note);
    }
}

/* More than it holds is not judged. */
static void a_very_long_program_passes(void **state)
{
    static char text[100000];
    char note[GLANCE_NOTE];
    (void)state;
    for (size_t i = 0; i + 8 < sizeof text; i += 8) {
        memcpy(text + i, "x = aa;\n", 8);
    }
    assert_true(glance_code(str_of(text), note));
    memset(text, '(', sizeof text - 1);
    assert_true(glance_code(str_of(text), note));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_surely_wrong_is_found),
        cmocka_unit_test(what_may_be_right_passes),
        cmocka_unit_test(a_very_long_program_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
