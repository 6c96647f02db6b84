"$QAGENT" --help
