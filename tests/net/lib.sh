# lib.sh: what the shell tests of this folder share. Source it with set -euo pipefail, then call begin.
#   $work: a folder for files, gone at the end; NAME.out in it is what the program NAME said
#   $tag: begins the names of this run's namespaces; those made by spaces go at the end, and so do the programs of start
# The leak check of a sanitizer build may hang on a process in another namespace.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
LIMIT=300 # tenths of a second that anything may take

# begin LETTERS [root]: LETTERS tell this test's namespaces from others'
begin() {
    [ "${2:-}" != root ] || [ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
    tag=$1$$
    work=$(mktemp -d)
    pids=() spaces=()
    trap clean EXIT
}

clean() {
    for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    for n in "${spaces[@]}"; do ip netns del "$tag$n" 2>/dev/null || true; done
    rm -rf "$work"
}

fail() {
    echo "FAILED: $*"
    for f in "$work"/*.out; do echo "--- $f"; grep -v '^back' "$f"; done
    exit 1
}

# spaces NAME..: network namespaces $tag$NAME
spaces() {
    for n in "$@"; do
        ip netns add "$tag$n"
        spaces+=("$n")
        ip -n "$tag$n" link set lo up
    done
}

# in_space NAME command..
in_space() {
    local n=$1
    shift
    ip netns exec "$tag$n" "$@"
}

# start NAME command..: in the background; $last is its pid
start() {
    local name=$1
    shift
    : >"$work/$name.out" # here, not in the background: what an earlier run said is not to be taken for this one's
    "$@" >>"$work/$name.out" 2>&1 &
    last=$!
    pids+=("$last")
}

# start_in SPACE NAME command..
start_in() {
    local n=$1 name=$2
    shift 2
    start "$name" ip netns exec "$tag$n" "$@"
}

# end PID NAME: by SIGTERM; it must end well
end() {
    kill -TERM "$1"
    wait "$1" || fail "$2 did not end well"
}

# until_true WHAT command..: until it succeeds
until_true() {
    local what=$1
    shift
    for _ in $(seq "$LIMIT"); do
        if "$@" 2>/dev/null; then return; fi
        sleep 0.1
    done
    fail "never: $what"
}

said() { [ "$(grep -c "$2" "$work/$1.out" || true)" -ge "$3" ]; }

# wait_said NAME PATTERN [TIMES]: until the program has said it
wait_said() { until_true "$1 says \"$2\" ${3:-1} times" said "$1" "$2" "${3:-1}"; }

# flows NAME: 30 more echoes come back to this net_echo with --gap
flows() { wait_said "$1" "^back " $(($(grep -c "^back " "$work/$1.out" || true) + 3)); }
