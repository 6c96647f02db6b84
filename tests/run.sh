#!/usr/bin/env bash
# Run every test program under BUILD, then the command-line cases and the Python
# tests; add up their counts.  Closing line: N passed, N failed, N skipped.
#
#   tests/run.sh build/release
#
# A model, a GPU or reference files that are absent skip their tests, loudly.
set -u
cd "$(dirname "$0")/.."
build=$1
export QAGENT=${QAGENT:-bin/qagent}
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The reference files lie beside the checkout where they are available.
if [ -z "${QAGENT_SHARED:-}" ] && [ -d ../shared/reference ]; then
    export QAGENT_SHARED=$PWD/../shared
fi
if [ -n "${QAGENT_SHARED:-}" ] && [ -e "$QAGENT_SHARED/data/HumanEval.jsonl.gz" ]; then
    export QAGENT_HUMANEVAL=${QAGENT_HUMANEVAL:-$QAGENT_SHARED/data/HumanEval.jsonl.gz}
fi
[ -n "${QAGENT_SHARED:-}" ] || echo "NOTE: no reference files (QAGENT_SHARED): tests against them are skipped"

# Numbers from one kind of cmocka's closing lines, "[  PASSED  ] 12 test(s)."
count() {
    sed -n "s/^\[ *$1 *\] \([0-9][0-9]*\) test.*/\1/p" "$log" | awk '{n += $1} END {print n + 0}'
}

for program in "$build"/tests/engine/test_* "$build"/tests/sandbox/test_* "$build"/tests/agent/test_* "$build"/tests/humaneval/test_*; do
    case $program in *.o | *.d | *'*') continue ;; esac
    start=$(date +%s%N)
    timeout "${TEST_TIMEOUT_S:-600}" "$program" >"$log" 2>&1
    status=$?
    ms=$((($(date +%s%N) - start) / 1000000))
    p=$(count PASSED) f=$(count FAILED) s=$(count SKIPPED)
    # A crash or a time-out has no closing line for what it broke.
    [ $status -ne 0 ] && [ "$f" -eq 0 ] && f=1
    [ $status -eq 0 ] && [ $((p + f + s)) -eq 0 ] && { echo "    no test ran in $program"; f=1; }
    # cmocka counts a skipped test among the passed ones.
    p=$((p >= s ? p - s : p))
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%-44s %4d passed %3d failed %3d skipped %7d ms\n' "${program#"$build"/tests/}" "$p" "$f" "$s" "$ms"
    [ "$f" -ne 0 ] && sed 's/^/    /' "$log" | grep -v -E '\[ *(RUN|OK) *\]' | tail -n 40
    [ "$s" -ne 0 ] && grep -i skip "$log" | grep -v '^\[' | sort -u | sed 's/^/    /' | head -n 5
done

for program in "$build"/tests/fuzz/fuzz_*; do
    case $program in *.o | *.d | *'*') continue ;; esac
    name=${program##*/fuzz_}
    if timeout 120 "$program" tests/fuzz/corpus/"$name" >"$log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "fuzz corpus $name: FAILED"
        tail -n 20 "$log" | sed 's/^/    /'
    fi
done

for script in tests/cli/*.sh; do
    [ "$script" = tests/cli/case.sh ] && continue
    [ -e "$script" ] || continue
    tests/cli/case.sh "$script" >"$log" 2>&1
    case $? in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)); sed 's/^/    /' "$log" ;;
    *) failed=$((failed + 1)); echo "$script: FAILED"; sed 's/^/    /' "$log" | head -n 30 ;;
    esac
done

python=
for candidate in python3 /usr/bin/python3; do
    "$candidate" -c 'import pytest' 2>/dev/null && { python=$candidate; break; }
done
if [ -n "$python" ] && ls tests/*/test_*.py >/dev/null 2>&1; then
    timeout 900 "$python" -m pytest -q -p no:cacheprovider -rs tests >"$log" 2>&1
    status=$?
    tail_line=$(tail -n 1 "$log")
    number() { printf '%s\n' "$tail_line" | sed -n "s/.*[^0-9]*\b\([0-9][0-9]*\) $1.*/\1/p"; }
    p=$(number passed) f=$(number failed) s=$(number skipped) e=$(number error)
    passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0} + ${e:-0})) skipped=$((skipped + ${s:-0}))
    [ $status -ne 0 ] && [ -z "${f:-}${e:-}" ] && [ $status -ne 5 ] && failed=$((failed + 1))
    echo "python: $tail_line"
    grep -E '^(FAILED|ERROR|SKIPPED)' "$log" | sed 's/^/    /' | head -n 20
    [ $status -ne 0 ] && tail -n 40 "$log" | sed 's/^/    /'
else
    echo "SKIPPED: no pytest, Python tests not run"
    skipped=$((skipped + 1))
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
