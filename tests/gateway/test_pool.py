"""test_pool.py: the gateway and its nodes: late, dead, silent, frozen, returning."""
import base64
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import unittest

import grpc

from fake_sidecar import Network, Node, free_port
from harness import Cluster, Gateway, WebSocket
from wire import Response, SubscribeRequest, SubscribeResponse


def text_of(m):
    return base64.b64decode(m["message"]).decode()


class Pool(unittest.TestCase):
    def test_a_gateway_may_start_before_its_nodes(self):
        network, ports = Network(), [free_port(), free_port()]
        with Gateway(["127.0.0.1:%d" % p for p in ports], wait=False) as gw:
            status, a, _ = gw.get("/health")
            self.assertEqual((status, a["status"]), (503, "unavailable"))
            status, a, _ = gw.post("/publish", {"topic": "t", "data": "too early"})
            self.assertEqual((status, a["error"]), (503, "no node can be reached"))
            with WebSocket(gw, "/ws?client_id=early") as ws:
                gw.subscribe("early", "t")
                nodes = [Node(network, ports[0])]
                gw.until(lambda: gw.get("/health")[1]["status"] == "degraded")
                nodes.append(Node(network, ports[1]))
                gw.until(lambda: gw.get("/health")[1]["status"] == "ok")
                gw.until(lambda: all("t" in n.subscribed() for n in nodes))
                self.assertEqual(gw.publish("t", "too early")["status"], "published")
                self.assertEqual(text_of(ws.recv()), "too early")
            for n in nodes:
                n.stop()

    def learned(self, gw, max_topics):
        gw.until(lambda: all(n["max_topics"] == max_topics for n in gw.get("/status")[1]["nodes"]))

    def refused(self, gw):
        return sum(n["topics_refused"] for n in gw.get("/status")[1]["nodes"])

    def is_steady(self, gw, nodes):
        """Each node has the stream that it was given first, and publishes go."""
        for n in nodes:
            self.assertEqual(gw.metric("codecast_gateway_node_streams_opened_total", node=n.target), 1)
        self.assertEqual(gw.get("/health")[0], 200)
        self.assertEqual(gw.publish("steady", os.urandom(8).hex())["status"], "published")

    def test_topics_that_nodes_would_not_take_are_refused(self):
        with Cluster(nodes=2) as cluster:
            for n in cluster.nodes:
                n.max_topics = 10
            gw = cluster.gateway()
            self.learned(gw, 10)
            status, a, _ = gw.post("/subscribe", {"client_id": "many", "topics": ["t%d" % i for i in range(1500)]})
            self.assertEqual(status, 503)
            self.assertIn("too many topics", a["error"])
            gw.until(lambda: all(len(n.subscribed()) == 10 for n in cluster.nodes))
            self.assertEqual(gw.get("/topics?client_id=many")[1]["count"], 10)
            with WebSocket(gw, "/ws?client_id=ws") as ws:
                ws.send({"type": "subscribe", "topic": "more", "id": "1"})
                self.assertIn("too many topics", ws.recv()["error"])
            with self.assertRaises(grpc.RpcError) as e:
                gw.unary("ProxyStream", "Subscribe", SubscribeRequest(client_id="g", topic="more"), SubscribeResponse)
            self.assertEqual(e.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
            self.assertIn("too many topics", e.exception.details())
            gw.subscribe("other", "t3")  # is there already
            self.is_steady(gw, cluster.nodes)
            self.assertEqual(gw.metric("codecast_gateway_subscribes_refused_total"), 3)
            self.assertEqual(gw.post("/unsubscribe", {"client_id": "many", "topic": "t1"})[0], 200)
            gw.until(lambda: gw.post("/subscribe", {"client_id": "other", "topic": "more"})[0] == 200)  # the node has said so
            gw.until(lambda: all("more" in n.subscribed() for n in cluster.nodes))
            self.assertEqual(self.refused(gw), 0)

    def test_how_many_topics_a_client_may_have_can_be_set(self):
        with Cluster(nodes=1) as cluster:
            node = cluster.nodes[0]
            gw = cluster.gateway(MAX_CLIENT_TOPICS=600)
            self.assertEqual(gw.post("/subscribe", {"client_id": "all", "topics": ["t%d" % i for i in range(600)]})[0], 200)
            status, a, _ = gw.post("/subscribe", {"client_id": "all", "topic": "more"})
            self.assertEqual((status, a["error"]), (409, "at most 600 topics for one client (MAX_CLIENT_TOPICS)"))
            gw.until(lambda: len(node.subscribed()) == 600)

    def test_topics_that_come_and_go_leave_room(self):
        with Cluster(nodes=1) as cluster:
            cluster.nodes[0].max_topics = 10
            gw = cluster.gateway()
            self.learned(gw, 10)
            for i in range(40):
                gw.subscribe("c", "t%d" % i)
                self.assertEqual(gw.post("/unsubscribe", {"client_id": "c", "topic": "t%d" % i})[0], 200)
            self.assertEqual(self.refused(gw), 0)

    def test_one_node_with_room_is_enough(self):
        with Cluster(nodes=2) as cluster:
            small, large = cluster.nodes
            small.max_topics, large.max_topics = 10, 100
            gw = cluster.gateway()
            gw.until(lambda: [n["max_topics"] for n in gw.get("/status")[1]["nodes"]] == [10, 100])
            self.assertEqual(gw.post("/subscribe", {"client_id": "c", "topics": ["t%d" % i for i in range(20)]})[0], 200)
            gw.until(lambda: self.refused(gw) == 10)
            gw.subscribe("other", "more")
            gw.until(lambda: len(large.subscribed()) == 21 and self.refused(gw) == 11)
            self.is_steady(gw, cluster.nodes)

    def test_a_topic_that_a_node_has_already_needs_no_room(self):
        with Cluster(nodes=1) as cluster:
            node, others, names = cluster.nodes[0], queue.Queue(), ["t%d" % i for i in range(10)]
            node.max_topics = 10
            node.streams[others] = set(names)  # another gateway's
            gw = cluster.gateway()
            self.learned(gw, 10)
            gw.until(lambda: gw.post("/subscribe", {"client_id": "c", "topics": names})[0] == 200)  # from when it named them
            self.assertEqual(gw.post("/subscribe", {"client_id": "c", "topic": "more"})[0], 503)
            self.assertEqual(self.refused(gw), 0)

    def test_subscribed_means_that_a_node_takes_the_topic(self):
        with Cluster(nodes=1) as cluster:
            node, others = cluster.nodes[0], queue.Queue()
            node.max_topics = 10
            node.streams[others] = {"t%d" % i for i in range(10)}  # another gateway's
            gw = cluster.gateway()
            self.learned(gw, 10)
            subscribe = lambda client, *topics: gw.post("/subscribe", {"client_id": client, "topics": topics})[0]
            self.assertEqual(subscribe("a", "x"), 503)
            self.assertEqual(subscribe("c", *("n%d" % i for i in range(9))), 503)
            gw.until(lambda: subscribe("b", "t5") == 200)
            self.assertEqual(subscribe("a", "x"), 503)
            self.assertEqual(self.refused(gw), 0)
            node.tells_topics = 9  # it told that before it was full
            gw.until(lambda: subscribe("a", "x") == 200)
            gw.until(lambda: self.refused(gw) == 1)
            gw.until(lambda: subscribe("b", "t6") == 200)  # what it has is not kept from others by that
            node.tells_topics = True
            gw.until(lambda: subscribe("b", "t7") == 200)
            with node.lock:
                node.streams[others] -= {"t0", "t1"}
            gw.until(lambda: "x" in node.subscribed() and self.refused(gw) == 0)
            gw.until(lambda: subscribe("a", "y") == 200)
            gw.until(lambda: "y" in node.subscribed())
            self.assertEqual(subscribe("a", "z"), 503)
            self.assertEqual(gw.post("/unsubscribe", {"client_id": "b", "topic": "t5"})[0], 200)
            self.assertEqual(subscribe("a", "z"), 503)  # the other gateway has it still
            self.assertEqual(self.refused(gw), 0)
            self.is_steady(gw, cluster.nodes)

    def test_a_node_of_the_version_before_is_asked_for_no_more_than_it_takes(self):
        """It does not refuse by name: it would end the stream."""
        with Cluster(nodes=1) as cluster:
            earlier = cluster.nodes[0]
            gw = cluster.gateway()
            gw.until(lambda: all(n["memory_used"] for n in gw.get("/status")[1]["nodes"]))  # and the rest of its health
            subscribe = lambda i, verb="subscribe": gw.post("/" + verb, {"client_id": "c%d" % i, "topics": ["%d.%d" % (i, j) for j in range(256)]})[0]
            self.assertEqual([subscribe(i) for i in range(5)], [200] * 4 + [503])
            gw.until(lambda: len(earlier.subscribed()) == 1024)
        with Cluster(nodes=2) as cluster:
            earlier, later = cluster.nodes
            later.max_topics = 2048
            gw = cluster.gateway()
            gw.until(lambda: all(n["memory_used"] for n in gw.get("/status")[1]["nodes"]))
            self.assertEqual([subscribe(i) for i in range(5)], [200] * 5)
            gw.until(lambda: len(later.subscribed()) == 1280 and len(earlier.subscribed()) == 1024)
            self.assertEqual(self.refused(gw), 256)
            subscribe(0, "unsubscribe")
            gw.until(lambda: self.refused(gw) == 0 and earlier.subscribed() == later.subscribed())
            self.assertEqual(len(earlier.subscribed()), 1024)
            self.is_steady(gw, cluster.nodes)

    def test_a_topic_that_a_node_refused_is_asked_for_again(self):
        with Cluster(nodes=1) as cluster:
            node, others = cluster.nodes[0], queue.Queue()
            node.max_topics, node.tells_topics = 10, False
            node.streams[others] = {"other%d" % i for i in range(8)}  # another gateway's, of which this one is not told
            gw = cluster.gateway()
            self.learned(gw, 10)
            with WebSocket(gw, "/ws?client_id=me") as ws:
                self.assertEqual(gw.post("/subscribe", {"client_id": "me", "topics": ["t%d" % i for i in range(5)]})[0], 200)
                gw.until(lambda: self.refused(gw) == 3)
                self.assertEqual(gw.metric("codecast_gateway_node_topics_refused"), 3)
                self.assertEqual(gw.post("/subscribe", {"client_id": "me", "topic": "more"})[0], 503)
                self.is_steady(gw, cluster.nodes)
                gw.post("/unsubscribe", {"client_id": "me", "topic": "t2"})
                gw.until(lambda: self.refused(gw) == 2 and (3, "t2", 0) in node.commands)  # it may have taken it since
                with node.lock:
                    node.streams[others] = set()
                node.tells_topics = True
                gw.until(lambda: self.refused(gw) == 0 and len(node.subscribed()) == 4)
                gw.subscribe("me", "more")
                gw.publish("t4", "late but here")
                self.assertEqual(text_of(ws.recv()), "late but here")
                self.is_steady(gw, cluster.nodes)

    def test_a_refusal_that_the_node_dropped_is_asked_for_again(self):
        with Cluster(nodes=1) as cluster:
            node, others = cluster.nodes[0], queue.Queue()
            node.max_topics, node.tells_topics, node.loses_refusals = 10, 9, True
            node.streams[others] = {"other%d" % i for i in range(10)}
            gw = cluster.gateway()
            self.learned(gw, 10)
            gw.subscribe("me", "x")
            asked = lambda: node.commands.count((2, "x", 0))
            gw.until(lambda: asked() == 1)
            self.assertEqual(self.refused(gw), 0)
            node.loses_refusals = False
            for _ in range(20):  # at most once in some seconds, however many
                next(q for q in node.streams if q is not others).put(Response(command=0, data=b'{"status":"dropped","messages":1}'))
            gw.until(lambda: gw.metric("codecast_gateway_topics_refused_total") == 1)
            self.assertEqual(asked(), 2)
            with node.lock:
                node.streams[others].clear()
            gw.until(lambda: "x" in node.subscribed() and self.refused(gw) == 0)
            self.is_steady(gw, cluster.nodes)

    def test_publishes_are_spread(self):
        with Cluster(nodes=3) as cluster:
            gw = cluster.gateway()
            for i in range(60):
                gw.publish("spread", str(i))
            took = [len([c for c in n.commands if c[0] == 1]) for n in cluster.nodes]
            self.assertEqual(sum(took), 60)
            self.assertGreaterEqual(min(took), 3) # 20 each when they answer alike; a loaded machine makes one of them seem slow

    def test_what_a_node_confirmed_before_it_died_goes_to_another_one(self):
        with Cluster(nodes=2) as cluster:
            gw, (first, second) = cluster.gateway(), cluster.nodes
            for i in range(20):
                self.assertEqual(gw.publish("kept", str(i))["status"], "published")
            mine = len([c for c in first.commands if c[0] == 1])
            self.assertEqual(mine + len([c for c in second.commands if c[0] == 1]), 20)
            self.assertGreater(mine, 0)
            first.stop()
            gw.until(lambda: len([c for c in second.commands if c[0] == 1]) == 20)
            self.assertEqual(gw.metric("codecast_gateway_node_repeated_total", node=first.target), mine)

    def test_a_slow_node_gets_less(self):
        with Cluster(nodes=2) as cluster:
            gw = cluster.gateway()
            cluster.nodes[0].delay_s = 0.2
            for i in range(60):
                gw.publish("slow", str(i))
            slow, quick = (len([c for c in n.commands if c[0] == 1]) for n in cluster.nodes)
            self.assertTrue(1 <= slow <= 15, (slow, quick))
            self.assertEqual(slow + quick, 60)
            self.assertGreater(gw.metric("codecast_gateway_node_answer_seconds", node=cluster.nodes[0].target),
                               gw.metric("codecast_gateway_node_answer_seconds", node=cluster.nodes[1].target))

    def test_what_a_node_may_owe_is_bounded_in_bytes(self):
        with Cluster(nodes=2) as cluster:
            gw = cluster.gateway(NODE_QUEUE_BYTES=300000)
            for n in cluster.nodes:
                n.swallows = True
            answers = []
            post = lambda i: answers.append(gw.call("POST", "/publish?topic=t", b"%d " % i + b"x" * 100000,
                                                    {"Content-Type": "application/octet-stream"})[:2])
            threads = [threading.Thread(target=post, args=(i,)) for i in range(8)]
            for t in threads:
                t.start()
            gw.until(lambda: len(answers) == 4)  # two at each node; the rest is refused at once
            self.assertEqual([a[0] for a in answers], [503] * 4)
            self.assertIn("busy", answers[0][1]["error"])
            self.assertEqual([gw.metric("codecast_gateway_node_queue_bytes", node=n.target) for n in cluster.nodes], [200004.0] * 2)
            for n in cluster.nodes:
                n.swallows = False
            for t in threads:
                t.join()  # asked again elsewhere, in time
            self.assertEqual(sorted(a[0] for a in answers), [200] * 4 + [503] * 4)

    def test_a_node_that_dies_and_returns(self):
        with Cluster(nodes=2) as cluster:
            gw = cluster.gateway()
            with WebSocket(gw, "/ws?client_id=c") as ws:
                gw.subscribe("c", "t")
                gw.until(lambda: all("t" in n.subscribed() for n in cluster.nodes))
                cluster.nodes[0].stop()
                for i in range(20):
                    gw.publish("t", "one dead %d" % i)
                self.assertEqual({text_of(ws.recv()) for _ in range(20)}, {"one dead %d" % i for i in range(20)})
                self.assertEqual(gw.get("/health")[1]["status"], "degraded")
                cluster.nodes[0].start()
                gw.until(lambda: gw.get("/health")[1]["status"] == "ok")
                gw.until(lambda: "t" in cluster.nodes[0].subscribed())
                cluster.nodes[1].stop()
                gw.until(lambda: gw.get("/health")[1]["status"] == "degraded")
                gw.publish("t", "the other dead")
                self.assertEqual(text_of(ws.recv()), "the other dead")
                cluster.nodes[0].stop()
                gw.until(lambda: gw.get("/health")[0] == 503)
                self.assertEqual(gw.post("/publish", {"topic": "t", "data": "x"})[0], 503)
                cluster.nodes[0].start()
                cluster.nodes[1].start()
                gw.until(lambda: gw.get("/health")[1]["status"] == "ok")

    def test_what_a_dying_node_had_goes_to_another_and_arrives_once(self):
        for has_published in (False, True):
            with self.subTest(has_published), Cluster(nodes=2) as cluster:
                self.dying_node(cluster, has_published)

    def dying_node(self, cluster, has_published):
        gw = cluster.gateway()
        with WebSocket(gw, "/ws?client_id=c") as ws:
            gw.subscribe("c", "t")
            gw.until(lambda: all("t" in n.subscribed() for n in cluster.nodes))
            if has_published:  # and did not say so; the other one knows it from there
                cluster.nodes[0].confirms, cluster.nodes[1].knows = False, True
            else:
                cluster.nodes[0].swallows = True
            answers = []
            threads = [threading.Thread(target=lambda i=i: answers.append(gw.publish("t", "m%d" % i))) for i in range(10)]
            for t in threads:
                t.start()
            held = lambda: len([c for c in cluster.nodes[0].commands if c[0] == 1])
            gw.until(lambda: held() >= 1 and len(answers) + held() >= 10)  # however they were balanced
            cluster.nodes[0].stop()
            for t in threads:
                t.join()
            self.assertEqual([a["status"] for a in answers], ["published"] * 10)
            self.assertEqual({text_of(ws.recv()) for _ in range(10)}, {"m%d" % i for i in range(10)})
            with self.assertRaises(TimeoutError):
                ws.recv(timeout=0.3)

    def test_a_node_that_confirmed_nothing_though_it_published(self):
        """Both nodes carry the message: clients still get it once."""
        with Cluster(nodes=2) as cluster:
            gw = cluster.gateway()
            with WebSocket(gw, "/ws?client_id=c") as ws:
                gw.subscribe("c", "t")
                gw.until(lambda: all("t" in n.subscribed() for n in cluster.nodes))
                gw.until(lambda: gw.metric("codecast_gateway_node_up") == 2)
                for i in range(20):  # each node has confirmed once, so that neither is taken for one that never does
                    gw.publish("t", "warm %d" % i)
                    ws.recv()
                before = len(cluster.network.carried)
                self.assertEqual(len({c[2] for c in cluster.network.carried}), 2)
                time.sleep(0.3)
                cluster.nodes[0].confirms = cluster.nodes[1].confirms = False
                t = time.monotonic()
                first = threading.Thread(target=lambda: gw.call("POST", "/publish?topic=t", b"twice", {"Content-Type": "application/octet-stream"}))
                first.start()
                self.assertEqual(text_of(ws.recv()), "twice")
                gw.until(lambda: len(cluster.network.carried) == before + 2)
                self.assertGreater(time.monotonic() - t, 2)
                cluster.nodes[0].confirms = cluster.nodes[1].confirms = True
                first.join()
                with self.assertRaises(TimeoutError):
                    ws.recv(timeout=0.3)

    def test_a_frozen_node_is_left(self):
        network = Network()
        live = Node(network)
        port = free_port()
        fake = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_sidecar.py")
        frozen = subprocess.Popen([sys.executable, fake, str(port)], stdout=subprocess.PIPE)
        try:
            frozen.stdout.readline()
            with Gateway([live.target, "127.0.0.1:%d" % port]) as gw:
                frozen.send_signal(signal.SIGSTOP)
                t = time.monotonic()
                for i in range(6):
                    self.assertEqual(gw.publish("t", "frozen %d" % i)["status"], "published")
                self.assertLess(time.monotonic() - t, 12)
                self.assertEqual(len([c for c in network.carried if c[0] == "t"]), 6)
                gw.until(lambda: gw.get("/health")[1]["status"] == "degraded")
                frozen.send_signal(signal.SIGCONT)
                gw.until(lambda: gw.get("/health")[1]["status"] == "ok")
        finally:
            frozen.kill()
            frozen.wait()
            frozen.stdout.close()
            live.stop()

    def test_refusals_of_nodes(self):
        with Cluster(nodes=2) as cluster:
            gw = cluster.gateway()
            for n in cluster.nodes:
                n.refusal = (413, "message too large: at most 7 bytes")
            status, a, _ = gw.post("/publish", {"topic": "t", "data": "eight by"})
            self.assertEqual((status, a["error"]), (413, "message too large: at most 7 bytes"))
            for n in cluster.nodes:
                n.refusal = (429, "slow down")
            status, a, _ = gw.post("/publish", {"topic": "t", "data": "eight by"})
            self.assertEqual((status, a["error"]), (429, "slow down"))
            cluster.nodes[1].refusal = None
            for i in range(4):
                self.assertEqual(gw.publish("t", "the other takes it %d" % i)["status"], "published")
            cluster.nodes[0].refusal = None
            self.assertEqual(gw.publish("t", "eight by")["status"], "published")

    def test_messages_that_a_node_dropped_are_counted(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway()
            gw.until(lambda: cluster.nodes[0].streams)
            for q in list(cluster.nodes[0].streams):
                q.put(Response(command=0, data=b'{"status":"dropped","messages":7}'))
            gw.until(lambda: gw.metric("codecast_gateway_node_dropped_total") == 7)

    def test_metrics_name_the_protocol_of_the_nodes(self):
        with Cluster(nodes=1) as cluster:
            cluster.nodes[0].mode = "gossipsub"
            gw = cluster.gateway()
            gw.until(lambda: gw.metric("codecast_gateway_node_up", protocol_type="gossipsub") == 1)
            self.assertNotIn('protocol_type="optimum"', gw.get("/metrics")[1])

    def test_answers_that_make_no_sense_are_passed_over(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway()
            gw.until(lambda: cluster.nodes[0].streams)
            for q in list(cluster.nodes[0].streams):
                for data in (b"", b"{", b"[]", b'{"status":5}', b'{"status":"published"}', b'{"status":"dropped"}', b"\xff" * 1000,
                             b'{"status":"published","topic":"t","message_id":"00"}'):
                    for command in (0, 1, 2, 3, 9):
                        q.put(Response(command=command, data=data))
            self.assertEqual(gw.publish("t", "still works")["status"], "published")
            gw.until(lambda: gw.metric("codecast_gateway_received_bad_total") > 0)

    def test_nodes_that_never_confirm(self):
        with Cluster(nodes=1) as cluster:
            cluster.nodes[0].confirms = False
            gw = cluster.gateway()
            gw.until(lambda: "India" in gw.get("/node-countries")[1]["countries"].values())
            t = time.monotonic()
            self.assertEqual(gw.publish("t", "x")["status"], "published")
            self.assertLess(time.monotonic() - t, 2)

    def test_simultaneous_repeats_share_one_publish(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway()
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(gw.publish("t", "same"))) for _ in range(16)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(sorted(a["status"] for a in answers), ["deduplicated"] * 15 + ["published"])
            self.assertEqual(len(cluster.network.carried), 1)

    def test_the_last_subscriber_takes_the_topic_with_it(self):
        with Cluster(nodes=2) as cluster:
            gw = cluster.gateway()
            gw.subscribe("a", "t")
            gw.subscribe("b", "t")
            gw.until(lambda: all("t" in n.subscribed() for n in cluster.nodes))
            gw.post("/unsubscribe", {"client_id": "a", "topic": "t"})
            time.sleep(0.2)
            self.assertTrue(all("t" in n.subscribed() for n in cluster.nodes))
            gw.post("/unsubscribe", {"client_id": "b", "topic": "t"})
            gw.until(lambda: not any("t" in n.subscribed() for n in cluster.nodes))


if __name__ == "__main__":
    unittest.main()
