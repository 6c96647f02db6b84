"$QAGENT" complete -m nowhere.gguf -p x
