#!/usr/bin/env python3
"""Kill a run of a suite with SIGKILL at random moments, resume it, and compare its files
with those of a run that was left alone.

    kill_loop.py [--qagent bin/qagent] [--kills 50] [--seed 1] [--jobs 1]
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time

import samples

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def write_answers(path, problems):
    """Right, wrong and empty answers in turn."""
    with open(path, "w") as f:
        for i, p in enumerate(problems):
            code = p["prompt"] + (p["canonical_solution"] if i % 3 else "    return 0\n")
            answer = "" if i % 7 == 6 else f"Here:\n```python\n{code}```\n"
            f.write(json.dumps(dict(task_id=p["task_id"], answer=answer)) + "\n")


def files_of(folder):
    """What has to be the same, by name.  Times are taken out."""
    out = {}
    for name in ["samples.jsonl", "results.jsonl"]:
        with open(os.path.join(folder, name), "rb") as f:
            out[name] = f.read()
    with open(os.path.join(folder, "tasks.jsonl")) as f:
        out["tasks.jsonl"] = [{k: v for k, v in json.loads(line).items() if k != "wall_s"} for line in f]
    with open(os.path.join(folder, "scores.jsonl")) as f:
        out["scores.jsonl"] = [{k: v for k, v in json.loads(line).items() if k != "ms"} for line in f]
    for name in sorted(os.listdir(os.path.join(folder, "transcripts"))):
        with open(os.path.join(folder, "transcripts", name), "rb") as f:
            out[name] = f.read()
    with open(os.path.join(folder, "summary.json")) as f:
        summary = json.load(f)
    out["summary"] = (summary["state"], summary["settings"], summary["samples"],
                      summary["results"]["pass_at_1"], summary["results"]["classes"])
    return out


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--qagent", default=os.path.join(ROOT, "bin/qagent"))
    a.add_argument("--kills", type=int, default=50)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--jobs", type=int, default=1)
    a = a.parse_args()
    rng = random.Random(a.seed)
    with tempfile.TemporaryDirectory() as folder:
        answers = os.path.join(folder, "answers.jsonl")
        write_answers(answers, samples.read(os.path.join(ROOT, "humaneval/mini.jsonl")))
        command = [a.qagent, "eval", "mini", "--answers", answers, "--samples-per-task", "2",
                   "--jobs", str(a.jobs), "--out"]
        whole, killed = os.path.join(folder, "whole"), os.path.join(folder, "killed")
        start = time.monotonic()
        subprocess.run(command + [whole], check=True, capture_output=True)
        each = (time.monotonic() - start) / max(1, a.kills)
        n_kills = 0
        while True:
            run = subprocess.Popen(command + [killed, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            if n_kills < a.kills:
                time.sleep(rng.uniform(0, 0.3 + each))
                if run.poll() is None:
                    run.kill()
                    n_kills += 1
            error = run.communicate()[1].decode()
            if run.returncode == 0:
                break
            if run.returncode != -9:
                print(f"FAILED: exit {run.returncode} after {n_kills} kills: {error}")
                return 1
        want, got = files_of(whole), files_of(killed)
        wrong = [name for name in want if want[name] != got.get(name)] + [name for name in got if name not in want]
    print(f"{n_kills} kills: {'every file as in a run left alone' if not wrong else 'DIFFERENT: ' + ', '.join(wrong)}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
