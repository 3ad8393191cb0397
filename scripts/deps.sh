#!/bin/sh
# Installs what Debian 12 lacks for the named purposes (run, test, bench). Asks nothing; does nothing,
# and does not touch the network, when all is there.
set -eu
run="gcc make pkg-config libmicrohttpd-dev libcurl4-openssl-dev liblua5.4-dev libsqlite3-dev
libjansson-dev libsodium-dev curl ca-certificates"
test="python3 libcmocka-dev kannel kannel-extras clang-format clang-tidy cppcheck lua-check
strace fiu-utils libfaketime e2fsprogs sqlite3 perl spin lua5.4 systemd libseccomp2"
bench="wrk nodejs npm"

want=""
for purpose in "$@"; do
	case $purpose in
	run) want="$want $run" ;;
	test) want="$want $test" ;;
	bench) want="$want $bench" ;;
	*) echo "deps.sh: unknown purpose $purpose" >&2; exit 2 ;;
	esac
done

missing=""
for p in $want; do
	case $p in
	# A node that came another way than by apt serves as well.
	nodejs) command -v node >/dev/null && continue ;;
	npm) command -v npm >/dev/null && continue ;;
	esac
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
	as_root="sudo"
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
