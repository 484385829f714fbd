#!/bin/sh
# Rewriting side by side, in turns on one core: Landfall, the libraries that others
# build on, SHA-256 of the same bytes, and the passes that nobody gets around. CPU
# time a message and ratios with 95 % intervals, medians over the turns.
#
#	tests/bench/rewrite.sh [-t TURNS] [-c CORE] [-s SECONDS] [-o FILE.json] [CORPORA]
#
# Wants build/release (cmake --build --preset release). Peers: `deploy/packages
# bench` gives GMime, Gumbo and the mail gem; mailsplit comes by node and npm. What is
# missing is left out and named. CORPORA: a folder of the corpora, for messages with
# real templates as well.
set -eu
cd "$(dirname "$0")/../.."
turns=15
core=1
seconds=0.25
json=
while getopts t:c:s:o: option; do
	case $option in
	t) turns=$OPTARG ;;
	c) core=$OPTARG ;;
	s) seconds=$OPTARG ;;
	o) json=$OPTARG ;;
	*) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
	esac
done
shift $((OPTIND - 1))
bench=$PWD/build/release/bench/rewrite_bench
[ -x "$bench" ] || { echo "rewrite.sh: build the preset release first" >&2; exit 3; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/mail"
: > "$work/templates"
if [ $# -gt 0 ]; then
	find "$1" -path '*/html-*' -name '*.html' -size +39k -size -130k | LC_ALL=C sort > "$work/templates"
fi
xargs -d '\n' "$bench" --write "$work/mail" < "$work/templates"

peers=
missing()
{
	echo "rewrite.sh: left out, not here: $*" >&2
}
if pkg-config --exists gmime-3.0 gumbo; then
	# shellcheck disable=SC2046
	${CC:-cc} -O3 -D_GNU_SOURCE tests/bench/rewrite_peers.c -o "$work/peers" $(pkg-config --cflags --libs gmime-3.0 gumbo)
	peers="gmime=$work/peers:gmime gumbo=$work/peers:gumbo"
else
	missing GMime and Gumbo
fi
if ruby -e 'require "mail"' 2> "$work/ruby"; then
	peers="$peers postal=ruby:$PWD/tests/bench/postal/worker.rb"
else
	missing "Ruby with the mail gem (as Postal)"
fi
cp -r tests/bench/mailsplit "$work/mailsplit"
if command -v node > "$work/which" && command -v npm >> "$work/which" &&
	(cd "$work/mailsplit" && npm install --silent --no-audit --no-fund) >&2; then
	peers="$peers mailsplit=node:$work/mailsplit/worker.js"
else
	missing mailsplit
fi
# shellcheck disable=SC2086
python3 tests/bench/rewrite_pairs.py --turns "$turns" --core "$core" --seconds "$seconds" ${json:+--json "$json"} \
	"$bench" "$work/mail" $peers
