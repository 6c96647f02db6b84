# What `run` is given: files, standard input, and things that are no program.
try() {
    echo "-- $*"
    "$QAGENT" run "$@"
    echo "exit $?"
} 2>&1
mkdir folder
printf 'print("from a file")\n' >file.py
printf 'print(1)\0print(2)\n' >nul.py
printf '\377\376\200' >binary.py
head -c 9000000 /dev/zero | tr '\0' '#' >huge.py
: >empty.py
try file.py
try - <<<'print("from standard input")'
try --memory 128M --timeout 20s file.py
try empty.py
# What Python says of these differs from version to version.
for file in nul.py binary.py; do
    "$QAGENT" run $file 2>err
    echo "$file: exit $?, $(grep -c -E 'SyntaxError|ValueError' err) error, $(tail -n 1 err)"
done
try huge.py
try folder
try /dev/zero
try file.py empty.py
try
try --timeout 0 file.py
try --timeout soon file.py
try --memory 1M file.py
try --memory 1X file.py
