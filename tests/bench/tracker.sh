#!/bin/sh
# CPU a request of landfall-tracker costs, against libh2o that records nothing.
#
#	tests/bench/tracker.sh [--rounds N] [--seconds S] [--kind o|c]
#
# Builds with the release preset. Wants two cores, wrk, redis-server.
set -eu
cd "$(dirname "$0")/../.."
[ -d build/release ] || cmake --preset release > /dev/null
cmake --build build/release --target landfall-tracker bare_h2o tracker_tokens > /dev/null
exec python3 tests/bench/tracker.py --build build/release "$@"
