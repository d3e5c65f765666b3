#!/usr/bin/env bash
# Trouble at the port, while two roles in two namespaces talk: link down and up, the MACs of both ends changed, the veth deleted and
# made anew. One connection lives through all of it, every message comes back, and each trouble is told once and counted.
# Usage: trouble.sh path/to/net_echo [driver]. Needs root: exit 77 without.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
set -euo pipefail
echo_bin=$1 driver=${2:-af_packet}
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
tag=ct$$
work=$(mktemp -d)
pids=()

clean() {
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    for n in a b; do ip netns del "$tag$n" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean EXIT

fail() {
    echo "FAILED: $*"
    for f in "$work"/*.out; do echo "--- $f"; tail -12 "$f"; done
    exit 1
}

wire() {
    ip link add eth0 netns "${tag}a" type veth peer name eth0 netns "${tag}b"
    ip -n "${tag}a" addr add 172.28.5.1/24 dev eth0
    ip -n "${tag}b" addr add 172.28.5.2/24 dev eth0
    ip -n "${tag}a" link set eth0 up
    ip -n "${tag}b" link set eth0 up
}

# told WHO TEXT TIMES
told() {
    for _ in $(seq 300); do
        [ "$(grep -c "^port: .*$2" "$work/$1.out" || true)" -ge "$3" ] && return
        sleep 0.1
    done
    fail "$1 never said \"$2\" $3 times"
}

# The echoes go on: the client prints nothing of them, so the wire is asked.
flows() {
    local before now
    before=$(cat_packets)
    for _ in $(seq 300); do
        now=$(cat_packets)
        [ "$now" -gt $((before + 40)) ] && return
        sleep 0.1
    done
    fail "nothing flows after: $1"
}

cat_packets() {
    ip netns exec "${tag}b" cat /sys/class/net/eth0/statistics/rx_packets 2>/dev/null || ip -n "${tag}b" -s link show eth0 | awk '/RX:/ {getline; print $2}'
}

for n in a b; do
    ip netns add "$tag$n"
    ip -n "$tag$n" link set lo up
done
wire
ip netns exec "${tag}a" "$echo_bin" --driver "$driver" --iface eth0 --seed 1 --seconds 100 >"$work/a.out" 2>&1 &
a=$!
pids+=("$a")
for _ in $(seq 100); do grep -q "^$driver" "$work/a.out" && break; sleep 0.1; done
ip netns exec "${tag}b" "$echo_bin" --driver "$driver" --iface eth0 --seed 2 --seconds 90 --dial /ip4/172.28.5.1/tcp/7070 --count 100000 --gap 20 --size 3000 >"$work/b.out" 2>&1 &
b=$!
pids+=("$b")
flows "the start"

ip -n "${tag}a" link set eth0 down
told a "link is down" 1
told b "link is down" 1
ip -n "${tag}a" link set eth0 up
told a "link is up" 1
flows "link down and up"

ip -n "${tag}a" link set eth0 address 02:00:00:00:99:0a
ip -n "${tag}b" link set eth0 address 02:00:00:00:99:0b
flows "both MACs changed"

ip -n "${tag}a" link del eth0
told a "is gone" 1
told b "is gone" 1
wire
told a "open again" 1
told b "open again" 1
flows "the veth was made anew"

kill -TERM "$b"
wait "$b" || true # it has not sent all that it was to
kill -TERM "$a"
wait "$a" || fail "the server"
grep -Eq 'sent=[0-9]{2,} back=[0-9]{2,} bad=0' "$work/b.out" || fail "what came back"
[ "$(grep -c '^up' "$work/b.out")" = 1 ] || fail "more than one connection"
for n in a b; do
    grep -q "lost=1 found=1 down=2" "$work/$n.out" || fail "$n did not count it: $(grep sent= "$work/$n.out")"
    [ "$(grep -c 'is gone' "$work/$n.out")" = 1 ] || fail "$n said it more than once"
done
echo "$driver: $(grep sent= "$work/b.out")"
