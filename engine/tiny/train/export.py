#!/usr/bin/env python3
"""Checkpoint -> GGUF file of architecture qwen35moe, trunk and draft layer; and back, to go on training.

    export.py CHECKPOINT.pt TOKENIZER.json OUT.gguf [--quant f32|q8_0]
    export.py --tokenizer IN.gguf TOKENIZER.json              # only the tokenizer of a file
"""
import argparse
import json
import torch
import gguf
from gguf import U32
from model import Config, shapes


def metadata(c, tokenizer, quant, context=32768):
    a = "qwen35moe."
    third = c.rot // 2 // 3
    sections = [c.rot // 2 - 2 * third, third, third, 0]
    tokens = tokenizer["tokens"]
    special = tokenizer["special"]
    return {
        "general.architecture": "qwen35moe", "general.name": "qagent-tiny", "general.type": "model",
        "general.file_type": U32(7 if quant == "q8_0" else 0), "general.quantization_version": U32(2),
        a + "block_count": U32(c.layers + 1), a + "nextn_predict_layers": U32(1), a + "context_length": U32(context),
        a + "embedding_length": U32(c.width), a + "attention.head_count": U32(c.heads), a + "attention.head_count_kv": U32(c.kv_heads),
        a + "attention.key_length": U32(c.head_dim), a + "attention.value_length": U32(c.head_dim), a + "attention.layer_norm_rms_epsilon": float(c.eps),
        a + "rope.dimension_count": U32(c.rot), a + "rope.dimension_sections": sections, a + "rope.freq_base": float(c.theta),
        a + "expert_count": U32(c.experts), a + "expert_used_count": U32(c.used), a + "expert_feed_forward_length": U32(c.ff),
        a + "expert_shared_feed_forward_length": U32(c.ff), a + "full_attention_interval": U32(c.interval),
        a + "ssm.conv_kernel": U32(c.conv), a + "ssm.state_size": U32(c.state), a + "ssm.group_count": U32(c.delta_heads),
        a + "ssm.time_step_rank": U32(c.delta_heads), a + "ssm.inner_size": U32(c.delta_heads * c.state),
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen35", "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": list(tokenizer["token_type"]), "tokenizer.ggml.merges": tokenizer["merges"],
        "tokenizer.ggml.eos_token_id": U32(special["<|im_end|>"]), "tokenizer.ggml.padding_token_id": U32(special["<|endoftext|>"]),
        "tokenizer.ggml.add_bos_token": False,
    }


def arrays(c, params):
    """Parameters in file form: the logarithm in ssm_a becomes the negative rate itself."""
    out = {}
    for name, shape in shapes(c).items():
        x = params[name].detach().float().cpu()
        assert tuple(x.shape) == tuple(shape), name
        assert torch.isfinite(x).all(), name
        out[name] = (-x.exp() if name.endswith("ssm_a") else x).numpy()
    return out


def export(path, config, params, tokenizer, quant):
    gguf.write(path, metadata(config, tokenizer, quant), arrays(config, params), quant)


def load(path, c, params):
    """Fills parameters of the shape `c` with those of a GGUF file; returns its tokenizer in the form of tokenizer.json."""
    meta, tensors = gguf.read(path)
    for name, shape in shapes(c).items():
        x = torch.from_numpy(tensors[name])
        if tuple(x.shape) != tuple(shape):
            raise ValueError(f"{path}: {name} has the shape {tuple(x.shape)}, not {tuple(shape)}")
        params[name].data.copy_(torch.log(-x) if name.endswith("ssm_a") else x)
    return tokenizer_of(meta)


def tokenizer_of(meta):
    """The tokenizer of a file in the form of tokenizer.json."""
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    return {"tokens": tokens, "merges": meta["tokenizer.ggml.merges"], "token_type": types,
            "special": {t: i for i, (t, k) in enumerate(zip(tokens, types)) if k != 1}}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--tokenizer", dest="of", metavar="IN.gguf"), a.add_argument("--quant", choices=("f32", "q8_0"), default="q8_0")
    a.add_argument("files", nargs="+")
    a = a.parse_args()
    if len(a.files) != (1 if a.of else 3):
        raise SystemExit("export.py: CHECKPOINT.pt TOKENIZER.json OUT.gguf, or --tokenizer IN.gguf TOKENIZER.json")
    if a.of:
        with open(a.files[0], "w", encoding="utf-8") as f:
            json.dump(tokenizer_of(gguf.read(a.of)[0]), f)
        return
    a.checkpoint, a.tokenizer, a.out = a.files
    saved = torch.load(a.checkpoint, map_location="cpu", weights_only=True)
    with open(a.tokenizer, encoding="utf-8") as f:
        export(a.out, Config(**saved["config"]), saved["params"], json.load(f), a.quant)


if __name__ == "__main__":
    main()
