# A closed or full standard output is an error, and what was to go there goes nowhere else.
echo 'print("lost")' >a.py
for format in '' --json; do
    "$QAGENT" run $format a.py >&-
    echo "closed: exit $?" >&2
    "$QAGENT" run $format a.py >/dev/full
    echo "full: exit $?" >&2
    "$QAGENT" run $format a.py <&- >out
    echo "no input: exit $?, $(grep -c lost out)" >&2
done
