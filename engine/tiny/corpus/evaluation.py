"""Held-out tasks in HumanEval's five-field form. Usage: python3 evaluation.py --out FOLDER"""
import argparse
import json
import os
import random
import sys

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from corpus import execute, pipeline, prompts, task, transcript, values  # noqa: E402

SETS = (("heldout_a", 200, False), ("heldout_b", 200, True), ("dev", 100, False))
SEED = "evaluation 2611"      # used for nothing else
STEPS = {False: ((1, 0.50), (2, 0.37), (3, 0.13)), True: ((2, 0.75), (3, 0.25))}     # not those of the training corpus


def fresh_inputs(rng, made, steps):
    """Arguments that the task does not show, edge cases first."""
    shown = {call for call, _ in made.examples}
    ks = tuple(s.k for s in steps if s.argument)
    tin = steps[0].op.tin
    edges = [(values.edge(tin),)] if len(tin) == 1 else [(values.edge(tin[0]), values.edge(tin[1]))]
    edges += {"L": [([7],), ([3, 3, 3],), ([-4, 0, 12, 5, -4],)], "S": [("a",), ("Level up",)], "W": [(["sun"],), (["Otto", "a", "otto"],)], "I": [(1,), (10,)], "D": [({"a": 1},)], "M": [([[5]],)]}.get(tin, [])
    candidates = [(e, pipeline.run(steps, e)) for e in edges] + pipeline.inputs(rng, steps, 40)
    out = []
    for args, trail in candidates:
        call = task.call("candidate", args + ks)
        if trail and call not in out and call.replace("candidate", made.name, 1) not in shown:
            out.append((call, repr(trail[-1])))
    return list(dict.fromkeys(out))


def test_code(rng, made, steps):
    found = fresh_inputs(rng, made, steps)
    if len(found) < 6:
        return None
    edges, more = found[:3], found[3:]
    asserts = (edges + more)[:rng.randint(6, 10)]
    return "def check(candidate):\n" + "".join(f"    assert {c} == {r}\n" for c, r in asserts)


def rows(seed, count, template, held_out=False, name="tiny", avoid=frozenset()):
    rng = random.Random(f"{seed}/{name}/{held_out}")
    out = []
    while len(out) < count:
        n_steps = rng.choices(*zip(*STEPS[held_out]))[0]
        made = transcript.make_task(rng, template, held_out, n_steps, "stub", must_have=True)
        if made.text in avoid:
            continue
        test = test_code(rng, made, made.steps)
        if not test:
            continue
        row = {"task_id": f"{name}/{len(out)}", "prompt": made.prompt, "entry_point": made.name, "canonical_solution": pipeline.body(made.steps, made.args) + "\n", "test": test}
        passed, text = execute.run(row["prompt"] + row["canonical_solution"] + "\n" + test + f"\ncheck({made.name})\n")
        if not passed:
            raise SystemExit(f"{row['task_id']} fails its own test: {text}")
        out.append(row)
    return out


def main():
    parser = argparse.ArgumentParser(description="writes the held-out tasks")
    parser.add_argument("--out", required=True)
    a = parser.parse_args()
    os.makedirs(a.out, exist_ok=True)
    template = prompts.read(prompts.FOLDER, "humaneval.txt")
    for name, count, held_out in SETS:
        made = rows(SEED, count, template, held_out, name)
        with open(os.path.join(a.out, name + ".jsonl"), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(r) + "\n" for r in made)
        print(f"{name}: {len(made)} tasks, all pass their tests")


if __name__ == "__main__":
    main()
