#!/usr/bin/env bash
# Who may include whom (docs/tour.md): greps #include in every room.
set -u
cd "$(dirname "$0")/../.."
bad=0

# check FOLDER-GLOB ALLOWED-REGEX: each project include of these files must match.
check() {
    local file line header
    for file in $1; do
        [ -e "$file" ] || continue
        while IFS= read -r line; do
            header=${line#*\"}
            header=${header%%\"*}
            if ! [[ $header =~ ^($2)$ ]]; then
                echo "lint: $file:${line%%:*} includes $header"
                bad=1
            fi
        done < <(grep -nE '^ *# *include "' "$file")
    done
}

base='engine/base/[a-z]+\.h'
check 'engine/base/*.[ch]' "$base"
check 'engine/ref/*.[ch]' "engine/(ops|host|quant|kv)\.h|engine/ref/.*|$base"
check 'engine/cpu/*.[ch]' "engine/(ops|host|quant|kv)\.h|engine/cpu/.*|$base"
check 'engine/*.[ch]' "engine/[a-z_0-9]+\.h|engine/(ref|cpu|cuda)/(ref|cpu|cuda)\.h|$base"
check 'sandbox/*.[ch]' "sandbox/.*|$base"
check 'agent/*.[ch]' "agent/.*|prompts/.*|engine/engine\.h|sandbox/sandbox\.h|$base"
check 'humaneval/*.[ch]' "humaneval/.*|prompts/.*|agent/agent\.h|engine/engine\.h|sandbox/sandbox\.h|$base"
# inspect shows the container itself, so its reader counts as a door for cmd.
check 'cmd/*.[ch] cmd/repl/*.[ch]' "cmd/.*|humaneval/(humaneval|suite)\.h|agent/(agent|talk|recording)\.h|engine/engine\.h|engine/gguf\.h|engine/quant\.h|engine/tiny/tiny\.h|sandbox/sandbox\.h|prompts/.*|$base"
exit $bad
