"$QAGENT" solve nowhere.md
