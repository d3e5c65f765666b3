"""test_names.py: a node whose name gets another address. The gateway has an /etc/hosts of its own, in a mount namespace."""
import os
import stat
import subprocess
import tempfile
import unittest

from fake_sidecar import Network, Node, free_port
from harness import Gateway

UNSHARE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]


def can_mount():
    return subprocess.run(UNSHARE + ["sh", "-c", "mount --bind /etc/hosts /etc/hosts"], capture_output=True).returncode == 0


@unittest.skipUnless(can_mount(), "needs a mount namespace")
class Names(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.hosts = os.path.join(self.folder.name, "hosts")
        wrapper = os.path.join(self.folder.name, "gateway")
        self.write("127.77.41.201")
        with open(wrapper, "w") as f:
            f.write("#!/bin/sh\nexec %s sh -c 'mount --bind %s /etc/hosts && exec %s'\n" % (" ".join(UNSHARE), self.hosts, os.environ["GATEWAY"]))
        os.chmod(wrapper, stat.S_IRWXU)
        self.program, os.environ["GATEWAY"] = os.environ["GATEWAY"], wrapper

    def tearDown(self):
        os.environ["GATEWAY"] = self.program
        self.folder.cleanup()

    def write(self, address):
        with open(self.hosts, "w") as f:  # the same file: the mount is of it
            f.write("127.0.0.1 localhost\n%s node.codecast.test\n" % address)

    def test_a_name_is_resolved_again_when_the_node_is_elsewhere(self):
        network, port = Network(), free_port()
        first = Node(network, port, host="127.77.41.201")
        with Gateway(["node.codecast.test:%d" % port]) as gw:
            self.assertEqual(gw.publish("t", "here")["status"], "published")
            first.stop()
            gw.until(lambda: gw.get("/health")[0] == 503)
            second = Node(network, port, host="127.77.41.202")
            self.write("127.77.41.202")
            gw.until(lambda: gw.get("/health")[0] == 200)
            self.assertEqual(gw.publish("t", "there")["status"], "published")
            self.assertEqual([c[2] for c in network.carried][:1], [first])
            self.assertIs(network.carried[-1][2], second) # the first message too: its node was lost right after it confirmed
            second.stop()

    def test_a_name_that_is_not_known_yet(self):
        network, port = Network(), free_port()
        with open(self.hosts, "w") as f:
            f.write("127.0.0.1 localhost\n")
        with Gateway(["node.codecast.test:%d" % port], wait=False) as gw:
            self.assertEqual(gw.get("/health")[0], 503)
            node = Node(network, port, host="127.77.41.203")
            self.write("127.77.41.203")
            gw.until(lambda: gw.get("/health")[0] == 200)
            node.stop()


if __name__ == "__main__":
    unittest.main()
