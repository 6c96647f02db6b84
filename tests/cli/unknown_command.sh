"$QAGENT" slove x.md
