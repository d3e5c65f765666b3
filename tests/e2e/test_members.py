"""Nodes that die, return and join; the first message of a fresh network; topics."""
import hashlib
import os
import signal
import time

import pytest

from listen import publisher, receiver


def wait_for_peers(net, m, count, end):
    p = None
    while time.monotonic() < end:
        p = net.peers(m)
        if p and p['total_peers'] >= count:
            return
        time.sleep(0.2)
    raise AssertionError(f'{m.name} has {p and p["total_peers"]} peers, wanted {count}:\n{net.tail(m)}')


# Net and coding lcores of each node: as the CPUs allow, 2 + 1, 2 + 2, 1 + 3.
LCORES = [[], ['--net-lcores=2'], ['--net-lcores=2', '--coding-lcores=2'], ['--coding-lcores=3']]


@pytest.mark.parametrize('mode', ['optimum', 'gossipsub'])
def test_others_get_everything_when_a_node_is_killed_and_it_rejoins(make_network, protos, mode, driver):
    net = make_network(nodes=4, gateways=0, driver=driver, mode=mode, node_args=lambda i: LCORES[i])
    receivers = {n.name: receiver(n, protos) for n in net.nodes}
    time.sleep(1.5)
    pub = publisher(net.nodes[0], protos)
    sent = []
    for i in range(100):
        if i == 50:
            net.kill(net.nodes[2], signal.SIGKILL)
        sent.append(pub.publish(os.urandom(20000), 't'))
        time.sleep(0.1)
    for name in ('node1', 'node2', 'node4'):
        missing = [s for s in sent if receivers[name].wait_for(s, 5) is None]
        assert not missing, f'{name} misses {len(missing)} of 100'
    # It returns within 10 s and gets what follows.
    end = time.monotonic() + 10
    net.spawn(net.nodes[2])
    net.wait_healthy(net.nodes[2], end)
    wait_for_peers(net, net.nodes[2], 3, end)
    back = receiver(net.nodes[2], protos)
    time.sleep(1.5)
    after = [pub.publish(os.urandom(20000), 't') for _ in range(10)]
    assert all(back.wait_for(s, 10) for s in after)


def test_a_fifth_node_joins_and_gets_what_follows(make_network, protos, driver):
    """Nobody has heard of it before: it is in no list but its own."""
    net = make_network(nodes=5, gateways=0, driver=driver, late=1)
    late = net.nodes[4]
    others = [receiver(n, protos) for n in net.nodes[:4]]
    pub = publisher(net.nodes[0], protos)
    sha = pub.publish(os.urandom(5000), 't')
    assert all(r.wait_for(sha, 10) for r in others)
    end = time.monotonic() + 10
    net.spawn(late)
    net.wait_healthy(late, end)
    wait_for_peers(net, late, 4, end)
    r = receiver(late, protos)
    time.sleep(1.5)
    for _ in range(10):
        sha = pub.publish(os.urandom(5000), 't')
        assert all(x.wait_for(sha, 10) for x in [r, *others])


@pytest.mark.parametrize('mode', ['optimum', 'gossipsub'])
def test_first_message_one_second_after_the_start_is_delivered(make_network, protos, mode, driver):
    net = make_network(nodes=4, gateways=0, driver=driver, mode=mode)
    receivers = [receiver(n, protos) for n in net.nodes]
    pub = publisher(net.nodes[0], protos)
    time.sleep(1)
    for size in (100, 100000):
        sha = pub.publish(os.urandom(size), 't')
        for r in receivers:
            assert r.wait_for(sha, 10), f'{size}: {r.name_text} never got it'


def test_topics_do_not_leak(make_network, protos):
    net = make_network(nodes=2, gateways=0, driver='kernel')
    mine, other = receiver(net.nodes[1], protos, 'mine'), receiver(net.nodes[1], protos, 'other')
    time.sleep(1.5)
    pub = publisher(net.nodes[0], protos)
    sha = pub.publish(os.urandom(1000), 'mine')
    assert mine.wait_for(sha, 10)
    assert not other.got


@pytest.mark.parametrize('mode', ['optimum', 'gossipsub'])
def test_nodes_of_both_key_types_are_one_mesh(make_network, protos, mode):
    """Publishers of either type, relayed by the other: connections, headers and messages are signed with the node's key."""
    net = make_network(nodes=4, gateways=0, driver='kernel', mode=mode, key_types=('secp256k1', 'ed25519', 'secp256k1'))
    assert [n.peer_id.startswith('16Uiu2') for n in net.nodes] == [True, False, True, False]
    receivers = {n.name: receiver(n, protos) for n in net.nodes}
    for n in net.nodes:
        wait_for_peers(net, n, 3, time.monotonic() + 20)
    publishers = [publisher(n, protos) for n in net.nodes]
    sent = [p.publish(os.urandom(20000), 't') for p in publishers for _ in range(5)]
    end = time.monotonic() + 20
    for name, r in receivers.items():
        missing = [s for s in sent if r.wait_for(s, max(0.1, end - time.monotonic())) is None]
        assert not missing, f'{name} misses {len(missing)} of {len(sent)}'
