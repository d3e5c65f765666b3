#!/usr/bin/env bash
# Trouble at the port, while two roles in two namespaces talk: link down and up, the MACs of both ends changed, a smaller MTU, the veth
# deleted and made anew. One connection lives through all of it, every message comes back, and each trouble is told once and counted.
# Usage: trouble.sh path/to/net_echo [driver]. Needs root: exit 77 without.
set -euo pipefail
echo_bin=$1 driver=${2:-af_packet}
. "$(dirname "$0")/lib.sh"
begin ct root

wire() {
    ip link add eth0 netns "${tag}a" type veth peer name eth0 netns "${tag}b"
    ip -n "${tag}a" addr add 172.28.5.1/24 dev eth0
    ip -n "${tag}b" addr add 172.28.5.2/24 dev eth0
    ip -n "${tag}a" link set eth0 up
    ip -n "${tag}b" link set eth0 up
    # The kernel may say for a second that a link is down which carries already: who starts in it counts that too, and rightly.
    for n in a b; do until_true "the link of $n is up" is_up "$n"; done
}

is_up() { ip -n "$tag$1" link show eth0 | grep -q "state UP"; }

both_say() { # TEXT TIMES
    wait_said a "^port: .*$1" "$2"
    wait_said b "^port: .*$1" "$2"
}

both_link() { # what `ip link set eth0` takes
    ip -n "${tag}a" link set eth0 "$@"
    ip -n "${tag}b" link set eth0 "$@"
}

spaces a b
wire
start_in a a "$echo_bin" --driver "$driver" --iface eth0 --seed 1 --seconds 100
a=$last
wait_said a "^$driver"
start_in b b "$echo_bin" --driver "$driver" --iface eth0 --seed 2 --seconds 90 --dial /ip4/172.28.5.1/tcp/7070 --count 100000 --gap 20 --size 3000
b=$last
wait_said b "^up"
flows b

ip -n "${tag}a" link set eth0 down
both_say "link is down" 1
ip -n "${tag}a" link set eth0 up
wait_said a "^port: .*link is up"
flows b

ip -n "${tag}a" link set eth0 address 02:00:00:00:99:0a
ip -n "${tag}b" link set eth0 address 02:00:00:00:99:0b
both_say "the interface has another MAC" 1
flows b
both_say "a neighbour has another MAC" 1

both_link mtu 1300 # the kernel takes nothing longer from us, and lets nothing longer in
both_say "the interface has another MTU" 1
flows b
both_link mtu 1500

ip -n "${tag}a" link del eth0
both_say "is gone" 1
wire
both_say "open again" 1
flows b

kill -TERM "$b"
wait "$b" || true # it has not sent all that it was to
end "$a" "the server"
grep -Eq 'sent=[0-9]{2,} back=[0-9]{2,} bad=0' "$work/b.out" || fail "what came back"
[ "$(grep -c '^up' "$work/b.out")" = 1 ] || fail "more than one connection"
for n in a b; do
    grep -q "lost=1 found=1 down=2 moved=[1-9]" "$work/$n.out" || fail "$n did not count it: $(grep sent= "$work/$n.out")"
    [ "$(grep -c 'is gone' "$work/$n.out")" = 1 ] || fail "$n said it more than once"
done
echo "$driver: $(grep sent= "$work/b.out")"
