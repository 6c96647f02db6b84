#!/usr/bin/env python3
"""How far do options that change the arithmetic change what the model says?

    agree.py FOLDER [FILE.gguf] --base "--kernels ref --kv f32" --with "--kernels avx2" --with "--kernels avx2 --kv f16"

FOLDER is a corpus (corpus/make_corpus.py): the ids are its system prompt and its first validation transcripts, 4,096 in
all.  Counted are the positions before a token that the model learned to say.  For each set of options: the mean Kullback-Leibler divergence from the base in nats, its largest value at one
position, the share of positions with the same likeliest token, and the share where that token is the next one.
"""
import argparse
import os
import subprocess
import tempfile
import numpy as np


def ids(folder, count):
    """Token ids, and which positions count."""
    load = lambda name, t: np.fromfile(os.path.join(folder, name), t)
    prefix = load("prefix.tokens", np.uint16)
    learned = np.concatenate([np.zeros(len(prefix), np.uint8), load("val.mask", np.uint8)])[:count]
    return np.concatenate([prefix, load("val.tokens", np.uint16)])[:count].astype("<i4"), np.flatnonzero(learned) - 1


def log_probabilities(program, model, tokens, options):
    with tempfile.TemporaryDirectory() as d:
        at, out = os.path.join(d, "ids"), os.path.join(d, "logits")
        tokens.tofile(at)
        subprocess.run([program, "logits", *(["-m", model] if model else []), "--tokens", at, "--out", out, *options.split()], check=True)
        x = np.fromfile(out, "<f4").reshape(len(tokens), -1).astype(np.float64)
    x -= x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("folder"), a.add_argument("model", nargs="?"), a.add_argument("--base", default="--kernels ref --kv f32"), a.add_argument("--with", dest="options", action="append", default=[])
    a.add_argument("--qagent", default="bin/qagent"), a.add_argument("--tokens", type=int, default=4096)
    a = a.parse_args()
    tokens, at = ids(a.folder, a.tokens)
    base = log_probabilities(a.qagent, a.model, tokens, a.base)[at]
    print(f"base {a.base}; {len(at)} positions of {len(tokens)}\n\n| options | mean KL | largest KL | same top 1 | top 1 is next |\n|---|---|---|---|---|")
    for options in [a.base, *a.options]:
        x = base if options == a.base else log_probabilities(a.qagent, a.model, tokens, options)[at]
        kl = (np.exp(base) * (base - x)).sum(1)
        best = x.argmax(1)
        print(f"| `{options}` | {kl.mean():.2e} | {kl.max():.2e} | {(best == base.argmax(1)).mean():.4f} | {(best == tokens[at + 1]).mean():.4f} |", flush=True)


if __name__ == "__main__":
    main()
