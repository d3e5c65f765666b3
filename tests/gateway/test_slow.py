"""test_slow.py: clients that read slowly, never, or not while they publish: what it costs, what they are told, whom they delay."""
import base64
import json
import os
import queue
import socket
import threading
import time
import unittest

import grpc

from harness import PROGRAM, Cluster, WebSocket
from wire import ProxyMessage, PublishRequest, PublishResponse

SIZE = 100000


def text_of(m):
    return base64.b64decode(m["message"]).decode()


def number_of(text):
    return int(text.split(" ")[0])


def body(i):
    return ("%d " % i).ljust(SIZE, "x")


def rss(gw):
    with open("/proc/%d/statm" % gw.proc.pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def is_asan():
    with open(PROGRAM, "rb") as f:
        return b"__asan_init" in f.read()


class SlowStream:
    """A ClientStream that is read only when told so."""

    def __init__(self, gw, client, *requests):
        self.out = queue.Queue()
        for r in requests:
            self.out.put(ProxyMessage(client_id=client, **r))
        self.call = gw.channel().stream_stream("/proto.ProxyStream/ClientStream", request_serializer=ProxyMessage.SerializeToString,
                                               response_deserializer=ProxyMessage.FromString)(iter(self.out.get, None))
        gw.until(lambda: gw.get("/topics?client_id=" + client)[1]["count"] == sum("topic" in r for r in requests))

    def cancel(self):
        self.out.put(None)
        self.call.cancel()


class Notices(unittest.TestCase):
    def test_a_socket_that_asks_is_told_what_it_missed_where_it_is_missing(self):
        for ask in ("query", "frame"):
            with self.subTest(ask), Cluster(nodes=1) as cluster:
                gw = cluster.gateway(CLIENT_QUEUE_BYTES=1 << 20)
                ws = WebSocket(gw, "/ws?client_id=slow" + ("&notices=true" if ask == "query" else ""), rcvbuf=4096)
                if ask == "frame":
                    ws.send({"type": "notices", "id": 1})
                    self.assertEqual(ws.recv(), {"type": "ack", "id": 1, "status": "notices"})
                gw.subscribe("slow", "s")
                for i in range(80):
                    gw.publish("s", body(i))
                gw.until(lambda: gw.metric("codecast_gateway_ws_dropped_total") > 10)
                next_one = dropped = dropped_bytes = notices = 0
                while next_one < 80:
                    m = ws.recv()
                    if m.get("type") == "notice":
                        self.assertEqual(m["notice"], "dropped")
                        dropped += m["messages"]
                        dropped_bytes += m["bytes"]
                        next_one += m["messages"]  # the gap is here
                        notices += 1
                    else:
                        self.assertEqual(number_of(text_of(m)), next_one)
                        next_one += 1
                self.assertGreater(dropped, 10)
                self.assertGreater(dropped_bytes, dropped * SIZE)
                self.assertEqual(gw.metric("codecast_gateway_ws_dropped_total"), dropped)
                self.assertEqual(gw.metric("codecast_gateway_notices_total"), notices)
                ws.close()

    def test_a_socket_that_does_not_ask_hears_nothing(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway(CLIENT_QUEUE_BYTES=1 << 20)
            ws = WebSocket(gw, "/ws?client_id=slow", rcvbuf=4096)
            gw.subscribe("slow", "s")
            for i in range(80):
                gw.publish("s", body(i))
            last = -1
            while last < 79:
                m = ws.recv()
                self.assertNotIn("type", m)
                last = number_of(text_of(m))
            self.assertEqual(gw.metric("codecast_gateway_notices_total"), 0)
            ws.close()

    def test_a_stream_that_asks_is_told_what_it_missed_where_it_is_missing(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway(CLIENT_QUEUE_BYTES=1 << 20)
            slow = SlowStream(gw, "slow", {"type": "notices"}, {"topic": "s"})
            for i in range(80):
                gw.unary("ProxyStream", "Publish", PublishRequest(topic="s", message=body(i).encode()), PublishResponse)
            gw.until(lambda: gw.metric("codecast_gateway_grpc_dropped_total") > 10)
            next_one = dropped = notices = 0
            for m in slow.call:
                if m.type == "notice":
                    told = json.loads(m.message)
                    self.assertEqual((m.client_id, told["notice"]), ("slow", "dropped"))
                    self.assertGreater(told["bytes"], told["messages"] * SIZE)
                    dropped += told["messages"]
                    next_one += told["messages"]
                    notices += 1
                else:
                    self.assertEqual(number_of(m.message.decode()), next_one)
                    next_one += 1
                if next_one >= 80:
                    break
            self.assertEqual(gw.metric("codecast_gateway_grpc_dropped_total"), dropped)
            self.assertEqual(gw.metric("codecast_gateway_notices_total"), notices)
            slow.cancel()


class Policies(unittest.TestCase):
    def test_each_kind_of_client_has_its_own(self):
        for ws_policy, grpc_policy in (("disconnect", "drop-oldest"), ("drop-oldest", "disconnect")):
            with self.subTest(ws_policy), Cluster(nodes=1) as cluster:
                gw = cluster.gateway(CLIENT_QUEUE_BYTES=1 << 20, CLIENT_POLICY="drop-newest", CLIENT_POLICY_WS=ws_policy,
                                     CLIENT_POLICY_GRPC=grpc_policy)
                ws = WebSocket(gw, "/ws?client_id=socket", rcvbuf=4096)
                gw.subscribe("socket", "s")
                stream = SlowStream(gw, "stream", {"topic": "s"})
                for i in range(80):
                    gw.publish("s", body(i))
                seen, end = [], None
                try:
                    while not seen or seen[-1] < 79:
                        seen.append(number_of(text_of(ws.recv())))
                except EOFError as e:
                    end = str(e)
                self.assertEqual(end, "close 1008" if ws_policy == "disconnect" else None)
                got, code = [], None
                try:
                    for m in stream.call:
                        got.append(number_of(m.message.decode()))
                        if got[-1] == 79:
                            break
                except grpc.RpcError as e:
                    code = e.code()
                self.assertEqual(code, grpc.StatusCode.RESOURCE_EXHAUSTED if grpc_policy == "disconnect" else None)
                for kind, policy in (("ws", ws_policy), ("grpc", grpc_policy)):
                    gw.until(lambda k=kind, p=policy: gw.metric("codecast_gateway_too_slow_total", kind=k) == (p == "disconnect"))
                stream.cancel()
                ws.close()


class Quiet(unittest.TestCase):
    def test_who_takes_nothing_does_not_keep_the_common_room_used_up(self):
        """Also when nothing comes for them any more: WebSocket and gRPC, by their policies."""
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway(CLIENT_QUEUE_BYTES=16 << 20, CLIENTS_QUEUE_BYTES=6 << 20, CLIENT_POLICY_WS="drop-oldest",
                                 CLIENT_POLICY_GRPC="disconnect")
            ws = WebSocket(gw, "/ws?client_id=socket&notices=true", rcvbuf=4096)
            gw.subscribe("socket", "s")
            sent = self.fill(gw, "s")
            got = missed = 0
            while got + missed < sent:
                m = ws.recv()
                missed += m["messages"] if m.get("type") == "notice" else 0
                got += "message" in m
            self.assertGreater(missed, 10)
            self.assertEqual(gw.metric("codecast_gateway_ws_dropped_total"), missed)
            stream = SlowStream(gw, "stream", {"topic": "g"})
            self.fill(gw, "g")
            gw.until(lambda: gw.metric("codecast_gateway_too_slow_total", kind="grpc") == 1)
            stream.cancel()
            ws.close()

    def fill(self, gw, topic):
        """What waits for it comes near the bound, and what waits for another one goes past it."""
        with WebSocket(gw, "/ws?client_id=other", rcvbuf=4096) as other:
            gw.subscribe("other", "o" + topic)
            sent = {}
            for t, until in ((topic, 45 << 17), ("o" + topic, 6 << 20)):
                sent[t] = 0
                while gw.metric("codecast_gateway_queued_bytes") < until:
                    gw.publish(t, body(sent[t]))
                    sent[t] += 1
            gw.until(lambda: gw.metric("codecast_gateway_queued_bytes") < 3 << 20)
            for i in range(sent["o" + topic]):  # it takes them, and none is missing
                self.assertEqual(number_of(text_of(other.recv())), i)
        return sent[topic]


class Blocking(unittest.TestCase):
    def check(self, gw, hinder, limit_s=2):
        """80 messages arrive at one who reads, each in time, whatever the hinderers do; the gateway's memory stays bounded."""
        with WebSocket(gw, "/ws?client_id=well") as well:
            gw.subscribe("well", "s")
            before = rss(gw)
            for i in range(80):
                gw.publish("s", body(i))
                t = time.monotonic()
                self.assertEqual(number_of(text_of(well.recv())), i)
                self.assertLess(time.monotonic() - t, limit_s)
                hinder(i)
            if not is_asan():  # it keeps what was freed
                self.assertLess(rss(gw) - before, 48 << 20)

    def test_readers_that_never_read_or_one_byte_at_a_time(self):
        with Cluster(nodes=2) as cluster:
            gw = cluster.gateway(CLIENT_QUEUE_BYTES=1 << 20)
            never = [WebSocket(gw, "/ws?client_id=never%d" % i, rcvbuf=4096) for i in range(4)]
            trickle = WebSocket(gw, "/ws?client_id=trickle", rcvbuf=4096)
            stuck = SlowStream(gw, "stuck", {"topic": "s"})
            for i in range(4):
                gw.subscribe("never%d" % i, "s")
            gw.subscribe("trickle", "s")
            gw.until(lambda: all("s" in n.subscribed() for n in cluster.nodes))
            self.check(gw, lambda i: trickle.s.recv(1))
            gw.until(lambda: gw.metric("codecast_gateway_ws_dropped_total") > 4 * 10)
            self.assertGreater(gw.metric("codecast_gateway_grpc_dropped_total"), 10)
            stuck.cancel()
            for ws in never + [trickle]:
                ws.close()

    def test_publishers_that_never_read(self):
        """Their acks wait, then they are not read any more: their own sending stops, and nobody else's."""
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway(CLIENT_QUEUE_BYTES=1 << 20)
            ws = WebSocket(gw, "/ws?client_id=talks", rcvbuf=4096)
            stream = SlowStream(gw, "streams")
            done = threading.Event()
            sent = [0, 0]

            def talk():
                try:
                    while not done.is_set():
                        # most are refused: an answer each, without the node
                        ws.send({"type": "publish", "topic": "o" if sent[0] % 100 == 0 else "", "id": "i" * 100, "data": "%d" % sent[0]})
                        sent[0] += 1
                except OSError:
                    pass

            def stream_on():
                while not done.is_set() and sent[1] < 20000:
                    if stream.out.qsize() < 100:
                        stream.out.put(ProxyMessage(topic="", message=b"no topic: an error each"))
                        sent[1] += 1
                    else:
                        time.sleep(0.01)

            threads = [threading.Thread(target=f) for f in (talk, stream_on)]
            for t in threads:
                t.start()
            gw.until(lambda: sent[0] > 1000 and sent[1] > 200)
            self.check(gw, lambda i: None, limit_s=5)
            done.set()
            ws.s.shutdown(socket.SHUT_RDWR)  # wakes who sends
            stream.cancel()
            for t in threads:
                t.join()
            ws.close()


if __name__ == "__main__":
    unittest.main()
