printf 'PK\003\004 this is a zip file, not a model, and long enough to be read' >model.gguf
"$QAGENT" complete -m model.gguf -p x
