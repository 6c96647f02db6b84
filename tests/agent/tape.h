/* tape.h - what tapes of the agent's tests are written in. */
#ifndef QA_TEST_TAPE_H
#define QA_TEST_TAPE_H

#include "agent/agent.h"
#include "agent/chat.h"
#include "engine/base/file.h"
#include "prompts/prompts.h"
#include "tests/fake/fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CALL(code)                                                    \
    "<tool_call>\n<function=code_execution>\n<parameter=code>\n" code \
    "\n</parameter>\n</function>\n</tool_call>"
#define GOOD        "def double(x):\n    return 2 * x"
#define BAD         "def double(x):\n    return x + 2"
#define BLOCK(code) "```python\n" code "\n```"
/* An answer step: the fence is opened for the model when it closes its thinking. */
#define OPENED(code) "\n</think>" code "\n```"

static const char TASK[] = "Write a function `double(x)`. For example, double(3) returns 6.";

#endif
