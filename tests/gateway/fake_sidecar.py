"""fake_sidecar.py: nodes' sidecars without nodes: what one is told to publish, all deliver to their subscribers.

As a module: Network, Node. As a program: fake_sidecar.py PORT... (PROTOSET names the built descriptor set).
"""
import base64
import hashlib
import json
import queue
import random
import socket
import sys
import threading
import time
from concurrent import futures

import grpc

import fake_lane
from wire import HealthResponse, Request, Response, TopicList, Void

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0),
           ("grpc.http2.min_ping_interval_without_data_ms", 100), ("grpc.keepalive_permit_without_calls", 1)]


class Network:
    """Carries each message from the node that takes it to every node, itself included."""

    def __init__(self):
        self.nodes = []
        self.seen = {}
        self.lock = threading.Lock()
        self.carried = []  # (topic, message id, node that took it)

    def publish(self, node, topic, data):
        mid = hashlib.sha256(data).hexdigest()
        body = json.dumps({"source_node_id": node.peer_id, "topic": topic, "message_id": mid,
                           "message": base64.b64encode(data).decode()}).encode()
        with self.lock:
            self.carried.append((topic, mid, node))
            nodes = list(self.nodes)
        for n in nodes:
            n.deliver(topic, body)
        return mid


class Node:
    def __init__(self, network, port=0, peer_id=None, max_bytes=32 << 20, country="India", iso="IN", host="127.0.0.1", has_lanes=False):
        self.network, self.host = network, host
        self.max_bytes = max_bytes
        self.country, self.iso, self.mode = country, iso, "optimum"
        self.confirms = True      # answers publishes
        self.delivers = True
        self.refusal = None       # (code, text) for every publish
        self.max_topics = 0       # it tells this bound, and refuses what is beyond; 0: neither
        self.tells_topics = True  # how many it has; a number: so many, whatever it has
        self.loses_refusals = False  # of topics
        self.swallows = False     # takes publishes and forgets them
        self.knows = False        # calls what the network had already a repeat, as a node that delivered it
        self.delay_s = 0          # before each answer to a publish
        self.is_silent_by_lane = False  # publishes what comes by lanes, and does not answer
        self.lanes = fake_lane.Lanes(self.take_by_lane) if has_lanes else None
        self.topics = []          # what ListTopics adds
        self.commands = []        # (command, topic, length of data)
        self.streams = {}
        self.lock = threading.Lock()
        self.server = None
        self.port = port
        self.peer_id = peer_id or "12D3KooWFake%d" % len(network.nodes)
        network.nodes.append(self)
        self.start()

    @property
    def target(self):
        return "%s:%d" % (self.host, self.port)

    def start(self):
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=OPTIONS)
        handlers = {
            "ListenCommands": grpc.stream_stream_rpc_method_handler(self.listen, Request.FromString, Response.SerializeToString),
            "Health": grpc.unary_unary_rpc_method_handler(self.health, Void.FromString, HealthResponse.SerializeToString),
            "ListTopics": grpc.unary_unary_rpc_method_handler(self.list_topics, Void.FromString, TopicList.SerializeToString),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("proto.CommandStream", handlers),))
        self.port = self.server.add_insecure_port(self.target)
        assert self.port, "port taken"
        self.server.start()

    def stop(self):
        with self.lock:
            streams = list(self.streams)
        for q in streams:
            q.put(None)
        if self.lanes:
            self.lanes.cut()
        self.server.stop(0).wait()
        self.server = None

    def subscribed(self):
        with self.lock:
            return set().union(*self.streams.values()) if self.streams else set()

    def deliver(self, topic, body):
        if not self.delivers:
            return
        with self.lock:
            queues = [q for q, topics in self.streams.items() if topic in topics]
        for q in queues:
            q.put(Response(command=1, data=body))

    def take(self, topic, data):
        """What becomes of a publish: an answer, or None."""
        mid = hashlib.sha256(data).hexdigest()
        answer = {"status": "published", "topic": topic, "message_id": mid}
        if self.refusal:
            answer.update(status="error", code=self.refusal[0], error=self.refusal[1])
        elif len(data) > self.max_bytes:
            answer.update(status="error", code=413, error="message too large: at most %d bytes" % self.max_bytes)
        elif self.swallows:
            return None
        elif self.knows and any(c[:2] == (topic, mid) for c in self.network.carried):
            answer["status"] = "deduplicated"
        else:
            self.network.publish(self, topic, data)
        if self.delay_s:
            time.sleep(self.delay_s)
        return answer if self.confirms else None

    def take_by_stream(self, q, topic, data):
        answer = self.take(topic, data)
        if answer:
            q.put(Response(command=0, data=json.dumps(answer).encode()))

    def take_by_lane(self, topic, data):
        answer = self.take(topic, data)
        if not answer or self.is_silent_by_lane:
            return None
        return ({"published": fake_lane.PUBLISHED, "deduplicated": fake_lane.DEDUPLICATED}.get(answer["status"], fake_lane.REFUSED), answer.get("code", 0), answer.get("error", ""))

    def take_topic(self, q, topic):
        if self.max_topics and topic not in self.subscribed() and len(self.subscribed()) >= self.max_topics:
            answer = {"status": "refused", "topic": topic, "message_id": "", "error": "too many topics", "code": 503}
            if not self.loses_refusals:
                q.put(Response(command=0, data=json.dumps(answer).encode()))
            return
        with self.lock:
            self.streams[q].add(topic)

    def read(self, q, requests):
        try:
            for r in requests:
                self.commands.append((r.command, r.topic, len(r.data)))
                if r.command == 1:
                    self.take_by_stream(q, r.topic, r.data)
                elif r.command == 2:
                    self.take_topic(q, r.topic)
                elif r.command == 3:
                    with self.lock:
                        self.streams[q].discard(r.topic)
        except grpc.RpcError:
            pass
        q.put(None)

    def listen(self, requests, context):
        q = queue.Queue()
        with self.lock:
            self.streams[q] = set()
        secret = None
        if self.lanes and ("codecast-lane", "1") in context.invocation_metadata():
            secret = self.lanes.secret()
            q.put(Response(command=0, data=json.dumps({"status": "lane", "port": self.lanes.port, "secret": secret.hex()}).encode()))
        threading.Thread(target=self.read, args=(q, requests), daemon=True).start()
        try:
            while True:
                r = q.get()
                if r is None:
                    return
                yield r
        finally:
            with self.lock:
                self.streams.pop(q, None)
            if secret:
                self.lanes.end(secret)

    def health(self, _request, _context):
        return HealthResponse(status=True, nodeMode=self.mode, memoryUsed=1.5, cpuUsed=2.5, diskUsed=3.5, country=self.country,
                              country_iso=self.iso, p2pAddress="/ip4/127.0.0.1/tcp/7070/p2p/" + self.peer_id,
                              max_message_bytes=self.max_bytes if self.confirms else 0, max_topics=self.max_topics,
                              topics=len(self.subscribed()) if self.tells_topics is True else int(self.tells_topics))

    def list_topics(self, _request, _context):
        return TopicList(topics=sorted(self.subscribed() | set(self.topics)))


def free_ports(n):
    """Different ones, below those that the kernel gives to connections: nobody has them a moment later but who chose them too, by chance."""
    found = []
    while len(found) < n:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that waits out a closed connection is free; so the same may come twice
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def free_port():
    return free_ports(1)[0]


if __name__ == "__main__":
    net = Network()
    for p in sys.argv[1:]:
        print("sidecar on", Node(net, int(p)).target, flush=True)
    while True:
        time.sleep(3600)
