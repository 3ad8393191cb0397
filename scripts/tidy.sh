#!/bin/sh
# clang-tidy over the C files given, two at a time. A file that passed is not looked at again until it,
# a header or the configuration changes: its stamp in build/lint bears the hash of all of these.
set -eu
flags=$(make -s flags)
stamps=build/lint
mkdir -p "$stamps"
common=$(cat .clang-tidy tests/.clang-tidy scripts/tidy.h include/tama/*.h src/*/*.h tests/unit/*.h | sha1sum | cut -c1-40)
export flags stamps common

# shellcheck disable=SC2016
printf '%s\n' "$@" | xargs -P2 -I{} sh -c '
	stamp="$stamps/$(echo "$1" | tr / _)"
	hash="$common $(sha1sum <"$1")"
	[ "$(cat "$stamp" 2>/dev/null)" != "$hash" ] || exit 0
	extra="-include scripts/tidy.h"
	case $1 in
	src/core/err.c) extra= ;;
	src/lua/*) extra="-DTIDY_LUA $extra" ;;
	esac
	# shellcheck disable=SC2086
	if out=$(clang-tidy --quiet "$1" -- $flags $extra 2>/dev/null); then
		echo "$hash" >"$stamp"
	else
		echo "$out"
		exit 1
	fi' sh {}
