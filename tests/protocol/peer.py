"""A small peer of the coded protocol: publishes, receives, relays. docs/PROTOCOL.md 5, 7, 10; of section 6 only what this needs.
It dials its neighbours; everything runs in one asyncio loop."""
import asyncio

import coded
from coded import HAVE, HEADER, SHARD, WANT, field, fields, uvarint
from libp2p import Connection, Identity, read_varint

PROTOCOL = '/codecast/rlnc/1.0.0'
SUBSCRIPTIONS, PUBLISH, CONTROL, GRAFT, PRUNE = 1, 2, 3, 3, 4  # of gossipsub's RPC and of its control message


class Link:
    """A neighbour: what it subscribes to, and what it was sent and told of each generation."""

    def __init__(self, connection):
        self.connection, self.stream, self.lock = connection, None, asyncio.Lock()  # an RPC goes out whole
        self.topics, self.mesh, self.done, self.knows_header, self.sent = set(), set(), set(), set(), {}

    async def send(self, *parts):
        rpc = b''.join(parts)
        async with self.lock:
            await self.stream.write(uvarint(len(rpc)) + rpc)


class Peer:
    """mixes_only: it answers and relays with mixtures alone, no source shard leaves it."""

    def __init__(self, topic, threshold=0.75, mixes_only=False):
        self.identity, self.topic, self.threshold, self.mixes_only = Identity(), topic.encode(), threshold, mixes_only
        self.links, self.generations = [], {}
        self.received = asyncio.Queue()  # payloads
        self.counts = {'source out': 0, 'mixed out': 0, 'mixed before decoding': 0, 'source in': 0, 'mixed in': 0}
        self.errors = []                 # rules that a neighbour broke

    async def join(self, host, port, local):
        """Dials, subscribes, and is in the mesh when the other has accepted or offered it."""
        link = Link(None)
        link.connection = Connection(self.identity, {PROTOCOL: lambda stream: self._read(link, stream)})
        await link.connection.dial(host, port, local)
        if PROTOCOL not in await link.connection.protocols():
            raise ConnectionError('not a coded peer')
        link.stream = await link.connection.open(PROTOCOL)
        self.links.append(link)
        await link.send(field(SUBSCRIPTIONS, field(1, 1) + field(2, self.topic)), self._control(GRAFT))
        return link

    async def leave(self):
        for link in self.links:
            await link.connection.close()

    def _control(self, number):
        return field(CONTROL, field(number, field(1, self.topic)))

    # ---- what comes ----

    async def _read(self, link, stream):
        while True:
            rpc = await stream.read_exactly(await read_varint(stream))
            try:
                for number, value in fields(rpc):
                    await self._on_field(link, number, value)
            except (coded.Malformed, coded.Forged) as e:
                self.errors.append(str(e))
                await link.connection.close()
                return

    async def _on_field(self, link, number, value):
        if number == SUBSCRIPTIONS:
            told = dict(fields(value))
            (link.topics.add if told.get(1) else link.topics.discard)(told[2])
        elif number == CONTROL:
            for action, entry in fields(value):
                if action in (GRAFT, PRUNE):
                    (link.mesh.add if action == GRAFT else link.mesh.discard)(dict(fields(entry))[1])
        elif number == HEADER:
            self._on_header(link, coded.Header.read(value))
        elif number in (SHARD, HAVE, WANT):
            message = coded.read(number, value)
            g = self.generations.get(message['id'])
            if g is None:
                if number != WANT or not message['flags'] & coded.WANT_HEADER:
                    await link.send(coded.write(WANT, id=message['id'], flags=coded.WANT_HEADER))
                return
            if message['rank'] > g.header.k:
                raise coded.Malformed('coded: rank does not fit the generation')
            if message['rank'] == g.header.k:
                link.done.add(g.header.id)
            await {SHARD: self._on_shard, HAVE: self._on_have, WANT: self._on_want}[number](link, g, message)

    def _on_header(self, link, header):
        link.knows_header.add(header.id)
        if header.id not in self.generations and header.topic == self.topic and header.publisher != self.identity.id:
            header.verify()
            self.generations[header.id] = coded.Generation(header)

    async def _on_shard(self, link, g, shard):
        self.counts['source in' if len(shard['coefficients']) == 1 else 'mixed in'] += 1
        was_here = g.payload is not None
        if not g.take(shard['coefficients'], shard['payload'], link):
            return
        if g.payload is not None and not was_here:
            self.received.put_nowait(g.payload)
        for other in self.links:
            if other is not link:
                await self._relay(other, g, shard)
        if g.payload is not None:
            await asyncio.gather(*(self._tell(other, g) for other in self.links))

    async def _relay(self, link, g, shard):
        """[5] 3: a verified source shard goes on at once; or, mixes_only, as many mixtures as there are verified shards."""
        if g.header.id in link.done:
            return
        if not self.mixes_only:
            if len(shard['coefficients']) == 1:
                await self._send_shard(link, g, shard['coefficients'][0], hops=min(shard['hops'] + 1, 255))
        elif g.rank() >= self.threshold * g.header.k:
            while link.sent.get(g.header.id, 0) < len(g.verified):
                await self._send_shard(link, g)

    async def _on_have(self, link, g, have):
        if g.payload is None:
            offered = set(range(g.header.k)) if have['rank'] == g.header.k else have['verified']
            await self._ask(link, g, offered - have['coming'] - have['sending'])

    async def _ask(self, link, g, offered):
        """[7]"""
        missing = set(range(g.header.k)) - set(g.verified)
        wanted = offered & missing
        if wanted:
            await link.send(coded.write(WANT, g.header.k, id=g.header.id, rank=g.rank(), verified=set(g.verified),
                                        skip=missing - wanted, count=len(wanted)))

    async def _on_want(self, link, g, want):
        if want['flags'] & coded.WANT_HEADER:
            link.knows_header.discard(g.header.id)
        left = want['count']
        if not self.mixes_only:
            for i in sorted(set(g.verified) - want['verified'] - want['skip'])[:left]:
                await self._send_shard(link, g, i)
                left -= 1
        may_mix = g.rank() >= self.threshold * g.header.k and not want['flags'] & coded.WANT_SOURCE_ONLY
        if may_mix and set(g.verified) - want['verified']:
            for _ in range(left):
                await self._send_shard(link, g)
            left = 0
        if left == want['count']:
            await self._tell(link, g)

    # ---- what goes ----

    def _header_for(self, link, g):
        """[5] 1: once on each link."""
        is_known = g.header.id in link.knows_header
        link.knows_header.add(g.header.id)
        return b'' if is_known else g.header.field()

    async def _send_shard(self, link, g, index=None, hops=0):
        self.counts['mixed out' if index is None else 'source out'] += 1
        self.counts['mixed before decoding'] += index is None and g.payload is None
        link.sent[g.header.id] = link.sent.get(g.header.id, 0) + 1
        await link.send(self._header_for(link, g), g.shard_field(index, hops=hops))

    async def _tell(self, link, g):
        await link.send(self._header_for(link, g), g.have_field())

    async def publish(self, payload, seqno, factor):
        header = coded.Header.make(self.identity.key, self.identity.id, self.topic, seqno, payload, factor)
        g = self.generations[header.id] = coded.Generation.published(header, payload)
        for link in self.links:
            for i in range(header.k):
                await self._send_shard(link, g, None if self.mixes_only else i, hops=1)
            await self._tell(link, g)
