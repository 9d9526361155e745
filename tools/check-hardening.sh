#!/bin/sh
# Proves on the file itself that a release binary is what it claims to be: static, position
# independent, with nothing writable that is executable and nothing relocatable left writable.
#
#   tools/check-hardening.sh BINARY
set -eu

binary=${1:?usage: tools/check-hardening.sh BINARY}
program_headers=$(LC_ALL=C readelf --wide --program-headers "$binary")
dynamic=$(LC_ALL=C readelf --wide --dynamic "$binary")
sections=$(LC_ALL=C readelf --wide --section-headers "$binary")
failed=0

# check TEXT CLAIM has|lacks PATTERN
check() {
	case $3 in
	has) echo "$1" | grep -Eq "$4" ;;
	lacks) ! echo "$1" | grep -Eq "$4" ;;
	esac && return
	echo "$binary: not $2" >&2
	failed=$((failed + 1))
}

check "$program_headers" "position independent (ELF type DYN)" has '^Elf file type is DYN'
check "$dynamic" "marked as a position independent executable" has 'FLAGS_1.*PIE'
check "$program_headers" "static: it asks for a loader" lacks 'INTERP'
check "$dynamic" "static: it needs shared libraries" lacks '\(NEEDED\)'
check "$program_headers" "protected by RELRO" has 'GNU_RELRO'
check "$dynamic" "fully RELRO: symbols are bound lazily" has 'BIND_NOW|FLAGS_1.*NOW'
check "$dynamic" "free of text relocations" lacks 'TEXTREL'
check "$dynamic" "free of a library search path" lacks '\((RPATH|RUNPATH)\)'
check "$program_headers" "declaring its stack" has 'GNU_STACK'
check "$program_headers" "refusing to execute its stack" lacks 'GNU_STACK.* RWE '
check "$program_headers" "free of memory both writable and executable" lacks '^ *LOAD .* RWE '
check "$sections" "stripped" lacks ' (\.symtab|\.debug_info) '

exit "$((failed > 0))"
