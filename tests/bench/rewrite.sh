#!/bin/sh
# Rewriting side by side: Landfall and npm mailsplit over the same made-up
# newsletters, in turns; CPU time a message and the ratio, medians over the turns.
#
#	tests/bench/rewrite.sh [TURNS]
#
# Wants build/release (cmake --build --preset release), node and npm.
set -eu
cd "$(dirname "$0")/../.."
turns=${1:-9}
bench=$PWD/build/release/bench/rewrite_bench
[ -x "$bench" ] || { echo "rewrite.sh: build the preset release first" >&2; exit 3; }
command -v node > /dev/null && command -v npm > /dev/null || { echo "rewrite.sh: wants node and npm" >&2; exit 3; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bench" --write "$work"
cp -r tests/bench/mailsplit "$work/mailsplit"
(cd "$work/mailsplit" && npm install --silent --no-audit --no-fund) >&2
"$bench"
python3 tests/bench/rewrite_pairs.py "$turns" "$bench" "$work/mailsplit/worker.js" "$work"
