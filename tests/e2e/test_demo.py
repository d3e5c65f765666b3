"""The demo, as a person runs it, in each mode over each data path."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import uuid

import pytest

from conftest import BUILD, ROOT


def demo(*args, timeout=180, env=None):
    r = subprocess.run(['/usr/bin/python3', ROOT / 'scripts/lib/demo.py', '--build', BUILD, '--once', *args], capture_output=True,
                       text=True, timeout=timeout, env={**os.environ, **(env or {})})
    assert r.returncode == 0, r.stdout[-4000:] + r.stderr[-2000:]
    assert 'nothing is left behind' in r.stdout
    return r.stdout


def left_behind(out):
    """Namespaces of this very run; other runs on the machine are none of our business."""
    tag = re.search(r'namespaces (\w+)-', out)
    assert tag or 'network: ' not in out or "on the kernel's sockets" in out, out
    names = subprocess.run(['ip', 'netns', 'list'], capture_output=True, text=True).stdout.split() if tag else []
    return [n for n in names if n.startswith(tag[1] + '-')]


def programs(mark):
    """The pids of this build's programs with that in their environment: other tests run theirs meanwhile."""
    found = set()
    for p in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            if (p / 'exe').readlink().is_relative_to(BUILD / 'app') and mark.encode() in (p / 'environ').read_bytes():
                found.add(int(p.name))
        except OSError:
            pass  # it ended, or is not ours to see
    return found


class Kept:
    """A demo that goes on until it is told to stop, as from a terminal: signals go to all of its session."""

    def __init__(self, *args):
        self.mark, self.text = f'CODECAST_DEMO={uuid.uuid4()}', ''
        name, _, value = self.mark.partition('=')
        self.process = subprocess.Popen(['/usr/bin/python3', ROOT / 'scripts/lib/demo.py', '--build', BUILD, '--keep', *args], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, name: value})

    def read_until(self, what):
        while what not in self.text:
            line = self.process.stdout.readline()
            assert line, self.text
            self.text += line

    def stop(self, sig):
        """The exit code, when nothing is left behind."""
        os.killpg(self.process.pid, sig)
        self.text += self.process.stdout.read()
        code = self.process.wait(30)
        assert 'nothing is left behind' in self.text and 'Traceback' not in self.text, self.text
        assert left_behind(self.text) == [] and not programs(self.mark)
        return code


@pytest.mark.parametrize('mode', ['optimum', 'gossipsub'])
def test_demo_delivers_everywhere(mode, driver):
    out = demo('--mode', mode, '--driver', driver, '--count', '3')
    assert ' 0 repeated' in out and 'MISSING' not in out
    assert left_behind(out) == []


def test_demo_with_a_gateway_in_each_node(driver):
    out = demo('--embedded', '--driver', driver, '--count', '2')
    assert ' 0 repeated' in out and 'MISSING' not in out and 'node4 WebSocket' in out and 'gateway2' not in out
    assert left_behind(out) == []


def test_demo_passes_by_a_proxy_for_the_web():
    nowhere = 'http://127.0.0.1:9'
    demo('--driver', 'kernel', '--count', '1', env={'http_proxy': nowhere, 'HTTP_PROXY': nowhere, 'grpc_proxy': nowhere, 'all_proxy': nowhere})


def run_line(line):
    for _ in range(10):
        r = subprocess.run(['bash', '-c', line], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        if 'degraded' not in r.stdout:
            break
        time.sleep(1)  # a busy machine: a node answered late and counts as down for a moment
    assert r.returncode == 0 and r.stdout and '"error"' not in r.stdout, (line, r.stdout, r.stderr)
    return r.stdout


def await_subscription(line):
    """Connected is not yet subscribed: what is published before that is not for this client."""
    enter, host = re.search(r'\| (ip netns exec \S+ )?.*ws://([^/]+)/', line).groups()
    end = time.monotonic() + 20
    while '"count":1' not in run_line(f"{enter or ''}curl -s 'http://{host}/api/v1/topics?client_id=you'"):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_kept_demo_prints_lines_that_run_as_they_are(driver):
    demo = Kept('--driver', driver, '--count', '1', '--topic', "it's a \"topic\"")
    socket = None
    try:
        demo.read_until('Ctrl-C stops it')
        assert len(programs(demo.mark)) == 6  # the two gateways and four nodes: what must be gone afterwards is seen now
        lines = re.findall(r'^  (.+)$', demo.text[demo.text.index('Try, in another'):], re.M)
        assert len(lines) == 13, lines
        for line in lines:
            if 'websockets' in line:
                socket = subprocess.Popen(['bash', '-c', line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                          start_new_session=True)
                while 'Connected' not in socket.stdout.readline():
                    assert socket.poll() is None
                await_subscription(line)
            elif 'grpcurl' not in line or shutil.which('grpcurl'):
                said = run_line(line + ' --once' * (' watch ' in line))
                if ' bench ' in line:
                    assert 'lost        0\n' in said, said
                if line.endswith('/metrics'):
                    assert 'optimum_mump2p_total_peers' in said
        assert socket
        while '"message":"aGVsbG8="' not in socket.stdout.readline():  # hello
            assert socket.poll() is None
    finally:
        if socket:
            os.killpg(socket.pid, signal.SIGKILL)
        code = demo.stop(signal.SIGINT)
    assert code == 0


@pytest.mark.parametrize('stage,sig', [('demo: starting', signal.SIGINT), ('demo: network', signal.SIGTERM), ('demo: network', signal.SIGINT),
                                       ('demo: node1', signal.SIGHUP), ('receiver', signal.SIGINT)])
def test_demo_interrupted_leaves_nothing_behind(stage, sig, driver):
    demo = Kept('--driver', driver, '--count', '100000')
    demo.read_until(stage)
    assert demo.stop(sig) != 0


def test_demo_over_tap():
    if os.geteuid() or not os.path.exists('/dev/net/tun'):
        pytest.skip('needs root and /dev/net/tun')
    demo('--driver', 'tap', '--count', '2')


@pytest.mark.parametrize('mode', ['optimum', 'gossipsub'])
def test_demo_with_large_messages(mode, driver):
    demo('--mode', mode, '--driver', driver, '--size', '8388608', '--count', '2')


def test_demo_with_the_largest_messages(driver):
    demo('--driver', driver, '--size', '16777216', '--count', '1')
