"""harness.py: starts tests/http/serve and talks to it over raw sockets."""
import json
import os
import socket
import subprocess
import time


class Server:
    def __init__(self, **options):
        args = [os.environ["HTTP_SERVE"]] + ["%s=%s" % kv for kv in options.items()]
        os.environ.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
        self.proc = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.proc.stdout.readline().split()[1])

    def connect(self, rcvbuf=None):
        s = socket.socket()
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.settimeout(15)
        s.connect(("127.0.0.1", self.port))
        return s

    def get(self, path, **headers):
        with self.connect() as s:
            s.sendall(request("GET", path, headers))
            return Answer(s)

    def stats(self):
        return json.loads(self.get("/stats").body)

    def until(self, what, seconds=10):
        """Waits until what(stats) holds, and returns those stats."""
        end = time.monotonic() + seconds
        while True:
            try:
                st = self.stats()
            except (ConnectionError, EOFError) as e:  # refused: the server is full just now
                st = repr(e)
            else:
                if what(st):
                    return st
            if time.monotonic() > end:
                raise AssertionError("not reached: %r" % st)
            time.sleep(0.05)

    def stop(self):
        """Stops it and returns its exit code and how long it took."""
        t = time.monotonic()
        self.proc.stdin.close()
        try:
            rest = self.proc.stdout.read()
            code = self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            raise
        self.proc.stdout.close()
        assert code != 0 or b"stopped" in rest, rest
        return code, time.monotonic() - t

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.proc.poll() is None and not self.proc.stdin.closed:
            code, _ = self.stop()
            if exc[0] is None:
                assert code == 0, "server ended with %d" % code


def request(method, path, headers=None, body=None, version="1.1"):
    lines = ["%s %s HTTP/%s" % (method, path, version)]
    headers = dict({"Host": "test"}, **(headers or {}))
    if body is not None:
        headers.setdefault("Content-Length", len(body))
    lines += ["%s: %s" % kv for kv in headers.items() if kv[1] is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b"")


class Answer:
    """One answer read from a socket; raises EOFError when the peer closes before it is complete."""

    def __init__(self, s, method="GET"):
        data = b""
        while b"\r\n\r\n" not in data:
            data += more(s)
        head, data = data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        self.rest = data
        self.body = None
        if self.status != 101 and method != "HEAD":
            need = int(self.headers["content-length"])
            while len(data) < need:
                data += more(s)
            self.body, self.rest = data[:need], data[need:]

    def error(self):
        return json.loads(self.body)["error"]


def more(s):
    got = s.recv(1 << 20)
    if not got:
        raise EOFError("closed")
    return got
