"""One p2pnode in gossipsub mode, driven by its sidecar and its HTTP API; what passes between it and a js peer."""
import os
import signal
import time

import clients
import network

KIB, BIG = 1024, 900 * 1000


class NodePeer:
    def __init__(self, net, member, protos):
        self.net, self.m, self.protos, self.peer = net, member, protos, member.peer_id
        self.receivers, self.publisher, self.sent = {}, None, set()

    def address(self):
        return f'/ip4/{self.m.ip}/tcp/{self.net.mesh_port()}/p2p/{self.peer}'

    def start(self, bootstrap=()):
        """Starts it, to dial those; returns once its API answers. One that a failed check left running is ended."""
        self.stop(signal.SIGKILL)
        self.net.node_env['BOOTSTRAP_PEERS'] = ','.join(bootstrap)
        self.net.spawn(self.m)
        self.net.wait_healthy(self.m, time.monotonic() + 20)
        self.publisher = clients.SidecarPublisher(self.m.control_ip, network.SIDECAR_PORT, self.protos)

    def stop(self, sig=signal.SIGTERM):
        """Ends it; its exit code."""
        if self.publisher:
            self.publisher.close()
            self.publisher = None
        self.receivers = {}
        return self.net.kill(self.m, sig)

    def subscribe(self, topic):
        r = clients.SidecarReceiver(self.m.name, self.m.control_ip, network.SIDECAR_PORT, topic, self.protos)
        r.start()
        r.ready.wait(10)
        self.receivers[topic] = r
        return r

    def publish(self, topic, size):
        sha = self.publisher.publish(os.urandom(size), topic)
        self.sent.add(sha)
        return sha

    def peer_status(self, peer):
        """Our view of that peer in /debug/peers, or None."""
        status = self.net.peers(self.m) or {'peers': []}
        return next((p for p in status['peers'] if p['peer_id'] == peer), None)

    def wait_peer(self, peer, seconds, holds=lambda p: True):
        """Waits until that peer is there and `holds` of it; our view of it."""
        end, p = time.monotonic() + seconds, None
        while time.monotonic() < end:
            p = self.peer_status(peer)
            if p and holds(p):
                return p
            time.sleep(0.05)
        raise AssertionError(f'{self.m.name} does not come to see {peer} as wanted in {seconds} s, but as {p}; its log:\n'
                             f'{self.net.tail(self.m)}')


def wait_mesh(node, js, topic, seconds=10):
    """Both in each other's mesh."""
    node.wait_peer(js.peer, seconds, lambda p: topic in p['mesh'])
    end = time.monotonic() + seconds
    while True:
        js.say(cmd='mesh', topic=topic)
        mesh = js.wait('mesh-peers', 5, topic=topic)['mesh']
        if node.peer in mesh:
            return
        if time.monotonic() > end:
            js.fail(f'our node is not in the mesh of js on {topic}: {mesh}')
        time.sleep(0.05)


def node_to_js(node, js, topic, count, size, seconds=20):
    """Publishes at our node; milliseconds until js has had each once, and under the hash it was sent with."""
    t0 = time.monotonic()
    sent = [node.publish(topic, size) for _ in range(count)]
    end = t0 + seconds
    for sha in sent:
        js.wait_count(1, 'message', max(0.1, end - time.monotonic()), topic=topic, sha256=sha)
    ms = (time.monotonic() - t0) * 1000
    heard = js.all('message', topic=topic, **{'from': node.peer})
    got = [e for e in heard if e['sha256'] in sent]
    assert len(got) == count, f'{count} x {size}: js has some of them twice'
    # A js peer that was away may also be given what is kept for it from before.
    assert all(e['sha256'] in node.sent for e in heard), f'{count} x {size}: js has hashes that our node never sent'
    for e in got:
        assert e['signed'] and e['from'] == node.peer and e['size'] == size, e
        assert len(e['seqno']) == 16, e
    return ms


def js_to_node(node, js, topic, count, size, seconds=20):
    """Publishes at js; milliseconds until our subscriber has had each once, and under the hash it was sent with."""
    r = node.receivers[topic]
    t0 = time.monotonic()
    before, had = js.count('published', topic=topic), len(r.got)
    js.say(cmd='publish', topic=topic, count=count, size=size)
    sent = [e['sha256'] for e in js.wait_count(before + count, 'published', seconds, topic=topic)[before:]]
    for sha in sent:
        assert r.wait_for(sha, seconds) is not None, f'{count} x {size}: our node misses {sha}: {r.error or "no error"}'
    ms = (time.monotonic() - t0) * 1000
    got = [sha for sha, _, _ in r.got[had:] if sha not in node.sent]  # a subscriber hears its own node's too
    assert sorted(got) == sorted(sent), f'{count} x {size}: our node has other hashes than js sent'
    return ms


def one_each_way(node, js, topic, seconds=10, size=2000):
    """A message passes both ways now."""
    return node_to_js(node, js, topic, 1, size, seconds) + js_to_node(node, js, topic, 1, size, seconds)
