# No Python anywhere: one line and exit 7, before any model is loaded.  Hiding it
# takes a mount namespace.
if ! unshare -m true 2>/dev/null; then
    echo "SKIPPED no_python: needs the right to make a mount namespace" >&2
    exit 77
fi
echo 'print(1)' >a.py
printf 'Write a function `f(x)` that returns x.\n' >task.md
unshare -m bash -c '
    for found in $(type -ap python3) /usr/bin/python3 /usr/local/bin/python3; do
        real=$(readlink -f "$found") && [ -f "$real" ] && mount --bind /dev/null "$real"
    done
    PATH=/nowhere "$QAGENT" run a.py
    echo "run: exit $?"
    PATH=/nowhere "$QAGENT" solve task.md
    echo "solve: exit $?"
'
