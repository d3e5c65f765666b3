"""transport.py by both contracts, over a Redis of this test's own: against itself, and with js-libp2p in the other seat."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from conftest import js, packages, pytest_sessionfinish, start  # noqa: E402, F401

IP = '127.78.1.1'
KEYS = {'unified': '0badc0de_listener_multiaddr', 'older': 'listenerAddr'}
BOTH = pytest.mark.parametrize('contract', ['unified', 'older'])


@pytest.fixture
def redis(tmp_path):
    """(address, command(words...) by redis-cli) of a redis-server."""
    if not shutil.which('redis-server') or not shutil.which('redis-cli'):
        pytest.skip('redis-server is not installed')
    with socket.socket() as s:
        s.bind((IP, 0))
        port = s.getsockname()[1]
    server = subprocess.Popen(['redis-server', '--bind', IP, '--port', str(port), '--save', '', '--appendonly', 'no', '--dir', tmp_path],
                              stdout=subprocess.DEVNULL)

    def command(*words):
        r = subprocess.run(['redis-cli', '-h', IP, '-p', str(port), *map(str, words)], capture_output=True, text=True)
        return r.stdout.strip() if r.returncode == 0 else None

    until(lambda: command('PING') == 'PONG', 'redis')
    yield f'{IP}:{port}', command
    server.kill()
    server.wait()


def until(holds, what, seconds=30):
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end, f'no {what} within {seconds} s'
        time.sleep(0.05)
    return value


@pytest.fixture
def seat():
    """seat(contract, redis, is_dialer, **more) -> transport.py as a process; all are ended."""
    running = []

    def begin(contract, redis, is_dialer, **more):
        dialer = 'true' if is_dialer else 'false'
        env = {'unified': {'IS_DIALER': dialer, 'REDIS_ADDR': redis, 'TEST_KEY': '0badc0de', 'TRANSPORT': 'tcp', 'SECURE_CHANNEL': 'noise',
                           'MUXER': 'yamux', 'LISTENER_IP': IP, 'DEBUG': 'true'},
               'older': {'is_dialer': dialer, 'redis_addr': redis, 'transport': 'tcp', 'security': 'noise', 'muxer': 'yamux', 'ip': IP,
                         'test_timeout_seconds': '30'}}[contract]
        running.append(subprocess.Popen([sys.executable, HERE / 'transport.py'], env={**os.environ, **env, **more}, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return running[-1]

    yield begin
    for p in running:
        if p.poll() is None:
            p.terminate()
        p.communicate(timeout=10)


def offer(command, contract, addr):
    assert command(*(['SET', KEYS[contract], addr] if contract == 'unified' else ['RPUSH', KEYS[contract], addr])) is not None


def offered(command, contract):
    return until(lambda: command(*(['GET', KEYS[contract]] if contract == 'unified' else ['LPOP', KEYS[contract]])), 'listener')


def check_result(contract, process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    if contract == 'unified':
        m = re.fullmatch(r'latency:\n  handshake_plus_one_rtt: ([0-9.]+)\n  ping_rtt: ([0-9.]+)\n  unit: ms\n', out)
        assert m, out
        handshake, ping = float(m[1]), float(m[2])
    else:
        result = json.loads(out)
        handshake, ping = result['handshakePlusOneRTTMillis'], result['pingRTTMilllis']
    assert 0 < ping < 10000 and ping < handshake + 10000 and handshake > 0


@BOTH
def test_our_dialer_with_our_listener(redis, seat, contract):
    seat(contract, redis[0], False)
    check_result(contract, seat(contract, redis[0], True))


@BOTH
def test_our_dialer_with_a_js_listener(redis, seat, js, contract):  # noqa: F811
    dialer = seat(contract, redis[0], True)
    peer = js('--listen', f'/ip4/{IP}/tcp/0')
    offer(redis[1], contract, peer.wait('listening')['addr'])
    check_result(contract, dialer)
    peer.wait('identified', agentVersion='codecast-session/1')
    peer.wait('disconnected')
    assert peer.count('error') == 0


@BOTH
def test_a_js_dialer_with_our_listener(redis, seat, js, contract):  # noqa: F811
    listener = seat(contract, redis[0], False)
    addr = offered(redis[1], contract)
    assert re.fullmatch(rf'/ip4/{IP}/tcp/[0-9]+/p2p/12D3Koo\w+', addr)
    peer = js()
    peer.say(cmd='dial', addr=addr)
    assert peer.wait('dialed')['ok']
    peer.say(cmd='ping', addr=addr, count=3)
    for i in range(3):
        assert peer.wait('ping')['i'] == i
    peer.say(cmd='exit')
    assert peer.end() == 0
    time.sleep(0.2)
    assert listener.poll() is None, 'a listener lives until it is ended'
    assert peer.count('error') == 0


def test_listener_on_any_address_offers_one_that_can_be_dialed(redis, seat):
    seat('unified', redis[0], False, LISTENER_IP='0.0.0.0')
    addr = offered(redis[1], 'unified')
    assert '/ip4/0.0.0.0/' not in addr and addr.startswith('/ip4/')


def test_other_stacks_and_strangers_are_refused(redis, seat):
    p = seat('unified', redis[0], True, MUXER='mplex')
    assert p.wait(20) == 1 and 'only tcp, noise, yamux' in p.stderr.read()
    offer(redis[1], 'unified', '/ip4/127.0.0.1/udp/1/quic-v1')
    p = seat('unified', redis[0], True)
    assert p.wait(20) == 1 and 'not an address' in p.communicate()[1]


def test_dialer_whose_listener_is_somebody_else_fails(redis, seat, js):  # noqa: F811
    peer = js('--listen', f'/ip4/{IP}/tcp/0')
    addr = peer.wait('listening')['addr'].split('/p2p/')[0]
    offer(redis[1], 'unified', addr + '/p2p/12D3KooWGGbHiMKh8qEsiZFoxKrD5dcH7XjPP4JXpjvkTw7Dmc5K')
    p = seat('unified', redis[0], True)
    assert p.wait(30) == 1 and 'no connection' in p.communicate()[1]
