# Tasks as people save them, and what is no task: one line and exit 2 before any work.
task=$ROOT/docs/examples/01-best-player.md
solve() {
    "$QAGENT" solve "$@" >out 2>err
    echo "exit $?: $(head -n 1 out)"
}
(printf '\357\273\277' && sed 's/$/\r/' "$task") >windows.md
solve windows.md --quiet --session windows.jsonl
wc -c <err # --quiet says nothing
grep -c '\\r' windows.jsonl
cat "$task" | solve - --quiet
for t in /tmp nowhere.md; do solve $t; cat err; done
head -c 100 "$QAGENT" >binary.md && solve binary.md && cat err
printf 'Gr\374n' >latin.md && solve latin.md && cat err
"$QAGENT" solve - <&-
echo "closed: exit $?"
python3 -c 'print("word " * 600000)' >large.md
solve large.md && grep '^note: \|^qagent: no' err | sed 's/[0-9][0-9]* tokens/N tokens/'
