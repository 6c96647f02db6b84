"""Whole transcripts: plan, tool calls with real results, answer. Segments carry whether they are to be learned."""
import re
from dataclasses import replace
from . import execute, pipeline, values
from .op import OPS
from .pipeline import Step
from .request import request
from .task import base, stub, stub_text

KINDS = (("plain", 0.68), ("bug", 0.17), ("one", 0.15))
PASS_THOUGHT = "The checks pass."
COMPARISONS = [(" >= ", " > "), (" > ", " >= "), (" <= ", " < "), (" < ", " <= "), (" == ", " != "), (" != ", " == ")]


def solution(task, steps=None):
    head = task.imports + "\n\n" if task.imports else ""
    return f"{head}{task.signature}\n{pipeline.body(steps or task.steps, task.args)}"


def own_check(task):
    """One easy assert for tasks without examples: the emptiest input that runs."""
    steps, tin = task.steps, task.steps[0].op.tin
    ks = tuple(s.k for s in steps if s.argument)
    simple = {"L": [[], [1], [1, 2], [1, 2, 3]], "W": [[], ["a"], ["a", "b"]], "S": ["", "a", "a b", "1 2"], "I": [0, 1, 2, 3], "D": [{}, {"a": 1}], "M": [[], [[1]], [[1, 2], [3, 4]]]}
    trials = [(v,) for v in simple[tin]] if len(tin) == 1 else list(zip(simple[tin[0]], simple[tin[1]]))
    for args in trials:
        trail = pipeline.run(steps, args)
        if trail:
            return [(f"{task.name}({', '.join(map(repr, args + ks))})", repr(trail[-1]))]
    args, trail = task.samples[0]
    return [(f"{task.name}({', '.join(map(repr, args))})", repr(trail[-1]))]


def with_checks(code, checks):
    return code + "\n\n" + "\n".join(f"assert {c} == {r}" for c, r in checks) + '\nprint("ok")'


def near_operation(rng, steps):
    """The steps with one exchanged for an operation that is easily mistaken for it."""
    i = rng.randrange(len(steps))
    s = steps[i]
    near = [o for o in OPS.values() if o.id != s.op.id and (o.tin, o.tout, o.par) == (s.op.tin, s.op.tout, s.op.par)]
    family = [o for o in near if o.family == s.op.family]
    stem = [o for o in near if "_" in s.op.id and o.id.split("_")[1:] == s.op.id.split("_")[1:]]
    pool = stem if stem and rng.random() < 0.4 else family or near
    if not pool:
        return None
    wrong = list(steps)
    wrong[i] = Step(rng.choice(pool), s.k, s.argument, s.guard)
    return wrong if bounded(wrong, steps, i) else None


def bounded(wrong, steps, i):
    """Only steps without an input limit may take the place of another, so no wrong program runs away."""
    return all(not s.op.limit or s is steps[j] and j < i for j, s in enumerate(wrong)) or not any(s.op.limit for s in wrong)


def wrong_plan(rng, task):
    if len(task.steps) > 1 and rng.random() < 0.25:
        left_out = [i for i, s in enumerate(task.steps) if s.op.tin == s.op.tout and not s.argument]
        if left_out:
            i = rng.choice(left_out)
            steps = [s for j, s in enumerate(task.steps) if j != i]
            steps[0] = replace(steps[0], guard=task.steps[0].guard)
            if len(steps[0].op.tin) == len(task.steps[0].op.tin) and not any(s.op.limit for s in steps):
                return solution(task, steps), steps, "A step was missing."
    steps = near_operation(rng, task.steps)
    return steps and (solution(task, steps), steps, "A step was wrong.")


def slip(rng, task):
    """A small mistake in the code, the plan being right."""
    code, kind = solution(task), rng.random()
    body_at = code.index(task.signature) + len(task.signature)
    head, body = code[:body_at], code[body_at:]
    if kind < 0.3:
        found = [p for p in COMPARISONS if p[0] in body]
        if not found:
            return None
        right, wrong = rng.choice(found)
        return head + body.replace(right, wrong, 1), f"Wrong comparison: it must be{right.rstrip()}, not{wrong.rstrip()}."
    if kind < 0.5:
        spots = [m for m in re.finditer(r"(?<![\w.])\d+(?![\w.])", body)]
        if not spots:
            return None
        m = rng.choice(spots)
        wrong = str(int(m[0]) + rng.choice((1, -1)))
        return head + body[:m.start()] + wrong + body[m.end():], f"Off by one: it must be {m[0]}, not {wrong}."
    if kind < 0.7:
        v = task.args[0]
        wrong = v[:-1] if len(v) > 2 and rng.random() < 0.6 else v + rng.choice("s2x")
        changed = re.sub(rf"\b{re.escape(v)}\b", wrong, body, count=1)
        return (head + changed, f"The name {wrong} is wrong: it is {v}.") if changed != body and wrong.isidentifier() else None
    if kind < 0.82:
        return head[:-1] + body, "A colon is missing."
    if kind < 0.92:
        wrong = task.name.split("_")[0] if "_" in task.name else task.name + "s"
        return code.replace(f"def {task.name}(", f"def {wrong}(", 1), f"The function must be called {task.name}."
    if body.rstrip().endswith(")"):
        return head + body.rstrip()[:-1], "A bracket is missing."
    return None


def tool_call(code):
    return f"<tool_call>\n<function=code_execution>\n<parameter=code>\n{code}\n</parameter>\n</function>\n</tool_call>"


def turn(plan, body, learn_plan=True, learn_body=True):
    """An assistant turn; its first line is given, not learned."""
    return [("<|im_start|>assistant\n<think>\n", 0), (f"{plan}\n</think>\n\n", int(learn_plan)), (body + "<|im_end|>", int(learn_body)), ("\n", 0)]


def result(text):
    """The tool's result as the chat template shows it: white space at both ends is cut."""
    return [(f"<|im_start|>user\n<tool_response>\n{text.strip()}\n</tool_response><|im_end|>\n", 0)]


def bug(rng, task, checks):
    """First turns with a real failure, and the thought that names the mistake; None when nothing fails."""
    plan = pipeline.plan(task.steps)
    found = wrong_plan(rng, task) if rng.random() < 0.55 else slip(rng, task)
    if not found:
        return None
    code = found[0]
    passed, text = execute.run(with_checks(code, checks))
    if passed or len(text) > 600:
        return None
    if len(found) == 3:
        return turn(pipeline.plan(found[1]), tool_call(with_checks(code, checks)), False, False) + result(text), f"{found[2]} New plan: {plan}"
    return turn(plan, tool_call(with_checks(code, checks)), True, False) + result(text), found[1]


def make_task(rng, template, want_held=False, n_steps=None, form=None, must_have=None):
    steps, found, name, args = base(rng, n_steps, want_held)
    if form == "stub" or form is None and rng.random() < 0.45:
        task = stub(rng, steps, found, name, args, must_have)
        task.text = stub_text(template, task.prompt)
        return task
    return request(rng, steps, found, name, args)


def transcript(rng, task):
    """(kind, segments); raises when the right program does not pass its checks."""
    kind = rng.choices([k for k, _ in KINDS], [w for _, w in KINDS])[0]
    code = solution(task)
    checks = task.examples or own_check(task)
    passed, text = execute.run(with_checks(code, checks))
    if not passed:
        raise AssertionError(f"{[s.op.id for s in task.steps]}: {text}\n{with_checks(code, checks)}")
    segments = [(f"<|im_start|>user\n{task.text}<|im_end|>\n", 0)]
    plan, answer = pipeline.plan(task.steps), f"```python\n{code}\n```"
    if kind == "one":
        return kind, segments + turn(plan, answer)
    if kind == "bug" and task.examples:
        for _ in range(6):
            start = bug(rng, task, checks)
            if start:
                segments += start[0]
                plan = start[1]
                break
        else:
            kind = "plain"
    elif kind == "bug":
        kind = "plain"
    segments += turn(plan, tool_call(with_checks(code, checks))) + result(text) + turn(PASS_THOUGHT, answer)
    return kind, segments
