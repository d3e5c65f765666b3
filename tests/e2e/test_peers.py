"""Nodes that know only a bootstrap node find each other, and need it no longer then; who is let in; names."""
import os
import signal
import socket
import threading
import time

import pytest

from listen import publisher, receiver

MESH_MIN = 4


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


def test_two_nodes_that_dial_each_other_keep_one_connection_and_lose_nothing(make_network, protos):
    """Everyone lists everyone: each pair begins with two connections, one from each side."""
    net = make_network(nodes=3, gateways=0, driver='kernel', loopback='127.77.15')
    receivers = {m.name: receiver(m, protos) for m in net.nodes}
    time.sleep(1.5)
    pub = publisher(net.nodes[0], protos)
    sent = []
    end = time.monotonic() + 12
    while time.monotonic() < end:  # while the second connections are let go
        sent.append(pub.publish(os.urandom(3000), 't'))
        time.sleep(0.02)
    for m in net.nodes:
        missing = [s for s in sent if receivers[m.name].wait_for(s, 20) is None]
        assert not missing, f'{m.name} misses {len(missing)} of {len(sent)}'

    def connections():
        return [p['connections'] for m in net.nodes for p in net.peers(m)['peers']]
    wait_for('one connection for each pair', lambda: connections() == [1] * 6, 30, connections)
    wait_for('and a stream on each', lambda: all(p['score'] is not None for m in net.nodes for p in net.peers(m)['peers']), 10)
    everyone_gets(net.nodes, receivers, protos)


def test_strangers_stay_outside_of_a_private_network(make_network, protos, tmp_path):
    net = make_network(nodes=3, gateways=0, driver='kernel', late=1, loopback='127.77.16')
    a, b, stranger = net.nodes
    allowed = tmp_path / 'peers'
    allowed.write_text(f'# ours\n{a.peer_id}\n{b.peer_id}  # the second\n')
    for m in (a, b):
        net.kill(m)
    net.node_env = {'PEER_ALLOWLIST': str(allowed)}
    for m in (a, b):
        net.spawn(m)
        net.wait_healthy(m, time.monotonic() + 20)
    wait_for('the two meet', lambda: counts(net, (a, b)) == {a.name: 1, b.name: 1}, 30)
    net.node_env = {}
    net.spawn(stranger)
    net.wait_healthy(stranger, time.monotonic() + 20)
    time.sleep(4)
    assert counts(net, net.nodes) == {a.name: 1, b.name: 1, stranger.name: 0}
    # The file is read again at SIGHUP: first a bad one, which changes nothing, then one with the third.
    allowed.write_text('nobody\n')
    for m in (a, b):
        m.process.send_signal(signal.SIGHUP)
    wait_for('a bad file is refused', lambda: all('the old allow-list stays' in net.tail(m, 40) for m in (a, b)), 10)
    assert 'line 1: "nobody" is not a peer id' in ' '.join(net.tail(a, 40).replace('\\', '').split())
    assert connected(net, a) == 1
    allowed.write_text('\n'.join(m.peer_id for m in net.nodes))
    for m in (a, b):
        m.process.send_signal(signal.SIGHUP)
    wait_for('all three meet', lambda: min(counts(net, net.nodes).values()) == 2, 60, lambda: counts(net, net.nodes))
    allowed.write_text(f'{a.peer_id}\n{b.peer_id}\n')
    a.process.send_signal(signal.SIGHUP)
    wait_for('the third is dropped', lambda: connected(net, a) == 1, 20)


class NameServer:
    """Answers A and TXT questions from a table; NXDOMAIN for the rest. Silent until it is started."""

    def __init__(self, ip, port):
        self.address, self.names, self.asked = (ip, port), {}, []

    def start(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(self.address)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        self.sock.close()

    def _run(self):
        while True:
            try:
                query, who = self.sock.recvfrom(2048)
            except OSError:
                return
            self.sock.sendto(self._answer(query), who)

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = int.from_bytes(query[at + 1:at + 3], 'big')
        name = '.'.join(labels).lower()
        self.asked.append((name, kind))
        records = self.names.get((name, kind), [])
        exists = any(n == name for n, _ in self.names)
        out = query[:2] + (b'\x81\x80' if exists else b'\x81\x83') + b'\0\1' + len(records).to_bytes(2, 'big') + b'\0\0\0\0'
        out += query[12:at + 5]
        for r in records:
            data = socket.inet_aton(r) if kind == 1 else bytes([len(r)]) + r.encode()
            out += b'\xc0\x0c' + query[at + 1:at + 5] + (1).to_bytes(4, 'big') + len(data).to_bytes(2, 'big') + data
        return out


def test_named_bootstrap_peers_are_found_when_their_name_server_answers(make_network, protos):
    net = make_network(nodes=4, gateways=0, driver='kernel', late=3, known=1, loopback='127.77.14')
    first, by_dns4, by_dnsaddr, by_dnsaddr_with_id = net.nodes
    server = NameServer('127.77.14.200', 5353)
    names = {
        by_dns4: f'/dns4/first.test/tcp/7070/p2p/{first.peer_id}',
        by_dnsaddr: '/dnsaddr/boot.test',
        by_dnsaddr_with_id: f'/dnsaddr/boot.test/p2p/{first.peer_id}',
    }
    for m, name in names.items():
        net.node_env = {'BOOTSTRAP_PEERS': name, 'DNS_SERVERS': '127.77.14.200:5353'}
        net.spawn(m)
    late = net.nodes[1:]
    for m in late:
        net.wait_healthy(m, time.monotonic() + 20)
    wait_for('each says that the name does not resolve',
             lambda: all('name does not resolve' in net.tail(m, 40) for m in late), 40, lambda: net.tail(by_dns4))
    assert counts(net, net.nodes) == {m.name: 0 for m in net.nodes}
    stranger = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
    server.names = {
        ('first.test', 1): [first.ip],
        ('_dnsaddr.boot.test', 16): [f'dnsaddr=/dnsaddr/more.test/p2p/{first.peer_id}', 'v=spf1 -all',
                                     f'dnsaddr=/ip4/127.77.14.99/tcp/7070/p2p/{stranger}'],
        ('_dnsaddr.more.test', 16): [f'dnsaddr=/dns4/first.test/tcp/7070/p2p/{first.peer_id}',
                                     f'dnsaddr=/dnsaddr/boot.test/p2p/{first.peer_id}'],  # in a circle
    }
    server.start()
    try:
        wait_for('all meet', lambda: min(counts(net, net.nodes).values()) == 3, 90, lambda: counts(net, net.nodes))
        for m in late:
            assert m.log.read_text(errors='replace').count('name does not resolve') == 1  # once, however often it was tried
        assert ('_dnsaddr.more.test', 16) in server.asked
    finally:
        server.stop()
