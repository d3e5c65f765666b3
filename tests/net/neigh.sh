#!/usr/bin/env bash
# A link without ARP and ND, where only the hosts' own tables say who is at which MAC: permanent `ip neigh` entries at both ends.
# Two roles reach each other by IPv4 and by IPv6, and follow when an entry is replaced: said once, counted.
# Usage: neigh.sh path/to/net_echo [driver]. Needs root: exit 77 without.
set -euo pipefail
echo_bin=$1 driver=${2:-af_packet}
. "$(dirname "$0")/lib.sh"
begin cn root

mac_of() { ip netns exec "$tag$1" cat /sys/class/net/eth0/address; }

know() { # WHO NUMBER-OF-THE-OTHER MAC: both addresses of the other end
    ip -n "$tag$1" neigh replace "172.28.6.$2" lladdr "$3" dev eth0 nud permanent
    ip -n "$tag$1" neigh replace "fd29::$2" lladdr "$3" dev eth0 nud permanent
}

is_up() { ip -n "$tag$1" link show eth0 | grep -q "state UP"; }

spaces a b
ip link add eth0 netns "${tag}a" type veth peer name eth0 netns "${tag}b"
i=1
for n in a b; do
    ip -n "$tag$n" link set eth0 arp off
    ip -n "$tag$n" addr add "172.28.6.$i/24" dev eth0
    ip -n "$tag$n" addr add "fd29::$i/64" dev eth0 nodad
    ip -n "$tag$n" link set eth0 up
    i=$((i + 1))
done
for n in a b; do until_true "the link of $n is up" is_up "$n"; done
know a 2 "$(mac_of b)"
know b 1 "$(mac_of a)"

start_in a a "$echo_bin" --driver "$driver" --iface eth0 --seed 1 --seconds 100
a=$last
wait_said a "^$driver"
for to in /ip4/172.28.6.1 /ip6/fd29::1; do
    start_in b first "$echo_bin" --driver "$driver" --iface eth0 --seed 2 --seconds 20 --dial "$to/tcp/7070" --count 20 --size 3000
    wait "$last" || fail "by $to"
    if grep -q "^dial failed" "$work/first.out"; then fail "not at the first dial: $to"; fi
done

start_in b b "$echo_bin" --driver "$driver" --iface eth0 --seed 2 --seconds 90 --dial /ip4/172.28.6.1/tcp/7070 --count 100000 --gap 20 --size 3000
b=$last
wait_said b "^up"
flows b
ip -n "${tag}b" link set eth0 address 02:00:00:00:98:0b # its kernel forgets what it knows of that interface
know b 1 "$(mac_of a)"
know a 2 02:00:00:00:98:0b
flows b
wait_said a "^port: a neighbour has another MAC"
wait_said b "^port: the interface has another MAC"

kill -TERM "$b"
wait "$b" || true # it has not sent all that it was to
end "$a" "the server"
[ "$(grep -c '^up' "$work/b.out")" = 1 ] || fail "more than one connection"
grep -Eq 'sent=[0-9]{2,} back=[0-9]{2,} bad=0' "$work/b.out" || fail "what came back"
grep -q " moved=2" "$work/a.out" || fail "a did not count both addresses of b: $(grep sent= "$work/a.out")"
[ "$(grep -c 'a neighbour has another MAC' "$work/a.out")" = 1 ] || fail "a said it more than once"
echo "$driver: $(grep sent= "$work/b.out")"
