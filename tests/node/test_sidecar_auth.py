"""test_sidecar_auth.py: a sidecar that wants tokens: grpcio by metadata and by Request.jwt_token, and a gateway with a token of its own."""
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "gateway"))
import fake_lane  # noqa: E402
from harness import Gateway  # noqa: E402
from issuer import Authority, Issuer  # noqa: E402
from wire import Request, Response, TopicList, Void  # noqa: E402

PUBLISH, SUBSCRIBE = 1, 2
Code = grpc.StatusCode


def setUpModule():
    global folder, issuer, server, target, channel
    folder = tempfile.mkdtemp()
    authority = Authority(folder)
    issuer = Issuer(authority)
    env = dict(os.environ, AUTH0_DOMAIN=issuer.domain, AUTH0_AUDIENCE="api", AUTH_CA_FILE=authority.file)
    server = subprocess.Popen([os.environ["SIDECAR_SERVER"]], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    target = "127.0.0.1:" + server.stdout.readline().split()[1]
    channel = grpc.insecure_channel(target)
    end = time.monotonic() + 15
    while topics(issuer.token()) == Code.UNAVAILABLE:  # it has no keys yet
        assert time.monotonic() < end
        time.sleep(0.05)


def tearDownModule():
    channel.close()
    out, _ = server.communicate(timeout=20)
    issuer.stop()
    shutil.rmtree(folder)
    assert server.returncode == 0, out


def meta(token):
    return [("authorization", "Bearer " + token)] if token else []


def topics(token):
    """The list of topics, or the code of the refusal."""
    call = channel.unary_unary("/proto.CommandStream/ListTopics", request_serializer=Void.SerializeToString, response_deserializer=TopicList.FromString)
    try:
        return list(call(Void(), metadata=meta(token), timeout=20).topics)
    except grpc.RpcError as e:
        return e.code()


class Stream:
    def __init__(self, token=None, stays=False, lane=False):
        self.q = queue.Queue()
        more = ([("codecast-errors", "answer")] if stays else []) + ([("codecast-lane", "1")] if lane else [])
        self.call = channel.stream_stream("/proto.CommandStream/ListenCommands", request_serializer=Request.SerializeToString,
                                          response_deserializer=Response.FromString)(iter(self.q.get, None), metadata=meta(token) + more, timeout=30)

    def send(self, command, topic, data=b"", token=""):
        self.q.put(Request(command=command, topic=topic, data=data, jwt_token=token))

    def next(self, kind):
        while True:
            r = next(self.call)
            if r.command == kind:
                return json.loads(r.data)

    def code(self):
        """How it ended."""
        try:
            for _ in self.call:
                pass
        except grpc.RpcError:
            pass
        return self.call.code()

    def end(self):
        self.q.put(None)
        self.call.cancel()


class Sidecar(unittest.TestCase):
    def stream(self, *args, **more):
        s = Stream(*args, **more)
        self.addCleanup(s.end)
        return s

    def test_unary_calls(self):
        self.assertEqual(topics(None), Code.UNAUTHENTICATED)
        self.assertEqual(topics(issuer.token(alg="HS256")), Code.UNAUTHENTICATED)
        self.assertEqual(topics(issuer.token(is_active=False)), Code.PERMISSION_DENIED)
        self.assertIsInstance(topics(issuer.token()), list)
        health = channel.unary_unary("/proto.CommandStream/Health")
        self.assertGreater(len(health(b"", timeout=20)), 0)  # open

    def test_a_stream_with_metadata(self):
        self.assertEqual(self.stream(issuer.token(key=issuer.stranger)).code(), Code.UNAUTHENTICATED)
        s = self.stream(issuer.token())
        s.send(PUBLISH, "t", b"by metadata")
        self.assertEqual(s.next(0)["status"], "published")

    def test_tokens_in_requests(self):
        for command in (PUBLISH, SUBSCRIBE):
            for token in ("", "nonsense", issuer.token(exp=1)):
                s = self.stream()
                s.send(command, "t", b"x", token)
                self.assertEqual(s.code(), Code.UNAUTHENTICATED)
        s = self.stream()
        s.send(SUBSCRIBE, "jwt", token=issuer.token())
        s.send(PUBLISH, "jwt", b"the first token holds on")
        self.assertEqual(s.next(1)["topic"], "jwt")

    def test_who_reads_answers_stays(self):
        s = self.stream(stays=True)
        s.send(PUBLISH, "t", b"no token")
        answer = s.next(0)
        self.assertEqual((answer["status"], answer["code"], answer["error"], len(answer["message_id"])), ("error", 401, "missing token", 64))
        s.send(PUBLISH, "t", b"a token", issuer.token())
        self.assertEqual(s.next(0)["status"], "published")

    def test_limits(self):
        s = self.stream(issuer.token(sub="limits", max_publish_per_hour=2, max_message_size=1000), stays=True)
        for data, want in ((b"x" * 1001, 413), (b"1", None), (b"2", None), (b"3", 429)):
            s.send(PUBLISH, "t", data)
            self.assertEqual(s.next(0).get("code"), want)
        again = self.stream(issuer.token(sub="limits", max_publish_per_hour=2))
        again.send(PUBLISH, "t", b"4")
        self.assertEqual(again.next(0)["code"], 429)
        again.q.put(None)
        self.assertEqual(again.code(), Code.RESOURCE_EXHAUSTED)

    def lane(self, token):
        s = self.stream(token, stays=True, lane=True)
        offer = s.next(0)
        self.assertEqual(offer["status"], "lane")
        c = fake_lane.Client("127.0.0.1", offer["port"], bytes.fromhex(offer["secret"]))
        self.addCleanup(c.close)
        self.assertEqual(c.ready(), 65536)
        return s, c

    def test_lanes_have_the_limits_of_their_stream(self):
        s, c = self.lane(issuer.token(sub="lanes", max_publish_per_hour=2, max_message_size=1000))
        for i, (data, want) in enumerate(((b"x" * 1001, 413), (b"lane 1", 0), (b"lane 2", 0), (b"lane 3", 429))):
            c.send(i, "t", data)
            self.assertEqual(c.answer()[2], want)
        s.send(PUBLISH, "t", b"by the stream")
        self.assertEqual(s.next(0)["code"], 429)

    def test_no_lane_without_a_token_or_beyond_its_time(self):
        s = self.stream(stays=True, lane=True)
        s.send(PUBLISH, "t", b"a token that comes later", issuer.token())
        self.assertEqual(s.next(0)["status"], "published")
        s, c = self.lane(issuer.token(exp=int(time.time()) - 28))  # 30 s of leeway
        with self.assertRaises((EOFError, OSError)):  # no answer, so that the gateway sends it again
            for i in range(250):
                c.send(i, "t", b"late lane %d" % i)
                self.assertEqual(c.answer()[1], fake_lane.PUBLISHED)
                time.sleep(0.1)
        self.assertEqual(s.code(), Code.UNAUTHENTICATED)

    def test_a_stream_whose_token_runs_out(self):
        s = self.stream(issuer.token(exp=int(time.time()) - 28))  # 30 s of leeway
        s.send(SUBSCRIBE, "late")
        p = self.stream(issuer.token())
        codes = []
        reader = threading.Thread(target=lambda: codes.append(s.code()))  # the end comes behind what has not been read
        reader.start()
        for i in range(250):  # noticed with a delivery; which ones still arrive is a matter of when it subscribed
            if not reader.is_alive():
                break
            p.send(PUBLISH, "late", b"%d" % i)
            time.sleep(0.1)
        reader.join()
        self.assertEqual(codes, [Code.UNAUTHENTICATED])

    def test_a_gateway_brings_its_own(self):
        path = os.path.join(folder, "token")
        with Gateway([target], wait=False, P2P_TOKEN_FILE=path, LOG_LEVEL="error") as g:
            self.assertNotEqual(g.post("/publish", {"topic": "t", "data": "too early"})[0], 200)
            with open(path + ".new", "w") as f:
                f.write(issuer.token(sub="the gateway", max_publish_per_hour=1) + "\n")
            os.rename(path + ".new", path)
            g.until(lambda: g.get("/health")[0] == 200)
            answers = []
            g.until(lambda: answers.append(g.post("/publish", {"topic": "t", "data": "through"})[0]) or answers[-1] == 200)
            status, answer, _ = g.post("/publish", {"topic": "t", "data": "too much"})
            self.assertEqual(status, 429, answer)
            self.assertIn("publishes per hour", answer["error"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
