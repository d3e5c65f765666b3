"""test_state.py: subscriptions that outlive the gateway."""
import base64
import json
import os
import signal
import subprocess
import tempfile
import unittest

from fake_sidecar import free_port
from harness import Cluster, WebSocket, alone_only


def text_of(m):
    return base64.b64decode(m["message"]).decode()


class State(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "subscriptions")

    def lines(self):
        with open(self.file) as f:
            return sorted(json.loads(line) for line in f)

    def test_a_client_is_served_again_after_a_restart(self):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(sig), Cluster(nodes=2) as cluster:
                gw = cluster.gateway(SUBSCRIPTIONS_FILE=self.file)
                gw.subscribe("by rest", "t", threshold=0.5)
                gw.subscribe("by rest", 'topic "2"\u2713')
                gw.subscribe("leaves", "t")
                gw.post("/unsubscribe", {"client_id": "leaves", "topic": "t"})
                with WebSocket(gw, "/ws?client_id=by%20frame") as ws, WebSocket(gw) as nobody:
                    ws.send({"type": "subscribe", "topic": "t", "id": 1})
                    nobody.send({"type": "subscribe", "topic": "t", "id": 1})
                    ws.recv(), nobody.recv()
                want = [["by frame", "t", 0.1], ["by rest", "t", 0.5], ["by rest", 'topic "2"\u2713', 0.1]]
                if sig == signal.SIGKILL:
                    gw.until(lambda: self.lines() == want)
                    gw.proc.kill()
                    gw.proc.wait()
                    cluster.gateways.remove(gw)
                else:
                    self.assertEqual(gw.stop()[0], 0)
                self.assertEqual(self.lines(), want)
                self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)
                again = cluster.gateway(SUBSCRIPTIONS_FILE=self.file)
                again.until(lambda: all(n.subscribed() == {"t", 'topic "2"\u2713'} for n in cluster.nodes))
                with WebSocket(again, "/ws?client_id=by%20rest") as a, WebSocket(again, "/ws?client_id=by%20frame") as b:
                    again.until(lambda: again.metric("optimum_proxy_ws_clients_active") == 2)
                    again.publish("t", "after it")
                    self.assertEqual([text_of(a.recv()), text_of(b.recv())], ["after it"] * 2)
                os.unlink(self.file)

    def test_lines_that_are_none_are_passed_over(self):
        with open(self.file, "w") as f:
            f.write('["good","t",1]\n{}\n[]\n["a"]\n["a","t"]\n["a","t",0]\n["a","t",2]\n["","t",1]\n[1,2,3]\n["a","%s",1]\n\xff\nnull\n\n["also","t",0.25]\n["cut","t'
                    % ("x" * 5000))
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway(SUBSCRIPTIONS_FILE=self.file)
            for client, count in (("good", 1), ("also", 1), ("a", 0), ("cut", 0)):
                self.assertEqual(gw.get("/topics?client_id=" + client)[1]["count"], count)

    @alone_only
    def test_lines_for_which_there_is_no_room_now_stay(self):
        lines = [["c", "t%04d" % i, 0.5] for i in range(2100)]  # more than a node takes, and than a client may ask for
        with open(self.file, "w") as f:
            f.writelines(json.dumps(line) + "\n" for line in lines)
        with Cluster(nodes=1) as cluster:
            node = cluster.nodes[0]
            node.max_topics = 2048
            gw = cluster.gateway(SUBSCRIPTIONS_FILE=self.file)
            gw.until(lambda: len(node.subscribed()) == 2048)
            gw.until(lambda: gw.metric("codecast_gateway_node_topics_refused") == 52)
            gw.subscribe("late", "t0000")
            self.assertEqual(gw.post("/subscribe", {"client_id": "late", "topic": "new"})[0], 503)
            self.assertEqual(gw.stop()[0], 0)
            self.assertEqual(self.lines(), lines + [["late", "t0000", 0.1]])

    @alone_only
    def test_a_file_that_cannot_be_read_is_fatal(self):
        with open(self.file, "w"):
            pass
        env = {"CLUSTER_ID": "c", "P2P_NODES": "127.0.0.1:1", "SUBSCRIPTIONS_FILE": self.file + "/below"}
        env.update({k: "127.0.0.1:%d" % free_port() for k in ("PROXY_PORT", "PROXY_GRPC_PORT", "API_PORT")})
        p = subprocess.run([os.environ["GATEWAY"]], env=env, capture_output=True, text=True, timeout=20)
        self.assertEqual(p.returncode, 1)
        self.assertIn("SUBSCRIPTIONS_FILE", p.stderr)


if __name__ == "__main__":
    unittest.main()
