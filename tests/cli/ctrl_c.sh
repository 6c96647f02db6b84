# Ctrl-C: exit 130, nothing left behind, a benchmark can go on where it stopped.
set -m # so that background jobs do not ignore SIGINT
echo 'while True: pass' >endless.py
"$QAGENT" run --timeout 60s endless.py &
pid=$!
sleep 2
kill -INT $pid
wait $pid
echo "run: exit $?"
"$QAGENT" eval mini --out stopped >/dev/null 2>err &
pid=$!
for i in $(seq 100); do
    [ -s stopped/results.jsonl ] && break
    sleep 0.2
done
kill -INT $pid
wait $pid
echo "eval: exit $?"
done=$(wc -l <stopped/results.jsonl)
[ "$done" -ge 1 ] && [ "$done" -lt 67 ] && echo "some tasks are done"
"$QAGENT" eval mini --out stopped --resume --max-iter 2 >/dev/null 2>err2
echo "resume with other settings: exit $?"
[ "$(wc -l <stopped/results.jsonl)" -eq "$done" ] && echo "none was lost"
