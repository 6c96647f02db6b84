# A result that cannot be written: one line and exit 1, never a silent success.
"$QAGENT" complete -p 'def f' -n 5 --greedy >/dev/full 2>err
echo "complete: exit $?"
grep -c 'cannot write standard output' err
"$QAGENT" inspect >/dev/full 2>err
echo "inspect: exit $?"
grep -c 'cannot write standard output' err
