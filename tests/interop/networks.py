"""Networks of more than two: a mixed one where everyone gets everything once, and one with a peer that forges."""
import collections
import random
import time

from cells import Skip
from node_peer import node_to_ref, ref_to_node, wait_mesh, wait_their_mesh

MESSAGES = 200


class Ours:
    """A node of ours as a member of the mixed network."""

    def __init__(self, node):
        self.node, self.name, self.peer, self.published = node, node.m.name, node.peer, []

    def publish(self, topic, size):
        self.published.append(self.node.publish(topic, size))

    def mesh(self, topic):
        peers = (self.node.net.peers(self.node.m) or {'peers': []})['peers']
        return [p['peer_id'] for p in peers if topic in p['mesh']]

    def got(self, topic):
        own = set(self.published)
        return collections.Counter(sha for sha, _, _ in self.node.receivers[topic].got if sha not in own)


class Theirs:
    """A reference peer as a member."""

    def __init__(self, ref, name):
        self.ref, self.name, self.peer = ref, name, ref.peer
        self.sent = 0

    @property
    def published(self):
        return [e['sha256'] for e in self.ref.all('published')]

    def publish(self, topic, size):
        self.sent += 1
        self.ref.say(cmd='publish', topic=topic, size=size, count=1)

    def mesh(self, topic):
        self.ref.say(cmd='mesh', topic=topic)
        return self.ref.wait('mesh-peers', 20, topic=topic)['mesh']

    def got(self, topic):
        return collections.Counter(e['sha256'] for e in self.ref.all('message', topic=topic))


def is_connected(meshes):
    """Do the meshes {peer: peers} reach everyone from anyone? A link counts when both sides have it."""
    seen, todo = set(), list(meshes)[:1]
    while todo:
        at = todo.pop()
        seen.add(at)
        todo += [p for p in meshes[at] if p in meshes and at in meshes[p] and p not in seen]
    return seen == set(meshes)


def wait_meshes(members, topic, seconds):
    end = time.monotonic() + seconds
    while not is_connected(meshes := {m.peer: m.mesh(topic) for m in members}):
        assert time.monotonic() < end, f'no whole mesh in {seconds} s: { {m.name: len(meshes[m.peer]) for m in members} }'
        time.sleep(0.3)


def lost(members, topic):
    """Of the messages that somebody misses: who published them, to whom, and what the others did with them."""
    text = []
    for m in members:
        away = [sha for sha in m.published if not all(o is m or sha in o.got(topic) for o in members)]
        if away:
            to = collections.Counter(len(e.get('recipients', [])) for e in m.ref.all('published') if e['sha256'] in away) if isinstance(m, Theirs) else {}
            text.append(f'{len(away)} of {m.name}, sent to {dict(to)}')
        text.append(f'{m.name} ({m.peer}): mesh {m.mesh(topic)}')
        if isinstance(m, Theirs):
            m.ref.say(cmd='scores')
            text.append(f'{m.name}: scores {m.ref.wait("scores", 20)["scores"]}, rejected {m.ref.all("rejected")}, errors {m.ref.all("error")}')
    return '; '.join(text)


def mixed(bench, libraries, seed=None):
    """3 of ours and 2 of each library, each connected to the next and the third next; random publishers of random sizes."""
    seed = seed or random.randrange(1 << 32)
    rng, topic = random.Random(seed), 'mixed'
    refs = [(lib, bench.ref_apart(lib, f'mixed{i}', '--subscribe', topic)) for i in range(2) for lib in libraries]
    members = [Theirs(ref, f'{lib.name}{i // len(libraries) + 1}') for i, (lib, ref) in enumerate(refs)]
    for i, node in enumerate(bench.nodes[:3]):  # spread over the ring
        members.insert(i * len(members) // 3 + i, Ours(node))
    n = len(members)
    links = {(i, j) for i in range(n) for j in ((i + 1) % n, (i + 3) % n)}
    address = {m.peer: m.node.address() if isinstance(m, Ours) else m.ref.address() for m in members}
    for i, m in enumerate(members):
        if isinstance(m, Ours):
            m.node.start([address[members[j].peer] for a, j in links if a == i])
            m.node.subscribe(topic)
    for i, m in enumerate(members):
        for a, j in links:
            if a == i and isinstance(m, Theirs):
                m.ref.dial(address[members[j].peer])
    wait_meshes(members, topic, 40)
    t0 = time.monotonic()
    for _ in range(MESSAGES):
        rng.choice(members).publish(topic, rng.randint(1, 30000))
        time.sleep(0.005)
    for m in members:
        if isinstance(m, Theirs):
            m.ref.wait_count(m.sent, 'published', 60)
    end = t0 + 90
    all_sent = {m.peer: set(m.published) for m in members}
    total = set().union(*all_sent.values())
    assert len(total) == MESSAGES, f'{len(total)} of {MESSAGES} were published; seed {seed}'
    while missing := {m.name: len(total - all_sent[m.peer] - set(m.got(topic))) for m in members if total - all_sent[m.peer] - set(m.got(topic))}:
        assert time.monotonic() < end, f'missing {missing} of {MESSAGES}; seed {seed}; {lost(members, topic)}'
        time.sleep(0.1)
    ms = (time.monotonic() - t0) * 1000
    for m in members:
        twice = {sha: c for sha, c in m.got(topic).items() if c > 1}
        assert not twice, f'{m.name} got {len(twice)} more than once; seed {seed}'
        assert set(m.got(topic)) <= total, f'{m.name} got what nobody published; seed {seed}'
        if isinstance(m, Theirs):
            assert m.ref.count('error') == 0, m.ref.all('error')
            for node in bench.nodes[:3]:
                assert m.ref.count('rejected', via=node.peer) == 0, m.ref.all('rejected', via=node.peer)
    return ms


# kind of lie, and how many of them at a time
LIES = {'signature': 20, 'author': 20, 'unsigned': 20, 'ihave': 10, 'graft': 40, 'garbage': 5}
FULL = {'GOSSIPSUB_MESH_TARGET': '1', 'GOSSIPSUB_MESH_MIN': '1', 'GOSSIPSUB_MESH_MAX': '1'}


def forger(bench, libraries):
    """Beside a stock peer of the same library one that forges: it is pruned, then graylisted or cut off; the other is not."""
    liars = [lib for lib in libraries if lib.has_forger]
    if not liars:
        raise Skip('no library with a forger here')
    for library in liars:
        for kind, count in LIES.items():
            lie(bench, library, kind, count)


def lie(bench, library, kind, count):
    node, topic = bench.node, f'lies-{kind}'
    stock = bench.ref_apart(library, f'stock-{kind}', '--subscribe', topic)
    liar = bench.ref_apart(library, f'liar-{kind}', '--forge')
    node.start([], **(FULL if kind == 'graft' else {}))
    subscriber = node.subscribe(topic)
    for p in (stock, liar):
        p.dial(node.address())
    wait_mesh(node, stock, topic, 15)
    ignored, say = node.metric('codecast_graylisted_rpcs_total'), {'cmd': 'forge', 'peer': node.peer, 'topic': topic}
    liar.say(**say, kind='honest', count=1)
    if kind != 'graft':  # a full mesh refuses it, and must not be asked again
        node.wait_peer(liar.peer, 15, lambda p: topic in p['mesh'])
        liar.wait_count(1, 'control', 10, what='graft', direction='in', peer=node.peer, topic=topic)
    node.wait_until('the honest message of the liar', lambda: len(subscriber.got) == 1)
    end = time.monotonic() + 30
    while not is_out(node, liar):
        assert time.monotonic() < end, f'{kind}: the liar is not graylisted, but {node.peer_status(liar.peer)}'
        liar.say(**say, kind=kind, count=count)
        time.sleep(0.5)
    if kind != 'garbage':  # that one may be cut off at once
        liar.wait_count(1, 'control', 15, what='prune', direction='in', peer=node.peer, topic=topic)
        liar.say(**say, kind='honest', count=3)
        node.wait_until('its RPCs ignored', lambda: node.metric('codecast_graylisted_rpcs_total') > ignored, 15)
    wait_their_mesh(stock, topic, 10, lambda mesh: mesh == [node.peer])
    node_to_ref(node, stock, topic, 3, 2000)
    ref_to_node(node, stock, topic, 3, 2000)
    honest = node.wait_peer(stock.peer, 5)
    assert honest['score'] >= 0 and topic in honest['mesh'], honest
    assert len(subscriber.got) == 1 + 6, f'{len(subscriber.got)} messages, of them some forged'
    assert stock.count('message') == 1 + 3, 'a forged message reached the stock peer'
    assert stock.count('error') == 0 and stock.count('rejected') == 0
    assert node.stop() == 0
    bench.drop([stock, liar])


def is_out(node, ref):
    p = node.peer_status(ref.peer)
    return p is None or p['score'] < -80


NETWORKS = {'mixed network': mixed, 'forging peer': forger}
