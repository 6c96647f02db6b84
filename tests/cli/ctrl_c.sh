# Ctrl-C during a completion: exit 130, and what was printed stays.
"$QAGENT" complete -p 'x' -n 2000000 -c 250000 >out &
pid=$!
sleep 2
kill -INT $pid
wait $pid
echo "exit $?"
