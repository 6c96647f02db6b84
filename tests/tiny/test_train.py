"""The trainer: the chunked delta rule, the exported file, the optimiser and the packing.  Needs torch."""
import os
import struct
import sys
import warnings

import pytest

np = pytest.importorskip("numpy")

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../engine/tiny/train"))

try:
    import torch
except ImportError:
    warnings.warn("PyTorch is not installed: the trainer of the embedded model is NOT tested")
    pytest.skip("PyTorch is not installed", allow_module_level=True)

torch.set_num_threads(1)                              # two threads on a busy machine mostly wait for each other

import data
import delta
import export
import gguf
import muon
from model import Config, Model, Stream, init

SMALL = dict(vocab=96, width=64, layers=2, interval=2, delta_heads=2, state=32, heads=2, kv_heads=1, head_dim=32, rot=16, experts=4, used=2, ff=32)


def test_chunk_rule_equals_the_recurrence_token_by_token():
    torch.manual_seed(0)
    heads, chunks, d = 2, 4, 32
    q, k, v = (torch.randn(heads, chunks * 64, d) for _ in range(3))
    q, k = torch.nn.functional.normalize(q, dim=-1) / d ** 0.5, torch.nn.functional.normalize(k, dim=-1)
    k[:, 70:110] = k[:, 70:71]                        # a run of equal keys, the hard case for the triangle
    g, beta = -torch.rand(heads, chunks * 64) * 0.2, torch.rand(heads, chunks * 64)
    inputs = [x.requires_grad_() for x in (q, k, v, g, beta)]
    split = lambda x: x.view(heads, chunks, 64, *x.shape[2:]).transpose(0, 1)
    got = delta.chunk_rule(*map(split, inputs), lead=1, rows=1).transpose(0, 1).reshape(heads, -1, d)
    want = delta.step_rule(*inputs)
    assert (got - want).norm() < 2e-6 * want.norm()
    weight = torch.randn_like(want)
    for a, b in zip(torch.autograd.grad((got * weight).sum(), inputs), torch.autograd.grad((want * weight).sum(), inputs)):
        assert (a - b).norm() < 1e-5 * b.norm()


# --- a forward pass in numpy that knows nothing of the model code, only the file ---

class File:
    """Reads back F32 and Q8_0 tensors of a GGUF file."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.b = f.read()
        self.at = 0
        magic, version, tensors, pairs = self.take("<4sIQQ")
        assert (magic, version) == (b"GGUF", 3)
        self.meta = {self.text(): self.value(*self.take("<I")) for _ in range(pairs)}
        self.info = {}
        for _ in range(tensors):
            name, (dims,) = self.text(), self.take("<I")
            self.info[name] = (self.take(f"<{dims}Q"), *self.take("<IQ"))
        self.base = -(-self.at // 32) * 32

    def take(self, fmt):
        out = struct.unpack_from(fmt, self.b, self.at)
        self.at += struct.calcsize(fmt)
        return out

    def text(self):
        (n,) = self.take("<Q")
        self.at += n
        return self.b[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            of, n = self.take("<IQ")
            return [self.value(of) for _ in range(n)]
        return self.take({4: "<I", 5: "<i", 6: "<f", 7: "<?"}[kind])[0]

    def __getitem__(self, name):
        dims, kind, offset = self.info[name]
        assert offset % 32 == 0
        n, at = int(np.prod(dims)), self.base + offset
        if kind == 0:
            return np.frombuffer(self.b, np.float32, n, at).reshape(dims[::-1])
        assert kind == 8
        blocks = np.frombuffer(self.b, np.uint8, n // 32 * 34, at).reshape(-1, 34)
        return (blocks[:, :2].copy().view(np.float16).astype(np.float32) * blocks[:, 2:].view(np.int8)).reshape(dims[::-1])


def rms(x, w):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * w


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rope(x, rot):
    half = rot // 2
    angle = np.arange(len(x))[:, None, None] * 1e7 ** (-2 * np.arange(half) / rot)
    lo, hi = x[..., :half], x[..., half:rot]
    return np.concatenate([lo * np.cos(angle) - hi * np.sin(angle), lo * np.sin(angle) + hi * np.cos(angle), x[..., rot:]], -1)


def attention(f, b, c, h):
    t = len(h)
    q, gate = (h @ f[b + "attn_q.weight"].T).reshape(t, c.heads, 2, c.head_dim).transpose(2, 0, 1, 3)
    k, v = ((h @ f[b + f"attn_{n}.weight"].T).reshape(t, c.kv_heads, c.head_dim) for n in "kv")
    q, k = rope(rms(q, f[b + "attn_q_norm.weight"]), c.rot), rope(rms(k, f[b + "attn_k_norm.weight"]), c.rot)
    out = np.empty_like(q)
    for head in range(c.heads):
        kv = head // (c.heads // c.kv_heads)
        s = np.where(np.tri(t, dtype=bool), q[:, head] @ k[:, kv].T / np.sqrt(c.head_dim), -np.inf)
        w = np.exp(s - s.max(1, keepdims=True))
        out[:, head] = w / w.sum(1, keepdims=True) @ v[:, kv]
    return (out * sigmoid(gate)).reshape(t, -1) @ f[b + "attn_output.weight"].T


def delta_net(f, b, c, h):
    t, n, d = len(h), c.delta_heads, c.state
    u = np.concatenate([np.zeros((3, 3 * n * d)), h @ f[b + "attn_qkv.weight"].T])
    y = sum(u[j:j + t] * f[b + "ssm_conv1d.weight"][:, j] for j in range(4))
    q, k, v = (y * sigmoid(y)).reshape(t, 3, n, d).transpose(1, 0, 2, 3)
    q, k = (x / np.sqrt((x * x).sum(-1, keepdims=True) + 1e-6) for x in (q, k))
    beta = sigmoid(h @ f[b + "ssm_beta.weight"].T)
    decay = np.exp(f[b + "ssm_a"] * np.log1p(np.exp(h @ f[b + "ssm_alpha.weight"].T + f[b + "ssm_dt.bias"])))
    out = np.zeros((t, n, d))
    for head in range(n):
        s = np.zeros((d, d))
        for i in range(t):
            s *= decay[i, head]
            s += np.outer(k[i, head], (v[i, head] - k[i, head] @ s) * beta[i, head])
            out[i, head] = q[i, head] @ s / np.sqrt(d)
    z = (h @ f[b + "attn_gate.weight"].T).reshape(t, n, d)
    return (rms(out, f[b + "ssm_norm.weight"]) * z * sigmoid(z)).reshape(t, -1) @ f[b + "ssm_out.weight"].T


def ffn(f, b, c, h):
    def expert(x, gate, up, down):
        y = x @ gate.T
        return (y * sigmoid(y) * (x @ up.T)) @ down.T
    score = np.exp(h @ f[b + "ffn_gate_inp.weight"].T)
    gate, up, down = (f[b + f"ffn_{n}_exps.weight"] for n in ("gate", "up", "down"))
    shared = expert(h, *(f[b + f"ffn_{n}_shexp.weight"] for n in ("gate", "up", "down")))
    out = shared * sigmoid(h @ f[b + "ffn_gate_inp_shexp.weight"])[:, None]
    for i, x in enumerate(h):
        top = np.argsort(-score[i])[:c.used]
        out[i] += sum(score[i, e] / score[i, top].sum() * expert(x, gate[e], up[e], down[e]) for e in top)
    return out


def block(f, i, c, x):
    b = f"blk.{i}."
    h = rms(x, f[b + "attn_norm.weight"])
    x = x + (attention if c.full(i) else delta_net)(f, b, c, h)
    return x + ffn(f, b, c, rms(x, f[b + "post_attention_norm.weight"]))


def by_file(f, c, tokens):
    """Logits of the trunk and of the draft layer (for all tokens but the first)."""
    embedded = f["token_embd.weight"][tokens]
    x = embedded
    for i in range(c.layers):
        x = block(f, i, c, x)
    h, b = rms(x, f["output_norm.weight"]), f"blk.{c.layers}.nextn."
    both = np.concatenate([rms(embedded[1:], f[b + "enorm.weight"]), rms(h[:-1], f[b + "hnorm.weight"])], -1)
    d = block(f, c.layers, c, both @ f[b + "eh_proj.weight"].T)
    return h @ f["output.weight"].T, rms(d, f[b + "shared_head_norm.weight"]) @ f["output.weight"].T


def shaken(c):
    """Fresh parameters with nothing left at one or zero."""
    p, gen = init(c, 5), torch.Generator().manual_seed(6)
    with torch.no_grad():
        for x in p.values():
            x += 0.2 * torch.randn(x.shape, generator=gen) * (x.dim() == 1)
    return p


def tokenizer(n):
    return {"tokens": [f"t{i}" for i in range(n)], "merges": ["t 1"], "token_type": [1] * n, "special": {"<|im_end|>": n - 1, "<|endoftext|>": n - 2}}


def test_exported_file_computes_the_same_logits(tmp_path):
    c, path = Config(**SMALL), str(tmp_path / "m.gguf")
    p = shaken(c)
    export.export(path, c, p, tokenizer(c.vocab), "f32")
    tokens, prefix = torch.randint(0, c.vocab, (70 + 128,), generator=torch.Generator().manual_seed(1)), 70
    st, m = Stream(prefix, 2, 128), Model(c, p)
    other = torch.randint(0, c.vocab, (128,))
    with torch.no_grad():
        flat = st.tokens(tokens[:prefix], torch.stack([other, tokens[prefix:]]))
        h, _ = m.trunk(flat, st)
        d, _ = m.draft(flat, h, st)
        got = [torch.cat([x[st.pad:st.lead * 64], st.unfold(x)[1]]) for x in (m.head(h), m.head(d))]
    trunk, draft = by_file(File(path), c, tokens.numpy())
    assert np.linalg.norm(got[0].numpy() - trunk) < 1e-4 * np.linalg.norm(trunk)
    assert np.linalg.norm(got[1].numpy()[1:] - draft) < 1e-4 * np.linalg.norm(draft)


def test_q8_0_file_is_near_and_keeps_norms_exact(tmp_path):
    c, path = Config(**SMALL), str(tmp_path / "m.gguf")
    p = shaken(c)
    export.export(path, c, p, tokenizer(c.vocab), "q8_0")
    f = File(path)
    assert f.meta["general.architecture"] == "qwen35moe" and f.meta["qwen35moe.block_count"] == c.layers + 1
    assert len(f.info) == len(p)
    for name, x in export.arrays(c, p).items():
        if f.info[name][1] == 0:
            assert (f[name] == x).all(), name
        else:
            assert np.abs(f[name] - x).max() <= np.abs(x).max() / 127 * 0.51 + 1e-3 * np.abs(x).max(), name
    assert {n.split(".")[-2] for n in f.info if f.info[n][1] == 8} >= {"token_embd", "output", "attn_qkv", "ffn_down_exps", "eh_proj"}
    assert f.info["blk.0.ffn_gate_inp.weight"][1] == 0 and f.info["blk.0.ssm_conv1d.weight"][1] == 0


def test_q8_0_blocks_round_to_nearest():
    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    b = np.frombuffer(gguf.q8_0(x), np.uint8).reshape(2, 34)
    back = b[:, :2].copy().view(np.float16).astype(np.float32) * b[:, 2:].view(np.int8)
    assert np.abs(back - x).max() <= 1 / 127 * 0.51
    assert gguf.q8_0(np.zeros((1, 32))) == bytes(34)


def test_newton_schulz_makes_singular_values_near_one():
    u = muon.orthogonal(torch.randn(2, 16, 48, generator=torch.Generator().manual_seed(0)))
    s = torch.linalg.svdvals(u)
    assert s.min() > 0.5 and s.max() < 1.4


def test_training_learns_and_gradients_reach_every_parameter():
    c = Config(**SMALL)
    p, st = init(c, 1), Stream(70, 2, 64)
    names = [n for n in p if not n.startswith(f"blk.{c.layers}.")]
    m, o = Model(c, p), muon.Optimiser(p, c, names)
    gen = torch.Generator().manual_seed(2)
    tokens = st.tokens(torch.randint(0, c.vocab, (70,), generator=gen), torch.randint(0, c.vocab, (2, 64), generator=gen))
    losses = []
    for _ in range(12):
        for x in p.values():
            x.grad = None
        h, balance = m.trunk(tokens, st)
        loss = m.loss(h[:-1][128:], slice(None), tokens[1:][128:]) + 0.01 * balance
        loss.backward()
        assert all(p[n].grad is not None and p[n].grad.abs().sum() > 0 for n in names)
        o.step(0.02, 3e-3)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_rows_are_packed_from_whole_transcripts_and_cut_at_the_end(tmp_path):
    lengths = [5, 9, 4, 7]
    tokens = np.concatenate([np.full(n, i) for i, n in enumerate(lengths)]).astype(np.uint16)
    tokens.tofile(tmp_path / "train.tokens"), (tokens % 2).astype(np.uint8).tofile(tmp_path / "train.mask")
    np.cumsum([0] + lengths[:-1]).astype(np.int64).tofile(tmp_path / "train.starts")
    corpus = data.Corpus(str(tmp_path), "train")
    x, y, mask = corpus.batch(3, 12)
    assert x.shape == (3, 12) and (y[:, :-1] == x[:, 1:]).all() and (mask == (y % 2 == 1)).all()
    for row in x.tolist():
        runs = [row[0]] + [b for a, b in zip(row, row[1:]) if a != b]
        assert all(row.count(i) >= lengths[i] for i in runs[:-1])
    again = data.Corpus(str(tmp_path), "train")
    again.position = corpus.position
    assert torch.equal(again.batch(2, 12)[0], corpus.batch(2, 12)[0])


@pytest.mark.parametrize("quant, bound", [("f32", 1e-6), ("q8_0", 0.006)])
def test_a_file_fills_the_parameters_it_was_made_from(tmp_path, quant, bound):
    c, path = Config(**SMALL), str(tmp_path / "m.gguf")
    p, back = shaken(c), init(c, 9)
    made = tokenizer(c.vocab)
    made["tokens"][-2:], made["token_type"][-2:] = ["<|endoftext|>", "<|im_end|>"], [3, 3]
    export.export(path, c, p, made, quant)
    assert export.load(path, c, back) == made
    for name, x in p.items():
        assert (back[name] - x).abs().max() <= bound * x.abs().max(), name


def test_a_file_of_another_shape_or_type_is_refused(tmp_path):
    c, path = Config(**SMALL), str(tmp_path / "m.gguf")
    export.export(path, c, init(c), tokenizer(c.vocab), "f32")
    wider = Config(**{**SMALL, "ff": 64})
    with pytest.raises(ValueError, match="has the shape"):
        export.load(path, wider, init(wider))
    (tmp_path / "no.gguf").write_bytes(b"GGML" + bytes(40))
    with pytest.raises(ValueError, match="no GGUF file"):
        gguf.read(str(tmp_path / "no.gguf"))


def test_transcripts_are_cut_after_the_plan_or_the_first_turn(tmp_path):
    end, planned, n = 90, 91, 200
    one = [1, 2, planned, 3, 4, 5, end, 6, 7, end, 8]
    np.array(one * n, np.uint16).tofile(tmp_path / "train.tokens"), np.array([0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0] * n, np.uint8).tofile(tmp_path / "train.mask")
    (np.arange(n) * len(one)).tofile(tmp_path / "train.starts")
    (tmp_path / "tokenizer.json").write_text('{"special": {"<|im_end|>": 90, "</think>": 91}}')
    corpus = data.Corpus(str(tmp_path), "train", short=0.5, plans=0.25)
    lengths = [len(corpus.next()[0]) for _ in range(n)]
    assert set(lengths) == {5, 8, 11}
    assert abs(lengths.count(5) / n - 0.25) < 0.05 and abs(lengths.count(8) / n - 0.5) < 0.05
