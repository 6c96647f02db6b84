"""The demonstration, and the checked-in model file."""
import hashlib
import os
import re
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def test_the_demo_shows_every_example_and_its_exit_code_is_honest():
    examples = [f for f in os.listdir(os.path.join(ROOT, "docs/examples")) if f.endswith(".md")]
    done = subprocess.run(["docs/examples/demo.sh", "bin/qagent"], cwd=ROOT, capture_output=True, text=True)
    out = done.stdout + done.stderr
    solved, total = map(int, re.search(r"^demo: (\d+) of (\d+) tasks solved", out, re.M).groups())
    assert total == len(examples) >= 6
    assert out.count("-- not solved (exit ") == total - solved
    assert done.returncode == (0 if solved == total else 1)
    assert "next: write a task into task.md" in out
    assert all(f"== {f}" in out for f in examples)
    assert "AssertionError" in out and "note: another way from its token" in out      # a repair is to be seen


def test_the_demo_fails_when_nothing_is_solved():
    done = subprocess.run(["docs/examples/demo.sh", "false"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "demo: 0 of " in done.stdout


def test_the_readme_speaks_of_the_file_that_is_there():
    with open(os.path.join(ROOT, "engine/tiny/qagent-tiny.gguf"), "rb") as f:
        content = f.read()
    with open(os.path.join(ROOT, "engine/tiny/README.md"), encoding="utf-8") as f:
        readme = f.read()
    assert len(content) <= 16 << 20
    assert hashlib.sha256(content).hexdigest() in readme and f"{len(content):,} bytes" in readme
