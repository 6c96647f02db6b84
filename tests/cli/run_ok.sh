echo 'print(6 * 7)' >a.py
"$QAGENT" run a.py
