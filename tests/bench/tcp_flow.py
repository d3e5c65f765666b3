"""tcp_flow at both ends of a wire: what figures 1 and 2 share."""
import json
import os
import pathlib
import signal
import subprocess

import figure


class Wire:
    """Two namespaces joined by a veth pair: 0 has 10.9.0.1, 1 has 10.9.0.2, both eth0, MTU 1500."""

    def __init__(self):
        self.tag = f'wire{os.getpid() % 100000}'

    def ns(self, i):
        return f'{self.tag}-{i}'

    def ip(self, i):
        return f'10.9.0.{i + 1}'

    def __enter__(self):
        def sh(*args):
            subprocess.run(args, check=True)
        for i in range(2):
            sh('ip', 'netns', 'add', self.ns(i))
            sh('ip', 'netns', 'exec', self.ns(i), 'sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; '
               'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up')
        sh('ip', 'link', 'add', 'eth0', 'netns', self.ns(0), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', self.ns(1))
        for i in range(2):
            sh('ip', '-n', self.ns(i), 'addr', 'add', f'{self.ip(i)}/24', 'dev', 'eth0')
            sh('ip', '-n', self.ns(i), 'link', 'set', 'eth0', 'up')
        return self

    def __exit__(self, *_):
        for i in range(2):
            subprocess.run(['ip', 'netns', 'del', self.ns(i)], check=False)


def inside(net, i):
    return ['ip', 'netns', 'exec', net.ns(i)] if net else []


def pinned(cpu):
    """On a CPU of its own where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    return ['taskset', '-c', str(cpus[cpu % len(cpus)])]


class Server:
    """tcp_flow serve at end i, ready; the stack and its driver are the contestant's name."""

    def __init__(self, build, net, i, stack, port=7070, cc=None, options=(), cpu=None):
        argv = inside(net, i) + (pinned(cpu) if cpu is not None else [])
        argv += [str(pathlib.Path(build) / 'tests' / 'bench' / 'tcp_flow'), 'serve', '--stack', stack, '--port', str(port), *options]
        self.p = subprocess.Popen(argv + (['--cc', cc] if cc else []), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port, self.said = port, ''
        if self.p.stdout.readline() != 'ready\n':
            raise RuntimeError(f'{stack}: {self.p.stderr.read().strip()}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.send_signal(signal.SIGTERM)
        try:
            _, self.said = self.p.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.communicate()
        figure.say(self.said.strip())


def client(build, net, i, what, *options, cpu=None, timeout=120):
    """Starts a client at end i and waits for its report; None when it failed, which is said."""
    argv = inside(net, i) + (pinned(cpu) if cpu is not None else [])
    argv += [str(pathlib.Path(build) / 'tests' / 'bench' / 'tcp_flow'), what, *map(str, options)]
    try:
        r = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        figure.say(f'{" ".join(argv)}: not done in {timeout} s')
        return None
    lines = [line for line in r.stdout.splitlines() if line.startswith('{')]
    if r.returncode or not lines:
        figure.say(f'{" ".join(argv)}: {r.stderr.strip()[-300:]}')
        return None
    return json.loads(lines[-1])
