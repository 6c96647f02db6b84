# Limits that the caller lives under hold, or are named in one line.
grep -q __asan_init "$QAGENT" && { echo "the address sanitizer reserves more than ulimit -v allows" >&2; exit 77; }
printf 'import resource as r\nprint(r.getrlimit(r.RLIMIT_AS)[1] == %d << 20)\n' 300 >memory.py
printf 'print("runs")\n' >file.py
try() {
    echo "-- $1"
    (eval "$1" && exec "$QAGENT" run "$2") 2>&1 | grep -v 'python3 on PATH'
    echo "exit ${PIPESTATUS[0]}"
}
try 'ulimit -n 20' file.py
try 'ulimit -S -n 20' file.py
try 'ulimit -v 307200' memory.py
try 'ulimit -t 2' file.py
try 'umask 777' file.py
try 'ulimit -f 0' file.py
"$QAGENT" run --memory 99999T file.py
echo "exit $?"
