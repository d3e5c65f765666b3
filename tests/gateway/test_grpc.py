"""test_grpc.py: gRPC clients of the gateway, by python3-grpcio."""
import hashlib
import json
import os
import queue
import time
import unittest

import grpc

from harness import Cluster, WebSocket, alone_only
from wire import (ExposeNodesRequest, ExposeNodesResponse, ProxyMessage, PublishRequest, PublishResponse, Response, SessionRequest, SessionResponse,
                  SubscribeRequest, SubscribeResponse)


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=2)
        cls.gw = cls.cluster.gateway()

    @classmethod
    def tearDownClass(cls):
        codes = cls.cluster.close()
        assert codes == [0], codes

    def publish(self, gw=None, service="ProxyStream", **fields):
        return (gw or self.gw).unary(service, "Publish", PublishRequest(**fields), PublishResponse)

    def subscribe(self, service="ProxyStream", **fields):
        return self.gw.unary(service, "Subscribe", SubscribeRequest(**fields), SubscribeResponse)

    def fails(self, call, code, text):
        with self.assertRaises(grpc.RpcError) as e:
            call()
        self.assertEqual(e.exception.code(), code)
        self.assertIn(text, e.exception.details())

    def test_publish_and_subscribe_under_both_names(self):
        for service in ("ProxyStream", "GatewayStream"):
            a = self.subscribe(service, client_id="c" + service, topic="t" + service)
            self.assertEqual((a.status, a.topic, a.client_id), ("subscribed", "t" + service, "c" + service))
            a = self.publish(service=service, client_id="c" + service, topic="t" + service, message=b"m")
            self.assertEqual((a.status, a.topic, a.client_id, a.message_id), ("published", "t" + service, "c" + service, sha(b"m")))
            a = self.publish(service=service, client_id="c" + service, topic="t" + service, message=b"m")
            self.assertEqual((a.status, a.message_id), ("published", sha(b"m")))

    def test_errors(self):
        bad = grpc.StatusCode.INVALID_ARGUMENT
        self.fails(lambda: self.publish(client_id="c", message=b"m"), bad, "missing topic")
        self.fails(lambda: self.publish(client_id="c", topic="t" * 257, message=b"m"), bad, "topic too long")
        self.fails(lambda: self.subscribe(topic="t"), bad, "missing client ID")
        self.fails(lambda: self.subscribe(client_id="c"), bad, "missing topic")
        self.fails(lambda: self.subscribe(client_id="c", topic="t", threshold=1.5), bad, "threshold")
        self.fails(lambda: self.subscribe(client_id="c", topic="t", threshold=float("nan")), bad, "threshold")
        self.fails(lambda: self.gw.unary("ProxyStream", "Nothing", PublishRequest(), PublishResponse), grpc.StatusCode.UNIMPLEMENTED, "")
        call = self.gw.channel().unary_unary("/proto.ProxyStream/Publish")
        for garbage in (b"\xff", b"\x0a\x05ab", b"\x1a\xff\xff\xff\xff\x0f"):
            self.fails(lambda: call(garbage, timeout=5), bad, "malformed")
        self.fails(lambda: call(b"\x12\x02t\xff\x1a\x01x", timeout=5), bad, "topic holds control characters or is not UTF-8")
        self.fails(lambda: call(b"\x0a\x01\xff\x12\x01t\x1a\x01x", timeout=5), bad, "client ID holds control characters or is not UTF-8")

    def test_oversize_is_resource_exhausted(self):
        self.fails(lambda: self.publish(topic="t", message=b"x" * ((32 << 20) + 1)), grpc.StatusCode.RESOURCE_EXHAUSTED, "message too large")
        self.fails(lambda: self.publish(topic="t", message=b"x" * (40 << 20)), grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max")

    def test_stream_receives(self):
        for method in ("ClientStream", "Stream"):
            s = self.gw.stream(method=method)
            self.subscribe(client_id="s" + method, topics=["a" + method, "b" + method])
            s.send(client_id="s" + method, type="subscribe")
            s.send(type="subscribe", topic="c" + method)
            self.gw.until(lambda: self.gw.get("/topics?client_id=s" + method)[1]["count"] == 3)
            want = set()
            for t in "abc":
                self.publish(topic=t + method, message=b"to " + t.encode())
                want.add((t + method, b"to " + t.encode(), sha(b"to " + t.encode())))
            got = [s.recv() for _ in want]
            self.assertEqual({(m.topic, m.message, m.message_id) for m in got}, want)
            s.send(type="unsubscribe", topic="a" + method)
            self.gw.until(lambda: self.gw.get("/topics?client_id=s" + method)[1]["count"] == 2)
            self.publish(topic="a" + method, message=b"not wanted any more")
            with self.assertRaises(queue.Empty):
                s.recv(timeout=0.3)
            s.cancel()

    def test_stream_publishes(self):
        a, b = self.gw.stream(), self.gw.stream(service="GatewayStream")
        a.send(client_id="pub-a")
        b.send(client_id="pub-b", topic="pub")
        self.gw.until(lambda: self.gw.get("/topics?client_id=pub-b")[1]["count"] == 1)
        a.send(client_id="pub-a", type="publish", topic="pub", message=b"one")
        a.send(topic="pub", message=b"two")
        self.assertEqual({b.recv().message, b.recv().message}, {b"one", b"two"})
        a.send(type="publish", message=b"no topic")
        m = a.recv()
        self.assertEqual((m.type, m.message), ("error", b"missing topic"))
        a.send(type="publish", topic="pub", message=b"x" * ((32 << 20) + 1))
        m = a.recv()
        self.assertEqual((m.type, m.topic), ("error", "pub"))
        self.assertIn(b"message too large", m.message)
        a.send(type="dance", topic="pub")
        self.assertEqual(a.recv().type, "error")
        a.half_close()
        self.assertEqual(a.recv(), grpc.StatusCode.OK)
        b.half_close()
        self.publish(topic="pub", message=b"three")
        self.assertEqual(b.recv().message, b"three")
        b.cancel()

    @alone_only
    def test_a_stream_that_half_closes_hears_what_became_of_its_publish(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway()
            cluster.nodes[0].swallows = True
            s = gw.stream()
            s.send(client_id="says and goes", type="publish", topic="t", message=b"m")
            gw.until(lambda: any(c[0] == 1 for c in cluster.nodes[0].commands))
            s.half_close()
            with self.assertRaises(queue.Empty):
                s.recv(timeout=0.3)
            for q in list(cluster.nodes[0].streams):
                answer = {"status": "error", "topic": "t", "message_id": sha(b"m"), "code": 403, "error": "not here"}
                q.put(Response(command=0, data=json.dumps(answer).encode()))
            m = s.recv()
            self.assertEqual((m.type, m.message), ("error", b"not here"))
            self.assertEqual(s.recv(), grpc.StatusCode.OK)

    def test_stream_and_socket_of_one_client(self):
        s = self.gw.stream()
        s.send(client_id="both", topic="both")
        with WebSocket(self.gw, "/ws?client_id=both") as ws:
            self.gw.until(lambda: self.gw.get("/topics?client_id=both")[1]["count"] == 1)
            self.publish(topic="both", message=b"x")
            self.assertEqual((s.recv().message, ws.recv()["message_id"]), (b"x", sha(b"x")))
        s.cancel()

    def test_anonymous_streams(self):
        s = self.gw.stream()
        s.send(topic="anonymous stream")
        self.gw.until(lambda: all("anonymous stream" in n.subscribed() for n in self.cluster.nodes))
        s.cancel()
        self.gw.until(lambda: not any("anonymous stream" in n.subscribed() for n in self.cluster.nodes))

    def test_16_mib(self):
        s = self.gw.stream()
        s.send(client_id="large", topic="large")
        self.gw.until(lambda: self.gw.get("/topics?client_id=large")[1]["count"] == 1)
        data = os.urandom(16 << 20)
        with WebSocket(self.gw, "/ws?client_id=large") as ws:
            self.assertEqual(self.publish(topic="large", message=data).message_id, sha(data))
            self.assertEqual(s.recv().message, data)
            self.assertEqual(ws.recv()["message_id"], sha(data))
            s.send(type="publish", topic="large", message=data[::-1])
            self.assertEqual(s.recv().message, data[::-1])
            self.assertEqual(ws.recv()["message_id"], sha(data[::-1]))
        s.cancel()

    def test_empty_message(self):
        s = self.gw.stream()
        s.send(client_id="empty", topic="empty")
        self.gw.until(lambda: self.gw.get("/topics?client_id=empty")[1]["count"] == 1)
        with self.assertRaises(grpc.RpcError) as e:
            self.publish(topic="empty")
        self.assertEqual((e.exception.code(), e.exception.details()), (grpc.StatusCode.INVALID_ARGUMENT, "missing message"))
        s.send(type="publish", topic="empty")
        m = s.recv()
        self.assertEqual((m.type, m.message), ("error", b"missing message"))
        s.cancel()

    def test_expose_nodes_and_session(self):
        self.cluster.wait_for_health(self.gw)
        a = self.gw.unary("ProxyStream", "ExposeNodes", ExposeNodesRequest(client_id="c", expose_amount=1), ExposeNodesResponse)
        self.assertEqual((len(a.nodes), len(a.nodesOptP2P)), (1, 1))
        a = self.gw.unary("ProxyStream", "ExposeNodes", ExposeNodesRequest(), ExposeNodesResponse)
        self.assertEqual(set(a.nodes), {n.target for n in self.cluster.nodes})
        self.assertTrue(all(p.startswith("/ip4/") for p in a.nodesOptP2P))
        a = self.gw.unary("SessionService", "CreateSession", SessionRequest(client_id="c", expose_amount=1), SessionResponse)
        self.assertEqual([n.score for n in a.nodes], [1.0])
        self.assertIn(a.nodes[0].id, {n.peer_id for n in self.cluster.nodes})
        with self.assertRaises(grpc.RpcError) as e:
            self.gw.unary("SessionService", "CreateSession", SessionRequest(topics=["t"]), SessionResponse)
        self.assertEqual((e.exception.code(), e.exception.details()), (grpc.StatusCode.INVALID_ARGUMENT, "missing client ID"))
        self.assertTrue(a.session_id and a.expires_at and a.refresh_after and not a.error)

    def test_a_stream_that_never_reads_blocks_nobody(self):
        stuck_channel = self.gw.channel()
        stuck = stuck_channel.stream_stream("/proto.ProxyStream/ClientStream", request_serializer=ProxyMessage.SerializeToString,
                                            response_deserializer=ProxyMessage.FromString)
        hold = queue.Queue()
        hold.put(ProxyMessage(client_id="never reads", topic="flood"))
        call = stuck(iter(hold.get, None))  # python reads one message ahead, and then no more
        s = self.gw.stream()
        s.send(client_id="reads", topic="flood")
        self.gw.until(lambda: self.gw.get("/topics?client_id=reads")[1]["count"] == 1)
        self.gw.until(lambda: self.gw.get("/topics?client_id=never%20reads")[1]["count"] == 1)
        for i in range(60):
            self.publish(topic="flood", message=b"%d" % i + b"x" * 500000)
            t = time.monotonic()
            self.assertTrue(s.recv().message.startswith(b"%dx" % i))
            self.assertLess(time.monotonic() - t, 2)
        s.cancel()
        hold.put(None)
        call.cancel()


class Policies(unittest.TestCase):
    def test_slow_streams_by_policy(self):
        for policy in ("drop-oldest", "drop-newest", "disconnect"):
            with self.subTest(policy), Cluster(nodes=1) as cluster:
                gw = cluster.gateway(CLIENT_QUEUE_BYTES=1 << 20, CLIENT_POLICY=policy)
                hold = queue.Queue()
                hold.put(ProxyMessage(client_id="slow", topic="t"))
                call = gw.channel().stream_stream("/proto.ProxyStream/ClientStream", request_serializer=ProxyMessage.SerializeToString,
                                                  response_deserializer=ProxyMessage.FromString)(iter(hold.get, None))
                gw.until(lambda: gw.get("/topics?client_id=slow")[1]["count"] == 1)
                for i in range(40):
                    gw.unary("ProxyStream", "Publish", PublishRequest(topic="t", message=b"%d" % i + b"x" * 500000), PublishResponse)
                gw.until(lambda: gw.metric("codecast_gateway_grpc_dropped_total") > 0)
                got = []
                try:
                    for m in call:
                        got.append(int(m.message.split(b"x")[0]))
                        if len(got) >= 40 or got[-1] == 39:
                            break
                        if policy == "drop-newest" and len(got) == 3:
                            break
                    ended = None
                except grpc.RpcError as e:
                    ended = e.code()
                self.assertEqual(got, sorted(got))
                self.assertEqual(ended, grpc.StatusCode.RESOURCE_EXHAUSTED if policy == "disconnect" else None)
                if policy == "drop-oldest":
                    self.assertEqual(got[-1], 39)
                if policy == "drop-newest":
                    self.assertEqual(got, [0, 1, 2])
                hold.put(None)
                call.cancel()


class Stop(unittest.TestCase):
    def test_stop_with_open_streams(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway()
            s = gw.stream()
            s.send(client_id="open", topic="t")
            gw.until(lambda: gw.get("/topics?client_id=open")[1]["count"] == 1)
            gw.proc.terminate()
            self.assertEqual(s.recv(), grpc.StatusCode.UNAVAILABLE)
            self.assertEqual(gw.proc.wait(5), 0)
            s.cancel()


if __name__ == "__main__":
    unittest.main()
