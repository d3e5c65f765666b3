"""test_ws.py: WebSocket, by python3-websockets and by hand-made frames."""
import asyncio
import base64
import hashlib
import os
import random
import socket
import struct
import threading
import time
import unittest

import websockets

from harness import Answer, Server, more, request

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def frame(op, payload=b"", fin=True, mask=b"\1\2\3\4", rsv=0):
    n = len(payload)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | op])
    bit = 0x80 if mask else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if mask:
        stream = (mask * (n // 4 + 1))[:n]
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(n, "big")
        head += mask
    return head + payload


class Raw:
    """A client that does exactly what it is told."""

    def __init__(self, server, rcvbuf=None):
        self.s = server.connect(rcvbuf)
        self.s.sendall(request("GET", "/ws", {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": 13}))
        a = Answer(self.s)
        assert a.status == 101, a.status
        assert a.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        self.data = a.rest

    def send(self, *args, **kw):
        self.s.sendall(frame(*args, **kw))

    def take(self, n):
        while len(self.data) < n:
            self.data += more(self.s)
        got, self.data = self.data[:n], self.data[n:]
        return got

    def recv(self):
        b0, b1 = self.take(2)
        assert b0 & 0x70 == 0 and b1 & 0x80 == 0
        n = b1 & 127
        if n == 126:
            n = struct.unpack(">H", self.take(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.take(8))[0]
        return b0 & 15, self.take(n)

    def close_code(self):
        """Skips to the close frame, checks that the end of the stream follows, and returns the code."""
        while True:
            op, body = self.recv()
            if op == CLOSE:
                break
        assert not self.data
        self.s.settimeout(8)
        assert self.s.recv(1) == b""
        self.s.close()
        return struct.unpack(">H", body[:2])[0] if body else None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.s.close()


class Frames(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(ws_message=1 << 20)

    @classmethod
    def tearDownClass(cls):
        code, took = cls.server.stop()
        assert code == 0 and took < 3, (code, took)

    def test_handshake_refusals(self):
        good = {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": 13}
        for change, status in (({}, 101), ({"Upgrade": None}, 426), ({"Connection": None}, 426), ({"Upgrade": "h2c"}, 426),
                               ({"Upgrade": "WebSocket"}, 101), ({"Sec-WebSocket-Version": 8}, 426), ({"Sec-WebSocket-Version": None}, 426),
                               ({"Sec-WebSocket-Key": None}, 400), ({"Sec-WebSocket-Key": "short"}, 400),
                               ({"Sec-WebSocket-Key": "!" * 24}, 400), ({"Sec-WebSocket-Key": "A" * 4000}, 400)):
            a = self.server.get("/ws", **dict(good, **change))
            self.assertEqual(a.status, status, change)
            if status == 426:
                self.assertEqual(a.headers["sec-websocket-version"], "13")
                self.assertTrue(a.error())
        with self.server.connect() as s:
            s.sendall(request("POST", "/ws", good, b""))
            self.assertEqual(Answer(s).status, 405)
        with self.server.connect() as s:
            s.sendall(request("GET", "/ws", good, version="1.0"))
            self.assertEqual(Answer(s).status, 426)

    def test_extensions_are_not_accepted(self):
        a = self.server.get("/ws", **{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": 13,
                                      "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"})
        self.assertEqual(a.status, 101)
        self.assertNotIn("sec-websocket-extensions", a.headers)

    def test_echo_of_every_length_form(self):
        with Raw(self.server) as c:
            for n in (0, 1, 125, 126, 127, 65535, 65536, 70000, 1 << 20):
                body = os.urandom(n)
                c.send(BINARY, body)
                self.assertEqual(c.recv(), (BINARY, body))
            c.send(TEXT, "héllo ✓".encode())
            self.assertEqual(c.recv(), (TEXT, "héllo ✓".encode()))

    def test_frames_that_come_with_the_handshake(self):
        with self.server.connect() as s:
            s.sendall(request("GET", "/ws", {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": 13}) +
                      frame(TEXT, b"early") + frame(TEXT, b"bird"))
            data = b""
            while not data.endswith(b"bird"):
                data += more(s)
            self.assertTrue(data.endswith(b"\x81\x05early\x81\x04bird"))

    def test_frames_byte_by_byte(self):
        with Raw(self.server) as c:
            c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for b in frame(TEXT, b"slow" * 40) + frame(PING, b"p") + frame(TEXT, b"end"):
                c.s.sendall(bytes([b]))
                time.sleep(0.0005)
            self.assertEqual([c.recv() for _ in range(3)], [(TEXT, b"slow" * 40), (PONG, b"p"), (TEXT, b"end")])

    def test_fragments_with_pings_between(self):
        with Raw(self.server) as c:
            parts = [b"a" * 1000, b"", b"b", b"c" * 70000]
            for i, p in enumerate(parts):
                c.send(TEXT if i == 0 else 0, p, fin=i == len(parts) - 1)
                c.send(PING, b"%d" % i)
            got = [c.recv() for _ in range(5)]
            self.assertEqual([g for g in got if g[0] == PONG], [(PONG, b"%d" % i) for i in range(4)])
            self.assertEqual([g for g in got if g[0] == TEXT], [(TEXT, b"".join(parts))])

    def test_a_code_point_split_over_fragments(self):
        with Raw(self.server) as c:
            text = "✓".encode()
            c.send(TEXT, text[:1], fin=False)
            c.send(0, text[1:])
            self.assertEqual(c.recv(), (TEXT, text))

    def test_many_tiny_fragments_cost_little(self):
        with Raw(self.server) as c:
            c.s.sendall(frame(BINARY, b"x", fin=False) + frame(0, b"y", fin=False) * 200000 + frame(0, b"", fin=False) * 100000 + frame(0, b"z"))
            self.assertEqual(c.recv(), (BINARY, b"x" + b"y" * 200000 + b"z"))

    def test_close_codes(self):
        cases = [("bad utf-8", [frame(TEXT, b"\xff\xfe")], 1007), ("truncated utf-8", [frame(TEXT, b"\xe2\x9c")], 1007),
                 ("surrogate", [frame(TEXT, b"\xed\xa0\x80")], 1007), ("not masked", [frame(TEXT, b"x", mask=b"")], 1002),
                 ("reserved bit", [frame(TEXT, b"x", rsv=4)], 1002), ("reserved opcode", [frame(3, b"x")], 1002),
                 ("reserved control", [frame(11, b"x")], 1002), ("continuation of nothing", [frame(0, b"x")], 1002),
                 ("text inside a message", [frame(TEXT, b"x", fin=False), frame(TEXT, b"y")], 1002),
                 ("fragmented ping", [frame(PING, b"x", fin=False)], 1002), ("long ping", [frame(PING, b"x" * 126)], 1002),
                 ("too big", [frame(BINARY, b"x" * ((1 << 20) + 1))], 1009),
                 ("too big in parts", [frame(BINARY, b"x" * (1 << 19), fin=False), frame(0, b"x" * (1 << 19), fin=False), frame(0, b"x")], 1009),
                 ("too big, announced", [b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4."], 1009),
                 ("close", [frame(CLOSE, struct.pack(">H", 1000) + b"bye")], 1000), ("close without code", [frame(CLOSE)], None),
                 ("close with a forbidden code", [frame(CLOSE, struct.pack(">H", 1005))], 1002),
                 ("close with bad reason", [frame(CLOSE, struct.pack(">H", 1000) + b"\xff")], 1007),
                 ("asked for", [frame(TEXT, b"close me")], 4001)]
        for name, frames, code in cases:
            with self.subTest(name), Raw(self.server) as c:
                c.s.sendall(b"".join(frames))
                if name == "asked for":
                    op, body = c.recv()
                    self.assertEqual((op, body), (CLOSE, struct.pack(">H", 4001) + b"as you wish"))
                    c.send(CLOSE, body)
                    self.assertEqual(c.s.recv(1), b"")
                else:
                    self.assertEqual(c.close_code(), code)

    def test_1009_is_read_by_a_client_that_goes_on_sending(self):
        for _ in range(5):
            with Raw(self.server) as c:
                c.s.sendall(frame(BINARY, b"x" * (8 << 20)))
                self.assertEqual(c.close_code(), 1009)

    def test_vanishing_in_every_state(self):
        whole = frame(TEXT, b"hello" * 50) + frame(PING, b"x")
        for cut in range(0, len(whole), 3):
            c = Raw(self.server)
            c.s.sendall(whole[:cut])
            if cut % 2:
                c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            c.s.close()
        self.server.until(lambda st: st["ws"] == 0)

    def test_garbage_frames(self):
        rnd = random.Random(3)
        for _ in range(150):
            with Raw(self.server) as c:
                bad = bytearray(frame(TEXT, b"hello" * 10) + frame(BINARY, b"x" * 200, fin=False) + frame(0, b"y"))
                for _ in range(rnd.randrange(1, 6)):
                    bad[rnd.randrange(len(bad))] = rnd.randrange(256)
                c.s.sendall(bad)
                c.s.shutdown(socket.SHUT_WR)
                try:
                    while c.s.recv(65536):
                        pass
                except ConnectionError:
                    pass
        self.server.until(lambda st: st["ws"] == 0)

    def test_the_websockets_library_agrees(self):
        async def run():
            uri = "ws://127.0.0.1:%d/api/v1/ws" % self.server.port
            async with websockets.connect(uri, max_size=None) as ws:
                for n in (0, 10, 1000, 500000):
                    await ws.send("t" * n)
                    self.assertEqual(await ws.recv(), "t" * n)
                await ws.send([b"frag", b"men", b"ted"])
                self.assertEqual(await ws.recv(), b"fragmented")
                await (await ws.ping(b"data"))
            self.assertEqual(ws.close_code, 1000)

        asyncio.run(run())


class Queues(unittest.TestCase):
    def test_16_mib_frames_both_ways(self):
        with Server(ws_message=16 << 20, ws_out=32 << 20) as server:
            with Raw(server) as c:
                body = os.urandom(16 << 20)
                for _ in range(2):
                    c.send(BINARY, body)
                    op, got = c.recv()
                    self.assertEqual((op, hashlib.sha256(got).digest()), (BINARY, hashlib.sha256(body).digest()))
                c.send(BINARY, body + b"!")
                self.assertEqual(c.close_code(), 1009)

    def test_a_client_that_never_reads_delays_nobody_and_is_bounded(self):
        with Server(ws_out=1 << 20, threads=1) as server:
            with Raw(server, rcvbuf=4096) as stuck, Raw(server) as well:
                for i in range(60):
                    t = time.monotonic()
                    self.assertEqual(server.get("/broadcast?bytes=200000").status, 200)
                    self.assertEqual(well.recv(), (TEXT, b"b" * 200000))
                    self.assertLess(time.monotonic() - t, 2)
                st = server.stats()
                self.assertGreater(st["dropped"], 30)
                self.assertLess(st["queued"], 1200000)
                stuck.s.settimeout(10)
                n = 0
                while n < 5:
                    self.assertEqual(stuck.recv(), (TEXT, b"b" * 200000))
                    n += 1
            server.until(lambda st: st["ws"] == 0)

    def test_policies(self):
        for policy, name in ((0, "oldest"), (1, "newest"), (2, "disconnect")):
            with self.subTest(name), Server(ws_out=300000, ws_policy=policy, threads=1) as server:
                c = Raw(server, rcvbuf=4096)
                for _ in range(80):
                    server.get("/broadcast?bytes=100000")
                st = server.stats()
                self.assertGreaterEqual(st["dropped"], 1)
                if name == "disconnect":
                    self.assertEqual(c.close_code(), 1008)
                    server.until(lambda st: st["ws"] == 0)
                c.s.close()

    def test_one_message_above_the_bound_still_goes(self):
        with Server(ws_out=1000) as server, Raw(server) as c:
            c.s.sendall(frame(PING, b"here"))
            self.assertEqual(c.recv(), (PONG, b"here"))  # known to the server from now
            server.get("/broadcast?bytes=5000000")
            self.assertEqual(c.recv(), (TEXT, b"b" * 5000000))

    def test_a_client_that_sends_and_never_reads_is_paused(self):
        with Server(threads=1) as server, Raw(server) as c:
            c.s.settimeout(1)
            sent = 0
            body = frame(BINARY, b"x" * 100000)
            try:
                while sent < 400:
                    c.s.sendall(body)
                    sent += 1
            except socket.timeout:
                pass
            self.assertLess(sent, 400, "the server took 40 MB from a client that reads nothing")
            self.assertLess(server.stats()["queued"], 3 << 20)
            c.s.settimeout(10)
            for _ in range(sent - 1):
                self.assertEqual(c.recv(), (BINARY, b"x" * 100000))

    def test_a_ping_flood_is_paused(self):
        with Server(threads=1) as server, Raw(server) as c:
            c.s.settimeout(1)
            sent = 0
            try:
                while sent < 3000:
                    c.s.sendall(frame(PING, b"p" * 125) * 1000)
                    sent += 1
            except socket.timeout:
                pass
            self.assertLess(sent, 3000)
            self.assertLess(server.stats()["queued"], 3 << 20)

    def test_burst_to_many_clients_loses_nothing(self):
        with Server(ws_out=64 << 20) as server:
            clients = [Raw(server) for _ in range(20)]
            server.get("/broadcast?bytes=1000&n=1000")
            for c in clients:
                for _ in range(1000):
                    self.assertEqual(len(c.recv()[1]), 1000)
                c.s.close()
            self.assertEqual(server.stats()["dropped"], 0)

    def test_wake_ups_from_another_thread_while_there_is_input(self):
        """Deliveries are queued by one thread while the connection's own keeps looking, because of pongs, whether there are any."""
        with Server(threads=2, ws_out=64 << 20) as server:
            clients = [Raw(server) for _ in range(2)]
            over = threading.Event()

            def pong(c):
                many = frame(PONG, b"") * 200000  # long calls: the interpreter is free for the others
                while not over.is_set():
                    c.s.sendall(many)

            got = [0] * len(clients)

            def read(k):
                while got[k] < 1500:
                    self.assertEqual(clients[k].recv(), (TEXT, b"b" * 10))
                    got[k] += 1

            threads = [threading.Thread(target=pong, args=(c,)) for c in clients] + [threading.Thread(target=read, args=(k,)) for k in range(len(clients))]
            for t in threads:
                t.start()
            for _ in range(15):
                server.get("/broadcast?bytes=10&n=100")
            for t in threads[len(clients):]:
                t.join()
            over.set()
            for t in threads:
                t.join()
            self.assertEqual(got, [1500] * len(clients))
            for c in clients:
                c.s.close()

    def test_silent_clients_are_pinged_then_dropped(self):
        with Server(ping_ms=1000, idle_ms=3000) as server:
            with Raw(server) as silent, Raw(server) as lively:
                self.assertEqual(silent.recv()[0], PING)
                end = time.monotonic() + 5
                while time.monotonic() < end:
                    op, body = lively.recv()
                    self.assertEqual(op, PING)
                    lively.send(PONG, body)
                server.until(lambda st: st["ws"] == 1, 3)
                lively.send(TEXT, b"still here")
                while lively.recv() != (TEXT, b"still here"):
                    pass

    def test_a_slow_reader_is_not_taken_for_dead(self):
        with Server(ping_ms=500, idle_ms=2000, ws_out=64 << 20) as server:
            with Raw(server, rcvbuf=65536) as c:
                server.get("/broadcast?bytes=10000000")
                end = time.monotonic() + 5
                got = len(c.data)
                while time.monotonic() < end:
                    got += len(c.s.recv(30000))
                    time.sleep(0.05)
                self.assertEqual(server.stats()["ws"], 1)
                while got < 10000000:
                    got += len(more(c.s))


class Moves(unittest.TestCase):
    """Where CPUs are few, WebSockets above HTTP_PLACE_WS go to another thread than accepted them."""
    HELLO = request("GET", "/ws", {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": 13})

    def crowd(self, server, n=200):
        socks = [server.connect() for _ in range(n)]
        for i, s in enumerate(socks):
            s.sendall(self.HELLO + frame(TEXT, b"early %03d" % i))
        for i, s in enumerate(socks):
            data, want = b"", b"\x81\x09early %03d" % i
            while not data.endswith(want):
                data += more(s)
        return socks

    def test_all_are_served_with_what_they_sent_early(self):
        with Server(cpus=1) as server:
            socks = self.crowd(server)
            st = server.stats()
            self.assertEqual(st["ws"], 200)
            self.assertGreater(st["moved"], 0)
            self.assertEqual(st["conns"], 201)
            server.get("/broadcast?bytes=1000&n=20")
            for s in socks:
                got = 0
                while got < 20 * 1004:
                    got += len(more(s))
                self.assertEqual(got, 20 * 1004)
                s.close()
            server.until(lambda st: st["ws"] == 0 and st["conns"] == 1 and st["dropped"] == 0)

    def test_one_thread_keeps_them_all(self):
        with Server(threads=1) as server:
            for s in self.crowd(server, 140):
                s.close()
            self.assertEqual(server.stats()["moved"], 0)

    def test_those_that_vanish_at_once(self):
        with Server(cpus=1) as server:
            for _ in range(300):
                with server.connect() as s:
                    s.sendall(self.HELLO)
            server.until(lambda st: st["ws"] == 0 and st["conns"] == 1)

    def test_stop_while_they_come(self):
        server = Server(cpus=1, drain_ms=300)
        socks = [server.connect() for _ in range(250)]
        for s in socks:
            s.sendall(self.HELLO)
        self.assertEqual(server.stop()[0], 0)
        for s in socks:
            s.close()


class Stop(unittest.TestCase):
    def test_stop_says_1001(self):
        server = Server(drain_ms=2000)
        clients = [Raw(server) for _ in range(5)]
        clients[0].s.sendall(b"\x81")
        server.proc.stdin.close()
        for c in clients[1:]:
            op, body = c.recv()
            self.assertEqual((op, body[:2]), (CLOSE, struct.pack(">H", 1001)))
            c.send(CLOSE, body)
            self.assertEqual(c.s.recv(1), b"")
            c.s.close()
        self.assertEqual(clients[0].recv()[0], CLOSE)
        self.assertEqual(server.proc.wait(5), 0)
        clients[0].s.close()
        server.proc.stdout.close()

    def test_stop_with_a_client_that_never_reads(self):
        server = Server(drain_ms=500)
        c = Raw(server, rcvbuf=4096)
        server.get("/broadcast?bytes=10000000")
        code, took = server.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 2.5)
        c.s.close()


if __name__ == "__main__":
    unittest.main()
