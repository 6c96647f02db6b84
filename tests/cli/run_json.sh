# `run --json`: one object with the documented members for every way to end, valid JSON
# whatever bytes the program writes.
cat >show.py <<'END'
import json, sys
text = sys.stdin.buffer.read()
o = json.loads(text.decode("utf-8"))
kinds = [(k, type(v).__name__) for k, v in o.items()]
assert kinds == [("status", "str"), ("exit_code", "int"), ("signal", "int"), ("stdout", "str"), ("stderr", "str"),
                 ("truncated_bytes", "int"), ("duration_ms", "float"), ("sandbox", "str")], kinds
assert text.count(b"\n") == 1 and text.endswith(b"}\n")
assert 0 < o["duration_ms"] < 60000 and o["sandbox"].split(":")[0] in ("full", "user")
print(o["status"], o["exit_code"], o["signal"], ascii(o["stdout"][:20]), ascii(o["stderr"][:70]), o["truncated_bytes"] > 0)
END
try() {
    "$QAGENT" run --json --timeout 60s "$@" - >out
    code=$?
    python3 show.py <out
    echo "  exit $code"
}
try <<<'print("a")'
try <<<'import sys; print("b", file=sys.stderr); sys.exit(3)'
try --timeout 300ms <<<'print("c", flush=True)
while True: pass'
try --memory 128M <<<'b"x" * (1 << 30)'
try <<<'while True: print("d" * 1000)'
try <<<'import os, signal; os.kill(os.getpid(), signal.SIGSEGV)'
try <<<'import os
os.write(1, b"\0\xff\"\\\x1b[2J\xe2\x80\xae"); os.write(2, bytes(range(128, 192)))'
try <<<'def f(:'
