#!/usr/bin/env bash
# Two roles in two namespaces joined by a bridge: over af_packet on both sides, and against kernel sockets either way, by IPv4 and IPv6.
# The kernels must stay silent: no RST on the wire, no connection in ss, nothing of ours left behind.
# Usage: veth.sh path/to/net_echo. Needs root: exit 77 without.
# The leak check of a sanitizer build may hang on a process in another namespace.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
set -euo pipefail
# timeout --foreground: otherwise it sends SIGCONT behind SIGTERM, on which LeakSanitizer's exit can hang.
echo_bin=$1
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
tag=cc$$
work=$(mktemp -d)
pids=()

clean() {
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    for n in a b s; do ip netns del "$tag$n" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean EXIT

for n in a b s; do ip netns add "$tag$n"; done
ip -n "${tag}s" link add br0 type bridge
ip -n "${tag}s" link set br0 up
i=1
for n in a b; do
    ip link add eth0 netns "$tag$n" type veth peer name "v$n" netns "${tag}s"
    ip -n "${tag}s" link set "v$n" master br0 up
    ip -n "$tag$n" addr add "172.28.0.$i/24" dev eth0
    ip -n "$tag$n" addr add "fd28::$i/64" dev eth0 nodad
    ip -n "$tag$n" link set eth0 up
    ip -n "$tag$n" link set lo up
    i=$((i + 1))
done

fail() {
    echo "FAILED: $*"
    for f in "$work"/*.out; do echo "--- $f"; tail -5 "$f"; done
    exit 1
}

rst='tcp[tcpflags] & tcp-rst != 0 or (ip6 and ip6[6] = 6 and ip6[53] & 4 != 0)'

# run NAME server-driver client-driver count size [server's address]
run() {
    local name=$1 sd=$2 cd=$3 count=$4 size=$5 to=${6:-/ip4/172.28.0.1} server
    ip netns exec "${tag}s" tcpdump -i va --immediate-mode -U -s 96 -w "$work/cap" tcp >/dev/null 2>"$work/dump.log" &
    local dump=$!
    pids+=("$dump")
    for _ in $(seq 50); do grep -q listening "$work/dump.log" && break; sleep 0.1; done
    ip netns exec "${tag}a" timeout --foreground 60 "$echo_bin" --driver "$sd" --seed 1 --seconds 50 >"$work/server.out" 2>&1 &
    server=$!
    pids+=("$server")
    sleep 0.7
    ip netns exec "${tag}b" timeout --foreground 60 "$echo_bin" --driver "$cd" --seed 2 --seconds 40 --dial "$to/tcp/7070" \
        --count "$count" --size "$size" >"$work/client.out" 2>&1 &
    local client=$!
    pids+=("$client")
    sleep 0.3
    if [ "$sd" = af_packet ]; then
        [ -z "$(ip netns exec "${tag}a" ss -Htn)" ] || fail "$name: the server's kernel has a connection"
    fi
    if [ "$cd" = af_packet ]; then
        [ -z "$(ip netns exec "${tag}b" ss -Htn)" ] || fail "$name: the client's kernel has a connection"
    fi
    wait "$client" || fail "$name: the client"
    kill -TERM "$server"
    wait "$server" || fail "$name: the server"
    sleep 0.3
    kill -TERM "$dump"
    wait "$dump" || true
    local rsts
    rsts=$(tcpdump -r "$work/cap" "$rst" 2>/dev/null | wc -l)
    local all
    all=$(tcpdump -r "$work/cap" 2>/dev/null | wc -l)
    [ "$all" -gt 20 ] || fail "$name: only $all packets were seen on the wire"
    [ "$rsts" = 0 ] || { tcpdump -nr "$work/cap" "$rst" 2>/dev/null | head -3; fail "$name: $rsts RST on the wire"; }
    echo "$name: $(grep sent= "$work/client.out")"
}

run "af_packet - af_packet, 1 KiB" af_packet af_packet 1000 1024
run "af_packet - af_packet, 8 MiB" af_packet af_packet 10 8388608
run "kernel server, af_packet client" kernel af_packet 200 100000
run "af_packet server, kernel client" af_packet kernel 200 100000
run "af_packet - af_packet, IPv6, 1 MiB" af_packet af_packet 20 1048576 /ip6/fd28::1
run "kernel server, af_packet client, IPv6" kernel af_packet 200 100000 /ip6/fd28::1
run "af_packet server, kernel client, IPv6" af_packet kernel 200 100000 /ip6/fd28::1
grep -q '^af_packet eth0.* fd28::1/64' "$work/server.out" || fail "the server did not say its driver"
for n in a b; do
    [ -z "$(ip netns exec "$tag$n" ss -Htln)" ] || fail "a listening socket was left behind"
done
echo "ok"
