# A flag set written for llama-server: understood or ignored with a note.
"$QAGENT" complete -m nowhere.gguf -ngl 99 --jinja --flash-attn on -ctk f16 -ctv f16 --no-mmap -c 4096 -p x
