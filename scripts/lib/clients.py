"""Independent clients of a Codecast network: WebSocket and gRPC from Debian's Python packages, HTTP from the standard library."""
import base64
import hashlib
import importlib
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Connections of our own: shared ones would go on backing off from a network that had the same addresses and is gone.
CHANNEL_OPTIONS = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1), ('grpc.use_local_subchannel_pool', 1)]


def load_protos():
    """Compiles proto/ for Python into a folder that goes with the process; returns {name: module}."""
    out = tempfile.TemporaryDirectory(prefix='codecast-proto-')
    files = ['sidecar.proto', 'gateway.proto', 'trace.proto', 'gossip_trace.proto', 'health.proto']
    subprocess.run(['protoc', f'--proto_path={ROOT / "proto"}', f'--python_out={out.name}', *files], check=True)
    sys.path.insert(0, out.name)
    modules = {f[:-6]: importlib.import_module(f[:-6] + '_pb2') for f in files}
    modules['_dir'] = out
    return modules


def publish_http(host, port, topic, payload, timeout=60):
    """POST as octets; (status, answer)."""
    url = f'http://{host}:{port}/api/v1/publish?' + urllib.parse.urlencode({'topic': topic})
    req = urllib.request.Request(url, data=payload, method='POST', headers={'Content-Type': 'application/octet-stream'})
    try:
        with urllib.request.urlopen(req, timeout=timeout) as f:
            return f.status, json.loads(f.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read() or b'{}')


class Receiver(threading.Thread):
    """Collects (sha256 hex, bytes, monotonic time) of what arrives; `ready` is set once it listens."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.name_text, self.got, self.ready, self.error = name, [], threading.Event(), None
        self.changed = threading.Condition()

    def add(self, payload):
        now = time.monotonic()
        with self.changed:
            self.got.append((hashlib.sha256(payload).hexdigest(), len(payload), now))
            self.changed.notify_all()

    def wait_for(self, sha, timeout):
        """The time of arrival, or None."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                for h, _, at in self.got:
                    if h == sha:
                        return at
                left = end - time.monotonic()
                if left <= 0 or self.error:
                    return None
                self.changed.wait(left)

    def run(self):
        try:
            self.listen()
        except Exception as e:  # said by whoever waits for messages
            with self.changed:
                self.error = f'{type(e).__name__}: {e}'
                self.changed.notify_all()
            self.ready.set()


class WebSocketReceiver(Receiver):
    def __init__(self, name, host, port, topic, client_id):
        super().__init__(name)
        self.url, self.topic = f'ws://{host}:{port}/api/v1/ws?client_id={client_id}', topic

    def listen(self):
        import asyncio
        import websockets

        async def go():
            async with websockets.connect(self.url, max_size=None, ping_interval=20) as ws:
                await ws.send(json.dumps({'type': 'subscribe', 'topic': self.topic, 'id': 'sub'}))
                await ws.recv()  # the answer to the subscription
                self.ready.set()
                async for frame in ws:
                    j = json.loads(frame)
                    if 'message' in j and j.get('topic') == self.topic:
                        self.add(base64.b64decode(j['message']))

        asyncio.run(go())


class GatewayReceiver(Receiver):
    """gRPC ClientStream of a gateway."""

    def __init__(self, name, host, port, topic, client_id, protos):
        super().__init__(name)
        self.target, self.topic, self.client_id, self.pb = f'{host}:{port}', topic, client_id, protos['gateway']

    def listen(self):
        import grpc
        out = queue.Queue()
        channel = grpc.insecure_channel(self.target, options=CHANNEL_OPTIONS)
        call = channel.stream_stream('/proto.ProxyStream/ClientStream', request_serializer=lambda m: m.SerializeToString(),
                                     response_deserializer=self.pb.ProxyMessage.FromString)(iter(out.get, None))
        out.put(self.pb.ProxyMessage(client_id=self.client_id, type='subscribe', topic=self.topic))
        subscribe = channel.unary_unary('/proto.ProxyStream/Subscribe', request_serializer=lambda m: m.SerializeToString(),
                                        response_deserializer=self.pb.SubscribeResponse.FromString)
        subscribe(self.pb.SubscribeRequest(client_id=self.client_id, topic=self.topic, threshold=0.1), timeout=20)
        self.ready.set()
        for m in call:
            if m.topic == self.topic and m.message:
                self.add(m.message)


class SidecarReceiver(Receiver):
    """gRPC ListenCommands of a node; also keeps the coded trace events when asked to."""

    def __init__(self, name, host, port, topic, protos, has_traces=False):
        super().__init__(name)
        self.target, self.topic, self.pb = f'{host}:{port}', topic, protos['sidecar']
        self.trace_pb, self.has_traces, self.traces = protos['trace'], has_traces, []
        self.out = queue.Queue()

    def unsubscribe(self):
        self.out.put(self.pb.Request(command=3, topic=self.topic))

    def listen(self):
        import grpc
        out = self.out
        channel = grpc.insecure_channel(self.target, options=CHANNEL_OPTIONS)
        call = channel.stream_stream('/proto.CommandStream/ListenCommands', request_serializer=lambda m: m.SerializeToString(),
                                     response_deserializer=self.pb.Response.FromString)(iter(out.get, None))
        out.put(self.pb.Request(command=2, topic=self.topic))
        self.ready.set()
        for r in call:
            if r.command == 1:
                j = json.loads(r.data)
                if j['topic'] == self.topic:
                    self.add(base64.b64decode(j['message']))
            elif r.command == 2 and self.has_traces:
                self.traces.append(self.trace_pb.TraceEvent.FromString(r.data))


class SidecarPublisher:
    """One ListenCommands stream of a node that only publishes."""

    def __init__(self, host, port, protos):
        import grpc
        self.pb, self.out = protos['sidecar'], queue.Queue()
        self.channel = grpc.insecure_channel(f'{host}:{port}', options=CHANNEL_OPTIONS)
        self.call = self.channel.stream_stream('/proto.CommandStream/ListenCommands', request_serializer=lambda r: r.SerializeToString(),
                                               response_deserializer=self.pb.Response.FromString)(iter(self.out.get, None))

    def publish(self, payload, topic):
        """The payload's SHA-256 in hex."""
        self.out.put(self.pb.Request(command=1, topic=topic, data=payload))
        return hashlib.sha256(payload).hexdigest()

    def close(self):
        self.out.put(None)
        self.channel.close()
