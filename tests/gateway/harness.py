"""harness.py: a gateway process over fake nodes, and clients of every kind."""
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import time
import unittest
import urllib.error
import urllib.request

import grpc

import wire
from fake_sidecar import Network, Node, free_ports
from inside import InsideNode

# "alone": the gateway program over fake nodes. "inside": a gateway inside a node; a second one is inside a second node of the network.
FORM = os.environ.get("FORM", "alone")
PROGRAM = os.environ.get("GATEWAY" if FORM == "alone" else "P2PNODE")
alone_only = unittest.skipIf(FORM != "alone", "needs nodes that do as they are told")

GRPC_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def sanitizer_options():
    names = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")
    return {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1", **{k: os.environ[k] for k in names if k in os.environ}}


class Gateway:
    def __init__(self, targets, wait=True, ca=None, **env):
        """ca: a PEM file; the gateway then has TLS, by a certificate of that authority."""
        self.http, self.grpc, self.api = free_ports(3)
        self.env = {"CLUSTER_ID": "test", "P2P_NODES": ",".join(targets), "PROXY_PORT": "127.0.0.1:%d" % self.http,
                    "PROXY_GRPC_PORT": "127.0.0.1:%d" % self.grpc, "API_PORT": "127.0.0.1:%d" % self.api, "LOG_LEVEL": "warn",
                    "PATH": os.environ.get("PATH", ""), "DRAIN_MS": "500"}
        self.env.update({k: str(v) for k, v in env.items()})
        self.env.update(sanitizer_options())
        self.begin(subprocess.Popen([os.environ["GATEWAY"]], env=self.env), ca)
        if wait and targets:
            self.until(lambda: self.get("/health")[1]["healthy_nodes"] == len(targets))

    def begin(self, proc, ca=None):
        self.ca = ca
        self.context = ssl.create_default_context(cafile=ca) if ca else None
        self.proc = proc
        self.channels = []
        self.until(lambda: self.get("/version")[0] == 200)

    def until(self, what, seconds=15):
        end = time.monotonic() + seconds
        while True:
            try:
                if what():
                    return
            except (OSError, AssertionError):
                pass
            if time.monotonic() > end or self.proc.poll() is not None:
                raise AssertionError("not reached; exit code %s%s" % (self.proc.poll(), self.said()))
            time.sleep(0.05)

    def said(self):
        """The end of its log, where that is kept."""
        return ""

    def url(self, path, port=None):
        return "%s://127.0.0.1:%d%s" % ("https" if self.ca and port in (None, self.http) else "http", port or self.http, path)

    def call(self, method, path, body=None, headers=None, port=None):
        """Returns the status, the JSON (or text) and the raw body."""
        req = urllib.request.Request(self.url(path, port), data=body, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(req, timeout=30, context=self.context) as r:
                status, raw, kind = r.status, r.read(), r.headers.get("content-type", "")
        except urllib.error.HTTPError as e:
            status, raw, kind = e.code, e.read(), e.headers.get("content-type", "")
        return status, json.loads(raw) if "json" in kind else raw.decode(), raw

    def get(self, path, port=None):
        return self.call("GET", path, port=port)

    def post(self, path, value):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.call("POST", path, body, {"Content-Type": "application/json"})

    def subscribe(self, client, topic, **more):
        status, answer, _ = self.post("/subscribe", dict({"client_id": client, "topic": topic}, **more))
        assert (status, answer["status"]) == (200, "subscribed"), answer

    def publish(self, topic, text, **more):
        status, answer, _ = self.post("/publish", dict({"topic": topic, "data": text}, **more))
        assert status == 200, answer
        return answer

    def metric(self, name, **labels):
        """The sum of the series of that name with these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + "{") and all('%s="%s"' % kv in line for kv in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def channel(self):
        options = GRPC_OPTIONS + [("grpc.use_local_subchannel_pool", 1)]
        if self.ca:
            with open(self.ca, "rb") as f:
                c = grpc.secure_channel("localhost:%d" % self.grpc, grpc.ssl_channel_credentials(f.read()), options=options)
        else:
            c = grpc.insecure_channel("127.0.0.1:%d" % self.grpc, options=options)
        self.channels.append(c)
        return c

    def unary(self, service, method, request, answer, timeout=20, metadata=None):
        call = self.channel().unary_unary("/proto.%s/%s" % (service, method), request_serializer=type(request).SerializeToString,
                                          response_deserializer=answer.FromString)
        return call(request, timeout=timeout, metadata=metadata)

    def stream(self, service="ProxyStream", method="ClientStream"):
        return Stream(self, service, method)

    def stop(self):
        """SIGTERM; returns exit code and seconds."""
        for c in self.channels:
            c.close()
        t = time.monotonic()
        self.proc.send_signal(signal.SIGTERM)
        try:
            code = self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            raise
        return code, time.monotonic() - t

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            code, _ = self.stop()
            if exc[0] is None:
                assert code == 0, "gateway ended with %d" % code


class InsideGateway(Gateway):
    """The same inside a node; with targets, over these further nodes too."""

    def __init__(self, max_bytes=32 << 20, bootstrap=None, targets=(), ca=None, **env):
        self.node = InsideNode(max_bytes, bootstrap, P2P_NODES=",".join(targets), **env)
        self.http, self.grpc, self.api = self.node.http, self.node.grpc, self.node.api
        self.begin(self.node.start(sanitizer_options()), ca)
        self.until(lambda: self.get("/health")[1]["healthy_nodes"] == 1 + len(targets))

    def said(self):
        with open(self.node.log.name) as f:
            return "\n" + f.read()[-4000:]

    def stop(self):
        try:
            return super().stop()
        finally:
            self.node.close()


class Stream:
    """A ClientStream whose requests are sent one by one."""

    def __init__(self, gw, service, method):
        import queue
        import threading
        self.out = queue.Queue()
        self.got = queue.Queue()
        call = gw.channel().stream_stream("/proto.%s/%s" % (service, method), request_serializer=wire.ProxyMessage.SerializeToString,
                                          response_deserializer=wire.ProxyMessage.FromString)
        self.call = call(iter(self.out.get, None))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for m in self.call:
                self.got.put(m)
            self.got.put(grpc.StatusCode.OK)
        except grpc.RpcError as e:
            self.got.put(e.code())

    def send(self, **fields):
        self.out.put(wire.ProxyMessage(**fields))

    def recv(self, timeout=15):
        return self.got.get(timeout=timeout)

    def half_close(self):
        self.out.put(None)

    def cancel(self):
        self.out.put(None)
        self.call.cancel()


class Cluster:
    """Fake nodes and gateways that end with the block; or nodes with gateways inside."""

    def __init__(self, nodes=2, max_bytes=32 << 20, **env):
        self.max_bytes, self.env, self.gateways = max_bytes, env, []
        self.network = Network()
        self.nodes = [Node(self.network, max_bytes=max_bytes) for _ in range(nodes)] if FORM == "alone" else []

    def gateway(self, **env):
        env = dict(self.env, **env)
        if FORM == "alone":
            gw = Gateway([n.target for n in self.nodes], **env)
        else:
            self.nodes = [g.node for g in self.gateways if g.proc.poll() is None]  # a node goes with its gateway
            gw = InsideGateway(self.max_bytes, self.nodes[0] if self.nodes else None, **env)
            self.nodes.append(gw.node)
        self.gateways.append(gw)
        return gw

    def carried(self, topic):
        """Publishes of that topic which nodes took."""
        carried = self.network.carried if FORM == "alone" else [c for n in self.nodes for c in n.carried()]
        return [c for c in carried if c[0] == topic]

    def know(self, topic):
        """A node knows the topic from somebody else."""
        if FORM == "alone":
            self.nodes[-1].topics = [topic]
        else:
            self.nodes[-1].hold(topic)
            self.gateways[-1].until(lambda: topic in self.nodes[-1].subscribed())

    def country_iso(self):
        return "IN" if FORM == "alone" else "AT"

    def wait_for_health(self, gw):
        """The gateway has heard what its nodes say of themselves."""
        gw.until(lambda: FORM != "alone" or "India" in gw.get("/node-countries")[1]["countries"].values())

    def wait_for_way(self, topic, source, sink):
        """What is published at one gateway gets to the other, which is subscribed."""
        if FORM == "alone":
            sink.until(lambda: all(topic in n.subscribed() for n in self.nodes))
        else:
            source.until(lambda: source.node.hears_of(topic))

    def close(self):
        codes = [gw.stop()[0] for gw in self.gateways if gw.proc.poll() is None]
        for n in self.nodes if FORM == "alone" else ():
            if n.server:
                n.stop()
        return codes

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        codes = self.close()
        if exc[0] is None:
            assert not any(codes), codes


class WebSocket:
    """A small client of our own: it does what it is told, also wrong things."""

    def __init__(self, gw, path="/ws", rcvbuf=None):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(20)
        self.s.connect(("127.0.0.1", gw.http))
        self.s.sendall(("GET %s HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % path).encode())
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            self.data += self.more()
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])

    def more(self):
        got = self.s.recv(1 << 20)
        if not got:
            raise EOFError("closed")
        return got

    def take(self, n):
        parts, have = [self.data], len(self.data)
        while have < n:
            parts.append(self.more())
            have += len(parts[-1])
        data = b"".join(parts)
        self.data = data[n:]
        return data[:n]

    def frame(self):
        b0, b1 = self.take(2)
        n = b1 & 127
        if n == 126:
            n = struct.unpack(">H", self.take(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.take(8))[0]
        return b0 & 15, self.take(n)

    def recv(self, timeout=20):
        """The next JSON frame."""
        self.s.settimeout(timeout)
        while True:
            op, body = self.frame()
            if op == 1:
                return json.loads(body)
            if op == 8:
                raise EOFError("close %d" % struct.unpack(">H", body[:2])[0])

    def send(self, value, op=1):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        n = len(body)
        head = bytes([0x80 | op]) + (bytes([0x80 | n]) if n < 126 else bytes([0xfe]) + struct.pack(">H", n) if n < 65536
                                     else bytes([0xff]) + struct.pack(">Q", n))
        self.s.sendall(head + b"\0\0\0\0" + body)

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
