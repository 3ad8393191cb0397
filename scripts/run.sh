#!/usr/bin/env bash
# make run: the demo gateway on SQLite with simulated providers and SMS gateway. With a terminal it
# puts a phone into it; without one it plays three purchases and exits 0 only if their SMS arrived.
set -euo pipefail
cd "$(dirname "$0")/.."
tama=$1

port_from() { # the first port from $1 on that nobody listens on
	local port=$1
	while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
	echo "$port"
}

work=$(mktemp -d)
pids=()
finish() {
	for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}
trap finish EXIT

wait_for_line() { # FILE WORDS: until the program has said that it is ready
	for _ in $(seq 200); do
		grep -q "$2" "$1" && return
		sleep 0.05
	done
	echo "did not start:" >&2
	cat "$1" "$work"/*.err >&2
	exit 1
}

sandbox_port=$(port_from 9090)
port=$(port_from 8080)
admin=$(port_from 8081)
[ "$admin" != "$port" ] || admin=$(port_from $((port + 1)))
data=$work/data
if [ -t 0 ] && [ -t 1 ]; then data=$PWD/data; fi

"$tama" sandbox --listen "127.0.0.1:$sandbox_port" \
	--ipn-base "http://127.0.0.1:$port/ipn/xente-ug/demo-ipn-secret-xente-ug" \
	>"$work/sandbox.out" 2>"$work/sandbox.err" &
pids+=($!)
wait_for_line "$work/sandbox.out" listening
"$tama" serve -c config/demo.lua \
	--set "sandbox=http://127.0.0.1:$sandbox_port" --set "public=http://127.0.0.1:$port" \
	--set "listen=127.0.0.1:$port" --set "admin=127.0.0.1:$admin" --set "data=$data" \
	>"$work/serve.out" 2>"$work/serve.err" &
pids+=($!)
wait_for_line "$work/serve.out" listening

phone=(--url "http://127.0.0.1:$port" --sms-from "http://127.0.0.1:$sandbox_port")
if [ -t 0 ] && [ -t 1 ]; then
	echo "The gateway answers on port $port, metrics on http://127.0.0.1:$admin/metrics, log in $work/serve.err."
	echo "This phone has the number 07 01 02 03 04; its Orange Money code is any 4 digits."
	"$tama" dial '*384*22#' --from 2250701020304 --channel at-ci --secret demo-secret-of-at-ci "${phone[@]}"
	exit
fi

echo "== Cote d'Ivoire: 1 000 F for oneself with Orange Money; the code is fetched by dialling #144*82#"
"$tama" dial '*384*22#' --from 2250701020304 --channel at-ci --secret demo-secret-of-at-ci \
	"${phone[@]}" --keys "1 2 1"
"$tama" dial '*384*22#' --from 2250701020304 --channel at-ci --secret demo-secret-of-at-ci \
	"${phone[@]}" --keys "1 4821" --expect-sms "1 000 F"

echo "== Uganda: 2 000 UGX for oneself; MTN asks for the secret code"
"$tama" dial '*384*22#' --from 256772123456 --channel at-ug --secret demo-secret-of-at-ug \
	"${phone[@]}" --keys "1 2 1" --expect-sms "2 000 UGX"

echo "== Cote d'Ivoire by SMS: CREDIT 500 0701020304, paid with MTN"
sms=(--from 2250501020304 --channel sms-ci --secret demo-secret-of-sms-ci "${phone[@]}")
"$tama" text 36789 "CREDIT 500 0701020304" "${sms[@]}" | tee "$work/confirm"
answer=$(grep -oE 'OUI [0-9]+' "$work/confirm" | head -n 1)
"$tama" text 36789 "$answer" "${sms[@]}" --expect-sms "07 01 02 03 04"

echo "== all three confirmed by SMS"
