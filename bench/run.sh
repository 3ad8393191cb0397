#!/usr/bin/env bash
# The benchmark: bench/run.sh BINARY. What is measured and how is in bench/README.md. All on loopback,
# about five minutes. ROUNDS, SECONDS_A_RUN, PURCHASES and SESSIONS can be set to less.
set -euo pipefail

tama=$(realpath "${1:?usage: bench/run.sh BINARY}")
here=$(realpath "$(dirname "$0")")
out=$(realpath -m "$here/../build/bench")
rounds=${ROUNDS:-5}
seconds=${SECONDS_A_RUN:-2}
purchases=${PURCHASES:-30000}
sessions=${SESSIONS:-100000}

# shellcheck source=bench/lib.sh
. "$here/lib.sh"
trap stop_all EXIT
mkdir -p "$out"
export NODE_ENV=production

# shellcheck disable=SC2046
${CC:-gcc} -std=c17 -D_GNU_SOURCE -O2 "$here/echo.c" -o "$out/echo" \
	$(pkg-config --cflags --libs libmicrohttpd)
[ -d "$here/peers/node_modules" ] || npm ci --prefix "$here/peers" --ignore-scripts \
	--omit=dev --no-audit --no-fund --loglevel=error

# ---- hops ------------------------------------------------------------------------------------------

peer() { # NAME PROCESSES
	start "$1" node "$here/peers/$1.js" "$2"
	url=http://$address/ussd
}

bare() { # poll|epoll
	start echo "$out/echo" "$1"
	url=http://$address/
}

# The reply must be the third question, and nobody may have got anything else.
expect_third_question() {
	local size
	size=$(curl -s -m 5 -i -d "$(form 9999999 '1%2A1')" "$url" | tee "$out/sample" | wc -c)
	grep -q '^1\. Confirmer' "$out/sample" || fail "$url does not show the third question"
	awk -v got="$reply_bytes" -v want="$size" \
		'BEGIN { exit !(got > want - 0.5 && got < want + 0.5) }' ||
		fail "$url: $reply_bytes bytes a reply, $size expected"
}

# The faster of two ways to run a server, which is the one to be compared with.
faster() { # SERVER WAY WAY
	local way best="" best_rate=0
	for way in "$2" "$3"; do
		$1 "$way"
		wrk_hops '1*1' "$seconds" 0
		expect_third_question
		stop
		echo "  $1 $way: $rate hops/s" >&2
		if [ "$rate" -gt "$best_rate" ]; then
			best=$way best_rate=$rate
		fi
	done
	echo "$best"
}

peer_express() { peer express "$1"; }
peer_fastify() { peer fastify "$1"; }

# Three hops of as many sessions as a run has time for; the third is the one that counts.
walk() {
	wrk_hops '' $((seconds + 1)) 0
	wrk_hops '1' $((seconds + 1)) 0 "" "$out/counts"
	wrk_hops '1*1' "$seconds" 0 "" "$out/counts"
	expect_third_question
	stop
}

hop_round() { # NUMBER
	local bare_rate ours express fastify
	bare "$bare_way"
	wrk_hops '1*1' "$seconds" 0
	stop
	bare_rate=$rate
	start_tama
	walk
	ours=$rate
	echo "$p99_us" >>"$out/p99"
	peer_express "$express_way"
	walk
	express=$rate
	peer_fastify "$fastify_way"
	walk
	fastify=$rate
	echo "  round $1: bare $bare_rate, tama $ours, express $express, fastify $fastify"
	echo "$ours" >>"$out/hops"
	echo "$ours $bare_rate" | awk '{ print $1 / $2 }' >>"$out/vs_bare"
	echo "$ours $express $fastify" | awk '{ print $1 / ($2 > $3 ? $2 : $3) }' >>"$out/vs_node"
}

bench_hops() {
	echo "ways to run the others:"
	bare_way=$(faster bare poll epoll)
	express_way=$(faster peer_express 1 2)
	fastify_way=$(faster peer_fastify 1 2)
	echo "hops/s, third question:" \
		"bare $bare_way, express x$express_way, fastify x$fastify_way"
	rm -f "$out"/{hops,vs_bare,vs_node,p99}
	for n in $(seq "$rounds"); do
		hop_round "$n"
	done
}

# ---- purchases -------------------------------------------------------------------------------------

# From the first dial until every purchase that was confirmed on a phone has had its SMS.
bench_purchases() {
	local begun phones_ms bought sold
	start_sandbox
	start_tama
	begun=$(now_ms)
	wrk_hops '1*1,1*1*1' 60 0 $((purchases / 2))
	phones_ms=$(($(now_ms) - begun))
	bought=$(metric tama_purchases_total)
	until sold=$(metric tama_sms_total) && [ "$sold" -ge "$bought" ]; do
		[ $(($(now_ms) - begun)) -lt 120000 ] || fail "$sold of $bought have had their SMS"
		sleep 0.1
	done
	settled_ms=$(($(now_ms) - begun))
	stop
	stop
	[ "$bought" -gt $((purchases * 9 / 10)) ] || fail "only $bought purchases were confirmed"
	echo "purchases: $bought confirmed on phones in $phones_ms ms, by SMS in $settled_ms ms"
	purchases_per_s=$((bought * 1000 / settled_ms))
}

# ---- memory ----------------------------------------------------------------------------------------

# Sessions that have seen the second question and are left there.
leave_sessions() { # FIRST HOW_MANY
	wrk_hops '' 60 "$1" $(($2 / 2))
	wrk_hops '1' 60 "$1" $(($2 / 2))
}

bench_memory() {
	local before after sessions_before sessions_after
	start_tama
	leave_sessions 5000000 4000
	before=$(resident_kb) sessions_before=$(metric tama_sessions)
	leave_sessions 0 "$sessions"
	after=$(resident_kb) sessions_after=$(metric tama_sessions)
	stop
	[ $((sessions_after - sessions_before)) -gt $((sessions * 9 / 10)) ] ||
		fail "only $((sessions_after - sessions_before)) sessions are left"
	echo "memory: $before kB with $sessions_before sessions, $after kB with $sessions_after"
	bytes_per_session=$(((after - before) * 1024 / (sessions_after - sessions_before)))
}

bench_hops
bench_purchases
bench_memory

spread "hops_per_s" "$out/hops"
spread "hops_vs_bare_libmicrohttpd" "$out/vs_bare"
spread "hops_vs_fastest_node_peer" "$out/vs_node"
echo
echo "hops_per_s $(median <"$out/hops")"
echo "hops_vs_bare_libmicrohttpd $(median <"$out/vs_bare" | xargs printf '%.2f')"
echo "hops_vs_fastest_node_peer $(median <"$out/vs_node" | xargs printf '%.2f')"
echo "hop_p99_ms $(median <"$out/p99" | awk '{ printf "%.1f", $1 / 1000 }')"
echo "purchases_per_s $purchases_per_s"
echo "bytes_per_idle_session $bytes_per_session"
