"""Memory of a real run against what `qagent plan` said, and loading that goes wrong.

The model is all zeros and lies in a sparse file: a few hundred MB that cost no disk."""
import json
import os
import re
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import sparse

QAGENT = os.environ.get("QAGENT", "bin/qagent")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("zeros") / "zeros.gguf")
    sparse.write(path, head=128, keys=4, values=8, ff=19968)
    return path


def plan(model, *options):
    out = subprocess.run([QAGENT, "plan", "-m", model, "--json", "--marks", "0", *options],
                         capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


COMMON = ("--ctx", "640", "--threads", "2")
needs_plain_memory = pytest.mark.skipif("asan" in QAGENT, reason="a sanitizer has memory of its own")


def complete(model, *options):
    return [QAGENT, "complete", "-m", model, "-p", "x" * 600, "--max-tokens", "16", "--greedy", *COMMON, *options]


@needs_plain_memory
def test_a_run_that_reads_takes_what_plan_said(model):
    said = plan(model, *COMMON)
    child = subprocess.Popen(complete(model), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, error
    peak = usage.ru_maxrss * 1024
    assert said["needed"] > 250e6 and said["mapped"] == 0
    assert abs(peak - said["needed"]) <= 0.05 * said["needed"], (peak, said)


def peaks(argv, mapped):
    """Most memory that the run had at any time: all of it, and all but pages of the file `mapped`."""
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = most_of_rest = 0
    while child.poll() is None:
        try:
            lines = open(f"/proc/{child.pid}/smaps").read().splitlines()
            status = open(f"/proc/{child.pid}/status").read()
            most = max(most, int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024)
        except (OSError, TypeError):
            break                                                  # it has ended between the two
        path, rest = None, 0
        for line in lines:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line): path = line.split()[-1]
            elif line.startswith("Rss:") and path != mapped: rest += int(line.split()[1]) * 1024
        most_of_rest = max(most_of_rest, rest)
        time.sleep(0.005)
    assert child.wait() == 0
    return most, most_of_rest


@needs_plain_memory
def test_a_mapped_run_takes_only_the_rest(model):
    said = plan(model, "--mmap", *COMMON)
    assert said["mapped"] > 250e6 > said["needed"]
    most, most_of_rest = peaks(complete(model, "--mmap"), model)
    assert abs(most_of_rest - said["needed"]) <= 0.05 * said["needed"], (most_of_rest, said)
    # The kernel may take mapped pages away, but there are never more.
    assert most <= 1.05 * (said["needed"] + said["mapped"]), (most, said)


@needs_plain_memory
def test_the_embedded_model_takes_what_plan_said():
    said = json.loads(subprocess.run([QAGENT, "plan", "--json", "--marks", "0", *COMMON],
                                     capture_output=True, check=True).stdout)
    argv = [QAGENT, "complete", "-p", "def add(a, b):\n" * 60, "--max-tokens", "16", "--greedy", *COMMON]
    most, _ = peaks(argv, None)
    # A few MB in all: libraries are more of it than the model is.
    assert abs(most - said["needed"] - said["mapped"]) <= 4e6, (most, said)


def test_the_context_nobody_asked_for_is_the_one_that_a_task_gets(model):
    said = json.loads(subprocess.run([QAGENT, "plan", "-m", model, "--json"], capture_output=True).stdout)
    assert (said["ctx"], said["marks"], said["automatic_marks"]) == (65536, 3, 4)


def test_what_does_not_fit_is_refused_with_needed_and_free(tmp_path):
    path = str(tmp_path / "wide.gguf")
    sparse.write(path, embd=256, layers=64, heads=8, kv_heads=8, keys=2, values=2, ff=32)
    wish = ("--ctx", str(1 << 24), "--kv", "f32")                  # 4.4 TB of keys and values
    for command in (["plan", "-m", path, *wish], ["complete", "-m", path, "-p", "x", *wish]):
        out = subprocess.run([QAGENT, *command], capture_output=True, text=True)
        assert out.returncode == 3
        assert re.fullmatch(r"qagent: .*needs \d{13} bytes of memory \(\d+\.\d\d GB\), \d+ \(\d+\.\d\d GB\) are free"
                            r"(; a smaller --ctx or another --kv takes less)?",
                            out.stderr.splitlines()[-1]), out.stderr


def test_jobs_and_contexts_that_would_not_fit_are_refused_before_the_first_task(tmp_path):
    path = str(tmp_path / "wide.gguf")
    sparse.write(path, embd=256, layers=64, heads=8, kv_heads=8, keys=2, values=2, ff=32)
    wide = ("-m", path, "--kv", "f32")                             # 17 GB for one context of 65,536
    for command in (["eval", "mini", "--jobs", "64", "--out", str(tmp_path / "out"), *wide],
                    ["bench", "--sessions", "64", "--prompt", "1000000", *wide],
                    ["plan", "--sessions", "64", *wide]):
        out = subprocess.run([QAGENT, *command], capture_output=True, text=True)
        assert out.returncode == 3, out.stderr
        assert re.fullmatch(r"qagent: .*needs \d{13,} bytes of memory .* are free"
                            r"(; a smaller --ctx or another --kv takes less)?",
                            out.stderr.splitlines()[-1]), out.stderr


def test_the_first_line_says_how_the_weights_came():
    small = "tests/fixtures/models/mini-moe.gguf"
    for options, how in (([], "read"), (["--mmap"], "mapped")):
        out = subprocess.run([QAGENT, "complete", "-m", small, "-p", "x", "-n", "1", *options], capture_output=True,
                             text=True, errors="replace")
        assert f" GB {how}, " in out.stderr.splitlines()[0], out.stderr


def test_a_mapped_file_that_is_cut_ends_the_run_with_one_line(model, tmp_path):
    copy = str(tmp_path / "cut.gguf")
    subprocess.run(["cp", "--sparse=always", model, copy], check=True)
    child = subprocess.Popen([QAGENT, "complete", "-m", copy, "-p", "x" * 600, "--max-tokens", "100000", "--greedy",
                              "--mmap"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert "mapped" in child.stderr.readline()                     # opened
    os.truncate(copy, 1 << 20)
    rest = child.stderr.read()
    assert child.wait() == 3
    said = re.fullmatch(r"qagent: cannot read '(.*)' at byte (\d+): cut off meanwhile, or its disk failed",
                        rest.splitlines()[-1])
    assert said and said[1] == os.path.realpath(copy), rest
    assert 1 << 20 <= int(said[2]) < os.path.getsize(model)


@pytest.mark.parametrize("kernels", ["ref", "plain"])
def test_heads_larger_than_any_published_run(kernels, tmp_path):
    path = str(tmp_path / "heads.gguf")
    sparse.write(path, embd=64, layers=4, heads=2, kv_heads=1, head=1024, keys=1, values=1, state=32, ff=64, n_draft=1)
    out = subprocess.run([QAGENT, "complete", "-m", path, "-p", "x" * 60, "-n", "2", "--greedy", "--kv", "q4_0",
                          "--kernels", kernels], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr


# Every size of the family: E, ff, layers, query, KV and value heads, tied, experts; and its parameters.
SIZES = {
    "0.8B": (dict(embd=1024, ff=3584, layers=24, heads=8, kv_heads=2, values=16, is_tied=True), 0.752e9),
    "2B": (dict(embd=2048, ff=6144, layers=24, heads=8, kv_heads=2, values=16, is_tied=True), 1.882e9),
    "4B": (dict(embd=2560, ff=9216, layers=32, heads=16, kv_heads=4, values=32, is_tied=True), 4.206e9),
    "9B": (dict(embd=4096, ff=12288, layers=32, heads=16, kv_heads=4, values=32), 8.954e9),
    "27B": (dict(embd=5120, ff=17408, layers=64, heads=24, kv_heads=4, values=48), 26.896e9),
    "35B-A3B": (dict(embd=2048, layers=40, heads=16, kv_heads=2, values=32, experts=256, used=8, ff_expert=512,
                     ff_shared=512), 34_660_610_688),
    "35B-A3B-MTP": (dict(embd=2048, layers=40, heads=16, kv_heads=2, values=32, experts=256, used=8, ff_expert=512,
                         ff_shared=512, n_draft=1), 35_505_251_456),
    "122B-A10B": (dict(embd=3072, layers=48, heads=32, kv_heads=2, values=64, experts=256, used=8, ff_expert=1024,
                       ff_shared=1024), 122.1e9),
    "397B-A17B": (dict(embd=4096, layers=60, heads=32, kv_heads=2, values=64, experts=512, used=10, ff_expert=1024,
                       ff_shared=1024), 396.35e9),
}


@pytest.mark.parametrize("name", SIZES)
def test_every_size_of_the_family_is_planned_without_reading_a_weight(name, tmp_path):
    sizes, parameters = SIZES[name]
    path = str(tmp_path / "size.gguf")
    sparse.write(path, vocab=248320, **sizes)
    out = subprocess.run([QAGENT, "plan", "-m", path, "--json"], capture_output=True, text=True)
    said = json.loads(out.stdout)
    assert abs(said["parameters"] - parameters) <= (0 if parameters > 30e9 and isinstance(parameters, int)
                                                    else 0.001 * parameters)
    assert out.returncode == (0 if said["fits"] else 3)
    weights = sum(said["parts"][part] for part in ("dense weights", "experts", "embedding", "head", "draft layer"))
    assert abs(weights - os.path.getsize(path)) < 16e6             # all but the metadata
