"""test_ws.py: WebSocket clients of the gateway."""
import asyncio
import base64
import hashlib
import json
import os
import time
import unittest

import websockets

from harness import Cluster, WebSocket, alone_only


def sha(data):
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


def text_of(m):
    return base64.b64decode(m["message"]).decode()


class Frames(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=3)
        cls.gw = cls.cluster.gateway(MAX_CLIENT_TOPICS=256)

    @classmethod
    def tearDownClass(cls):
        codes = cls.cluster.close()
        assert codes == [0], codes

    def test_frames_with_an_id_are_answered(self):
        with WebSocket(self.gw, "/ws?client_id=frames") as ws:
            ws.send({"type": "subscribe", "topic": "f", "id": 1})
            self.assertEqual(ws.recv(), {"type": "ack", "id": 1, "status": "subscribed", "topic": "f"})
            ws.send({"type": "publish", "topic": "f", "message": "hi", "id": "p-1"})
            got = sorted((ws.recv(), ws.recv()), key=lambda m: "type" in m)
            self.assertEqual(got[1], {"type": "ack", "id": "p-1", "status": "published", "topic": "f", "message_id": sha("hi")})
            self.assertEqual(text_of(got[0]), "hi")
            ws.send({"type": "publish", "topic": "f", "data": "hi", "id": None, "client_id": "frames"})
            ws.send({"type": "publish", "topic": "f", "data": "hi", "id": 2.5})
            self.assertEqual(ws.recv()["status"], "deduplicated")
            ws.send({"type": "unsubscribe", "topic": "f", "id": True})
            self.assertEqual(ws.recv(), {"type": "ack", "id": True, "status": "unsubscribed", "topic": "f"})
            ws.send({"type": "publish", "topic": "f", "data": base64.b64encode(b"\0\1\2").decode(), "encoding": "base64", "id": 3})
            self.assertEqual(ws.recv()["message_id"], sha(b"\0\1\2"))

    def test_frames_that_are_wrong_are_told_so(self):
        with WebSocket(self.gw, "/ws?client_id=wrong") as ws:
            for frame, text in ((b"{", "invalid JSON"), (b"5", "invalid JSON"), ({"type": "dance", "id": 7}, "type must be"),
                                ({"id": 7}, "type must be"), ({"type": "publish", "message": "m", "id": 7}, "missing topic"),
                                ({"type": "publish", "topic": "t", "id": 7}, "either message or message_length must be provided"),
                                ({"type": "subscribe", "id": 7}, "missing topic"),
                                ({"type": "subscribe", "topic": "t", "threshold": 9, "id": 7}, "threshold"),
                                ({"type": "publish", "topic": "t", "message_length": 1 << 40, "id": 7}, "too large"),
                                ({"type": "publish", "topic": "t" * 300, "message": "m", "id": 7}, "topic too long")):
                ws.send(frame)
                a = ws.recv()
                self.assertEqual(a["type"], "error", frame)
                self.assertIn(text, a["error"])
                if isinstance(frame, dict):
                    self.assertEqual(a["id"], 7)
            for i in ({"a": ["deep", {"b": "}\"ö"}]}, [1, [2]], [], False, "x" * 158):
                ws.send({"type": "ping", "id": i})
                self.assertEqual(ws.recv(), {"type": "ack", "id": i, "status": "pong"})
            for i in ("x" * 159, "x" * 10000, {"long": "y" * 160}):  # what cannot be answered by its id is not carried out
                ws.send({"type": "subscribe", "topic": "never", "id": i})
                self.assertEqual(ws.recv(), {"type": "error", "error": "id too long: at most 160 bytes of JSON"})
            ws.send({"type": "subscribe", "topic": 5, "id": 9})
            self.assertEqual(ws.recv(), {"type": "error", "id": 9, "error": "invalid JSON, missing topic: a topic must be a string"})
            self.assertEqual(self.gw.get("/topics?client_id=wrong")[1]["topics"], [])

    def test_a_subscriber_gets_its_own_topics_only(self):
        with WebSocket(self.gw, "/ws?client_id=own-a") as a, WebSocket(self.gw, "/ws?client_id=own-b") as b:
            self.gw.subscribe("own-a", "own/a")
            self.gw.subscribe("own-b", "own/b")
            for i in range(5):
                self.gw.publish("own/a", "a%d" % i)
                self.gw.publish("own/b", "b%d" % i)
            self.assertEqual(sorted(text_of(a.recv()) for _ in range(5)), ["a%d" % i for i in range(5)])
            self.assertEqual(sorted(text_of(b.recv()) for _ in range(5)), ["b%d" % i for i in range(5)])
            for ws in (a, b):
                with self.assertRaises(TimeoutError):
                    ws.recv(timeout=0.3)

    def test_each_message_comes_once_though_every_node_has_it(self):
        with WebSocket(self.gw, "/ws?client_id=once") as ws:
            self.gw.subscribe("once", "once")
            sent = ["m%d" % i for i in range(50)]
            for m in sent:
                self.gw.publish("once", m)
            self.assertEqual(sorted(text_of(ws.recv()) for _ in sent), sorted(sent))
            with self.assertRaises(TimeoutError):
                ws.recv(timeout=0.3)

    @alone_only  # the node of the other form remembers, too
    def test_repeats_are_known_of_as_many_messages_as_are_remembered(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway(MAX_SEEN=1024)
            with WebSocket(gw, "/ws?client_id=c") as ws:
                def publish(i):
                    ws.send({"type": "publish", "topic": "t", "data": "m%d" % i, "id": i})
                    return ws.recv()["status"]

                self.assertEqual({publish(i) for i in range(1024)}, {"published"})
                self.assertEqual([publish(0), gw.metric("codecast_gateway_seen_evicted_total")], ["deduplicated", 0])
                self.assertEqual([publish(1024), publish(1), publish(0)], ["published", "deduplicated", "published"])
                self.assertEqual(gw.metric("codecast_gateway_seen_evicted_total"), 2)

    def test_subscriptions_made_before_the_socket(self):
        self.gw.subscribe("before", "before")
        with WebSocket(self.gw, "/api/v1/ws?client_id=before") as ws:
            self.gw.publish("before", "x")
            self.assertEqual(text_of(ws.recv()), "x")
        with WebSocket(self.gw, "/ws?client_id=before") as ws:
            self.gw.publish("before", "y")
            self.assertEqual(text_of(ws.recv()), "y")

    def test_two_sockets_of_one_client_both_receive(self):
        with WebSocket(self.gw, "/ws?client_id=twice") as a, WebSocket(self.gw, "/ws?client_id=twice") as b:
            self.gw.subscribe("twice", "twice")
            self.gw.publish("twice", "x")
            self.assertEqual([text_of(a.recv()), text_of(b.recv())], ["x", "x"])

    def test_anonymous_sockets(self):
        with WebSocket(self.gw) as a, WebSocket(self.gw) as b:
            a.send({"type": "subscribe", "topic": "anon", "id": 1})
            a.recv()
            b.send({"type": "publish", "topic": "anon", "data": "from b"})
            self.assertEqual(text_of(a.recv()), "from b")
            b.send({"type": "subscribe", "topic": "anon named", "client_id": "named late", "id": 2})
            b.recv()
            self.assertEqual(self.gw.get("/topics?client_id=named%20late")[1]["topics"], ["anon named"])

    def test_a_socket_that_names_itself_late_keeps_its_subscriptions(self):
        with WebSocket(self.gw) as ws:
            ws.send({"type": "subscribe", "topic": "before the name", "id": 1})
            self.assertEqual(ws.recv()["status"], "subscribed")
            ws.send({"type": "publish", "topic": "before the name", "client_id": "says it late", "data": "x"})
            self.assertEqual(text_of(ws.recv()), "x")
            self.assertEqual(self.gw.get("/topics?client_id=says%20it%20late")[1]["topics"], ["before the name"])

    def test_a_client_has_as_many_topics_as_are_set(self):
        names, words = ["bound%d" % i for i in range(300)], "at most 256 topics for one client (MAX_CLIENT_TOPICS)"
        count = lambda: self.gw.get("/topics?client_id=bounded")[1]["count"]
        self.assertEqual(self.gw.post("/subscribe", {"client_id": "bounded", "topics": names[200:]})[0], 200)
        with WebSocket(self.gw) as ws:
            ws.send({"type": "subscribe", "topics": names[:200], "id": 1})
            self.assertEqual(ws.recv()["status"], "subscribed")
            for i in range(2):  # it cannot be "bounded", who stays as he is
                ws.send({"type": "subscribe", "topic": "bound0", "client_id": "bounded", "id": 2 + i})
                self.assertEqual(ws.recv()["error"], words)
                self.assertEqual(count(), 100)
            self.gw.publish("bound0", "anonymous as before")
            self.assertEqual(text_of(ws.recv()), "anonymous as before")
        self.assertEqual(self.gw.post("/subscribe", {"client_id": "bounded", "topics": names})[:2], (409, {"error": words}))
        self.assertEqual(count(), 256)
        self.assertEqual(self.gw.post("/unsubscribe", {"client_id": "bounded", "topics": names})[0], 200)

    def test_a_closed_socket_leaves_no_topic_behind(self):
        with WebSocket(self.gw) as ws:
            ws.send({"type": "subscribe", "topic": "short lived", "id": 1})
            ws.recv()
            self.gw.until(lambda: all("short lived" in n.subscribed() for n in self.cluster.nodes))
        self.gw.until(lambda: not any("short lived" in n.subscribed() for n in self.cluster.nodes))

    def test_bad_handshakes(self):
        self.assertEqual(self.gw.get("/ws?client_id=x")[0], 426)
        self.assertEqual(WebSocket(self.gw, "/ws?client_id=" + "c" * 300).status, 400)

    def test_names_that_need_escapes(self):
        name = 'top"ic\\/ é ✓'
        with WebSocket(self.gw, "/ws?client_id=esc") as ws:
            self.gw.subscribe("esc", name)
            self.assertEqual(self.gw.publish(name, "x")["topic"], name)
            self.assertEqual(ws.recv()["topic"], name)

    def test_the_websockets_library(self):
        async def run():
            uri = "ws://127.0.0.1:%d/api/v1/ws?client_id=lib" % self.gw.http
            async with websockets.connect(uri, max_size=None) as ws:
                await ws.send(json.dumps({"type": "subscribe", "topic": "lib", "id": 1}))
                self.assertEqual(json.loads(await ws.recv())["status"], "subscribed")
                await ws.send(json.dumps({"type": "publish", "topic": "lib", "message": "z" * 300000}))
                m = json.loads(await ws.recv())
                self.assertEqual(m["message_id"], sha("z" * 300000))

        asyncio.run(run())


class Load(unittest.TestCase):
    @alone_only
    def test_thresholds(self):
        with Cluster(nodes=4) as cluster:
            gw = cluster.gateway()
            cluster.nodes[2].delivers = cluster.nodes[3].delivers = False
            with WebSocket(gw, "/ws?client_id=half") as half, WebSocket(gw, "/ws?client_id=all") as every:
                gw.subscribe("half", "th", threshold=0.5)
                gw.subscribe("all", "th", threshold=0.75)
                gw.until(lambda: all("th" in n.subscribed() for n in cluster.nodes))
                gw.publish("th", "two of four have it")
                self.assertEqual(text_of(half.recv()), "two of four have it")
                with self.assertRaises(TimeoutError):
                    every.recv(timeout=0.4)
                cluster.nodes[2].delivers = True
                gw.publish("th", "three of four")
                self.assertEqual(text_of(every.recv()), "three of four")
                self.assertEqual(text_of(half.recv()), "three of four")

    @alone_only
    def test_a_threshold_is_a_share_of_all_nodes(self):
        """One that is gone has not seen the message; when it comes back and shows it, the client gets it."""
        with Cluster(nodes=3) as cluster:
            gw = cluster.gateway()
            with WebSocket(gw, "/ws?client_id=every") as every, WebSocket(gw, "/ws?client_id=most") as most:
                gw.subscribe("every", "th", threshold=1)
                gw.subscribe("most", "th", threshold=0.6)
                gw.until(lambda: all("th" in n.subscribed() for n in cluster.nodes))
                cluster.nodes[2].stop()
                gw.until(lambda: gw.get("/health")[1]["status"] == "degraded")
                gw.publish("th", "two have it")
                self.assertEqual(text_of(most.recv()), "two have it")
                with self.assertRaises(TimeoutError):
                    every.recv(timeout=0.4)
                cluster.nodes[2].start()
                gw.until(lambda: "th" in cluster.nodes[2].subscribed())
                cluster.network.publish(cluster.nodes[2], "th", b"two have it")
                self.assertEqual(text_of(every.recv()), "two have it")
                with self.assertRaises(TimeoutError):
                    most.recv(timeout=0.2)

    @alone_only
    def test_nobody_waits_for_a_node_that_is_gone_where_only_reachable_ones_count(self):
        with Cluster(nodes=3) as cluster:
            gw = cluster.gateway(THRESHOLD_NODES="reachable")
            with WebSocket(gw, "/ws?client_id=every") as every, WebSocket(gw, "/ws?client_id=half") as half:
                gw.subscribe("every", "th", threshold=1)
                gw.subscribe("half", "th", threshold=0.5)
                gw.until(lambda: all("th" in n.subscribed() for n in cluster.nodes))
                gw.publish("th", "all three")
                self.assertEqual([text_of(every.recv()), text_of(half.recv())], ["all three"] * 2)
                cluster.nodes[2].stop()
                gw.until(lambda: gw.get("/health")[1]["status"] == "degraded")
                gw.publish("th", "both that are left")
                self.assertEqual([text_of(every.recv()), text_of(half.recv())], ["both that are left"] * 2)
                cluster.nodes[1].delivers = False
                gw.publish("th", "one of two")
                self.assertEqual(text_of(half.recv()), "one of two")
                for ws in (every, half):
                    with self.assertRaises(TimeoutError):
                        ws.recv(timeout=0.4)
                self.assertEqual(gw.metric("fallback_deliveries_total"), 3)  # of three: two are not all, and one is not half, twice

    def test_a_burst_by_one_socket_loses_nothing(self):
        with Cluster(nodes=2) as cluster:
            a, b = cluster.gateway(), cluster.gateway()
            with WebSocket(a, "/ws?client_id=sender") as out, WebSocket(b, "/ws?client_id=receiver") as back:
                b.subscribe("receiver", "burst")
                cluster.wait_for_way("burst", a, b)
                sent = {"%d %s" % (i, "x" * 1000) for i in range(2000)}
                for m in sent:
                    out.send({"type": "publish", "topic": "burst", "data": m})
                self.assertEqual({text_of(back.recv()) for _ in sent}, sent)
                with self.assertRaises(TimeoutError):
                    back.recv(timeout=0.2)

    def test_large_messages_by_socket(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway()
            with WebSocket(gw, "/ws?client_id=large") as ws:
                gw.subscribe("large", "large")
                data = os.urandom(16 << 20)
                ws.send({"type": "publish", "topic": "large", "data": base64.b64encode(data).decode(), "encoding": "base64", "id": 1})
                got = sorted((ws.recv(), ws.recv()), key=lambda m: "type" in m)
                self.assertEqual(got[1]["message_id"], sha(data))
                self.assertEqual(sha(base64.b64decode(got[0]["message"])), sha(data))

    def test_a_client_that_never_reads(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway(CLIENT_QUEUE_BYTES=1 << 20)
            stuck = WebSocket(gw, "/ws?client_id=stuck", rcvbuf=4096)
            with WebSocket(gw, "/ws?client_id=well") as well:
                gw.subscribe("stuck", "s")
                gw.subscribe("well", "s")
                for i in range(60):
                    gw.publish("s", "%d %s" % (i, "x" * 100000))
                    t = time.monotonic()
                    self.assertTrue(text_of(well.recv()).startswith("%d " % i))
                    self.assertLess(time.monotonic() - t, 2)
            gw.until(lambda: gw.metric("codecast_gateway_ws_dropped_total") > 10)  # seen while the client is still there
            dropped = gw.metric("codecast_gateway_ws_dropped_total")
            self.assertGreater(gw.metric("codecast_gateway_ws_dropped_bytes_total"), 100000 * dropped)
            stuck.close()
            gw.until(lambda: gw.metric("codecast_gateway_ws_dropped_total") > dropped)  # what waited for it

    def test_stop_says_1001(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway()
            ws = WebSocket(gw, "/ws?client_id=end")
            gw.proc.terminate()
            with self.assertRaisesRegex(EOFError, "close 1001"):
                ws.recv()
            ws.s.sendall(b"\x88\x80\0\0\0\0")
            self.assertEqual(gw.proc.wait(5), 0)
            ws.close()


if __name__ == "__main__":
    unittest.main()
