#!/bin/bash
# What one request takes, counted instead of timed, so it comes out the same on a busy machine:
#
#   bench/count.sh instructions [PROGRAM [ARGUMENT...]]   in user space, with callgrind
#   bench/count.sh syscalls     [PROGRAM [ARGUMENT...]]   with strace
#
# PROGRAM (default build/docker-socket-proxy) is run with PORT, SOCKET_PATH and WORKERS=1 set;
# the words {port} and {socket} in an argument stand for them. Each count is the difference of a
# run with 2N requests and one with N, so start-up and shutdown fall out. The requests go one after
# the other over one connection. FIELD='X-Api-Key: KEY' is sent with each.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:-}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- build/docker-socket-proxy
case $what in
instructions) tool=valgrind ;;
syscalls) tool=strace ;;
*)
	sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
command -v $tool >/dev/null || {
	echo "count.sh: $tool is needed: apt-get install $tool" >&2
	exit 1
}

bench/build.sh
load=build/bench/load
folder=$(mktemp -d)
# The program gives up root, and callgrind, which is the same process, writes its counts only at
# the end: so everything starts as somebody else.
as_nobody=()
if [ "$(id -u)" = 0 ]; then
	chown 65532:65532 "$folder"
	as_nobody=(setpriv --reuid=65532 --regid=65532 --clear-groups)
fi
chmod 755 "$folder"
build/bench/engine "$folder/engine.sock" --bulk $((8 << 20)) >/dev/null &
engine=$!
program=
cleanup() {
	kill "$engine" $program 2>/dev/null || true
	wait
	rm -r "$folder"
}
trap cleanup EXIT

free_port() {
	/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

under_tool() {
	case $what in
	instructions)
		# Of valgrind's own system calls the sandbox has none; the program's instructions are the same without.
		SANDBOX=off exec "${as_nobody[@]}" valgrind -q --tool=callgrind --callgrind-out-file="$folder/callgrind.out" "$@"
		;;
	syscalls)
		exec "${as_nobody[@]}" strace -qq -f -c -U calls,name -o "$folder/strace.out" "$@"
		;;
	esac
}

# one_run REQUESTS LOAD-ARGUMENT...: leaves the tool's output in $folder
one_run() {
	local requests=$1 port arguments=() argument
	shift
	port=$(free_port)
	for argument in "${command[@]}"; do
		argument=${argument//\{port\}/$port}
		arguments+=("${argument//\{socket\}/$folder/engine.sock}")
	done
	(PORT=$port SOCKET_PATH=$folder/engine.sock WORKERS=1 under_tool "${arguments[@]}") \
		>"$folder/log" 2>&1 &
	program=$!
	until echo go | $load http "$port" GET /_ping "${field[@]}" >/dev/null 2>&1; do
		kill -0 $program || {
			cat "$folder/log" >&2
			exit 1
		}
		sleep 0.05
	done
	echo go | $load http "$port" "$@" "${field[@]}" --requests "$requests" >/dev/null
	# strace passes no signal on: end what it runs
	if [ "$what" = syscalls ]; then
		kill -TERM "$(cat /proc/$program/task/$program/children)"
	else
		kill -TERM $program
	fi
	wait $program || true
	program=
}

totals() {
	case $what in
	instructions) awk '/^summary:|^totals:/ { print "instructions", $2; exit }' "$folder/callgrind.out" ;;
	syscalls) awk '$1 ~ /^[0-9]+$/ && $2 != "total" { print $2, $1 }' "$folder/strace.out" ;;
	esac
}

# measure NAME N LOAD-ARGUMENT...
measure() {
	local name=$1 count=$2
	shift 2
	one_run "$count" "$@"
	totals >"$folder/once"
	one_run $((2 * count)) "$@"
	totals >"$folder/twice"
	awk -v name="$name" -v count="$count" '
		FNR == NR { once[$1] = $2; next }
		{ each = ($2 - once[$1]) / count; if (each > 0.004 || each < -0.004) line = line sprintf("  %s %.2f", $1, each) }
		END { printf "%-22s%s\n", name, line }' "$folder/once" "$folder/twice"
}

command=("$@")
field=(${FIELD:+--field "$FIELD"})
measure "2 bytes" 400 GET /_ping
measure "48 KiB length" 200 GET "/v1.41/containers/json?all=1"
measure "48 KiB one chunk" 200 GET "/v1.41/images/json?all=1"
measure "48 KiB chunks" 200 GET /v1.41/volumes
echo "the following for 8 MiB each:"
measure "download length" 8 GET "/v1.41/images/get?names=bench"
measure "download chunked" 8 GET /v1.41/containers/bench/export
measure "upload length" 8 POST "/v1.41/images/load?quiet=1" --upload $((8 << 20))
measure "upload chunked" 8 POST "/v1.41/images/load?quiet=1" --upload $((8 << 20)) --chunked
if [ "$what" = instructions ] && [ -n "${ANNOTATE:-}" ]; then
	one_run 1000 GET "$ANNOTATE"
	callgrind_annotate "$folder/callgrind.out" | sed -n '/Ir /,$p' | head -60
fi
