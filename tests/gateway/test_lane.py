"""test_lane.py: publishes that go to nodes by lanes, and by the stream when those do not work."""
import threading
import unittest

from fake_sidecar import Network, Node
from harness import Gateway, WebSocket
from test_pool import text_of

THREADS = 2


class World:
    """Nodes that offer lanes, and a gateway with all of them open."""

    def __init__(self, nodes=1, ready=True, **env):
        self.network = Network()
        self.nodes = [Node(self.network, has_lanes=True) for _ in range(nodes)]
        self.node, self.lanes = self.nodes[0], self.nodes[0].lanes
        self.gw = Gateway([n.target for n in self.nodes], HTTP_THREADS=THREADS, **env)
        if ready:
            self.until_open()

    def until_open(self):
        self.gw.until(lambda: self.gw.metric("codecast_gateway_node_lanes") == THREADS * len(self.nodes))

    def by_stream(self, node=None):
        return [c for c in (node or self.node).commands if c[0] == 1]

    def together(self, texts, topic="t"):
        """All published at a time; the answers by text."""
        out = {}
        threads = [threading.Thread(target=lambda t=t: out.update({t: self.gw.post("/publish", {"topic": topic, "data": t})[:2]})) for t in texts]
        for t in threads:
            t.start()
        return out, threads

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.gw.__exit__(*exc)
        for n in self.nodes:
            if n.server:
                n.stop()


class Lane(unittest.TestCase):
    def test_small_publishes_of_http_and_ws_go_by_lanes(self):
        with World() as w:
            with WebSocket(w.gw, "/ws?client_id=c") as ws:
                w.gw.subscribe("c", "t")
                w.gw.until(lambda: "t" in w.node.subscribed())
                for i in range(20):
                    self.assertEqual(w.gw.publish("t", "m%d" % i)["status"], "published")
                    ws.recv()
                ws.send({"type": "publish", "topic": "t", "data": "by WebSocket", "id": 7})
                got = [ws.recv(), ws.recv()]
                self.assertEqual([m["status"] for m in got if m.get("type") == "ack"], ["published"])
            self.assertEqual((len(w.lanes.taken), w.by_stream()), (21, []))
            self.assertEqual(w.gw.metric("codecast_gateway_node_lane_published_total"), 21)
            self.assertEqual(w.gw.publish("t", "x" * 65536)["status"], "published")
            self.assertEqual((len(w.lanes.taken), len(w.by_stream())), (22, 0))
            self.assertEqual(w.gw.publish("t", "x" * 65537)["status"], "published")
            self.assertEqual((len(w.lanes.taken), len(w.by_stream())), (22, 1))
            self.assertEqual(w.gw.publish("t", "m3")["status"], "deduplicated")

    def test_what_nodes_say_reaches_the_publisher(self):
        with World(2) as w:
            for n in w.nodes:
                n.refusal = (413, "message too large: at most 7 bytes")
            self.assertEqual(w.gw.post("/publish", {"topic": "t", "data": "eight by"})[:2],
                             (413, {"error": "message too large: at most 7 bytes"}))
            for n in w.nodes:
                n.refusal = (401, "token expired")
            status, a, _ = w.gw.post("/publish", {"topic": "t", "data": "a"})
            self.assertEqual((status, a["error"]), (502, "the node does not accept this gateway's token"))
            w.nodes[0].refusal = (503, "not now")
            w.nodes[1].refusal = None
            for i in range(4):  # the other one takes it
                self.assertEqual(w.gw.publish("t", "b%d" % i)["status"], "published")
            self.assertEqual(sum(len(w.by_stream(n)) for n in w.nodes), 0)

    def test_what_a_broken_lane_had_goes_by_the_stream_and_arrives_once(self):
        with World() as w:
            with WebSocket(w.gw, "/ws?client_id=c") as ws:
                w.gw.subscribe("c", "t")
                w.gw.until(lambda: "t" in w.node.subscribed())
                w.node.is_silent_by_lane = True  # it publishes, and says nothing
                texts = ["m%d" % i for i in range(10)]
                out, threads = w.together(texts)
                w.gw.until(lambda: len(w.lanes.taken) == 10)
                w.node.is_silent_by_lane = False
                w.lanes.cut()
                for t in threads:
                    t.join()
                self.assertEqual([out[t][1]["status"] for t in texts], ["published"] * 10)
                self.assertEqual(len(w.by_stream()), 10)
                self.assertEqual({text_of(ws.recv()) for _ in range(10)}, set(texts))
                with self.assertRaises(TimeoutError):
                    ws.recv(timeout=0.3)
            self.assertGreater(w.gw.metric("codecast_gateway_node_lanes_failed_total"), 0)
            w.until_open()  # again
            self.assertEqual(w.gw.publish("t", "after")["status"], "published")
            self.assertEqual((len(w.lanes.taken), len(w.by_stream())), (11, 10))

    def test_a_lane_that_says_nothing_is_left(self):
        with World() as w:
            w.node.is_silent_by_lane = True
            self.assertEqual(w.gw.publish("t", "late")["status"], "published")
            self.assertEqual(len(w.by_stream()), 1)
            self.assertEqual(w.gw.metric("codecast_gateway_node_lanes_failed_total"), 1)

    def test_a_lane_that_says_nonsense_is_left(self):
        with World() as w:
            w.lanes.babbles = True
            self.assertEqual(w.gw.publish("t", "x")["status"], "published")
            self.assertEqual(len(w.by_stream()), 1)
            self.assertGreater(w.gw.metric("codecast_gateway_received_bad_total"), 0)

    def test_without_a_way_in_the_stream_does_it_all(self):
        with World(ready=False) as w:
            w.lanes.shuts = True
            w.lanes.cut()
            self.assertEqual(w.gw.publish("t", "x")["status"], "published")
            w.gw.until(lambda: w.gw.metric("codecast_gateway_node_lanes_failed_total") > 0)
            w.gw.until(lambda: w.gw.metric("codecast_gateway_node_lanes") == 0)
            self.assertEqual(w.gw.publish("t", "y")["status"], "published")
            w.lanes.listener.close()
            self.assertEqual(w.gw.publish("t", "z")["status"], "published")

    def test_what_a_dying_node_had_goes_to_another_one(self):
        with World(2) as w:
            first, second = w.nodes
            first.swallows = True
            texts = ["m%d" % i for i in range(12)]
            out, threads = w.together(texts)
            w.gw.until(lambda: first.lanes.taken and len(first.lanes.taken) + len(second.lanes.taken) == 12)
            first.stop()
            for t in threads:
                t.join()
            self.assertEqual([out[t][1]["status"] for t in texts], ["published"] * 12)
            first.start()  # with other secrets
            first.swallows = False
            w.gw.until(lambda: w.gw.get("/health")[1]["status"] == "ok")
            w.until_open()
            before, by_stream = len(first.lanes.taken), len(w.by_stream(first))
            for i in range(8):
                self.assertEqual(w.gw.publish("t", "again %d" % i)["status"], "published")
            self.assertGreater(len(first.lanes.taken), before)
            self.assertEqual(len(w.by_stream(first)), by_stream)

    def test_the_end_waits_for_answers(self):
        w = World(DRAIN_MS=5000)
        w.node.delay_s = 0.5
        out, threads = w.together(["last"])
        w.gw.until(lambda: w.lanes.taken)
        self.assertEqual(w.gw.stop()[0], 0)
        threads[0].join()
        self.assertEqual(out["last"][0], 200)
        w.node.stop()


if __name__ == "__main__":
    unittest.main()
