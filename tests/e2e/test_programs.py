"""The programs by themselves: arguments, configuration errors, identity files, exit codes."""
import base64
import glob
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request

import pytest


def run(build, program, *args, timeout=20, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(('OPTIMUM_', 'GOSSIPSUB_', 'NET_'))}
    return subprocess.run([build / 'app' / program / program, *args], env={**clean, **env}, capture_output=True, text=True, timeout=timeout)


@pytest.mark.parametrize('program', ['p2pnode', 'gateway'])
def test_help_and_version(build, program):
    r = run(build, program, '--help')
    assert r.returncode == 0 and 'CLUSTER_ID' in r.stdout and 'Usage' in r.stdout
    for args in (['run', '--help'], ['check-config', '-h']):
        again = run(build, program, *args)
        assert again.returncode == 0 and again.stdout == r.stdout
    r = run(build, program, '--version')
    assert r.returncode == 0 and re.match(rf'{program} \d+\.\d+\.\d+', r.stdout)
    r = run(build, program, 'nonsense')
    assert r.returncode == 2 and 'nonsense' in r.stderr


@pytest.mark.parametrize('name,value,rule', [
    ('CLUSTER_ID', 'with space', 'letters'),
    ('NODE_MODE', 'turbo', 'optimum, gossipsub'),
    ('OPTIMUM_SHARD_FACTOR', '0', '1 to 255'),
    ('OPTIMUM_THRESHOLD', '2', '<= 1'),
    ('OPTIMUM_SHARD_MULT', '0', '> 0'),
    ('OPTIMUM_MESH_TARGET', '1', 'MIN <= TARGET <= MAX'),
    ('OPTIMUM_PORT', '99999', '1 to 65535'),
    ('BOOTSTRAP_PEERS', '/ip4/10.0.0.1/tcp/7070/p2p/', 'peer id after /p2p/ is empty'),
    ('NET_DRIVER', 'warp', 'af_packet'),
    ('RUN_AS_USER', 'no-such-user', 'UID:GID'),
])
def test_broken_configuration_is_one_fatal_line(build, tmp_path, name, value, rule):
    env = {'CLUSTER_ID': 'x', 'IDENTITY_DIR': str(tmp_path), name: value}
    r = run(build, 'p2pnode', 'check-config', **env)
    fatal = [line for line in r.stderr.splitlines() if line.startswith('fatal')]
    assert r.returncode == 2 and len(fatal) == 1, r.stderr
    assert name in fatal[0] and value in fatal[0] and rule in fatal[0]
    r = run(build, 'p2pnode', **env)
    assert r.returncode == 2 and f'{name}=' in r.stderr


NODE_SETTINGS = [
    ('CLUSTER_ID', 'other', 'cluster_id'), ('NODE_MODE', 'gossipsub', 'mode'), ('SIDECAR_PORT', 33999, 'sidecar_port'), ('SIDECAR_LANE_PORT', 33998, 'sidecar_lane_port'), ('API_PORT', 9999, 'api_port'),
    ('OPTIMUM_PORT', 7999, 'port'), ('OPTIMUM_MAX_MSG_SIZE', 2000000, 'max_msg_size'), ('OPTIMUM_MESH_TARGET', 7, 'mesh_target'),
    ('OPTIMUM_MESH_MIN', 3, 'mesh_min'), ('OPTIMUM_MESH_MAX', 20, 'mesh_max'), ('OPTIMUM_SHARD_FACTOR', 16, 'shard_factor'),
    ('OPTIMUM_SHARD_MULT', 2.5, 'shard_mult'), ('OPTIMUM_THRESHOLD', 0.5, 'threshold'), ('LOG_LEVEL', 'error', 'log_level'),
]


@pytest.mark.parametrize('name,value,field', NODE_SETTINGS)
def test_each_setting_of_the_node_holds(build, name, value, field):
    default = json.loads(run(build, 'p2pnode', 'check-config', CLUSTER_ID='x').stdout)
    now = json.loads(run(build, 'p2pnode', 'check-config', **{'CLUSTER_ID': 'x', name: str(value)}).stdout)
    assert now[field] == value != default[field]
    if name.startswith('OPTIMUM_') and name.split('_')[1] in ('PORT', 'MAX', 'MESH'):  # gossipsub's own, before its twin
        twin = name.replace('OPTIMUM', 'GOSSIPSUB')
        now = json.loads(run(build, 'p2pnode', 'check-config', CLUSTER_ID='x', NODE_MODE='gossipsub', **{name: str(default[field]), twin: str(value)}).stdout)
        assert now[field] == value


@pytest.mark.parametrize('name,value', [('CLUSTER_ID', 'other'), ('PROXY_PORT', ':8999'), ('PROXY_GRPC_PORT', ':50999'), ('API_PORT', ':8998'),
                                        ('SUBSCRIBER_THRESHOLD', '0.5'), ('P2P_NODES', 'a:1,b:2'), ('LOG_LEVEL', 'error'),
                                        ('CORS_ORIGINS', 'https://a.example')])
def test_each_setting_of_the_gateway_holds(build, name, value):
    before = run(build, 'gateway', 'check-config', CLUSTER_ID='x', P2P_NODES='a:1').stdout.splitlines()
    now = run(build, 'gateway', 'check-config', **{'CLUSTER_ID': 'x', 'P2P_NODES': 'a:1', name: value}).stdout.splitlines()
    assert set(now) - set(before) == {f'{name}={value}'}


def test_check_config_prints_what_holds(build):
    r = run(build, 'p2pnode', 'check-config', CLUSTER_ID='x', NODE_MODE='gossipsub', OPTIMUM_PORT='7171')
    assert r.returncode == 0 and json.loads(r.stdout)['port'] == 7171


def test_generate_key_prints_only_the_id_and_keeps_the_key(build, tmp_path):
    d = str(tmp_path / 'id')
    first = run(build, 'p2pnode', 'generate-key', '--output-peer-id', IDENTITY_DIR=d)
    again = run(build, 'p2pnode', 'generate-key', '--output-peer-id', IDENTITY_DIR=d)
    assert first.returncode == 0 and re.fullmatch(r'12D3KooW\w+\n', first.stdout)
    assert again.stdout == first.stdout
    assert run(build, 'p2pnode', 'peer-id', IDENTITY_DIR=d).stdout == first.stdout
    assert run(build, 'p2pnode', 'generate-key', IDENTITY_DIR=d).returncode == 1
    assert os.stat(f'{d}/p2p.key').st_mode & 0o777 == 0o600
    forced = run(build, 'p2pnode', 'generate-key', '--force', '--output-peer-id', IDENTITY_DIR=d)
    assert forced.returncode == 0 and forced.stdout != first.stdout


def test_generate_key_of_another_type(build, tmp_path):
    d = str(tmp_path)
    made = run(build, 'p2pnode', 'generate-key', '--output-peer-id', '--type=secp256k1', IDENTITY_DIR=d)
    assert made.returncode == 0 and re.fullmatch(r'16Uiu2\w+\n', made.stdout)
    kept = run(build, 'p2pnode', 'generate-key', '--output-peer-id', '--type', 'ed25519', IDENTITY_DIR=d)
    assert kept.stdout == made.stdout and 'Secp256k1' in kept.stderr
    assert run(build, 'p2pnode', 'peer-id', IDENTITY_DIR=d).stdout == made.stdout
    wrong = run(build, 'p2pnode', 'generate-key', '--type', 'rsa', IDENTITY_DIR=d)
    assert wrong.returncode == 2 and 'rsa' in wrong.stderr


def crc64_iso(data):
    crc = 0xFFFFFFFFFFFFFFFF
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = (crc >> 1) ^ (0xD800000000000000 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFFFFFFFFFF


def test_key_file_has_the_known_format(build, tmp_path):
    peer = run(build, 'p2pnode', 'generate-key', '--output-peer-id', IDENTITY_DIR=str(tmp_path)).stdout.strip()
    raw = (tmp_path / 'p2p.key').read_bytes()
    assert int.from_bytes(raw[:8], 'little') == crc64_iso(raw[8:])
    j = json.loads(raw[8:])
    assert j['ID'] == peer and base64.b64decode(j['Key'])[:4] == bytes([8, 1, 18, 64])


def test_damaged_key_file_is_fatal_and_prints_both_sums(build, tmp_path):
    run(build, 'p2pnode', 'generate-key', IDENTITY_DIR=str(tmp_path))
    raw = bytearray((tmp_path / 'p2p.key').read_bytes())
    raw[20] ^= 1
    (tmp_path / 'p2p.key').write_bytes(raw)
    r = run(build, 'p2pnode', CLUSTER_ID='x', IDENTITY_DIR=str(tmp_path), NET_DRIVER='kernel')
    assert r.returncode == 1
    assert f'{int.from_bytes(raw[:8], "little"):016x}' in r.stderr and f'{crc64_iso(bytes(raw[8:])):016x}' in r.stderr


def telemetry(command, field):
    """That field of the answers of all nodes that run on this machine, by DPDK's telemetry sockets."""
    said = []
    for path in glob.glob('/var/run/dpdk/rte/dpdk_telemetry.v2*'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(10)
            try:
                s.connect(path)
                s.recv(1024)
                s.send(command.encode())
                said.append((json.loads(s.recv(65536))[command] or {}).get(field, ''))  # nothing yet of one that just starts
            except OSError:
                continue # of a node that is gone
    return said


def test_a_capture_wants_packets_of_our_own(build, tmp_path):
    env = {'CLUSTER_ID': 'x', 'IDENTITY_DIR': str(tmp_path), 'NET_DRIVER': 'kernel', 'NET_ADDR': '127.0.0.9'}
    r = run(build, 'p2pnode', '--pcap', str(tmp_path / 'x.pcapng'), **env)
    assert r.returncode == 1 and '--pcap' in r.stderr and 'kernel driver' in r.stderr
    r = run(build, 'p2pnode', '--pcap=/nosuch/x.pcapng', **env)
    assert r.returncode == 1 and '/nosuch/x.pcapng: No such file' in r.stderr
    for args in (['--pcap'], ['--pcap='], ['--pcap', 'x', '--pcap-snap', '10']):
        assert run(build, 'p2pnode', *args, **env).returncode == 2


def test_several_net_lcores_want_a_driver_with_queues(build, tmp_path):
    env = {'CLUSTER_ID': 'x', 'IDENTITY_DIR': str(tmp_path), 'NET_ADDR': '10.77.0.1/24'}
    for driver in ('tap', 'memif', 'af_xdp'):
        r = run(build, 'p2pnode', '--net-lcores=2', NET_DRIVER=driver, **env)
        assert r.returncode == 1 and f'--net-lcores=2: must be 0 or 1 with NET_DRIVER={driver}' in r.stderr
        r = run(build, 'p2pnode', NET_LCORES='2', NET_DRIVER=driver, **env)
        assert r.returncode == 2 and f'NET_LCORES=2: must be 0 or 1 with the driver {driver}' in r.stderr


def test_node_starts_alone_and_stops_by_sigterm_in_time(build, tmp_path):
    env = {**os.environ, 'CLUSTER_ID': 'alone', 'IDENTITY_DIR': str(tmp_path / 'id'), 'NET_DRIVER': 'kernel', 'NET_ADDR': '127.0.0.9',
           'SIDECAR_BIND': '127.0.0.9', 'API_BIND': '127.0.0.9', 'LOG_FORMAT': 'json', 'SIDECAR_LANE_PORT': '33213'}
    p = subprocess.Popen([build / 'app/p2pnode/p2pnode'], env=env, stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        if 'node started' in line:
            break
    socket.create_connection(('127.0.0.9', 33213), 5).close()
    p.send_signal(signal.SIGHUP)
    for line in p.stderr:
        if 'nothing to read again' in line:
            break
    assert os.geteuid() or any(' 127.0.0.9 ' in d for d in telemetry('/codecast/lcores', 'driver'))
    for sig, level in ((signal.SIGUSR1, 'debug'), (signal.SIGUSR2, 'info')):
        p.send_signal(sig)
        for line in p.stderr:
            if 'log level changed' in line:
                assert json.loads(line)['level_now'] == level
                break
    t0 = time.monotonic()
    p.send_signal(signal.SIGTERM)
    assert p.wait(8) == 0
    assert time.monotonic() - t0 < 5


def threads_say(pid, field):
    said = set()
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/status') as f:
            said |= {' '.join(line.split()[1:]) for line in f if line.startswith(field + ':')}
    return said


@pytest.mark.skipif(os.geteuid() != 0, reason='root alone can give up being root')
def test_root_is_given_up_once_ports_and_key_are_open(build, tmp_path):
    os.chown(tmp_path, 4242, 17)
    node = {'CLUSTER_ID': 'r', 'IDENTITY_DIR': str(tmp_path), 'NET_DRIVER': 'kernel', 'NET_ADDR': '127.77.9.2', 'SIDECAR_BIND': '127.77.9.2',
            'API_BIND': '127.77.9.2', 'SIDECAR_LANE': 'false'}
    gateway = {'CLUSTER_ID': 'g', 'P2P_NODES': '127.77.9.2:33212', 'PROXY_PORT': '127.77.9.2:8080', 'PROXY_GRPC_PORT': '127.77.9.2:50051',
               'API_PORT': '127.77.9.2:8081'}
    for program, env, done in (('p2pnode', node, '"node started"'), ('gateway', gateway, '"gateway is up"')):
        p = subprocess.Popen([build / 'app' / program / program], env={**os.environ, **env, 'RUN_AS_USER': '4243:18'}, stderr=subprocess.PIPE, text=True)
        try:
            said = ''
            while done not in said:
                line = p.stderr.readline()
                assert line, said
                said += line
            assert '"root is given up"' in said
            if program == 'p2pnode':
                with urllib.request.urlopen('http://127.77.9.2:9090/metrics', timeout=20) as r:
                    assert b'codecast_sidecar_lane' not in r.read()
            assert threads_say(p.pid, 'Uid') == {'4243 4243 4243 4243'} and threads_say(p.pid, 'Gid') == {'18 18 18 18'}
            assert threads_say(p.pid, 'CapPrm') == threads_say(p.pid, 'CapEff') == {'0' * 16} and threads_say(p.pid, 'Groups') == {''}
        finally:
            p.terminate()
        assert p.wait(20) == 0
        p.stderr.close()
    made = os.stat(tmp_path / 'p2p.key')
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (4242, 17, 0o600)


def test_node_learns_its_address_from_its_peers(build, tmp_path):
    """Bound to any address it knows none of its own; peers in four networks dialed it at one, and a fifth hears of it."""
    def start(name, ip, **more):
        env = {**os.environ, 'CLUSTER_ID': name, 'IDENTITY_DIR': str(tmp_path / name), 'NET_DRIVER': 'kernel', 'SIDECAR_BIND': ip, 'API_BIND': ip,
               'LOG_LEVEL': 'info', **more}
        with open(tmp_path / f'{name}.log', 'w') as log:
            return subprocess.Popen([build / 'app/p2pnode/p2pnode'], env=env, stderr=log)

    def addresses():
        try:
            with urllib.request.urlopen('http://127.78.9.1:9090/api/v1/node-state', timeout=5) as r:
                return json.load(r)['addresses']
        except OSError:
            return []

    own = '/ip4/127.78.9.1/tcp/7171' # the others' port would be in its way
    peer = run(build, 'p2pnode', 'generate-key', '--output-peer-id', IDENTITY_DIR=str(tmp_path / 'any')).stdout.strip()
    made = [start('any', '127.78.9.1', OPTIMUM_PORT='7171')]
    try:
        end = time.monotonic() + 60
        for i in range(1, 4):
            made.append(start(f'n{i}', f'127.78.{i}.1', NET_ADDR=f'127.78.{i}.1', BOOTSTRAP_PEERS=f'{own}/p2p/{peer}'))
        while (tmp_path / 'any.log').read_text().count('"connected"') < 3 and time.monotonic() < end:
            time.sleep(0.1)
        assert own not in addresses()
        made.append(start('n4', '127.78.4.1', NET_ADDR='127.78.4.1', BOOTSTRAP_PEERS=f'{own}/p2p/{peer}'))
        while own not in addresses() and time.monotonic() < end:
            time.sleep(0.2)
        assert own in addresses(), (tmp_path / 'any.log').read_text()
    finally:
        for p in made:
            p.terminate()
        codes = [p.wait(10) for p in made]
    assert codes == [0] * 5


def test_port_in_use_is_said_and_fatal(build, tmp_path):
    with socket.socket() as s:
        s.bind(('127.0.0.8', 7070))
        s.listen()
        r = run(build, 'p2pnode', CLUSTER_ID='x', IDENTITY_DIR=str(tmp_path), NET_DRIVER='kernel', NET_ADDR='127.0.0.8',
                SIDECAR_BIND='127.0.0.8', API_BIND='127.0.0.8')
    assert r.returncode == 1 and '7070' in r.stderr
