/* shapes.h - shapes of answers, all to the task of writing twice(x), which gives 2 * x.
 * is_right: the completion behind the prompt passes. */
#ifndef QA_TEST_SHAPES_H
#define QA_TEST_SHAPES_H

#include "humaneval/humaneval.h"

struct shape {
    const char *name, *answer;
    enum extract_how how;
    const char *completion;
    bool is_right;
};

#define DEF  "def twice(x):\n    return 2 * x\n"
#define BODY "    return 2 * x\n"
#define F    EXTRACT_FUNCTION
#define B    EXTRACT_BODY

// clang-format off
static const struct shape SHAPES[] = {
    /* fences */
    {"a fence with a tag", "```python\n" DEF "```\n", F, "\n" DEF, true},
    {"a fence without a tag", "```\n" DEF "```\n", F, "\n" DEF, true},
    {"py as the tag", "```py\n" DEF "```", F, "\n" DEF, true},
    {"python3 as the tag", "```python3\n" DEF "```", F, "\n" DEF, true},
    {"a tag in capitals", "```Python\n" DEF "```", F, "\n" DEF, true},
    {"a tag with a title", "```python title=\"a.py\"\n" DEF "```", F, "\n" DEF, true},
    {"a tag in braces", "```{.python}\n" DEF "```", F, "\n" DEF, true},
    {"a blank before the tag", "``` python\n" DEF "```", F, "\n" DEF, true},
    {"tildes", "~~~python\n" DEF "~~~\n", F, "\n" DEF, true},
    {"four backticks", "````python\n" DEF "````\n", F, "\n" DEF, true},
    {"a closer longer than its opener", "```python\n" DEF "`````\n", F, "\n" DEF, true},
    {"a shorter fence inside", "````python\ndef twice(x):\n    \"\"\"\n```\n    \"\"\"\n    return 2 * x\n````\n", F,
     "\ndef twice(x):\n    \"\"\"\n```\n    \"\"\"\n    return 2 * x\n", true},
    {"a fence in a docstring", "```python\ndef twice(x):\n    \"\"\"Use:\n    ```\n    twice(1)\n    ```\n    \"\"\"\n    return 2 * x\n```\nDone.", F,
     "\ndef twice(x):\n    \"\"\"Use:\n    ```\n    twice(1)\n    ```\n    \"\"\"\n    return 2 * x\n", true},
    {"no closing fence", "```python\n" DEF, F, "\n" DEF, true},
    {"no closing fence and no newline", "Here:\n```python\ndef twice(x):\n    return 2 * x", F, "\n" DEF, true},
    {"a fence inside a list", "1. Do this:\n   ```python\n   def twice(x):\n       return 2 * x\n   ```\n2. Done.\n", F, "\n" DEF, true},
    {"a fence with blanks behind it", "```python   \n" DEF "```  \n", F, "\n" DEF, true},
    {"a block on one line", "```python twice = lambda x: 2 * x```", F, "\ntwice = lambda x: 2 * x\n", true},
    {"blank lines around the code", "```python\n\n\n" DEF "\n\n\n```", F, "\n\n\n" DEF, true},
    {"an empty block and a full one", "```python\n```\n\n```python\n" DEF "```", F, "\n" DEF, true},

    /* prose around it */
    {"prose before", "Here is the function you asked for.\n\n```python\n" DEF "```", F, "\n" DEF, true},
    {"prose behind", "```python\n" DEF "```\nIt doubles x. Isn't it simple?", F, "\n" DEF, true},
    {"prose on both sides", "Sure!\n```python\n" DEF "```\nHope it helps.", F, "\n" DEF, true},
    {"inline code in the prose", "Use `twice` with ```x```:\n```python\n" DEF "```", F, "\n" DEF, true},
    {"a heading and a table", "# Solution\n| a | b |\n|---|---|\n\n```python\n" DEF "```\n", F, "\n" DEF, true},

    /* several blocks */
    {"a usage example behind it", "```python\n" DEF "```\nUse:\n```python\nprint(twice(4))\n```", F, "\n" DEF, true},
    {"a test block behind it", "```python\n" DEF "```\n```python\nassert twice(2) == 4\n```", F, "\n" DEF, true},
    {"a draft before it", "```python\ndef twice(x):\n    return x\n```\nWrong. Better:\n```python\n" DEF "```", F, "\n" DEF, true},
    {"a shell block before it", "```bash\npip install x\n```\n```python\n" DEF "```", F, "\n" DEF, true},
    {"a shell block behind it", "```python\n" DEF "```\n```bash\npython a.py\n```", F, "\n" DEF, true},
    {"an output block behind it", "```python\n" DEF "```\nOutput:\n```\n4\n```", F, "\n" DEF, true},
    {"a block in another language that defines it", "```text\n" DEF "```\n", F, "\n" DEF, true},
    {"a console session behind it", "```python\n" DEF "```\n```pycon\n>>> twice(2)\n4\n```", F, "\n" DEF, true},
    {"two blocks without the entry point", "```python\na = 1\n```\n```python\nb = 2\n```", EXTRACT_BLOCK, "\nb = 2\n", false},
    {"another name", "```python\ndef double(x):\n    return 2 * x\n```", EXTRACT_BLOCK, "\ndef double(x):\n    return 2 * x\n", false},
    {"a name that only begins like it", "```python\n" DEF "```\n```python\ndef twice_more(x):\n    return 3 * x\n```", F, "\n" DEF, true},

    /* what a block may hold */
    {"imports in front", "```python\nimport math\n" DEF "```", F, "\nimport math\n" DEF, true},
    {"a helper in front", "```python\ndef two():\n    return 2\n\n\ndef twice(x):\n    return two() * x\n```", F,
     "\ndef two():\n    return 2\n\n\ndef twice(x):\n    return two() * x\n", true},
    {"a helper behind", "```python\ndef twice(x):\n    return two() * x\n\ndef two():\n    return 2\n```", F,
     "\ndef twice(x):\n    return two() * x\n\ndef two():\n    return 2\n", true},
    {"a main guard", "```python\n" DEF "\nif __name__ == '__main__':\n    print(twice(input()))\n```", F,
     "\n" DEF "\nif __name__ == '__main__':\n    print(twice(input()))\n", true},
    {"asserts of its own", "```python\n" DEF "assert twice(1) == 2\n```", F, "\n" DEF "assert twice(1) == 2\n", true},
    {"a wrong assert of its own stays", "```python\n" DEF "assert twice(1) == 3\n```", F, "\n" DEF "assert twice(1) == 3\n", false},
    {"a lambda", "```python\ntwice = lambda x: 2 * x\n```", F, "\ntwice = lambda x: 2 * x\n", true},
    {"a decorated function", "```python\nimport functools\n@functools.lru_cache(None)\n" DEF "```", F,
     "\nimport functools\n@functools.lru_cache(None)\n" DEF, true},
    {"annotations", "```python\ndef twice(x: int) -> int:\n    return 2 * x\n```", F, "\ndef twice(x: int) -> int:\n    return 2 * x\n", true},
    {"a docstring that quotes a def", "```python\ndef twice(x):\n    '''As in\ndef twice(y):\n    '''\n    return 2 * x\n```", F,
     "\ndef twice(x):\n    '''As in\ndef twice(y):\n    '''\n    return 2 * x\n", true},
    {"a future import", "```python\nfrom __future__ import division\n" DEF "```", F, "\n" DEF, true},
    {"a signature over several lines", "```python\ndef twice(\n    x,\n):\n    return 2 * x\n```", F, "\ndef twice(\n    x,\n):\n    return 2 * x\n", true},
    {"a method of a class", "```python\nclass Solution:\n    def twice(self, x):\n        return 2 * x\n```", EXTRACT_BLOCK,
     "\nclass Solution:\n    def twice(self, x):\n        return 2 * x\n", false},
    {"a class and the function", "```python\nclass A:\n    pass\n\n" DEF "```", F, "\nclass A:\n    pass\n\n" DEF, true},
    {"a form feed between functions", "```python\n" DEF "\f\n```", F, "\n" DEF, true},

    /* indentation */
    {"all of it indented", "```python\n    def twice(x):\n        return 2 * x\n```", F, "\n" DEF, true},
    {"tabs", "```python\ndef twice(x):\n\treturn 2 * x\n```", F, "\ndef twice(x):\n\treturn 2 * x\n", true},
    {"the body alone", "```python\n    return 2 * x\n```", B, BODY, true},
    {"the body alone without indentation", "```python\nreturn 2 * x\n```", B, BODY, true},
    {"a longer body without indentation", "```python\ny = x\nif y:\n    y = 2 * y\nreturn y\n```", B,
     "    y = x\n    if y:\n        y = 2 * y\n    return y\n", true},
    {"a body that lost its first indentation", "```python\ny = x\n    if y:\n        y = 2 * y\n    return y\n```", B,
     "    y = x\n    if y:\n        y = 2 * y\n    return y\n", true},
    {"a loop that lost its first indentation", "for i in [x]:\n        y = 2 * i\n    return y\n", B,
     "    for i in [x]:\n        y = 2 * i\n    return y\n", true},
    {"a body indented by two", "```python\n  y = x\n  return 2 * y\n```", B, "    y = x\n    return 2 * y\n", true},
    {"a body indented by eight", "```python\n        y = x\n        return 2 * y\n```", B, "    y = x\n    return 2 * y\n", true},
    {"a body with an import", "```python\nimport math\nreturn 2 * x\n```", B, "    import math\n    return 2 * x\n", true},
    {"a body with an inner function", "```python\ndef two():\n    return 2\nreturn two() * x\n```", B,
     "    def two():\n        return 2\n    return two() * x\n", true},

    /* no fence */
    {"code and nothing else", DEF, F, "\n" DEF, true},
    {"code without the last newline", "def twice(x):\n    return 2 * x", F, "\n" DEF, true},
    {"prose, code, prose", "The answer is:\n\n" DEF "\nThat is all there is to it.\n", F, "\n" DEF, true},
    {"prose with quotes, then code", "It's a \"(quick\" one:\n" DEF, F, "\n" DEF, true},
    {"prose, import, code", "First we import it.\nimport math\n\n" DEF, F, "\nimport math\n\n" DEF, true},
    {"an indented body and nothing else", "    return 2 * x\n", B, BODY, true},
    {"a body and nothing else", "return 2 * x", B, BODY, true},
    {"code without the entry point", "Look:\ndef double(x):\n    return 2 * x\n", EXTRACT_SPAN, "\ndef double(x):\n    return 2 * x\n", false},
    {"prose and nothing else", "I cannot do that.", EXTRACT_RAW, "I cannot do that.", false},
    {"two spans", "def twice(x):\n    return x\n\nNo, rather:\n" DEF, F, "\n" DEF, true},

    /* a fence that the prompt had opened */
    {"continued up to the closing fence", "    return 2 * x\n```\nThis doubles x.", B, BODY, true},
    {"a function continued up to the closing fence", DEF "```\nThis doubles x.", F, "\n" DEF, true},
    {"continued, then another block", "    return 2 * x\n```\nUse:\n```python\nprint(1)\n```\n", B, BODY, true},

    /* consoles */
    {"a console session that types it in", "```pycon\n>>> def twice(x):\n...     return 2 * x\n...\n>>> twice(2)\n4\n```", F,
     "\n" DEF "\ntwice(2)\n", true},
    {"a console session in a plain block", "```python\n>>> def twice(x):\n...     return 2 * x\n```", F, "\n" DEF, true},

    /* thinking */
    {"thinking in front", "<think>\nEasy.\n</think>\n\n```python\n" DEF "```", F, "\n" DEF, true},
    {"a draft in the thinking", "<think>\n```python\ndef twice(x):\n    return x\n```\n</think>\n```python\n" DEF "```", F, "\n" DEF, true},
    {"thinking without its opening tag", "Easy.\n</think>\n```python\n" DEF "```", F, "\n" DEF, true},
    {"two thinking parts", "<think>a</think>\n" "x <think>b</think>\n```python\n" DEF "```", F, "\n" DEF, true},
    {"thinking that never ends", "<think>\n```python\n" DEF "```\nwait", EXTRACT_NONE, "", false},
    {"thinking and nothing else", "<think>\nHm.\n</think>\n", EXTRACT_NONE, "", false},
    {"nothing", "", EXTRACT_NONE, "", false},
    {"white space", " \n\t\n", EXTRACT_NONE, "", false},

    /* bytes */
    {"CRLF", "```python\r\ndef twice(x):\r\n    return 2 * x\r\n```\r\n", F, "\n" DEF, true},
    {"old line ends", "```python\rdef twice(x):\r    return 2 * x\r```\r", F, "\n" DEF, true},
    {"a byte-order mark", "\xEF\xBB\xBF" DEF, F, "\n" DEF, true},
    {"characters beyond ASCII", "```python\ndef twice(x):  # \xC3\xBC \xE2\x9E\x9E\n    return 2 * x\n```", F,
     "\ndef twice(x):  # \xC3\xBC \xE2\x9E\x9E\n    return 2 * x\n", true},
    {"blanks at line ends", "```python\ndef twice(x):  \n    return 2 * x  \n   \n```", F, "\ndef twice(x):  \n    return 2 * x\n", true},
};
// clang-format on

#undef F
#undef B

#endif
