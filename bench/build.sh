#!/bin/sh
# Builds the stand-in Engine, the floors and the load generator into build/bench.
set -eu
cd "$(dirname "$0")/.."
out=${BENCH_BUILD:-build/bench}
mkdir -p "$out"
for program in engine floor load misses tls_floor; do
	libraries=
	[ $program = tls_floor ] && libraries="-lssl -lcrypto -pthread"
	if [ "$out/$program" -nt "bench/$program.c" ] && [ "$out/$program" -nt bench/bench.h ]; then
		continue
	fi
	# shellcheck disable=SC2086 # words
	${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow -Werror \
		-o "$out/$program" "bench/$program.c" $libraries
done
