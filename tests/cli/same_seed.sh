# One seed, one text: whatever is drafted, however many threads, the same tokens.  The
# task is outside the model's grammar, so its plans fail and are thought again, sampled.
cat >task.md <<'T'
Write a function `second_of_three(a, b, c)` that returns the number in the middle.

assert second_of_three(3, 1, 2) == 2
assert second_of_three(9, 8, 7) == 8
assert second_of_three(1, 5, 9) == 5
T
ids() {
    "$QAGENT" solve task.md --seed 5 --timeout 5m --session "$1" $2 >/dev/null 2>&1
    python3 - "$1" <<'P'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
print(sum(r["type"] == "turn" for r in rows), [r["ids"] for r in rows if r["type"] == "turn"])
P
}
ids a "--draft 0 --copy 0 --threads 1" >a.ids
ids b "--draft 3 --threads 2" >b.ids
ids c "--draft 8 --copy 0" >c.ids
turns=$(cut -d ' ' -f 1 a.ids)
[ "$turns" -ge 3 ] && echo "three turns or more"
cmp a.ids b.ids && cmp a.ids c.ids && echo same
