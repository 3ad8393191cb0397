# shellcheck shell=bash disable=SC2154,SC2034
# Parts of run.sh: servers, wrk and numbers. It shares run.sh's variables both ways.

pids=()

fail() {
	echo "bench: $*" >&2
	exit 1
}

# Starts a server that prints "listening on ADDRESS:PORT", and waits until it does. Sets address.
start() { # NAME COMMAND...
	local name=$1
	shift
	: >"$out/$name.log" # another one's address may be in it
	"$@" >>"$out/$name.log" 2>"$out/$name.err" &
	pids+=($!)
	for _ in $(seq 100); do
		address=$(sed -n 's/.*listening on \([0-9.]*:[0-9]*\).*/\1/p' "$out/$name.log")
		[ -z "$address" ] || return 0
		kill -0 "${pids[-1]}" 2>/dev/null || break
		sleep 0.05
	done
	cat "$out/$name.err" >&2
	fail "$name did not start"
}

# Ends the server started last: politely, and after five seconds for certain.
stop() {
	local pid=${pids[-1]}
	unset 'pids[-1]'
	kill "$pid" 2>/dev/null || true
	for _ in $(seq 100); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.05
	done
	if kill -9 "$pid" 2>/dev/null; then
		echo "bench: process $pid did not end by itself" >&2
	fi
	wait "$pid" 2>/dev/null || true
}

stop_all() {
	while [ ${#pids[@]} -gt 0 ]; do
		stop
	done
}

free_port() {
	local port
	for _ in $(seq 50); do
		port=$((20000 + RANDOM % 10000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
	fail "no free port"
}

start_sandbox() {
	start sandbox "$tama" sandbox --listen 127.0.0.1:0 --ipn-delay-ms 0 --spacing-ms 0 \
		--et-key bench-api-key --sms-user bench --sms-password bench-sms-password
	sandbox_url=http://$address
}

# On an empty database, so that no round inherits another's sessions; its mark would hold the next.
start_tama() {
	local port
	port=$(free_port)
	rm -rf "$out/data" "$out/data.mark"
	start tama "$tama" serve -c "$here/config.lua" --set data="$out/data" \
		--set listen="127.0.0.1:$port" --set admin=127.0.0.1:0 \
		--set public="http://127.0.0.1:$port" \
		--set sandbox="${sandbox_url:-http://127.0.0.1:9}"
	admin=$(sed -n 's/.*metrics on \([0-9.:]*\).*/\1/p' "$out/tama.log")
	url=http://$address/ussd/at-ci/bench-secret-of-at-ci
}

metric() { # NAME
	curl -s -m 5 "http://$admin/metrics" | awk -v name="$1" '$1 == name { print $2 }'
}

resident_kb() {
	awk '/^VmRSS/ { print $2 }' "/proc/${pids[-1]}/status"
}

form() { # NUMBER TEXT
	printf 'sessionId=ATUid_%032d&phoneNumber=%%2B22505%08d&serviceCode=%%2A384%%2A22%%23&networkCode=61205&text=%s' \
		"$1" "$1" "$2"
}

# Hops of many sessions. Sets rate, reply_bytes and p99_us, and writes the counts of each thread.
wrk_hops() { # TEXTS SECONDS FIRST [SESSIONS_A_THREAD [COUNTS]]
	local requests us failures
	wrk -t 2 -c 64 -d "$2" --latency -s "$here/hop.lua" "$url" -- \
		"$1" "$3" "${4:-9000000}" ${5:+"$5"} >"$out/wrk.txt"
	read -r requests us failures reply_bytes p99_us < <(sed -n 's/^RESULT //p' "$out/wrk.txt")
	sed -n 's/^COUNT //p' "$out/wrk.txt" >"$out/counts"
	[ "$failures" = 0 ] || fail "$url: $failures requests failed"
	rate=$((requests * 1000000 / us))
}

now_ms() {
	date +%s%3N
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

spread() { # NAME FILE
	sort -n "$2" | awk -v name="$1" '{ v[NR] = $1 } END { print name ": " v[1] " to " v[NR] " in " NR " rounds" }'
}
