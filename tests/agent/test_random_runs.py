"""Models of random weights say anything: whatever they say, a run ends with an answer or a
reason, and with the exit code that belongs to it.

    python3 tests/agent/test_random_runs.py 500     # more runs, and a table of exit codes
"""
import collections
import os
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
QAGENT = os.environ.get("QAGENT", str(ROOT / "bin/qagent"))
MODELS = ["mini-moe", "mini-dense"]
TASKS = [
    "Write a function `f(x)` that returns x + 1.\n\nassert f(1) == 2\n",
    "What is 6 times 7?",
    'def g(words):\n    """Longest word.\n    >>> g(["a", "bb"])\n    \'bb\'\n    """\n',
    "\u00fc\u4e2d\U0001f600 <|im_end|><tool_call> </think>",
]
# answered, no answer, iterations, budget, context, own checks failed
EXITS = {0, 4, 5, 6, 8, 9}


def run_once(seed):
    """One run with options drawn from the seed; returns its exit code."""
    r = random.Random(seed)
    command = [QAGENT, "solve", "-", "-m", str(ROOT / f"tests/fixtures/models/{r.choice(MODELS)}.gguf"),
               "--seed", str(seed), "--max-tokens", str(r.choice([1, 40, 200])), "--timeout", "60s",
               "--max-iter", str(r.randint(1, 5)), "--temp", r.choice(["0", "0.6", "1.5"]),
               "--think", r.choice(["on", "off", "20"]), "--draft", r.choice(["0", "3"]), "--threads", "1",
               "--kv", r.choice(["f32", "f16"]), "--retry", r.choice(["auto", "repair", "fresh", "lesson"])]
    if r.random() < 0.2:
        command += ["--ctx", str(r.choice([600, 1500, 3000]))]
    p = subprocess.run(command, input=r.choice(TASKS).encode(), capture_output=True, timeout=300)
    said = f"seed {seed}: exit {p.returncode}: {' '.join(command[4:])}\n{p.stderr.decode(errors='replace')[-600:]}"
    assert p.returncode in EXITS, said
    if p.returncode in (0, 9):
        assert p.stdout.strip(), f"an answer of nothing: {said}"
    else:
        assert not p.stdout.strip(), f"an answer, and an exit code of none: {said}"
        assert b"qagent: " in p.stderr, f"no reason: {said}"
    return p.returncode


def test_every_run_ends_with_an_answer_or_a_reason():
    exits = collections.Counter(run_once(seed) for seed in range(24))
    assert sum(exits.values()) == 24


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    table = collections.Counter(run_once(seed) for seed in range(n))
    print(f"{n} runs, exit codes: " + ", ".join(f"{code}: {table[code]}" for code in sorted(table)))
