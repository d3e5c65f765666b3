"""A network of real nodes for figures 6 to 8: its mesh on a bridge of the kernel's, or on wanemu where a network is emulated; its clients on
another bridge, so that what is emulated meets the mesh alone; and mesh_load, which times messages through it."""
import json
import os
import re
import subprocess
import sys

import figure
import network

sys.path.insert(0, str(figure.ROOT / 'tests' / 'tools'))
import wan  # noqa: E402


class Mesh(network.Network):
    """Nodes with 10.55.0.x on eth0 (the mesh) and 172.28.0.x on ctl0 (sidecar, API). driver: af_packet, kernel, ...
    lines: of wanemu, [] for one that does nothing yet; None: a plain bridge, as between containers. wanemu is a program on the same CPUs and
    handles packets by ticks of 50 us: nothing to measure a clean network with."""

    def __init__(self, nodes, mode='optimum', driver='af_packet', build=None, lines=None, env=None, seed=1, max_bytes=16 << 20):
        super().__init__(nodes=nodes, gateways=0, mode=mode, driver='af_packet', build=build, node_env=env, tag=f'mesh{os.getpid() % 100000}')
        if self.mode == 'gossipsub':
            self.node_env = dict(self.node_env, GOSSIPSUB_MAX_MSG_SIZE=str(max_bytes))
        self.mesh_driver, self.max_bytes = driver, max_bytes
        self.loads = 0
        for i, m in enumerate(self.nodes):
            m.control_ip, m.ip = m.ip, f'10.55.0.{i + 1}'
        self.wan = None if lines is None else wan.Wan(nodes, lines, seed=seed, build=build, names=[m.ns for m in self.nodes])

    def _bridge(self, name, *addr):
        network.sh('ip', '-n', self.lan, 'link', 'add', name, 'type', 'bridge')
        for a in addr:
            network.sh('ip', '-n', self.lan, 'addr', 'add', a, 'dev', name)
        network.sh('ip', '-n', self.lan, 'link', 'set', name, 'up')

    def _plug_in(self, m, bridge, port, inner, addr):
        network.sh('ip', '-n', self.lan, 'link', 'add', port, 'type', 'veth', 'peer', 'name', inner, 'netns', m.ns)
        self.ports.append(port)
        network.sh('ip', '-n', self.lan, 'link', 'set', port, 'master', bridge, 'up')
        network.sh('ip', '-n', m.ns, 'addr', 'add', addr, 'dev', inner)
        network.sh('ip', '-n', m.ns, 'link', 'set', inner, 'up')

    def _wires(self):
        self._namespace(self.lan)
        self._bridge('br0', '172.28.0.1/16')
        if not self.wan:
            self._bridge('br1')
        for m in self.nodes:
            self._namespace(m.ns)
            network.sh('ip', 'netns', 'exec', m.ns, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; '
                       'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6')
            self._plug_in(m, 'br0', f'p{m.index}', 'ctl0', f'{m.control_ip}/16')
            if not self.wan:
                self._plug_in(m, 'br1', f'm{m.index}', 'eth0', f'{m.ip}/24')
        if self.wan:
            self.wan.start()

    def _node_env(self, m):
        env = super()._node_env(m)
        env.update(NET_DRIVER=self.mesh_driver, NET_IFACE='eth0')
        if self.mesh_driver == 'kernel':
            env.update(NET_ADDR=m.ip)
        env.update(self.node_env)
        return env

    def stop(self):
        bad = super().stop()
        if self.wan:
            self.wan.stop()
        return bad

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        for line in self.stop():
            figure.say(line)

    def load(self, size, count, gap_ms=0, timeout_ms=10000, topics=1, streams=1, publishers=0, before=lambda: None, nodes=None):
        """Warm-up, then `before`, then the messages. mesh_load's report, and per byte needed what the nodes sent meanwhile."""
        targets = [f'{m.control_ip}:{network.SIDECAR_PORT}' for m in (nodes or self.nodes)]
        self.loads += 1  # a topic of its own: one that all have just left has no mesh for ten seconds
        argv = self.inside() + [str(self.build / 'tests' / 'bench' / 'mesh_load'), '--topic', f'bench{self.loads}']
        for name, v in (('size', size), ('count', count), ('gap', gap_ms), ('timeout', timeout_ms), ('topics', topics), ('streams', streams),
                        ('publishers', publishers)):
            argv += [f'--{name}', str(v)]
        p = subprocess.Popen(argv + targets, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if p.stdout.readline() != 'ready\n':
                raise RuntimeError(f'mesh_load: {p.stderr.read().strip()[-300:]}')
            before()
            sent, cpu = self.egress(), self.cpu()
            out, err = p.communicate('go\n', timeout=60 + count * (gap_ms + timeout_ms) / 1000)
        finally:
            p.kill()
            p.wait()
        if not out.strip():
            raise RuntimeError(f'mesh_load: {err.strip()[-300:]}')
        r = json.loads(out.splitlines()[-1])
        r['cpu_s'] = self.cpu() - cpu
        r['egress'] = (self.egress() - sent) / (size * count * (len(targets) - 1))
        r['share'] = r['delivered'] / r['expected']
        return r

    def egress(self):
        """Bytes out on all peer connections of all nodes."""
        total = 0
        for m in self.nodes:
            status, text = self.http(m, network.API_PORT, '/metrics')
            if status != 200:
                raise RuntimeError(f'{m.name} has no metrics: {text}')
            total += sum(float(v) for v in re.findall(r'^optimum_bandwidth_total_bytes\{[^}]*direction="out"[^}]*\} (\S+)$', text, re.M))
        return total

    def cpu(self):
        """Seconds of all nodes."""
        return sum(figure.run_time_s(m.pid()) for m in self.nodes)


def need(has_wan=False):
    figure.need_root()
    why_not = wan.works() if has_wan else ''
    if why_not:
        figure.skip(why_not)
