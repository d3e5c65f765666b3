#!/usr/bin/env bash
# Three roles on one host joined by codecast-switch, without the kernel: two dial the third at once; the switch is killed and comes
# back, and they find each other again. Two more joined by one memif without a switch. No rights and no namespaces are needed.
# Usage: memif.sh path/to/net_echo path/to/codecast-switch
set -euo pipefail
echo_bin=$1 switch_bin=$2
work=$(mktemp -d)
pids=()

clean() {
    for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT

fail() {
    echo "FAILED: $*"
    for f in "$work"/*.out; do echo "--- $f"; tail -8 "$f"; done
    exit 1
}

# wait_for FILE TEXT TIMES
wait_for() {
    for _ in $(seq 300); do
        [ "$(grep -c "$2" "$1" 2>/dev/null || true)" -ge "$3" ] && return
        sleep 0.1
    done
    fail "no \"$2\" in $1"
}

# start NAME args.. -> $last
start() {
    local name=$1
    shift
    "$@" >>"$work/$name.out" 2>&1 & # the roles end by themselves, the switch by the trap
    last=$!
    pids+=("$last")
}

end() {
    kill -TERM "$1"
    wait "$1" || fail "$2 did not end well"
}

role() { # NAME ID N more..
    local name=$1 id=$2 n=$3
    shift 3
    start "$name" "$echo_bin" --driver memif --memif "$work/m.sock" --id "$id" --addr "10.9.0.$n/24" --seed "$n" --seconds 90 "$@"
}

start switch "$switch_bin" --socket "$work/m.sock" --ports 4
switch=$last
wait_for "$work/switch.out" "switch started" 1
role a 0 1
a=$last
wait_for "$work/a.out" "^memif" 1
role b 1 2 --dial /ip4/10.9.0.1/tcp/7070 --count 50 --size 1000000
b=$last
role c 3 3 --dial /ip4/10.9.0.1/tcp/7070 --count 2000 --size 1024
c=$last
wait "$b" || fail "the second role"
wait "$c" || fail "the third role"
kill -USR1 "$switch"
wait_for "$work/switch.out" 'msg="port" port=3' 1
echo "three and a switch: $(grep -h sent= "$work/b.out" "$work/c.out" | cut -d' ' -f1-5 | tr '\n' ' ')"

# Killed, it says nothing to anyone.
kill -KILL "$switch"
wait "$switch" 2>/dev/null || true
start switch2 "$switch_bin" --socket "$work/m.sock" --ports 4
switch=$last
wait_for "$work/switch2.out" "a node is here" 1
role d 2 4 --dial /ip4/10.9.0.1/tcp/7070 --count 20 --size 100000
wait "$last" || fail "after the switch came back"
echo "after the switch was killed: $(grep -h sent= "$work/d.out" | cut -d' ' -f1-5)"
end "$a" "the first role"
end "$switch" "the switch"

start e "$echo_bin" --driver memif --memif "$work/p.sock" --id 7 --server --addr 10.9.1.1/24 --seed 5 --seconds 90 --vlan 9
e=$last
start f "$echo_bin" --driver memif --memif "$work/p.sock" --id 7 --addr 10.9.1.2/24 --seed 6 --seconds 90 --vlan 9 \
    --dial /ip4/10.9.1.1/tcp/7070 --count 200 --size 100000
wait "$last" || fail "two without a switch"
end "$e" "the server of two"
echo "two without a switch, on a VLAN: $(grep -h sent= "$work/f.out" | cut -d' ' -f1-5)"
echo "ok"
