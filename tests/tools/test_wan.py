#!/usr/bin/python3
"""wanemu is what it says, between two kernels: delay, rate, queue, loss, and big TCP segments that arrive whole. As root; else skipped (77).

    test_wan.py BUILD

Bounds are wide where a busy machine shows: a packet may be late, and is never early; a count of losses has no time in it.
"""
import json
import pathlib
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import wan  # noqa: E402

BUILD = pathlib.Path(sys.argv[1])
FAILED = []


def check(what, ok):
    print(f'{"ok    " if ok else "FAILED"} {what}', flush=True)
    if not ok:
        FAILED.append(what)


def probe(net, *args):
    r = subprocess.run([BUILD / 'tests' / 'tools' / 'wan_probe', net.ns(0), net.ns(1), net.ip(1), *map(str, args)],
                       capture_output=True, text=True, timeout=60)
    return json.loads(r.stdout)


def delay(net):
    net.set('all delay 20ms')
    r = probe(net, '--count', 200, '--interval', 1000)
    d = r['delay_us']
    check(f'delay 20 ms: {d}', r['received'] == 200 and d['least'] >= 20000 and d['p50'] < 25000)
    net.set('all delay 0')


def rate(net):
    """A queue that is never empty: bytes a second are the rate's, and what it cannot hold is dropped and counted."""
    net.set('all rate 80Mbit queue 200kB')
    end = time.monotonic() + 30
    while True:
        before = net.path(0, 1)
        r = probe(net, '--count', 5000, '--interval', 20, '--size', 958)  # 1,000 bytes with headers: 50 MB/s, five times the rate
        after = net.path(0, 1)
        wire = r['MB_s'] * 1000 / 958
        # A stretch without the CPU lets the queue run dry, and the rate is less then: once more. It is never more.
        if wire > 5 or time.monotonic() > end:
            break
    check(f'rate 10 MB/s: {wire:.2f}', 5 < wire < 10.2)
    full = after['queue_full'] - before['queue_full']
    check(f'queue: {full} dropped, {r["received"]} of {r["sent"]} came', r['sent'] == r['received'] + full and full > 0)
    net.set('all rate 0')


def loss(net):
    net.set('all loss 5%')
    before = net.path(0, 1)['lost']
    r = probe(net, '--count', 10000, '--interval', 20)
    lost = net.path(0, 1)['lost'] - before
    check(f'loss 5 %: {lost} of 10,000', r['sent'] - r['received'] == lost and 413 <= lost <= 587)  # 4 standard deviations
    net.set('all loss 0')


def tcp(net):
    """The kernels leave segmentation to the network; with loss in it each byte still comes."""
    net.set('all loss 1% delay 1ms')
    server = net.popen(1, [sys.executable, '-c', 'import socket, hashlib\n'
                           's = socket.create_server(("", 9001)); print("up", flush=True)\n'
                           'c = s.accept()[0]; h = hashlib.sha256()\n'
                           'while d := c.recv(1 << 20): h.update(d)\n'
                           'print(h.hexdigest())'], stdout=subprocess.PIPE, text=True)
    try:
        server.stdout.readline()
        client = net.run(0, [sys.executable, '-c', 'import socket, hashlib, random\n'
                             'd = random.Random(1).randbytes(8 << 20)\n'
                             f'socket.create_connection(("{net.ip(1)}", 9001)).sendall(d); print(hashlib.sha256(d).hexdigest())'],
                         capture_output=True, text=True, timeout=60)
        out, _ = server.communicate(timeout=60)
    finally:
        server.kill()
        server.wait()
    c = net.counters()
    check('8 MiB by TCP come as they were sent', out == client.stdout and len(out.strip()) == 64)
    check(f'big segments came and went: {c["nodes"][0]["in_super"]}, {c["nodes"][1]["out_super"]}',
          c['nodes'][0]['in_super'] > 10 and c['nodes'][1]['out_super'] > 10)
    check('nothing was refused, dropped or held back', not any(n['in_bad'] or n['out_failed'] or n['not_read'] for n in c['nodes'])
          and c['overrun'] == 0)


def main():
    why_not = wan.works()
    if why_not:
        print(f'skipped: {why_not}')
        return 77
    with wan.Wan(2, seed=5, build=BUILD) as net:
        for test in (delay, rate, loss, tcp):
            test(net)
    check('its last word are the counters', net.last is not None and net.path(0, 1, net.last)['packets'] > 0)
    left = [n for n in wan.sh('ip', 'netns').split() if n.startswith(net.tag + '-')]
    check(f'nothing is left: {left}', not left)
    return 1 if FAILED else 0


if __name__ == '__main__':
    sys.exit(main())
