# What --json says is consistent: log-probabilities, their order, drafts by place.
command -v python3 >/dev/null || { echo "no python3" >&2; exit 77; }
"$QAGENT" complete -p 'def add(a, b):' -n 40 --greedy --kernels ref --ban 0 --logprobs 3 --json >out.json 2>/dev/null || exit 1
python3 - <<'PY'
import json, math
o = json.load(open("out.json"))
assert o["n_tokens"] == o["stats"]["n_decoded"] and o["n_tokens"] > 10 and o["finish_reason"] in ("length", "stop")
assert len(o["tokens"]) == o["n_tokens"] - (o["finish_reason"] == "stop")
for t in o["tokens"]:
    top = t["top"]
    assert len(top) == 3 and t["id"] != 0 and all(x["id"] != 0 for x in top)
    assert top[0]["id"] == t["id"] and top[0]["logprob"] == t["logprob"]  # greedy
    assert top[0]["logprob"] >= top[1]["logprob"] >= top[2]["logprob"]
    assert sum(math.exp(x["logprob"]) for x in top) <= 1 + 1e-6
assert o["text"] == "".join(t["text"] for t in o["tokens"])
s = o["stats"]
assert s["n_drafted"] == sum(sum(d["drafted"]) for d in s["drafts"].values())
assert s["n_accepted"] == sum(sum(d["accepted"]) for d in s["drafts"].values())
assert s["n_steps"] + s["n_accepted"] >= o["n_tokens"] - 1
for d in s["drafts"].values():
    assert all(a <= b for a, b in zip(d["accepted"], d["drafted"]))
    assert d["drafted"] == sorted(d["drafted"], reverse=True)
print("ok")
PY
