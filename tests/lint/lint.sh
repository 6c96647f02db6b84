#!/usr/bin/env bash
# The plan stays true without meetings: format, include directions, headers that
# compile alone, sizes, getenv in one file.  Prints the ratchet at the end.
set -u
cd "$(dirname "$0")/../.."
bad=0
say() { echo "lint: $*"; bad=1; }
mapfile -t sources < <(git ls-files -co --exclude-standard '*.c' '*.h')

if command -v clang-format >/dev/null; then
    for f in "${sources[@]}"; do
        clang-format --dry-run -Werror "$f" >/dev/null 2>&1 || say "$f: not formatted (make format)"
    done
else
    echo "lint: SKIPPED format: no clang-format"
fi

tests/lint/includes.sh || bad=1

for h in "${sources[@]}"; do
    case $h in *.h) ;; *) continue ;; esac
    case $h in engine/base/banned.h | *_tables.h) continue ;; esac # lists meant for one place
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -I. -fsyntax-only -x c "$h" 2>/dev/null || say "$h: does not compile alone"
done

for f in "${sources[@]}"; do
    n=$(wc -l <"$f")
    case $f in *_tables.h) continue ;; esac
    [ "$n" -gt 800 ] && say "$f: $n lines, at most 800"
done

hits=$(grep -nE '\b(secure_)?getenv *\(' cmd/*.c engine/*.c engine/*/*.c sandbox/*.c agent/*.c humaneval/*.c 2>/dev/null | grep -v '^cmd/opt.c:')
[ -n "$hits" ] && say "getenv outside cmd/opt.c: $hits"

files=$(printf '%s\n' "${sources[@]}" | grep -v '^tests/' | xargs wc -l | sort -n | tail -n 2 | head -n 1)
echo "lint: largest product file: $(echo $files)"
[ $bad -eq 0 ] && echo "lint: clean"
exit $bad
