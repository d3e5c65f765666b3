"""test_http.py: the HTTP side, by raw sockets and curl."""
import json
import os
import random
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from harness import Answer, Server, more, request


class Plain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        code, took = cls.server.stop()
        assert code == 0 and took < 3, (code, took)

    def talk(self, data, method="GET"):
        with self.server.connect() as s:
            s.sendall(data)
            return Answer(s, method)

    def test_prefixes_reach_the_same_handler(self):
        for path in ("/hello", "/api/hello", "/api/v1/hello", "/hello/"):
            a = self.server.get(path)
            self.assertEqual((a.status, json.loads(a.body)["hello"]), (200, "world"))
            self.assertEqual(a.headers["content-type"], "application/json")
            self.assertNotIn(b": ", a.body)
        self.assertEqual(self.server.get("/api/v2/hello").status, 404)
        self.assertEqual(self.server.get("/api/stats").status, 404)

    def test_log_level_is_set_from_this_machine_alone(self):
        other = Server(any=1)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                try:
                    s.connect(("192.0.2.1", 9))  # sends nothing: which address would be ours?
                    own = s.getsockname()[0]
                except OSError:
                    own = None
            for host, status in (("127.0.0.1", 200), (own, 403)):
                if host:
                    with socket.create_connection((host, other.port), 15) as s:
                        s.sendall(request("PUT", "/debug/log-level", body=b"warn"))
                        self.assertEqual(Answer(s).status, status)
        finally:
            other.stop()

    def test_query_is_decoded(self):
        a = self.server.get("/hello?x=1&na%6de=a%20b%2Bc+d%C3%A9&name=second")
        self.assertEqual(json.loads(a.body)["hello"], "a b+c dé")
        for bad in ("%", "%2", "%zz", "%00"):
            self.assertEqual(json.loads(self.server.get("/hello?name=" + bad).body)["hello"], "world")

    def test_unknown_path_and_wrong_method(self):
        a = self.server.get("/nothing")
        self.assertEqual((a.status, a.error()), (404, "no such path"))
        a = self.talk(request("DELETE", "/hello"))
        self.assertEqual((a.status, a.headers["allow"]), (405, "GET, HEAD"))
        self.assertIn("GET", a.error())
        self.assertEqual(self.talk(request("GET", "/echo")).status, 405)

    def test_head_has_length_and_no_body(self):
        with self.server.connect() as s:
            s.sendall(request("HEAD", "/hello") + request("GET", "/hello"))
            a = Answer(s, "HEAD")
            self.assertEqual(a.status, 200)
            self.assertGreater(int(a.headers["content-length"]), 10)
            self.assertTrue(a.rest.startswith(b"HTTP/1.1 200") or not a.rest)

    def test_pipelined_requests_are_answered_in_order(self):
        with self.server.connect() as s:
            n = 50
            s.sendall(b"".join(request("GET", "/hello?name=%d" % i) for i in range(n)))
            data = b""
            while data.count(b'"hello"') < n:
                data += s.recv(65536)
        self.assertEqual([json.loads(b'{"hello":' + p.split(b"}")[0] + b"}")["hello"] for p in data.split(b'{"hello":')[1:]],
                         [str(i) for i in range(n)])

    def test_body_echo_with_length_and_chunked(self):
        body = os.urandom(300000)
        self.assertEqual(self.talk(request("POST", "/echo", {}, body)).body, body)
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (body[:1], body[1:70000], body[70000:])) + b"0\r\n\r\n"
        a = self.talk(request("POST", "/echo", {"Transfer-Encoding": "chunked"}) + chunked)
        self.assertEqual(a.body, body)

    def test_body_byte_by_byte(self):
        with self.server.connect() as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for b in request("POST", "/echo", {}, b"slowly"):
                s.sendall(bytes([b]))
                time.sleep(0.001)
            self.assertEqual(Answer(s).body, b"slowly")

    def test_oversize_body_is_413_even_when_all_of_it_is_sent_first(self):
        big = b"x" * (3 << 20)
        for data in (request("POST", "/echo", {}, big),
                     request("POST", "/echo", {"Transfer-Encoding": "chunked"}) + b"%x\r\n" % len(big) + big + b"\r\n0\r\n\r\n"):
            for _ in range(5):
                a = self.talk(data)
                self.assertEqual(a.status, 413)
                self.assertIn("1048576", a.error())
                self.assertEqual(a.headers["content-type"], "application/json")

    def test_exactly_the_limit_is_taken(self):
        body = b"y" * (1 << 20)
        self.assertEqual(self.talk(request("POST", "/echo", {}, body)).status, 200)
        self.assertEqual(self.talk(request("POST", "/echo", {}, body + b"y")).status, 413)

    def test_huge_headers_are_refused(self):
        a = self.talk(request("GET", "/hello", {"X-Big": "x" * 40000}))
        self.assertEqual((a.status, a.headers["connection"]), (431, "close"))
        self.assertEqual(self.talk(request("GET", "/hello?name=" + "n" * 40000)).status, 431)
        self.assertEqual(self.talk(request("GET", "/hello", {"X-%d" % i: "v" for i in range(150)})).status, 400)
        with self.server.connect() as s:
            try:
                s.sendall(b"GET /hello HTTP/1.1\r\nX: " + b"x" * 1000000)
                self.assertEqual(Answer(s).status, 400)
            except (ConnectionError, EOFError):
                pass
        self.assertEqual(self.server.get("/hello").status, 200)

    def test_smuggling_shapes_are_refused(self):
        for headers in ("Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                        "Transfer-Encoding: chunked\r\ncontent-length: 5\r\n", "Content-Length: -1\r\n", "Content-Length: 5x\r\n",
                        "Transfer-Encoding: xchunked\r\n", "Content-Length : 5\r\n"):
            a = self.talk(("POST /echo HTTP/1.1\r\nHost: t\r\n%s\r\n" % headers).encode() + b"5\r\nabcde\r\n0\r\n\r\n")
            self.assertEqual(a.status, 400, headers)
            self.assertEqual(a.headers["connection"], "close")

    def test_missing_host_is_refused(self):
        self.assertEqual(self.talk(b"GET /hello HTTP/1.1\r\n\r\n").status, 400)
        self.assertEqual(self.talk(b"GET /hello HTTP/1.0\r\n\r\n").status, 200)

    def test_garbage_bytes(self):
        rnd = random.Random(7)
        shapes = [b"\0" * 100, b"\r\n" * 50, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                  b"GET", b"GET / HTTP/9.9\r\n\r\n", b"GET  /hello\r\n\r\n", b"\xff\xfe" * 3000]
        shapes += [bytes(rnd.randrange(256) for _ in range(rnd.randrange(1, 2000))) for _ in range(100)]
        shapes += [bytes(rnd.randrange(32, 127) for _ in range(200)) + b"\r\n\r\n" for _ in range(50)]
        for g in shapes:
            with self.server.connect() as s:
                s.sendall(g)
                s.shutdown(socket.SHUT_WR)
                try:
                    data = s.recv(65536)
                    self.assertTrue(data == b"" or data.startswith(b"HTTP/1.1 4"), data[:100])
                except ConnectionError:
                    pass
        self.assertEqual(self.server.get("/hello").status, 200)

    def test_truncated_requests_at_every_byte(self):
        whole = request("POST", "/echo", {"Content-Type": "text/plain"}, b"0123456789")
        for cut in range(len(whole)):
            with self.server.connect() as s:
                s.sendall(whole[:cut])
                if cut % 2:
                    s.shutdown(socket.SHUT_WR)
        self.server.until(lambda st: st["conns"] == 1)

    def test_bit_flipped_requests(self):
        rnd = random.Random(11)
        whole = request("POST", "/echo", {"Content-Type": "text/plain"}, b"0123456789")
        for _ in range(200):
            bad = bytearray(whole)
            for _ in range(rnd.randrange(1, 4)):
                bad[rnd.randrange(len(bad))] ^= 1 << rnd.randrange(8)
            with self.server.connect() as s:
                s.sendall(bad)
                s.shutdown(socket.SHUT_WR)
                try:
                    s.recv(65536)
                except ConnectionError:
                    pass
        self.assertEqual(self.server.get("/hello").status, 200)

    def test_deferred_answer_comes(self):
        a = self.server.get("/later?ms=50")
        self.assertEqual(json.loads(a.body), {"slept": 50})

    def test_deferred_answer_to_a_vanished_client(self):
        for i in range(20):
            s = self.server.connect()
            s.sendall(request("GET", "/later?ms=%d" % (20 + i)))
            if i % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
        self.server.until(lambda st: st["conns"] == 1)

    def test_deferred_answers_and_pipelining(self):
        with self.server.connect() as s:
            s.sendall(request("GET", "/later?ms=80") + request("GET", "/hello"))
            a = Answer(s)
            self.assertEqual(json.loads(a.body), {"slept": 80})

    def test_what_comes_before_a_deferred_answer_is_kept_whole(self):
        body = os.urandom(300000)
        for gap_s in (0, 0.02):  # in the request's segment, and while its answer is awaited
            with self.server.connect() as s:
                s.sendall(request("GET", "/later?ms=60"))
                time.sleep(gap_s)
                s.sendall(request("POST", "/echo", {}, body) + request("GET", "/later?ms=1") + request("GET", "/hello"))
                data = b""
                while b'{"hello":"world"' not in data or not data.endswith(b'"}'):
                    data += more(s)
                self.assertEqual([data.count(body), data.count(b"HTTP/1.1 200"), data.count(b'"slept"')], [1, 4, 2])
                self.assertLess(data.index(b'{"slept":60}'), data.index(body))
                self.assertLess(data.index(body), data.index(b'{"slept":1}'))

    def test_a_half_closed_client_gets_its_deferred_answer(self):
        with self.server.connect() as s:
            s.sendall(request("GET", "/later?ms=60"))
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(json.loads(Answer(s).body), {"slept": 60})
            self.assertEqual(s.recv(10), b"")

    def test_cors(self):
        a = self.server.get("/hello", Origin="https://b.example")
        self.assertEqual(a.headers["access-control-allow-origin"], "https://b.example")
        self.assertEqual(a.headers["vary"], "Origin")
        self.assertNotIn("access-control-allow-origin", self.server.get("/hello", Origin="https://c.example").headers)
        self.assertNotIn("access-control-allow-origin", self.server.get("/hello").headers)
        a = self.talk(request("OPTIONS", "/echo", {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}))
        self.assertEqual((a.status, a.headers["access-control-allow-methods"]), (200, "POST"))
        a = self.talk(request("POST", "/echo", {"Origin": "https://a.example"}, b"x" * (2 << 20)))
        self.assertEqual((a.status, a.headers["access-control-allow-origin"]), (413, "https://a.example"))

    def test_metrics_text(self):
        a = self.server.get("/metrics")
        self.assertEqual(a.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        text = a.body.decode()
        self.assertIn('process_open_fds{cluster_id="t\\"es\\\\t"} ', text)
        self.assertTrue(text.endswith("\n"))

    def test_curl(self):
        url = "http://127.0.0.1:%d" % self.server.port
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"z" * 900000)
            f.flush()
            out = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "--data-binary", "@" + f.name, url + "/echo"],
                                 capture_output=True, check=True, timeout=20).stdout
            self.assertEqual(out, b"200 900000")
            f.write(b"z" * 900000)
            f.flush()
            out = subprocess.run(["curl", "-s", "--data-binary", "@" + f.name, url + "/echo"], capture_output=True, timeout=20).stdout
            self.assertEqual(json.loads(out), {"error": "request too large: at most 1048576 bytes"})
        out = subprocess.run(["curl", "-s", "-w", "%{http_version}", "--http2", "-o", "/dev/null", url + "/hello"], capture_output=True, timeout=20).stdout
        self.assertEqual(out, b"1.1")


class Slow(unittest.TestCase):
    def test_half_open_and_slow_requests_are_cut_and_delay_nobody(self):
        with Server(request_ms=1500, threads=1) as server:
            idle = [server.connect() for _ in range(20)]
            half = [server.connect() for _ in range(20)]
            for i, s in enumerate(half):
                s.sendall(request("POST", "/echo", {"Content-Length": 1000})[: 20 + 5 * i])
            trickle = server.connect()
            trickle.sendall(request("POST", "/echo", {"Content-Length": 1000}))
            stop = time.monotonic() + 8
            cut = None
            while time.monotonic() < stop:
                t = time.monotonic()
                self.assertEqual(server.get("/hello").status, 200)
                self.assertLess(time.monotonic() - t, 1)
                try:
                    trickle.sendall(b"x")
                except ConnectionError:
                    cut = time.monotonic()
                    break
                time.sleep(0.1)
            self.assertIsNotNone(cut)
            for s in half:
                self.assertEqual(Answer(s).status, 408)
                self.assertEqual(s.recv(1), b"")
                s.close()
            for s in idle:
                self.assertEqual(s.recv(1), b"")
                s.close()
            trickle.close()
            server.until(lambda st: st["conns"] == 1)

    def test_an_answer_that_nobody_takes_is_cut(self):
        with Server(answer_ms=1500, threads=1) as server:
            s = server.connect(rcvbuf=4096)
            s.sendall(request("GET", "/big?bytes=30000000"))
            st = server.until(lambda st: st["cut"] == 1, 8)
            s.close()
            self.assertEqual(st["cut"], 1)

    def test_an_answer_taken_slowly_is_not_cut(self):
        with Server(answer_ms=1000, threads=1) as server:
            s = server.connect(rcvbuf=65536)
            s.sendall(request("GET", "/big?bytes=6000000"))
            got = 0
            end = time.monotonic() + 3
            while time.monotonic() < end:
                got += len(s.recv(40000))
                time.sleep(0.05)
            while got < 6000000:
                got += len(s.recv(1 << 20))
            s.close()
            self.assertEqual(server.stats()["cut"], 0)

    def test_too_many_connections_are_refused(self):
        with Server(conns=10) as server:
            held = [server.connect() for _ in range(10)]
            for s in held:
                s.sendall(request("GET", "/hello"))
                self.assertEqual(Answer(s).status, 200)
            extra = server.connect()
            try:
                extra.sendall(request("GET", "/hello"))
                self.assertEqual(extra.recv(1), b"")
            except ConnectionError:
                pass
            held.pop().close()
            st = server.until(lambda st: st["refused"] >= 1)
            self.assertGreaterEqual(st["refused"], 1)
            for s in held:
                s.close()

    def test_bodies_of_16_mib(self):
        with Server(body=16 << 20) as server:
            body = os.urandom(16 << 20)
            with server.connect() as s:
                t = threading.Thread(target=s.sendall, args=(request("POST", "/echo", {}, body),))
                t.start()
                self.assertEqual(Answer(s).body, body)
                t.join()


class Stop(unittest.TestCase):
    def test_stop_is_prompt_with_idle_and_half_open_clients(self):
        server = Server()
        held = [server.connect() for _ in range(5)]
        held[0].sendall(b"GET /hel")
        held[1].sendall(request("GET", "/hello"))
        Answer(held[1])
        code, took = server.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 2.5)

    def test_stop_lets_a_running_answer_finish(self):
        server = Server(drain_ms=3000)
        s = server.connect()
        s.sendall(request("GET", "/later?ms=500"))
        time.sleep(0.1)
        code, took = server.stop()
        self.assertEqual((code, json.loads(Answer(s).body)), (0, {"slept": 500}))
        self.assertLess(took, 2)

    def test_stop_answers_503_to_what_takes_too_long(self):
        server = Server(drain_ms=200)
        s = server.connect()
        s.sendall(request("GET", "/later?ms=1000"))
        time.sleep(0.1)
        server.proc.stdin.close()
        self.assertEqual(Answer(s).status, 503)
        time.sleep(1.2)
        self.assertEqual(server.proc.wait(5), 0)
        server.proc.stdout.close()

    def test_port_in_use_is_an_error(self):
        with Server(threads=2) as a:
            out = subprocess.run([os.environ["HTTP_SERVE"], "port=%d" % a.port, "threads=2"], capture_output=True, timeout=10)
            self.assertEqual((out.returncode, out.stderr), (1, b"cannot listen\n"))


if __name__ == "__main__":
    unittest.main()
