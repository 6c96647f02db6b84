"""GGUF files of any size whose weights are all zeros: sparse, so they cost no disk.

    sparse.write(path, embd=1024, layers=4, heads=8, ...)      see DEFAULTS
"""
import struct

F32, Q8_0 = 0, 8
DEFAULTS = dict(embd=1024, layers=4, heads=8, kv_heads=2, head=256, rot=64, keys=16, values=16, state=128, taps=4,
                ff=3584, experts=0, used=0, ff_expert=0, ff_shared=0, vocab=320, is_tied=False, n_draft=0)


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(v):
    if isinstance(v, str): return struct.pack("<I", 8) + text(v)
    if isinstance(v, float): return struct.pack("<If", 6, v)
    if isinstance(v, int): return struct.pack("<II", 4, v)
    if isinstance(v[0], str): return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(text, v))
    return struct.pack("<IIQ", 9, 5, len(v)) + struct.pack(f"<{len(v)}i", *v)


def arch_of(m):
    return "qwen35moe" if m["experts"] else "qwen35"


def metadata(m):
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    extra = (chr(256 + n) for n in range(256))
    tokens = [chr(b) if b in plain else next(extra) for b in range(256)] + ["th", "<|endoftext|>", "<|im_end|>"]
    kinds = [1] * 257 + [3, 3] + [5] * (m["vocab"] - 259)
    tokens += [f"[PAD{i}]" for i in range(len(tokens), m["vocab"])]
    p = arch_of(m) + "."
    keys = {"general.architecture": arch_of(m), "general.name": "zeros", p + "block_count": m["layers"] + m["n_draft"],
            p + "context_length": 262144, p + "embedding_length": m["embd"],
            p + "attention.head_count": m["heads"], p + "attention.head_count_kv": m["kv_heads"],
            p + "attention.key_length": m["head"], p + "attention.value_length": m["head"],
            p + "attention.layer_norm_rms_epsilon": 1e-6, p + "rope.freq_base": 1e7,
            p + "rope.dimension_count": m["rot"], p + "rope.dimension_sections": [11, 11, 10, 0],
            p + "ssm.conv_kernel": m["taps"], p + "ssm.inner_size": m["values"] * m["state"],
            p + "ssm.state_size": m["state"], p + "ssm.time_step_rank": m["values"], p + "ssm.group_count": m["keys"]}
    if m["n_draft"]: keys[p + "nextn_predict_layers"] = m["n_draft"]
    if m["experts"]:
        keys |= {p + "expert_count": m["experts"], p + "expert_used_count": m["used"],
                 p + "expert_feed_forward_length": m["ff_expert"], p + "expert_shared_feed_forward_length": m["ff_shared"]}
    else:
        keys[p + "feed_forward_length"] = m["ff"]
    return keys | {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen35", "tokenizer.ggml.tokens": tokens,
                   "tokenizer.ggml.token_type": kinds, "tokenizer.ggml.merges": ["t h"],
                   "tokenizer.ggml.eos_token_id": 258}


def tensors(m):
    """(name, shape, type) of every tensor; matrices q8_0, vectors f32."""
    e, key, val = m["embd"], m["keys"] * m["state"], m["values"] * m["state"]
    q, kv = m["heads"] * m["head"], m["kv_heads"] * m["head"]
    yield "token_embd.weight", (e, m["vocab"])
    yield "output_norm.weight", (e,)
    if not m["is_tied"]: yield "output.weight", (e, m["vocab"])
    for i in range(m["layers"] + m["n_draft"]):
        layer = [("attn_norm.weight", (e,)), ("post_attention_norm.weight", (e,))]
        if i >= m["layers"] or (i + 1) % 4 == 0:
            layer += [("attn_q.weight", (e, 2 * q)), ("attn_k.weight", (e, kv)), ("attn_v.weight", (e, kv)),
                      ("attn_output.weight", (q, e)), ("attn_q_norm.weight", (m["head"],)),
                      ("attn_k_norm.weight", (m["head"],))]
        else:
            layer += [("attn_qkv.weight", (e, 2 * key + val)), ("attn_gate.weight", (e, val)),
                      ("ssm_conv1d.weight", (m["taps"], 2 * key + val)), ("ssm_dt.bias", (m["values"],)),
                      ("ssm_a", (m["values"],)), ("ssm_beta.weight", (e, m["values"])),
                      ("ssm_alpha.weight", (e, m["values"])), ("ssm_norm.weight", (m["state"],)),
                      ("ssm_out.weight", (val, e))]
        if m["experts"]:
            x, f, s = m["experts"], m["ff_expert"], m["ff_shared"]
            layer += [("ffn_gate_inp.weight", (e, x)), ("ffn_gate_exps.weight", (e, f, x)),
                      ("ffn_up_exps.weight", (e, f, x)), ("ffn_down_exps.weight", (f, e, x)),
                      ("ffn_gate_inp_shexp.weight", (e,)), ("ffn_gate_shexp.weight", (e, s)),
                      ("ffn_up_shexp.weight", (e, s)), ("ffn_down_shexp.weight", (s, e))]
        else:
            layer += [("ffn_gate.weight", (e, m["ff"])), ("ffn_up.weight", (e, m["ff"])),
                      ("ffn_down.weight", (m["ff"], e))]
        if i >= m["layers"]:
            layer += [("nextn.eh_proj.weight", (2 * e, e)), ("nextn.enorm.weight", (e,)),
                      ("nextn.hnorm.weight", (e,)), ("nextn.shared_head_norm.weight", (e,))]
        for name, shape in layer:
            yield f"blk.{i}.{name}", shape


def write(path, **sizes):
    m, offset, infos = {**DEFAULTS, **sizes}, 0, []
    for name, shape in tensors(m):
        kind = F32 if len(shape) == 1 or "conv1d" in name else Q8_0
        n = 1
        for d in shape: n *= d
        infos.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset))
        offset += -(-(n * 4 if kind == F32 else n // 32 * 34) // 32) * 32
    meta = metadata(m)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(infos), len(meta))
    head += b"".join(text(k) + value(v) for k, v in meta.items()) + b"".join(infos)
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32))
        f.truncate(f.tell() + offset)
