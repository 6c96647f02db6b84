# Every verb of the definition beside itself: no difference at all.
printf '\1\0\0\0\2\0\0\0\3\0\0\0' >ids.bin
"$QAGENT" logits --tokens ids.bin --kernels ref --check-ref | awk 'NR == 1 || $4 != 0 || $3 == 0'
