#!/bin/sh
# Solve every task in docs/examples with the embedded model, live on the terminal.
#
#   docs/examples/demo.sh bin/qagent
set -u
qagent=$1
here=$(dirname "$0")
start=$(date +%s)
solved=0 total=0
for task in "$here"/[0-9]*.md; do
    total=$((total + 1))
    printf '\n== %s\n' "${task#"$here"/}"
    sed 's/^/   | /' "$task"
    echo
    "$qagent" solve "$task"
    code=$?
    if [ $code -eq 0 ]; then
        solved=$((solved + 1))
    else
        echo "-- not solved (exit $code)"
    fi
done
echo
echo "demo: $solved of $total tasks solved in $(($(date +%s) - start)) s"
echo "next: write a task into task.md and run  $qagent solve task.md"
echo "      with a real model:                 $qagent solve -m Qwen3.6-35B-A3B-Q4_K_M.gguf task.md"
echo "      what this machine holds:           $qagent doctor"
[ "$solved" -eq "$total" ]
