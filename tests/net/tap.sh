#!/usr/bin/env bash
# A role on DPDK's net_tap with an address of its own, plugged into a bridge; the other side dials it over af_packet and over
# kernel sockets, and it dials a kernel; by IPv4, by IPv6, and with no IPv4 address at all. Then trouble: the tap's kernel end is
# taken down and up, and deleted, while one connection goes on.
# Usage: tap.sh path/to/net_echo. Needs root and /dev/net/tun: exit 77 without.
set -euo pipefail
echo_bin=$1
. "$(dirname "$0")/lib.sh"
begin cc root
[ -w /dev/net/tun ] || { echo "skipped: needs /dev/net/tun"; exit 77; }

spaces a b
ip -n "${tag}a" link add br0 type bridge
ip -n "${tag}a" link set br0 up
ip link add eth0 netns "${tag}a" type veth peer name eth0 netns "${tag}b"
ip -n "${tag}a" link set eth0 master br0 up
ip -n "${tag}b" addr add 172.28.0.2/24 dev eth0
ip -n "${tag}b" addr add fd28::2/64 dev eth0 nodad
ip -n "${tag}b" link set eth0 up

plug() { until_true "the tap appears" ip -n "${tag}a" link set cctap0 master br0 up; }
both=(--addr 172.28.0.1/24 --addr6 fd28::1/64)
start_tap() { start_in a a "$echo_bin" --driver tap --seed 1 --seconds 100 "$@"; }

# run NAME driver-of-b who-dials count size [network [addresses..]]
run() {
    local name=$1 driver=$2 dialer=$3 count=$4 size=$5 net=${6:-/ip4/172.28.0.} a_args=() b_args=() a b client server
    shift "$(($# < 6 ? $# : 6))"
    [ $# -gt 0 ] || set -- "${both[@]}"
    if [ "$dialer" = a ]; then
        a_args=(--dial "${net}2/tcp/7070" --count "$count" --size "$size")
    else
        b_args=(--dial "${net}1/tcp/7070" --count "$count" --size "$size")
    fi
    start_tap "$@" "${a_args[@]}"
    a=$last
    plug
    start_in b b "$echo_bin" --driver "$driver" --seed 2 --seconds 40 "${b_args[@]}"
    b=$last
    if [ "$dialer" = a ]; then client=$a server=$b; else client=$b server=$a; fi
    wait "$client" || fail "$name: the client"
    end "$server" "$name: the server"
    grep -q '^tap cctap0' "$work/a.out" || fail "$name: no tap"
    if ip -n "${tag}a" link show cctap0 >/dev/null 2>&1; then fail "$name: the tap was left behind"; fi
    echo "$name: $(grep -h "back=$count" "$work/a.out" "$work/b.out")"
}

run "tap, dialed over af_packet, 1 KiB" af_packet b 1000 1024
run "tap, dialed by a kernel, 100 KB" kernel b 200 100000
run "tap dials a kernel, 1 MiB" kernel a 20 1048576
run "tap, dialed by a kernel, IPv6, 100 KB" kernel b 200 100000 /ip6/fd28::
run "tap dials a kernel, IPv6, 1 MiB" kernel a 20 1048576 /ip6/fd28::
run "tap of IPv6 alone, dialed over af_packet" af_packet b 100 100000 /ip6/fd28:: --addr6 fd28::1/64
grep -Eq '^tap cctap0 mtu [0-9]+ fd28::1/64;' "$work/a.out" || fail "an IPv4 address nobody gave it"
run "tap of IPv6 alone dials a kernel" kernel a 100 100000 /ip6/fd28:: --addr6 fd28::1/64

start_tap "${both[@]}"
a=$last
plug
start_in b b "$echo_bin" --driver af_packet --seed 2 --seconds 90 --dial /ip4/172.28.0.1/tcp/7070 --count 100000 --gap 20 --size 3000
b=$last
wait_said b "^up"
flows b
ip -n "${tag}a" link set cctap0 down
wait_said a "^port: .*link is down"
ip -n "${tag}a" link set cctap0 up
wait_said a "^port: .*link is up"
flows b
ip -n "${tag}a" link del cctap0
wait_said a "^port: .*is gone"
wait_said a "^port: .*open again"
plug
flows b
kill -TERM "$b"
wait "$b" || true # it has not sent all that it was to
end "$a" "the tap in trouble"
[ "$(grep -c '^up' "$work/b.out")" = 1 ] || fail "more than one connection"
grep -Eq 'sent=[0-9]{2,} back=[0-9]{2,} bad=0' "$work/b.out" || fail "what came back"
grep -q "lost=1 found=1" "$work/a.out" || fail "not counted: $(grep sent= "$work/a.out")"
echo "tap in trouble: $(grep sent= "$work/b.out")"
echo "ok"
