"""fake_lane.py: the node's end of lanes (lib/lane/lane_frame.h), and a client of it, written from the description."""
import os
import socket
import struct
import threading

HELLO, READY, PUBLISH, ANSWER = 1, 2, 3, 4
PUBLISHED, DEDUPLICATED, REFUSED = 0, 1, 2


def frame(kind, body=b""):
    return struct.pack(">IB", 1 + len(body), kind) + body


def publish(number, topic, data):
    return frame(PUBLISH, struct.pack(">IH", number, len(topic)) + topic.encode() + data)


def answer(number, outcome, http=0, text=""):
    more = struct.pack(">H", http) + text.encode() if outcome == REFUSED else b""
    return frame(ANSWER, struct.pack(">IB", number, outcome) + more)


def read_exactly(sock, n):
    got = b""
    while len(got) < n:
        more = sock.recv(n - len(got))
        if not more:
            raise EOFError
        got += more
    return got


def read_frame(sock):
    body = read_exactly(sock, struct.unpack(">I", read_exactly(sock, 4))[0])
    return body[0], body[1:]


class Client:
    """One lane to a node, opened with the secret that the node told."""

    def __init__(self, host, port, secret):
        self.sock = socket.create_connection((host, port), 20)
        self.sock.sendall(frame(HELLO, b"\x01" + secret))

    def ready(self):
        kind, body = read_frame(self.sock)
        assert kind == READY, kind
        return struct.unpack(">I", body)[0]

    def send(self, number, topic, data):
        self.sock.sendall(publish(number, topic, data))

    def answer(self):
        """Number, outcome, HTTP status, text."""
        kind, body = read_frame(self.sock)
        assert kind == ANSWER, kind
        number, outcome = struct.unpack(">IB", body[:5])
        return (number, outcome) + ((struct.unpack(">H", body[5:7])[0], body[7:].decode()) if outcome == REFUSED else (0, ""))

    def is_closed(self):
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.sock.close()


class Lanes:
    """Lanes to a fake node: take(topic, data) gives (outcome, http, text), or None: no answer."""

    def __init__(self, take):
        self.take = take
        self.max_payload = 65536
        self.shuts = False        # the door: who comes is turned away
        self.babbles = False      # answers with something else
        self.taken = []           # (topic, length)
        self.secrets, self.conns = set(), []
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def secret(self):
        s = os.urandom(32)
        self.secrets.add(s)
        return s

    def accept(self):
        while True:
            try:
                c = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        try:
            kind, body = read_frame(c)
            if kind != HELLO or body[:1] != b"\x01" or body[1:] not in self.secrets or self.shuts:
                return
            c.sendall(frame(READY, struct.pack(">I", self.max_payload)))
            self.conns.append(c)
            while True:
                kind, body = read_frame(c)
                number, n = struct.unpack(">IH", body[:6])
                topic, data = body[6:6 + n].decode(), body[6 + n:]
                self.taken.append((topic, len(data)))
                said = self.take(topic, data)
                if self.babbles:
                    c.sendall(b"\0\0\0\1\x09")
                elif said:
                    c.sendall(answer(number, *said))
        except (EOFError, OSError):
            pass
        finally:
            if c in self.conns:
                self.conns.remove(c)
            c.close()

    def cut(self):
        """All connections end."""
        for c in list(self.conns):
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def end(self, session):
        self.secrets.discard(session)
        if not self.secrets:
            self.cut()

    def close(self):
        self.listener.close()
        self.cut()
