# What bench --json says is consistent: shares of limits, verbs, modes.
command -v python3 >/dev/null || { echo "no python3" >&2; exit 77; }
"$QAGENT" bench --prompt 8,16 --depth 0,32 --gen 12 --json >out.json || exit 1
python3 - <<'PY'
import json
o = json.load(open("out.json"))
m, runs = o["machine"], o["runs"]
assert [(r["mode"], r.get("tokens", r.get("depth"))) for r in runs] == [
    (mode, n) for mode, sizes in (("prefill", (8, 16)), ("plain", (0, 32)), ("draft layer", (0, 32)),
                                  ("copy", (0, 32)), ("both", (0, 32))) for n in sizes]
for r in runs:
    t = r["tokens_per_s"]
    assert 0 < t["low"] <= t["median"] <= t["high"]
    assert abs(r["share_of_read"] - r["gb_per_s"] / m["read_gb_per_s"]) < 1e-3
    assert abs(r["share_of_int16"] - r["gflop_per_s"] / m["int16_gop_per_s"]) < 1e-3
    assert 0 < r["share_of_read"] <= 1 and 0 < r["share_of_int16"] <= 1
    assert r["verbs"]["matmul"]["bytes"] > 0 and r["verbs"]["attn"]["calls"] > 0
    assert (r["mode"] in ("prefill", "plain")) <= (r["drafts"] == {})
plain = [r for r in runs if r["mode"] == "plain"]
assert plain[0]["bytes_per_token"] < plain[1]["bytes_per_token"]  # a longer cache to read
print("ok")
PY
