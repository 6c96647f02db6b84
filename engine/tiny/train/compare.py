#!/usr/bin/env python3
"""The same weights in the official implementation (package transformers), in the trainer and in qagent: do the logits agree?

    compare.py FILE.gguf [--qagent bin/qagent] [--tokens 200] [--most 1e-4]

Best on a file of `export.py --quant f32`.  Prints the relative difference of each pair (norm of the difference over
norm) and ends with 1 when one is larger than --most.  The draft layer is compared between trainer and qagent alone: the
official package has none.
"""
import argparse
import os
import subprocess
import sys
import tempfile
os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import torch
import gguf
from export import load
from model import Config, Model, Stream, init


def config_of(meta):
    k = lambda name: meta["qwen35moe." + name]
    return Config(vocab=len(meta["tokenizer.ggml.tokens"]), width=k("embedding_length"), layers=k("block_count") - 1, interval=k("full_attention_interval"), delta_heads=k("ssm.time_step_rank"),
                  state=k("ssm.state_size"), conv=k("ssm.conv_kernel"), heads=k("attention.head_count"), kv_heads=k("attention.head_count_kv"), head_dim=k("attention.key_length"),
                  rot=k("rope.dimension_count"), theta=k("rope.freq_base"), experts=k("expert_count"), used=k("expert_used_count"), ff=k("expert_feed_forward_length"), eps=k("attention.layer_norm_rms_epsilon"))


def official_name(c, name):
    """Where a tensor of the file lies in the official model; None for the draft layer's."""
    fixed = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}
    if name in fixed:
        return fixed[name]
    _, layer, rest = name.split(".", 2)
    if int(layer) >= c.layers:
        return None
    names = {"attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
             "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_qkv": "linear_attn.in_proj_qkv", "attn_gate": "linear_attn.in_proj_z", "ssm_alpha": "linear_attn.in_proj_a",
             "ssm_beta": "linear_attn.in_proj_b", "ssm_conv1d": "linear_attn.conv1d", "ssm_norm": "linear_attn.norm", "ssm_out": "linear_attn.out_proj", "ffn_gate_inp": "mlp.gate",
             "ffn_gate_inp_shexp": "mlp.shared_expert_gate", "ffn_gate_shexp": "mlp.shared_expert.gate_proj", "ffn_up_shexp": "mlp.shared_expert.up_proj", "ffn_down_shexp": "mlp.shared_expert.down_proj"}
    whole = {"ssm_a": "linear_attn.A_log", "ssm_dt.bias": "linear_attn.dt_bias", "ffn_down_exps.weight": "mlp.experts.down_proj", "ffn_gate_exps.weight": "mlp.experts.gate_up_proj"}
    part = whole.get(rest) or names.get(rest.removesuffix(".weight"), "") + ".weight"
    return f"model.layers.{layer}.{part}"


def official(c, tensors, meta):
    """The official model with these weights.  Its norms hold the weight minus one, except behind the delta rule."""
    from transformers import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig
    kinds = ["full_attention" if c.full(i) else "linear_attention" for i in range(c.layers)]
    rope = {"rope_type": "default", "rope_theta": c.theta, "partial_rotary_factor": c.rot / c.head_dim, "mrope_section": meta["qwen35moe.rope.dimension_sections"][:3], "mrope_interleaved": True}
    settings = Qwen3_5MoeTextConfig(vocab_size=c.vocab, hidden_size=c.width, num_hidden_layers=c.layers, layer_types=kinds, num_attention_heads=c.heads, num_key_value_heads=c.kv_heads, head_dim=c.head_dim,
                                    rms_norm_eps=c.eps, tie_word_embeddings=False, rope_parameters=rope, linear_conv_kernel_dim=c.conv, linear_key_head_dim=c.state, linear_value_head_dim=c.state,
                                    linear_num_key_heads=c.delta_heads, linear_num_value_heads=c.delta_heads, num_experts=c.experts, num_experts_per_tok=c.used, moe_intermediate_size=c.ff,
                                    shared_expert_intermediate_size=c.ff, attn_implementation="eager")
    state = {}
    for name, x in tensors.items():
        target = official_name(c, name)
        if target is None or "ffn_up_exps" in name:
            continue
        if "ffn_gate_exps" in name:
            x = np.concatenate([x, tensors[name.replace("gate", "up")]], 1)
        elif "norm" in name and "ssm_norm" not in name:
            x = x - 1
        elif name.endswith("ssm_a"):
            x = np.log(-x)
        elif "conv1d" in name:
            x = x[:, None]
        elif "gate_inp_shexp" in name:
            x = x[None]
        state[target] = torch.from_numpy(np.ascontiguousarray(x, np.float32))
    net = Qwen3_5MoeForCausalLM._from_config(settings, dtype=torch.float32).eval()
    net.load_state_dict(state, strict=True)
    return net


def ours(c, path, tokens):
    """Logits of trunk and draft layer in the trainer's chunked form."""
    p = init(c)
    load(path, c, p)
    prefix = (len(tokens) - 1) % 64 + 1               # the rest is a multiple of the chunk
    st, m = Stream(prefix, 1, len(tokens) - prefix), Model(c, p)
    flat = st.tokens(tokens[:prefix], tokens[None, prefix:])
    h, _ = m.trunk(flat, st)
    d, _ = m.draft(flat, h, st)
    return [torch.cat([x[st.pad:st.lead * 64], st.unfold(x)[0]]).numpy() for x in (m.head(h), m.head(d))]


def engine(program, path, tokens, vocab):
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)
        tokens.numpy().astype("<i4").tofile(at("tokens"))
        subprocess.run([program, "logits", "-m", path, "--kernels", "ref", "--kv", "f32", "--tokens", at("tokens"), "--out", at("trunk"), "--mtp", at("draft")], check=True)
        return [np.fromfile(at(name), "<f4").reshape(-1, vocab) for name in ("trunk", "draft")]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("file"), a.add_argument("--qagent", default="bin/qagent"), a.add_argument("--tokens", type=int, default=200), a.add_argument("--most", type=float, default=1e-4)
    a = a.parse_args()
    torch.set_grad_enabled(False)
    meta, tensors = gguf.read(a.file)
    c = config_of(meta)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, c.vocab, a.tokens))
    trunk, draft = ours(c, a.file, tokens)
    e_trunk, e_draft = engine(a.qagent, a.file, tokens, c.vocab)
    reference = official(c, tensors, meta)(tokens[None], use_cache=False).logits[0].numpy()
    far = lambda x, y: float(np.linalg.norm(x - y) / np.linalg.norm(y))
    found = {"trainer, official": far(trunk, reference), "qagent, official": far(e_trunk, reference), "qagent, trainer, draft layer": far(e_draft[1:], draft[1:])}
    for pair, difference in found.items():
        print(f"{pair}: {difference:.2e}")
    sys.exit(max(found.values()) > a.most)


if __name__ == "__main__":
    main()
