"""The prompt files of the product, and the constant system turn that every conversation begins with."""
import os

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "prompts")
TOOL_TEXT = """

If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested within <tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the function call, but NOT after
- If there is no function call available, answer the question like normal with your current knowledge and do not tell the user about function calls
</IMPORTANT>"""


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        return f.read().removesuffix("\n")


def system_prefix(folder=FOLDER):
    tools, system = read(folder, "tools.txt"), read(folder, "system.txt")
    return f"<|im_start|>system\n# Tools\n\nYou have access to the following functions:\n\n<tools>\n{tools}\n</tools>{TOOL_TEXT}\n\n{system}<|im_end|>\n"
