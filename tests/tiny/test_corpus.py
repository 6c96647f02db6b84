"""The corpus of the tiny model: operations, held-out pairs, transcripts, tokenizer."""
import gzip
import json
import os
import random
import sys

import pytest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "engine", "tiny"))
from corpus import evaluation, execute, measures, pipeline, prompts, reference, transcript, values  # noqa: E402
from corpus.op import OPS  # noqa: E402

TEMPLATE = prompts.read(prompts.FOLDER, "humaneval.txt")


@pytest.fixture(scope="module")
def sample():
    """Some tasks with their transcripts."""
    rng = random.Random("tests")
    tasks = [transcript.make_task(rng, TEMPLATE) for _ in range(1500)]
    return [(t, *transcript.transcript(rng, t)) for t in tasks]


@pytest.mark.parametrize("op", OPS.values(), ids=lambda o: o.id)
def test_a_template_gives_what_its_reference_gives(op):
    rng = random.Random(op.id)
    special, compared = values.SPECIAL.get(op.id, ""), 0
    for _ in range(60):
        k = values.parameter(rng, op.par, op.id) if op.par else None
        args = values.pair(rng, op.tin, special) if len(op.tin) == 2 else (values.value(rng, op.tin, special, k if op.id == "split_c" else None, op.limit),)
        if rng.random() < 0.1 and len(op.tin) == 1:
            args = (values.edge(op.tin),)
        trail = pipeline.run([pipeline.Step(op, k)], args)
        if trail:
            b = args[1] if len(args) > 1 else None
            assert trail[-1] == reference.result(op, args[0], b, k), (args, k)
            compared += 1
    assert compared >= 15


def test_held_out_pairs_are_never_in_a_training_sample(sample):
    for task, _, _ in sample:
        ops = [s.op for s in task.steps]
        assert not any(pipeline.held_out(a, b) for a, b in pipeline.pairs(ops))


def test_about_one_pair_in_eight_is_held_out():
    pairs = [(a, b) for a in OPS.values() for b in OPS.values() if pipeline.fits(a, b)]
    assert 0.10 < sum(pipeline.held_out(*p) for p in pairs) / len(pairs) < 0.14


def test_a_held_out_task_has_a_held_out_pair():
    rng = random.Random(3)
    for _ in range(30):
        steps, _ = pipeline.make(rng, 2, want_held=True)
        assert pipeline.held_out(steps[0].op, steps[1].op)


def test_a_transcript_has_the_fixed_form(sample):
    for task, kind, segments in sample:
        text = "".join(s for s, _ in segments)
        assert text.startswith(f"<|im_start|>user\n{task.text}<|im_end|>\n<|im_start|>assistant\n<think>\n")
        assert text.endswith("\n```<|im_end|>\n")
        assert text.count("<tool_call>") == {"one": 0, "plain": 1, "bug": 2}[kind]
        if kind != "one":
            assert "\n<tool_response>\nok\n</tool_response><|im_end|>\n<|im_start|>assistant\n<think>\nThe checks pass.\n</think>\n\n```python\n" in text
            assert "</think>\n\n<tool_call>\n<function=code_execution>\n<parameter=code>\n" in text


def test_only_what_the_model_must_say_is_learned(sample):
    for _, kind, segments in sample:
        learned = "".join(s for s, m in segments if m)
        assert "<|im_start|>" not in learned and "<tool_response>" not in learned
        assert learned.count("<tool_call>") == (kind != "one")
        assert learned.endswith("```<|im_end|>")


def test_the_answer_is_the_code_that_was_run(sample):
    for task, kind, segments in sample:
        text = "".join(s for s, _ in segments)
        answer = text[text.rindex("```python\n") + 10:text.rindex("\n```<|im_end|>")]
        assert answer == transcript.solution(task)
        assert kind == "one" or f"<parameter=code>\n{answer}\n\nassert " in text


def test_every_example_of_the_task_is_checked(sample):
    for task, kind, segments in sample:
        text = "".join(s for s, _ in segments)
        for call, result in task.examples:
            assert call.removeprefix(task.name)[1:-1] in task.text
            assert kind == "one" or f"assert {call} == {result}\n" in text


def test_a_repair_shows_the_real_failure(sample):
    bugs = [s for _, kind, s in sample if kind == "bug"]
    assert bugs
    for segments in bugs:
        text = "".join(s for s, _ in segments)
        code = text.split("<parameter=code>\n")[1].split("\n</parameter>")[0]
        passed, result = execute.run(code)
        assert not passed and f"<tool_response>\n{result.strip()}\n</tool_response>" in text


@pytest.mark.parametrize("code, expected", [
    ("x = 1", (True, "(no output)")),
    ('print("ok")', (True, "ok")),
    ('print("a")\nprint("b\\n")', (True, "a\nb\n")),
    ("assert 1 == 2", (False, 'Traceback (most recent call last):\n  File "cell.py", line 1, in <module>\n    assert 1 == 2\nAssertionError\n[exit code 1]')),
    ("def f(x):\n    return x[3]\n\nprint(1)\nf([])",
     (False, '1\nTraceback (most recent call last):\n  File "cell.py", line 5, in <module>\n    f([])\n  File "cell.py", line 2, in f\n    return x[3]\nIndexError: list index out of range\n[exit code 1]')),
    ("def f(x)\n    return x", (False, '  File "cell.py", line 1\n    def f(x)\nSyntaxError: expected \':\'\n[exit code 1]')),
    ("[y / 0 for y in [1]]", (False, 'Traceback (most recent call last):\n  File "cell.py", line 1, in <module>\n    [y / 0 for y in [1]]\nZeroDivisionError: division by zero\n[exit code 1]')),
])
def test_a_result_has_the_form_of_the_tool(code, expected):
    assert execute.run(code) == expected


def test_many_frames_are_cut_in_the_middle():
    _, text = execute.run("def f(n):\n    return 1 / n if n == 0 else f(n - 1)\n\nf(30)")
    assert text.count('  File "cell.py"') == 20 and "  ... 12 more frames ...\n" in text


def test_a_program_that_does_not_end_is_stopped():
    assert execute.run("while True:\n    pass") == (False, "[timed out after 10 s]")


def test_the_tokenizer_follows_the_standard_algorithm(sample):
    pytest.importorskip("tokenizers")
    pytest.importorskip("regex")
    from corpus import tokenizer
    texts = ["".join(s for s, _ in segments) for _, _, segments in sample[:300]] + [prompts.system_prefix()] * 3
    data = tokenizer.train([t + " ".join(map(chr, range(33, 1000))) for t in texts])
    fast, plain = tokenizer.fast(data), tokenizer.Plain(data)
    assert len(data["tokens"]) == 2048 and len(data["special"]) == 33
    for t in texts[:40] + ["naïve  →\n\n  x12", "<think>\n</think>\n\n", "it's 100%\t<|im_end|>"]:
        ids = fast.encode(t, add_special_tokens=False).ids
        assert plain.encode(t) == ids and plain.decode(ids) == t


def test_an_evaluation_task_passes_its_own_test():
    for row in evaluation.rows("tests", 8, TEMPLATE) + evaluation.rows("tests", 8, TEMPLATE, held_out=True):
        scope = {}
        exec(row["prompt"] + row["canonical_solution"] + "\n" + row["test"], scope)
        scope["check"](scope[row["entry_point"]])
        assert list(row) == ["task_id", "prompt", "entry_point", "canonical_solution", "test"]
        assert 6 <= row["test"].count("assert ") <= 10


def own_grams(sample):
    own = set()
    for task, _, segments in sample:
        own |= measures.thirteen_grams("".join(s for s, _ in segments))
    return own


def test_a_transcript_with_a_line_of_a_task_that_measures_stays_out():
    grams = measures.grams_of(measures.OURS)
    line = "def f(text):\n    return ''.join(c for c in text if c.lower() not in 'aeiou')\n"
    assert measures.without([line, line.replace("text", "st")], grams, str) == [line.replace("text", "st")]


@pytest.mark.parametrize("path", ["humaneval/mini.jsonl", "engine/tiny/wording.jsonl"])
def test_no_thirteen_words_in_a_row_come_from_tasks_that_measure(sample, path):
    own = own_grams(sample)
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        rows = list(map(json.loads, f))
    assert len(rows) > 40
    for row in rows:
        assert not own & measures.thirteen_grams(row["prompt"] + row["canonical_solution"]), row["task_id"]


def test_no_thirteen_words_in_a_row_come_from_humaneval(sample):
    path = os.environ.get("QAGENT_HUMANEVAL")
    if not path:
        print("SKIPPED: set QAGENT_HUMANEVAL to a HumanEval .jsonl.gz to compare with it", file=sys.stderr)
        pytest.skip("QAGENT_HUMANEVAL is not set")
    own = own_grams(sample)
    with gzip.open(path, "rt") as f:
        for row in map(json.loads, f):
            assert not own & measures.thirteen_grams(row["prompt"] + row["canonical_solution"]), row["task_id"]
