echo 'while True: pass' | "$QAGENT" run --timeout 1s -
