# Log-probabilities have no place in streamed text.
"$QAGENT" complete -p x --logprobs 3
