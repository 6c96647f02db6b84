#!/usr/bin/env bash
# Fuzz one parser with libFuzzer: tests/fuzz/fuzz.sh NAME SECONDS
#
# New inputs that reach new code are kept in build/fuzz/corpus/NAME; an input that
# crashes, hangs or breaks a property is left beside it as build/fuzz/NAME-crash-...
set -eu
cd "$(dirname "$0")/../.."
name=$1 seconds=$2
[ -f "tests/fuzz/fuzz_$name.c" ] || { echo "fuzz: no target '$name'" >&2; exit 2; }
command -v clang >/dev/null || { echo "fuzz: clang is not installed" >&2; exit 2; }
out=build/fuzz
mkdir -p "$out/corpus/$name"
make --no-print-directory CC="${FUZZ_CC:-clang}" VARIANT=fuzz "$out/tests/fuzz/fuzz_$name"
"$out/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=10 \
    -print_final_stats=1 -artifact_prefix="$out/$name-" \
    "$out/corpus/$name" "tests/fuzz/corpus/$name"
