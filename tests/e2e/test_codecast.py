"""The command line client against a gateway by HTTP and by gRPC, and against a node's sidecar: one small network for all of it."""
import base64
import hashlib
import json
import os
import pty
import signal
import socket
import subprocess
import time

import pytest

WAIT = 30


class Cli:
    def __init__(self, build, net):
        self.program, self.net = build / 'app' / 'codecast' / 'codecast', net
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('CODECAST_')}
        g1, g2, n1, n2 = net.gateways[0].ip, net.gateways[1].ip, net.nodes[0].control_ip, net.nodes[1].control_ip
        # whoever publishes at the first receives at the second, so that each message crosses the mesh
        self.targets = {'http': (['-g', f'{g1}:8080'], ['-g', f'http://{g2}:8080/']),
                        'grpc': (['-g', f'grpc://{g1}'], ['-g', f'grpc://{g2}:50051']),
                        'sidecar': (['-s', n1], ['-s', f'{n2}:33212'])}

    def run(self, *args, stdin=None, **env):
        return subprocess.run([self.program, *args], input=stdin, capture_output=True, timeout=WAIT, env={**self.env, **env})

    def start(self, *args, **env):
        return subprocess.Popen([self.program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**self.env, **env})

    def ok(self, *args, **kw):
        r = self.run(*args, **kw)
        assert r.returncode == 0, f'{args}: exit {r.returncode}\n{r.stdout.decode()}\n{r.stderr.decode()}'
        return r.stdout.decode()

    def subscriber(self, at, topic, *args):
        """Listens for sure: it has got a first message, which is left out of its output."""
        p = self.start('subscribe', topic, '--json', *args, *self.targets[at][1])
        end = time.monotonic() + WAIT
        os.set_blocking(p.stdout.fileno(), False)
        while not (p.stdout.readline() or b''):
            assert time.monotonic() < end and p.poll() is None, p.stderr.read().decode()
            self.run('publish', topic, f'probe {time.monotonic_ns()}', *self.targets[at][0])
            time.sleep(0.05)
        os.set_blocking(p.stdout.fileno(), True)
        return p


@pytest.fixture
def cli(build, make_network):
    return Cli(build, make_network(nodes=2, gateways=2, driver='kernel'))


def take(p, wanted):
    """The messages as they come, until all of `wanted` were there; probes are passed over."""
    got = {}
    while not wanted <= got.keys():
        line = p.stdout.readline()
        assert line, p.stderr.read().decode()
        j = json.loads(line)
        payload = base64.b64decode(j['message']) if j.get('encoding') == 'base64' else j['message'].encode()
        assert hashlib.sha256(payload).hexdigest() == j['message_id'] and j['bytes'] == len(payload)
        got[payload] = j
    return got


def publish_and_subscribe(cli, at, tmp_path):
    out, topic = cli.targets[at][0], f'news {at}/\u00fc'
    p = cli.subscriber(at, topic)
    text, binary = f'hello {at}'.encode(), os.urandom(100000)
    said = cli.ok('publish', topic, text.decode(), *out)
    assert said.split()[:2] == ['published', hashlib.sha256(text).hexdigest()] and ' B ' in said
    assert cli.ok('publish', topic, text.decode(), *out).split()[0] in ('deduplicated', 'published' if at == 'grpc' else '')
    (tmp_path / 'binary').write_bytes(binary)
    cli.ok('publish', topic, '--file', str(tmp_path / 'binary'), *out)
    cli.ok('publish', topic, '-', *out, stdin=b'from stdin\n')
    summary = cli.ok('publish', topic, '--lines', *out, stdin=f'{at} one\n\n{at} two\r\n{at} three'.encode())
    assert summary.startswith('published 3 of 3')
    lines = [json.loads(x) for x in cli.ok('publish', topic, f'{at} again', '-n', '3', '--rate', '1000', '--json', *out).splitlines()]
    assert {x['number'] for x in lines} == {1, 2, 3} and {x['status'] for x in lines} == {'published'}
    wanted = {text, binary, b'from stdin\n'} | {f'{at} {x}'.encode() for x in ('one', 'two', 'three', 'again 1', 'again 2', 'again 3')}
    got = take(p, wanted)
    assert got[text]['topic'] == topic
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=WAIT)
    assert p.returncode == 0 and b'messages' in err, err


def formats(cli, tmp_path):
    out, into = cli.targets['http']
    # text of two topics, a count that ends it
    p = cli.start('subscribe', 'f1', 'f2', '-n', '2', '-t', str(WAIT), *into)
    i = 0
    while p.poll() is None:
        i += 1
        cli.run('publish', f'f{1 + i % 2}', f'text {i}', *out)
    assert p.returncode == 0
    lines = [x.split('\t') for x in p.stdout.read().decode().splitlines()]
    assert len(lines) == 2 and all(x[0] in ('f1', 'f2') and x[1].startswith('text ') for x in lines)
    # raw bytes, and a file for each
    payload = bytes(range(256)) * 40
    for args in (['--raw'], ['--out', str(tmp_path / 'in')]):
        p = cli.start('subscribe', 'f3', '-n', '1', '-t', str(WAIT), *args, *into)
        i = 0
        while p.poll() is None:
            i += 1
            cli.run('publish', 'f3', '-', *out, stdin=payload + repr((args, i)).encode())
        raw = p.stdout.read()
        if args == ['--raw']:
            assert raw.startswith(payload)
        else:
            name = raw.decode().strip()
            assert name.startswith(str(tmp_path / 'in') + '/000001-')
            assert open(name, 'rb').read().startswith(payload)
    r = cli.run('subscribe', 'nothing here', '-n', '1', '-t', '100ms', *into)
    assert r.returncode == 4 and b'0 of 1' in r.stderr
    assert cli.run('subscribe', 'nothing here', '-t', '100ms', '-q', *into).returncode == 0


def looks(cli):
    for at in ('http', 'sidecar'):
        health = cli.ok('health', *cli.targets[at][0])
        assert 'status    ok\n' in health and 'version' in health
        assert json.loads(cli.ok('health', '--json', *cli.targets[at][0]))['status'] == 'ok'
        assert 'news' in cli.ok('topics', '--json', *cli.targets[at][0]) or at == 'http'
        frame = cli.ok('watch', '--once', '--interval', '200ms', *cli.targets[at][0])
        assert ('node node1' if at == 'sidecar' else 'gateway gateway1') in frame and 'trouble' in frame and '\033' not in frame
    peers = cli.ok('peers', *cli.targets['sidecar'][0]).splitlines()
    assert peers[0].split()[:2] == ['PEER', 'ADDRESS'] and cli.net.nodes[1].peer_id in peers[1]
    assert cli.net.nodes[0].peer_id in cli.ok('peers', *cli.targets['http'][0])
    assert cli.ok('topics', *cli.targets['sidecar'][0]).split()[:4] == ['TOPIC', 'SUBSCRIBED', 'PEERS', 'MESH']
    # the environment says where, an option wins over it
    g1, n1 = cli.net.gateways[0].ip, cli.net.nodes[0].control_ip
    assert f'http://{g1}:8080' in cli.ok('health', CODECAST_GATEWAY=g1)
    assert f'http://{n1}:9090' in cli.ok('health', CODECAST_SIDECAR=n1)
    assert f'http://{n1}:9090' in cli.ok('health', '-s', n1, CODECAST_GATEWAY=g1)


def watch_in_a_terminal(cli):
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(cli.program, [cli.program, 'watch', '-i', '100ms', *cli.targets['sidecar'][0]], {**cli.env, 'TERM': 'xterm'})
    seen = b''
    while seen.count(b'\033[H') < 3:
        seen += os.read(fd, 65536)
    os.write(fd, b'q')
    try:
        while chunk := os.read(fd, 65536):
            seen += chunk
    except OSError:  # how a terminal says that its last user is gone
        pass
    assert os.waitpid(pid, 0)[1] == 0
    assert b'\033[?1049h' in seen and seen.rstrip().endswith(b'\033[?1049l') and b'PEER' in seen and b'q ends' in seen


def bench(cli):
    out, into = cli.targets['http']
    j = json.loads(cli.ok('bench', '--count', '50', '--rate', '200', '--json', *out, '--receiver', into[1]))
    assert (j['sent'], j['delivered'], j['lost'], j['duplicates'], j['bytes']) == (50, 50, 0, 0, 1024)
    assert 0 < j['delivery_ms']['p50'] <= j['delivery_ms']['p95'] <= j['delivery_ms']['p99'] <= j['delivery_ms']['max']
    text = cli.ok('bench', '--count', '20', '--size', '64K', '--flat-out', *cli.targets['grpc'][0])
    assert 'delivered   20  (100 %)' in text and 'p99' in text
    text = cli.ok('bench', '--count', '20', *cli.targets['sidecar'][0], '--receiver', f'sidecar://{cli.net.nodes[1].control_ip}')
    assert 'lost        0\n' in text


def interrupted(cli):
    """Ctrl-C in the middle: what was done is said."""
    p = subprocess.Popen([cli.program, 'publish', 'lines', '--lines', '--json', *cli.targets['http'][0]], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env)
    p.stdin.write(b'a line\n')
    p.stdin.flush()
    assert json.loads(p.stdout.readline())['number'] == 1
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=WAIT)
    assert p.returncode == 130 and b'published 1 of 1' in err, err


def a_reader_that_does_not_read(cli):
    """stdout is a full pipe: a signal ends the program all the same."""
    p = cli.subscriber('http', 'flood')
    cli.ok('publish', 'flood', '--size', '900K', '-n', '3', *cli.targets['http'][0])
    p.stdout.read(100)  # it is writing, and more than a pipe holds
    p.terminate()
    assert p.wait(WAIT) == 0


def refusals(cli):
    for at in ('http', 'grpc', 'sidecar'):
        out = cli.targets[at][0]
        r = cli.run('publish', 'big', '--size', '2M', *out)
        assert r.returncode == 1 and b'large' in r.stderr, (at, r.stderr)
        r = cli.run('publish', 'big', '--lines', *out, stdin=b'ok %d\n' % time.monotonic_ns() + b'x' * (2 << 20) + b'\nlast %d\n' % time.monotonic_ns())
        assert r.returncode == 1 and b'published 2 of 3' in r.stdout and b'message 2' in r.stderr, (at, r.stdout, r.stderr)
    assert cli.run('subscribe', 't', '--threshold', '0.5', *cli.targets['sidecar'][1]).returncode == 2


def lines_outlive_a_restart(cli, at):
    """The gateway ends and returns while lines are published: each one comes, once."""
    p, g = cli.subscriber('http', f'kept {at}'), cli.net.gateways[0]
    out = subprocess.Popen([cli.program, 'publish', f'kept {at}', '--lines', '--json', '--window', '4', *cli.targets[at][0]], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env)
    lines = [f'line {i} of {time.monotonic_ns()}' for i in range(20)]
    for i, line in enumerate(lines):
        if i == 8:
            assert cli.net.kill(g) == 0
        out.stdin.write(line.encode() + b'\n')
        out.stdin.flush()
        if i == 0:
            assert json.loads(out.stdout.readline())['status'] == 'published'
    time.sleep(0.2)
    cli.net.spawn(g)
    said, err = out.communicate(timeout=WAIT)
    assert out.returncode == 0 and len(said.splitlines()) == 19 and b'published 20 of 20' in err and b'trying again' in err, (said, err)
    got = []
    while len(got) < len(lines):
        message = json.loads(p.stdout.readline())['message']
        if not message.startswith('probe '):  # the last of them may come late
            got.append(message)
    assert sorted(got) == sorted(lines)
    p.terminate()
    cli.net.wait_healthy(g, time.monotonic() + WAIT)


def reconnects(cli):
    """The gateway ends and returns: the subscriber goes on by itself."""
    p, g2 = cli.subscriber('http', 'again'), cli.net.gateways[1]
    assert cli.net.kill(g2) == 0
    cli.net.spawn(g2)
    cli.net.wait_healthy(g2, time.monotonic() + WAIT)
    os.set_blocking(p.stdout.fileno(), False)
    end, sent = time.monotonic() + WAIT, set()
    got = None
    while not got:
        sent.add(f'after {len(sent)}')
        cli.run('publish', 'again', f'after {len(sent) - 1}', *cli.targets['http'][0])
        time.sleep(0.05)
        for line in p.stdout.readlines() or []:
            got = got or json.loads(line)['message'] in sent
        assert time.monotonic() < end and p.poll() is None
    p.terminate()
    _, err = p.communicate(timeout=WAIT)
    assert p.returncode == 0 and b'trying again' in err and b'connected again' in err


def restart(cli, g, **env):
    """The gateway with other settings; its monitoring port, which has no TLS and no tokens, says when it is up."""
    assert cli.net.kill(g) == 0
    cli.net.gateway_env = env
    cli.net.spawn(g)
    end = time.monotonic() + WAIT
    while cli.run('health', '--api', f'{g.ip}:8081', '-g', g.ip).returncode:
        assert time.monotonic() < end and g.process.poll() is None, cli.net.tail(g)
        time.sleep(0.05)


def tls(cli, tmp_path):
    g = cli.net.gateways[1]
    cert, key = str(tmp_path / 'cert.pem'), str(tmp_path / 'key.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert,
                    '-days', '2', '-subj', '/CN=gateway', '-addext', f'subjectAltName=IP:{g.ip}'], check=True, capture_output=True)
    restart(cli, g, PROXY_TLS_CERT=cert, PROXY_TLS_KEY=key)
    for url in (f'https://{g.ip}:8080', f'grpcs://{g.ip}:50051'):
        cli.targets['tls'] = (cli.targets['http'][0], ['-g', url, '--ca', cert])
        p = cli.subscriber('tls', 'secret')
        cli.ok('publish', 'secret', url, *cli.targets['tls'][1])
        take(p, {url.encode()})
        p.terminate()
        assert p.wait(WAIT) == 0
        r = cli.run('publish', 'secret', 'x', '-g', url)
        assert r.returncode == 3 and b'--ca FILE' in r.stderr, r.stderr
        r = cli.run('publish', 'secret', 'x', '-g', url.replace('s:', ':'))
        assert r.returncode == 3, r.stderr  # no TLS where TLS is spoken


def tokens(cli):
    """Without a token, and with one that nobody vouches for."""
    g = cli.net.gateways[1]
    restart(cli, g, ENABLE_AUTH='true', AUTH0_DOMAIN='127.0.0.1:9', AUTH0_AUDIENCE='test')
    for url in (f'http://{g.ip}:8080', f'grpc://{g.ip}:50051'):
        for command in (['publish', 't', 'x'], ['subscribe', 't'], ['bench', '--count', '1']):
            r = cli.run(*command, '-g', url)
            assert r.returncode == 5 and b'CODECAST_TOKEN' in r.stderr, (url, command, r.stderr)
            r = cli.run(*command, '-g', url, CODECAST_TOKEN='not.a.token')
            assert r.returncode == 5 and b'the token was refused' in r.stderr, (url, command, r.stderr)


def test_every_command_against_gateway_and_sidecar(cli, tmp_path):
    for at in ('http', 'grpc', 'sidecar'):
        publish_and_subscribe(cli, at, tmp_path)
    formats(cli, tmp_path)
    looks(cli)
    watch_in_a_terminal(cli)
    bench(cli)
    interrupted(cli)
    a_reader_that_does_not_read(cli)
    refusals(cli)
    for at in ('http', 'grpc'):
        lines_outlive_a_restart(cli, at)
    reconnects(cli)
    tls(cli, tmp_path)
    tokens(cli)


def run(build, *args, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith('CODECAST_')}
    return subprocess.run([build / 'app' / 'codecast' / 'codecast', *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=WAIT, env={**clean, **env})


def test_help_version_and_wrong_arguments(build):
    r = run(build, '--help')
    commands = [line.split()[0] for line in r.stdout.splitlines() if line.startswith('  ') and not line.startswith('  codecast')][:7]
    assert commands == ['publish', 'subscribe', 'peers', 'topics', 'health', 'watch', 'bench']
    for c in commands:
        r = run(build, c, '--help')
        assert r.returncode == 0 and f'Usage: codecast {c}' in r.stdout and '--gateway' in r.stdout
        assert all(len(line) <= 130 for line in r.stdout.splitlines())
    assert run(build, '--version').stdout.startswith('codecast 0.')
    for args, why in ((['pubish', 'x'], 'did you mean publish?'), ([], 'Usage'), (['publish'], 'TOPIC is missing'),
                      (['publish', 't', '--cuont', '3'], 'did you mean --count?'), (['publish', 't', 'a', 'b'], "'b'"),
                      (['bench', '--size', '1'], 'from 16 B'), (['subscribe', 't', '--threshold', '2'], 'at most 1'),
                      (['health', '-g', 'x', '-s', 'y'], 'not both'), (['health', '-g', 'ftp://x'], 'no address'),
                      (['subscribe', 't' * 257, '-g', '127.0.0.1:1'], ''), (['-g', 'x', 'publish'], 'the command comes first')):
        r = run(build, *args)
        assert r.returncode == (3 if not why else 2) and why in r.stderr, (args, r)


@pytest.mark.parametrize('args', [['-g', '127.0.0.1:9'], ['-g', 'grpc://127.0.0.1:9'], ['-s', '127.0.0.1:9', '--api', '127.0.0.1:9']])
def test_nobody_there_is_said_with_what_to_try(build, args):
    for command in (['publish', 't', 'x'], ['subscribe', 't'], ['bench', '--count', '1']):
        r = run(build, *command, *args)
        assert r.returncode == 3, r
        assert '127.0.0.1:9: nobody listens there' in r.stderr and 'nc -zv' in r.stderr and len(r.stderr.splitlines()) == 2
    if args[1].startswith('grpc'):
        return
    for command in ('peers', 'topics', 'health', 'watch'):
        r = run(build, command, *args)
        assert r.returncode == 3 and '127.0.0.1:9' in r.stderr and not r.stdout


@pytest.mark.parametrize('args', [['-g', ''], ['-g', 'grpc://'], ['-s', '']])
@pytest.mark.parametrize('command', [['publish', 't', 'x'], ['subscribe', 't'], ['bench']])
def test_ctrl_c_ends_the_wait_for_a_silent_server(build, args, command):
    with socket.create_server(('127.0.0.1', 0)) as s:
        p = subprocess.Popen([build / 'app' / 'codecast' / 'codecast', *command, args[0], f'{args[1]}127.0.0.1:{s.getsockname()[1]}',
                              '--connect-timeout', '10m'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        c, _ = s.accept()
        p.send_signal(signal.SIGINT)
        assert p.communicate(timeout=WAIT) == (b'', b'') and p.returncode == 130
        c.close()
