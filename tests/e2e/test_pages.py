"""The status pages in a browser (headless Chromium): publish by the page of one gateway, see it arrive at that of the other and in the node's
picture. Without a browser, or without the npm package that drives it: 77 and why. CODECAST_SHOTS=FOLDER keeps screenshots."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

import network

HERE = pathlib.Path(__file__).resolve().parent / 'pages'
WAIT = 30
MESSAGES = 3
sys.path.insert(0, str(HERE.parents[1] / 'gateway'))


class Missing(Exception):
    """What is not on this machine."""


def missing(why):
    raise Missing(why)


def prepare():
    """The browser's program. On import: npm may want the network of this machine, which the fixture `lan` takes away."""
    for name in (os.environ.get('CHROMIUM', ''), 'chromium-headless-shell', 'chromium', 'google-chrome'):
        program = name and shutil.which(name)
        if program:
            break
    else:
        missing('no browser: apt-get install chromium-headless-shell, or CHROMIUM=PROGRAM')
    if not shutil.which('node') or not shutil.which('npm'):
        missing('no node and npm')
    lock = hashlib.sha256((HERE / 'package-lock.json').read_bytes()).hexdigest()
    stamp = HERE / 'node_modules' / '.installed'
    if not stamp.exists() or stamp.read_text() != lock:
        if not os.access(HERE, os.W_OK):
            missing(f'{HERE}/node_modules is not there, and this user may not make it')
        r = subprocess.run(['npm', 'ci', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], cwd=HERE,
                           capture_output=True, text=True, timeout=240)
        if r.returncode:
            missing(f'npm ci: {r.stderr.strip()[-300:]}')
        stamp.write_text(lock)
    return program


try:
    BROWSER, WHY_NOT = prepare(), None
except Missing as e:
    BROWSER, WHY_NOT = None, str(e)


@pytest.fixture
def net(make_network):
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    return make_network(nodes=3, gateways=3, driver='kernel')


@pytest.fixture
def issuer(tmp_path, net):
    from issuer import Authority, Issuer  # not before it is known that there is a browser
    its = Issuer(Authority(str(tmp_path)))
    yield its
    its.stop()


def guard(net, g, issuer):
    """A gateway that asks for tokens."""
    assert net.kill(g) == 0
    net.gateway_env = {'ENABLE_AUTH': 'true', 'AUTH0_DOMAIN': issuer.domain, 'AUTH0_AUDIENCE': 'api', 'AUTH_CA_FILE': issuer.authority.file}
    net.spawn(g)
    net.wait_healthy(g, time.monotonic() + WAIT)


def test_pages_in_a_browser(net, issuer):
    bases = {'node': f'http://{net.nodes[0].control_ip}:{network.API_PORT}',
             **{f'gateway{i + 1}': f'http://{g.ip}:{network.HTTP_PORT}' for i, g in enumerate(net.gateways[:2])}}
    guard(net, net.gateways[2], issuer)
    bases['guarded'] = f'http://{net.gateways[2].ip}:{network.HTTP_PORT}'
    assert net.http(net.gateways[2], network.HTTP_PORT, '/api/v1/status')[0] == 401
    assert net.http(net.gateways[2], network.HTTP_PORT, '/assets/page.js')[0] == 200
    shots = os.environ.get('CODECAST_SHOTS', '-')
    r = subprocess.run(['node', 'pages.mjs', BROWSER, shots, json.dumps({**bases, 'token': issuer.token(), 'messages': MESSAGES, 'tooLong': 1 << 21})], cwd=HERE,
                       capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr
    seen = json.loads(r.stdout)
    assert len(seen['arrived']) >= MESSAGES and all(t.startswith(seen['hostile']) for t in seen['arrived']) and seen['bold'] == 0
    assert seen['node'] == 'node1: Codecast node' and seen['gateway'] == 'gateway2: Codecast gateway'
    assert seen['peers'] == 2 and 'bound' in seen['row'] and '127.' in seen['row']
    assert ' of ' in seen['message'] and seen['hostile'] in seen['message']
    assert seen['whileHidden'] == 0 and 'Nobody answers' in seen['gone']
    assert 'token is needed' in seen['noToken'] and seen['badToken'] and seen['kept'] == ['not.a.token', 0] and seen['dropped'] is None
    assert seen['withToken'].startswith('with a token ') and seen['inAddress'] == 0
    assert not seen['ownComplaints'], seen['ownComplaints']
    assert all(any(u.startswith(b + '/') for b in bases.values()) for u in seen['requests'])
    # what each peer sent and got, beside the picture
    peers = net.peers(net.nodes[0])['peers']
    assert all(p['traffic']['rpc_out'] > 0 for p in peers) and max(p['traffic']['bytes_out'] for p in peers) > 19200 * MESSAGES
