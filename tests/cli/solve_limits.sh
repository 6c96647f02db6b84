# Limits of a run: each has its exit code and one line that says why there is no answer.
task=$ROOT/docs/examples/01-best-player.md
for option in '--max-iter 0' '--max-iter -1' '--max-iter 1' '--timeout 0.001' '--timeout -1' \
    '--max-tokens 5' '--max-tokens 0' '--candidates 0' '--ctx 100'; do
    "$QAGENT" solve "$task" --no-session $option >out 2>err
    echo "$option: exit $? $(head -n 1 out)"
    grep '^qagent: ' err | grep -v 'embedded demo model'
done
"$QAGENT" solve "$task" --no-session --candidates 3 >out 2>err
echo "candidates: exit $? $(head -n 1 out)"
grep -o 'iteration [0-9]* of 15' err | tail -n 1 | sed 's/ [0-9]* / N /'
