"""The architecture qwen35moe in a compact form, for training a very small model.

Parameters are a plain dictionary whose keys and shapes are those of the GGUF file, so exporting is copying.
All tokens of a step are one flat stream of chunks of 64: first the chunks of a prefix that every sequence shares
(padded at its front), then chunk 0 of every sequence, chunk 1 of every sequence, and so on.  The shared prefix is
thus computed once a step instead of once a sequence.  Experts are few, so all of them are computed as one wide
product and the unchosen ones multiplied by zero: no gather, no scatter.
"""
from dataclasses import dataclass, asdict
import math
import torch
import torch.nn.functional as F
from delta import CHUNK, chunk_rule


@dataclass
class Config:
    vocab: int = 2048
    width: int = 256
    layers: int = 4
    interval: int = 4
    delta_heads: int = 4
    state: int = 64
    conv: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    rot: int = 32
    theta: float = 1e7
    experts: int = 4
    used: int = 2
    ff: int = 256                                     # of each routed expert and of the shared one
    eps: float = 1e-6

    def full(self, i):
        return i >= self.layers or (i + 1) % self.interval == 0

    def dict(self):
        return asdict(self)


ONES = ("norm",)                                      # name parts of parameters that start as ones


def shapes(c):
    """Name -> shape (rows, columns) of every stored tensor; layer `c.layers` is the draft layer."""
    inner, e = c.delta_heads * c.state, c.width
    out = {"token_embd.weight": (c.vocab, e), "output_norm.weight": (e,), "output.weight": (c.vocab, e)}
    for i in range(c.layers + 1):
        b = f"blk.{i}."
        out |= {b + "attn_norm.weight": (e,), b + "post_attention_norm.weight": (e,)}
        if c.full(i):
            q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
            out |= {b + "attn_q.weight": (2 * q, e), b + "attn_k.weight": (kv, e), b + "attn_v.weight": (kv, e), b + "attn_output.weight": (e, q),
                    b + "attn_q_norm.weight": (c.head_dim,), b + "attn_k_norm.weight": (c.head_dim,)}
        else:
            out |= {b + "attn_qkv.weight": (3 * inner, e), b + "attn_gate.weight": (inner, e), b + "ssm_conv1d.weight": (3 * inner, c.conv),
                    b + "ssm_dt.bias": (c.delta_heads,), b + "ssm_a": (c.delta_heads,), b + "ssm_alpha.weight": (c.delta_heads, e),
                    b + "ssm_beta.weight": (c.delta_heads, e), b + "ssm_norm.weight": (c.state,), b + "ssm_out.weight": (e, inner)}
        out |= {b + "ffn_gate_inp.weight": (c.experts, e), b + "ffn_gate_exps.weight": (c.experts, c.ff, e), b + "ffn_up_exps.weight": (c.experts, c.ff, e),
                b + "ffn_down_exps.weight": (c.experts, e, c.ff), b + "ffn_gate_inp_shexp.weight": (e,), b + "ffn_gate_shexp.weight": (c.ff, e),
                b + "ffn_up_shexp.weight": (c.ff, e), b + "ffn_down_shexp.weight": (e, c.ff)}
    b = f"blk.{c.layers}.nextn."
    return out | {b + "eh_proj.weight": (e, 2 * e), b + "enorm.weight": (e,), b + "hnorm.weight": (e,), b + "shared_head_norm.weight": (e,)}


def init(c, seed=1, device="cpu"):
    """Fresh parameters.  `ssm_a` holds log(-a) while training, so that a stays negative."""
    gen, p = torch.Generator().manual_seed(seed), {}
    small = 1 / math.sqrt(2 * c.layers)
    for name, shape in shapes(c).items():
        if any(part in name for part in ONES):
            t = torch.ones(shape)
        elif name.endswith("ssm_a"):
            t = torch.log(2.0 ** torch.arange(shape[0]))
        elif name.endswith("ssm_dt.bias"):
            dt = torch.exp(torch.linspace(math.log(0.003), math.log(0.1), shape[0]))
            t = dt + torch.log(-torch.expm1(-dt))
        else:
            scale = 0.1 if "token_embd" in name else 0.02 if name == "output.weight" else 0.5 if "conv1d" in name else 1 / math.sqrt(shape[-1])
            if any(s in name for s in ("attn_output", "ssm_out", "ffn_down")):
                scale *= small
            t = torch.randn(shape, generator=gen) * scale
        p[name] = t.to(device).requires_grad_()
    return p


class Stream:
    """Where the tokens of a step lie: `lead` prefix chunks with `pad` unused positions in front, then rows x length tokens."""

    def __init__(self, prefix, rows, length, device="cpu"):
        self.prefix, self.rows, self.length = prefix, rows, length
        self.lead = -(-prefix // CHUNK)
        self.pad = self.lead * CHUNK - prefix
        self.chunks = self.lead + rows * length // CHUNK
        main = torch.arange(length).view(-1, 1, CHUNK).expand(-1, rows, -1).reshape(-1) + prefix
        self.pos = torch.cat([torch.arange(self.lead * CHUNK) - self.pad, main]).clamp(min=0).to(device)
        self.real = (torch.arange(len(self.pos)) >= self.pad).to(device)
        at = torch.arange(len(self.pos))
        flat = self.unfold(at[:, None])[..., 0]                       # [rows, length]
        ahead = torch.full((rows, 1), self.lead * CHUNK - 1) if prefix else flat[:, :1]
        before = torch.cat([ahead, flat[:, :-1]], 1)
        self.previous = torch.cat([(at[:self.lead * CHUNK] - 1).clamp(min=0), self.fold(before)]).to(device)

    def fold(self, x):
        """[rows, length, ...] -> flat order."""
        return x.reshape(self.rows, -1, CHUNK, *x.shape[2:]).transpose(0, 1).reshape(-1, *x.shape[2:])

    def unfold(self, x):
        """Flat [tokens, ...] -> [rows, length, ...] of the part after the prefix."""
        return x[self.lead * CHUNK:].reshape(-1, self.rows, CHUNK, *x.shape[1:]).transpose(0, 1).reshape(self.rows, self.length, *x.shape[1:])

    def tokens(self, prefix, rows):
        """The flat token ids of this step."""
        head = F.pad(prefix[:self.prefix], (self.pad, 0))
        return torch.cat([head, self.fold(rows)])

    def left(self, x):
        """The last conv - 1 inputs before each chunk.  x: [chunks, 64, channels]."""
        tail, zero = x[:, -3:], torch.zeros_like(x[:1, -3:])
        if not self.lead:
            return torch.cat([zero.expand(self.rows, -1, -1), tail[:self.chunks - self.rows]])
        return torch.cat([zero, tail[:self.lead - 1], tail[self.lead - 1:self.lead].expand(self.rows, -1, -1), tail[self.lead:self.chunks - self.rows]])


# Element-wise pieces.  Each is a function of its own so that the compiler can fuse it.

def rms(x, w, eps: float):
    x = x.float()
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * w


def norm_cast(x, w, eps: float, dtype: torch.dtype):
    return rms(x, w, eps).to(dtype)


def add_norm_cast(x, y, w, eps: float, dtype: torch.dtype):
    x = x + y.float()
    return x, rms(x, w, eps).to(dtype)


def convolve(seq, taps):
    """Causal convolution and SiLU.  seq: [n, 3 + 64, channels]; taps: [4, channels], the last one for the newest input."""
    return F.silu(sum(seq[:, j:j + CHUNK].float() * taps[j] for j in range(taps.shape[0]))).to(seq.dtype)


def delta_inputs(c, ba, dt, a_log, real, heads: int, d: int, eps: float):
    """L2 norms, decay and beta.  c: [n, 64, 3 heads d]; ba: [n, 64, 2 heads] -> q, k, v [n, heads, 64, d] and g, beta [n, heads, 64]."""
    q, k, v = c.float().view(-1, CHUNK, 3, heads, d).permute(2, 0, 3, 1, 4)
    q = q * torch.rsqrt((q * q).sum(-1, keepdim=True) + eps) * d ** -0.5
    k = k * torch.rsqrt((k * k).sum(-1, keepdim=True) + eps)
    ba = ba.float()
    beta = torch.sigmoid(ba[..., :heads]) * real
    g = -torch.exp(a_log) * F.softplus(ba[..., heads:] + dt) * real
    t = c.dtype
    return q.to(t).contiguous(), k.to(t).contiguous(), v.to(t).contiguous(), g.transpose(1, 2).contiguous(), beta.transpose(1, 2).contiguous()


def delta_output(o, z, w, eps: float):
    """o: [n, heads, 64, d], z: [n, 64, heads d]."""
    n, heads, _, d = o.shape
    o = rms(o.transpose(1, 2), w, eps) * F.silu(z.float().view(n, CHUNK, heads, d))
    return o.reshape(n * CHUNK, heads * d).to(z.dtype)


def rotate(x, cos, sin):
    half = cos.shape[-1]
    lo, hi = x[..., :half], x[..., half:2 * half]
    return torch.cat([lo * cos - hi * sin, lo * sin + hi * cos, x[..., 2 * half:]], -1)


def attn_inputs(y, q_norm, k_norm, cos, sin, heads: int, kv: int, d: int, eps: float):
    """y: [tokens, 2 heads d + 2 kv d] -> q, k, v [tokens, ., d] and the output gate."""
    t = y.shape[0]
    qg = y[:, :2 * heads * d].view(t, heads, 2, d)
    k, v = y[:, 2 * heads * d:].view(t, 2, kv, d).unbind(1)
    q = rotate(rms(qg[:, :, 0], q_norm, eps), cos, sin) * d ** -0.5
    k = rotate(rms(k, k_norm, eps), cos, sin)
    return q.to(y.dtype), k.to(y.dtype), v, qg[:, :, 1]


def gated(o, gate):
    return (o.float() * torch.sigmoid(gate.float())).to(gate.dtype).flatten(1)


def ffn_inner(y, experts: int, used: int, ff: int):
    """y: [tokens, gates | ups | router | shared gate] -> hidden values scaled by the routing weights; balance statistics."""
    inner = (experts + 1) * ff
    p = torch.softmax(y[:, 2 * inner:2 * inner + experts].float(), -1)
    i = torch.arange(experts, device=y.device)
    larger = (p[:, None, :] > p[:, :, None]) | ((p[:, None, :] == p[:, :, None]) & (i[None, :] < i[:, None]))
    chosen = (larger.sum(-1) < used).float()
    w = p * chosen
    w = w / w.sum(-1, keepdim=True)
    shared = torch.sigmoid(y[:, 2 * inner + experts:2 * inner + experts + 1].float())
    w = torch.cat([w, shared], -1)
    h = F.silu(y[:, :inner].float()) * y[:, inner:2 * inner].float()
    h = (h.view(-1, experts + 1, ff) * w[:, :, None]).to(y.dtype)
    balance = (chosen.mean(0) * p.mean(0)).sum() * (experts / used)
    return h.view(-1, inner), balance


def softmax_rows(s, offset: int, skip: int, per: int):
    """Causal softmax of scores [.., per * queries, keys]: query i sees keys up to offset + i, none before `skip`."""
    queries, keys = s.shape[-2] // per, s.shape[-1]
    at = torch.arange(keys, device=s.device)
    seen = (at[None, :] <= torch.arange(queries, device=s.device)[:, None] + offset) & (at[None, :] >= skip)
    x = s.view(*s.shape[:-2], per, queries, keys).float().masked_fill(~seen, -1e30)
    return torch.softmax(x, -1).flatten(-3, -2).to(s.dtype)


class Model:
    """The forward pass over a dictionary of parameters.  `dtype` is that of the matrix products."""

    def __init__(self, config, params, dtype=torch.float32, compile=False):
        self.c, self.p, self.dtype = config, params, dtype
        self.compile, self.cache = compile, {}

    def fuse(self, f):
        if not self.compile:
            return f
        if f not in self.cache:
            self.cache[f] = torch.compile(f, dynamic=False)
        return self.cache[f]

    def joined(self, *names, pad=0):
        """Several matrices one below the other, in the working type; `pad` rows of zeros fill up to a round number."""
        parts = [self.p[n].to(self.dtype).reshape(-1, self.p[n].shape[-1]) for n in names]
        rows = sum(len(x) for x in parts)
        if pad and rows % pad:
            parts.append(parts[0].new_zeros(pad - rows % pad, parts[0].shape[1]))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def delta(self, i, h, st):
        c, b, p = self.c, f"blk.{i}.", self.p
        inner = c.delta_heads * c.state
        y = F.linear(h, self.joined(b + "attn_qkv.weight", b + "attn_gate.weight", b + "ssm_beta.weight", b + "ssm_alpha.weight", pad=32))
        y = y.view(st.chunks, CHUNK, -1)
        mixed, z, ba, _ = y.split([3 * inner, inner, 2 * c.delta_heads, y.shape[-1] - 4 * inner - 2 * c.delta_heads], -1)
        if st.pad:
            mixed = mixed * st.real.view(st.chunks, CHUNK, 1).to(mixed.dtype)
        # Taps are turned to lie along the channels: with a stride the loop would not vectorise.
        mixed = self.fuse(convolve)(torch.cat([st.left(mixed), mixed], 1), p[b + "ssm_conv1d.weight"].t().contiguous())
        q, k, v, g, beta = self.fuse(delta_inputs)(mixed, ba, p[b + "ssm_dt.bias"], p[b + "ssm_a"], st.real.view(st.chunks, CHUNK, 1),
                                                   c.delta_heads, c.state, 1e-6)
        o = chunk_rule(q, k, v, g, beta, st.lead, st.rows, self.fuse)
        o = self.fuse(delta_output)(o, z, p[b + "ssm_norm.weight"], c.eps)
        return F.linear(o, p[b + "ssm_out.weight"].to(self.dtype))

    def angles(self, st):
        freq = self.c.theta ** (-torch.arange(0, self.c.rot, 2, device=st.pos.device, dtype=torch.float64) / self.c.rot)
        a = st.pos.double()[:, None] * freq
        return a.cos().float()[:, None], a.sin().float()[:, None]

    def attend(self, q, k, v, offset, skip, block=256):
        """q: [rows, length, heads, d]; k, v: [rows, keys, kv, d]; the first query sees keys up to `offset`."""
        rows, length, heads, d = q.shape
        kv = k.shape[2]
        q = q.view(rows, length, kv, heads // kv, d).permute(0, 2, 3, 1, 4)
        k, v, out = k.permute(0, 2, 3, 1).contiguous(), v.transpose(1, 2).contiguous(), []
        for s in range(0, length, block):
            e = min(s + block, length)
            qb = q[:, :, :, s:e].reshape(rows, kv, -1, d)
            w = self.fuse(softmax_rows)(qb @ k[..., :offset + e], offset + s, skip, heads // kv)
            out.append((w @ v[:, :, :offset + e]).view(rows, kv, heads // kv, e - s, d))
        return torch.cat(out, 3).permute(0, 3, 1, 2, 4).reshape(rows, length, heads, d)

    def attention(self, i, h, st, skip=0):
        """Full attention with an output gate.  `skip` keys at the front of the real stream are not to be seen."""
        c, b, p = self.c, f"blk.{i}.", self.p
        y = F.linear(h, self.joined(b + "attn_q.weight", b + "attn_k.weight", b + "attn_v.weight"))
        q, k, v, gate = self.fuse(attn_inputs)(y, p[b + "attn_q_norm.weight"], p[b + "attn_k_norm.weight"], *self.angles(st), c.heads, c.kv_heads, c.head_dim, c.eps)
        out, n, skip = [], st.lead * CHUNK, st.pad + skip
        if n:
            out.append(self.attend(q[None, :n], k[None, :n], v[None, :n], 0, skip)[0])
        if st.length:
            whole = lambda x: torch.cat([x[None, :n].expand(st.rows, -1, -1, -1), st.unfold(x)], 1)
            out.append(st.fold(self.attend(st.unfold(q), whole(k), whole(v), n, skip)))
        o = self.fuse(gated)(torch.cat(out), gate)
        return F.linear(o, p[b + "attn_output.weight"].to(self.dtype))

    def ffn(self, i, h):
        c, b, p = self.c, f"blk.{i}.ffn_", self.p
        names = [b + "gate_exps.weight", b + "gate_shexp.weight", b + "up_exps.weight", b + "up_shexp.weight", b + "gate_inp.weight", b + "gate_inp_shexp.weight"]
        y = F.linear(h, self.joined(*names, pad=32))
        inner, balance = self.fuse(ffn_inner)(y, c.experts, c.used, c.ff)
        down = torch.cat([p[b + "down_exps.weight"].to(self.dtype).transpose(0, 1).reshape(c.width, -1), p[b + "down_shexp.weight"].to(self.dtype)], 1)
        return F.linear(inner, down), balance

    def block(self, i, x, y, st, skip=0):
        """x: residual stream; y: what the block before has still to add to it (added together with the norm)."""
        c, p, b = self.c, self.p, f"blk.{i}."
        x, h = self.add_norm(x, y, p[b + "attn_norm.weight"])
        y = self.attention(i, h, st, skip) if c.full(i) else self.delta(i, h, st)
        x, h = self.add_norm(x, y, p[b + "post_attention_norm.weight"])
        y, balance = self.ffn(i, h)
        return x, y, balance

    def add_norm(self, x, y, w, dtype=None):
        dtype = dtype or self.dtype
        if y is None:
            return x, self.fuse(norm_cast)(x, w, self.c.eps, dtype)
        return self.fuse(add_norm_cast)(x, y, w, self.c.eps, dtype)

    def trunk(self, tokens, st):
        """Flat tokens -> hidden after the final norm [tokens, width], load balance loss."""
        x, y, balance = F.embedding(tokens, self.p["token_embd.weight"]), None, 0
        for i in range(self.c.layers):
            x, y, one = self.block(i, x, y, st)
            balance = balance + one
        return self.add_norm(x, y, self.p["output_norm.weight"])[1], balance / self.c.layers

    def draft(self, tokens, hidden, st):
        """The draft layer: token p with the trunk's hidden of p - 1, for every token but the very first."""
        c, p, b = self.c, self.p, f"blk.{self.c.layers}."
        e = rms(F.embedding(tokens, p["token_embd.weight"]), p[b + "nextn.enorm.weight"], c.eps)
        h = rms(hidden[st.previous], p[b + "nextn.hnorm.weight"], c.eps)
        x = F.linear(torch.cat([e, h], -1).to(self.dtype), p[b + "nextn.eh_proj.weight"].to(self.dtype)).float()
        x, y, balance = self.block(c.layers, x, None, st, skip=1)
        return self.add_norm(x, y, p[b + "nextn.shared_head_norm.weight"])[1], balance

    def head(self, h):
        return F.linear(h, self.p["output.weight"].to(self.dtype))

    def loss(self, h, index, target):
        """Mean cross entropy where there is something to learn."""
        return F.cross_entropy(self.head(h[index]).float(), target)
