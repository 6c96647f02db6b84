"""The tasks to measure by. A transcript that shares thirteen words in a row with one of them stays out of the corpus."""
import gzip
import json
import os
import re

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
OURS = [os.path.join(ROOT, "humaneval/mini.jsonl"), os.path.join(ROOT, "engine/tiny/wording.jsonl")]


def thirteen_grams(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i:i + 13]) for i in range(len(words) - 12)}


def grams_of(paths):
    """Of every prompt with its solution, in files of HumanEval's form (.jsonl or .jsonl.gz)."""
    found = set()
    for path in paths:
        with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as f:
            for row in map(json.loads, f):
                found |= thirteen_grams(row["prompt"] + row["canonical_solution"])
    return found


def without(rows, grams, text_of):
    """The rows whose text shares no gram."""
    return [r for r in rows if not grams & thirteen_grams(text_of(r))]
