# The first verb that differs between two runs has a name; one kernel set differs nowhere.
printf '\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0' >ids
"$QAGENT" logits --tokens ids --kernels plain --trace a.trace
head -n 2 a.trace | cut -d " " -f 1-3
"$QAGENT" logits --tokens ids --kernels plain --trace-against a.trace --threads 2 | sed 's/[0-9][0-9]*/N/'
echo "$?"
"$QAGENT" logits --tokens ids --kernels ref --trace-against a.trace >b.out
echo "$?"
grep -c '^first difference: [a-z_]*, call [0-9]*, output [0-9]*$' b.out
head -n 20 a.trace >short.trace
"$QAGENT" logits --tokens ids --kernels plain --trace-against short.trace | grep -c '^recorded: nothing$'
"$QAGENT" logits --tokens ids --trace-against ids
