#!/usr/bin/env bash
# Fuzz one parser with libFuzzer: tests/fuzz/fuzz.sh NAME SECONDS
set -eu
cd "$(dirname "$0")/../.."
name=$1 seconds=$2
[ -f "tests/fuzz/fuzz_$name.c" ] || { echo "fuzz: no target '$name'" >&2; exit 2; }
command -v clang >/dev/null || { echo "fuzz: clang is not installed" >&2; exit 2; }
out=build/fuzz
mkdir -p "$out/corpus/$name"
flags="-std=c11 -D_GNU_SOURCE -I. -include engine/base/banned.h -g -O1 -pthread -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all"
avx2="-mavx2 -mfma -mf16c" avx512="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni" # as in the Makefile
newest_header=$(ls -t engine/*.h engine/*/*.h sandbox/*.h agent/*.h humaneval/*.h prompts/*.h | head -n 1)
objects=
for source in engine/*.c engine/base/*.c engine/ref/*.c engine/cpu/*.c sandbox/*.c agent/*.c humaneval/*.c prompts/*.S sandbox/*.S humaneval/*.S; do
    [ -e "$source" ] || continue
    object=$out/${source//\//_}.o
    if [ ! -e "$object" ] || [ "$source" -nt "$object" ] || [ "$newest_header" -nt "$object" ]; then
        # shellcheck disable=SC2086
        case $source in
        *.S) clang -I. -c -o "$object" "$source" ;;
        *_avx2.c) clang $flags $avx2 -c -o "$object" "$source" ;;
        *_avx512.c) clang $flags $avx2 $avx512 -c -o "$object" "$source" ;;
        *) clang $flags -c -o "$object" "$source" ;;
        esac
    fi
    objects="$objects $object"
done
# shellcheck disable=SC2086
clang ${flags/fuzzer-no-link/fuzzer} -o "$out/$name" "tests/fuzz/fuzz_$name.c" $objects \
    -lseccomp -ljansson -lutf8proc -lz -lcrypto -lcurl -lm
"$out/$name" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$out/$name-" "$out/corpus/$name" "tests/fuzz/corpus/$name"
