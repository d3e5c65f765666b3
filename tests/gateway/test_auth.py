"""test_auth.py: tokens, limits and TLS of the gateway, against an issuer on localhost; clients: curl, websockets, grpcio, urllib."""
import asyncio
import base64
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import grpc
import websockets

import wire
from fake_sidecar import free_port
from harness import FORM, Cluster, alone_only
from issuer import Authority, Issuer


def setUpModule():
    global folder, authority, issuer, cluster, gw
    folder = tempfile.mkdtemp()
    authority = Authority(folder)
    issuer = Issuer(authority)
    cluster = Cluster(2, ENABLE_AUTH="true", AUTH0_DOMAIN=issuer.domain, AUTH0_AUDIENCE="api", AUTH_CA_FILE=authority.file, LOG_LEVEL="error")
    gw = cluster.gateway(MAX_CLIENT_TOPICS="256")
    gw.until(lambda: gw.call("GET", "/topics?client_id=c", headers=bearer(issuer.token()))[0] == 200)


def tearDownModule():
    codes = cluster.close()
    issuer.stop()
    shutil.rmtree(folder)
    assert not any(codes), codes


def bearer(token):
    return {"Authorization": "Bearer " + token}


def publish(g, token, text, topic="t", **more):
    return g.call("POST", "/publish", json.dumps(dict({"topic": topic, "data": text}, **more)).encode(), bearer(token) if token else {})


def curl(g, path, *args):
    """Status, headers and body as curl has them."""
    out = subprocess.run(["curl", "-s", "-i", "--max-time", "20", *args, g.url(path)], capture_output=True)
    assert out.returncode == 0, out
    head, body = out.stdout.decode().split("\r\n\r\n", 1)
    lines = head.split("\r\n")
    return int(lines[0].split()[1]), {k.lower(): v for k, v in (l.split(": ", 1) for l in lines[1:])}, body


def ws(g, what, query="", **options):
    """Runs what(socket) over an open WebSocket of python3-websockets."""
    async def run():
        async with websockets.connect("%s://localhost:%d/ws%s" % ("wss" if options.get("ssl") else "ws", g.http, query), **options) as s:
            return await asyncio.wait_for(what(s), 20)
    return asyncio.run(run())


def subject(port, alpn=None):
    """The common name of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=authority.file)
    context.set_alpn_protocols(alpn or ["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s, context.wrap_socket(s, server_hostname="localhost") as t:
        return dict(part[0] for part in t.getpeercert()["subject"])["commonName"]


def wait_for(g, topic):
    """Every node that the gateway works with is subscribed."""
    g.until(lambda: all(topic in n.subscribed() for n in (cluster.nodes if FORM == "alone" else [g.node])))


class Tokens(unittest.TestCase):
    def test_which_paths_are_open(self):
        for prefix in ("", "/api", "/api/v1"):
            for path, status in (("/health", 200), ("/version", 200), ("/metrics", 200), ("/topics?client_id=c", 401), ("/ws", 401), ("/node-state", 401),
                                 ("/node-countries", 401), ("/tracer/stream", 401), ("/tracer/reset", 401), ("/nothing", 404)):
                self.assertEqual(gw.get(prefix + path)[0], status, prefix + path)
            for path in ("/publish", "/subscribe", "/unsubscribe", "/session"):
                self.assertEqual(gw.call("POST", prefix + path, b"{}")[0], 401, prefix + path)
        for path, status in (("/health", 200), ("/metrics", 200), ("/node-state", 401)) if FORM == "alone" else ():  # else it is the node's
            self.assertEqual(gw.get(path, port=gw.api)[0], status, path)

    def test_answers_of_curl(self):
        status, head, body = curl(gw, "/publish", "-d", '{"topic":"t","data":"x"}')
        self.assertEqual((status, body, head["www-authenticate"]), (401, '{"error":"missing token"}', 'Bearer realm="codecast"'))
        status, head, body = curl(gw, "/publish", "-d", '{"topic":"t","data":"x"}', "-H", "Authorization: Bearer nonsense")
        self.assertEqual((status, body), (401, '{"error":"malformed token"}'))
        self.assertIn('error="invalid_token"', head["www-authenticate"])
        status, _, body = curl(gw, "/publish", "-d", '{"topic":"t","data":"curl"}', "-H", "authorization: bearer " + issuer.token())
        self.assertEqual((status, json.loads(body)["status"]), (200, "published"))

    def test_tokens_that_are_no_good(self):
        now = int(time.time())
        for name, token, words in (
                ("none", issuer.token(alg="none"), "RS256"), ("HS256 with the public key", issuer.token(alg="HS256"), "RS256"),
                ("RS512", issuer.token(alg="RS512"), "RS256"), ("no kid", issuer.token(header={"kid": None}), "does not name its key"),
                ("another key", issuer.token(key=issuer.stranger), "wrong signature"), ("crit", issuer.token(header={"crit": ["x"]}), "extensions"),
                ("expired", issuer.token(exp=now - 60), "expired"), ("no exp", issuer.token(exp=None), "claims"),
                ("not yet", issuer.token(nbf=now + 60), "not valid yet"), ("issuer", issuer.token(iss="https://other/"), "another issuer"),
                ("audience", issuer.token(aud="apis"), "another audience"), ("nobody", issuer.token(sub=None), "names no client"),
                ("a limit in words", issuer.token(daily_quota="much"), "claims"), ("tampered", issuer.token()[:-8] + "AAAAAAAA", "wrong signature"),
                ("long", "a" * 9000, "too long"), ("empty", "", "missing")):
            with self.subTest(name):
                status, answer, _ = publish(gw, token or " ", name)
                self.assertEqual(status, 401, answer)
                self.assertIn(words, answer["error"])
        for scheme in ("Basic ", "Bearer", ""):
            self.assertEqual(gw.call("GET", "/topics?client_id=c", headers={"Authorization": scheme + issuer.token()})[0], 401, scheme)
        self.assertEqual(gw.call("GET", "/topics?client_id=c&token=" + issuer.token())[0], 401)  # queries are for WebSockets
        self.assertGreaterEqual(gw.metric("codecast_auth_tokens_refused_total", reason="algorithm"), 3)

    def test_inactive_clients_are_forbidden(self):
        for value in (False, "false", 0):
            status, answer, _ = publish(gw, issuer.token(is_active=value), "x")
            self.assertEqual((status, answer), (403, {"error": "client is not active"}))
        self.assertEqual(publish(gw, issuer.token(is_active="true"), "active")[0], 200)
        with self.assertRaises(grpc.RpcError) as e:
            gw.unary("ProxyStream", "Publish", wire.PublishRequest(topic="t", message=b"x"), wire.PublishResponse,
                     metadata=[("authorization", "Bearer " + issuer.token(is_active=False))])
        self.assertEqual(e.exception.code(), grpc.StatusCode.PERMISSION_DENIED)

    def test_a_good_token_is_remembered(self):
        before, token = gw.metric("codecast_auth_tokens_remembered_total"), issuer.token(sub="again")
        for _ in range(5):
            self.assertEqual(gw.call("GET", "/topics?client_id=c", headers=bearer(token))[0], 200)
        self.assertEqual(gw.metric("codecast_auth_tokens_remembered_total"), before + 4)


class WebSockets(unittest.TestCase):
    def test_every_way_to_bring_a_token(self):
        token = issuer.token(sub="walter")

        async def one(s):
            await s.send(json.dumps({"type": "subscribe", "topic": "ways", "id": 1}))
            answer = json.loads(await s.recv())
            self.assertEqual(answer["status"], "subscribed")
            return s.subprotocol
        self.assertIsNone(ws(gw, one, "?client_id=w&token=" + token))
        self.assertIsNone(ws(gw, one, "?client_id=w", extra_headers=bearer(token)))
        self.assertEqual(ws(gw, one, subprotocols=["bearer", token]), "bearer")

        async def named_later(s):
            await s.send('{"type":"subscribe","topic":"later","client_id":"late","id":1}')
            return json.loads(await s.recv())["status"]
        self.assertEqual(ws(gw, named_later, "?token=" + token), "subscribed")
        self.assertEqual(gw.call("GET", "/topics?client_id=late", headers=bearer(token))[1]["topics"], ["later"])
        for query, more in (("", {}), ("?token=x", {}), ("?client_id=w", {"subprotocols": ["bearer", "x"]}), ("", {"subprotocols": ["bearer"]}),
                            ("?token=" + token, {"extra_headers": {"Authorization": "Bearer x"}})):
            with self.assertRaises(websockets.InvalidStatusCode) as e:
                ws(gw, one, query, **more)
            self.assertEqual(e.exception.status_code, 401)

    def test_all_ids_of_a_token_have_one_bound_of_topics(self):
        token, names = issuer.token(sub="hoarder"), ["hoard%d" % i for i in range(257)]

        def change(verb, client, *topics):
            return curl(gw, "/" + verb, "-d", json.dumps({"client_id": client, "topics": topics}), "-H", "Authorization: Bearer " + token)
        self.assertEqual([change("subscribe", client, *names[i::3][:85])[0] for i, client in enumerate(("a", "b", "hoarder"))], [200] * 3)
        self.assertEqual(change("subscribe", "c", *names[:255])[0], 200)  # no more topics by that
        status, head, body = change("subscribe", "d", *names[255:])
        self.assertEqual((status, json.loads(body)), (409, {"error": "at most 256 topics for one client (MAX_CLIENT_TOPICS)"}))
        self.assertNotIn("retry-after", head)
        call = gw.channel().unary_unary("/proto.ProxyStream/Subscribe")
        with self.assertRaises(grpc.RpcError) as e:
            call(wire.SubscribeRequest(client_id="e", topic=names[256]).SerializeToString(), metadata=(("authorization", "Bearer " + token),), timeout=20)
        self.assertEqual((e.exception.code(), e.exception.details()),
                         (grpc.StatusCode.RESOURCE_EXHAUSTED, "at most 256 topics for one client (MAX_CLIENT_TOPICS)"))
        self.assertEqual(gw.call("POST", "/subscribe", json.dumps({"client_id": "d", "topic": names[256]}).encode(), bearer(issuer.token(sub="modest")))[0], 200)
        for client in ("a", "b", "c", "d", "hoarder"):
            self.assertEqual(change("unsubscribe", client, *names)[0], 200)
        self.assertEqual(change("subscribe", "d", names[256])[0], 200)

    def test_names_belong_to_their_token(self):
        """Two tokens use the same client id: each has its own subscriptions."""
        mine, theirs = issuer.token(sub="mine"), issuer.token(sub="theirs")
        answer = gw.call("POST", "/subscribe", b'{"client_id":"same","topic":"own"}', bearer(mine))[1]
        self.assertEqual(answer, {"status": "subscribed", "client": "same"})
        topics = [gw.call("GET", "/topics?client_id=same", headers=bearer(t))[1]["topics"] for t in (mine, theirs)]
        self.assertEqual(topics, [["own"], []])
        gw.call("POST", "/subscribe", b'{"client_id":"mine","topic":"own2"}', bearer(mine))

        async def both(s):
            async with websockets.connect("ws://localhost:%d/ws?client_id=same&token=%s" % (gw.http, theirs)) as other:
                async with websockets.connect("ws://localhost:%d/ws?token=%s" % (gw.http, mine)) as unnamed:  # then the token's name
                    await asyncio.get_running_loop().run_in_executor(None, publish, gw, mine, "to one", "own")
                    await asyncio.get_running_loop().run_in_executor(None, publish, gw, mine, "to the other", "own2")
                    got = [json.loads(await s.recv())["topic"], json.loads(await unnamed.recv())["topic"]]
                    with self.assertRaises(asyncio.TimeoutError):
                        await asyncio.wait_for(other.recv(), 0.2)
                    return got
        wait_for(gw, "own2")
        self.assertEqual(ws(gw, both, "?client_id=same&token=" + mine), ["own", "own2"])

    @alone_only
    def test_a_token_that_runs_out_ends_its_socket(self):
        """30 s of leeway are in it."""
        token = issuer.token(sub="short", exp=int(time.time()) - 28)

        async def until_closed(s):
            while True:
                await s.send('{"type":"ping","id":1}')
                await s.recv()
                await asyncio.sleep(0.1)
        with self.assertRaises(websockets.ConnectionClosed) as e:
            ws(gw, until_closed, "?token=" + token)
        self.assertEqual((e.exception.code, e.exception.reason), (1008, "token expired"))


class Grpc(unittest.TestCase):
    def test_metadata(self):
        request = wire.PublishRequest(client_id="g", topic="t", message=b"by gRPC")
        for metadata, words in (([], "missing token"), ([("authorization", "Bearer x")], "malformed"),
                                ([("authorization", "Bearer " + issuer.token(alg="none"))], "RS256")):
            for method in ("Publish", "Subscribe", "ExposeNodes"):
                with self.assertRaises(grpc.RpcError) as e:
                    gw.unary("ProxyStream", method, request, wire.PublishResponse, metadata=metadata)
                self.assertEqual(e.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
                self.assertIn(words, e.exception.details())
        answer = gw.unary("ProxyStream", "Publish", request, wire.PublishResponse, metadata=[("authorization", "Bearer " + issuer.token())])
        self.assertEqual((answer.status, answer.client_id), ("published", "g"))

    def test_stream(self):
        with self.assertRaises(grpc.RpcError) as e:
            list(self.stream(gw, [], None))
        self.assertEqual(e.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
        token, done = issuer.token(sub="streamer"), threading.Event()
        got = self.stream(gw, [wire.ProxyMessage(client_id="s", type="subscribe", topic="st")], token, done)
        wait_for(gw, "st")
        publish(gw, token, "to the stream", "st")
        self.assertEqual(next(got).message, b"to the stream")
        done.set()

    def test_limits_on_a_stream(self):
        token = issuer.token(sub="stream limits", max_publish_per_hour=1)
        got = self.stream(gw, [wire.ProxyMessage(client_id="s", type="publish", topic="t", message=b"limit %d" % i) for i in range(2)], token)
        answer = next(got)
        self.assertEqual((answer.type, answer.client_id), ("error", "s"))
        self.assertIn(b"at most 1 publishes per hour", answer.message)

    @staticmethod
    def stream(g, messages, token, done=None):
        def requests():
            yield from messages
            if done:
                done.wait(20)
        call = g.channel().stream_stream("/proto.ProxyStream/ClientStream", request_serializer=wire.ProxyMessage.SerializeToString,
                                         response_deserializer=wire.ProxyMessage.FromString)
        return call(requests(), timeout=20, metadata=[("authorization", "Bearer " + token)] if token else [])


class Limits(unittest.TestCase):
    def test_per_hour_per_second_per_day_and_size(self):
        for claims, sizes, want in (({"max_publish_per_hour": 2}, (1, 1, 1), (200, 200, 429)), ({"max_publish_per_sec": 0.01}, (1, 1), (200, 429)),
                                    ({"max_publish_per_sec": "0"}, (1,), (429,)), ({"daily_quota": 100}, (60, 60, 40, 1), (200, 429, 200, 429)),
                                    ({"daily_quota": 100}, (101,), (413,)), ({"max_message_size": 50}, (51, 50), (413, 200))):
            token = issuer.token(sub="limits %s" % claims, **claims)
            for i, (size, status) in enumerate(zip(sizes, want)):
                got, head, body = curl(gw, "/publish", "-d", json.dumps({"topic": "t", "data": ("%s%d" % (claims, i)).ljust(200)[:size]}),
                                       "-H", "Authorization: Bearer " + token)
                self.assertEqual(got, status, (claims, i, body))
                self.assertEqual(int(head.get("retry-after", 0)) > 0, status == 429, head)
                if status != 200:
                    self.assertIn("at most", json.loads(body)["error"])

    def test_defaults_where_claims_are_absent(self):
        token = issuer.token(sub="defaults", max_publish_per_sec=None, max_publish_per_hour=None)
        self.assertEqual([publish(gw, token, "d%d" % i)[0] for i in range(3)], [200, 200, 429])
        token = issuer.token(sub="defaults of size")
        self.assertEqual(publish(gw, token, "x" * (2 << 20))[0], 200)
        self.assertEqual(publish(gw, token, "x" * ((2 << 20) + 1))[0], 413)

    def test_limits_are_the_tokens_client_and_not_the_requests(self):
        token = issuer.token(sub="x", client_id="by claim", max_publish_per_hour=2)
        other = issuer.token(sub="y", client_id="by claim", max_publish_per_hour=2)
        statuses = [publish(gw, t, "q%d" % i, client_id="c%d" % i)[0] for i, t in enumerate((token, other, token))]
        self.assertEqual(statuses, [400, 400, 429])  # 400: nobody subscribed to the topic; it counts all the same

    def test_grpc_and_websocket(self):
        token = issuer.token(sub="everywhere", max_publish_per_hour=1)
        self.assertEqual(publish(gw, token, "first")[0], 200)
        with self.assertRaises(grpc.RpcError) as e:
            gw.unary("ProxyStream", "Publish", wire.PublishRequest(topic="t", message=b"second"), wire.PublishResponse,
                     metadata=[("authorization", "Bearer " + token)])
        self.assertEqual(e.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIn("hourly limit exceeded", e.exception.details())

        async def third(s):
            await s.send('{"type":"publish","topic":"t","message":"third","id":3}')
            return json.loads(await s.recv())
        answer = ws(gw, third, "?token=" + token)
        self.assertEqual((answer["type"], answer["id"]), ("error", 3))
        self.assertIn("hourly limit exceeded", answer["error"])
        self.assertGreaterEqual(gw.metric("codecast_auth_limited_total", limit="hour"), 2)

    @alone_only
    def test_limits_without_tokens(self):
        """Of the client id, else of the address."""
        g = cluster.gateway(ENABLE_AUTH="false", LIMIT_PUBLISH_PER_HOUR="2", LIMIT_MESSAGE_BYTES="100")
        statuses = [publish(g, None, "w%d" % i)[0] for i in range(3)]
        self.assertEqual(statuses, [200, 200, 429])
        self.assertEqual(publish(g, None, "x" * 101)[0], 413)
        g.subscribe("c", "t")
        self.assertEqual([publish(g, None, "v%d" % i, client_id="c")[0] for i in range(3)], [200, 200, 429])
        self.assertEqual(g.metric("codecast_auth_metered_clients"), 2)


class Keys(unittest.TestCase):
    def test_rotation_asks_once_and_not_for_every_name(self):
        issuer.add("two")
        token, hits = issuer.token(kid="two"), issuer.hits
        statuses = []
        gw.until(lambda: statuses.append(publish(gw, token, "rotated")[0]) or statuses[-1] == 200)
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertEqual(issuer.hits, hits + 1)
        self.assertEqual(publish(gw, issuer.token(), "the old key holds")[0], 200)
        for i in range(20):
            status, answer, _ = publish(gw, issuer.token(kid="made up %d" % i), "x")
            self.assertEqual((status, answer["error"]), (401, "token is signed with a key that the issuer does not have"))
        self.assertEqual(issuer.hits, hits + 1)
        self.assertEqual(gw.metric("codecast_auth_keys"), 2)

    @alone_only
    def test_an_issuer_that_is_away_or_talks_nonsense(self):
        own = Issuer(authority)
        own.stop()
        g = cluster.gateway(AUTH0_DOMAIN="https://%s/" % own.domain, AUTH_KEYS_REFRESH="1", METRICS_AUTH="true")
        status, head, body = curl(g, "/topics?client_id=c", "-H", "Authorization: Bearer " + own.token())
        self.assertEqual((status, int(head["retry-after"]) > 0), (503, True), body)
        own.start()
        asks = lambda: g.call("GET", "/topics?client_id=c", headers=bearer(own.token()))[0]
        g.until(lambda: asks() == 200)

        def failed():
            status, text, _ = g.call("GET", "/metrics", headers=bearer(own.token()))
            self.assertEqual(status, 200)
            return [float(l.split()[-1]) for l in text.splitlines() if l.startswith("codecast_auth_fetches_failed_total{")][0]
        self.assertEqual(g.get("/metrics")[0], 401)
        before = failed()
        for text in (b" " * 300000,):
            own.text = text
            g.until(lambda: failed() > before)
            before = failed()
            self.assertEqual(asks(), 200)
        own.stop()
        g.until(lambda: failed() > before)
        self.assertEqual(asks(), 200)  # the last good keys hold
        own.text = None
        own.keys = {}
        own.add("three")
        own.start()
        g.until(lambda: g.call("GET", "/topics?client_id=c", headers=bearer(own.token(kid="three")))[0] == 200)
        self.assertEqual(g.call("GET", "/topics?client_id=c", headers=bearer(own.token(key=own.stranger)))[0], 401)
        own.stop()

    @alone_only
    def test_an_issuer_whom_nobody_vouches_for(self):
        g = cluster.gateway(AUTH_CA_FILE="")
        g.until(lambda: g.metric("codecast_auth_fetches_failed_total") > 0)
        self.assertEqual(publish(g, issuer.token(), "x")[0], 503)


class Cors(unittest.TestCase):
    @alone_only
    def test_a_page_of_a_named_origin(self):
        g = cluster.gateway(CORS_ORIGINS="https://page.example, http://localhost:3000")
        status, head, _ = curl(g, "/publish", "-X", "OPTIONS", "-H", "Origin: https://page.example", "-H", "Access-Control-Request-Method: POST")
        self.assertEqual((status, head["access-control-allow-origin"]), (200, "https://page.example"))
        self.assertIn("authorization", head["access-control-allow-headers"])
        status, head, _ = curl(g, "/publish", "-d", "{}", "-H", "Origin: http://localhost:3000")
        self.assertEqual((status, head["access-control-allow-origin"]), (401, "http://localhost:3000"))
        self.assertIn("retry-after", head["access-control-expose-headers"])
        self.assertNotIn("access-control-allow-origin", curl(g, "/health", "-H", "Origin: https://page.example.evil")[1])


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cert, cls.key = authority.files("gateway", authority.pair("first"))
        cls.gw = cluster.gateway(ca=authority.file, PROXY_TLS_CERT=cls.cert, PROXY_TLS_KEY=cls.key, LIMIT_PUBLISH_PER_SEC="2000",
                                 LIMIT_PUBLISH_PER_HOUR="100000", LIMIT_MESSAGE_BYTES="1e7", LIMIT_DAILY_BYTES="1e9")
        cls.ssl = ssl.create_default_context(cafile=authority.file)

    def test_http_by_curl(self):
        token = issuer.token(sub="tls", max_publish_per_sec=None, max_publish_per_hour=None)
        for more in ([], ["--http2"], ["--tlsv1.3"], ["--tls-max", "1.2"]):
            status, _, body = curl(self.gw, "/publish", "--cacert", authority.file, "-H", "Authorization: Bearer " + token, "-d",
                                   json.dumps({"topic": "t", "data": "tls %s" % more}), *more)
            self.assertEqual((status, json.loads(body)["status"]), (200, "published"))
        self.assertEqual(curl(self.gw, "/health", "--cacert", authority.file)[0], 200)
        self.assertNotEqual(subprocess.run(["curl", "-s", "--max-time", "10", self.gw.url("/health")]).returncode, 0)  # unknown authority
        for scheme in ("http", "https"):  # plain words on the port of TLS; and TLS on the port for monitoring, which is plain
            port = self.gw.http if scheme == "http" else self.gw.api
            out = subprocess.run(["curl", "-sk", "--max-time", "10", "%s://127.0.0.1:%d/health" % (scheme, port)], capture_output=True)
            self.assertNotEqual(out.returncode, 0)
        self.assertEqual(self.gw.get("/health", port=self.gw.api)[0], 200)

    def test_large_bodies(self):
        token = issuer.token(sub="tls large", max_publish_per_sec=None, max_publish_per_hour=None, max_message_size=5 << 20)
        self.assertEqual(publish(self.gw, token, "x" * (4 << 20))[0], 200)
        self.assertEqual(publish(self.gw, token, "x" * (6 << 20))[0], 413)
        status, answer, _ = publish(self.gw, token, "x" * (50 << 20))  # more than any message: refused before it is read
        self.assertEqual(status, 413, answer)

    def test_only_http11_is_offered(self):
        self.assertEqual(subject(self.gw.http, ["http/1.1"])[:1] + subject(self.gw.grpc, ["h2"])[:1], subject(self.gw.http)[:1] * 2)
        with self.assertRaises(ssl.SSLError):
            subject(self.gw.http, ["h2"])

    def test_websocket(self):
        token = issuer.token(sub="tls ws", max_publish_per_sec=None, max_publish_per_hour=None, max_message_size=2 << 20)

        async def talk(s):
            await s.send('{"type":"subscribe","topic":"tls","id":1}')
            self.assertEqual(json.loads(await s.recv())["status"], "subscribed")
            await asyncio.get_running_loop().run_in_executor(None, wait_for, self.gw, "tls")
            texts = ["%d " % i * (300000 if i % 5 == 0 else 10) for i in range(25)]
            for text in texts:
                await s.send(json.dumps({"type": "publish", "topic": "tls", "message": text}))
            got = {base64.b64decode(json.loads(await s.recv())["message"]).decode() for _ in texts}
            self.assertEqual(got, set(texts))
            await (await s.ping())
        ws(self.gw, talk, "?token=" + token, ssl=self.ssl, max_size=None)

    def test_many_websockets_on_whichever_thread(self):
        token = issuer.token(sub="tls many")

        async def run():
            async def one(i):
                url = "wss://localhost:%d/ws?token=%s" % (self.gw.http, token)
                async with websockets.connect(url, ssl=self.ssl, open_timeout=60) as s:
                    await s.send(json.dumps({"type": "subscribe", "topic": "many %d" % (i % 4), "id": i}))
                    answers.append(json.loads(await s.recv()))
                    if len(answers) == 80:
                        all_in.set()
                    await all_in.wait()
                    await (await s.ping())

            answers, all_in = [], asyncio.Event()
            await asyncio.wait_for(asyncio.gather(*(one(i) for i in range(80))), 60)
            return sorted((a["id"], a["status"]) for a in answers)
        self.assertEqual(asyncio.run(run()), [(i, "subscribed") for i in range(80)])
        if len(os.sched_getaffinity(0)) == 2:
            moved = re.search(r"^codecast_gateway_ws_moved_total\{.*\} (\d+)$", self.gw.get("/metrics", port=self.gw.api)[1], re.M)
            self.assertGreater(int(moved[1]), 0)

    def test_grpc(self):
        metadata = [("authorization", "Bearer " + issuer.token(sub="tls grpc"))]
        answer = self.gw.unary("ProxyStream", "Publish", wire.PublishRequest(topic="t", message=b"g" * (1 << 20)), wire.PublishResponse, metadata=metadata)
        self.assertEqual(answer.status, "published")
        with grpc.insecure_channel("127.0.0.1:%d" % self.gw.grpc) as c, self.assertRaises(grpc.RpcError):
            c.unary_unary("/proto.ProxyStream/ExposeNodes")(b"", timeout=5, metadata=metadata)

    def test_a_new_pair_is_taken_and_a_wrong_one_is_not(self):
        token = issuer.token(sub="tls reload")

        async def across(s):
            await s.send('{"type":"subscribe","topic":"across","id":1}')
            await s.recv()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, wait_for, self.gw, "across")
            await loop.run_in_executor(None, self.reload)
            self.assertEqual((await loop.run_in_executor(None, publish, self.gw, token, "still here", "across"))[0], 200)
            self.assertEqual(json.loads(await s.recv())["topic"], "across")
        got = Grpc.stream(self.gw, [wire.ProxyMessage(client_id="s", type="subscribe", topic="across")], token, threading.Event())
        ws(self.gw, across, "?token=" + token, ssl=self.ssl)
        self.assertEqual(next(got).message, b"still here")

    def reload(self):
        refused = self.gw.metric("codecast_tls_reloads_refused_total")
        authority.files("gateway", authority.pair("second"))
        self.gw.until(lambda: subject(self.gw.http) == subject(self.gw.grpc) == "second")
        pair = authority.pair("third")
        for wrong in ((pair[0], authority.pair("x")[1]), (b"nothing", pair[1])):
            authority.files("gateway", wrong)
            self.gw.until(lambda: self.gw.metric("codecast_tls_reloads_refused_total") > refused)
            refused = self.gw.metric("codecast_tls_reloads_refused_total")
            self.assertEqual((subject(self.gw.http), subject(self.gw.grpc)), ("second", "second"))
        os.unlink(self.key)
        self.gw.until(lambda: self.gw.metric("codecast_tls_reloads_refused_total") > refused)
        authority.files("gateway", pair)
        self.gw.until(lambda: subject(self.gw.http) == subject(self.gw.grpc) == "third")
        self.assertGreater(self.gw.metric("codecast_tls_certificate_end_seconds"), time.time())

    @alone_only
    def test_wrong_files_at_the_start(self):
        good = authority.files("good", authority.pair("good"))
        other = authority.files("other", authority.pair("other"))
        locked = os.path.join(folder, "locked.key")
        subprocess.run(["openssl", "pkey", "-in", good[1], "-out", locked, "-aes128", "-passout", "pass:x"], check=True)
        for cert, key, words in (("/nonexistent", good[1], "PROXY_TLS_CERT=/nonexistent: cannot be read"), (good[0], "/nonexistent", "PROXY_TLS_KEY=/nonexistent"),
                                 (good[0], other[1], "the key is not that of the certificate"), (good[1], good[1], "no certificate in PEM"),
                                 (good[0], good[0], "no private key in PEM"), (good[0], locked, "without a passphrase"), (folder, good[1], "cannot be read")):
            env = dict(self.gw.env, PROXY_TLS_CERT=cert, PROXY_TLS_KEY=key, PROXY_PORT="127.0.0.1:%d" % free_port(),
                       PROXY_GRPC_PORT="127.0.0.1:%d" % free_port(), API_PORT="127.0.0.1:%d" % free_port())
            out = subprocess.run([os.environ["GATEWAY"]], env=env, capture_output=True, text=True, timeout=20)
            self.assertEqual((out.returncode, out.stderr.count("fatal")), (1, 1), out.stderr)
            self.assertIn(words, out.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
