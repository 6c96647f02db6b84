printf '  \n' >task.md
"$QAGENT" solve task.md
