"$QAGENT" solve --resume
