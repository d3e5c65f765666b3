"""test_rest.py: publish, subscribe, topics and the status endpoints over HTTP."""
import base64
import hashlib
import json
import os
import re
import unittest

from harness import FORM, Cluster, WebSocket


def sha(data):
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


class Rest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=2)
        cls.gw = cls.cluster.gateway(COUNTRY="Austria", COUNTRY_ISO="AT", CORS_ORIGINS="*")

    @classmethod
    def tearDownClass(cls):
        codes = cls.cluster.close()
        assert codes == [0], codes

    def test_publish_in_every_family_and_form(self):
        self.gw.subscribe("forms", "forms")
        for i, path in enumerate(("/publish", "/api/publish", "/api/v1/publish")):
            text = "message %d" % i
            status, a, raw = self.gw.post(path, {"client_id": "forms", "topic": "forms", "message": text, "timestamp": 123})
            self.assertEqual((status, a), (200, {"status": "published", "topic": "forms", "message_id": sha(text)}))
            self.assertNotIn(b": ", raw)
        status, a, _ = self.gw.post("/publish", {"topic": "nobody listens", "data": "short form"})
        self.assertEqual((status, a["message_id"]), (200, sha("short form")))
        data = os.urandom(1000)
        status, a, _ = self.gw.post("/publish", {"topic": "b", "data": base64.b64encode(data).decode(), "encoding": "base64"})
        self.assertEqual((status, a["message_id"]), (200, sha(data)))
        status, a, _ = self.gw.call("POST", "/publish?topic=b%20c", data, {"Content-Type": "application/octet-stream"})
        self.assertEqual((status, a["message_id"], a["topic"]), (200, sha(data), "b c"))
        status, a, _ = self.gw.post("/publish", b'{"topic":"t","data":"\\u00e9\\ud83d\\ude00\\n\\u0000"}')
        self.assertEqual((status, a["message_id"]), (200, sha("é😀\n\0")))
        status, a, _ = self.gw.post("/publish", b'{"topic":"t","data":"aGk\\/","encoding":"base64"}')
        self.assertEqual((status, a["message_id"]), (200, sha(base64.b64decode("aGk/"))))

    def test_message_length_makes_random_bytes(self):
        self.gw.subscribe("random", "random")
        ids = set()
        for n in (1, 1000, 1 << 20):
            for _ in range(2):
                status, a, _ = self.gw.post("/publish", {"client_id": "random", "topic": "random", "message_length": n})
                self.assertEqual(status, 200)
                ids.add(a["message_id"])
        self.assertGreaterEqual(len(ids), 5)

    def test_what_arrives_at_a_node_is_what_was_published(self):
        with WebSocket(self.gw, "/ws?client_id=arrives") as ws:
            self.gw.subscribe("arrives", "arrives")
            self.gw.publish("arrives", "héllo")
            m = ws.recv()
            self.assertEqual(base64.b64decode(m["message"]).decode(), "héllo")
            self.assertEqual((m["topic"], m["message_id"]), ("arrives", sha("héllo")))
            self.assertTrue(m["source_node_id"].startswith("12D3KooW"))

    def test_duplicates(self):
        first = self.gw.publish("dup", "same")
        again = self.gw.publish("dup", "same")
        other = self.gw.publish("dup 2", "same")
        self.assertEqual([a["status"] for a in (first, again, other)], ["published", "deduplicated", "published"])
        self.assertEqual(first["message_id"], again["message_id"])
        self.assertEqual(len(self.cluster.carried("dup")), 1)

    def test_errors(self):
        self.gw.subscribe("errors", "errors")
        ok = {"client_id": "errors", "topic": "errors", "message": "m"}
        json_cases = [
            (b"", 400, "invalid JSON"), (b"{", 400, "invalid JSON"), (b"[]", 400, "invalid JSON"), (b"null", 400, "invalid JSON"),
            (b"{\"a\":1}x", 400, "invalid JSON"), (b"\xff\xfe", 400, "invalid JSON"), (b"{\"topic\":\"\xff\"}", 400, "invalid JSON"),
            (b"{\"topic\":\"a\",\"topic\":\"b\",\"data\":\"x\"}", 400, "invalid JSON"),
            (b'{"topic":"t","data":"\\ud800"}', 400, "invalid JSON"), (b"{" * 100000, 400, "invalid JSON"),
            ({"client_id": "errors", "message": "m"}, 400, "missing topic"),
            ({"client_id": "errors", "topic": "", "message": "m"}, 400, "missing topic"),
            ({"client_id": "errors", "topic": 5, "message": "m"}, 400, "missing topic"),
            ({"client_id": "errors", "topic": 5, "message": "m"}, 400, "invalid JSON"),
            ({"client_id": 5, "topic": "errors", "message": "m"}, 400, "invalid JSON, missing client ID"),
            ({"client_id": ["errors"], "topic": "errors", "message": "m"}, 400, "client_id must be a string"),
            ({"topic": "errors", "message": "m"}, 400, "missing client ID"),
            ({"topic": "errors", "message_length": 5}, 400, "missing client ID"),
            ({"client_id": None, "topic": "errors", "message": "m"}, 400, "missing client ID"),
            ({}, 400, "missing client ID"), ({}, 400, "missing topic"),
            ({"data": "x"}, 400, "missing topic"),
            ({"client_id": "errors", "topic": "errors"}, 400, "either message or message_length must be provided"),
            ({"client_id": "errors", "topic": "errors", "message": ""}, 400, "either message or message_length must be provided"),
            ({"topic": "errors", "data": ""}, 400, "either message or message_length must be provided"),
            (dict(ok, message=5), 400, "invalid JSON: message must be a string"),
            (dict(ok, message={"a": 1}), 400, "message must be a string"),
            ({"client_id": "errors", "topic": "errors", "message_length": 0}, 400, "either message or message_length must be provided"),
            ({"client_id": "errors", "topic": "errors", "message_length": -1}, 400, "message_length"),
            ({"client_id": "errors", "topic": "errors", "message_length": 1.5}, 400, "invalid JSON: message_length"),
            ({"client_id": "errors", "topic": "errors", "message_length": "5"}, 400, "invalid JSON: message_length"),
            ({"client_id": "errors", "topic": "errors", "message_length": 1e300}, 413, "too large"),
            ({"client_id": "errors", "topic": "errors", "message_length": (32 << 20) + 1}, 413, "too large"),
            (dict(ok, encoding="base64", message="%%%%"), 400, "not base64"),
            (dict(ok, encoding="base64", message="abc"), 400, "not base64"),
            (dict(ok, encoding="rot13"), 400, "encoding"), (dict(ok, encoding=1), 400, "encoding"),
            (dict(ok, topic="t" * 257), 400, "topic too long"), (dict(ok, topic="a\nb"), 400, "control"),
            (dict(ok, client_id="c" * 257), 400, "client ID too long"),
            (dict(ok, topic="nobody subscribed to this"), 400, "topic not assigned"),
        ]
        for path in ("/publish", "/api/v1/publish"):
            for body, status, text in json_cases:
                with self.subTest(repr(body)[:80]):
                    got, a, raw = self.gw.post(path, body)
                    self.assertEqual(got, status, a)
                    self.assertIn(text, a["error"])
                    self.assertTrue(raw.startswith(b'{"error":"'))
        binary = {"Content-Type": "application/octet-stream"}
        for path, body, status, text in (("/publish", b"x", 400, "missing topic"), ("/publish?topic=", b"x", 400, "missing topic"),
                                         ("/publish?topic=t", b"", 400, "either message or message_length"),
                                         ("/publish?topic=" + "t" * 300, b"x", 400, "topic too long"),
                                         ("/publish?topic=t%0a", b"x", 400, "control"), ("/publish?topic=t%ff", b"x", 400, "UTF-8"),
                                         ("/publish?topic=t&client_id=%c0%80", b"x", 400, "client ID holds"),
                                         ("/publish?topic=none&client_id=errors", b"x", 400, "topic not assigned")):
            got, a, _ = self.gw.call("POST", path, body, binary)
            self.assertEqual(got, status)
            self.assertIn(text, a["error"])

    def test_names_that_are_not_text(self):
        status, a, _ = self.gw.get("/topics?client_id=%ff")
        self.assertEqual((status, a["error"]), (400, "client ID holds control characters or is not UTF-8"))

    def test_subscribe_errors(self):
        for body, text in (({"topic": "t"}, "missing client ID"), ({"client_id": "c"}, "missing topic"), (b"{", "invalid JSON"),
                           ({"client_id": "c", "topic": "t", "threshold": 0}, "threshold"),
                           ({"client_id": "c", "topic": "t", "threshold": 1.1}, "threshold"),
                           ({"client_id": "c", "topic": "t", "threshold": -1}, "threshold"),
                           ({"client_id": "c", "topic": "t", "threshold": "1"}, "invalid JSON: threshold"),
                           ({"client_id": "c", "topics": ["a", ""]}, "missing topic"),
                           *(({"client_id": "c", "topics": t}, "invalid JSON, missing topic") for t in ("a", 5, {"a": 1}, ["a", 5], True)),
                           ({"client_id": "c", "topic": "t", "topics": "a"}, "invalid JSON, missing topic"),
                           ({"client_id": "c", "topics": ["a", "b" * 257]}, "topic too long")):
            status, a, _ = self.gw.post("/subscribe", body)
            self.assertEqual(status, 400)
            self.assertIn(text, a["error"])

    def test_subscribe_answers_and_topics(self):
        status, a, raw = self.gw.post("/api/v1/subscribe", {"client_id": "subs", "topic": "one", "threshold": 0.5})
        self.assertEqual((status, raw), (200, b'{"status":"subscribed","client":"subs"}'))
        self.gw.subscribe("subs", "one", threshold=1.0)
        self.gw.post("/subscribe", {"client_id": "subs", "topics": ["two", "three"]})
        status, a, _ = self.gw.get("/api/topics?client_id=subs")
        self.assertEqual((a["client_id"], sorted(a["topics"]), a["count"]), ("subs", ["one", "three", "two"], 3))
        self.gw.post("/unsubscribe", {"client_id": "subs", "topic": "two"})
        self.assertEqual(self.gw.get("/topics?client_id=subs")[1]["count"], 2)
        self.assertEqual(self.gw.get("/topics?client_id=unknown")[1], {"client_id": "unknown", "topics": [], "count": 0})
        status, a, _ = self.gw.get("/topics")
        self.assertEqual((status, a["error"]), (400, "missing client ID"))

    def test_a_topic_that_only_a_node_knows_is_assigned(self):
        self.cluster.know("elsewhere")
        status, a, _ = self.gw.post("/publish", {"client_id": "x", "topic": "elsewhere", "message": "m"})
        self.assertEqual((status, a.get("status")), (200, "published"))

    def test_health_version_and_nodes(self):
        for path in ("/health", "/api/health", "/api/v1/health"):
            for port in (self.gw.http, self.gw.api):
                status, a, raw = self.gw.get(path, port)
                self.assertEqual(status, 200)
                self.assertIn(b'"status":"ok"', raw)
                self.assertEqual((a["country"], a["country_iso"]), ("Austria", "AT"))
                for k in ("cpu_used", "disk_used", "memory_used"):
                    self.assertRegex(a[k], r"^\d+\.\d\d$")
        for port in (self.gw.http, self.gw.api):
            self.assertEqual(sorted(self.gw.get("/api/v1/version", port)[1]), ["commit_hash", "version"])
        status, a, raw = self.gw.get("/api/v1/node-state", self.gw.api)
        self.assertIn(b'"pub_key"', raw)
        self.assertEqual((a["country"], a["country_iso"]), ("Austria", "AT"))
        self.cluster.wait_for_health(self.gw)
        a = self.gw.get("/api/v1/node-countries")[1]
        targets = {n.target for n in self.cluster.nodes}
        self.assertEqual((a["count"], set(a["countries"]), set(a["country_isos"].values())), (len(targets), targets, {self.cluster.country_iso()}))
        self.assertEqual(self.gw.get("/publish", self.gw.api)[0], 404)

    def test_session(self):
        self.cluster.wait_for_health(self.gw)
        body = {"client_id": "s", "topics": ["a"], "capabilities": ["publish"], "expose_amount": 1}
        status, a, _ = self.gw.post("/api/v1/session", body)
        self.assertEqual((status, len(a["nodes"])), (200, 1))
        self.assertIn((a["nodes"][0]["id"], a["nodes"][0]["address"]), {(n.peer_id, n.target) for n in self.cluster.nodes})
        self.assertRegex(a["expires_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertNotEqual(a["session_id"], self.gw.post("/session", body)[1]["session_id"])
        self.assertEqual(len(self.gw.post("/session", {"client_id": "s"})[1]["nodes"]), len(self.cluster.nodes))
        status, a, _ = self.gw.post("/session", {"topics": []})
        self.assertEqual((status, a["error"]), (400, "missing client ID"))
        for amount in ("x", -1, 1.5, 1 << 32, [], True):
            status, a, _ = self.gw.post("/session", {"client_id": "s", "expose_amount": amount})
            self.assertEqual((status, a["error"]), (400, "invalid JSON: expose_amount must be a whole number from 0 on"))
        for topics in ("a", 5, {}, ["a", 5]):
            status, a, _ = self.gw.post("/session", {"client_id": "s", "topics": topics})
            self.assertEqual((status, a["error"][:12]), (400, "invalid JSON"))
        for amount in (0, None, (1 << 32) - 1):
            self.assertEqual(len(self.gw.post("/session", {"client_id": "s", "expose_amount": amount})[1]["nodes"]), len(self.cluster.nodes))

    def test_tracer(self):
        n = len(self.cluster.nodes)
        with WebSocket(self.gw, "/ws?client_id=traced") as ws:
            self.gw.subscribe("traced", "traced")
            self.gw.until(lambda: all("traced" in n.subscribed() for n in self.cluster.nodes))
            mid = self.gw.publish("traced", "trace me")["message_id"]
            ws.recv()
            self.gw.until(lambda: len(self.gw.get("/tracer/stream?window=10s")[1]["messages"].get(mid, {}).get("peers_seen", {})) == n)
            a = self.gw.get("/tracer/stream?window=10s")[1]
            m = a["messages"][mid]
            self.assertEqual((m["topic"], m["published"], m["delivered"], m["duplicates"]), ("traced", True, 1, n - 1))
            self.assertEqual((a["active_nodes"], a["unhealthy_nodes"], a["window_seconds"]), (n, 0, 10))
            self.assertGreater(m["delay_sec"], 0)
            self.assertGreaterEqual(a["p95"], a["p75"])
            other = self.gw.publish("traced too", "trace me")  # one payload on two topics
            m = self.gw.get("/tracer/stream")[1]["messages"]
            self.assertEqual((other["message_id"], m[mid]["topic"], m[mid + " traced"]["topic"]), (mid, "traced too", "traced"))
            self.assertEqual((m[mid]["published"], m[mid + " traced"]["delivered"]), (True, 1))
            for window, seconds in (("1m30s", 90), ("1h0m0s", 3600), ("1.5h", 5400), ("250ms", 0.25), ("10", 10), ("2%C2%B5s", 2e-6), ("0", 0), (".5s", 0.5)):
                self.assertAlmostEqual(self.gw.get("/tracer/stream?window=" + window)[1]["window_seconds"], seconds, 9)
            for window in ("nonsense", "", "1m30", "s", "-1s", "1..5s", "1d", "1e3s", "0x10s", "inf", "9" * 40, "1s ", "99999999h"):
                status, a, _ = self.gw.get("/tracer/stream?window=" + window.replace(" ", "%20"))
                self.assertEqual((status, a.get("error", "")[:6]), (400, "window"), window)
            self.assertEqual(self.gw.get("/api/v1/tracer/reset")[0], 200)
            self.assertEqual(self.gw.get("/tracer/stream")[1]["messages"], {})

    def test_metrics(self):
        self.gw.subscribe("metered", "metered")
        before = self.gw.metric("optimum_p2p_messages_published_total")
        self.gw.post("/publish", {"client_id": "metered", "topic": "metered", "message": "count me"})
        self.assertEqual(self.gw.metric("optimum_p2p_messages_published_total"), before + 1)
        self.assertEqual(self.gw.metric("optimum_proxy_published_by_client_total", client_id="metered"), 1)
        self.assertEqual(self.gw.metric("nodes_active_total"), len(self.cluster.nodes))
        for port in (self.gw.http, self.gw.api):
            self.check_metrics(self.gw.get("/metrics", port)[1])

    def check_metrics(self, text):
        seen = set()
        for line in text.splitlines():
            if not line.startswith("#"):
                series = line.rsplit(" ", 1)[0]
                self.assertIn('cluster_id="test"', series)
                self.assertIn('protocol_type="', series)
                self.assertNotIn(series, seen)
                seen.add(series)
        families = re.findall(r"^# TYPE (\S+) ", text, re.M)
        self.assertEqual(len(families), len(set(families)))
        for name in ("message_size_bytes", "node_received_messages_total", "publish_error_total", "optimum_proxy_ws_clients_active",
                     "optimum_proxy_p2p_connections", "process_cpu_seconds_total"):
            self.assertIn(name, families)

    def test_status_of_clients_topics_and_nodes(self):
        gw = self.gw
        topic, client = "status \u2603 <b>", "status <i>"
        gw.subscribe(client, topic)
        gw.subscribe("status 2", topic)
        gw.post("/publish", {"client_id": client, "topic": topic, "message": "for the status"})
        for path in ("/status", "/api/status", "/api/v1/status"):
            code, s, _ = gw.get(path)
            self.assertEqual(code, 200)
            self.assertEqual([t["subscribers"] for t in s["topics"] if t["topic"] == topic], [2])
            self.assertEqual([(c["topics"], c["connections"], c["published"]) for c in s["clients"] if c["client_id"] == client], [(1, 0, 1)])
            self.assertGreaterEqual(s["client_count"], 2)
            self.assertGreaterEqual(s["subscription_count"], 2)
            self.assertGreater(s["counters"]["published"], 0)
            self.assertTrue(all(n["healthy"] and n["target"] for n in s["nodes"]) and s["nodes"])
        gw.until(lambda: sum(n["received"] for n in gw.get("/status")[1]["nodes"]) > 0)
        self.assertEqual(gw.post("/status", {})[0], 405)
        self.assertEqual(gw.get("/")[0], 200)

    def test_cors(self):
        import urllib.request
        req = urllib.request.Request(self.gw.url("/health"), headers={"Origin": "https://example.org"})
        with urllib.request.urlopen(req, timeout=5) as r:
            self.assertEqual(r.headers["access-control-allow-origin"], "*")


class Sizes(unittest.TestCase):
    def test_16_mib_by_post_arrive_and_the_limit_is_learned(self):
        with Cluster(nodes=1, max_bytes=16 << 20) as cluster:
            gw = cluster.gateway()
            gw.until(lambda: gw.post("/publish", {"topic": "x", "data": "y" * ((16 << 20) + 1)})[0] == 413)
            data = os.urandom(16 << 20)
            with WebSocket(gw, "/ws?client_id=big") as ws:
                gw.subscribe("big", "big")
                status, a, _ = gw.call("POST", "/publish?topic=big", data, {"Content-Type": "application/octet-stream"})
                self.assertEqual((status, a["message_id"]), (200, sha(data)))
                m = ws.recv()
                self.assertEqual((m["message_id"], sha(base64.b64decode(m["message"]))), (sha(data), sha(data)))
                text = json.dumps({"topic": "big", "data": base64.b64encode(data[::-1]).decode(), "encoding": "base64"}).encode()
                status, a, _ = gw.post("/publish", text)
                self.assertEqual((status, a["message_id"]), (200, sha(data[::-1])))
                self.assertEqual(ws.recv()["message_id"], sha(data[::-1]))
            status, a, _ = gw.call("POST", "/publish?topic=big", data + b"!", {"Content-Type": "application/octet-stream"})
            self.assertEqual(status, 413)
            self.assertIn("message too large: at most 16777216 bytes", a["error"])
            status, a, _ = gw.call("POST", "/publish?topic=big", b"x" * (60 << 20), {"Content-Type": "application/octet-stream"})
            self.assertEqual(status, 413)
            self.assertIn("too large", a["error"])

    def test_the_configured_limit(self):
        with Cluster(nodes=1) as cluster:
            gw = cluster.gateway(OPTIMUM_MAX_MSG_SIZE=1000)
            self.assertEqual(gw.post("/publish", {"topic": "t", "data": "x" * 1000})[0], 200)
            status, a, _ = gw.post("/publish", {"topic": "t", "data": "x" * 1001})
            self.assertEqual((status, a["error"]), (413, "message too large: at most 1000 bytes"))
            self.assertEqual(gw.post("/publish", {"topic": "t", "data": "x" * 200000})[0], 413)


if __name__ == "__main__":
    unittest.main()
