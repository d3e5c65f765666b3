"""A burst of messages through one gateway, and what arrives at WebSocket and gRPC subscribers of another.

Publishing is done by several WebSocket clients at once (python3-websockets) which wait for nothing but their acks at the end; small
messages go as JSON frames, large ones as POSTs of bytes. Each subscriber counts every message id that it gets.
"""
import asyncio
import collections
import hashlib
import json
import os
import threading
import time
import urllib.parse
import urllib.request

import grpc
import websockets

GRPC_OPTIONS = [('grpc.max_receive_message_length', -1), ('grpc.use_local_subchannel_pool', 1), ('grpc.enable_http_proxy', 0)]
OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Subscriber(threading.Thread):
    """Counts message ids until told to stop; keeps what notices say."""

    def __init__(self, name, topic):
        super().__init__(daemon=True, name=name)
        self.topic, self.got, self.dropped, self.error = topic, collections.Counter(), 0, None
        self.ready, self.last = threading.Event(), time.monotonic()

    def count(self, message_id):
        self.got[message_id] += 1
        self.last = time.monotonic()


class WsSubscriber(Subscriber):
    def __init__(self, host, port, topic, client):
        super().__init__('ws ' + client, topic)
        self.url = f'ws://{host}:{port}/api/v1/ws?client_id={urllib.parse.quote(client)}&notices=true'
        self.loop = asyncio.new_event_loop()
        self.first = {'type': 'subscribe', 'topic': topic, 'id': 1}

    def run(self):
        self.loop.run_until_complete(self.read())

    async def read(self):
        try:
            async with websockets.connect(self.url, max_size=None, max_queue=64, compression=None) as ws:
                self.ws = ws
                await ws.send(json.dumps(self.first))
                async for text in ws:
                    # the frame is ours: its start has all but the payload, which may be large
                    m = json.loads(text if len(text) < 4096 else text[:text.index('"message":"')] + '"message":""}')
                    if m.get('type') == 'ack':
                        self.ready.set()
                    elif m.get('type') == 'notice':
                        self.dropped += m['messages']
                    else:
                        self.count(m['message_id'])
        except websockets.ConnectionClosed as e:
            self.error = e
        except Exception as e:  # said by whoever waits for us
            self.error = e
            self.ready.set()

    def stop(self):
        if not self.error:
            asyncio.run_coroutine_threadsafe(self.ws.close(), self.loop).result(10)


class GrpcSubscriber(Subscriber):
    def __init__(self, host, port, topic, client, protos):
        super().__init__('grpc ' + client, topic)
        self.message = protos['gateway'].ProxyMessage
        self.out = [self.message(client_id=client, type='notices'), self.message(client_id=client, topic=topic, type='subscribe')]
        self.over = threading.Event()
        self.channel = grpc.insecure_channel(f'{host}:{port}', options=GRPC_OPTIONS)
        self.call = self.channel.stream_stream('/proto.ProxyStream/ClientStream', request_serializer=self.message.SerializeToString,
                                               response_deserializer=self.message.FromString)

    def requests(self):
        yield from self.out
        self.over.wait()

    def run(self):
        try:
            stream = self.call(self.requests())
            self.ready.set()
            for m in stream:
                if m.type == 'notice':
                    self.dropped += json.loads(m.message)['messages']
                else:
                    self.count(m.message_id)
        except grpc.RpcError as e:
            self.error = e

    def stop(self):
        self.over.set()
        self.channel.close()


async def _publish_frames(url, topic, payloads):
    async with websockets.connect(url, max_size=None, compression=None) as ws:
        async def acks():
            for _ in payloads:
                m = json.loads(await ws.recv())
                assert m['type'] == 'ack', m
        reader = asyncio.ensure_future(acks())
        for i, p in enumerate(payloads):
            await ws.send(json.dumps({'type': 'publish', 'topic': topic, 'id': i, 'message': p.hex()}))
        await asyncio.wait_for(reader, 120)


def publish_frames(host, port, topic, payloads, clients=4):
    """JSON frames; the payload on the wire is the hex text. Returns the ids."""
    async def run():
        url = f'ws://{host}:{port}/ws'
        await asyncio.gather(*(_publish_frames(url, topic, payloads[i::clients]) for i in range(clients)))
    asyncio.run(run())
    return [hashlib.sha256(p.hex().encode()).hexdigest() for p in payloads]


def publish_posts(host, port, topic, payloads, clients=8):
    """Bytes by POST. Returns the ids."""
    ids, errors = [None] * len(payloads), []

    def work(k):
        for i in range(k, len(payloads), clients):
            req = urllib.request.Request(f'http://{host}:{port}/publish?topic={urllib.parse.quote(topic)}', data=payloads[i],
                                         headers={'Content-Type': 'application/octet-stream'})
            try:
                with OPEN(req, timeout=120) as r:
                    answer = json.load(r)
                assert answer['status'] == 'published', answer
                ids[i] = answer['message_id']
            except Exception as e:
                errors.append(e)
                return
    threads = [threading.Thread(target=work, args=(k,)) for k in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return ids


def burst(host, port, topic, count, size):
    """count messages of size bytes; the ids."""
    if size >= 65536:
        return publish_posts(host, port, topic, [os.urandom(size) for _ in range(count)])
    return publish_frames(host, port, topic, [os.urandom(size // 2) for _ in range(count)])


def settle(subscribers, ids, quiet_s=15, limit_s=180):
    """Until each has all, or nothing came for quiet_s."""
    end = time.monotonic() + limit_s
    want = set(ids)
    while time.monotonic() < end:
        if all(want <= s.got.keys() for s in subscribers):
            return
        if all(time.monotonic() - s.last > quiet_s for s in subscribers):
            return
        time.sleep(0.05)


def report(s, ids):
    """What one subscriber got of ids: (missing, repeated, dropped as it was told)."""
    return sum(s.got[i] == 0 for i in ids), sum(s.got[i] > 1 for i in ids), s.dropped


# ---- the network around it ----

def wait_until(what, seconds=30, why='not in time'):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise AssertionError(why)
        time.sleep(0.05)


def health(net, g):
    status, text = net.http(g, 8080, '/health')
    return json.loads(text)['status'] if status else ''


def wait_for_nodes(net):
    """Every gateway has its nodes, every node its peers."""
    for g in net.gateways:
        wait_until(lambda: health(net, g) == 'ok', why=f'{g.name} has not all its nodes')
    for n in net.nodes:
        wait_until(lambda: (net.peers(n) or {'total_peers': 0})['total_peers'] >= len(net.nodes) - 1, why=f'{n.name} lacks peers')


def is_subscribed(net, n, topic):
    p = net.peers(n)
    return bool(p) and any(t['topic'] == topic and t['subscribed'] for t in p['topics'])


def has_mesh(net, n, topic):
    p = net.peers(n)
    return bool(p) and any(t['topic'] == topic and t['mesh'] for t in p['topics'])


def listen(net, gateway, subscribers, topic):
    """Starts them; on return their nodes are subscribed, and in a mesh if there is anybody else."""
    for s in subscribers:
        s.start()
    for s in subscribers:
        assert s.ready.wait(20) and not s.error, s.error
    nodes = [n for n in net.gateway_nodes(gateway) if n.process]
    for n in nodes:
        wait_until(lambda: is_subscribed(net, n, topic), why=f'{n.name} is not subscribed to {topic}')
        if len(nodes) > 1:
            wait_until(lambda: has_mesh(net, n, topic), why=f'{n.name} has no mesh for {topic}')


def metric(net, m, name, port=8080):
    """The sum of the series of that name; 0 when there is none."""
    _, text = net.http(m, port, '/metrics')
    return sum(float(line.rsplit(' ', 1)[1]) for line in text.splitlines() if line.startswith((name + '{', name + ' ')))


def drops(net, g):
    """Whatever a gateway counted as lost."""
    names = ('codecast_gateway_ws_dropped_total', 'codecast_gateway_grpc_dropped_total', 'codecast_gateway_node_dropped_total',
             'publish_error_total')
    return {n: int(metric(net, g, n)) for n in names}


def node_drops(net, n):
    """Whatever a node counted as lost, where there is something."""
    _, text = net.http(n, 9090, '/metrics')
    lost = collections.Counter()
    for line in text.splitlines():
        name = line.split('{')[0]
        if not line.startswith('#') and any(w in name for w in ('dropped', 'lost', 'refused', 'evicted', 'queue_full')):
            lost[name] += float(line.rsplit(' ', 1)[1])
    return {k: int(v) for k, v in lost.items() if v}
