#!/bin/sh
# Builds the stand-in Engine, the floor and the load generator into build/bench.
set -eu
cd "$(dirname "$0")/.."
out=${BENCH_BUILD:-build/bench}
mkdir -p "$out"
for program in engine floor load; do
	if [ "$out/$program" -nt "bench/$program.c" ] && [ "$out/$program" -nt bench/bench.h ]; then
		continue
	fi
	${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow -Werror \
		-o "$out/$program" "bench/$program.c"
done
