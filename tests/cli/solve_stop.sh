# A signal at any time: its exit code, a log of whole lines, and a run that goes on from
# it.  Over a tape at 70 tokens a second, whose program sleeps.
set -m
case $QAGENT in */build/*) taped=${QAGENT%/qagent}/tests/fake/taped ;; *) taped=$ROOT/build/release/tests/fake/taped ;; esac
tape() { # what the program does
    printf '%s\n' 'Let me see whether it works well enough for the task.' '</think>' '' '<tool_call>' \
        '<function=code_execution>' '<parameter=code>' "$1" '</parameter>' '</function>' '</tool_call>' \
        %% 'Fine.' '</think>' '' 'It works.' %%
}
tape 'import time; print("so far", flush=True); time.sleep(100)' >sleeps
tape 'print("done")' >ends
echo 'Does it work?' >task.md
stop() { # SIGNAL, when stderr has PATTERN
    rm -f log err
    "$taped" sleeps 70 solve task.md --session log >out 2>err &
    pid=$!
    for i in $(seq 500); do
        grep -q "$2" err 2>/dev/null && break
        sleep 0.02
    done
    kill -"$1" $pid
    wait $pid
    echo "$1 $2: exit $?"
    python3 -c 'import json; [json.loads(line) for line in open("log")]'
    tail -n 1 err
}
stop INT 'iteration 1'
stop TERM 'iteration 1'
stop HUP 'iteration 1'
stop INT '^[0-9]* tokens' # the program runs
"$taped" ends 0 solve --session log --resume --quiet
echo "resumed: exit $?"
"$taped" ends 70 solve task.md --quiet --session two >/dev/null &
pid=$!
for i in $(seq 500); do
    [ -s two ] && break
    sleep 0.02
done
"$taped" ends 0 solve task.md --quiet --session two
echo "second: exit $?"
wait $pid
echo "first: exit $?"
"$taped" ends 0 replay two
"$taped" ends 0 solve task.md --json --no-session >events
python3 - <<'P'
import json
events = [json.loads(line) for line in open("events")]
assert all(e["schema"] == 1 and e["session"] == events[0]["session"] for e in events)
assert all(a["t"] <= b["t"] for a, b in zip(events, events[1:]))
names = [e["event"] for e in events]
print(sorted(set(names)), names[0], names[-1], events[-1]["exit"])
P
"$taped" ends 0 solve task.md --json --no-session --max-tokens 5 | tail -n 1 | grep -o '"event":"[a-z.]*"\|"exit":[0-9]*'
