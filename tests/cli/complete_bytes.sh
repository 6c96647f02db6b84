# A text that is no UTF-8 still makes valid JSON, and streams as the bytes it is.
command -v python3 >/dev/null || { echo "no python3" >&2; exit 77; }
printf 'x = \377\376' | "$QAGENT" complete -n 150 --temp 6 --top-p 1 --top-k 0 --seed 3 --kernels ref --json --logprobs 0 >out.json 2>/dev/null
printf 'x = \377\376' | "$QAGENT" complete -n 150 --temp 6 --top-p 1 --top-k 0 --seed 3 --kernels ref >out.txt 2>/dev/null
python3 - <<'PY'
import json
o = json.load(open("out.json"))
raw = b"".join(t["text"].encode() if "text" in t else bytes(t["bytes"]) for t in o["tokens"])
assert any("bytes" in t for t in o["tokens"]), "no token with a part of a character: choose another seed"
assert "\ufffd" in o["text"]
assert raw == open("out.txt", "rb").read()[: len(raw)]
print("ok")
PY
