"""Packs transcripts into rows of equal length."""
import json
import os
import numpy as np
import torch


class Corpus:
    """`name`.tokens, .mask and .starts in a folder, handed out one after another; the order changes with every epoch.

    A share `plans` of the transcripts ends after the first plan, if it is to be learned, and a share `short` after the
    first assistant turn that has a loss: understanding the task takes longest to learn, the code less, while what
    follows is mostly the same code again.
    """

    def __init__(self, folder, name, seed=1, short=0.0, plans=0.0):
        load = lambda ext, t: np.fromfile(os.path.join(folder, f"{name}.{ext}"), t)
        self.tokens, self.mask, starts = load("tokens", np.uint16), load("mask", np.uint8), load("starts", np.int64)
        if starts[-1] != len(self.tokens):
            starts = np.append(starts, len(self.tokens))
        self.starts, self.seed, self.position = starts, seed, 0
        self.epoch, self.order, self.short, self.plans = -1, None, short, plans
        if short or plans:
            with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
                special = json.load(f)["special"]
            self.end, self.planned = special["<|im_end|>"], special["</think>"]

    def __len__(self):
        return len(self.starts) - 1

    def next(self):
        """The next transcript and its mask."""
        epoch, at = divmod(self.position, len(self))
        if epoch != self.epoch:
            self.epoch, self.order = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self))
        i = self.order[at]
        s = slice(self.starts[i], self.starts[i + 1])
        tokens, mask = self.tokens[s], self.mask[s]
        draw = self.position * 2654435761 % 2 ** 32 / 2 ** 32                # a fixed scattered choice
        n = len(tokens)
        if draw < self.plans:
            at = np.flatnonzero(tokens == self.planned)[0]
            n = at + 3 if mask[at] else n                                    # with the first token of what follows
        elif draw < self.plans + self.short:
            n = np.flatnonzero((tokens == self.end) & (mask > 0))[0] + 2     # with the line feed behind it
        self.position += 1
        return tokens[:n], mask[:n]

    def row(self, length):
        """Transcripts one after another, cut at `length` + 1 (one more, for the last target)."""
        tokens, mask, have = [], [], 0
        while have <= length:
            t, m = self.next()
            tokens.append(t), mask.append(m)
            have += len(t)
        return np.concatenate(tokens)[:length + 1].astype(np.int64), np.concatenate(mask)[:length + 1]

    def batch(self, rows, length):
        """Inputs [rows, length], targets [rows, length] and which of them count."""
        t, m = map(np.stack, zip(*(self.row(length) for _ in range(rows))))
        return torch.from_numpy(t[:, :-1].copy()), torch.from_numpy(t[:, 1:].copy()), torch.from_numpy(m[:, 1:] > 0)


def prefix(folder):
    return torch.from_numpy(np.fromfile(os.path.join(folder, "prefix.tokens"), np.uint16).astype(np.int64))
