"""Byte-level BPE: trained with the package `tokenizers`, written as plain JSON, and checked by a small encoder of our own."""
import json
import regex
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
VOCABULARY = 2048
# the added tokens of Qwen3.5 in their order; those of the second line are user-defined, the others control tokens
CONTROL_1 = "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>".split()
USER = "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|> <tool_response> </tool_response> <think> </think>".split()
CONTROL_2 = "<|audio_start|> <|audio_end|> <tts_pad> <tts_text_bos> <tts_text_eod> <tts_text_bos_single> <|audio_pad|>".split()
ADDED = CONTROL_1 + USER + CONTROL_2
SPECIAL = regex.compile("|".join(map(regex.escape, ADDED)))


def byte_map():
    """GPT-2's printable stand-in for every byte, in the order of its byte tokens."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    rest = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(rest)}


def train(texts):
    """The tokenizer as a dictionary, from texts with special tokens (which are cut out first)."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - len(ADDED), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tok.train_from_iterator((part for t in texts for part in SPECIAL.split(t) if part), trainer)
    merges = [m if isinstance(m, str) else " ".join(m) for m in json.loads(tok.to_str())["model"]["merges"]]
    tokens = list(byte_map().values()) + [m.replace(" ", "") for m in merges]
    assert len(set(tokens)) == len(tokens) == VOCABULARY - len(ADDED), len(tokens)
    types = [1] * len(tokens) + [4 if t in USER else 3 for t in ADDED]
    return {"tokens": tokens + ADDED, "merges": merges, "token_type": types, "special": {t: len(tokens) + i for i, t in enumerate(ADDED)}}


def fast(data):
    """The same tokenizer in the package, for speed."""
    vocabulary = {t: i for i, t in enumerate(data["tokens"][:VOCABULARY - len(ADDED)])}
    tok = Tokenizer(models.BPE(vocabulary, [tuple(m.split(" ")) for m in data["merges"]]))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens(ADDED)
    assert tok.get_vocab_size() == VOCABULARY and all(tok.token_to_id(t) == i for t, i in data["special"].items())
    return tok


class Plain:
    """The standard algorithm, slow and simple: merge the pair of lowest rank until none is left."""

    def __init__(self, data):
        self.ids = {t: i for i, t in enumerate(data["tokens"])}
        self.ranks = {tuple(m.split(" ")): i for i, m in enumerate(data["merges"])}
        self.special, self.tokens, self.map = data["special"], data["tokens"], byte_map()

    def piece(self, piece):
        parts = [self.map[b] for b in piece.encode()]
        while len(parts) > 1:
            rank, at = min((self.ranks.get(pair, 1 << 30), i) for i, pair in enumerate(zip(parts, parts[1:])))
            if rank == 1 << 30:
                break
            parts[at:at + 2] = [parts[at] + parts[at + 1]]
        return [self.ids[p] for p in parts]

    def encode(self, text):
        ids, at = [], 0
        for m in SPECIAL.finditer(text):
            ids += self.ordinary(text[at:m.start()]) + [self.special[m[0]]]
            at = m.end()
        return ids + self.ordinary(text[at:])

    def ordinary(self, text):
        return [i for p in regex.findall(SPLIT, text) for i in self.piece(p)]

    def decode(self, ids):
        back = {c: b for b, c in self.map.items()}
        out = b""
        for i in ids:
            t = self.tokens[i]
            out += t.encode() if t in self.special else bytes(back[c] for c in t)
        return out.decode()
