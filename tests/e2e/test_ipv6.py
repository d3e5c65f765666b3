"""Two nodes on our own TCP whose interfaces have no IPv4 address: they listen, dial, announce and find each other by IPv6 alone."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='namespaces need root')

WAIT = 30
ADDRS = ['fd77::1', 'fd77::2']


class Pair:
    """Two namespaces and a cable; what runs in them is ended by stop()."""

    def __init__(self, build, work, mode):
        self.build, self.work, self.mode = build, work, mode
        self.port = 7070 if mode == 'optimum' else 6060
        self.names = [f'cc6{os.getpid() % 100000}{x}' for x in 'ab']
        self.running, self.ids = {}, {}

    def sh(self, *args):
        return subprocess.run(args, capture_output=True, text=True, check=True).stdout

    def wires(self):
        for n in self.names:
            self.sh('ip', 'netns', 'add', n)
            self.sh('ip', '-n', n, 'link', 'set', 'lo', 'up')
        self.cable()

    def cable(self):
        """A new one where there was another."""
        a, b = self.names
        subprocess.run(['ip', '-n', a, 'link', 'del', 'eth0'], stderr=subprocess.DEVNULL)
        self.sh('ip', 'link', 'add', 'eth0', 'netns', a, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', b)
        for n, addr in zip(self.names, ADDRS):
            self.sh('ip', '-n', n, 'addr', 'add', f'{addr}/64', 'dev', 'eth0', 'nodad')
            self.sh('ip', '-n', n, 'link', 'set', 'eth0', 'up')

    def inside(self, i, *args):
        return ['ip', 'netns', 'exec', self.names[i], *map(str, args)]

    def start(self, i, **env):
        home = self.work / f'node{i}'
        home.mkdir()
        program = self.build / 'app' / 'p2pnode' / 'p2pnode'
        env = {**os.environ, 'CLUSTER_ID': f'node{i}', 'IDENTITY_DIR': str(home), 'NODE_MODE': self.mode, **env}
        self.ids[i] = subprocess.run([program, 'generate-key', '--output-peer-id'], env=env, capture_output=True, text=True, check=True).stdout.strip()
        with open(home / 'log', 'w') as log:
            self.running[i] = subprocess.Popen(self.inside(i, program), env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.until(lambda: 'node started' in self.log(i) or self.running[i].poll() is not None, f'node {i} to start')
        assert self.running[i].poll() is None, self.log(i)

    def log(self, i):
        return (self.work / f'node{i}' / 'log').read_text()

    def until(self, done, what):
        end = time.monotonic() + WAIT
        while not done():
            assert time.monotonic() < end, f'waited for {what}\n' + '\n'.join(self.log(i)[-1500:] for i in self.running)
            time.sleep(0.1)

    def get(self, i, path):
        return self.sh(*self.inside(i, 'curl', '-s', '-m', '5', f'http://127.0.0.1:9090{path}'))

    def cli(self, i, *args):
        return subprocess.run(self.inside(i, self.build / 'app' / 'codecast' / 'codecast', *args), capture_output=True, timeout=WAIT)

    def stop(self):
        codes = []
        for p in self.running.values():
            p.send_signal(signal.SIGTERM)
        for p in self.running.values():
            try:
                codes.append(p.wait(WAIT))
            except subprocess.TimeoutExpired:
                p.kill()
                codes.append(p.wait())
        for n in self.names:
            subprocess.run(['ip', 'netns', 'del', n], stderr=subprocess.DEVNULL)
        return codes


@pytest.fixture
def pair(build, tmp_path, request):
    p = Pair(build, tmp_path, request.param)
    try:
        p.wires()
        yield p
    finally:
        codes = p.stop()
    assert set(codes) == {0}, codes


def start_both(pair, drivers, **env):
    pair.start(0, NET_DRIVER=drivers[0], NET_IFACE='eth0', **env)
    # The interface: by itself. The other ports: by IPv6 too.
    pair.start(1, NET_DRIVER=drivers[1], BOOTSTRAP_PEERS=f'/ip6/{ADDRS[0]}/tcp/{pair.port}/p2p/{pair.ids[0]}', SIDECAR_BIND='::', API_BIND='::', **env)
    for i in (0, 1):
        pair.until(lambda: len(peers(pair, i)) == 1, 'the peer')


def peers(pair, i):
    return json.loads(pair.get(i, '/debug/peers'))['peers']


def send(pair, i, size):
    """From node i to the other one, whose subscriber is there by now."""
    path, out = pair.work / f'out{size}', pair.work / f'in{size}'
    path.write_bytes(os.urandom(size))
    topic = f't{i}'
    program = pair.build / 'app' / 'codecast' / 'codecast'
    subscriber = subprocess.Popen(pair.inside(1 - i, program, 'subscribe', topic, '--sidecar', '127.0.0.1', '--out', out, '--count', 1, '--timeout', f'{WAIT}s'),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pair.until(lambda: any(t['topic'] == topic for t in json.loads(pair.get(1 - i, '/debug/peers'))['topics']), 'the subscription')
    r = pair.cli(i, 'publish', topic, '--file', path, '--sidecar', '127.0.0.1')
    assert r.returncode == 0, r.stderr
    assert subscriber.wait(WAIT) == 0
    assert [f.read_bytes() for f in out.iterdir()] == [path.read_bytes()]


@pytest.mark.parametrize('pair,drivers', [('optimum', ('af_packet', 'af_packet')), ('gossipsub', ('af_xdp', 'auto'))], indirect=['pair'])
def test_nodes_without_ipv4_find_each_other(pair, drivers):
    start_both(pair, drivers)
    assert subprocess.run(pair.inside(0, 'curl', '-sf', '-m', '5', f'http://[{ADDRS[1]}]:9090/health')).returncode == 0
    for i in (0, 1):
        assert peers(pair, i)[0]['address'].startswith(f'/ip6/{ADDRS[1 - i]}/tcp/'), peers(pair, i)
        assert json.loads(pair.get(i, '/node-state'))['addresses'] == [f'/ip6/{ADDRS[i]}/tcp/{pair.port}']
        text = re.search(r'msg="data path" driver="(.*?)"', pair.log(i))[1]
        assert text.split()[0] == drivers[i].replace('auto', 'af_packet') and text.endswith(f' {ADDRS[i]}/64') and '0.0.0.0' not in text
        guards = pair.sh(*pair.inside(i, 'ss', '-Htln'))
        assert f'[{ADDRS[i]}]:{pair.port}' in guards and f'0.0.0.0:{pair.port}' not in guards and guards.count(f'[{ADDRS[i]}]:') == 65
    for i, size in ((0, 100), (0, 300000), (1, 200000)):
        send(pair, i, size)
    for i in (0, 1):
        assert not [line for line in pair.sh(*pair.inside(i, 'ss', '-Htn')).splitlines() if ADDRS[i] in line]  # none of the kernel's


@pytest.mark.parametrize('pair', ['optimum'], indirect=True)
def test_nodes_without_rights_open_a_new_interface(pair):
    """Root is given up when the interface goes and comes: af_xdp opens it with what it made before, af_packet binds again."""
    start_both(pair, ('af_xdp', 'af_packet'), RUN_AS_USER='nobody')
    for i in (0, 1):
        assert 'msg="root is given up"' in pair.log(i)
    for turn in (1, 2):
        pair.cable()
        for i in (0, 1):
            pair.until(lambda: re.search(rf'^codecast_port_found_total\{{.*\}} {turn}$', pair.get(i, '/metrics'), re.M), 'the interface to be found')
            pair.until(lambda: len(peers(pair, i)) == 1, 'the peer')
    send(pair, 0, 1000)
    send(pair, 1, 100000)
    assert 'cannot be opened' not in pair.log(0) + pair.log(1)
