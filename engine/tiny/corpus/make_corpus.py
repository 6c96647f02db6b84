"""Makes the whole corpus: transcripts, tokenizer, token files. Usage: python3 make_corpus.py --out FOLDER [--seed N] [--count N]"""
import argparse
import collections
import json
import multiprocessing
import os
import random
import sys
import time

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from corpus import execute, measures, pipeline, prompts, transcript  # noqa: E402
from corpus.op import OPS  # noqa: E402

CHUNK = 1000
LONGEST_TOKENS = 700
N_VALIDATION = 2000
FEWEST_USES = 10     # of an operation in 100,000 transcripts


def chunk(job):
    """A thousand transcripts, less those that measure: (kind, operations, task, segments)."""
    seed, index, template, grams = job
    rng = random.Random(f"{seed}/{index}")
    rows = []
    for _ in range(CHUNK):
        task = transcript.make_task(rng, template)
        kind, segments = transcript.transcript(rng, task)
        rows.append((kind, [s.op.id for s in task.steps], task.text, segments))
    return measures.without(rows, grams, lambda r: "".join(s for s, _ in r[3]))


def generate(seed, count, template, workers, grams):
    """`count` transcripts with different tasks, in a random order."""
    jobs = [(seed, i, template, grams) for i in range(-(-count // CHUNK) + 2)]
    with multiprocessing.get_context("fork").Pool(workers, execute.limit_memory) as pool:
        rows = [r for rows in pool.imap(chunk, jobs) for r in rows]
    seen, fresh = set(), []
    for r in rows:
        if r[2] not in seen:
            seen.add(r[2])
            fresh.append(r)
    random.Random(seed).shuffle(fresh)
    return fresh


def check_uses(rows):
    """Every operation must contribute: one whose template breaks would vanish silently."""
    uses = collections.Counter(o for r in rows for o in r[1])
    few = {o: uses[o] for o in OPS if uses[o] < max(1, FEWEST_USES * len(rows) // 100000)}
    if few:
        raise SystemExit(f"operations used too rarely: {few}")
    for r in rows:
        for a, b in zip(r[1], r[1][1:]):
            assert not pipeline.held_out(OPS[a], OPS[b]), (a, b)
    return uses


def encode(tok, rows):
    """Tokens and mask of every transcript that is not too long."""
    import numpy as np
    encoded = []
    for at in range(0, len(rows), 5000):
        part = rows[at:at + 5000]
        texts = ["".join(s for s, _ in r[3]) for r in part]
        for r, text, e in zip(part, texts, tok.encode_batch(texts, add_special_tokens=False)):
            if len(e.ids) > LONGEST_TOKENS:
                continue
            flags = np.repeat([m for _, m in r[3]], [len(s) for s, _ in r[3]])
            first, last = np.array([o[0] for o in e.offsets]), np.array([o[1] for o in e.offsets])
            assert (flags[first] == flags[last - 1]).all(), text
            encoded.append((np.array(e.ids, np.uint16), flags[first].astype(np.uint8), r))
    return encoded


def cut(encoded, share, seed, special):
    """Ends some transcripts after the plan and the first token of what follows: more plans in the same number of tokens."""
    rng, out = random.Random(f"cut/{seed}"), []
    for ids, mask, r in encoded:
        end = ids.tolist().index(special["</think>"])
        short = rng.random() < share and mask[end]
        out.append((ids[:end + 3], mask[:end + 3], r) if short else (ids, mask, r))
    return out


def write(folder, name, encoded):
    import numpy as np
    lengths = [len(e[0]) for e in encoded]
    np.concatenate([e[0] for e in encoded]).tofile(os.path.join(folder, f"{name}.tokens"))
    np.concatenate([e[1] for e in encoded]).tofile(os.path.join(folder, f"{name}.mask"))
    np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64).tofile(os.path.join(folder, f"{name}.starts"))
    return lengths


def verify(data, tok, encoded):
    """The plain algorithm gives the same tokens, and decoding gives the text back."""
    from corpus.tokenizer import Plain
    plain = Plain(data)
    for ids, _, r in encoded[:400]:
        text = "".join(s for s, _ in r[3])
        assert plain.encode(text) == ids.tolist() and plain.decode(ids.tolist()) == text
    for ids, _, r in encoded[400:5000]:
        assert tok.decode(ids.tolist(), skip_special_tokens=False) == "".join(s for s, _ in r[3])


def main():
    parser = argparse.ArgumentParser(description="makes the corpus of the tiny model")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=110000, help="transcripts for training")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--prompts", default=prompts.FOLDER)
    parser.add_argument("--tokenizer", default="", help="use this tokenizer.json instead of training one")
    parser.add_argument("--cut", type=float, default=0.0, help="share of training transcripts that end after the plan")
    parser.add_argument("--avoid", action="append", default=measures.OURS, metavar="FILE",
                        help="more tasks (HumanEval's form) with which no transcript may share 13 words in a row, beside mini and wording.jsonl")
    parser.add_argument("--show", type=int, default=0, help="only print this many transcripts")
    a = parser.parse_args()
    began = time.time()
    template = prompts.read(a.prompts, "humaneval.txt")
    if a.show:
        for kind, ops, _, segments in generate(a.seed, a.show, template, 1, measures.grams_of(a.avoid))[:a.show]:
            print(f"===== {kind} {ops}\n" + "".join(s for s, _ in segments))
        return
    from corpus import tokenizer
    import numpy as np
    os.makedirs(a.out, exist_ok=True)
    rows = generate(a.seed, a.count + N_VALIDATION, template, a.workers, measures.grams_of(a.avoid))
    uses = check_uses(rows)
    print(f"{len(rows)} transcripts in {time.time() - began:.0f} s", flush=True)
    prefix = prompts.system_prefix(a.prompts)
    if a.tokenizer:
        data = json.load(open(a.tokenizer))
    else:
        data = tokenizer.train(["".join(s for s, _ in r[3]) for r in rows[:30000]] + [prefix] * 300)
    tok = tokenizer.fast(data)
    encoded = encode(tok, rows)
    verify(data, tok, encoded)
    with open(os.path.join(a.out, "tokenizer.json"), "w") as f:
        json.dump(data, f)
    np.array(tok.encode(prefix, add_special_tokens=False).ids, np.uint16).tofile(os.path.join(a.out, "prefix.tokens"))
    write(a.out, "val", encoded[:N_VALIDATION])
    training = cut(encoded[N_VALIDATION:N_VALIDATION + a.count], a.cut, a.seed, data["special"])
    lengths = write(a.out, "train", training)
    kinds = collections.Counter(e[2][0] for e in encoded)
    stats = {"transcripts": len(lengths), "tokens": int(sum(lengths)), "mean_tokens": round(float(np.mean(lengths)), 1), "p95_tokens": int(np.percentile(lengths, 95)), "longest": max(lengths),
             "targets": int(sum(e[1].sum() for e in training)), "too_long": len(rows) - len(encoded), "kinds": dict(kinds), "operations": len(OPS),
             "pairs_seen": len({(x, y) for r in rows for x, y in zip(r[1], r[1][1:])}), "rarest": uses.most_common()[-5:], "seed": a.seed, "seconds": round(time.time() - began)}
    with open(os.path.join(a.out, "corpus.json"), "w") as f:
        json.dump(stats | {"uses": uses}, f, indent=1)
    print(json.dumps(stats))


if __name__ == "__main__":
    main()
