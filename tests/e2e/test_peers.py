"""Nodes that know only a bootstrap node find each other, and need it no longer then; who is let in; names."""
import os
import signal
import time

import clients
import network
import pytest

MESH_MIN = 4


def receiver(m, protos, topic='t'):
    r = clients.SidecarReceiver(m.name, m.control_ip, network.SIDECAR_PORT, topic, protos)
    r.start()
    assert r.ready.wait(20)
    return r


def publisher(m, protos):
    return clients.SidecarPublisher(m.control_ip, network.SIDECAR_PORT, protos)


def connected(net, m):
    p = net.peers(m)
    return p['total_peers'] if p else 0


def wait_for(what, condition, seconds, detail=lambda: ''):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.3)
    raise AssertionError(f'{what}: not in {seconds} s: {detail()}')


def counts(net, nodes):
    return {m.name: connected(net, m) for m in nodes}


def everyone_gets(nodes, receivers, protos, count=5):
    pub = publisher(nodes[0], protos)
    for _ in range(count):
        sha = pub.publish(os.urandom(20000), 't')
        missing = [m.name for m in nodes if receivers[m.name].wait_for(sha, 20) is None]
        assert not missing, missing


@pytest.mark.parametrize('mode', ['optimum', 'gossipsub'])
def test_twelve_nodes_that_know_only_the_bootstrap_need_it_no_longer(make_network, protos, mode):
    net = make_network(nodes=12, gateways=0, driver='kernel', mode=mode, known=1, loopback='127.77.12')
    first, others = net.nodes[0], net.nodes[1:]
    receivers = {m.name: receiver(m, protos) for m in net.nodes}
    wait_for('each finds MESH_MIN others beside the bootstrap', lambda: min(counts(net, others).values()) >= MESH_MIN + 1, 60,
             lambda: counts(net, others))
    net.kill(first, signal.SIGKILL)
    wait_for('the bootstrap is missed', lambda: all(first.peer_id not in str(net.peers(m)['peers']) for m in others), 60)
    left = counts(net, others)
    assert min(left.values()) >= MESH_MIN, left
    everyone_gets(others, receivers, protos)
    wait_for('each says that its bootstrap is away',
             lambda: all('no bootstrap peer is connected' in m.log.read_text(errors='replace') for m in others), 30)
    time.sleep(5)  # once, however long it lasts
    for m in others:
        log = m.log.read_text(errors='replace')
        assert log.count('no bootstrap peer is connected') == 1, net.tail(m)
    # It returns under the same address, and is found again.
    net.spawn(first)
    net.wait_healthy(first, time.monotonic() + 20)
    wait_for('the bootstrap is found again', lambda: connected(net, first) >= MESH_MIN, 90, lambda: net.tail(first))
    receivers[first.name] = receiver(first, protos)
    time.sleep(2)
    everyone_gets(net.nodes, receivers, protos)


def test_nodes_whose_bootstrap_is_down_at_the_start_meet_when_it_comes(make_network, protos):
    net = make_network(nodes=4, gateways=0, driver='kernel', late=0, known=1, loopback='127.77.13')
    first, others = net.nodes[0], net.nodes[1:]
    for m in net.nodes:
        net.kill(m)
    for m in others:
        net.spawn(m)
    for m in others:
        net.wait_healthy(m, time.monotonic() + 20)
    def this_life(m):
        return m.log.read_text(errors='replace').rpartition('"node started"')[2]
    wait_for('each says what it waits for', lambda: all('waiting for a bootstrap peer' in this_life(m) for m in others), 30,
             lambda: net.tail(others[0]))
    time.sleep(5)  # once, however long it lasts
    for m in others:
        log = this_life(m)
        assert log.count('waiting for a bootstrap peer') == 1, log
        assert f'/ip4/{first.ip}/tcp/7070/p2p/{first.peer_id}' in log
    net.spawn(first)
    net.wait_healthy(first, time.monotonic() + 20)
    wait_for('all meet', lambda: min(counts(net, net.nodes).values()) == 3, 60, lambda: counts(net, net.nodes))
