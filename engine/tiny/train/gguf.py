"""GGUF version 3, written and read: metadata, then tensors as F32 or Q8_0, little endian, aligned to 32 bytes."""
import os
import struct
import numpy as np

ALIGN, F32, Q8_0 = 32, 0, 8


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


class U32(int):
    """An integer stored as uint32; a plain int is stored as int32."""


def kind(v):
    return 4 if isinstance(v, U32) else 7 if isinstance(v, bool) else 5 if isinstance(v, int) else 6 if isinstance(v, float) else 8


def value(v):
    if isinstance(v, list):
        return struct.pack("<IIQ", 9, kind(v[0]), len(v)) + b"".join(value(x)[4:] for x in v)
    k = kind(v)
    return struct.pack("<I", k) + (text(v) if k == 8 else struct.pack({4: "<I", 5: "<i", 6: "<f", 7: "<?"}[k], v))


def q8_0(x):
    """Rows of blocks of 32: a half-precision scale, then 32 signed bytes."""
    b = np.ascontiguousarray(x, np.float32).reshape(-1, 32)
    scale = np.abs(b).max(1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    out = np.empty((len(b), 34), np.uint8)
    out[:, :2] = scale.astype(np.float16).view(np.uint8)
    out[:, 2:] = np.rint(b * inverse).astype(np.int8).view(np.uint8)
    return out.tobytes()


def quantised(name, x):
    """Matrices become Q8_0; norms, router, convolution and anything without rows of 32 stay F32."""
    keep = x.ndim < 2 or "_norm" in name or "ffn_gate_inp" in name or "conv1d" in name or not name.endswith(".weight") or x.shape[-1] % 32
    return not keep


def write(path, meta, tensors, quant="f32"):
    """meta: key -> value; tensors: name -> numpy array (rows, columns).  The file appears at once or not at all."""
    infos, blobs, offset = b"", [], 0
    for name, x in tensors.items():
        small = quant == "q8_0" and quantised(name, x)
        blob = q8_0(x) if small else np.ascontiguousarray(x, np.float32).tobytes()
        dims = x.shape[::-1]
        infos += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, Q8_0 if small else F32, offset)
        blob += bytes(-len(blob) % ALIGN)
        offset += len(blob)
        blobs.append(blob)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta)) + b"".join(text(k) + value(v) for k, v in meta.items()) + infos
    with open(path + ".part", "wb") as f:
        f.write(head + bytes(-len(head) % ALIGN))
        f.writelines(blobs)
    os.replace(path + ".part", path)


class Reader:
    """A cursor over the bytes of a file."""

    PLAIN = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

    def __init__(self, data):
        self.data, self.at = data, 0

    def unpack(self, form):
        v = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return v

    def text(self):
        (n,) = self.unpack("<Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, k):
        if k == 8:
            return self.text()
        if k == 9:
            k, n = self.unpack("<IQ")
            return [self.value(k) for _ in range(n)]
        return self.unpack(self.PLAIN[k])[0]


def read(path):
    """Metadata, and tensors by name as f32 arrays (rows, columns): only the two types that `write` knows."""
    with open(path, "rb") as f:
        r = Reader(f.read())
    magic, version, n_tensors, n_meta = r.unpack("<4sIQQ")
    if magic != b"GGUF" or version != 3:
        raise ValueError(f"{path} is no GGUF file of version 3")
    meta = {}
    for _ in range(n_meta):
        key = r.text()
        meta[key] = r.value(*r.unpack("<I"))
    infos = []
    for _ in range(n_tensors):
        name = r.text()
        dims = r.unpack(f"<{r.unpack('<I')[0]}Q")
        infos.append((name, dims[::-1], *r.unpack("<IQ")))
    base, tensors = r.at + -r.at % ALIGN, {}
    for name, shape, form, offset in infos:
        count = int(np.prod(shape))
        if form == Q8_0:
            blocks = np.frombuffer(r.data, np.dtype([("scale", "<f2"), ("q", "i1", 32)]), count // 32, base + offset)
            x = blocks["scale"].astype(np.float32)[:, None] * blocks["q"]
        elif form == F32:
            x = np.frombuffer(r.data, "<f4", count, base + offset)
        else:
            raise ValueError(f"{path}: {name} has type {form}, neither F32 nor Q8_0")
        tensors[name] = x.reshape(shape).astype(np.float32)
    return meta, tensors
