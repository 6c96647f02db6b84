# Cache formats that do not exist, and one that the model's heads of 32 values cannot have.
try() {
    echo "-- $*"
    "$QAGENT" complete -m "$ROOT/tests/fixtures/models/mini-moe.gguf" -p x "$@"
    echo "exit $?"
} 2>&1
try --kv q4_1
try --kv-k turbo5
try -ctv Q8_0
try --cache-type-v fp8_e5m2
try --kv
try --kv turbo4
try --kv-k q8_0 --kv-v turbo2
