"""The ground of figures 3 to 5: two namespaces joined by one cable, the node under measurement in one and its load in the other.

Each side has a CPU of its own when the machine has two: what is measured runs on the last, the load on the first. CPU time is what
the scheduler counts for all threads of the node. On a veth that includes the kernel's receiving at the other end, which runs in
the sender's context, for every contestant alike.
"""
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import figure
import others
import reference
from network import sh

NODE_IP, LOAD_IP, OTHER_IP = '172.29.7.2', '172.29.7.1', '172.29.7.3'
TOPIC = 'bench'


class Lines:
    """A program that is told and tells lines of JSON or words; by pid, ended by pid."""

    def __init__(self, argv, log, env=None, cwd=None):
        self.log = open(log, 'ab')
        self.p = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, cwd=cwd,
                                  env={**os.environ, **(env or {})})
        self.pid, self.had = self.p.pid, b''

    def say(self, text):
        self.p.stdin.write(text.encode() + b'\n')
        self.p.stdin.flush()

    def line(self, seconds):
        """The next line, or None: it ended, or said nothing for so long."""
        end = time.monotonic() + seconds
        while b'\n' not in self.had:
            ready, _, _ = select.select([self.p.stdout], [], [], max(0, end - time.monotonic()))
            more = os.read(self.p.stdout.fileno(), 65536) if ready else b''
            if not more:
                return None
            self.had += more
        text, self.had = self.had.split(b'\n', 1)
        return text.decode().strip()

    def event(self, name, seconds=30):
        """The next event of that name."""
        end = time.monotonic() + seconds
        while True:
            text = self.line(max(0, end - time.monotonic()))
            if text is None:
                raise RuntimeError(f'{self.p.args[0]}: no "{name}" in {seconds} s; see {self.log.name}')
            if text.startswith('{') and (e := json.loads(text)).get('event') == name:
                return e

    def stop(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
            try:
                self.p.wait(5)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        self.p.stdin.close()
        self.p.stdout.close()
        self.log.close()


class Ground:
    """with Ground(build) as g: two namespaces. A contestant is made fresh for each run."""

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.tag = f'ccb{os.getpid() % 100000}'
        self.node_ns, self.load_ns = f'{self.tag}-n', f'{self.tag}-l'
        self.work = pathlib.Path(tempfile.mkdtemp(prefix='codecast-bench-'))
        cpus = sorted(os.sched_getaffinity(0))
        self.node_cpu, self.load_cpu = cpus[-1], cpus[0]
        self.libraries = {}

    def __enter__(self):
        try:
            for ns in (self.node_ns, self.load_ns):
                sh('ip', 'netns', 'add', ns)
                sh('ip', '-n', ns, 'link', 'set', 'lo', 'up')
            sh('ip', '-n', self.load_ns, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', self.node_ns)
            for ns, ips in ((self.node_ns, [NODE_IP]), (self.load_ns, [LOAD_IP, OTHER_IP])):
                for ip in ips:
                    sh('ip', '-n', ns, 'addr', 'add', f'{ip}/24', 'dev', 'eth0')
                sh('ip', '-n', ns, 'link', 'set', 'eth0', 'up')
            (self.work / 'id').mkdir()
            subprocess.run([self.program('app/p2pnode/p2pnode'), 'generate-key'], env={**os.environ, 'IDENTITY_DIR': str(self.work / 'id')},
                           check=True, stdout=subprocess.DEVNULL)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        sh('ip', '-n', self.load_ns, 'link', 'del', 'eth0', check=False)
        for ns in (self.node_ns, self.load_ns):
            sh('ip', 'netns', 'del', ns, check=False)
        shutil.rmtree(self.work, ignore_errors=True)

    def program(self, name):
        return str(self.build / name)

    def prepare(self, *names):
        """Those libraries that can be had here."""
        self.libraries = others.prepare(names, self.build)
        return list(self.libraries)

    def _inside(self, ns, cpu, argv):
        return ['ip', 'netns', 'exec', ns, 'taskset', '-c', str(cpu), *argv]

    def in_node(self, name, argv, env=None, cwd=None):
        return Lines(self._inside(self.node_ns, self.node_cpu, argv), self.work / f'{name}.log', env, cwd)

    def in_load(self, name, argv, env=None, cwd=None):
        return Lines(self._inside(self.load_ns, self.load_cpu, argv), self.work / f'{name}.log', env, cwd)

    def cipher(self):
        """GB for each second of CPU that are sealed and opened again, nothing else: the bound of whatever goes through a node, now and here."""
        p = self.in_node('cipher', [self.program('tests/bench/bench_session'), 'cipher'])
        text = p.line(30)
        p.stop()
        return float(text.split()[1]) / 1000

    def node(self, driver, mode, env):
        """Our node as it is shipped; (process, address)."""
        e = {'CLUSTER_ID': 'bench', 'NODE_MODE': mode, 'IDENTITY_DIR': str(self.work / 'id'), 'NET_DRIVER': driver, 'NET_IFACE': 'eth0',
             'RELAY_TOPICS': TOPIC, 'LOG_LEVEL': 'warn', 'DHT': 'off', **env}
        if driver == 'kernel':
            e['NET_ADDR'] = NODE_IP
        p = self.in_node(f'node-{driver}', [self.program('app/p2pnode/p2pnode')], e)
        end = time.monotonic() + 20
        url = f'http://{NODE_IP}:9090/api/v1/health'
        while subprocess.run(['ip', 'netns', 'exec', self.load_ns, 'curl', '-sf', '-m', '1', '-o', '/dev/null', url]).returncode:
            if p.p.poll() is not None or time.monotonic() > end:
                p.stop()
                said = pathlib.Path(p.log.name).read_text(errors='replace')[-2000:]
                raise RuntimeError(f'the node does not start; its log:\n{said}')
            time.sleep(0.1)
        return p, f'/ip4/{NODE_IP}/tcp/{7070 if mode == "optimum" else 6060}'

    def reference(self, name, where, role, *args):
        """js, go or rust in a role of theirs; where: in_node or in_load."""
        if name == 'js':
            return where(f'js-{role}', ['node', 'bench_peer.mjs', role, *args], cwd=reference.LIBRARIES['js'].folder)
        argv = self.libraries[name].command()[0]
        if name == 'rust':
            argv = [others.measured_rust(self.build)]
        flags = {'relay': ['--listen', args[0], *(['--no-sign'] if args[1:] == ('nosign',) else [])], 'sink': ['--listen', args[0]],
                 'source': ['--to', args[0], '--size', *args[1:2], '--seconds', *args[2:3]]}[role]
        return where(f'{name}-{role}', [*argv, '--bench', role, *flags])


def words(text):
    w = text.split()
    return {w[i]: float(w[i + 1]) for i in range(0, len(w), 2)}
