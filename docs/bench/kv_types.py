#!/usr/bin/env python3
"""What each format of the KV cache does to the predictions, against f16.

    docs/bench/kv_types.py [--model M.gguf] [--tokens N] TEXT... [-- TYPE_K,TYPE_V ...]

Joins the texts, takes their first N tokens, runs `qagent logits` once per pair of formats
and prints a table: mean and 99th percentile of the KL divergence (nats), and how often the
likeliest token is the same.  Needs numpy.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TYPES = ["q8_0", "q4_0", "turbo4", "turbo3", "turbo2"]
PAIRS = [("f32", "f32")] + [p for t in TYPES for p in ((t, t), (t, "f16"), ("f16", t))]


def log_probs(path: Path, n_tokens: int) -> np.ndarray:
    x = np.fromfile(path, np.float32).reshape(n_tokens, -1).astype(np.float64)
    x -= x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def logits(model: list[str], ids: Path, pair: tuple[str, str], out: Path, n: int) -> np.ndarray:
    command = ["bin/qagent", "logits", *model, "--kv-k", pair[0], "--kv-v", pair[1]]
    subprocess.run([*command, "--tokens", ids, "--out", out], check=True)
    return log_probs(out, n)


def main() -> None:
    words, pairs = sys.argv[1:], PAIRS
    if "--" in words:
        at = words.index("--")
        pairs = [tuple(p.split(",")) for p in words[at + 1 :]]
        words = words[:at]
    model, n, texts = [], 4608, []
    while words:
        word = words.pop(0)
        if word == "--model":
            model = ["--model", words.pop(0)]
        elif word == "--tokens":
            n = int(words.pop(0))
        else:
            texts.append(word)
    with tempfile.TemporaryDirectory() as folder:
        text, ids, out = (Path(folder, name) for name in ("text", "ids", "out"))
        text.write_bytes(b"".join(Path(t).read_bytes() for t in texts))
        command = ["bin/qagent", "tokens", *model, "--no-special", "-f", text, "--binary", ids]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if ids.stat().st_size < 4 * n:
            sys.exit(f"the texts have {ids.stat().st_size // 4} tokens, {n} are needed")
        ids.write_bytes(ids.read_bytes()[: 4 * n])
        want = logits(model, ids, ("f16", "f16"), out, n)
        print("| keys | values | mean KL | 99 % | same top-1 |\n|---|---|---|---|---|")
        for pair in pairs:
            got = logits(model, ids, pair, out, n)
            kl = (np.exp(want) * (want - got)).sum(1)
            same = (want.argmax(1) == got.argmax(1)).mean()
            print(f"| {pair[0]} | {pair[1]} | {kl.mean():.2g} | {np.quantile(kl, 0.99):.2g} "
                  f"| {100 * same:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
