#!/usr/bin/env python3
"""Trains the tiny model: first the trunk, then, on the frozen trunk, the draft layer.

    train.py --out DIR --minutes 100 [--draft-minutes 12]     # DIR holds the corpus; checkpoints, log and GGUF file go there too

The same command continues from the latest checkpoint.  All schedules follow the clock, not a count of steps, so that
the training ends in time on a machine whose speed varies.  On the CPU two processes of one thread share every step's
rows: they meet once a step, whereas two threads meet after every operation and on a busy machine mostly wait.
"""
import argparse
import csv
import datetime
import json
import os
import signal
import subprocess
import sys
import time
import memory
memory.keep()                                         # before the first large allocation
import torch
import torch._dynamo
import torch.distributed as dist
import data
from export import export, load
from model import Config, Model, Stream, init
from muon import Optimiser

PHASES = ("trunk", "draft")


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", required=True)
    a.add_argument("--minutes", type=float, default=100), a.add_argument("--draft-minutes", type=float, default=12)
    a.add_argument("--deadline", help="HH:MM; ends the trunk then, in place of --minutes")
    a.add_argument("--draft-deadline", help="HH:MM; ends the draft layer")
    a.add_argument("--init", help="GGUF file to start from when there is no checkpoint; same shape, same vocabulary")
    a.add_argument("--phase", choices=PHASES + ("both",), default="both")
    a.add_argument("--processes", type=int, default=1 if torch.cuda.is_available() else 2)
    a.add_argument("--rows", type=int, default=4, help="of all processes together"), a.add_argument("--length", type=int, default=1024)
    a.add_argument("--lr-muon", type=float, default=0.02), a.add_argument("--lr-adam", type=float, default=3e-3)
    a.add_argument("--decay", type=float, default=0.5, help="share of the time in which the learning rate falls")
    a.add_argument("--warm", type=float, default=0.02, help="share of the time in which it rises")
    a.add_argument("--prefix-share", type=float, default=0.3, help="share of steps that begin with the system prompt, before the last --prefix-end of the time")
    a.add_argument("--prefix-end", type=float, default=0.15)
    a.add_argument("--short", type=float, default=0.8, help="share of transcripts cut after their first learned turn")
    a.add_argument("--plans", type=float, default=0.0, help="share of transcripts cut after their first plan")
    a.add_argument("--balance", type=float, default=0.01), a.add_argument("--seed", type=int, default=1)
    a.add_argument("--threads", type=int, default=1, help="of each process"), a.add_argument("--save-minutes", type=float, default=5)
    a.add_argument("--eval-steps", type=int, default=150), a.add_argument("--export-below", type=float, default=1.0)
    a.add_argument("--no-compile", action="store_true"), a.add_argument("--ff", type=int, default=128), a.add_argument("--experts", type=int, default=4)
    return a.parse_args()


def working_type():
    """bf16 where the machine multiplies it, else f32: emulated bf16 is several times slower."""
    fast = torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def seconds_until(clock):
    h, m = map(int, clock.split(":"))
    now = datetime.datetime.now()
    return (now.replace(hour=h, minute=m, second=0, microsecond=0) - now).total_seconds()


def rate(done, decay, warm):
    """Learning rate factor at a share `done` of the time."""
    return min(1, (done + 1e-3) / warm, max(0, 1 - done) / decay)


def save(path, state):
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)


class Group:
    """The processes that train together.  The first one starts the others; all keep equal parameters."""

    def __init__(self, a):
        self.rank, self.size = int(os.environ.get("TRAIN_RANK", 0)), a.processes
        if self.size == 1:
            return
        meeting = os.path.abspath(os.path.join(a.out, "meeting"))
        if self.rank == 0:
            if os.path.exists(meeting):
                os.remove(meeting)
            self.others = [subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "TRAIN_RANK": str(r)}) for r in range(1, self.size)]
        else:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)       # the first process decides when to stop
        dist.init_process_group("gloo", init_method="file://" + meeting, rank=self.rank, world_size=self.size)

    def mean(self, x):
        if self.size > 1:
            dist.all_reduce(x)
            x /= self.size
        return x

    def from_first(self, values):
        x = torch.tensor(values, dtype=torch.float64)
        if self.size > 1:
            dist.broadcast(x, 0)
        return x.tolist()

    def wait(self):
        if self.size > 1:
            dist.barrier()


class Trainer:
    def __init__(self, a):
        self.a = a
        self.group = Group(a)
        self.rows = a.rows // a.processes
        torch.manual_seed(a.seed)
        torch.set_num_threads(a.threads)
        torch._dynamo.config.recompile_limit = 128
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.c = Config(ff=a.ff, experts=a.experts)
        self.params = init(self.c, a.seed, self.device)
        if a.init:
            self.start_from(a.init)
        self.model = Model(self.c, self.params, working_type(), not a.no_compile)
        self.corpus, self.val = data.Corpus(a.out, "train", a.seed, a.short, a.plans), data.Corpus(a.out, "val", a.seed)
        self.prefix = data.prefix(a.out)
        self.streams = {}
        self.phase, self.step, self.seen, self.used, self.last_val = "trunk", 0, 0, 0.0, None
        self.path = os.path.join(a.out, "checkpoint.pt")
        self.optimiser = self.make_optimiser()
        if os.path.exists(self.path):
            self.restore(torch.load(self.path, map_location=self.device, weights_only=True))
        self.stop = False
        if self.group.rank == 0:
            signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stop", True))

    def start_from(self, path):
        with open(os.path.join(self.a.out, "tokenizer.json"), encoding="utf-8") as f:
            ours = json.load(f)
        if load(path, self.c, self.params)["tokens"] != ours["tokens"]:
            raise SystemExit(f"{path} has another vocabulary than the corpus in {self.a.out}")

    def names(self):
        own = f"blk.{self.c.layers}."
        return [n for n in self.params if n.startswith(own) == (self.phase == "draft")]

    def make_optimiser(self):
        for x in self.params.values():
            x.requires_grad_(False)
        for n in self.names():
            self.params[n].requires_grad_()
        return Optimiser(self.params, self.c, self.names())

    def restore(self, s):
        assert s["config"] == self.c.dict(), "the checkpoint has another shape"
        for n, x in s["params"].items():
            self.params[n].data.copy_(x)
        self.phase, self.step, self.seen, self.used, self.last_val = s["phase"], s["step"], s["seen"], s["used"], s["last_val"]
        self.corpus.position = s["position"]
        self.optimiser = self.make_optimiser()
        self.optimiser.state = s["optimiser"]
        print(f"continues: {self.phase}, step {self.step}", flush=True)

    def checkpoint(self):
        if self.group.rank:
            return
        save(self.path, {"config": self.c.dict(), "params": {n: x.detach() for n, x in self.params.items()}, "optimiser": self.optimiser.state,
                         "phase": self.phase, "step": self.step, "seen": self.seen, "used": self.used, "last_val": self.last_val,
                         "position": self.corpus.position})
        if self.phase == "draft" or (self.last_val or 9) < self.a.export_below:
            with open(os.path.join(self.a.out, "tokenizer.json"), encoding="utf-8") as f:
                export(os.path.join(self.a.out, "tiny-q8_0.gguf"), self.c, self.params, json.load(f), "q8_0")

    def losses(self, corpus, with_prefix):
        """Loss, balance loss, share of targets guessed right."""
        a, n = self.a, len(self.prefix) if with_prefix else 0
        if n not in self.streams:
            self.streams[n] = Stream(n, self.rows, a.length, self.device)
        st = self.streams[n]
        mine = slice(self.group.rank * self.rows, (self.group.rank + 1) * self.rows)
        x, y, m = (z[mine] for z in corpus.batch(a.rows, a.length))
        index = st.fold(m).nonzero()[:, 0].to(self.device)
        target = st.fold(y).to(self.device)[index]
        tokens = st.tokens(self.prefix, x).to(self.device)
        h, balance = self.model.trunk(tokens, st)
        if self.phase == "draft":
            h, balance = self.model.draft(tokens, h.detach(), st)
        logits = self.model.head(h[index + st.lead * 64]).float()
        right = (logits.detach().argmax(-1) == target).float().mean()
        return torch.nn.functional.cross_entropy(logits, target), balance, right

    def validate(self, batches=3):
        """Always the same batches.  Gradients stay on so that no second set of kernels has to be compiled."""
        self.val.position, out = 0, []
        for _ in range(batches):
            loss, _, right = self.losses(self.val, True)
            out.append((float(loss.detach()), float(right)))
        return self.group.mean(torch.tensor(out).mean(0)).tolist()

    def warm_up(self):
        """Compile in one process first; the others then find the kernels in the cache."""
        if self.a.no_compile:
            return
        for rank in range(self.group.size):
            if rank == self.group.rank:
                at = self.corpus.position
                for with_prefix in (True, False):
                    loss, balance, _ = self.losses(self.corpus, with_prefix)
                    (loss + balance).backward()
                self.corpus.position = at
            if rank == 0:
                self.group.wait()

    def mean_gradients(self, *numbers):
        """Averages the gradients over the processes, and the numbers with them."""
        grads = [self.params[n].grad for n in self.names()]
        flat = self.group.mean(torch.cat([g.flatten() for g in grads] + [torch.stack([x.detach().float() for x in numbers])]))
        at = 0
        for g in grads:
            g.copy_(flat[at:at + g.numel()].view_as(g))
            at += g.numel()
        return flat[at:].tolist()

    def budget(self):
        """Seconds this phase may use in all."""
        a = self.a
        clock, minutes = (a.deadline, a.minutes) if self.phase == "trunk" else (a.draft_deadline, a.draft_minutes)
        return self.used + seconds_until(clock) if clock else minutes * 60

    def train_step(self, done):
        """One step at a share `done` of the time; returns what is worth printing."""
        a = self.a
        lr = rate(done, a.decay, a.warm)
        # The draw depends on the step alone, so that a continued run sees the same.
        share = 1 if self.phase == "draft" or done > 1 - a.prefix_end else a.prefix_share
        with_prefix = torch.rand(1, generator=torch.Generator().manual_seed(a.seed * 1000003 + self.step)).item() < share
        loss, balance, right = self.losses(self.corpus, with_prefix)
        for x in self.params.values():
            x.grad = None
        (loss + a.balance * balance).backward()
        loss, balance, right = self.mean_gradients(loss, balance, right)
        norm = self.optimiser.step(lr * a.lr_muon, lr * a.lr_adam)
        self.step += 1
        self.seen += a.rows * a.length
        return loss, balance, right, norm, lr

    def run_phase(self, log):
        self.warm_up()
        a, budget, saved, mark = self.a, self.budget(), time.time(), (time.time(), self.seen)
        while True:
            began = time.time()
            done, stop = self.group.from_first([self.used / budget, self.stop])
            if done >= 1 or stop:
                break
            loss, balance, right, norm, lr = self.train_step(done)
            if self.step % a.eval_steps == 0:
                val, accuracy = self.validate()
                self.last_val = val if self.phase == "trunk" else self.last_val
                now = time.time()
                speed = (self.seen - mark[1]) / (now - mark[0])
                mark = now, self.seen
                log.writerow([self.phase, self.step, self.seen, f"{loss:.4f}", f"{val:.4f}", f"{accuracy:.4f}", f"{balance:.3f}", f"{norm:.3f}",
                              f"{lr:.3f}", f"{done:.3f}", f"{speed:.0f}", time.strftime("%H:%M:%S")])
                self.file.flush()
            elif self.step % 10 == 0 and self.group.rank == 0:
                print(f"{time.strftime('%H:%M:%S')} {self.phase} {self.step} loss {loss:.4f} norm {norm:.2f} balance {balance:.3f} "
                      f"right {right:.3f} step {time.time() - began:.2f} s", flush=True)
            self.used += time.time() - began
            if time.time() - saved > a.save_minutes * 60:
                self.checkpoint()
                saved = time.time()
        self.checkpoint()
        self.stop = bool(stop)

    def run(self):
        path = os.path.join(self.a.out, "log.csv") if self.group.rank == 0 else os.devnull
        fresh = not os.path.exists(path)
        with open(path, "a", newline="") as self.file:
            log = csv.writer(self.file)
            if fresh:
                log.writerow("phase step tokens loss val accuracy balance norm lr done tok_s clock".split())
            wanted = PHASES if self.a.phase == "both" else (self.a.phase,)
            for phase in PHASES:
                if phase not in wanted or PHASES.index(phase) < PHASES.index(self.phase) or self.stop:
                    continue
                if phase != self.phase:
                    if self.group.rank == 0:
                        save(os.path.join(self.a.out, "trunk.pt"), {"config": self.c.dict(), "params": {n: x.detach() for n, x in self.params.items()}})
                    self.phase, self.used = phase, 0.0
                    self.optimiser = self.make_optimiser()
                self.run_phase(log)


if __name__ == "__main__":
    Trainer(arguments()).run()
