"""Tasks in free form: a request in plain text or Markdown, with examples in many notations."""
from .task import USUAL_NAME, NO_EXAMPLES_PLAIN, Task, annotated, call, finish, pick_examples, quoted
from .wording import INTO, STORIES, capital, clause, describe, introduce, remark, vary

OPENERS = ["", "", "", "", "", "", "Hello! ", "Hi, ", "Please help me with this. ", "I am learning Python. ", "Can you help? ", "I need a little help with a Python exercise. ", "This is a small exercise. ",
           "Here is a task for you. ", "For my homework I need this. ", "Could you do this for me? ", "A quick one: ", "I have a small problem. ", "My teacher gave us this task. ", "I am stuck on this one. "]
ASKS = ["Write a function `{f}` that takes {i}. {t}", "Write a function `{s}`. {t}", "Write a Python function `{s}` for this: {t}", "Write `{s}`. {t}", "Write a function called `{f}` which gets {i}. {t}",
        "Create a function {s}. {t}", "Define `{s}`. {t}", "Implement `{s}`. {t}", "I need a function `{s}`. {t}", "Please write a function named `{f}` that gets {i}. {t}", "Given {i}, write `{s}`. {t}",
        "The function `{s}` gets {i}. {t}", "Make a Python function {f} with the input {i}. {t}", "`{s}` takes {i}. {t}", "Complete `{s}`: {t}", "Please implement a function with the signature `{s}`. {t}",
        "Write a function {s}: {t}", "Function: `{s}`\n\n{t}", "Write a function `{f}` in Python. It takes {i}. {t}", "{t} Call the function `{f}`; it takes {i}.", "{t} The function is called `{s}`.",
        "{t} Name the function `{f}`; its input is {i}.", "{t}\n\nPlease call it `{s}`.", "Let `{s}` be a function that gets {i}. {t}", "Code a function `{s}`. {t}"]
THAT = ["Write a function `{s}` that {t}.", "Write a function {s} that {t}.", "Write a Python function `{s}` that {t}.", "Create a function `{s}` that {t}.", "Implement a function `{s}` which {t}.",
        "I need a function `{s}` that {t}.", "Please write a function `{s}` that {t}.", "Define a function `{s}` that {t}.", "Write `{s}`, a function that {t}.", "Make a function {s} that {t}.",
        "Write a function called `{f}` that {t}.", "Write a function named {f} that {t}.", "Can you write a function `{s}` that {t}?", "Could you write me a function {s} that {t}?", "I want a function `{s}` that {t}.",
        "Write code for a function `{s}` that {t}.", "Complete the function `{s}`, which {t}.", "`{s}` is a function that {t}.", "Give me a Python function {f} that {t}.", "We need `{s}`. It {t}.", "`{s}`: {t}."]
TITLED = ["# {title}\n\n{ask}", "## {title}\n\n{ask}", "# {title}\n{ask}", "**{title}**\n\n{ask}", "Task: {title}\n\n{ask}", "# Task\n\n{ask}", "### {title}\n\n{ask}"]
TITLES = ["{f}", "The function {f}", "Exercise", "A small task", "Problem", "Write {f}", "`{f}`", "Practice", "Task {d}", "Exercise {d}", "{F}"]
CLOSERS = ["", "", "", "", "", "", "", " Thank you!", " Thanks.", " Keep it simple.", " Use plain Python.", " Return the result, do not print it.", " No imports, please.", " Short code is fine.", " Do not change the input.", " Do not use any imports.", " It should be short.", " Only the code, please.",
           " Make sure the examples work.", " I will test it.", " That is all.", " One short function is enough."]
HEADS = ["Example:", "Examples:", "Examples", "For example:", "## Examples", "## Example", "Some examples:", "### Examples", "**Examples**", "It should work like this:", "Tests:", "These must hold:", "Expected results:", "E.g."]
MARKS = [" returns ", " == ", " -> ", " = ", " => ", " gives ", " should return ", " → ", " is ", " should be ", "  # ", " yields ", " must return "]
BULLETS = ["- ", "- ", "* ", "", "", "    ", "+ "]


def example_list(rng, examples):
    mark, bullet = rng.choice(MARKS), rng.choice(BULLETS)
    code = rng.random() < 0.4
    if code and mark != "  # ":
        return "\n".join(f"{bullet}`{c}`{mark}`{r}`" for c, r in examples)
    return "\n".join(f"{bullet}{c}{mark}{r}" for c, r in examples)


def show(rng, examples, name):
    """The examples in one of the notations people use."""
    kind = rng.random()
    if kind < 0.40:
        head = rng.choice(HEADS)
        gap = "\n\n" if head.startswith(("#", "*")) or rng.random() < 0.45 else "\n"
        return "\n\n" + head + gap + example_list(rng, examples)
    if kind < 0.50:
        return "\n\n" + example_list(rng, examples)
    if kind < 0.64:
        lines = "\n".join(f"assert {c} == {r}" for c, r in examples)
        head = rng.choice(("", "", "Tests:\n", "It must pass:\n", "These asserts must pass:\n\n", "Example:\n"))
        return "\n\n" + head + (f"```python\n{lines}\n```" if rng.random() < 0.65 else lines)
    if kind < 0.72:
        lines = "\n".join(f"{c}  # {r}" if rng.random() < 0.5 else f">>> {c}\n{r}" for c, r in examples)
        return "\n\n" + rng.choice(HEADS) + f"\n\n```python\n{lines}\n```"
    if kind < 0.80:
        return "\n\n" + "\n".join(f">>> {c}\n{r}" for c, r in examples)
    if kind < 0.86:
        show_in = lambda c: c[len(name) + 1:-1]
        return "\n" + "\n".join(f"\nInput: {show_in(c)}\nOutput: {r}" for c, r in examples)
    if kind < 0.94:
        first = rng.choice((" For example, `{c}` returns `{r}`", " For example, {c} should return {r}", " So `{c}` is `{r}`", " E.g. {c} is {r}", " For instance `{c}` gives `{r}`"))
        parts = [first.replace("{c}", examples[0][0]).replace("{r}", examples[0][1])]
        parts += [rng.choice((", and `{c}` returns `{r}`", " and {c} gives {r}", ", while `{c}` is `{r}`")).replace("{c}", c).replace("{r}", r) for c, r in examples[1:]]
        return "".join(parts) + "."
    return "\n\n" + "\n".join(f"{i}. `{c}` returns `{r}`" for i, (c, r) in enumerate(examples, 1))


def request(rng, steps, found, name, args):
    with_examples = rng.random() >= NO_EXAMPLES_PLAIN
    tin = steps[0].op.tin
    bare = tin in USUAL_NAME and not any(s.argument for s in steps) and rng.random() < 0.10
    if bare:   # the request names no argument: the code uses the usual name for the type
        args = [USUAL_NAME[tin]]
        if name == args[0]:
            name += "_of"
    double = rng.random() < 0.3
    chosen = pick_examples(rng, found, rng.choice((1, 2, 2, 3))) if with_examples else []
    examples = [(call(name, f[0], double), quoted(f[1][-1], double)) for f in chosen]
    typed = not bare and rng.random() < 0.12
    sig, imports = annotated(steps, args, "modern" if typed else "")
    words_for = [""] if bare else args
    text = finish(rng, steps, words_for, name, capital(describe(rng, steps, words_for)))
    forms = [a for a in ASKS if "{s}" not in a] if bare else ASKS if examples else [a for a in ASKS if "{i}" in a]
    into = rng.choice(INTO[tin]) if bare else introduce(rng, steps, args)
    shown = f"{name}{sig[:-1]}" if typed else f"{name}({', '.join(args)})"
    opener = rng.choice(OPENERS)
    that = rng.random() < 0.42
    if that:
        forms = [a for a in THAT if ("{s}" in a) != bare]
        form = rng.choice(forms)
        text = clause(rng, steps, words_for, not examples)
        text = vary(rng, text, {name, *args}) if rng.random() < 0.45 else text
    ask = (form if that else rng.choice(forms)).replace("{f}", name).replace("{s}", shown).replace("{i}", into)
    if that and steps[0].guard:
        ask += remark(rng, steps, words_for, repr(steps[0].guard[0]))
    if "\n" in text and ("{t} " in ask or not ask.endswith("{t}")):
        ask = f"Write a function `{name}` that takes {into}. {{t}}"
    if "\n" in text:
        ask = ask.replace(" {t}", "\n\n{t}")
    ask = capital(ask.replace("{t}", text)) if ask.startswith("{t}") else ask.replace("{t}", text)
    if rng.random() < 0.05 and not bare:
        ask = rng.choice(STORIES[tin[0]]).replace("{a}", args[0]) + " " + ask
    ask = opener + ask + (rng.choice(CLOSERS) if not ask.endswith(("`", ")")) and "\n" not in text else "")
    if rng.random() < 0.3:
        title = rng.choice(TITLES).replace("{f}", name).replace("{F}", capital(name.replace("_", " "))).replace("{d}", str(rng.randrange(1, 30)))
        ask = rng.choice(TITLED).replace("{title}", title).replace("{ask}", ask)
    keeps_types = typed and shown in ask
    if typed and not keeps_types:
        sig, imports = annotated(steps, args, "")
    if not typed and not bare and rng.random() < 0.07:
        ask += "\n\n```python\ndef " + shown + ":\n    " + rng.choice(("pass", "...", "# your code here", "pass  # to do")) + "\n```"
    body = ask + (show(rng, examples, name) if examples else "")
    return Task(steps, name, args, f"def {name}{sig}", "", "", body.strip(), examples, found)
