"$QAGENT" complete -p x --threads many
