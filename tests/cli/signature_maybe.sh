"$QAGENT" eval mini --signature maybe
