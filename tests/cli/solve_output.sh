# Where an answer or a log cannot go is said before the model is asked, exit 2; what can
# be known only at the end costs no answer that was found.
task=$ROOT/docs/examples/01-best-player.md
for option in --answer --session; do
    for path in /nowhere/x /tmp; do
        "$QAGENT" solve "$task" $option $path
        echo "exit $?"
    done
done
"$QAGENT" solve "$task" --quiet --no-session --answer /dev/full
echo "exit $?"
"$QAGENT" solve "$task" --quiet --session /dev/full | head -n 1
"$QAGENT" solve "$task" --quiet --session a --no-session
echo "exit $?"
"$QAGENT" solve "$task" --quiet --no-session >&-
echo "exit $?"
"$QAGENT" solve "$task" --no-session --answer-file answer 2>&- >out
cmp out answer && echo same
ls "$HOME" 2>/dev/null # no log anywhere
