#!/usr/bin/env bash
# Run one command-line case: tests/cli/case.sh tests/cli/NAME.sh
#
# NAME.sh runs with $QAGENT and an empty $TMP as working folder, $ROOT the checkout.
# Beside it: NAME.stdout (exact), NAME.stderr (exact), NAME.exit (default 0); a
# missing file is not compared.  In both streams $TMP and $ROOT are shown as words.
# BLESS=1 writes the expected files instead of comparing.  Exit 77: skipped.
set -u
script=$1
base=${script%.sh}
ROOT=$PWD
QAGENT=$(readlink -f "$QAGENT")
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
export ROOT QAGENT TMP HOME=$TMP/home XDG_CONFIG_HOME=$TMP/config
unset XDG_CACHE_HOME XDG_STATE_HOME QAGENT_MODEL
mkdir -p "$TMP/work"
(cd "$TMP/work" && timeout 120 bash "$ROOT/$script") >"$TMP/out" 2>"$TMP/err" </dev/null
code=$?
[ $code -eq 77 ] && { cat "$TMP/err"; exit 77; }
sed -i -e "s|$TMP|TMP|g" -e "s|$ROOT|ROOT|g" "$TMP/out" "$TMP/err"
if [ "${BLESS:-}" = 1 ]; then
    cp "$TMP/out" "$base.stdout"
    cp "$TMP/err" "$base.stderr"
    echo $code >"$base.exit"
    exit 0
fi
bad=0
for stream in stdout stderr; do
    [ -e "$base.$stream" ] || continue
    [ $stream = stdout ] && got=$TMP/out || got=$TMP/err
    diff -u "$base.$stream" "$got" || bad=1
done
want=0
[ -e "$base.exit" ] && want=$(cat "$base.exit")
[ $code -eq "$want" ] || { echo "exit code $code, expected $want"; cat "$TMP/err"; bad=1; }
exit $bad
