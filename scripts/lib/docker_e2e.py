"""scripts/docker-e2e: the images and compose files of docker/, proved with a real engine."""
import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

import clients
from docker_engine import Compose, Engine, free_port, sh

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGES = ('p2pnode', 'gateway')
NODES = [f'p2pnode-{i}' for i in range(1, 5)]
SERVICES = NODES + ['gateway-1', 'gateway-2']
PORTS = [f'GATEWAY_{i}_{p}' for i in (1, 2) for p in ('HTTP', 'GRPC')] + [f'NODE_{i}_{p}' for i in range(1, 5) for p in ('SIDECAR', 'API')] + ['NODE_1_P2P']
SIZES = (100, 1000, 60_000, 1_000_000)
LIMIT_MB = 200


class Saw:
    """What was looked at, said as it is seen, and counted."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.began = time.monotonic()

    def title(self, text):
        print(f'\n[{time.monotonic() - self.began:4.0f} s] {text}', flush=True)

    def check(self, ok, what, detail=''):
        self.passed += bool(ok)
        self.failed += not ok
        print(f'  {"ok    " if ok else "FAILED"} {what}' + (f': {detail}' if detail != '' else ''), flush=True)
        return bool(ok)

    def skip(self, what, why):
        self.skipped += 1
        print(f'  skip   {what}: {why}', flush=True)

    def show(self, text, prefix='         '):
        for line in text.strip().splitlines():
            print(prefix + line[:220], flush=True)


def wait(what, seconds=60, every=0.4):
    """The first true value of what(), or its last one."""
    end = time.monotonic() + seconds
    while True:
        try:
            got = what()
        except (OSError, ValueError, RuntimeError):
            got = None
        if got or time.monotonic() > end:
            return got
        time.sleep(every)


def get(url, timeout=5):
    try:
        with urllib.request.urlopen(url, timeout=timeout) as f:
            return f.status, f.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def get_json(url):
    return json.loads(get(url)[1])


class Proof:
    def __init__(self, args, saw, work):
        self.args, self.saw, self.work = args, saw, pathlib.Path(work)
        self.ports = {name: str(free_port()) for name in PORTS}
        self.docker = self.work / 'docker'
        self.docker.mkdir()
        for f in (ROOT / 'docker').glob('*.yml'):
            shutil.copy(f, self.docker)
        self.compose = Compose(self.docker, 'codecast-e2e', dict(self.ports, CODECAST_VERSION='e2e', BOOTSTRAP_PEER_ID=''))
        self.protos = clients.load_protos()
        self.count = 0

    def image(self, name):
        return f'codecast/{name}:e2e'

    def run(self, *args, check=True, timeout=60):
        return sh('docker', 'run', '--rm', '--network', 'none', *args, check=check, timeout=timeout, cwd=self.docker)

    # ---- images ----

    def build(self):
        commit = sh('git', '-C', ROOT, 'rev-parse', '--short=12', 'HEAD').stdout.strip()
        print(sh(ROOT / 'scripts/docker-base').stdout.strip())
        for name in ('gateway', 'p2pnode'):
            began = time.monotonic()
            sh('docker', 'build', '--network', 'host', '--build-arg', f'COMMIT={commit}', '-t', self.image(name), '-f', ROOT / 'docker/Dockerfile',
               '--target', name, ROOT, timeout=3000)
            self.saw.check(True, f'codecast/{name} is built', f'{time.monotonic() - began:.0f} s')
        self.commit = commit

    def images(self):
        for name in IMAGES:
            i = json.loads(sh('docker', 'image', 'inspect', self.image(name)).stdout)[0]
            mb = i['Size'] / 1e6
            self.saw.check(mb < LIMIT_MB, f'codecast/{name} is below {LIMIT_MB} MB', f'{mb:.0f} MB')
            c = i['Config']
            self.saw.check(c['Entrypoint'] == [name] and c.get('Healthcheck'), 'entry point and health check', f'{c["Entrypoint"]} {c["Healthcheck"]["Test"]}')
            r = self.run(self.image(name), '--version')
            self.saw.check(re.match(rf'{name} \d', r.stdout), '--version', r.stdout.strip())
            r = self.run('--entrypoint', 'sh', self.image(name), '-c', 'which nc codecast; ldd $(which %s codecast) | grep -c "not found"' % name, check=False)
            self.saw.check(r.stdout.split() == ['/usr/bin/nc', '/usr/local/bin/codecast', '0'], 'nc and codecast are inside, no library is missing', r.stdout.split())

    def keys(self):
        """The operators' line, in folders of several owners."""
        run = ('run', '--rm', '-v', './identity:/identity', self.image('p2pnode'), 'generate-key', '--output-peer-id')
        first = sh('docker', *run, cwd=self.docker, check=False)
        if 'invalid characters for a local volume name' in first.stderr:  # clients before 23 want the whole path
            run = ('run', '--rm', '-v', f'{self.docker}/identity:/identity', *run[4:])
            first = sh('docker', *run, cwd=self.docker, check=False)
        if first.returncode:  # an engine without a default network
            run = (*run[:2], '--network', 'none', *run[2:])
            first = sh('docker', *run, cwd=self.docker)
        again = sh('docker', *run, cwd=self.docker)
        ok = re.fullmatch(r'12D3KooW\w{44}\n', first.stdout) and again.stdout == first.stdout
        self.saw.check(ok, 'docker ' + ' '.join(run).replace(':e2e', ''), f'{first.stdout.strip()}, twice')
        self.peer_id = first.stdout.strip()
        self.compose.env['BOOTSTRAP_PEER_ID'] = self.peer_id
        for uid, extra in ((0, ()), (1234, ()), (1234, ('--user', '1234:1234')), (1234, ('--cap-drop', 'ALL', '--user', '1234:1234'))):
            folder = self.work / f'id-{uid}-{len(extra)}'
            folder.mkdir()
            os.chown(folder, uid, uid)
            r = self.run(*extra, '-v', f'{folder}:/identity', self.image('p2pnode'), 'generate-key', '--output-peer-id', check=False)
            st = os.stat(folder / 'p2p.key') if r.returncode == 0 else None
            self.saw.check(st and st.st_uid == uid and st.st_mode & 0o777 == 0o600, f'folder of uid {uid} {" ".join(extra)}',
                           f'key 0600 of uid {st.st_uid}' if st else r.stderr.strip())

    # ---- single containers ----

    def alone(self, what, *args, until='"node started"'):
        """Runs a node by itself until it is up; its log, and what its first process may do."""
        name = 'codecast-e2e-alone'
        sh('docker', 'rm', '-f', name, check=False)
        sh('docker', 'run', '-d', '--name', name, '-e', 'CLUSTER_ID=alone', *args, self.image('p2pnode'))
        log = lambda: (lambda r: r.stdout + r.stderr)(sh('docker', 'logs', name))
        wait(lambda: until in log() or 'fatal' in log(), 30)
        rights = sh('docker', 'exec', name, 'grep', '-hE', '^(Uid|CapEff|CapPrm):', '/proc/1/status', check=False).stdout
        return log(), {line.split()[0][:-1]: line.split()[1] for line in rights.splitlines()}

    def drivers(self):
        cases = (('default capabilities', (), 'af_packet', '7070'),
                 ('without NET_RAW', ('--cap-drop', 'NET_RAW'), 'kernel', '7070'),
                 ('without any capability', ('--cap-drop', 'ALL'), 'kernel', '0'),
                 ('as another user', ('--user', '1234:1234'), 'kernel', '1234'))
        for what, args, driver, uid in cases:
            log, rights = self.alone(what, '--network', self.network, *args)
            line = next((x for x in log.splitlines() if '"data path"' in x), log[-200:])
            self.saw.check(f'why="{driver}:' in line, f'NET_DRIVER=auto, {what}', line[line.find('driver='):])
            self.saw.check(rights == {'Uid': uid, 'CapEff': '0' * 16, 'CapPrm': '0' * 16}, 'user and capabilities when it runs', rights)
        args = ('--cap-add', 'NET_ADMIN', '--device', '/dev/net/tun', '-e', 'NET_DRIVER=tap', '-e', 'NET_ADDR=10.9.8.7/24', '--network', 'none')
        if os.path.exists('/dev/net/tun'):
            log, rights = self.alone('tap', *args)
            self.saw.check('driver="tap cctap0' in log and rights.get('Uid') == '7070', 'NET_DRIVER=tap, with NET_ADMIN and /dev/net/tun', rights)
        else:
            self.saw.skip('NET_DRIVER=tap', 'no /dev/net/tun here')

    def environment(self):
        """The operators' block, every value another than the default: what the node then says of itself."""
        block = {'NODE_MODE': 'gossipsub', 'SIDECAR_PORT': '33999', 'API_PORT': '9999', 'IDENTITY_DIR': '/keys', 'OPTIMUM_PORT': '7999',
                 'OPTIMUM_MAX_MSG_SIZE': '99999', 'OPTIMUM_MESH_TARGET': '7', 'OPTIMUM_MESH_MIN': '3', 'OPTIMUM_MESH_MAX': '15',
                 'OPTIMUM_SHARD_FACTOR': '9', 'OPTIMUM_SHARD_MULT': '2.5', 'OPTIMUM_THRESHOLD': '0.5', 'LOG_LEVEL': 'debug',
                 'BOOTSTRAP_PEERS': f'/ip4/172.28.0.1/tcp/7070/p2p/{self.peer_id}'}
        more = {'GOSSIPSUB_PORT': '6999', 'GOSSIPSUB_MAX_MSG_SIZE': '77777', 'GOSSIPSUB_MESH_TARGET': '8', 'GOSSIPSUB_MESH_MIN': '5', 'GOSSIPSUB_MESH_MAX': '11'}
        want = {'mode': 'gossipsub', 'port': 7999, 'sidecar_port': 33999, 'api_port': 9999, 'max_msg_size': 99999, 'mesh_target': 7, 'mesh_min': 3,
                'mesh_max': 15, 'shard_factor': 9, 'shard_mult': 2.5, 'threshold': 0.5, 'log_level': 'debug', 'bootstrap_peers': [block['BOOTSTRAP_PEERS']]}
        for title, env, expect in (('OPTIMUM_* hold in mode gossipsub too', block, want),
                                   ('GOSSIPSUB_* come first', {**block, **more}, {**want, 'port': 6999, 'max_msg_size': 77777, 'mesh_target': 8, 'mesh_min': 5, 'mesh_max': 11})):
            log, _ = self.alone(title, '--network', self.network, *(x for k, v in env.items() for x in ('-e', f'{k}={v}')), until='"dial failed"')
            ask = sh('docker', 'exec', 'codecast-e2e-alone', 'bash', '-c', "exec 3<>/dev/tcp/127.0.0.1/9999; printf 'GET /api/v1/config HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3", check=False)
            got = json.loads(ask.stdout.partition('\n\n')[2] or '{}')
            wrong = {k: got.get(k) for k, v in expect.items() if got.get(k) != v}
            self.saw.check(not wrong, f'{len(env) + 1} variables: {title}', wrong or 'as /api/v1/config tells')
            open_ = sh('docker', 'exec', 'codecast-e2e-alone', 'bash', '-c', f'for p in 33999 9999; do nc -zv 127.0.0.1 $p; done', check=False)
            self.saw.check(open_.stderr.count('succeeded') == 2 and 'dial failed' in log and '/keys/p2p.key' in log, 'ports, key folder and dialing follow')

    # ---- the network ----

    def address(self, name):
        return f'http://127.0.0.1:{self.ports[name]}'

    def up(self, *files, **env):
        self.compose.files = ['docker-compose.yml', *files]
        self.compose.env.update(env)
        self.compose('up', '-d')
        states = wait(lambda: all(self.compose.state(s) == 'healthy' for s in SERVICES), 90)
        self.saw.check(states, 'all containers are healthy', '' if states else {s: self.compose.state(s) for s in SERVICES})
        ok = wait(lambda: all(get_json(self.address(f'GATEWAY_{i}_HTTP') + '/api/v1/health')['healthy_nodes'] == 4 for i in (1, 2)), 60)
        self.saw.check(ok, 'both gateways see four healthy nodes')
        ok = wait(lambda: all(len(get_json(self.address(f'NODE_{i}_API') + '/api/v1/node-state')['peers']) == 3 for i in range(1, 5)), 60)
        self.saw.check(ok, 'each node has the three others for peers')

    def payload(self, size):
        self.count += 1
        return (b'%06d ' % self.count + os.urandom(size))[:size]

    def listen(self, topic):
        """At gateway 2: a WebSocket client and a gRPC client."""
        rx = [clients.WebSocketReceiver('WebSocket', '127.0.0.1', self.ports['GATEWAY_2_HTTP'], topic, f'ws-{topic}'),
              clients.GatewayReceiver('gRPC', '127.0.0.1', self.ports['GATEWAY_2_GRPC'], topic, f'grpc-{topic}', self.protos)]
        for r in rx:
            r.start()
        ok = all(r.ready.wait(30) and not r.error for r in rx)
        if not self.saw.check(ok, 'clients listen at gateway 2', '' if ok else [r.error for r in rx]):
            return rx
        # A topic's mesh forms once its nodes know of each other's subscriptions; what is published earlier is repaired, only later.
        wait(lambda: all(get(self.address(f'NODE_{i}_API') + '/api/v1/ready')[0] == 200 for i in range(1, 5)), 30)
        return rx

    def deliver(self, rx, topic, what, sizes=SIZES):
        began, missing = time.monotonic(), []
        for size in sizes:
            data = self.payload(size)
            url = f'{self.address("GATEWAY_1_HTTP")}/api/v1/publish?topic={topic}'
            r = subprocess.run(['curl', '-sS', '-m', '60', '-X', 'POST', url, '-H', 'Content-Type: application/octet-stream', '--data-binary', '@-'],
                               input=data, capture_output=True)
            answer = json.loads(r.stdout or b'{}')
            sha = answer.get('message_id')
            missing += [f'{size} B at {x.name_text}' for x in rx if not sha or x.wait_for(sha, 30) is None]
        twice = sum(len(x.got) - len({g[0] for g in x.got}) for x in rx)
        self.saw.check(not missing and not twice, f'{what}: {", ".join(map(str, sizes))} bytes by curl at gateway 1, received by WebSocket and gRPC at gateway 2',
                       missing or f'{time.monotonic() - began:.1f} s, none twice')
        return sha

    def network_seen(self):
        ps = self.compose('ps').stdout
        self.saw.check(len(re.findall(r'\(healthy\)', ps)) == 6, 'docker-compose ps')
        self.saw.show('\n'.join(line[:110] for line in ps.splitlines()))
        for service, host, port in (('gateway-1', 'p2pnode-1', 33212), ('gateway-1', '172.28.0.12', 7070), ('p2pnode-2', 'p2pnode-1', 7070), ('p2pnode-1', 'gateway-2', 8080)):
            r = self.compose('exec', '-T', service, 'nc', '-zv', host, str(port), check=False)
            self.saw.check(r.returncode == 0, f'{service}: nc -zv {host} {port}', (r.stderr or r.stdout).strip().splitlines()[-1:])
        with socket.create_connection(('127.0.0.1', int(self.ports['NODE_1_P2P'])), 5) as s:
            s.sendall(b'\x13/multistream/1.0.0\n')
            s.settimeout(10)
            greeting = s.recv(64)
        self.saw.check(b'/multistream/1.0.0' in greeting, 'the mesh port of node 1, published on the host, speaks multistream')
        peers = get_json(self.address('NODE_1_API') + '/debug/peers')
        self.saw.check(len(peers['peers']) == 3, '/debug/peers of node 1', [p.get('addr') or p.get('address') for p in peers['peers']])
        v = get_json(self.address('GATEWAY_1_HTTP') + '/api/v1/version')
        self.saw.check(self.args.no_build or v['commit_hash'] == self.commit, '/api/v1/version', v)

    def rights_in_network(self, driver='af_packet'):
        logs = self.compose.logs(*NODES)
        lines = [x for x in logs.splitlines() if '"data path"' in x]
        self.saw.check(len(lines) >= 4 and all(f'driver="{driver} ' in x for x in lines), f'all nodes use {driver}', lines[0][lines[0].find('driver='):] if lines else '')
        for s in ('p2pnode-1', 'gateway-1'):
            r = self.compose('exec', '-T', s, 'grep', '-hE', '^(Uid|CapEff|CapPrm|NoNewPrivs)', '/proc/1/status').stdout
            self.saw.check(re.search(r'Uid:\s7070', r) and r.count('0' * 16) == 2 and re.search(r'NoNewPrivs:\s1', r), f'{s} runs as codecast without capabilities')

    def logs_seen(self, sha):
        r = subprocess.run(f"{' '.join(self.compose.program)} -p {self.compose.project} logs --no-color | grep -E '(publish|subscribe|message)'", shell=True, cwd=self.docker,
                           env={**os.environ, **self.compose.env}, capture_output=True, text=True)
        lines = [x for x in r.stdout.splitlines() if sha[:16] in x]
        who = {x.split('_1')[0].split('|')[0].strip() for x in lines}
        self.saw.check('gateway-1' in str(who) and 'gateway-2' in str(who) and any(n in str(who) for n in NODES),
                       "logs | grep -E '(publish|subscribe|message)' shows the way of the last message", f'{len(r.stdout.splitlines())} lines, {len(lines)} of it')
        self.saw.show('\n'.join(lines[:3] + lines[-2:]))

    def kill_and_return(self, rx, topic):
        before = get_json(self.address('NODE_3_API') + '/api/v1/node-state')['pub_key']
        self.compose('kill', 'p2pnode-3')
        url = self.address('GATEWAY_2_HTTP') + '/api/v1/health'
        began = time.monotonic()
        seen = wait(lambda: get_json(url)['healthy_nodes'] == 3, 60)
        self.saw.check(seen, 'p2pnode-3 is killed, gateway 2 sees three', f'{time.monotonic() - began:.1f} s')
        self.deliver(rx, topic, 'with one node dead', (2000, 200_000))
        self.compose('start', 'p2pnode-3')
        began = time.monotonic()
        seen = wait(lambda: get_json(url)['healthy_nodes'] == 4 and len(get_json(self.address('NODE_3_API') + '/api/v1/node-state')['peers']) == 3, 60)
        after = get_json(self.address('NODE_3_API') + '/api/v1/node-state')['pub_key'] if seen else None
        self.saw.check(seen and after == before, 'started again: same id, three peers, gateway 2 sees four', f'{time.monotonic() - began:.1f} s')
        self.deliver(rx, topic, 'with the node back', (2000, 200_000))

    def scale(self):
        """A fifth node joins the running network and leaves it."""
        name = 'codecast-e2e-five'
        sh('docker', 'run', '-d', '--name', name, '--network', self.network, '--ip', '172.28.0.16', '-e', 'CLUSTER_ID=p2pnode-5', '-e',
           f'BOOTSTRAP_PEERS=/ip4/172.28.0.12/tcp/7070/p2p/{self.peer_id}', self.image('p2pnode'))
        joined = wait(lambda: len(get_json(self.address('NODE_4_API') + '/api/v1/node-state')['peers']) == 4, 60)
        self.saw.check(joined, 'a fifth node, which knows node 1 alone, becomes a peer of node 4')
        sh('docker', 'stop', name)
        left = wait(lambda: len(get_json(self.address('NODE_4_API') + '/api/v1/node-state')['peers']) == 3, 60)
        code = sh('docker', 'inspect', '-f', '{{.State.ExitCode}}', name).stdout.strip()
        self.saw.check(left and code == '0', 'docker stop: it leaves in order', f'exit {code}')

    def upgrade(self, rx, topic):
        """Other names of images, one node after the other; here the new version is the old one's twin."""
        for name in IMAGES:
            sh('docker', 'tag', self.image(name), f'codecast/{name}:e2e-next')
        ids = [get_json(self.address(f'NODE_{i}_API') + '/api/v1/node-state')['pub_key'] for i in range(1, 5)]
        self.compose.env['CODECAST_VERSION'] = 'e2e-next'
        for i, node in enumerate(NODES, 1):
            self.compose('up', '-d', '--no-deps', node)
            wait(lambda: len(get_json(self.address(f'NODE_{i}_API') + '/api/v1/node-state')['peers']) == 3, 60)
            if i == 2:
                self.deliver(rx, topic, 'half way', (2000, 200_000))
        wait(lambda: get_json(self.address('GATEWAY_2_HTTP') + '/api/v1/health')['healthy_nodes'] == 4, 60)
        after = [get_json(self.address(f'NODE_{i}_API') + '/api/v1/node-state')['pub_key'] for i in range(1, 5)]
        image = sh('docker', 'inspect', '-f', '{{.Config.Image}}', self.compose.container('p2pnode-4')).stdout.strip()
        self.saw.check(after == ids and image.endswith(':e2e-next'), 'CODECAST_VERSION=e2e-next, node by node: all have their ids', image)
        self.deliver(rx, topic, 'upgraded', (2000, 200_000))

    @property
    def network(self):
        return f'{self.compose.project}_codecast'

    def down(self):
        sh('docker', 'rm', '-f', 'codecast-e2e-alone', 'codecast-e2e-five', check=False)
        r = self.compose('down', '-v', '--remove-orphans', check=False)
        return r.returncode == 0

    def whole_network(self):
        self.saw.title('the compose network, default capabilities')
        self.up()
        self.network_seen()
        self.rights_in_network()
        self.saw.title('messages')
        rx = self.listen('e2e')
        sha = self.deliver(rx, 'e2e', 'coded mode')
        self.logs_seen(sha)
        self.saw.title('a node dies and returns; a node is added')
        self.kill_and_return(rx, 'e2e')
        self.scale()
        self.saw.title('an upgrade by changing the images\' names')
        self.upgrade(rx, 'e2e')
        self.saw.title('single containers on this network')
        self.drivers()
        self.environment()
        self.saw.title('NODE_MODE=gossipsub, nothing else changed')
        self.up(NODE_MODE='gossipsub')
        self.deliver(self.listen('gossip'), 'gossip', 'gossipsub mode')
        self.compose.env['NODE_MODE'] = 'optimum'
        self.saw.title('the overlay docker-compose.af_xdp.yml')
        self.af_xdp()
        self.saw.title('hugepages; the overlay docker-compose.vfio.yml')
        self.hugepages()
        self.vfio()

    def hugepages(self):
        """64 MiB for one node, given back at the end."""
        knob = pathlib.Path('/proc/sys/vm/nr_hugepages')
        before = knob.read_text().strip()
        try:
            knob.write_text('80')
            if int(knob.read_text()) < 40:
                self.saw.skip('hugepages', 'the host has none to give')
                return
            log, _ = self.alone('hugepages', '--network', self.network)
            self.saw.check('hugepages are not used' in log and 'hugepages=no' in log, 'a node with default capabilities starts without them and says why')
            log, rights = self.alone('hugepages', '--network', self.network, '--cap-add', 'SYS_NICE')
            self.saw.check('hugepages=yes' in log and rights.get('CapEff') == '0' * 16, 'one with SYS_NICE uses them', 'hugepages=yes')
        except OSError as e:
            self.saw.skip('hugepages', str(e))
        finally:
            sh('docker', 'rm', '-f', 'codecast-e2e-alone', check=False)
            try:
                knob.write_text(before)
            except OSError:
                pass

    def vfio(self):
        """No NIC to give away here: the overlay is a valid file, and a node that finds no NIC says so in one line."""
        self.compose.files = ['docker-compose.yml', 'docker-compose.vfio.yml']
        self.compose.env.update(VFIO_PCI='0000:3b:00.0', VFIO_GROUP='7', VFIO_IP='192.0.2.12', VFIO_GATEWAY='192.0.2.1')
        text = self.compose('config').stdout
        self.saw.check(all(x in text for x in ('NET_DRIVER: vfio', '0000:3b:00.0', '192.0.2.12/24', '/dev/vfio/7', '/ip4/192.0.2.12/tcp/7070/p2p/' + self.peer_id)), 'docker-compose config of the overlay')
        self.compose.files = ['docker-compose.yml']
        log, _ = self.alone('vfio', '--network', 'none', '-e', 'NET_DRIVER=vfio', '-e', 'NET_IFACE=0000:3b:00.0', '-e', 'NET_ADDR=192.0.2.12/24')
        line = next((x for x in log.splitlines() if 'fatal' in x), log[-200:])
        self.saw.check('DPDK has no port 0000:3b:00.0' in line, 'NET_DRIVER=vfio without that NIC', line[line.find('msg='):])
        self.saw.skip('packets over vfio', 'needs a NIC that can be given away')

    def af_xdp(self):
        engine = sh('docker', 'version', '-f', '{{.Server.Version}}').stdout
        self.up('docker-compose.af_xdp.yml', **({'CODECAST_BPF_CAP': 'SYS_ADMIN'} if int(engine.split('.')[0]) < 23 else {}))
        self.rights_in_network('af_xdp')
        def packets():
            texts = [get(self.address(f'NODE_{i}_API') + '/metrics')[1] for i in range(1, 5)]
            return [int(re.search(r'^codecast_packets_total\{[^}]*direction="in"[^}]*\} (\d+)', t, re.M)[1]) for t in texts]

        before = packets()
        rx = self.listen('xdp')
        self.deliver(rx, 'xdp', 'over AF_XDP')
        grown = [b - a for a, b in zip(before, packets())]
        self.saw.check(all(g > 0 for g in grown), 'packets that came by AF_XDP, node 1 to 4', grown)
        r = self.compose('exec', '-T', 'gateway-1', 'nc', '-zv', 'p2pnode-1', '33212', check=False)
        self.saw.check(r.returncode == 0, 'the kernel still serves the other ports of that interface', r.stderr.strip()[-60:])

    def everything(self):
        self.saw.title('images')
        if self.args.no_build:
            self.commit = None
        else:
            self.build()
        self.images()
        self.saw.title('keys')
        self.keys()
        self.whole_network()

    def clean(self):
        self.saw.title('the end')
        self.saw.check(self.down(), 'docker-compose down -v')
        rest = [sh('docker', *q).stdout.split() for q in (('ps', '-aq', '--filter', 'name=codecast-e2e'), ('network', 'ls', '-q', '--filter', f'name={self.network}'),
                                                         ('volume', 'ls', '-q', '--filter', 'name=codecast-e2e'))]
        self.saw.check(not any(rest), 'no container, network or volume is left', rest if any(rest) else '')


def main():
    p = argparse.ArgumentParser(prog='scripts/docker-e2e', description='Builds the images and proves them with a real engine; prints what it saw.')
    p.add_argument('--no-build', action='store_true', help='take codecast/p2pnode:e2e and codecast/gateway:e2e as they are in the engine')
    p.add_argument('--keep', action='store_true', help='leave the images in the engine (on an engine of our own there is nothing to keep)')
    args = p.parse_args()
    if os.geteuid() != 0:
        sys.exit('docker-e2e: root is needed')
    if not shutil.which('docker') or not (shutil.which('docker-compose') or sh('docker', 'compose', 'version', check=False).returncode == 0):
        sys.exit('docker-e2e: docker or docker-compose is missing: scripts/setup --for docker')
    saw, engine = Saw(), None
    with tempfile.TemporaryDirectory(prefix='codecast-docker-') as work:
        os.chmod(work, 0o755)
        try:
            engine = Engine(f'{work}/engine')
            print(f'docker-e2e: {"an engine of our own" if engine.own else "the engine that runs"}: '
                  + sh('docker', 'version', '-f', 'client {{.Client.Version}}, server {{.Server.Version}}').stdout.strip())
            proof = Proof(args, saw, work)
            try:
                proof.everything()
            finally:
                proof.clean()
                if not args.keep and not args.no_build:
                    sh('docker', 'rmi', '-f', *(proof.image(i) + tag for i in IMAGES for tag in ('', '-next')), check=False)
        except Exception:
            traceback.print_exc()
            saw.check(False, 'went through to the end')
        finally:
            if engine:
                engine.stop()
                if engine.own:
                    saw.check(engine.process.poll() is not None, 'the engine of our own is stopped')
    print(f'\n{saw.passed} passed, {saw.failed} failed' + (f', {saw.skipped} skipped' if saw.skipped else ''))
    sys.exit(1 if saw.failed or not saw.passed else 0)


if __name__ == '__main__':
    main()
