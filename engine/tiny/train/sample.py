#!/usr/bin/env python3
"""Greedy answers to tasks in HumanEval's form, and how many are right at the first attempt.

    sample.py CHECKPOINT.pt FOLDER TASKS.jsonl [--tasks 60] [--show 2]

FOLDER holds tokenizer.json and prefix.tokens.  The first attempt is the code of the first tool call, or of the answer
where the model calls no tool; its own asserts are left out.  Answers run in a child process with limits on time and
memory.  Generated code is only as harmless as the grammar the model learned: this is a tool for training, not a sandbox.
"""
import argparse
import functools
import json
import os
import re
import resource
import subprocess
import sys
import time
import memory
memory.keep()
import numpy as np
import regex
import torch
import torch.nn.functional as F
from model import Config, rms, rotate

PIECES = regex.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../prompts/humaneval.txt")


def byte_map():
    """GPT-2's printable stand-ins for bytes."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(rest)}


class Tokenizer:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            t = json.load(f)
        self.tokens, self.special = t["tokens"], t["special"]
        self.ids = {s: i for i, s in enumerate(self.tokens)}
        self.rank = {tuple(m.split(" ")): i for i, m in enumerate(t["merges"])}
        self.to_char = byte_map()
        self.to_byte = {c: b for b, c in self.to_char.items()}
        self.cut = re.compile("(" + "|".join(re.escape(s) for s in sorted(self.special, key=len, reverse=True)) + ")")

    @functools.lru_cache(100000)
    def piece(self, text):
        parts = [self.to_char[b] for b in text.encode()]
        while len(parts) > 1:
            best = min(range(len(parts) - 1), key=lambda i: self.rank.get((parts[i], parts[i + 1]), 1 << 30))
            if (parts[best], parts[best + 1]) not in self.rank:
                break
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        return [self.ids[s] for s in parts]

    def encode(self, text):
        out = []
        for part in self.cut.split(text):
            if part in self.special:
                out.append(self.special[part])
            elif part:
                out += [i for p in PIECES.findall(part) for i in self.piece(p)]
        return out

    def decode(self, ids):
        special = set(self.special.values())
        raw = b"".join(self.tokens[i].encode() if i in special else bytes(self.to_byte[c] for c in self.tokens[i]) for i in ids)
        return raw.decode("utf-8", "replace")


class Decoder:
    """The trunk token by token in f32, several sequences at once; the plain recurrence, so also a check of the chunked form."""

    def __init__(self, config, params):
        self.c = config
        self.p = {n: x.float() for n, x in params.items()}
        c, p = config, self.p
        for i in range(c.layers):                     # all experts as one wide matrix
            b = f"blk.{i}.ffn_"
            p[b + "in"] = torch.cat([p[b + n].reshape(-1, c.width) for n in ("gate_exps.weight", "gate_shexp.weight", "up_exps.weight", "up_shexp.weight")])
            p[b + "out"] = torch.cat([p[b + "down_exps.weight"].transpose(0, 1).reshape(c.width, -1), p[b + "down_shexp.weight"]], 1)
        self.freq = c.theta ** (-torch.arange(0, c.rot, 2, dtype=torch.float64) / c.rot)
        self.state, self.at = {}, 0

    def reset(self, rows, room):
        c = self.c
        for i in range(c.layers):
            if c.full(i):
                self.state[i] = [torch.zeros(rows, room, c.kv_heads, c.head_dim) for _ in range(2)]
            else:
                self.state[i] = [torch.zeros(rows, c.conv - 1, 3 * c.delta_heads * c.state), torch.zeros(rows, c.delta_heads, c.state, c.state)]
        self.at = 0

    def repeat(self, rows):
        """One sequence becomes `rows` equal ones."""
        self.state = {i: [x.repeat(rows, *[1] * (x.dim() - 1)) for x in s] for i, s in self.state.items()}

    def delta(self, i, h):
        c, p, b, s = self.c, self.p, f"blk.{i}.", self.state[i]
        seq = torch.cat([s[0], (h @ p[b + "attn_qkv.weight"].T)[:, None]], 1)
        s[0] = seq[:, 1:]
        mixed = F.silu((seq * p[b + "ssm_conv1d.weight"].T).sum(1)).view(-1, 3, c.delta_heads, c.state)
        unit = lambda x: x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)
        q, k, v = unit(mixed[:, 0]) * c.state ** -0.5, unit(mixed[:, 1]), mixed[:, 2]
        beta = torch.sigmoid(h @ p[b + "ssm_beta.weight"].T)
        decay = torch.exp(-p[b + "ssm_a"].exp() * F.softplus(h @ p[b + "ssm_alpha.weight"].T + p[b + "ssm_dt.bias"]))
        m = s[1] * decay[..., None, None]
        fresh = (v - torch.einsum("bhkv,bhk->bhv", m, k)) * beta[..., None]
        s[1] = m + k[..., None] * fresh[..., None, :]
        o = rms(torch.einsum("bhkv,bhk->bhv", s[1], q), p[b + "ssm_norm.weight"], c.eps)
        z = (h @ p[b + "attn_gate.weight"].T).view_as(o)
        return (o * F.silu(z)).flatten(1) @ p[b + "ssm_out.weight"].T

    def attention(self, i, h):
        c, p, b, s = self.c, self.p, f"blk.{i}.", self.state[i]
        q, gate = (h @ p[b + "attn_q.weight"].T).view(-1, c.heads, 2, c.head_dim).unbind(2)
        k, v = ((h @ p[b + f"attn_{n}.weight"].T).view(-1, c.kv_heads, c.head_dim) for n in "kv")
        a = self.at * self.freq
        cos, sin = a.cos().float(), a.sin().float()
        q = rotate(rms(q, p[b + "attn_q_norm.weight"], c.eps), cos, sin)
        s[0][:, self.at] = rotate(rms(k, p[b + "attn_k_norm.weight"], c.eps), cos, sin)
        s[1][:, self.at] = v
        k, v = (x[:, :self.at + 1].repeat_interleave(c.heads // c.kv_heads, 2) for x in s)
        w = torch.softmax(torch.einsum("bhd,bthd->bht", q, k) * c.head_dim ** -0.5, -1)
        o = torch.einsum("bht,bthd->bhd", w, v) * torch.sigmoid(gate)
        return o.flatten(1) @ p[b + "attn_output.weight"].T

    def ffn(self, i, h):
        c, p, b = self.c, self.p, f"blk.{i}.ffn_"
        prob = torch.softmax(h @ p[b + "gate_inp.weight"].T, -1)
        top, which = prob.topk(c.used)
        w = torch.zeros_like(prob).scatter(1, which, top / top.sum(-1, keepdim=True))
        w = torch.cat([w, torch.sigmoid(h @ p[b + "gate_inp_shexp.weight"])[:, None]], 1)
        gate, up = (h @ p[b + "in"].T).chunk(2, 1)
        inner = (F.silu(gate) * up).view(len(h), c.experts + 1, c.ff) * w[..., None]
        return inner.flatten(1) @ p[b + "out"].T

    @torch.no_grad()
    def step(self, tokens):
        """One token a row -> logits."""
        c, p = self.c, self.p
        x = p["token_embd.weight"][tokens]
        for i in range(c.layers):
            h = rms(x, p[f"blk.{i}.attn_norm.weight"], c.eps)
            x = x + (self.attention(i, h) if c.full(i) else self.delta(i, h))
            x = x + self.ffn(i, rms(x, p[f"blk.{i}.post_attention_norm.weight"], c.eps))
        self.at += 1
        return rms(x, p["output_norm.weight"], c.eps) @ p["output.weight"].T


def generate(decoder, prefix, prompts, end, most=500):
    """Greedy continuation of every prompt behind the shared prefix, up to the token `end`."""
    rows, longest = len(prompts), max(map(len, prompts))
    decoder.reset(1, len(prefix) + longest + most)
    for t in prefix:
        decoder.step(torch.tensor([t]))
    decoder.repeat(rows)
    out, done, token = [[] for _ in prompts], [False] * rows, [p[0] for p in prompts]
    for t in range(longest + most - 1):
        best = decoder.step(torch.tensor(token)).argmax(-1).tolist()
        for r, p in enumerate(prompts):
            if t + 1 < len(p):
                token[r] = p[t + 1]
            elif not done[r]:
                token[r] = best[r]
                done[r] = best[r] == end or len(out[r]) >= most
                out[r] += [] if done[r] else [best[r]]
        if all(done):
            break
    return out


def attempt(text):
    """The code of the first tool call or of the answer, without the lines that only check it."""
    m = re.search(r"<parameter=code>\n(.*?)\n</parameter>", text, re.S) or re.search(r"```python\n(.*?)\n```", text, re.S)
    lines = m.group(1).split("\n") if m else []
    return "\n".join(s for s in lines if not s.startswith(("assert", "print")))


def passes(code, task):
    program = f"{code}\n\n{task['test']}\n\ncheck({task['entry_point']})\n"
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    try:
        return subprocess.run([sys.executable, "-I", "-"], input=program.encode(), capture_output=True, timeout=5, preexec_fn=limit).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main():
    a = argparse.ArgumentParser()
    a.add_argument("checkpoint"), a.add_argument("folder"), a.add_argument("tasks_file")
    a.add_argument("--tasks", type=int, default=60), a.add_argument("--show", type=int, default=0), a.add_argument("--threads", type=int, default=1)
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    began = time.time()
    saved = torch.load(a.checkpoint, map_location="cpu", weights_only=True)
    tok = Tokenizer(os.path.join(a.folder, "tokenizer.json"))
    with open(a.tasks_file, encoding="utf-8") as f:
        tasks = [json.loads(line) for line in f][:a.tasks]
    with open(TEMPLATE, encoding="utf-8") as f:
        template = f.read().strip()
    prompts = []
    for t in tasks:
        user = template.replace("{{prompt}}", t["prompt"].strip("\n") if "{{prompt}}\n```" in template else t["prompt"]).strip()
        prompts.append(tok.encode(f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n<think>\n"))
    prefix = np.fromfile(os.path.join(a.folder, "prefix.tokens"), np.uint16).tolist()
    decoder = Decoder(Config(**saved["config"]), saved["params"])
    texts = [tok.decode(x) for x in generate(decoder, prefix, prompts, tok.special["<|im_end|>"])]
    right = [passes(attempt(x), t) for x, t in zip(texts, tasks)]
    for x, t, ok in list(zip(texts, tasks, right))[:a.show]:
        print(f"--- {t['task_id']} {'right' if ok else 'WRONG'}\n{t['prompt']}\n=>\n{x}\n")
    print(f"{os.path.basename(a.tasks_file)}: first attempt right in {sum(right)} of {len(right)} ({sum(right) / len(right):.3f}), {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
