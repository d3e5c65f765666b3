"""The cells of the matrix: what is tried between our node and one library, with one side dialing.

The reference peers of a seat, all of one library:
    main     does most of it
    second   beside main, not connected with it
    loner    keeps no mesh: what it gets and gives goes by IHAVE and IWANT alone
    far      connected to second alone (and to keeper)
    keeper   has a full mesh of two on topic px and prunes further ones with PX; where we dial
Topics: t traffic, m mesh changes, r and q recovery, w and v IDONTWANT, v13 gossipsub 1.3, key-* other
keys, px and hub peer exchange.
"""
import signal
import statistics
import time

from bench import clean
from node_peer import (BIG, KIB, node_to_ref, one_each_way, ref_publish, ref_to_node, wait_mesh, wait_their_mesh)

PROTOCOLS = {'/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0', '/meshsub/1.1.0', '/meshsub/1.2.0'}
NOBODY = '0,0,0,0'


class Skip(Exception):
    """Why this cell says nothing here."""


class Seat:
    """One library, one side dialing; `who` is the side."""

    def __init__(self, bench, library, we_dial):
        self.bench, self.library, self.we_dial, self.node = bench, library, we_dial, bench.node
        self.who = 'dial' if we_dial else 'listen'

        self.started = []

    def ref(self, name, *flags, **more):
        p = self.bench.ref(self.library, f'{self.who}-{name}', *flags, **more)
        self.started.append(p)
        return p

    def begin(self):
        self.main = self.ref('main', '--subscribe', 't')
        self.second = self.ref('second')
        self.loner = self.ref('loner', '--subscribe', 'r', '--subscribe', 'q', '--mesh', NOBODY, '--flood', 'off')
        self.far = self.ref('far')
        self.refs = [self.main, self.second, self.loner]
        self.keeper = self.ref('keeper', '--subscribe', 'px', '--mesh', '2,1,2,0', '--do-px') if self.we_dial else None
        if self.keeper:
            self.refs.append(self.keeper)
        for p in (*self.refs, self.far):
            p.address()
        self.began = time.monotonic()
        self.node.start([p.address() for p in self.refs] if self.we_dial else [])
        self.node.subscribe('t')
        for p in self.refs if not self.we_dial else []:
            p.dial(self.node.address())
        self.far.dial(self.second.address())

    def end(self):
        """All of them leave well."""
        codes = {p.peer: p.leave() for p in [*self.refs, self.far]}
        assert not any(codes.values()), f'{self.library.name} did not end well: {codes}'
        assert self.node.stop() == 0, 'our node did not end well'

    def is_alive(self):
        return self.node.is_running() and all(p.process.poll() is None for p in [*self.refs, self.far])

    def drop(self):
        self.bench.drop([p for p in self.started if p in self.bench.refs])
        self.node.stop(signal.SIGKILL)


# ---- the cells: milliseconds, or nothing ----

def identify(s):
    node, ref = s.node, s.main
    heard = ref.wait('identified', 20, peer=node.peer)
    ms = (time.monotonic() - s.began) * 1000
    assert heard['agentVersion'].startswith('codecast/'), heard
    assert PROTOCOLS <= set(heard['protocols']), heard
    ours = node.address().split('/p2p/')[0]
    assert [a.split('/p2p/')[0] for a in heard['listenAddrs']] == [ours], heard
    assert not s.library.reads_records or heard['signedPeerRecord']['addrs'] == [ours], heard
    assert heard['observed'].startswith('/ip4/172.28.0.1/tcp/' if s.bench.net.lan else '/ip4/127.'), heard
    seen = node.wait_peer(ref.peer, 10, lambda p: p['agent'] and p['protocol'])
    assert seen['agent'].startswith(s.library.agent) and seen['protocol'] == '/meshsub/1.2.0', seen
    assert seen['direction'] == ('outbound' if s.we_dial else 'inbound'), seen
    return ms


def ping(s):
    """Both ping; the median of what the other measures."""
    s.main.say(cmd='ping', addr=s.node.address(), count=5)
    times = [e['wallMs'] for e in s.main.wait_count(5, 'ping', 10)]
    s.node.wait_peer(s.main.peer, 10, lambda p: p['rtt_ms'] > 0)
    return statistics.median(times)


def out(count, size):
    def cell(s):
        wait_mesh(s.node, s.main, 't', 15)
        return node_to_ref(s.node, s.main, 't', count, size)
    return cell


def into(count, size):
    def cell(s):
        wait_mesh(s.node, s.main, 't', 15)
        return ref_to_node(s.node, s.main, 't', count, size)
    return cell


def heard(s, ref, what, direction, **want):
    """Waits for such a control event between ref and our node, if the library shows it."""
    if ref.shows(f'{what}.{direction}'):
        ref.wait_count(1, 'control', 10, what=what, direction=direction, peer=s.node.peer, **want)


def mesh_out(s):
    """They are there first: we come with a GRAFT, and go with a PRUNE."""
    node, ref = s.node, s.main
    before = node.control('graft', 'out'), node.control('prune', 'out')
    ref.say(cmd='subscribe', topic='m1')
    ref.wait('subscribed', topic='m1')
    node.wait_until('the subscription', lambda: node.peer_status(ref.peer)['topics'] == 2)
    node.subscribe('m1')
    wait_mesh(node, ref, 'm1')
    heard(s, ref, 'graft', 'in', topic='m1')
    node.unsubscribe('m1')
    wait_their_mesh(ref, 'm1', 10, lambda mesh: node.peer not in mesh)
    heard(s, ref, 'prune', 'in', topic='m1')
    ref.wait('peer-unsubscribed', 10, peer=node.peer, topic='m1')
    assert node.control('graft', 'out') > before[0] and node.control('prune', 'out') > before[1]
    ref.say(cmd='unsubscribe', topic='m1')
    ref.wait('unsubscribed', topic='m1')


def mesh_in(s):
    """We are there first: they come with a GRAFT, and go with a PRUNE."""
    node, ref = s.node, s.main
    before = node.control('graft', 'in'), node.control('prune', 'in')
    node.subscribe('m2')
    ref.wait('peer-subscribed', 10, peer=node.peer, topic='m2')
    ref.say(cmd='subscribe', topic='m2')
    wait_mesh(node, ref, 'm2')
    heard(s, ref, 'graft', 'out', topic='m2')
    ref.say(cmd='unsubscribe', topic='m2')
    node.wait_until('their PRUNE', lambda: node.control('prune', 'in') > before[1])
    node.wait_until('the mesh without them', lambda: 'm2' not in node.peer_status(ref.peer)['mesh'])
    heard(s, ref, 'prune', 'out', topic='m2')
    assert node.control('graft', 'in') > before[0]
    node.unsubscribe('m2')


def recovery_out(s):
    """main publishes, we relay; loner is in no mesh: we tell it by IHAVE, it asks by IWANT."""
    node, ref = s.node, s.loner
    counts = {k: node.control(*k) for k in (('ihave', 'out'), ('iwant', 'in'), ('prune', 'in'))}
    node.wait_until('the loner', lambda: (node.peer_status(ref.peer) or {}).get('topics', 0) >= 1)
    r = node.subscribe('r')
    s.main.say(cmd='subscribe', topic='r')
    wait_mesh(node, s.main, 'r')
    node.wait_until('a PRUNE of the loner', lambda: node.control('prune', 'in') > counts['prune', 'in'])
    node.wait_until('the loner in no mesh', lambda: 'r' not in node.peer_status(ref.peer)['mesh'])
    t0 = time.monotonic()
    sent = ref_publish(s.main, 'r', 5, 20000)
    for sha in sent:
        assert r.wait_for(sha, 10) is not None, 'our node misses what it should relay'
        ref.wait_count(1, 'message', 10, topic='r', sha256=sha, via=node.peer)
    ms = (time.monotonic() - t0) * 1000
    heard(s, ref, 'ihave', 'in', topic='r')
    heard(s, ref, 'iwant', 'out')
    assert node.control('ihave', 'out') > counts['ihave', 'out'] and node.control('iwant', 'in') >= counts['iwant', 'in'] + 5
    return ms


def unmeshed(s):
    """For a library that refuses to publish to nobody: we are there first, though in no mesh of loner's; who publishes is far."""
    node, pruned = s.node, s.node.control('prune', 'in')
    s.far.dial(s.loner.address())
    s.far.wait_count(1, 'peer-subscribed', 10, peer=s.loner.peer, topic='q')
    r = node.subscribe('q')
    node.wait_until('a PRUNE of the loner', lambda: node.control('prune', 'in') > pruned)
    node.wait_until('the loner in no mesh', lambda: 'q' not in node.peer_status(s.loner.peer)['mesh'])
    return r, s.far


def recovery_in(s):
    """loner published while nobody listened: we come later, hear its IHAVE and ask. It tells of a message for 3 heartbeats."""
    node, ref = s.node, s.loner
    r, author = (None, ref) if s.library.keeps_unsent else unmeshed(s)
    for attempt in range(3):
        counts = {k: node.control(*k) for k in (('ihave', 'in'), ('iwant', 'out'))}
        t0 = time.monotonic()
        sent = ref_publish(author, 'q', 5, KIB) + ref_publish(author, 'q', 2, BIG)
        r = r or node.subscribe('q')
        missing = [sha for sha in sent if r.wait_for(sha, 6) is None]
        if not missing:
            break
    assert not missing, f'our node never asked for {len(missing)} of 7'
    ms = (time.monotonic() - t0) * 1000
    heard(s, ref, 'ihave', 'out', topic='q')
    heard(s, ref, 'iwant', 'in')
    assert node.control('ihave', 'in') > counts['ihave', 'in'] and node.control('iwant', 'out') >= counts['iwant', 'out'] + 7
    return ms


def idontwant_out(s):
    """main publishes; second, who is not connected with it, hears our IDONTWANT."""
    node = s.node
    before = node.control('idontwant', 'out')
    r = node.subscribe('w')
    for p in (s.main, s.second):
        p.say(cmd='subscribe', topic='w')
    for p in (s.main, s.second):
        wait_mesh(node, p, 'w')
    for sha in ref_publish(s.main, 'w', 3, 20000):
        assert r.wait_for(sha, 10) is not None
        s.second.wait_count(1, 'message', 10, topic='w', sha256=sha)
    heard(s, s.second, 'idontwant', 'in')
    assert node.control('idontwant', 'out') >= before + 3


def idontwant_in(s):
    """far publishes; second hears it first and tells us by IDONTWANT."""
    node = s.node
    before = node.control('idontwant', 'in')
    r = node.subscribe('v')
    for p in (s.far, s.second):
        p.say(cmd='subscribe', topic='v')
    wait_mesh(node, s.second, 'v')
    wait_their_mesh(s.second, 'v', 15, lambda mesh: s.far.peer in mesh)
    for sha in ref_publish(s.far, 'v', 3, 20000):
        assert r.wait_for(sha, 10) is not None
    heard(s, s.second, 'idontwant', 'out')
    node.wait_until('their IDONTWANT', lambda: node.control('idontwant', 'in') >= before + 1)


def px(s):
    """Where we dial: keeper prunes us and names far; we connect to it. Else: our hub prunes one of two, which connects to the other."""
    if s.library.no_px:
        raise Skip(s.library.no_px)
    return px_followed(s) if s.we_dial else px_given(s)


def px_followed(s):
    node = s.node
    for p in (s.far, s.second):
        p.dial(s.keeper.address())
        p.say(cmd='subscribe', topic='px')
    wait_their_mesh(s.keeper, 'px', 15, lambda mesh: {s.far.peer, s.second.peer} <= set(mesh))
    assert node.peer_status(s.far.peer) is None, 'we know far already'
    t0 = time.monotonic()
    node.subscribe('px')
    if s.keeper.shows('prune.out'):
        told = s.keeper.wait('control', 10, what='prune', direction='out', peer=node.peer, topic='px')
        assert told['px'] >= 1, f'the keeper sent no peers: {told}'
    node.wait_until('the wish to dial', lambda: node.metric('codecast_px_dials_total') > 0)
    node.wait_peer(s.far.peer, 15)
    return (time.monotonic() - t0) * 1000


def px_given(s):
    hub = s.bench.hub
    hub.start([], GOSSIPSUB_MESH_TARGET='1', GOSSIPSUB_MESH_MIN='1', GOSSIPSUB_MESH_MAX='1')
    try:
        hub.subscribe('hub')
        for p in (s.main, s.second):
            p.dial(hub.address())
            p.wait('identified', 10, peer=hub.peer)
        t0 = time.monotonic()
        for p in (s.main, s.second):
            p.say(cmd='subscribe', topic='hub')
            p.wait('subscribed', topic='hub')
        hub.wait_until('a PRUNE of ours', lambda: hub.control('prune', 'out') > 0)
        s.main.wait_count(1, 'connected', 15, peer=s.second.peer)
        return (time.monotonic() - t0) * 1000
    finally:
        hub.stop()


def late(s):
    """main subscribes after our node has published: it gets what is kept for it."""
    node, ref = s.node, s.main
    node.subscribe('late')
    node.wait_until('the subscription', lambda: node.is_subscribed('late'))
    sent = [node.publish('late', size) for size in (KIB, 200000)]
    ref.wait('peer-subscribed', 10, peer=node.peer, topic='late')
    t0 = time.monotonic()
    ref.say(cmd='subscribe', topic='late')
    got = ref.wait_count(2, 'message', 15, topic='late')
    assert sorted(e['sha256'] for e in got) == sorted(sent)
    return (time.monotonic() - t0) * 1000


def version_13(s):
    """A node of ours that offers gossipsub 1.3, its Extensions message first on the stream."""
    hub, ref = s.bench.hub, s.main
    if not s.library.has_v13:
        raise Skip(f'{s.library.name} has no gossipsub 1.3')
    hub.start([ref.address()] if s.we_dial else [], GOSSIPSUB_V13='true')
    try:
        hub.subscribe('v13')
        if not s.we_dial:
            ref.dial(hub.address())
        ref.say(cmd='subscribe', topic='v13')
        wait_mesh(hub, ref, 'v13', 15)
        seen = hub.peer_status(ref.peer)
        assert seen['protocol'] == '/meshsub/1.3.0', seen
        one_each_way(hub, ref, 'v13')
        clean(hub, ref)
    finally:
        assert hub.stop() == 0


def other_keys(s):
    """A node of ours with a Secp256k1 identity, and peers with identities that are not Ed25519: each accepts the other's messages."""
    other = s.bench.other
    refs = {kind: s.ref(f'key-{kind}', '--key-type', kind, '--subscribe', f'key-{kind}') for kind in s.library.key_types}
    if not refs:
        raise Skip(f'the {s.library.name} peer has Ed25519 alone')
    other.start([p.address() for p in refs.values()] if s.we_dial else [])
    try:
        for kind, p in refs.items():
            other.subscribe(f'key-{kind}')
            if not s.we_dial:
                p.dial(other.address())
        for kind, p in refs.items():
            p.wait('identified', 10, peer=other.peer)
            wait_mesh(other, p, f'key-{kind}', 15)
            one_each_way(other, p, f'key-{kind}')
            clean(other, p)
    finally:
        assert other.stop() == 0
        s.bench.drop(list(refs.values()))


def held(s):
    """Nobody holds anything against anybody."""
    for p in (s.main, s.second, s.loner):
        clean(s.node, p)


def they_restart(s):
    """main leaves politely, then dies; each time it comes back at its address and is found and meshed again."""
    node, ref = s.node, s.main
    port = ref.address().split('/')[4]
    for is_polite in (True, False):
        if is_polite:
            assert ref.leave() == 0
        s.bench.drop([ref])
        ref = s.ref('main', '--subscribe', 't', port=port)
        s.refs[0] = s.main = ref
        ref.address()
        if not s.we_dial:
            ref.dial(node.address())
        ref.wait('identified', 20, peer=node.peer)
        ref.wait('peer-subscribed', 10, peer=node.peer, topic='t')
        node.wait_peer(ref.peer, 20, lambda p: p['topics'] == 1)
        wait_mesh(node, ref, 't', 15)
        one_each_way(node, ref, 't')


def we_restart(s):
    """Our node leaves politely, then dies; each time it comes back, is connected and meshed again."""
    node, ref = s.node, s.main
    for sig in (signal.SIGTERM, signal.SIGKILL):
        seen = ref.count('identified', peer=node.peer)
        code = node.stop(sig)
        assert code == (0 if sig == signal.SIGTERM else -sig), f'our node ended with {code}'
        node.start([ref.address()] if s.we_dial else [])
        node.subscribe('t')
        if not s.we_dial:
            ref.say(cmd='close', peer=node.peer)  # over AF_PACKET nobody tells it that we were killed
            ref.dial(node.address())
        ref.wait_count(seen + 1, 'identified', 20, peer=node.peer)
        node.wait_peer(ref.peer, 20, lambda p: p['topics'] == 1)
        wait_mesh(node, ref, 't', 15)
        one_each_way(node, ref, 't')


SIZES = [(100, KIB, '100 x 1 KiB'), (20, 256 * KIB, '20 x 256 KiB'), (5, BIG, '5 x 900 KB')]
CELLS = {
    'identify': identify, 'ping': ping,
    **{f'{name} {way}': make(n, size) for n, size, name in SIZES for way, make in (('out', out), ('in', into))},
    'GRAFT, PRUNE out': mesh_out, 'GRAFT, PRUNE in': mesh_in,
    'IHAVE out, IWANT in': recovery_out, 'IHAVE in, IWANT out': recovery_in,
    'IDONTWANT out': idontwant_out, 'IDONTWANT in': idontwant_in,
    'late subscriber': late, 'version 1.3': version_13, 'other keys': other_keys,
    'nothing held against': held, 'PX followed': px,
    'they restart': they_restart, 'we restart': we_restart,
}
