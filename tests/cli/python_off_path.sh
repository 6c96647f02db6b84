echo 'print(1)' >a.py
PATH=/nowhere "$QAGENT" run a.py
