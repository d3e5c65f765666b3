"""inside.py: a gateway inside a node, with what the tests want to know of a node."""
import json
import os
import re
import subprocess
import tempfile
import threading
import urllib.parse
import urllib.request

import grpc

import wire
from fake_sidecar import free_ports


class InsideNode:
    """A p2pnode with PROXY_PORT, on 127.0.0.1 with ports of its own."""

    def __init__(self, max_bytes, bootstrap=None, **env):
        self.folder = tempfile.TemporaryDirectory(prefix="inside-")
        self.dir = self.folder.name
        self.http, self.grpc, self.api, self.sidecar, self.mesh = free_ports(5)
        key = {"IDENTITY_DIR": self.dir, "PATH": os.environ.get("PATH", "")}
        self.peer_id = subprocess.run([os.environ["P2PNODE"], "generate-key", "--output-peer-id"], env=key, capture_output=True, text=True,
                                      check=True).stdout.strip()
        self.env = dict(key, CLUSTER_ID="test", NET_DRIVER="kernel", NET_ADDR="127.0.0.1", OPTIMUM_PORT=self.mesh, SIDECAR_PORT=self.sidecar,
                        SIDECAR_BIND="127.0.0.1", API_PORT=self.api, API_BIND="127.0.0.1", OPTIMUM_MAX_MSG_SIZE=max_bytes,
                        PROXY_PORT="127.0.0.1:%d" % self.http, PROXY_GRPC_PORT="127.0.0.1:%d" % self.grpc, LOG_LEVEL="debug", DRAIN_MS=500)
        if bootstrap:
            self.env["BOOTSTRAP_PEERS"] = bootstrap.address
        self.env.update({k: str(v) for k, v in env.items()})
        self.holds = []

    @property
    def address(self):
        return "/ip4/127.0.0.1/tcp/%d/p2p/%s" % (self.mesh, self.peer_id)

    @property
    def target(self):
        return "127.0.0.1:%d" % self.sidecar

    def start(self, more):
        self.log = open(os.path.join(self.dir, "log"), "w")
        return subprocess.Popen([os.environ["P2PNODE"]], env=dict(more, **{k: str(v) for k, v in self.env.items()}), stderr=self.log)

    def api_json(self, path):
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.api, path), timeout=10) as r:
            return json.load(r)

    def subscribed(self):
        return set(self.api_json("/node-state")["topics"])

    def hears_of(self, topic):
        """Knows of a peer that is subscribed to the topic."""
        path = "/topics?" + urllib.parse.urlencode({"topic": topic})
        return any(t["peers"] > 0 for t in self.api_json(path)["topics"])

    def carried(self):
        """(topic, message id, node) of each publish that the node took, from its log."""
        with open(self.log.name) as f:
            return [(m[1], m[2], self) for m in re.finditer(r'msg="publish message" topic=(.*) message_id=(\w+) ', f.read())]

    def hold(self, topic):
        """A client of the sidecar subscribes."""
        over = threading.Event()

        def requests():
            yield wire.Request(command=2, topic=topic)
            over.wait()

        channel = grpc.insecure_channel(self.target)
        call = channel.stream_stream("/proto.CommandStream/ListenCommands", request_serializer=wire.Request.SerializeToString,
                                     response_deserializer=wire.Response.FromString)(requests())
        self.holds.append((over, call, channel))

    def close(self):
        for over, call, channel in self.holds:
            over.set()
            call.cancel()
            channel.close()
        self.holds = []
        self.log.close()
        self.folder.cleanup()
