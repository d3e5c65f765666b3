"""Namespaces joined by wanemu, the emulated wide area network (tests/tools/wanemu): made, changed while they run, and removed.

    with wan.Wan(3, ['all delay 10ms loss 1%', 'node 2 down 100Mbit queue 250kB']) as net:
        net.popen(0, ['program', net.ip(1)])
        net.set('all loss 5%')
        net.counters()

Node i has the namespace <tag>-<i> and the address 10.55.0.<i+1> on eth0. Needs root and /dev/net/tun.
"""
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


class WanError(Exception):
    pass


def sh(*args, check=True):
    r = subprocess.run(args, capture_output=True, text=True)
    if check and r.returncode:
        raise WanError(f"{' '.join(args)}: {r.stderr.strip() or r.returncode}")
    return r.stdout


def works():
    """Whether it can run here; else the reason."""
    if os.geteuid():
        return 'needs root: network namespaces'
    if not os.access('/dev/net/tun', os.W_OK):
        return 'needs /dev/net/tun'
    return ''


class Wan:
    def __init__(self, nodes, lines=(), seed=1, tag=None, build=None, net='10.55.0.0/24', options=(), names=None):
        """tag: of the namespaces' names; names: they are there already, and stay; net: their addresses; options: more of wanemu."""
        self.nodes, self.net, self.names = nodes, net, names
        self.tag = tag or f'wan{os.getpid() % 100000}'
        self.program = pathlib.Path(build or ROOT / 'build') / 'tests' / 'tools' / 'wanemu' / 'wanemu'
        self.argv = [str(self.program), '--ns', ','.join(self.ns(i) for i in range(nodes)), '--net', net, '--seed', str(seed), *options]
        for line in lines:
            self.argv += ['--set', line]
        self.made, self.process, self.last = [], None, None

    def ns(self, i):
        return self.names[i] if self.names else f'{self.tag}-{i}'

    def ip(self, i):
        first, _, last = self.net.split('/')[0].rpartition('.')
        return f'{first}.{int(last) + 1 + i}'

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        for i in range(0 if self.names else self.nodes):
            self.made.append(self.ns(i))  # first: an interrupt may come while it is being made
            sh('ip', 'netns', 'add', self.ns(i))
            # Nobody's neighbour discovery shall use up the seeded losses.
            sh('ip', 'netns', 'exec', self.ns(i), 'sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; '
               'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up')
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != 'ready\n':
            raise WanError(f'wanemu did not start: {self.process.stderr.read().strip()}')

    def stop(self):
        """The counters of the whole run; None when it never ran."""
        if self.process:
            out, err = self.process.communicate()  # the end of its stdin ends it
            self.last = json.loads(out.splitlines()[-1]) if out.strip() else None
            if self.process.returncode:
                self.last = None
                print(f'wanemu: {err.strip()}')
            self.process = None
        for ns in self.made:
            sh('ip', 'netns', 'del', ns, check=False)
        self.made = []
        return self.last

    def _say(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def set(self, *lines):
        """Changes the network from now on (wanemu/config.h has the form of the lines)."""
        for line in lines:
            answer = self._say(line)
            if answer != 'ok':
                raise WanError(f'{line}: {answer}')

    def counters(self):
        return json.loads(self._say('counters'))

    def path(self, a, b, counters=None):
        """The counters of the packets from a to b."""
        return next((p for p in (counters or self.counters())['paths'] if (p['from'], p['to']) == (a, b)),
                    {'packets': 0, 'bytes': 0, 'lost': 0, 'queue_full': 0, 'marked': 0})

    def inside(self, i):
        """Prefix of a command that runs at node i."""
        return ['ip', 'netns', 'exec', self.ns(i)]

    def popen(self, i, argv, **kw):
        return subprocess.Popen(self.inside(i) + [str(a) for a in argv], **kw)

    def run(self, i, argv, **kw):
        return subprocess.run(self.inside(i) + [str(a) for a in argv], **kw)
