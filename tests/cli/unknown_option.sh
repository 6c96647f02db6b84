"$QAGENT" solve --max-itr 3 x.md
