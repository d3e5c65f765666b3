"""A small Codecast network on this machine: nodes and gateways, in namespaces on a bridge (as root) or on 127.0.0.x.

Addresses in namespaces: gateways from 172.28.0.10, nodes after them, the switch's own end 172.28.0.1.
Everything that start() makes, stop() takes away again: processes by pid, namespaces by name.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

# A proxy for the web is of no use on the way to these programs, and curl, urllib and gRPC would all take it.
PROXIES = {n: os.environ.pop(n) for n in list(os.environ) if n.lower().endswith('_proxy') and n.lower() != 'no_proxy'}

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIDECAR_PORT, API_PORT, HTTP_PORT, GRPC_PORT, GATEWAY_API_PORT = 33212, 9090, 8080, 50051, 8081


class Failure(Exception):
    """Said to the user as one line."""


def sh(*args, check=True):
    r = subprocess.run(args, capture_output=True, text=True)
    if check and r.returncode:
        raise Failure(f"{' '.join(args)}: {r.stderr.strip() or 'exit ' + str(r.returncode)}")
    return r.stdout


class Member:
    """One program of the network: its namespace, address, environment, process."""

    def __init__(self, kind, index, name, ip, control_ip, ns):
        self.kind, self.index, self.name, self.ip, self.control_ip, self.ns = kind, index, name, ip, control_ip, ns
        self.env, self.argv, self.process, self.log = {}, [], None, None
        self.peer_id = None

    def pid(self):
        return self.process.pid if self.process else None


class Network:
    def __init__(self, nodes=4, gateways=2, mode='optimum', driver='auto', build=None, workdir=None, node_env=None,
                 gateway_env=None, say=lambda text: None, tag=None, max_bytes=None, loopback='127.0.0', late=0, lan=None,
                 known=None, key_types=(), embedded=False, node_args=()):
        """late: so many of the last nodes are not started yet, and nobody has heard of them.
        known: so many of the first nodes alone are in everybody's list of bootstrap peers.
        lan: a namespace that is there already, for the bridge and the clients; it stays.
        key_types: of the first nodes' identities; the rest are Ed25519.
        embedded: each node has a gateway inside, and these are the gateways: there is no other, unless embedded is 'too'.
        node_args: of p2pnode; {name} in them is the node's name. Or a function of the node's place, from 0, that returns them."""
        gateways = 0 if embedded is True else gateways
        self.node_args = node_args
        self.embedded = embedded
        self.key_types = key_types
        self.mode, self.say, self.loopback = mode, say, loopback
        self.build = pathlib.Path(build or ROOT / 'build')
        self.is_root = os.geteuid() == 0
        self.driver = driver if driver != 'auto' else ('af_packet' if self.is_root else 'kernel')
        self.has_namespaces = self.driver != 'kernel'
        if self.has_namespaces and not self.is_root:
            raise Failure(f"--driver {self.driver} needs namespaces and so root; --driver kernel needs no rights")
        self.tag = tag or f'cc{os.getpid() % 100000}'
        self.own_workdir = workdir is None
        self.work = pathlib.Path(workdir or tempfile.mkdtemp(prefix='codecast-'))
        self.work.mkdir(parents=True, exist_ok=True)
        self.node_env, self.gateway_env, self.max_bytes = node_env or {}, gateway_env or {}, max_bytes
        self.gateways = [self._member('gateway', i, 10 + i) for i in range(gateways)]
        self.nodes = [self._member('node', i, 10 + gateways + i) for i in range(nodes)]
        self.members = self.gateways + self.nodes
        self.gateways = self.gateways or (self.nodes if embedded else [])
        self.lan = (lan or f'{self.tag}-lan') if self.has_namespaces else None
        self.is_own_lan = not lan
        self.late = self.nodes[nodes - late:]
        self.known = known
        self.made_namespaces, self.ports, self.has_bridge = [], [], False

    def _member(self, kind, i, last):
        name = f'{kind}{i + 1}'
        if not self.has_namespaces:
            return Member(kind, i, name, f'{self.loopback}.{last}', f'{self.loopback}.{last}', None)
        # A tap is a port of its own with an address of its own: the kernel's side of that node gets another.
        control = f'172.28.1.{last}' if self.driver == 'tap' and kind == 'node' else f'172.28.0.{last}'
        return Member(kind, i, name, f'172.28.0.{last}', control, f'{self.tag}-{"n" if kind == "node" else "g"}{i + 1}')

    # ---- the wires ----

    def _namespace(self, name):
        self.made_namespaces.append(name)  # first: an interrupt may come while it is being made
        sh('ip', 'netns', 'add', name)
        sh('ip', '-n', name, 'link', 'set', 'lo', 'up')

    def _cable(self, ns, ip):
        """From the bridge to eth0 of a new namespace."""
        port = f'p{ip.split(".")[-1]}'
        self._namespace(ns)
        self.ports.append(port)
        sh('ip', '-n', self.lan, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns)
        sh('ip', '-n', self.lan, 'link', 'set', port, 'master', 'br0', 'up')

    def _wires(self):
        if self.is_own_lan:
            self._namespace(self.lan)
        self.has_bridge = True
        sh('ip', '-n', self.lan, 'link', 'add', 'br0', 'type', 'bridge')
        sh('ip', '-n', self.lan, 'addr', 'add', '172.28.0.1/16', 'dev', 'br0')
        sh('ip', '-n', self.lan, 'link', 'set', 'br0', 'up')
        for m in self.members:
            self._cable(m.ns, m.ip)
            inner = 'eth0'
            if self.driver == 'tap' and m.kind == 'node':
                sh('ip', '-n', m.ns, 'link', 'add', 'br0', 'type', 'bridge')
                sh('ip', '-n', m.ns, 'link', 'set', 'eth0', 'master', 'br0', 'up')
                inner = 'br0'
            sh('ip', '-n', m.ns, 'addr', 'add', f'{m.control_ip}/16', 'dev', inner)
            sh('ip', '-n', m.ns, 'link', 'set', inner, 'up')

    def plug(self, name, ip):
        """A namespace on the bridge for a program that is none of ours; its name."""
        ns = f'{self.tag}-{name}'
        self._cable(ns, ip)
        sh('ip', '-n', ns, 'addr', 'add', f'{ip}/16', 'dev', 'eth0')
        sh('ip', '-n', ns, 'link', 'set', 'eth0', 'up')
        return ns

    def _plug_tap(self, m, deadline):
        """The tap appears when the node starts; join it to the node's bridge."""
        while time.monotonic() < deadline:
            for link in json.loads(sh('ip', '-j', '-n', m.ns, 'link') or '[]'):
                if link['ifname'].startswith(('dtap', 'cctap')):
                    sh('ip', '-n', m.ns, 'link', 'set', link['ifname'], 'master', 'br0', 'up')
                    return
            if m.process.poll() is not None:
                return
            time.sleep(0.05)

    # ---- the programs ----

    def program(self, name):
        path = self.build / 'app' / name / name
        if not path.exists():
            raise Failure(f'{path} is not built: ./scripts/build')
        return str(path)

    def _keys(self):
        for m in self.nodes:
            d = self.work / m.name
            d.mkdir(exist_ok=True)
            env = dict(os.environ, IDENTITY_DIR=str(d))
            m.peer_id = subprocess.run([self.program('p2pnode'), 'generate-key', '--output-peer-id', '--type', self._key_type(m)], env=env,
                                       capture_output=True, text=True, check=True).stdout.strip()

    def _key_type(self, m):
        return self.key_types[m.index] if m.index < len(self.key_types) else 'ed25519'

    def mesh_port(self):
        return 7070 if self.mode == 'optimum' else 6060

    def bootstrap(self):
        return ','.join(f'/ip4/{m.ip}/tcp/{self.mesh_port()}/p2p/{m.peer_id}' for m in self.nodes[:self.known] if m not in self.late)

    def _node_env(self, m):
        env = {'CLUSTER_ID': m.name, 'NODE_MODE': self.mode, 'IDENTITY_DIR': str(self.work / m.name),
               'BOOTSTRAP_PEERS': self.bootstrap(), 'NET_DRIVER': self.driver, 'LOG_LEVEL': 'info'}
        if self.max_bytes:
            env['OPTIMUM_MAX_MSG_SIZE'] = str(self.max_bytes)
        if self.driver == 'kernel':
            env.update(NET_ADDR=m.ip, SIDECAR_BIND=m.ip, API_BIND=m.ip)
        elif self.driver == 'tap':
            env.update(NET_ADDR=f'{m.ip}/16')
        else:
            env.update(NET_IFACE='eth0')
        if self.embedded:
            host = '' if self.has_namespaces else m.ip
            env.update(PROXY_PORT=f'{host}:{HTTP_PORT}', PROXY_GRPC_PORT=f'{host}:{GRPC_PORT}')
            env.update(self.gateway_env)
        env.update(self.node_env)
        return env

    def gateway_nodes(self, m):
        """Each gateway has nodes of its own as far as they go, so that a message crosses the mesh; one inside a node has that."""
        if m.kind == 'node':
            return [m]
        share = [n for n in self.nodes if n.index % len(self.gateways) == m.index] or self.nodes
        return share

    def _gateway_env(self, m):
        host = m.ip if not self.has_namespaces else ''
        env = {'CLUSTER_ID': m.name, 'PROXY_PORT': f'{host}:{HTTP_PORT}', 'PROXY_GRPC_PORT': f'{host}:{GRPC_PORT}',
               'P2P_NODES': ','.join(f'{n.control_ip}:{SIDECAR_PORT}' for n in self.gateway_nodes(m)), 'LOG_LEVEL': 'info'}
        if not self.has_namespaces:
            env['API_PORT'] = f'{m.ip}:{GATEWAY_API_PORT}'
        if self.max_bytes:
            env['OPTIMUM_MAX_MSG_SIZE'] = str(self.max_bytes)
        env.update(self.gateway_env)
        return env

    def spawn(self, m):
        m.env = self._node_env(m) if m.kind == 'node' else self._gateway_env(m)
        argv = [self.program('p2pnode' if m.kind == 'node' else 'gateway')]
        if m.kind == 'node':
            args = self.node_args(self.nodes.index(m)) if callable(self.node_args) else self.node_args
            argv += [str(a).format(name=m.name) for a in args]
        m.argv = (['ip', 'netns', 'exec', m.ns] if m.ns else []) + argv
        m.log = self.work / f'{m.name}.log'
        # An interrupt between the start and the note of it would leave the program behind. The child's mask is of no account:
        # our programs block these signals themselves, and wait for them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            with open(m.log, 'ab') as log:
                m.process = subprocess.Popen(m.argv, env={**os.environ, **m.env}, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, start_new_session=True)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if self.driver == 'tap' and m.kind == 'node':
            self._plug_tap(m, time.monotonic() + 20)

    def prepare(self):
        """Wires and keys; no program yet."""
        if self.has_namespaces:
            self.say(f'network: namespaces {self.tag}-*, a bridge, 172.28.0.0/16')
            self._wires()
        else:
            self.say(f"network: {self.loopback}.x on the kernel's sockets")
        self._keys()

    def start(self, timeout=40):
        self.prepare()
        now = [m for m in self.members if m not in self.late]
        for m in now:
            self.spawn(m)
        deadline = time.monotonic() + timeout
        for m in now:
            self.wait_healthy(m, deadline)

    def wait_healthy(self, m, deadline, every_s=0.1):
        port, path = (API_PORT, '/api/v1/health') if m.kind == 'node' else (HTTP_PORT, '/api/v1/health')
        while True:
            if m.process.poll() is not None:
                raise Failure(f'{m.name} ended with code {m.process.returncode}; its log:\n{self.tail(m)}')
            status, _ = self.http(m, port, path, timeout=2)
            if status == 200 or (m.kind == 'gateway' and status == 503):
                return
            if time.monotonic() > deadline:
                raise Failure(f'{m.name} does not answer on {m.control_ip}:{port}{path}; its log:\n{self.tail(m)}')
            time.sleep(every_s)

    def tail(self, m, lines=15):
        return '\n'.join(m.log.read_text(errors='replace').splitlines()[-lines:]) if m.log else ''

    def http(self, m, port, path, timeout=5):
        """GET from inside the network: (status, text); (0, reason) when nobody answers."""
        url = f'http://{m.control_ip}:{port}{path}'
        if self.lan:
            r = subprocess.run(['ip', 'netns', 'exec', self.lan, 'curl', '-s', '-m', str(timeout), '-w', '\n%{http_code}', url],
                               capture_output=True, text=True)
            body, _, code = r.stdout.rpartition('\n')
            return int(code or 0), body
        try:
            with urllib.request.urlopen(url, timeout=timeout) as f:
                return f.status, f.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(errors='replace')
        except OSError as e:
            return 0, str(e)

    def peers(self, m):
        status, text = self.http(m, API_PORT, '/debug/peers')
        return json.loads(text) if status == 200 else None

    def inside(self):
        """Prefix of a command that runs as a client of this network."""
        return ['ip', 'netns', 'exec', self.lan] if self.lan else []

    # ---- the end ----

    def kill(self, m, sig=signal.SIGTERM, timeout=8):
        """Ends one program; its exit code, or None when it had to be killed."""
        if m.process is None:
            return None
        # `ip netns exec` replaces itself by the program, so this is the program's own pid.
        if m.process.poll() is None:
            m.process.send_signal(sig)
        try:
            code = m.process.wait(timeout)
        except subprocess.TimeoutExpired:
            m.process.kill()
            m.process.wait()
            code = None
        m.process = None
        return code

    def stop(self):
        """Ends everything; the list of those that did not end well."""
        bad = []
        for m in self.members:
            if m.process and m.process.poll() is None:
                m.process.send_signal(signal.SIGTERM)
        for m in self.members:
            if m.process:
                code = self.kill(m)
                if code != 0:
                    bad.append(f'{m.name} ended with {"a kill, it did not stop in time" if code is None else f"code {code}"}')
        # The kernel takes a namespace apart some time after it is deleted: the cables first, so that the next network may have their names.
        for port in self.ports:
            sh('ip', '-n', self.lan, 'link', 'del', port, check=False)
        for ns in reversed(self.made_namespaces):
            sh('ip', 'netns', 'del', ns, check=False)
        self.ports, self.made_namespaces = [], []
        if self.has_bridge and not self.is_own_lan:
            sh('ip', '-n', self.lan, 'link', 'del', 'br0', check=False)
        if self.own_workdir and not bad:
            shutil.rmtree(self.work, ignore_errors=True)
        elif bad:
            bad.append(f'logs are in {self.work}')
        return bad
