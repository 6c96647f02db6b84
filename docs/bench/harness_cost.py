#!/usr/bin/env python3
"""What the harness costs: `solve` over a tape at a fixed rate, with the real jail.

    make test-programs && docs/bench/harness_cost.py [RATE [RUNS]]

A tape stands in the model's place and gives RATE tokens a second (default 70); loop, sampler
mask, parser, log, jail and screen are the product's.  Ideal is the tape's time plus the time
that the programs ran; what a run takes beyond it is cost.  Tokens of the tape are bytes.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TAPED = os.path.join(ROOT, "build/release/tests/fake/taped")
TASK = """Write a function `merge(a, b)` that merges two sorted lists into one sorted list.

assert merge([1, 4], [2, 3]) == [1, 2, 3, 4]
assert merge([], [5]) == [5]
"""
THOUGHT = """Both lists are sorted, so the smaller head is always next. I keep two indices and append the
smaller of the two values; what is left of either list goes to the end. First a version that
forgets the rest, to see the examples fail, then the whole one. """
GOOD = """def merge(a, b):
    out = []
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] <= b[j]:
            out.append(a[i])
            i += 1
        else:
            out.append(b[j])
            j += 1
    return out + a[i:] + b[j:]"""
BAD = GOOD.replace(" + a[i:] + b[j:]", "")
TESTS = """

assert merge([1, 4], [2, 3]) == [1, 2, 3, 4]
assert merge([], [5]) == [5]
print(sum(merge(list(range(100000)), list(range(100000)))))"""


def call(code):
    return (f"{THOUGHT}\n</think>\n\n<tool_call>\n<function=code_execution>\n<parameter=code>\n{code}{TESTS}\n"
            "</parameter>\n</function>\n</tool_call>\n%%\n")


def run(tape, rate, folder):
    start = time.monotonic()
    r = subprocess.run([TAPED, tape, str(rate), "solve", "-", "--json", "--session",
                        os.path.join(folder, f"log-{start}")], input=TASK, capture_output=True, text=True)
    wall = time.monotonic() - start
    events = [json.loads(line) for line in r.stdout.splitlines()]
    end = events[-1]
    assert r.returncode == 0 and end["event"] == "session.completed", r.stderr
    program_s = sum(e["duration_ms"] for e in events if e["event"] == "tool.completed") / 1e3
    return wall, end, program_s


def main():
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 70
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        tape = os.path.join(folder, "tape")
        with open(tape, "w") as f:
            f.write(call(BAD) + call(GOOD) + f"The examples pass.\n</think>\n\n{GOOD}\n```\n%%\n")
        print("tokens  tape s  programs s  end to end s    cost  harness alone  process s")
        for _ in range(runs):
            wall, end, program_s = run(tape, rate, folder)
            tape_s = end["n_tokens"] / rate
            total = end["total_s"]
            alone = total - end["decode_s"] - program_s  # without what the tape overslept
            print(f"{end['n_tokens']:6d}  {tape_s:6.2f}  {program_s:10.3f}  {total:12.2f}"
                  f"  {100 * (total / (tape_s + program_s) - 1):5.2f} %  {alone:11.3f} s  {wall:9.2f}")


main()
