text='def add(a, b):
    return a + b  # héllo 你好 <|im_end|>'
printf '%s' "$text" | "$QAGENT" tokens >ids
"$QAGENT" tokens --decode -f ids >back
printf '%s' "$text" | cmp - back && echo same
printf '%s' "$text" | "$QAGENT" tokens --no-special -f - | "$QAGENT" tokens --decode >back
printf '%s' "$text" | cmp - back && echo same
