"""Tasks as a person would type them: a stub to complete, or a request with examples."""
import textwrap
from dataclasses import dataclass, field
from . import names, pipeline, values
from .op import ANNOTATION
from .wording import INTO, STORIES, capital, describe, introduce, remark, vary

NO_EXAMPLES_STUB, NO_EXAMPLES_PLAIN = 0.14, 0.09
# the argument's name when the request gives none
USUAL_NAME = {"L": "nums", "W": "words", "S": "s", "I": "n", "D": "d", "M": "rows"}


@dataclass
class Task:
    steps: list
    name: str
    args: list
    signature: str
    imports: str = ""
    prompt: str = ""                 # the stub alone, for the stub form
    text: str = ""
    examples: list = field(default_factory=list)   # (call, result) as written in the text
    samples: list = field(default_factory=list)    # further (arguments, result)


def quoted(v, double):
    s = repr(v)
    return s.replace("'", '"') if double and '"' not in s else s


def call(name, args, double=False):
    return f"{name}({', '.join(quoted(a, double) for a in args)})"


def pick_examples(rng, found, count):
    """Short ones that show every step at work, with different results, first."""
    idle = lambda trail: sum(a == b for a, b in zip(trail, trail[1:])) + (trail[-1] in ([], "", {}))
    found = sorted(found, key=lambda f: len(repr(f[0])) + 40 * idle(f[1]) + rng.random() * 18)
    chosen, seen = [], set()
    for f in found:
        if repr(f[1][-1]) not in seen and len(chosen) < count:
            seen.add(repr(f[1][-1]))
            chosen.append(f)
    on_empty = [f for f in found if not isinstance(f[0][0], int) and not f[0][0]]
    if on_empty and chosen and rng.random() < 0.5:      # an empty input that the task speaks of is worth showing
        chosen[-1 if len(chosen) > 1 or rng.random() < 0.2 else len(chosen):] = on_empty[:1]
    rng.shuffle(chosen)
    return chosen


GUARD_SHARE = 0.3
ON_EMPTY = {"I": (0, 0, None, -1), "S": ("", None), "L": ([],), "W": ([],), "M": ([],), "D": ({},), "C": ({},), "G": ({},), "H": ({},), "F": (0, 0.0, None), "B": (False, False, True), "T": (None,)}


def guard(rng, steps, found):
    """Now and then the task says what an empty input gives, where the steps alone would fail on it."""
    tin = steps[0].op.tin
    if tin not in ("L", "W", "S", "D", "M") or rng.random() >= GUARD_SHARE or pipeline.run(steps, (values.edge(tin),)):
        return
    steps[0].guard = (rng.choice(ON_EMPTY[steps[-1].op.tout]),)
    found.append(((values.edge(tin),), pipeline.run(steps, (values.edge(tin),))))


def finish(rng, steps, names, name, text):
    """The description with a remark behind it, in varied words."""
    if "\n" not in text and text[-1:] in ".!?":
        trail = pipeline.run(steps, (values.edge(steps[0].op.tin),)) if len(steps[0].op.tin) == 1 else None
        text += remark(rng, steps, names, repr(trail[-1]) if trail else None)
    elif steps[0].guard:
        text += ("\n" if "\n" in text else ".") + remark(rng, steps, names, repr(steps[0].guard[0]))
    if rng.random() < 0.45:
        text = vary(rng, text, {name, *names})
    return text


def annotated(steps, args, typed):
    tin, tout = steps[0].op.tin, steps[-1].op.tout
    kinds = [ANNOTATION[t] for t in tin] + ["str" if isinstance(s.k, str) else "int" for s in steps if s.argument]
    if not typed:
        return f"({', '.join(args)}):", ""
    used = sorted({k.split("[")[0] for k in kinds + [ANNOTATION[tout]] if "[" in k})
    modern = typed == "modern"
    write = lambda k: k.lower() if modern else k
    sig = "(" + ", ".join(f"{a}: {write(k)}" for a, k in zip(args, kinds)) + f") -> {write(ANNOTATION[tout])}:"
    return sig, f"from typing import {', '.join(used)}" if used and not modern else ""


def base(rng, n_steps=None, want_held=False):
    """Steps, names and inputs, before any wording. Some parameters become arguments."""
    steps, found = pipeline.make(rng, n_steps, want_held)
    guard(rng, steps, found)
    pars = [s for s in steps if s.op.par and s.op.par != "digit"]
    made = [pipeline.VARIABLE[s.op.tout] for s in steps] + ["a", "b"]
    taken = pars[:1] if pars and len(steps[0].op.tin) == 1 and rng.random() < 0.22 else []
    args = names.argument_names(rng, steps[0].op.tin, [s.op.par for s in taken], made)
    for s in taken:
        s.argument = args[-1]
    name = names.function_name(rng, [s.op for s in steps])
    if name in args or name in made:
        name += "_of"
    extra = [(f[0] + tuple(s.k for s in taken), f[1]) for f in found]
    return steps, extra, name, args


def docstring(rng, lines_in, examples, name):
    """The lines of a docstring, with examples in one of several forms."""
    lines = list(lines_in)
    if examples:
        kind = rng.random()
        if rng.random() < 0.2:
            lines.append("")
        if kind < 0.82:
            if rng.random() < 0.08:
                lines.append(rng.choice(("Examples:", "For example:", "Example:")))
            for c, r in examples:
                lines += [f">>> {c}", r]
                if rng.random() < 0.04:
                    lines.append("")
        else:
            mark = rng.choice((" == ", " returns ", " -> ", " => ", " = ", " should return ", " ➞ "))
            lines.append(rng.choice(("For example:", "Examples:", "Example:", "Some examples:")))
            lines += [f"{rng.choice(('', '', '    '))}{c}{mark}{r}" for c, r in examples]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def given(rng, steps, args, text):
    """The text with a clause in front that says what the input is."""
    into = introduce(rng, steps, args)
    if rng.random() < 0.4 and not any(s.argument for s in steps):
        into = rng.choice(INTO[steps[0].op.tin])
    if rng.random() < 0.45 and "\n" not in text and text[:1].isupper() and not text.startswith("I "):
        return f"{rng.choice(('Given', 'For', 'Given', 'From'))} {into}, {text[0].lower()}{text[1:]}"
    return capital(rng.choice(("Given {i}: {t}", "You are given {i}. {t}", "You get {i}. {t}", "Takes {i}. {t}", "The input is {i}. {t}", "Input: {i}. {t}")).format(i=into, t=capital(text)))


def stub(rng, steps, found, name, args, must_have=None):
    """A function to complete: signature and docstring."""
    typed = rng.choices(["typing", "modern", ""], [0.55, 0.12, 0.33])[0]
    sig, imports = annotated(steps, args, typed)
    with_examples = must_have if must_have is not None else rng.random() >= NO_EXAMPLES_STUB
    double = rng.random() < 0.25
    chosen = pick_examples(rng, found, rng.choice((1, 2, 2, 2, 3))) if with_examples else []
    examples = [(call(name, f[0], double), quoted(f[1][-1], double)) for f in chosen]
    text = finish(rng, steps, args, name, describe(rng, steps, args))
    if not typed and (not examples or rng.random() < 0.45) or rng.random() < 0.15:
        text = given(rng, steps, args, text)
    if rng.random() < 0.06:
        text = rng.choice(STORIES[steps[0].op.tin[0]]).replace("{a}", args[0]) + (" " if text[0].isalpha() else "\n") + capital(text)
    width = rng.choice((72, 80, 88, 100))
    lines = [line for part in text.split("\n") for line in (textwrap.wrap(part, width) or [""])]
    lines = docstring(rng, lines, examples, name)
    quotes = '"""' if rng.random() < 0.85 else "'''"
    style = rng.random()
    if style < 0.45:
        head = f"    {quotes} {lines[0]}" if rng.random() < 0.5 else f"    {quotes}{lines[0]}"
        rest = lines[1:]
    else:
        head, rest = f"    {quotes}", lines
    body = "\n".join([head] + [("    " + line).rstrip() for line in rest])
    body += f"{quotes}" if len(lines) == 1 and style < 0.45 and rng.random() < 0.7 else f"\n    {quotes}"
    prompt = (imports + "\n\n\n" if imports else "") + f"def {name}{sig}\n{body}\n"
    return Task(steps, name, args, f"def {name}{sig}", imports, prompt, "", examples, found)


def stub_text(template, prompt):
    return template.replace("{{prompt}}", prompt.strip() if not prompt[:1].isspace() else prompt.rstrip()).strip()
