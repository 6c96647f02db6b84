printf 'def f(x):\n    return x[3]\nf([])\n' >a.py
"$QAGENT" run a.py
