"""Models of other seeds and shapes than the stored ones, against the forward pass in numpy.

Needs the reference files (QAGENT_SHARED) and numpy; skips loudly without."""
import os
import subprocess
import sys

import pytest

QAGENT = os.environ.get("QAGENT", "bin/qagent")
SHARED = os.environ.get("QAGENT_SHARED", "")
numpy = pytest.importorskip("numpy")
pytestmark = pytest.mark.skipif(not os.path.exists(SHARED + "/reference/qwen35_reference.py"),
                                reason="no reference files (QAGENT_SHARED)")
N_TOKENS = 40

MODELS = {
    "mixture-f16": ("--preset", "nano", "--quant", "f16", "--seed", "7", "--layers", "8"),
    "mixture-q4_k_m": ("--preset", "nano", "--quant", "q4_k_m", "--seed", "11", "--layers", "5", "--vocab", "777"),
    "dense-q8_0": ("--preset", "nano-dense", "--quant", "q8_0", "--seed", "13", "--layers", "6"),
    "dense-bf16-no-draft": ("--preset", "nano-dense", "--quant", "bf16", "--seed", "17", "--mtp", "0"),
}


@pytest.mark.parametrize("name", MODELS)
def test_ref_kernels_agree_with_numpy(name, tmp_path):
    sys.path.insert(0, SHARED + "/reference")
    import qwen35_reference as reference
    path = str(tmp_path / "model.gguf")
    subprocess.run([sys.executable, SHARED + "/tools/synth_gguf.py", path, *MODELS[name]], check=True,
                   stdout=subprocess.DEVNULL)
    model = reference.Model(path)
    tokens = numpy.random.default_rng(1).integers(0, 256, N_TOKENS).astype(numpy.int32)
    tokens.tofile(tmp_path / "tokens")
    want = dict(zip(("out", "hidden"), model.forward(tokens)))
    if model.n_mtp: want |= dict(zip(("mtp", "mtp-hidden"), model.draft(tokens, want["hidden"])))
    for step in (1, 7, N_TOKENS):
        outputs = [word for o in want for word in ("--" + o, str(tmp_path / o))]
        subprocess.run([QAGENT, "logits", "-m", path, "--tokens", str(tmp_path / "tokens"), "--step", str(step),
                        "--kernels", "ref", "--kv", "f32", *outputs], check=True)
        for o, right in want.items():
            got = numpy.fromfile(tmp_path / o, numpy.float32).reshape(right.shape)
            error = numpy.linalg.norm(got - right) / numpy.linalg.norm(right)
            assert error <= 1e-4, (name, step, o, error)
