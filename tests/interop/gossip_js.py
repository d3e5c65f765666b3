"""One p2pnode in gossipsub mode and js-libp2p's gossipsub, over kernel sockets and over AF_PACKET with our own TCP.

Each data path: js dials, we dial (identify, ping, 100 x 1 KiB and 10 x 900 KB both ways, every hash compared); then what goes
wrong in a day: either side restarted, a subscriber that comes after the message, gossip without a mesh, an idle link.
Exit 0 all passed, 1 something failed, 77 something could not be tried here (said by name).
"""
import argparse
import ctypes
import multiprocessing
import os
import pathlib
import signal
import statistics
import sys
import threading
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'scripts' / 'lib'))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import clients  # noqa: E402
import js_peer  # noqa: E402
from network import Failure, Network  # noqa: E402
from node_peer import BIG, KIB, NodePeer, js_to_node, node_to_js, one_each_way, wait_mesh  # noqa: E402

BUILD = pathlib.Path(os.environ.get('CODECAST_BUILD', ROOT / 'build'))
DRIVERS = ['kernel', 'af_packet']
PROTOCOLS = {'/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0', '/meshsub/1.1.0', '/meshsub/1.2.0'}
SILENT = ['--no-monitor', '--yamux', '{"enableKeepAlive":false}']
COLUMNS = ['identify', 'ping', '100 x 1 KiB out', 'in', '10 x 900 KB out', 'in', 'all']


def enter_namespace(name):
    """This process's sockets, and those of what it starts, are from now on in that network namespace."""
    fd = os.open(f'/var/run/netns/{name}', os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), f'setns {name}')
    os.close(fd)


class Bench:
    """One data path: two nodes, any number of js peers. Lives in a process of its own, for its namespace."""

    def __init__(self, driver, idle_s):
        self.driver, self.idle_s, self.js, self.bad = driver, idle_s, [], []
        loopback = f'127.0.{1 + os.getpid() % 250}'
        self.net = Network(nodes=2, gateways=0, mode='gossipsub', driver=driver, build=BUILD, tag=f'ci{os.getpid() % 100000}',
                           loopback=loopback)
        self.js_ip = '172.28.0.1' if self.net.has_namespaces else f'{loopback}.1'

    def __enter__(self):
        try:
            self.net.prepare()
            if self.net.lan:
                enter_namespace(self.net.lan)
            protos = clients.load_protos()
            self.node, self.idler = (NodePeer(self.net, m, protos) for m in self.net.nodes)
        except BaseException:
            self.net.stop()
            raise
        return self

    def __exit__(self, *_):
        for p in self.js:
            p.stop()
        self.bad = self.net.stop()

    def peer(self, name, *flags, port=0):
        """A js peer with a key of that name. All have one message id function: that of the spec and of go."""
        with open(self.net.work / f'js-{name}.err', 'a') as err:
            p = js_peer.JsPeer('--listen', f'/ip4/{self.js_ip}/tcp/{port}', '--key-seed', name, '--strict-sign', '--msg-id', 'spec',
                               *flags, stderr=err)
        self.js.append(p)
        return p

    # ---- the happy path ----

    def cell(self, who_dials):
        """The whole of it with that side dialing; a row of the table."""
        t0 = time.monotonic()
        js, node, topic = self.peer(f'cell-{who_dials}', '--subscribe', 't'), self.node, 't'
        node.start([js.address()] if who_dials == 'we' else [])
        node.subscribe(topic)
        started = time.monotonic()
        if who_dials == 'js':
            js.say(cmd='dial', addr=node.address())
            assert js.wait('dialed')['ok'], 'js could not dial'
        self.identified(node, js, who_dials)
        row = [(time.monotonic() - started) * 1000, self.pings(node, js)]
        wait_mesh(node, js, topic)
        for count, size in ((100, KIB), (10, BIG)):
            row += [node_to_js(node, js, topic, count, size), js_to_node(node, js, topic, count, size)]
        self.content(node, js)
        assert js.leave() == 0, 'js did not end well'
        assert node.stop() == 0, 'our node did not end well'
        return row + [(time.monotonic() - t0) * 1000]

    def identified(self, node, js, who_dials):
        heard = js.wait('identified', 10, peer=node.peer)
        assert heard['agentVersion'].startswith('codecast/'), heard
        assert PROTOCOLS <= set(heard['protocols']), heard
        ours = node.address().split('/p2p/')[0]
        assert [a.split('/p2p/')[0] for a in heard['listenAddrs']] == [ours], heard
        assert heard['signedPeerRecord']['addrs'] == [ours], heard
        assert heard['observed'].startswith('/ip4/172.28.0.1/tcp/' if self.net.lan else '/ip4/127.0.'), heard
        seen = node.wait_peer(js.peer, 10, lambda p: p['agent'] and p['protocol'])
        assert seen['agent'].startswith('js-libp2p/') and seen['protocol'] == '/meshsub/1.2.0', seen
        assert seen['direction'] == ('outbound' if who_dials == 'we' else 'inbound'), seen

    def pings(self, node, js):
        """Both ping; the median of what js measures, in ms."""
        js.say(cmd='ping', addr=node.address(), count=5)
        times = [e['wallMs'] for e in js.wait_count(5, 'ping', 10)]
        node.wait_peer(js.peer, 10, lambda p: p['rtt_ms'] > 0)
        return statistics.median(times)

    def content(self, node, js):
        """Neither holds anything against the other."""
        js.say(cmd='scores')
        scores = js.wait('scores')['scores']
        assert scores[node.peer] >= 0, f'js scores our node {scores}'
        ours = node.wait_peer(js.peer, 5)
        assert ours['score'] >= 0 and ours['connections'] == 1, ours
        assert js.count('error') == 0, js.all('error')
        assert js.count('disconnected') == 0, 'js lost the connection meanwhile'

    # ---- beside it ----

    def js_restarts(self):
        """js leaves politely, then dies; each time it comes back at its address and is found and meshed again."""
        js = self.peer('restart', '--subscribe', 't')
        port = js.address().split('/')[4]
        self.node.start([js.address()])
        self.node.subscribe('t')
        wait_mesh(self.node, js, 't')
        for is_polite in (True, False):
            if is_polite:
                assert js.leave() == 0
            else:
                js.stop()
            js = self.peer('restart', '--subscribe', 't', port=port)
            js.wait('identified', 10, peer=self.node.peer)
            js.wait('peer-subscribed', 10, peer=self.node.peer, topic='t')
            self.node.wait_peer(js.peer, 10, lambda p: p['topics'] == 1)
            one_each_way(self.node, js, 't')
            wait_mesh(self.node, js, 't')
        return js

    def we_restart(self, js):
        """Our node leaves politely, then dies; each time it comes back, dials js and is meshed again."""
        for sig in (signal.SIGTERM, signal.SIGKILL):
            seen = js.count('identified')
            code = self.node.stop(sig)
            assert code == (0 if sig == signal.SIGTERM else -sig), f'our node ended with {code}'
            self.node.start([js.address()])
            self.node.subscribe('t')
            js.wait_count(seen + 1, 'identified', 10, peer=self.node.peer)
            self.node.wait_peer(js.peer, 10, lambda p: p['topics'] == 1)
            one_each_way(self.node, js, 't')
            wait_mesh(self.node, js, 't')

    def late_subscriber(self, js):
        """js subscribes after our node has published: it is told by IHAVE and asks by IWANT."""
        self.node.subscribe('late')
        time.sleep(0.3)
        sent = [self.node.publish('late', size) for size in (KIB, 200000)]
        time.sleep(0.3)
        assert js.count('message', topic='late') == 0
        js.say(cmd='subscribe', topic='late')
        js.wait('subscribed', topic='late')
        got = js.wait_count(2, 'message', 10, topic='late')
        assert sorted(e['sha256'] for e in got) == sorted(sent)

    def gossip_alone(self):
        """js published while nobody listened, and keeps no mesh: our node, come later, hears its IHAVE and asks for all of it."""
        js = self.peer('gossip', '--subscribe', 'gossip', '--gossip', '{"D":0,"Dlo":0,"Dhi":0,"Dout":0,"Dscore":0}')
        self.node.stop()
        self.node.start([js.address()])  # a peer that js itself dialed may graft beyond Dhi
        self.node.wait_peer(js.peer, 10, lambda p: p['topics'] == 1)
        for count, size in ((5, KIB), (2, BIG)):
            js.say(cmd='publish', topic='gossip', count=count, size=size)
        sent = js.wait_count(7, 'published', 10)
        assert all(e['recipients'] == [] for e in sent), sent
        r = self.node.subscribe('gossip')
        missing = [e['size'] for e in sent if r.wait_for(e['sha256'], 10) is None]
        assert not missing, f'our node never asked for {len(missing)} of 7: {missing}'
        assert len(r.got) == 7
        assert js.leave() == 0

    # ---- a link at rest, beside all that ----

    def begin_idle(self):
        """A stock js peer, and one that pings nobody: only our own keepalive is on that wire."""
        self.at_rest = {'stock': self.peer('idle', '--subscribe', 't'), 'silent': self.peer('silent', '--subscribe', 't', *SILENT)}
        self.idler.start([p.address() for p in self.at_rest.values()])
        self.idler.subscribe('t')
        for p in self.at_rest.values():
            wait_mesh(self.idler, p, 't')
        self.idle_since = time.monotonic()

    def end_idle(self):
        time.sleep(max(0, self.idle_since + self.idle_s - time.monotonic()))
        for name, p in self.at_rest.items():
            assert p.count('disconnected') == 0, f'the {name} js peer lost the connection'
        sent = self.idler.publish('t', 2000)
        for p in self.at_rest.values():
            assert p.wait('message', 5)['sha256'] == sent
            js_to_node(self.idler, p, 't', 1, 2000, 5)
            self.content(self.idler, p)


class Report:
    """What a data path's process tells the parent: (driver, what, row or None, ms, error or None)."""

    def __init__(self, pipe, driver):
        self.pipe, self.driver = pipe, driver

    def tell(self, what, error, row=None, ms=0.0):
        self.pipe.send((self.driver, what, row, ms, error))

    def run(self, what, step, *args):
        """What the step gave, or None when it failed."""
        t0, result, error = time.monotonic(), None, None
        try:
            result = step(*args)
        except (AssertionError, Failure) as e:
            error = str(e) or traceback.format_exc()
        except Exception:
            error = traceback.format_exc()
        self.tell(what, error, result if isinstance(result, list) else None, (time.monotonic() - t0) * 1000)
        return result if error is None else None


def data_path(driver, idle_s, pipe, turn):
    """Everything over one driver. The timed cells wait for their turn, so that no other's load is in their figures."""
    os.setpgid(0, 0)  # Ctrl-C is the parent's; it ends us, and its death does too
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)

    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(1)

    signal.signal(signal.SIGTERM, end)
    report = Report(pipe, driver)
    try:
        with Bench(driver, idle_s) as bench:
            with turn:
                has_idle = report.run('idle begins', lambda: bench.begin_idle() or True)
            for who in ('js', 'we'):
                with turn:
                    report.run(f'{who} dials', bench.cell, who)
            js = report.run('js restarts', bench.js_restarts)
            if js:
                report.run('our node restarts', bench.we_restart, js)
                report.run('late subscriber', bench.late_subscriber, js)
                report.run('gossip without a mesh', bench.gossip_alone)
            if has_idle:
                report.run(f'idle {idle_s} s', bench.end_idle)
        if bench.bad:
            report.tell('end', '; '.join(bench.bad))
    except Exception:
        report.tell('setup', traceback.format_exc())
    pipe.send(None)


def run_all(drivers, idle_s):
    """Runs the data paths, prints what is done as it is done; all reports."""
    fork = multiprocessing.get_context('fork')
    turn, reports, readers, children = fork.Lock(), [], [], []

    def read(pipe):
        try:
            while (r := pipe.recv()) is not None:
                reports.append(r)
                print(f'interop: {r[0]:<10} {r[1]:<22} {r[3]:8.0f} ms  {"ok" if r[4] is None else "FAILED: " + r[4]}', flush=True)
        except EOFError:
            pass

    for driver in drivers:
        ours, theirs = fork.Pipe(duplex=False)
        child = fork.Process(target=data_path, args=(driver, idle_s, theirs, turn))
        child.start()
        theirs.close()
        children.append((driver, child))
        readers.append(threading.Thread(target=read, args=(ours,)))
    try:
        for t in readers:
            t.start()
        for driver, child in children:
            child.join()
            if child.exitcode:
                reports.append((driver, 'process', None, 0, f'ended with {child.exitcode}'))
    except KeyboardInterrupt:
        for s in (signal.SIGINT, signal.SIGTERM):
            signal.signal(s, signal.SIG_IGN)
        print('interop: stopping', flush=True)
        for _, child in children:
            child.terminate()
        for _, child in children:
            child.join()
        sys.exit(130)
    for t in readers:
        t.join(5)
    return reports


def table(drivers, reports):
    print(f'\n{"driver":<10} {"dials":<6}' + ''.join(f'{c:>17}' for c in COLUMNS) + '   (ms; out: our node to js)')
    for driver in drivers:
        for who in ('js', 'we'):
            row = next((r[2] for r in reports if r[0] == driver and r[1] == f'{who} dials'), None)
            cells = ''.join(f'{ms:>17.1f}' for ms in row) if row else '  FAILED'
            print(f'{driver:<10} {who:<6}{cells}')


def main():
    p = argparse.ArgumentParser(prog='scripts/interop', description='One p2pnode in gossipsub mode against js-libp2p, each dialing, over '
                                'kernel sockets and over AF_PACKET with our own TCP (that needs root). Needs node and npm.')
    p.add_argument('--driver', choices=['all', *DRIVERS], default='all', help='one data path [all]')
    p.add_argument('--idle', type=int, default=40, metavar='S', help='seconds of the idle link [40]')
    a = p.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        js_peer.install()
    except js_peer.Missing as e:
        print(f'interop: skipped: {e}')
        return 77
    drivers = DRIVERS if a.driver == 'all' else [a.driver]
    untried = [d for d in drivers if d == 'af_packet' and os.geteuid() != 0]
    drivers = [d for d in drivers if d not in untried]
    t0 = time.monotonic()
    reports = run_all(drivers, a.idle) if drivers else []
    failed = [r for r in reports if r[4]]
    table(drivers, reports)
    print(f'interop: {len(reports) - len(failed)} passed, {len(failed)} failed in {time.monotonic() - t0:.0f} s')
    for d in untried:
        print(f'interop: skipped: {d} needs root')
    return 1 if failed else 77 if untried else 0


if __name__ == '__main__':
    sys.exit(main())
