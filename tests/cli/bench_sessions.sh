"$QAGENT" bench --sessions 3 --gen 2 --prompt 4 --json | grep -o '"sessions": [0-9]*'
"$QAGENT" bench --sessions 0
