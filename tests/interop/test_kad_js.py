"""The DHT against js-libp2p's: it finds a node of ours through another, and our nodes find it."""
import os
import sys
import time

import pytest
from conftest import BUILD

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'scripts', 'lib'))
import network  # noqa: E402


@pytest.fixture
def net():
    n = network.Network(nodes=2, gateways=0, mode='gossipsub', driver='kernel', build=BUILD, loopback='127.77.17', known=1,
                        node_env={'DHT': 'public'})
    n.start()
    yield n
    bad = n.stop()
    assert not bad, bad


def wait_for(what, condition, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.3)
    raise AssertionError(what)


def peers_of(net, m):
    return {p['peer_id'] for p in (net.peers(m) or {'peers': []})['peers']}


def metric(net, m, name):
    text = net.http(m, network.API_PORT, '/metrics')[1]
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + '{')), 0.0)


def test_kad_js_and_ours_find_each_other(net, js):
    a, b = net.nodes
    wait_for('our two meet', lambda: b.peer_id in peers_of(net, a))
    peer = js('--kad', 'server', '--listen', '/ip4/127.77.17.99/tcp/0')
    me = peer.peer
    peer.say(cmd='dial', addr=f'/ip4/{a.ip}/tcp/6060/p2p/{a.peer_id}')
    assert peer.wait('dialed', 20)['ok']
    heard = peer.wait('identified', 20, peer=a.peer_id)
    assert '/ipfs/kad/1.0.0' in heard['protocols']
    # js asks A for B. (It has A in its table only a while after identify: until then it finds nothing.)
    def found():
        peer.say(cmd='findpeer', peer=b.peer_id)
        time.sleep(0.5)
        return any(x.startswith(f'/ip4/{b.ip}/tcp/6060') for e in peer.all('found', peer=b.peer_id) for x in e['addrs'])
    wait_for('js finds B', found)
    # B hears of js from A, dials it, and asks it in turn.
    wait_for('B finds the js peer', lambda: me in peers_of(net, b))
    wait_for('js is in the tables of both', lambda: min(metric(net, m, 'codecast_dht_table_peers') for m in net.nodes) >= 2)
    assert metric(net, a, 'codecast_dht_served_total') > 0
    assert metric(net, a, 'codecast_dht_refused_total') == 0
    assert all(metric(net, m, 'codecast_dht_failed_total') == 0 for m in net.nodes)
