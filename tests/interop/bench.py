"""The ground of the matrix: our nodes and any number of reference peers on one data path."""
import ctypes
import os
import pathlib
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'scripts' / 'lib'))
import clients  # noqa: E402
from network import Network  # noqa: E402
from node_peer import NodePeer, ref_to_node, wait_mesh  # noqa: E402
from reference import BUILD  # noqa: E402

DRIVERS = ['kernel', 'af_packet']


def enter_namespace(name):
    """This process's sockets, and those of what it starts, are from now on in that network namespace."""
    fd = os.open(f'/var/run/netns/{name}', os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), f'setns {name}')
    os.close(fd)


class Bench:
    """One data path: four nodes (in the matrix: for the cells, for the links at rest, a hub, and one with a
    Secp256k1 identity). Lives in a process of its own, for its namespace."""

    def __init__(self, driver, tag='ci'):
        self.driver, self.refs, self.bad, self.has_failed = driver, [], [], False
        self.nrefs_apart = 0
        self.work = tempfile.mkdtemp(prefix='codecast-interop-')
        pid = os.getpid()  # two matrices at once do not meet
        loopback = f'127.{100 + pid // 250 % 100}.{1 + pid % 250}'
        self.net = Network(nodes=4, gateways=0, mode='gossipsub', driver=driver, build=BUILD, tag=f'{tag}{pid % 100000}',
                           loopback=loopback, workdir=self.work,
                           key_types=('ed25519', 'ed25519', 'ed25519', 'secp256k1'))
        self.ref_ip = '172.28.0.1' if self.net.has_namespaces else f'{loopback}.1'

    def __enter__(self):
        try:
            self.net.prepare()
            if self.net.lan:
                enter_namespace(self.net.lan)
            protos = clients.load_protos()
            self.nodes = [NodePeer(self.net, m, protos) for m in self.net.nodes]
            self.node, self.idler, self.hub, self.other = self.nodes
        except BaseException:
            self.net.stop()
            raise
        return self

    def __exit__(self, *_):
        self.drop(list(self.refs))
        self.bad = self.net.stop()
        if self.bad or self.has_failed:
            print(f'interop: {self.driver}: logs are in {self.work}', flush=True)
        else:
            shutil.rmtree(self.work, ignore_errors=True)

    def ref(self, library, name, *flags, port=0):
        """Starts a reference peer with a key of that name; does not wait for it."""
        return self._start(library, name, self.ref_ip, port, (), flags)

    def ref_apart(self, library, name, *flags):
        """The same with an address, and where there are namespaces a namespace, of its own."""
        self.nrefs_apart += 1
        ip = f'{self.ref_ip.rsplit(".", 1)[0]}.{100 + self.nrefs_apart}'
        prefix = ('ip', 'netns', 'exec', self.net.plug(f'r{self.nrefs_apart}', ip)) if self.net.lan else ()
        return self._start(library, name, ip, 0, prefix, flags)

    def _start(self, library, name, ip, port, prefix, flags):
        with open(self.net.work / f'{library.name}-{name}.err', 'a') as err:
            p = library.start('--listen', f'/ip4/{ip}/tcp/{port}', '--key-seed', f'{library.name}-{name}', *flags, stderr=err, prefix=prefix)
        self.refs.append(p)
        return p

    def drop(self, refs):
        for p in refs:
            p.stop()
            self.refs.remove(p)


def their_score(ref, peer, seconds=5):
    """The reference peer's score of that peer; some libraries tell it a moment later."""
    end = time.monotonic() + seconds
    while True:
        ref.say(cmd='scores')
        scores = ref.wait('scores')['scores']
        if peer in scores:
            return scores[peer]
        assert time.monotonic() < end, f'{ref.library.name} has no score of {peer}: {scores}'
        time.sleep(0.1)


def clean(node, ref):
    """Neither holds anything against the other, after all that passed."""
    score = their_score(ref, node.peer) if ref.library.has_scores else 0
    assert score >= 0, f'{ref.library.name} scores our node {score}'
    ours = node.wait_peer(ref.peer, 5)
    assert ours['score'] >= 0 and ours['connections'] == 1, ours
    assert ref.count('error') == 0, ref.all('error')
    assert ref.count('rejected', via=node.peer) == 0, ref.all('rejected', via=node.peer)
    assert ref.count('disconnected', peer=node.peer) == 0, f'{ref.library.name} lost the connection meanwhile'


class Rest:
    """Links at rest beside everything else: with stock peers of each library, and with peers that ping nobody, so that only our own
    keepalive is on that wire."""

    def __init__(self, bench, libraries, seconds):
        self.bench, self.seconds, self.links = bench, seconds, {}
        for library in libraries:
            for seat, kind, flags in (('dial', 'stock', []), ('dial', 'silent', ['--silent']), ('listen', 'stock', [])):
                self.links[library.name, seat, kind] = bench.ref(library, f'rest-{seat}-{kind}', '--subscribe', 'rest', *flags)

    def begin(self):
        idler = self.bench.idler
        idler.start([p.address() for (_, seat, _), p in self.links.items() if seat == 'dial'])
        idler.subscribe('rest')
        for (_, seat, _), p in self.links.items():
            if seat == 'listen':
                p.dial(idler.address())
        for p in self.links.values():
            wait_mesh(idler, p, 'rest', 30)
        self.since = time.monotonic()

    def wait(self):
        time.sleep(max(0, self.since + self.seconds - time.monotonic()))
        self.sha = self.bench.idler.publish('rest', 2000)

    def end(self, library, seat):
        """The links of that library and seat still deliver."""
        idler = self.bench.idler
        for (name, where, kind), p in self.links.items():
            if (name, where) == (library.name, seat):
                assert p.count('disconnected') == 0, f'the {kind} peer lost the connection'
                p.wait('message', 10, sha256=self.sha)
                ref_to_node(idler, p, 'rest', 1, 2000, 10)
                clean(idler, p)
