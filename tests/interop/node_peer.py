"""One p2pnode in gossipsub mode, driven by its sidecar and its HTTP API; what passes between it and a reference peer."""
import os
import re
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

    def start(self, bootstrap=(), **settings):
        """Starts it, to dial those; returns once its API answers. One that a failed check left running is ended."""
        self.stop(signal.SIGKILL)
        self.net.node_env.clear()
        self.net.node_env.update(settings, BOOTSTRAP_PEERS=','.join(bootstrap))
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

    def is_running(self):
        return self.m.process is not None

    def subscribe(self, topic):
        r = clients.SidecarReceiver(self.m.name, self.m.control_ip, network.SIDECAR_PORT, topic, self.protos)
        r.start()
        r.ready.wait(10)
        self.receivers[topic] = r
        return r

    def unsubscribe(self, topic):
        self.receivers.pop(topic).unsubscribe()

    def publish(self, topic, size):
        sha = self.publisher.publish(os.urandom(size), topic)
        self.sent.add(sha)
        return sha

    def peer_status(self, peer):
        """Our view of that peer in /debug/peers, or None."""
        status = self.net.peers(self.m) or {'peers': []}
        return next((p for p in status['peers'] if p['peer_id'] == peer), None)

    def is_subscribed(self, topic):
        status = self.net.peers(self.m) or {'topics': []}
        return any(t['topic'] == topic and t['subscribed'] for t in status['topics'])

    def wait_until(self, what, holds, seconds=10):
        """Waits until holds() is true."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f'{self.m.name}: {what}: not within {seconds} s; its log:\n{self.net.tail(self.m)}')
            time.sleep(0.05)

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

    def metric(self, name, **labels):
        """The value of that series in /metrics; 0 when it is not there."""
        _, text = self.net.http(self.m, network.API_PORT, '/metrics')
        for line in text.splitlines():
            m = re.match(rf'{name}(?:\{{(.*)\}})? (\S+)$', line)
            if m and all(f'{k}="{v}"' in (m[1] or '') for k, v in labels.items()):
                return float(m[2])
        return 0

    def control(self, kind, direction):
        """How many of that kind it counted, 'in' or 'out': messages of graft, prune and ihave, ids of iwant and idontwant."""
        return self.metric('codecast_control_total', kind=kind, direction=direction)


def wait_mesh(node, ref, topic, seconds=10):
    """Both in each other's mesh."""
    node.wait_peer(ref.peer, seconds, lambda p: topic in p['mesh'])
    wait_their_mesh(ref, topic, seconds, lambda mesh: node.peer in mesh)


def wait_their_mesh(ref, topic, seconds, holds):
    """Waits until `holds` of the reference peer's mesh."""
    end = time.monotonic() + seconds
    while True:
        ref.say(cmd='mesh', topic=topic)
        mesh = ref.wait('mesh-peers', 20, topic=topic)['mesh']
        if holds(mesh):
            return
        if time.monotonic() > end:
            ref.fail(f'the mesh of {ref.library.name} on {topic} is {mesh}')
        time.sleep(0.05)


def node_to_ref(node, ref, topic, count, size, seconds=30):
    """Publishes at our node; milliseconds until the other has had each once, and under the hash it was sent with."""
    t0 = time.monotonic()
    sent = [node.publish(topic, size) for _ in range(count)]
    end = t0 + seconds
    for sha in sent:
        ref.wait_count(1, 'message', max(0.1, end - time.monotonic()), topic=topic, sha256=sha)
    ms = (time.monotonic() - t0) * 1000
    heard = ref.all('message', topic=topic, **{'from': node.peer})
    got = [e for e in heard if e['sha256'] in sent]
    assert len(got) == count, f'{count} x {size}: {ref.library.name} has some of them twice'
    # A peer that was away may also be given what is kept for it from before.
    assert all(e['sha256'] in node.sent for e in heard), f'{count} x {size}: {ref.library.name} has hashes that our node never sent'
    for e in got:
        assert e['signed'] and e['from'] == node.peer and e['size'] == size, e
        assert len(e['seqno']) == 16, e
    return ms


def ref_publish(ref, topic, count, size, seconds=30, **more):
    """Has it publish; the hashes."""
    before = ref.count('published', topic=topic)
    ref.say(cmd='publish', topic=topic, count=count, size=size, **more)
    return [e['sha256'] for e in ref.wait_count(before + count, 'published', seconds, topic=topic)[before:]]


def ref_to_node(node, ref, topic, count, size, seconds=30):
    """Publishes at the reference peer; milliseconds until our subscriber has had each once, under the hash it was sent with."""
    r = node.receivers[topic]
    t0, had = time.monotonic(), len(r.got)
    sent = ref_publish(ref, topic, count, size, seconds)
    for sha in sent:
        assert r.wait_for(sha, seconds) is not None, f'{count} x {size}: our node misses {sha}: {r.error or "no error"}'
    ms = (time.monotonic() - t0) * 1000
    got = [sha for sha, _, _ in r.got[had:] if sha not in node.sent]  # a subscriber hears its own node's too
    assert sorted(got) == sorted(sent), f'{count} x {size}: our node has other hashes than {ref.library.name} sent'
    return ms


def one_each_way(node, ref, topic, seconds=10, size=2000):
    """A message passes both ways now."""
    return node_to_ref(node, ref, topic, 1, size, seconds) + ref_to_node(node, ref, topic, 1, size, seconds)
