#!/usr/bin/env bash
# A role on DPDK's net_tap with an address of its own, plugged into a bridge; the other side dials it over af_packet and over
# kernel sockets, and it dials a kernel. Usage: tap.sh path/to/net_echo. Needs root and /dev/net/tun: exit 77 without.
# The leak check of a sanitizer build may hang on a process in another namespace.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
set -euo pipefail
# timeout --foreground: otherwise it sends SIGCONT behind SIGTERM, on which LeakSanitizer's exit can hang.
echo_bin=$1
[ "$(id -u)" = 0 ] && [ -w /dev/net/tun ] || { echo "skipped: needs root and /dev/net/tun"; exit 77; }
tag=cc$$
work=$(mktemp -d)
pids=()

clean() {
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    for n in a b; do ip netns del "$tag$n" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean EXIT

ip netns add "${tag}a"
ip netns add "${tag}b"
ip -n "${tag}a" link add br0 type bridge
ip -n "${tag}a" link set br0 up
ip -n "${tag}a" link set lo up
ip link add eth0 netns "${tag}a" type veth peer name eth0 netns "${tag}b"
ip -n "${tag}a" link set eth0 master br0 up
ip -n "${tag}b" addr add 172.28.0.2/24 dev eth0
ip -n "${tag}b" addr add fd28::2/64 dev eth0 nodad
ip -n "${tag}b" link set eth0 up
ip -n "${tag}b" link set lo up

fail() {
    echo "FAILED: $*"
    for f in "$work"/*.out; do echo "--- $f"; tail -5 "$f"; done
    exit 1
}

plug() {
    for _ in $(seq 100); do
        if ip -n "${tag}a" link set cctap0 master br0 up 2>/dev/null; then return; fi
        sleep 0.05
    done
    fail "the tap did not appear"
}

# run NAME driver-of-b who-dials count size [network]
run() {
    local name=$1 driver=$2 dialer=$3 count=$4 size=$5 net=${6:-/ip4/172.28.0.} a_args=() b_args=() client server
    if [ "$dialer" = a ]; then
        a_args=(--dial "${net}2/tcp/7070" --count "$count" --size "$size")
    else
        b_args=(--dial "${net}1/tcp/7070" --count "$count" --size "$size")
    fi
    ip netns exec "${tag}a" timeout --foreground 60 "$echo_bin" --driver tap --addr 172.28.0.1/24 --addr6 fd28::1/64 --seed 1 --seconds 40 "${a_args[@]}" >"$work/a.out" 2>&1 &
    local a=$!
    pids+=("$a")
    plug
    ip netns exec "${tag}b" timeout --foreground 60 "$echo_bin" --driver "$driver" --seed 2 --seconds 40 "${b_args[@]}" >"$work/b.out" 2>&1 &
    local b=$!
    pids+=("$b")
    if [ "$dialer" = a ]; then client=$a server=$b; else client=$b server=$a; fi
    wait "$client" || fail "$name: the client"
    kill -TERM "$server"
    wait "$server" || fail "$name: the server"
    grep -q '^tap cctap0' "$work/a.out" || fail "$name: no tap"
    if ip -n "${tag}a" link show cctap0 >/dev/null 2>&1; then fail "$name: the tap was left behind"; fi
    echo "$name: $(grep -h back=$count "$work/a.out" "$work/b.out")"
}

run "tap, dialed over af_packet, 1 KiB" af_packet b 1000 1024
run "tap, dialed by a kernel, 100 KB" kernel b 200 100000
run "tap dials a kernel, 1 MiB" kernel a 20 1048576
run "tap, dialed by a kernel, IPv6, 100 KB" kernel b 200 100000 /ip6/fd28::
run "tap dials a kernel, IPv6, 1 MiB" kernel a 20 1048576 /ip6/fd28::
echo "ok"
