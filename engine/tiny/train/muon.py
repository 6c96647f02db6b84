"""Muon for matrices (momentum, then the nearest orthogonal matrix) and Adam for everything else."""
import torch

BY_ADAM = ("token_embd", "output.weight", "ffn_gate_inp", "conv1d", "ssm_alpha", "ssm_beta")


def parts(name, config):
    """A stored matrix may hold several maps side by side; each is orthogonalised on its own: rows of each part, or None."""
    if "attn_qkv" in name:
        return 3
    return 2 if name.endswith("attn_q.weight") else 1


def orthogonal(g, steps=5):
    """Newton-Schulz iteration on a batch of matrices [b, rows, columns], rows <= columns."""
    x = g.bfloat16() if g.is_cuda else g
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(a, a, a, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.float()


class Optimiser:
    """Learning rates are given with every step.  State is a plain dictionary, so a checkpoint restores it exactly."""

    def __init__(self, params, config, names=None):
        self.p, self.c = params, config
        names = list(params) if names is None else names
        self.muon = [n for n in names if params[n].dim() >= 2 and not any(s in n for s in BY_ADAM)]
        self.adam = [n for n in names if n not in self.muon]
        zero = lambda n: torch.zeros_like(params[n], requires_grad=False)
        self.state = {"t": 0, "m": {n: zero(n) for n in names}, "v": {n: zero(n) for n in self.adam}}

    def split(self, name, x):
        """[..., rows, columns] -> batch of matrices that are no taller than wide."""
        x = x.reshape(-1, x.shape[-2] // parts(name, self.c), x.shape[-1]) if x.dim() == 2 else x
        return x if x.shape[1] <= x.shape[2] else x.mT

    @torch.no_grad()
    def step(self, lr_muon, lr_adam, clip=1.0, momentum=0.95, betas=(0.9, 0.95)):
        """Returns the gradient norm before clipping."""
        grads = {n: self.p[n].grad for n in self.muon + self.adam}
        norm = torch.stack([g.norm() for g in grads.values()]).norm()
        if not torch.isfinite(norm):
            return float(norm)
        scale = clip / torch.clamp(norm, min=clip)
        self.state["t"] += 1
        t, m, v = self.state["t"], self.state["m"], self.state["v"]
        groups = {}
        for n in self.muon:
            g = grads[n] * scale
            m[n].lerp_(g, 1 - momentum)
            batch = self.split(n, g.lerp(m[n], momentum))
            groups.setdefault(batch.shape[1:], []).append((n, batch))
        for group in groups.values():
            done = orthogonal(torch.cat([b for _, b in group]))
            at = 0
            for n, b in group:
                u, p = done[at:at + len(b)], self.p[n]
                at += len(b)
                rows, columns = p.shape[-2] // (parts(n, self.c) if p.dim() == 2 else 1), p.shape[-1]
                u = u if rows == u.shape[1] and rows <= columns else u.mT
                p.sub_(u.reshape(p.shape), alpha=lr_muon * max(1, rows / columns) ** 0.5)
        for n in self.adam:
            g = grads[n] * scale
            m[n].lerp_(g, 1 - betas[0])
            v[n].lerp_(g * g, 1 - betas[1])
            mean, var = m[n] / (1 - betas[0] ** t), v[n] / (1 - betas[1] ** t)
            self.p[n].sub_(mean / (var.sqrt() + 1e-10), alpha=lr_adam)
        return float(norm)
