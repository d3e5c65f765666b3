#!/usr/bin/python3
"""Memory for each connected peer and CPU for 1,000 messages of one node with many peers (kernel sockets on 127.77.x.y).

    tests/bench/peers.py [--peers 200] [--mode gossipsub|optimum] [--bytes 1024] [--messages 1000] [--rate 100] [--settle 10] [--json] [--build DIR]

The peers are light ones of another process (peers_load), each with a connection, a session and a pub/sub core of its own. All
subscribe to one topic; the first one publishes; the node passes on: to its mesh at once, to the others by gossip. The peers
know nobody but the node, so not every one gets every message: gossip reaches a quarter of them a second, for three seconds.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'scripts' / 'lib'))
import clients  # noqa: E402
import network  # noqa: E402
from figure import memory_kib  # noqa: E402


def cpu_ms(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf('SC_CLK_TCK')


def idle_cpu_ms_per_s(pid, seconds):
    before = cpu_ms(pid)
    time.sleep(seconds)
    return (cpu_ms(pid) - before) / seconds


class Load:
    def __init__(self, program, *args):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
        self.p = subprocess.Popen([program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, text):
        self.p.stdin.write(text + '\n')
        self.p.stdin.flush()

    def report(self):
        self.say('report')
        words = self.p.stdout.readline().split()
        return {words[i]: int(words[i + 1]) for i in range(0, len(words), 2)}

    def wait(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            r = self.report()
            if condition(r):
                return r
            time.sleep(0.5)
        raise SystemExit(f'{what}: not in {seconds} s: {r}')


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--peers', type=int, default=200)
    ap.add_argument('--mode', default='gossipsub', choices=['gossipsub', 'optimum'])
    ap.add_argument('--bytes', type=int, default=1024)
    ap.add_argument('--messages', type=int, default=1000)
    ap.add_argument('--rate', type=int, default=100)
    ap.add_argument('--settle', type=float, default=10, help='seconds of idling that are measured')
    ap.add_argument('--json', action='store_true', help='one line of it instead')
    ap.add_argument('--build', default=ROOT / 'build')
    a = ap.parse_args()
    protos = clients.load_protos()
    env = {'CONN_HIGH': str(max(256, a.peers + 8)), 'MAX_PEERS': str(max(512, a.peers + 8)), 'LOG_LEVEL': 'warn'}
    net = network.Network(nodes=1, gateways=0, mode=a.mode, driver='kernel', build=a.build, loopback='127.77.20', node_env=env)
    load = None
    try:
        net.start()
        node = net.nodes[0]
        receiver = clients.SidecarReceiver('r', node.control_ip, network.SIDECAR_PORT, 'bench', protos)
        receiver.start()
        receiver.ready.wait(20)
        time.sleep(3)
        pid = node.pid()
        empty, empty_idle = memory_kib(pid), idle_cpu_ms_per_s(pid, a.settle)
        load = Load(str(pathlib.Path(a.build) / 'tests' / 'bench' / 'peers_load'),
                    f'/ip4/{node.ip}/tcp/{net.mesh_port()}/p2p/{node.peer_id}', '127.77.21', str(a.peers), a.mode, str(a.bytes))
        load.wait(lambda r: r['ready'] == a.peers, 120, 'all peers connected')
        time.sleep(a.settle)
        full, full_idle = memory_kib(pid), idle_cpu_ms_per_s(pid, a.settle)
        before, start = cpu_ms(pid), time.monotonic()
        load.say(f'publish {a.messages} {a.rate}')
        load.wait(lambda r: r['left'] == 0, 600, 'all published')
        r, last = load.report(), -1
        while r['delivered'] != last:  # until gossip has nothing more to say
            last = r['delivered']
            time.sleep(5)
            r = load.report()
        spent, seconds = cpu_ms(pid) - before, time.monotonic() - start
        after = memory_kib(pid)
        work = spent - full_idle * seconds
        if a.json:
            print(json.dumps({'peers': a.peers, 'private_kib_each': (full[1] - empty[1]) / a.peers, 'rss_kib': full[0], 'idle_ms_per_s': full_idle,
                              'cpu_ms_per_message': work / a.messages, 'delivered': r['delivered'], 'cpu_us_per_copy': work * 1000 / r['delivered']}))
            return 0
        print(f'mode {a.mode}, {a.peers} peers, {a.messages} messages of {a.bytes} bytes at {a.rate}/s, delivered {r["delivered"]} times')
        print(f'memory KiB (RSS, private): no peers {empty}, {a.peers} peers {full}, after the messages {after}')
        print(f'memory for each peer: {(full[1] - empty[1]) / a.peers:.1f} KiB connected and idle, '
              f'{(after[1] - empty[1]) / a.peers:.1f} KiB after the messages')
        print(f'CPU idle, ms for each second: no peers {empty_idle:.1f}, {a.peers} peers {full_idle:.1f}')
        print(f'CPU: {spent:.0f} ms in {seconds:.1f} s; without the idle share {work * 1000 / a.messages:.0f} ms for 1,000 messages, '
              f'{work * 1000 / r["delivered"]:.1f} µs for each message that a peer got')
        return 0
    finally:
        if load:
            load.p.kill()
            load.p.wait(10)
        net.stop()


if __name__ == '__main__':
    sys.exit(main())
