"""The habits of clients that exist, by a gRPC library that is not ours (python3-grpcio), against CommandStream."""
import base64
import hashlib
import json
import os
import queue
import sys
import threading
import time
import unittest

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'gateway'))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'rpc'))
import fake_lane  # noqa: E402
import wire  # noqa: E402

Code = grpc.StatusCode
PROTO = wire.load(wire.env('RPC_PROTOSET'))
Request, Response = PROTO['proto.Request'], PROTO['proto.Response']
PUBLISH, SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE_MANY, BATCH = 1, 2, 3, 4, 6
UNKNOWN, MESSAGE, TRACE, GOSSIP_TRACE = 0, 1, 2, 3


class Stream:
    """One ListenCommands call."""

    def __init__(self, channel, metadata=(), timeout=60):
        self.q = queue.Queue()
        self.call = channel.stream_stream('/proto.CommandStream/ListenCommands',
                                          request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
                                          response_deserializer=Response.FromString)(
            iter(self.q.get, None), metadata=metadata, timeout=timeout)

    def send(self, command, topic='', data=b''):
        self.q.put(Request(command=command, topic=topic, data=data, jwt_token='ticket'))

    def raw(self, data):
        self.q.put(data)

    def half_close(self):
        self.q.put(None)

    def next(self, *types):
        """The next response of one of these types."""
        while True:
            r = next(self.call)
            if not types or r.command in types:
                return r

    def message(self):
        return json.loads(self.next(MESSAGE).data)

    def answer(self):
        return json.loads(self.next(UNKNOWN).data)

    def rest(self):
        """Everything until the end, and how it ended."""
        got = []
        try:
            for r in self.call:
                got.append(r)
        except grpc.RpcError:
            pass
        return got, self.call.code(), self.call.details()

    def end(self):
        self.q.put(None)
        self.call.cancel()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def unique(size=100):
    return os.urandom(size)


class Sidecar(unittest.TestCase):
    limit, mode, trace = 1 << 20, 'optimum', TRACE

    def setUp(self):
        self.server = wire.Server(wire.env('SIDECAR_SERVER'), str(self.limit), self.mode)
        self.ch = wire.channel(self.server.addr, ('grpc.keepalive_time_ms', 2000),
                               ('grpc.keepalive_permit_without_calls', 1))
        self.streams = []

    def tearDown(self):
        for s in self.streams:
            s.end()
        self.ch.close()
        code, words = self.server.stop()
        self.assertEqual((code, words), (0, 'held 0\n'))

    def stream(self, *metadata, **kw):
        s = Stream(self.ch, metadata, **kw)
        self.streams.append(s)
        return s

    def unary(self, method, data=b''):
        return self.ch.unary_unary('/proto.CommandStream/' + method)(data, timeout=10)

    def subscriber(self, *topics):
        s = self.stream()
        for t in topics:
            s.send(SUBSCRIBE, t)
        self.wait_topics(topics)
        return s

    def wait_topics(self, topics):
        for _ in range(500):
            have = PROTO['proto.TopicList'].FromString(self.unary('ListTopics')).topics
            if set(topics) <= set(have):
                return
            time.sleep(0.01)
        self.fail('%r not in %r' % (topics, have))

    def metrics(self, said='m'):
        self.server.say(said)
        out = {}
        for line in iter(self.server.p.stdout.readline, b'.\n'):
            if not line.startswith(b'#') and line.strip():
                name, value = line.decode().rsplit(' ', 1)
                out[name] = float(value)
        return out


class TestLanes(Sidecar):
    """The plain TCP way in that gateways are offered."""

    def lane(self):
        s = self.stream(('codecast-errors', 'answer'), ('codecast-lane', '1'))
        offer = s.answer()
        self.assertEqual(offer['status'], 'lane')
        self.offer = (self.server.addr.rpartition(':')[0], offer['port'], bytes.fromhex(offer['secret']))
        return s, fake_lane.Client(*self.offer)

    def test_publishes_arrive_and_are_answered(self):
        sub, (stream, lane) = self.subscriber('t'), self.lane()
        self.assertEqual(lane.ready(), 65536)
        sent = [unique() for _ in range(50)]
        for i, data in enumerate(sent):
            lane.send(i, 't', data)
        self.assertEqual([lane.answer() for _ in sent], [(i, fake_lane.PUBLISHED, 0, '') for i in range(50)])
        for data in sent:
            m = sub.message()
            self.assertEqual((base64.b64decode(m['message']), m['message_id']), (data, sha(data)))
        lane.send(50, 't', sent[0])
        self.assertEqual(lane.answer(), (50, fake_lane.DEDUPLICATED, 0, ''))
        lane.send(51, '', b'no topic')
        self.assertEqual(lane.answer()[:3], (51, fake_lane.REFUSED, 400))
        lane.send(52, 'a\0b', b'no topic either')
        self.assertEqual(lane.answer()[:3], (52, fake_lane.REFUSED, 400))
        m = self.metrics()
        self.assertEqual([m['codecast_sidecar_' + n] for n in ('lanes', 'lane_publishes_total', 'published_total', 'deduplicated_total', 'refused_total')],
                         [1, 53, 50, 1, 2])
        stream.end()
        self.assertTrue(lane.is_closed())
        again = fake_lane.Client(*self.offer)
        self.assertTrue(again.is_closed())
        lane.close()
        again.close()

    def test_nobody_else_is_offered_any(self):
        for more in ((), (('codecast-errors', 'answer'),), (('codecast-lane', '1'),)):
            s = self.stream(*more)
            s.send(PUBLISH, 't', unique())
            self.assertEqual(s.answer()['status'], 'published')

    def test_the_port_is_no_way_in_without_the_secret(self):
        stream, lane = self.lane()
        self.assertEqual(lane.ready(), 65536)
        wrong = fake_lane.Client(self.offer[0], self.offer[1], bytes(32))
        self.assertTrue(wrong.is_closed())
        self.assertEqual(self.metrics()['codecast_sidecar_lane_refused_total'], 1)
        lane.sock.sendall(b'\xff' * 100)
        self.assertTrue(lane.is_closed())
        self.assertEqual(self.metrics()['codecast_sidecar_lane_broken_total'], 1)
        for c in (lane, wrong):
            c.close()


class TestHabits(Sidecar):
    def test_publish_half_close_needs_a_response(self):
        """The CLI: publish, CloseSend, Recv at least one Response, with the message id in it, then EOF."""
        for _ in range(50):
            data = unique()
            s = self.stream()
            s.send(PUBLISH, 't', data)
            s.half_close()
            first = s.next()
            self.assertEqual(json.loads(first.data)['message_id'], sha(data))
            got, code, _ = s.rest()
            self.assertEqual((got, code), ([], Code.OK))

    def test_publish_loop_that_never_reads(self):
        """It may go on for ever: the server drains it, and its memory does not grow."""
        sub = self.subscriber('loop')
        s = self.stream()
        for i in range(9000):
            s.send(PUBLISH, 'loop', b'%d ' % i * 100)
        for i in range(9000):
            m = sub.message()
            self.assertEqual(base64.b64decode(m['message']), b'%d ' % i * 100)
        if wire.env('RPC_SANITIZED') == '0':
            self.assertLess(self.server.rss_kb(), 150 << 10)
        self.assertEqual(self.metrics()['codecast_sidecar_published_total'], 9000)

    def test_only_its_own_topics(self):
        a, b, ab = self.subscriber('a'), self.subscriber('b'), self.subscriber('a', 'b')
        p = self.stream()
        for i in range(20):
            p.send(PUBLISH, 'a', b'a%d' % i)
            p.send(PUBLISH, 'b', b'b%d' % i)
            p.send(PUBLISH, 'c', b'c%d' % i)
        topics = lambda s, n: [s.message()['topic'] for _ in range(n)]
        self.assertEqual(set(topics(a, 20)), {'a'})
        self.assertEqual(set(topics(b, 20)), {'b'})
        self.assertEqual(sorted(topics(ab, 40)), ['a'] * 20 + ['b'] * 20)
        a.send(UNSUBSCRIBE, 'a')
        a.send(SUBSCRIBE, 'late')
        self.wait_topics(['late'])
        p.send(PUBLISH, 'a', b'not for a any more')
        p.send(PUBLISH, 'late', b'x')
        self.assertEqual(a.message()['topic'], 'late')

    def test_message_json(self):
        """Field for field and compact, upstream_peer_id only where there is one."""
        s = self.subscriber('near', 'far', 'quo"te\n')
        data = bytes(range(256))
        s.send(PUBLISH, 'near', data)
        r = s.next(MESSAGE)
        self.assertEqual(r.data.decode(), '{"source_node_id":"12D3KooWFake","topic":"near","message_id":"%s","message":"%s"}'
                         % (sha(data), base64.b64encode(data).decode()))
        s.send(PUBLISH, 'far', data)
        self.assertEqual(s.message()['upstream_peer_id'], '12D3KooWUp')
        s.send(PUBLISH, 'quo"te\n', b'')
        m = s.message()
        self.assertEqual((m['topic'], m['message'], m['message_id']), ('quo"te\n', '', sha(b'')))
        for n in range(1, 50):
            data = unique(n)
            s.send(PUBLISH, 'near', data)
            self.assertEqual(base64.b64decode(s.message()['message'], validate=True), data)

    def test_traces(self):
        s = self.subscriber('t')
        s.send(PUBLISH, 't', unique())
        r = s.next(TRACE, GOSSIP_TRACE)
        self.assertEqual(r.command, self.trace)
        package = 'optimum' if self.trace == TRACE else 'pubsub'
        e = PROTO[package + '.pb.TraceEvent'].FromString(r.data)
        self.assertEqual((e.type, e.peerID, e.timestamp), (3, b'me', 42))
        quiet = self.stream(('codecast-traces', 'off'))
        quiet.send(SUBSCRIBE, 'q')
        self.wait_topics(['q'])
        s.send(PUBLISH, 't', unique())
        s.send(PUBLISH, 'q', unique())
        self.assertEqual(quiet.next().command, MESSAGE)

    def test_duplicates_are_said(self):
        s = self.stream()
        s.send(PUBLISH, 't', b'same')
        s.send(PUBLISH, 't', b'same')
        s.send(PUBLISH, 'other', b'same')
        got = [s.answer() for _ in range(3)]
        self.assertEqual([(g['status'], g['topic'], g['message_id']) for g in got],
                         [('published', 't', sha(b'same')), ('deduplicated', 't', sha(b'same')),
                          ('published', 'other', sha(b'same'))])

    def test_oversize_is_never_silent(self):
        for size in (self.limit + 1, self.limit + 5000, 40 << 20):
            s = self.stream()
            s.send(PUBLISH, 't', bytes(size))
            s.half_close()
            got, code, text = s.rest()
            self.assertEqual(code, Code.RESOURCE_EXHAUSTED, text)
            self.assertTrue(text)
            if size < 32 << 20:
                a = json.loads(got[0].data)
                self.assertEqual((a['status'], a['code'], a['topic']), ('error', 413, 't'))
        s = self.stream()
        s.send(PUBLISH, 't', bytes(self.limit))
        self.assertEqual(s.answer()['status'], 'published')

    def test_streams_outlive_refusals(self):
        for metadata, end in (((), Code.INVALID_ARGUMENT), ((('codecast-errors', 'answer'),), Code.OK)):
            s = self.stream(*metadata)
            s.send(SUBSCRIBE, 'lives')
            self.wait_topics(['lives'])
            s.send(PUBLISH, 't', bytes(self.limit + 1))
            a = s.answer()
            self.assertEqual((a['status'], a['code']), ('error', 413))
            for topic in ('', 'x' * 257, 'a\0b'):
                s.send(PUBLISH, topic, b'x')
                a = s.answer()
                self.assertEqual((a['status'], a['code']), ('error', 400))
            for batch, want in ((b'nonsense', ['error']),
                                (b'{"messages":[{"topic":"t","msg":"?"},{"topic":"t","msg":"%s"}]}' % base64.b64encode(unique()), ['error', 'published'])):
                s.send(BATCH, data=batch)
                self.assertEqual([s.answer()['status'] for _ in want], want)
            data = unique()
            s.send(PUBLISH, 'lives', data)
            self.assertEqual(s.message()['message_id'], sha(data))  # the subscription too
            s.send(UNSUBSCRIBE, 'lives')
            s.half_close()
            self.assertEqual(s.rest()[1], end)

    def test_bad_requests(self):
        for make in (lambda s: s.raw(b'\xff\xff'), lambda s: s.raw(b'\x12\x05ab'), lambda s: s.send(0), lambda s: s.send(99),
                     lambda s: s.send(-1), lambda s: s.send(SUBSCRIBE), lambda s: s.send(SUBSCRIBE, 'x' * 257),
                     lambda s: s.send(UNSUBSCRIBE), lambda s: s.send(PUBLISH, '', b'x'), lambda s: s.raw(b''),
                     lambda s: s.send(SUBSCRIBE_MANY), lambda s: s.send(SUBSCRIBE_MANY, data=b'[1,2]'),
                     lambda s: s.send(SUBSCRIBE_MANY, data=b'["a"'), lambda s: s.send(SUBSCRIBE_MANY, data=b'[]'),
                     lambda s: s.send(BATCH, data=b'{}'), lambda s: s.send(BATCH, data=b'nonsense'),
                     lambda s: s.send(BATCH, data=b'{"messages":[{"topic":"t"}]}'),
                     lambda s: s.send(BATCH, data=b'{"messages":[{"topic":"t","msg":"?"}]}')):
            s = self.stream()
            make(s)
            s.half_close()
            _, code, text = s.rest()
            self.assertEqual(code, Code.INVALID_ARGUMENT)
            self.assertTrue(text)
        self.stream().half_close()  # nothing at all
        s = self.stream()
        s.half_close()
        self.assertEqual(s.rest()[:2], ([], Code.OK))

    def test_several_topics(self):
        for i, data in enumerate((b'["x%d","y%d"]', b'{"topics":["x%d","y%d"]}', b'x%d,y%d', b' x%d\n y%d ')):
            s = self.stream()
            s.send(SUBSCRIBE_MANY, data=data % (i, i))
            self.wait_topics(['x%d' % i, 'y%d' % i])
            s.send(PUBLISH, 'y%d' % i, unique())
            self.assertEqual(s.message()['topic'], 'y%d' % i)
        s = self.stream()
        s.send(SUBSCRIBE_MANY, topic='p,q')
        self.wait_topics(['p', 'q'])

    def test_too_many_topics(self):
        """The node refuses what is beyond its bound: a gateway's stream goes on, another one ends with the reason."""
        s = self.stream(('codecast-errors', 'answer'))
        for i in range(1106):
            s.send(SUBSCRIBE, 'many%d' % i)
        for i in range(1100, 1106):  # 1100: the fake hub's
            a = s.answer()
            self.assertEqual((a['status'], a['topic'], a['code']), ('refused', 'many%d' % i, 503))
            self.assertIn('too many topics', a['error'])
        s.send(SUBSCRIBE, 'x' * 257)
        self.assertEqual(s.answer()['code'], 400)
        s.send(SUBSCRIBE_MANY, data=b'["many0","one","two"]')
        self.assertEqual(s.answer()['topic'], 'one')
        s.send(PUBLISH, 'many0', unique())
        self.assertEqual(s.message()['topic'], 'many0')
        plain = self.stream()
        for i in range(1024):
            plain.send(SUBSCRIBE, 'many%d' % i)
        plain.send(SUBSCRIBE, 'many0')  # again
        plain.send(PUBLISH, 'many1023', unique())
        self.assertEqual(plain.message()['topic'], 'many1023')
        plain.send(SUBSCRIBE, 'many1024')
        _, code, text = plain.rest()
        self.assertEqual((code, text), (Code.RESOURCE_EXHAUSTED, 'too many topics for one client'))
        s.send(UNSUBSCRIBE, 'many0')
        s.send(SUBSCRIBE, 'more')
        self.wait_topics(['more'])
        s.end()

    def test_subscribe_then_half_close_stays(self):
        """grpcurl sends its one request, half-closes and reads."""
        s = self.stream()
        s.send(SUBSCRIBE, 'g')
        s.half_close()
        self.wait_topics(['g'])
        p = self.stream()
        for i in range(3):
            p.send(PUBLISH, 'g', b'%d' % i)
            self.assertEqual(base64.b64decode(s.message()['message']), b'%d' % i)

    def test_half_close_ends_who_is_subscribed_to_nothing(self):
        s = self.stream()
        s.send(SUBSCRIBE, 'h')
        s.send(UNSUBSCRIBE, 'other')  # no topic of its own: it stays subscribed
        s.half_close()
        self.wait_topics(['h'])
        p = self.stream()
        p.send(PUBLISH, 'h', b'still here')
        self.assertEqual(base64.b64decode(s.message()['message']), b'still here')
        s = self.stream()
        s.send(SUBSCRIBE, 'twice')
        s.send(SUBSCRIBE, 'twice')
        s.send(UNSUBSCRIBE, 'twice')
        s.half_close()
        self.assertEqual(s.rest()[:2], ([], Code.OK))

    def test_batch(self):
        s = self.subscriber('b1', 'b2')
        p = self.stream()
        one, two = unique(1000), unique(5000)
        p.send(BATCH, data=json.dumps({'messages': [{'topic': 'b1', 'msg': base64.b64encode(one).decode()},
                                                    {'topic': 'b2', 'msg': base64.b64encode(two).decode()}]}).encode())
        self.assertEqual([p.answer()['message_id'] for _ in range(2)], [sha(one), sha(two)])
        self.assertEqual([s.message()['message_id'] for _ in range(2)], [sha(one), sha(two)])

    def test_full_ring_holds_the_publisher_not_the_message(self):
        s = self.subscriber('busy', 'b2')
        p = self.stream()
        for i in range(30):
            p.send(PUBLISH, 'busy', b'%d' % i)
        p.send(BATCH, data=json.dumps({'messages': [{'topic': 'busy', 'msg': 'AAA='}, {'topic': 'b2', 'msg': 'AAE='}]}
                                      ).encode())
        p.half_close()
        got, code, _ = p.rest()
        self.assertEqual(([json.loads(r.data)['status'] for r in got], code), (['published'] * 32, Code.OK))
        for i in range(30):
            self.assertEqual(base64.b64decode(s.message()['message']), b'%d' % i)
        self.assertGreater(self.metrics()['codecast_sidecar_waits_total'], 0)

    def test_cancel_while_waiting(self):
        for _ in range(20):
            p = self.stream()
            for i in range(20):
                p.send(PUBLISH, 'busy', unique())
            time.sleep(0.005)
            p.end()

    def test_slow_subscriber_is_told(self):
        s = self.subscriber('slow')
        p = self.stream(('codecast-errors', 'answer'))
        for _ in range(120):
            p.send(PUBLISH, 'slow', unique(self.limit))
        for _ in range(120):
            self.assertEqual(p.answer()['status'], 'published')
        time.sleep(0.5)
        messages, dropped = 0, 0
        while messages + dropped < 120:
            r = s.next(MESSAGE, UNKNOWN)
            if r.command == MESSAGE:
                messages += 1
            else:
                dropped += json.loads(r.data)['messages']
        self.assertGreater(messages, 30)
        self.assertGreater(dropped, 0)
        self.assertEqual(self.metrics()['codecast_sidecar_lost_total'], dropped)

    def test_slow_subscriber_by_policy(self):
        """drop-oldest: the last message comes; drop-newest: the first ones; disconnect: the stream ends. What is lost is told and counted."""
        for policy in range(3):
            with self.subTest(policy=policy):
                self.tearDown()
                self.streams, self.server = [], wire.Server(wire.env('SIDECAR_SERVER'), str(self.limit), self.mode, str(8 << 20), str(policy))
                self.ch = wire.channel(self.server.addr)
                s, p = self.subscriber('slow'), self.stream(('codecast-errors', 'answer'))
                sent = [unique(self.limit) for _ in range(40)]
                for x in sent:
                    p.send(PUBLISH, 'slow', x)
                for _ in sent:
                    self.assertEqual(p.answer()['status'], 'published')
                p.end()
                if policy == 2:
                    _, code, why = s.rest()
                    self.assertEqual((code, why), (grpc.StatusCode.RESOURCE_EXHAUSTED, 'the client reads too slowly'))
                    self.assertGreater(self.metrics()['codecast_sidecar_lost_total'], 0)
                    continue
                got, dropped = [], 0
                while len(got) + dropped < len(sent):
                    r = s.next(MESSAGE, UNKNOWN)
                    if r.command == MESSAGE:
                        got.append(json.loads(r.data)['message_id'])
                    else:
                        dropped += json.loads(r.data)['messages']
                ids = [sha(x) for x in sent]
                self.assertEqual(got, [i for i in ids if i in got])
                self.assertGreater(dropped, 0)
                self.assertEqual(self.metrics()['codecast_sidecar_lost_total'], dropped)
                self.assertEqual(got[-1] == ids[-1], policy == 0)
                self.assertEqual(got[:4], ids[:4] if policy else got[:4])

    def test_a_refused_topic_that_cannot_be_told_is_told_as_dropped(self):
        """The stream goes on, whether the refusal found no room (drop-newest) or lost it to messages (drop-oldest)."""
        for policy in range(2):
            with self.subTest(policy=policy):
                self.tearDown()
                self.streams, self.server = [], wire.Server(wire.env('SIDECAR_SERVER'), str(self.limit), self.mode, str(4 << 20), str(policy))
                self.ch = wire.channel(self.server.addr)
                gateway, p = (self.stream(('codecast-errors', 'answer'), ('codecast-traces', 'off')) for _ in range(2))
                for i in range(1100):  # the fake hub's bound
                    gateway.send(SUBSCRIBE, 'many%d' % i)
                self.wait_topics(['many1099'])
                over, sizes = 'over' * 60, [self.limit] * 40 + [n for n in (100000, 10000, 1000, 100, 10) for _ in range(20)]  # full to the brim

                def publish(sizes):
                    for n in sizes:
                        p.send(PUBLISH, 'many0', unique(n))
                    for _ in sizes:
                        self.assertEqual(p.answer()['status'], 'published')
                publish(sizes)
                came = lambda m: m['codecast_sidecar_delivered_total'] + policy * m['codecast_sidecar_lost_total']
                while came(self.metrics()) < len(sizes):
                    time.sleep(0.01)
                gateway.send(SUBSCRIBE, over)
                while self.metrics()['codecast_sidecar_topics_refused_total'] < 1:
                    time.sleep(0.01)
                publish([self.limit] * 20)
                messages = dropped = 0
                while messages + dropped < len(sizes) + 21:
                    r = gateway.next(MESSAGE, UNKNOWN)
                    a = json.loads(r.data)
                    if r.command == MESSAGE:
                        messages += 1
                    else:
                        self.assertEqual(a['status'], 'dropped')
                        dropped += a['messages']
                gateway.send(SUBSCRIBE, over)
                self.assertEqual(gateway.answer()['status'], 'refused')

    def test_health(self):
        h = PROTO['proto.HealthResponse'].FromString(self.unary('Health'))
        self.assertEqual((h.status, h.nodeMode, h.memoryUsed, h.cpuUsed, h.diskUsed, h.p2pAddress, h.max_message_bytes),
                         (True, self.mode, 12.5, 25, 50, '/ip4/1.2.3.4/tcp/7070', self.limit))
        self.assertEqual(self.unary('ListTopics'), b'')
        c = PROTO['grpc.health.v1.HealthCheckResponse'].FromString(
            self.ch.unary_unary('/grpc.health.v1.Health/Check')(b'\x0a\x13proto.CommandStream', timeout=10))
        self.assertEqual(c.status, 1)

    def test_many_subscribers_share_one_message(self):
        subs = [self.subscriber('fan') for _ in range(40)]
        p = self.stream()
        data = unique(self.limit)
        p.send(PUBLISH, 'fan', data)
        for s in subs:
            self.assertEqual(base64.b64decode(s.message()['message']), data)

    def test_stop_tells_open_streams(self):
        s = self.subscriber('t')
        self.server.p.stdin.close()
        _, code, text = s.rest()
        self.assertEqual((code, bool(text)), (Code.UNAVAILABLE, True))


class TestNoMemory(Sidecar):
    def test_stream_without_memory_ends_and_what_it_sends_harms_nobody(self):
        for _ in range(20):
            self.metrics('x')
            s = self.stream()
            for i in range(50):
                s.send(PUBLISH, 't', unique())
            s.half_close()
            self.assertEqual(s.rest()[1], Code.RESOURCE_EXHAUSTED)
        good = self.subscriber('t')
        good.send(PUBLISH, 't', b'still there')
        self.assertEqual(base64.b64decode(good.message()['message']), b'still there')
        self.assertEqual(self.metrics()['codecast_sidecar_streams'], 1)


class TestGossip(Sidecar):
    mode, trace = 'gossipsub', GOSSIP_TRACE

    def test_traces(self):
        TestHabits.test_traces(self)


class TestLarge(Sidecar):
    limit = 16 << 20

    def test_16_mib(self):
        s = self.subscriber('big')
        p = self.stream()
        for _ in range(3):
            data = unique(self.limit)
            t = time.time()
            p.send(PUBLISH, 'big', data)
            m = s.message()
            self.assertEqual((m['message_id'], base64.b64decode(m['message'])), (sha(data), data))
            self.assertLess(time.time() - t, 5)
        p.send(PUBLISH, 'big', bytes(self.limit + 1))
        p.half_close()
        self.assertEqual(p.rest()[1], Code.RESOURCE_EXHAUSTED)

    def test_bursts(self):
        """100 KB to 4 MB, 8 publishers at once."""
        s = self.subscriber('burst')
        want = set()

        def publish(sizes):
            p = Stream(self.ch)
            for n in sizes:
                data = unique(n)
                want.add(sha(data))
                p.send(PUBLISH, 'burst', data)
            p.half_close()
            p.rest()

        threads = [threading.Thread(target=publish, args=([100000, 1000000, 4000000],)) for _ in range(8)]
        for t in threads:
            t.start()
        got = {s.message()['message_id'] for _ in range(24)}
        for t in threads:
            t.join()
        self.assertEqual(got, want)


if __name__ == '__main__':
    unittest.main()
