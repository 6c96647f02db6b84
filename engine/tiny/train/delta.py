"""The gated delta rule in chunks of 64 tokens.

Inside a chunk the rule is a triangular system, between chunks a linear recurrence of the 64 x 64 state:
S' = M S + N.  Everything but that recurrence is one batched matrix product over all chunks and heads.
"""
import torch

CHUNK = 64


class UnitLowerInverse(torch.autograd.Function):
    """(I + A)^-1 for strictly lower A.  Solved in f32: repeated squaring in bf16 overflows on runs of equal tokens."""

    @staticmethod
    def forward(ctx, a):
        eye = torch.eye(a.shape[-1], device=a.device).expand_as(a)
        x = torch.linalg.solve_triangular(a, eye, upper=False, unitriangular=True)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx, dx):
        (x,) = ctx.saved_tensors
        return -(x.mT @ (dx @ x.mT)).tril(-1)


class Scan(torch.autograd.Function):
    """States before each chunk and after the last one: s[c + 1] = m[c] s[c] + n[c].  m, n: [chunks, batch, key, .]."""

    @staticmethod
    def forward(ctx, m, n, s0):
        s = n.new_empty(len(n) + 1, *n.shape[1:])
        s[0] = s0
        for c in range(len(n)):
            torch.baddbmm(n[c], m[c], s[c], out=s[c + 1])
        ctx.save_for_backward(m, s)
        return s

    @staticmethod
    def backward(ctx, ds):
        m, s = ctx.saved_tensors
        dn = torch.empty_like(s[1:])
        carry = ds[-1]
        for c in range(len(dn) - 1, -1, -1):
            dn[c] = carry
            carry = torch.baddbmm(ds[c], m[c].mT, carry)
        return dn @ s[:-1].mT, dn, carry


def decays(g):
    """g: log decay a token [n, heads, 64] -> decay from chunk start, from token to chunk end, between tokens, over the chunk."""
    total = g.cumsum(-1)
    between = (total[..., :, None] - total[..., None, :]).tril().exp().tril()
    return total.exp(), (total[..., -1:] - total).exp(), between, total[..., -1].exp()


def before(q, k, v, g, beta):
    """Element-wise work ahead of the inner products."""
    start, end, between, whole = decays(g)
    t = q.dtype
    right = torch.cat([v * beta[..., None], k * (beta * start)[..., None]], -1).to(t)
    return (q * start[..., None]).to(t), (k * end[..., None]).to(t), right, between, whole


def masks(kk, qk, between, beta):
    return (kk * between * beta[..., None]).tril(-1), (qk * between).to(qk.dtype)


def transition(n_m, whole):
    """K^T [U | W] -> N, M."""
    d, n_m = n_m.shape[-2], n_m.float()
    eye = torch.eye(d, device=n_m.device)
    return n_m[..., :d].contiguous(), eye * whole[..., None, None] - n_m[..., d:]


def chunk_rule(q, k, v, g, beta, lead, rows, fuse=lambda f: f):
    """q (scaled), k, v: [n, heads, 64, d]; g, beta: [n, heads, 64].  Chunks: `lead` of the shared prefix, then `rows` sequences side by side."""
    n, heads, _, d = q.shape
    q_start, k_end, right, between, whole = fuse(before)(q, k, v, g, beta)
    a, inner = fuse(masks)(k @ k.mT, q @ k.mT, between, beta)
    uw = UnitLowerInverse.apply(a).to(q.dtype) @ right
    n_, m = fuse(transition)(k_end.mT @ uw, whole)
    s0, states = n_.new_zeros(heads, d, d), []
    (m, m_rows), (n_, n_rows) = m.split([lead, n - lead]), n_.split([lead, n - lead])
    if lead:
        before_each, s0 = Scan.apply(m, n_, s0).split([lead, 1])
        states.append(before_each)
        s0 = s0[0]
    if n > lead:
        s = Scan.apply(m_rows.view(-1, rows * heads, d, d), n_rows.view(-1, rows * heads, d, d), s0.repeat(rows, 1, 1))
        states.append(s[:-1].reshape(-1, heads, d, d))
    s = torch.cat(states).to(q.dtype)
    u, w = uw.split(d, -1)
    fresh = u - w @ s
    return q_start @ s + inner @ fresh


def step_rule(q, k, v, g, beta):
    """Token by token, the definition.  q, k, v: [heads, t, d]; g, beta: [heads, t]."""
    s, out = q.new_zeros(q.shape[0], q.shape[2], v.shape[2]), []
    for t in range(q.shape[1]):
        s = s * g[:, t].exp()[:, None, None]
        fresh = (v[:, t] - torch.einsum("hkv,hk->hv", s, k[:, t])) * beta[:, t, None]
        s = s + torch.einsum("hk,hv->hkv", k[:, t], fresh)
        out.append(torch.einsum("hkv,hk->hv", s, q[:, t]))
    return torch.stack(out, 1)
