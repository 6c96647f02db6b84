# An interpreter asked for by name that is not there: one line, exit 7, no other is taken
# and no result is written.
echo '{"task_id": "mini/0", "completion": "    return 1"}' >samples.jsonl
: >not-python
chmod +x not-python
for python in /nowhere/python3 ./not-python /dev/null; do
    "$QAGENT" score samples.jsonl --incomplete --problems mini --python $python --out results.jsonl
    echo "exit $?, results: $(ls results.jsonl 2>/dev/null)"
done
