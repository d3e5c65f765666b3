#!/usr/bin/env bash
# Two roles in two namespaces joined by a bridge: over af_packet on both sides, and against kernel sockets either way, by IPv4 and IPv6.
# The kernels must stay silent: no RST on the wire, no connection in ss, nothing of ours left behind.
# Usage: veth.sh path/to/net_echo [times]. times: how often 8 MiB go there and back. Needs root: exit 77 without.
set -euo pipefail
echo_bin=$1 big=${2:-10}
. "$(dirname "$0")/lib.sh"
begin cc root

spaces a b s
ip -n "${tag}s" link add br0 type bridge
ip -n "${tag}s" link set br0 up
i=1
for n in a b; do
    ip link add eth0 netns "$tag$n" type veth peer name "v$n" netns "${tag}s"
    ip -n "${tag}s" link set "v$n" master br0 up
    ip -n "$tag$n" addr add "172.28.0.$i/24" dev eth0
    ip -n "$tag$n" addr add "fd28::$i/64" dev eth0 nodad
    ip -n "$tag$n" link set eth0 up
    i=$((i + 1))
done

rst='tcp[tcpflags] & tcp-rst != 0 or (ip6 and ip6[6] = 6 and ip6[53] & 4 != 0)'

# run NAME server-driver client-driver count size [server's address]
run() {
    local name=$1 sd=$2 cd=$3 count=$4 size=$5 to=${6:-/ip4/172.28.0.1} dump server client rsts all
    start_in s dump tcpdump -i va --immediate-mode -U -s 96 -w "$work/cap" tcp
    dump=$last
    wait_said dump listening
    start_in a server "$echo_bin" --driver "$sd" --seed 1 --seconds 190
    server=$last
    wait_said server "^$sd"
    start_in b client "$echo_bin" --driver "$cd" --seed 2 --seconds 180 --dial "$to/tcp/7070" --count "$count" --size "$size"
    client=$last
    wait_said client "^up"
    if [ "$sd" = af_packet ]; then
        [ -z "$(in_space a ss -Htn)" ] || fail "$name: the server's kernel has a connection"
    fi
    if [ "$cd" = af_packet ]; then
        [ -z "$(in_space b ss -Htn)" ] || fail "$name: the client's kernel has a connection"
    fi
    wait "$client" || fail "$name: the client"
    end "$server" "$name: the server"
    sleep 0.3
    end "$dump" "$name: the capture"
    rsts=$(tcpdump -r "$work/cap" "$rst" 2>/dev/null | wc -l)
    all=$(tcpdump -r "$work/cap" 2>/dev/null | wc -l)
    [ "$all" -gt 20 ] || fail "$name: only $all packets were seen on the wire"
    [ "$rsts" = 0 ] || { tcpdump -nr "$work/cap" "$rst" 2>/dev/null | head -3; fail "$name: $rsts RST on the wire"; }
    echo "$name: $(grep sent= "$work/client.out")"
}

run "af_packet - af_packet, 1 KiB" af_packet af_packet 1000 1024
run "af_packet - af_packet, 8 MiB" af_packet af_packet "$big" 8388608
run "kernel server, af_packet client" kernel af_packet 200 100000
run "af_packet server, kernel client" af_packet kernel 200 100000
run "af_packet - af_packet, IPv6, 1 MiB" af_packet af_packet 20 1048576 /ip6/fd28::1
run "kernel server, af_packet client, IPv6" kernel af_packet 200 100000 /ip6/fd28::1
run "af_packet server, kernel client, IPv6" af_packet kernel 200 100000 /ip6/fd28::1
grep -q '^af_packet eth0.* fd28::1/64' "$work/server.out" || fail "the server did not say its driver"
for n in a b; do
    [ -z "$(in_space "$n" ss -Htln)" ] || fail "a listening socket was left behind"
done
echo "ok"
