"""test_inside.py: what is particular to a gateway inside a node: settings, ports, metrics of both, further nodes, the end."""
import base64
import json
import os
import re
import socket
import subprocess
import threading
import time
import unittest

from fake_sidecar import Network, Node
from harness import InsideGateway, WebSocket
from inside import InsideNode


def p2pnode(*args, **env):
    clean = {"PATH": os.environ.get("PATH", ""), "CLUSTER_ID": "c"}
    return subprocess.run([os.environ["P2PNODE"]] + list(args), env=dict(clean, **env), capture_output=True, text=True, timeout=30)


def text_of(m):
    return base64.b64decode(m["message"]).decode()


class Settings(unittest.TestCase):
    def test_help_and_check_config_speak_of_both(self):
        out = p2pnode("--help").stdout
        node, inside = out.split("With PROXY_PORT set")
        self.assertIn("SIDECAR_PORT", node)
        for name in ("PROXY_PORT", "P2P_NODES", "PROXY_GRPC_PORT", "SUBSCRIBER_THRESHOLD", "CORS_ORIGINS"):
            self.assertIn("  %s " % name, inside)
            self.assertNotIn("  %s " % name, node)
        for name in ("CLUSTER_ID", "LOG_LEVEL", "API_PORT"):  # one program, one row
            self.assertEqual(out.count("  %s " % name), 1, name)
        out = p2pnode("check-config", PROXY_PORT="8080", SUBSCRIBER_THRESHOLD="0.5").stdout
        self.assertEqual(json.loads(out.splitlines()[0])["api_port"], 9090)
        self.assertIn("PROXY_PORT=:8080\nPROXY_GRPC_PORT=:50051\nSUBSCRIBER_THRESHOLD=0.5\n", out)
        out = p2pnode("check-config").stdout
        self.assertEqual(len(out.splitlines()), 1)
        self.assertNotIn("PROXY_PORT", out)

    def test_wrong_settings_are_one_fatal_line_each(self):
        for name, value, rule in (("PROXY_PORT", "http", "PORT, :PORT or HOST:PORT"), ("PROXY_PORT", "9090", "is also API_PORT"),
                                  ("PROXY_PORT", "127.0.0.1:33212", "is also SIDECAR_PORT"), ("PROXY_PORT", ":7070", "is also the mesh's port"),
                                  ("PROXY_GRPC_PORT", "9090", "is also API_PORT"), ("PROXY_GRPC_PORT", "8080", "differ from PROXY_PORT"),
                                  ("P2P_NODES", "nowhere", "HOST:PORT"), ("P2P_NODES", ",".join("h%d:1" % i for i in range(64)), "at most 63"),
                                  ("SUBSCRIBER_THRESHOLD", "2", "<= 1")):
            with self.subTest("%s=%s" % (name, value[:30])):
                out = p2pnode("check-config", **dict({"PROXY_PORT": "8080"}, **{name: value}))
                fatal = [line for line in out.stderr.splitlines() if line.startswith("fatal")]
                self.assertEqual((out.returncode, len(fatal)), (2, 1), out.stderr)
                self.assertIn(name, fatal[0])
                self.assertIn(rule, fatal[0])

    def test_a_port_in_use_ends_the_node(self):
        for name in ("PROXY_PORT", "PROXY_GRPC_PORT"):
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                s.listen()
                taken = "127.0.0.1:%d" % s.getsockname()[1]
                node = InsideNode(1 << 20, **{name: taken})
                proc = node.start({})
                self.assertEqual(proc.wait(20), 1)
                with open(node.log.name) as f:
                    self.assertIn("fatal: %s=%s" % (name, taken), f.read())
                node.close()


class Inside(unittest.TestCase):
    def test_metrics_of_both_are_one_text(self):
        with InsideGateway() as gw:
            gw.subscribe("c", "t")
            gw.publish("t", "one")
            gw.publish("t", "two")
            metric = lambda name: float(re.search(r"^%s\{[^}]*\} (\S+)$" % name, gw.get("/metrics", gw.api)[1], re.M)[1])
            gw.until(lambda: metric("codecast_inside_delivered_total") == 2)
            self.assertEqual(metric("codecast_inside_published_total"), 2)
            self.assertEqual(metric("codecast_inside_lost_total"), 0)
            self.assertEqual(metric("optimum_p2p_messages_published_total"), 2)  # the node's: of all its clients
            self.assertEqual(metric("codecast_gateway_clients"), 1)
            self.assertGreater(metric("codecast_gateway_http_requests_total"), 0)
            self.assertGreater(metric("codecast_ring_messages_total"), 0)
            text = gw.get("/metrics", gw.api)[1]
            families = re.findall(r"^# TYPE (\S+) ", text, re.M)
            self.assertEqual(len(families), len(set(families)))
            series = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
            self.assertEqual(len(series), len(set(series)))

    def test_clients_of_sidecar_and_gateway_share_the_node(self):
        with InsideGateway() as gw, WebSocket(gw, "/ws?client_id=c") as ws:
            gw.subscribe("c", "t")
            gw.until(lambda: "t" in gw.node.subscribed())
            gw.node.hold("t")
            gw.post("/unsubscribe", {"client_id": "c", "topic": "t"})
            gw.subscribe("d", "other")
            gw.until(lambda: gw.node.subscribed() == {"t", "other"})  # the sidecar's client still wants it
            gw.subscribe("c", "t")
            gw.publish("t", "to both")
            self.assertEqual(text_of(ws.recv()), "to both")

    def test_further_nodes(self):
        network = Network()
        fake = Node(network)
        with InsideGateway(targets=[fake.target]) as gw, WebSocket(gw, "/ws?client_id=c") as ws:
            self.assertEqual(gw.get("/health")[1]["nodes"], 2)
            gw.subscribe("c", "t", threshold=0.5)
            gw.until(lambda: "t" in fake.subscribed() and "t" in gw.node.subscribed())
            sent = {"m%d" % i for i in range(40)}
            for m in sent:
                gw.publish("t", m)
            self.assertEqual({text_of(ws.recv()) for _ in sent}, sent)
            self.assertTrue(0 < len(network.carried) < 40, "both nodes take their share, one took %d of 40" % len(network.carried))
            network.publish(fake, "t", b"from elsewhere")
            self.assertEqual(text_of(ws.recv()), "from elsewhere")
            fake.stop()
            gw.until(lambda: gw.get("/health")[1]["status"] == "degraded")
            gw.publish("t", "by our own")
            self.assertEqual(text_of(ws.recv()), "by our own")

    def test_it_stops_while_clients_publish(self):
        """Nobody is left without an answer; the program ends with 0 in time."""
        gw = InsideGateway()
        ws = WebSocket(gw, "/ws?client_id=c")
        gw.subscribe("c", "t")
        over, answers = threading.Event(), []

        def client(k):
            i = 0
            while not over.is_set():
                try:
                    answers.append(gw.post("/publish", {"topic": "t", "data": "%d %d %s" % (k, i, "x" * 20000)})[0])
                except OSError:
                    return  # it is gone
                i += 1

        threads = [threading.Thread(target=client, args=(k,)) for k in range(8)]
        for t in threads:
            t.start()
        gw.until(lambda: len(answers) > 50)
        t0 = time.monotonic()
        gw.proc.terminate()
        self.assertEqual(gw.proc.wait(20), 0)
        self.assertLess(time.monotonic() - t0, 8)
        over.set()
        for t in threads:
            t.join()
        self.assertLessEqual(set(answers), {200, 503})
        self.assertGreater(answers.count(200), 50)
        ws.close()
        gw.node.close()


if __name__ == "__main__":
    unittest.main()
