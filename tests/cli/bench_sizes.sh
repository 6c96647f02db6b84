# Sizes must rise.
"$QAGENT" bench --prompt 64,32
