: >model.gguf
"$QAGENT" complete -m model.gguf -p x
