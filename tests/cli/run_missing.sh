"$QAGENT" run nowhere.py
