"""What is outside of the machine of tests/vm/run: a namespace with a bridge, the tap of the machine's NIC, and peers on kernel sockets."""
import os
import pathlib
import re
import subprocess
import tempfile
import time

PAYLOAD_BYTES = 50000
WAIT_S = 120


def sh(*args):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, check=True).stdout


class Peer:
    def __init__(self, lan, number, ip):
        self.name, self.number = f'p{number}', number
        self.ip, self.lan = ip, lan
        self.home = lan.work / self.name
        self.home.mkdir()
        self.id = subprocess.run([lan.program('p2pnode'), 'generate-key', '--output-peer-id'], env={**os.environ, 'IDENTITY_DIR': str(self.home)},
                                 capture_output=True, text=True, check=True).stdout.strip()
        self.process = self.subscriber = None
        self.sidecar, self.payload = f'127.0.0.1:{33000 + number}', self.home / 'payload'
        self.payload.write_bytes(os.urandom(PAYLOAD_BYTES))

    def addr(self):
        return f"/ip{6 if ':' in self.ip else 4}/{self.ip}/tcp/7070/p2p/{self.id}"

    def start(self, bootstrap):
        env = {**os.environ, 'CLUSTER_ID': self.name, 'IDENTITY_DIR': str(self.home), 'NET_DRIVER': 'kernel', 'NET_ADDR': self.ip, 'DHT': 'off', 'CONN_LOW': '0',
               'SIDECAR_PORT': str(33000 + self.number), 'API_PORT': str(34000 + self.number), 'BOOTSTRAP_PEERS': bootstrap, 'PEER_EXCHANGE': 'false'}
        with open(self.home / 'log', 'w') as log:
            self.process = subprocess.Popen(self.lan.inside(self.lan.program('p2pnode')), env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_started(self):
        end = time.monotonic() + WAIT_S
        while 'node started' not in (self.home / 'log').read_text() and time.monotonic() < end:
            time.sleep(0.1)

    def codecast(self, *args):
        return self.lan.inside(self.lan.program('codecast'), *args, '--sidecar', self.sidecar)

    def subscribe(self, topic, count):
        self.subscriber = subprocess.Popen(self.codecast('subscribe', topic, '--out', self.home / 'in', '--count', count, '--timeout', f'{WAIT_S * 3}s'),
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def sum(self):
        return sha256(self.payload)

    def received(self):
        return sorted(sha256(f) for f in (self.home / 'in').iterdir())


def sha256(path):
    return sh('sha256sum', path).split()[0]


class Lan:
    """Some of the peers are in the node's list and dialed by it, the others dial it: as many of each, by IPv4 and by IPv6."""
    NODE = {4: '10.50.0.1', 6: 'fd50::1'}
    IPS = [f'10.50.0.{n}' for n in range(11, 16)] + [f'fd50::{n}' for n in range(11, 14)]

    def __init__(self, build, queues):
        self.build, self.queues = build, queues
        self.ns = f'ccvm{os.getpid() % 100000}'
        self.folder = tempfile.TemporaryDirectory(prefix='codecast-vm-lan-')
        self.work = pathlib.Path(self.folder.name)
        self.peers = []

    def program(self, name):
        return self.build / 'app' / name / name

    def inside(self, *args):
        return ['ip', 'netns', 'exec', self.ns, *map(str, args)]

    def __enter__(self):
        try:
            self._wires()
            self.peers = [Peer(self, n, ip) for n, ip in enumerate(self.IPS, 1)]
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wires(self):
        sh('ip', 'netns', 'add', self.ns)
        sh('ip', '-n', self.ns, 'link', 'set', 'lo', 'up')
        sh('ip', '-n', self.ns, 'link', 'add', 'br0', 'type', 'bridge')
        sh('ip', '-n', self.ns, 'link', 'set', 'br0', 'up')
        for ip in self.IPS:
            sh('ip', '-n', self.ns, 'addr', 'add', f"{ip}/{64 if ':' in ip else 24}", 'dev', 'br0', *(['nodad'] if ':' in ip else []))
        sh('ip', '-n', self.ns, 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap', 'multi_queue', 'vnet_hdr')
        sh('ip', '-n', self.ns, 'link', 'set', 'tap0', 'master', 'br0', 'up')

    def __exit__(self, *_):
        for p in self.peers:
            for process in (p.subscriber, p.process):
                if process:
                    process.kill()
                    process.wait()
        subprocess.run(['ip', 'netns', 'del', self.ns], stderr=subprocess.DEVNULL)
        self.folder.cleanup()

    def netdev(self):
        return ['-netdev', f'tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=off,queues={self.queues}']

    def dialed(self):
        return self.peers[::2]

    def options(self):
        return {'BOOTSTRAP': ','.join(p.addr() for p in self.dialed()), 'PEERS': len(self.peers)}

    def before(self):
        """Who is dialed is there first."""
        for p in self.dialed():
            p.start('')
        for p in self.dialed():
            p.wait_started()

    def play(self, run, node_id, payloads):
        """While the machine runs. None, or what went wrong outside of it."""
        if not run.wait(lambda: run.has('VM: node up'), WAIT_S):
            return 'the node did not come up'
        for p in self.peers[1::2]:
            family = 6 if ':' in p.ip else 4
            p.start(f'/ip{family}/{self.NODE[family]}/tcp/7070/p2p/{node_id}')
        for p in self.peers:
            p.wait_started()
            p.subscribe('down', payloads)
        if not run.wait(lambda: run.has('VM: listening'), WAIT_S):
            return 'the node did not listen'
        for p in self.peers:
            subprocess.run(p.codecast('publish', 'up', '--file', p.payload), stdout=subprocess.DEVNULL, check=True)
        return None

    def tails(self):
        return [f'{p.name}: {line}' for p in self.peers for line in (p.home / 'log').read_text().splitlines()[-4:]]

    def verdict(self, lines):
        """After a run that passed: what does not fit, or None."""
        text = '\n'.join(lines)
        sent, got = sorted(re.findall(r'^VM: sent (\w+)', text, re.M)), sorted(re.findall(r'^VM: got (\w+)', text, re.M))
        if got != sorted(p.sum() for p in self.peers):
            return "what the peers sent is not what the node's client got"
        for p in self.peers:
            if p.subscriber.wait(WAIT_S) or p.received() != sent:
                return f'{p.name} did not get what the node sent'
        return self._queues(text)

    def _queues(self, text):
        def of(name, labels=''):
            return [int(v) for v in re.findall(rf'^VM: node 1 {name}\{{[^}}]*{labels}[^}}]*\}} (\d+)', text, re.M)]

        packets, conns = of('codecast_net_role_packets_total', 'direction="in"'), of('codecast_net_role_connections')
        if f'queue 0 of {self.queues}' not in text or len(packets) != self.queues or min(packets) < 50:
            return f'not every queue got frames: {packets}'
        if len(conns) != self.queues or sum(conns) != len(self.peers):
            return f'connections of the net lcores: {conns}'
        for event in ('drop_tcp_port', 'tx_rst'):
            if of('codecast_tcp_events_total', f'event="{event}"'):
                return f'a flow came to an lcore that did not know it: {event}'
        if of('codecast_dials_failed_total'):
            return 'a dial failed'
        print(f'  {len(self.peers)} connections, {conns} to the queues, {packets} packets came to them')
        return None
