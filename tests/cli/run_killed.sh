# Ctrl-C ends the program and is still told as JSON; exit 130.
set -m # so that background jobs do not ignore SIGINT
printf 'print("begun", flush=True)\nwhile True: pass\n' >endless.py
"$QAGENT" run --json --timeout 60s endless.py >out &
pid=$!
below() {
    for child in $(ps -o pid= --ppid "$1"); do
        echo "$child"
        below "$child"
    done
}
for i in $(seq 300); do # until the loop has burnt a second: it has begun for sure
    ps -o cputimes= -p "$(below $pid | paste -sd,)" 2>/dev/null | grep -q '[1-9]' && break
    sleep 0.1
done
kill -INT $pid
wait $pid
echo "exit $?"
python3 -c 'import json; o = json.load(open("out")); print(o["status"], o["exit_code"], repr(o["stdout"]))'
