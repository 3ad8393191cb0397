#!/bin/sh
# All the checks that run no program of ours. Every one runs, whatever the others say; the first run of
# clang-tidy takes minutes, later ones look only at what has changed.
set -u
cd "$(dirname "$0")/.."
failed=""

step() {
	name=$1
	shift
	echo "-- $name"
	"$@" || failed="$failed $name"
}

is_formatted() {
	status=0
	for file in "$@"; do
		clang-format "$file" | cmp -s - "$file" && continue
		echo "$file:1: not in the house's format: make fmt"
		status=1
	done
	return $status
}

c_files=$(ls src/*/*.c tests/*/*.c bench/*.c 2>/dev/null)
c_all=$(ls src/*/*.[ch] include/tama/*.h tests/*/*.[ch] bench/*.[ch] 2>/dev/null)
includes="-Iinclude -Itests/unit"

# shellcheck disable=SC2086
{
	step format is_formatted $c_all
	step source python3 scripts/check_source.py
	step luacheck luacheck -q --no-color .
	step cppcheck cppcheck --quiet --std=c11 --enable=warning,style,performance,portability \
		--inline-suppr --suppressions-list=scripts/cppcheck.suppress --error-exitcode=1 -j2 \
		-DTAMA_TEST $includes src tests/unit
	step clang-tidy scripts/tidy.sh ${LINT_FILES:-$c_files}
}

if [ -n "$failed" ]; then
	echo "lint: failed:$failed"
	exit 1
fi
echo "lint: ok"
