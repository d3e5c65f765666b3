"""Settings by what they do, seen from outside: each row of a table is a variable that no other test sees at work. Few networks, many rows."""
import glob
import json
import os
import queue
import re
import socket
import subprocess
import urllib.error
import urllib.request

import grpc
import pytest

import burst
import clients
import network
from burst import metric, wait_until
from conftest import BUILD
from network import API_PORT, HTTP_PORT, SIDECAR_PORT

SAME = {'LOG_LEVEL': 'debug'}


class Own(network.Network):
    """Each node may have settings of its own: {name: environment}; {node2} in them is that node's peer id."""

    def __init__(self, own=None, **options):
        self.own = own or {}
        super().__init__(build=BUILD, **options)

    def _node_env(self, m):
        names = {n.name: n.peer_id for n in self.nodes}
        return {**super()._node_env(m), **{k: v.format(**names) for k, v in self.own.get(m.name, {}).items()}}


def started(lan, **options):
    net = Own(lan=lan, **options)
    try:
        net.start()
        yield net
    finally:
        bad = net.stop()
    assert not bad, bad


def peers(net, m):
    return (net.peers(m) or {'peers': []})['peers']


def ids(net, m):
    return {p['peer_id'] for p in peers(net, m)}


def listen(m, protos, topic):
    r = clients.SidecarReceiver(m.name, m.control_ip, SIDECAR_PORT, topic, protos)
    r.start()
    assert r.ready.wait(20)
    return r


def publish(m, protos, topic, payload):
    p = clients.SidecarPublisher(m.control_ip, SIDECAR_PORT, protos)
    sha = p.publish(payload, topic)
    assert json.loads(next(p.call).data)['status'] == 'published'
    p.close()
    return sha


# ---- a gateway ----

@pytest.fixture(scope='module')
def gateway(lan):
    yield from started(lan, nodes=1, gateways=1, driver='kernel', loopback='127.0.6', gateway_env={
        'MAX_CONNECTIONS': '12', 'MAX_CLIENTS': '4', 'REQUEST_TIMEOUT': '1', 'GRPC_THREADS': '3',
        'CLIENTS_QUEUE_BYTES': '1', 'CLIENT_QUEUE_BYTES': str(64 << 20), **SAME})


def names_of_threads(m):
    return [open(f).read().strip() for f in glob.glob(f'/proc/{m.pid()}/task/*/comm')]


def sees_grpc_threads(net, g):
    assert sum(n.startswith('rpc-server-') for n in names_of_threads(g)) == 3


def sees_request_timeout(net, g):
    with socket.create_connection((g.ip, HTTP_PORT), 10) as s:
        s.sendall(b'POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf')
        s.settimeout(20)  # by default it were 30
        assert s.recv(4096).startswith(b'HTTP/1.1 408 ')
    wait_until(lambda: 'HTTP request took too long" status=408' in g.log.read_text(), why='no line of it')


def sees_max_connections(net, g):
    refused, socks = metric(net, g, 'codecast_gateway_http_refused_connections_total', network.GATEWAY_API_PORT), []
    try:
        answers = []
        for _ in range(20):
            s = socket.create_connection((g.ip, HTTP_PORT), 10)
            socks.append(s)
            s.settimeout(20)
            try:
                s.sendall(b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
                answers.append(s.recv(12))
            except OSError:
                answers.append(b'')
        assert 1 <= sum(a.startswith(b'HTTP/1.1 200') for a in answers) <= 12 and sum(a == b'' for a in answers) >= 8, answers
        assert metric(net, g, 'codecast_gateway_http_refused_connections_total', network.GATEWAY_API_PORT) >= refused + 8
    finally:
        for s in socks:
            s.close()
    wait_until(lambda: net.http(g, HTTP_PORT, '/version')[0] == 200)


def post(g, path, body, kind='application/json'):
    req = urllib.request.Request(f'http://{g.ip}:{HTTP_PORT}{path}', data=body, headers={'Content-Type': kind})
    try:
        with burst.OPEN(req, timeout=30) as r:
            return r.status, json.load(r)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def sees_max_clients(net, g):
    said = [post(g, '/subscribe', json.dumps({'client_id': f'c{i}', 'topic': 'many'}).encode()) for i in range(8)]
    assert [status for status, _ in said] == [200] * 4 + [503] * 4, said
    assert 'too many clients' in said[7][1]['error']
    for i in range(4):
        post(g, '/unsubscribe', json.dumps({'client_id': f'c{i}', 'topic': 'many'}).encode())


def sees_clients_queue_bytes(net, g):
    """A WebSocket that is not read, and far less for it than CLIENT_QUEUE_BYTES."""
    assert metric(net, g, 'codecast_gateway_squeezed_total', network.GATEWAY_API_PORT) == 0
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((g.ip, HTTP_PORT))
        s.sendall(b'GET /ws?client_id=c0 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
                  b'Sec-WebSocket-Key: ' + b'A' * 22 + b'==\r\n\r\n')
        assert s.recv(12) == b'HTTP/1.1 101'
        assert post(g, '/subscribe', b'{"client_id":"c0","topic":"deaf"}')[0] == 200
        for _ in range(40):
            assert post(g, '/publish?topic=deaf', os.urandom(512 << 10), 'application/octet-stream')[0] == 200
            if metric(net, g, 'codecast_gateway_squeezed_total', network.GATEWAY_API_PORT):
                return
        wait_until(lambda: metric(net, g, 'codecast_gateway_squeezed_total', network.GATEWAY_API_PORT), why='nothing was squeezed')


@pytest.mark.parametrize('variable, sees', [
    ('GRPC_THREADS', sees_grpc_threads), ('REQUEST_TIMEOUT', sees_request_timeout), ('MAX_CONNECTIONS', sees_max_connections),
    ('MAX_CLIENTS', sees_max_clients), ('CLIENTS_QUEUE_BYTES', sees_clients_queue_bytes)])
def test_gateway(gateway, variable, sees):
    assert variable in gateway.gateways[0].env
    sees(gateway, gateway.gateways[0])


# ---- who finds whom: node 1 knows nobody, all know nodes 1 and 2 ----

@pytest.fixture(scope='module')
def crowd(lan):
    with socket.socket() as s:
        s.bind(('127.0.7.99', 0))
        s.listen(16)
        own = {'node2': {'MAX_PEERS': '8', 'CONN_HIGH': '8', 'CONN_LOW': '0', 'BOOTSTRAP_PEERS': '', 'NET_TCP_CC': 'cubic'},
               'node9': {'ANNOUNCE_ADDRS': f'/ip4/127.0.7.99/tcp/{s.getsockname()[1]}'},
               'node7': {'CONN_HIGH': '8', 'CONN_LOW': '0'}, 'node10': {'CHAIN_ID': 'elsewhere'}, 'node3': {'OPTIMUM_SMALL_MESSAGE': '65536'}}
        for net in started(lan, nodes=12, gateways=0, known=2, driver='kernel', loopback='127.0.7', own=own, node_env=SAME):
            net.listener = s
            yield net


def usual(net):
    return [net.nodes[i] for i in (0, 2, 3, 4, 5)]


def wait_for_the_usual(net):
    want = {m.peer_id for m in usual(net)}
    for m in usual(net):
        wait_until(lambda: want <= ids(net, m) | {m.peer_id}, why=f'{m.name} has not found the others')


def sees_max_peers(net, protos):
    wait_until(lambda: metric(net, net.nodes[1], 'codecast_peers_turned_away_total', API_PORT), why='nobody was turned away')
    assert len(ids(net, net.nodes[1])) <= 8


def sees_conn_high(net, protos):
    """Eleven want to be connected to node 7; who has been for 20 s may be let go, and comes again."""
    m = net.nodes[6]
    wait_until(lambda: metric(net, m, 'codecast_peers_trimmed_total', API_PORT), 60, why='nobody was let go')
    wait_until(lambda: len(ids(net, m)) <= 8, why='too many stay')
    assert metric(net, net.nodes[2], 'codecast_peers_trimmed_total', API_PORT) == 0


def sees_chain_id(net, protos):
    wait_for_the_usual(net)
    assert ids(net, net.nodes[9]) <= {m.peer_id for m in net.nodes[:2]}
    assert all(net.nodes[9].peer_id not in ids(net, m) for m in net.nodes[2:9])


def sees_announce_addrs(net, protos):
    """Node 9 is gone: the others dial where it said it was, and say multistream's first words there."""
    m = net.nodes[8]
    state = json.loads(net.http(m, API_PORT, '/node-state')[1])
    assert state['addresses'][0] == m.env['ANNOUNCE_ADDRS'], state['addresses']
    wait_until(lambda: any(m.peer_id in ids(net, other) for other in usual(net)), why='nobody knows it')
    net.kill(m)
    net.listener.settimeout(30)
    conn, _ = net.listener.accept()
    with conn:
        conn.settimeout(10)
        assert b'/multistream/1.0.0\n' in conn.recv(100)
    net.spawn(m)


def sees_small_message(net, protos):
    """What node 3 thinks small node 4 does not."""
    wait_for_the_usual(net)
    to = listen(net.nodes[4], protos, 'small')
    wait_until(lambda: burst.is_subscribed(net, net.nodes[4], 'small'))
    for m, plain in ((net.nodes[2], True), (net.nodes[3], False)):
        assert metric(net, m, 'codecast_small_message_bytes', API_PORT) == (65536 if plain else 16384)
        sha = publish(m, protos, 'small', os.urandom(40000))
        assert to.wait_for(sha, 20)
        line = next(x for x in net.nodes[4].log.read_text().splitlines() if 'deliver message' in x and sha in x)
        assert (int(re.search(r'\bk=(\d+)', line)[1]) == 1) == plain, line


def sees_tcp_cc(net, protos):
    """cubic at node 2; the others have bbr, or say that the kernel has none for them."""
    def of(m):
        out = subprocess.run(['ss', '-Htin', f'src {m.ip}:7070'], capture_output=True, text=True).stdout
        return set(re.findall(r'^\s+.*?\b(cubic|bbr|reno)\b', out, re.M))

    wait_until(lambda: of(net.nodes[1]) == {'cubic'}, why='no cubic')
    assert 'NET_TCP_CC' not in net.nodes[1].log.read_text()
    if 'does not give us NET_TCP_CC' not in net.nodes[0].log.read_text():
        assert of(net.nodes[0]) == {'bbr'}


@pytest.mark.parametrize('member, variable, sees', [
    ('node9', 'ANNOUNCE_ADDRS', sees_announce_addrs), ('node2', 'MAX_PEERS', sees_max_peers), ('node10', 'CHAIN_ID', sees_chain_id),
    ('node3', 'OPTIMUM_SMALL_MESSAGE', sees_small_message), ('node2', 'NET_TCP_CC', sees_tcp_cc),
    ('node7', 'CONN_HIGH', sees_conn_high)])
def test_crowd(crowd, protos, member, variable, sees):
    assert variable in next(m for m in crowd.nodes if m.name == member).env
    sees(crowd, protos)


def test_conn_low(lan):
    """Node 3 connected to both and comes back without a word: node 1 dials it again, node 2 has as many as CONN_LOW wants, none."""
    own = {'node1': {'BOOTSTRAP_PEERS': ''}, 'node2': {'BOOTSTRAP_PEERS': '', 'CONN_LOW': '0'}}
    for net in started(lan, nodes=3, gateways=0, known=2, driver='kernel', loopback='127.0.9', own=own, node_env={'DHT': 'off'}):
        one, two, three = net.nodes
        wait_until(lambda: ids(net, one) == ids(net, two) == {three.peer_id}, why='node 3 is not connected to both')
        net.own['node3'] = {'BOOTSTRAP_PEERS': ''}
        for _ in range(2):
            net.kill(three)
            net.spawn(three)
            wait_until(lambda: ids(net, one) == {three.peer_id}, why='node 1 does not dial it again')
            assert ids(net, two) == set()


# ---- gossipsub: flood, direct peers, ids, signatures, replays ----

SIZE, COUNT = 50000, 6


@pytest.fixture(scope='module')
def gossip(lan):
    small = {'GOSSIPSUB_MESH_TARGET': '1', 'GOSSIPSUB_MESH_MIN': '1', 'GOSSIPSUB_MESH_MAX': '1', 'GOSSIPSUB_MSG_ID': 'sha256'}
    own = {f'node{i}': dict(small) for i in (1, 2, 5)}
    own |= {f'node{i}': {'GOSSIPSUB_MSG_ID': 'sha256', 'DIRECT_PEERS': f'{{node{7 - i}}}'} for i in (3, 4)}
    own['node1']['FLOOD_PUBLISH'] = 'true'
    own['node2']['REPLAY_GUARD'] = 'true'
    own['node5']['GOSSIPSUB_SIGNING'] = 'none'
    yield from started(lan, nodes=5, gateways=0, mode='gossipsub', driver='kernel', loopback='127.0.8', own=own, node_env=SAME)


@pytest.fixture(scope='module')
def heard(gossip, protos):
    """What everybody has of node 1 and node 5: {node: receiver}, ids of node 1, the id of node 5."""
    net = gossip
    to = {m.name: listen(m, protos, 'g') for m in net.nodes}
    burst.wait_for_nodes(net)
    for m in net.nodes:
        wait_until(lambda: any(t['topic'] == 'g' and t['peers'] == 4 for t in net.peers(m)['topics']), why=f'{m.name} does not see 4 subscribers')
    mine = [publish(net.nodes[0], protos, 'g', os.urandom(SIZE)) for _ in range(COUNT)]
    for m in net.nodes[1:4]:
        assert all(to[m.name].wait_for(sha, 20) for sha in mine)
    return to, mine, publish(net.nodes[4], protos, 'g', os.urandom(100))


def sees_flood_publish(net, protos, heard):
    """Node 1 wants one peer in its mesh, and yet all have it of node 1."""
    wait_until(lambda: all(p['traffic']['bytes_out'] >= COUNT * SIZE for p in peers(net, net.nodes[0])), why='not to all')
    assert len(peers(net, net.nodes[0])) == 4


def sees_msg_id(net, protos, heard):
    """Traces have message ids: SHA-256 here, author and number otherwise."""
    m, pb, out = net.nodes[1], protos['sidecar'], queue.Queue()
    with grpc.insecure_channel(f'{m.control_ip}:{SIDECAR_PORT}', options=clients.CHANNEL_OPTIONS) as channel:
        call = channel.stream_stream('/proto.CommandStream/ListenCommands', lambda r: r.SerializeToString(), pb.Response.FromString)(
            iter(out.get, None), timeout=30)
        out.put(pb.Request(command=2, topic='g'))
        wait_until(lambda: m.log.read_text().count('client subscribes" topic=g') == 2)
        sha = publish(net.nodes[0], protos, 'g', os.urandom(100))
        traces = (protos['gossip_trace'].TraceEvent.FromString(r.data) for r in call if r.command == 3)
        assert next(e for e in traces if e.HasField('deliverMessage')).deliverMessage.messageID.hex() == sha
        out.put(None)


def sees_direct_peers(net, protos, heard):
    """Nodes 3 and 4 want many in their meshes, but each other they have anyhow."""
    for m, other in ((net.nodes[2], net.nodes[3]), (net.nodes[3], net.nodes[2])):
        wait_until(lambda: re.search(r'^codecast_control_total\{.*"graft".*\} [1-9]', net.http(m, API_PORT, '/metrics')[1], re.M), why='no graft')
        mesh = {p['peer_id']: p['mesh'] for p in peers(net, m)}
        assert mesh[other.peer_id] == [], mesh


def sees_signing(net, protos, heard):
    """The unsigned message of node 5 is nothing to those who want signatures, nor theirs to it."""
    to, mine, unsigned = heard
    wait_until(lambda: sum(metric(net, m, 'codecast_bad_signatures_total', API_PORT) for m in net.nodes[:4]), why='not refused')
    assert not any(unsigned in {g[0] for g in to[m.name].got} for m in net.nodes[:4])
    assert not to['node5'].got or {g[0] for g in to['node5'].got} == {unsigned}


def sees_replay_guard(net, protos, heard):
    """It takes 120 s to refuse anything; that authors are remembered is seen at once."""
    assert metric(net, net.nodes[1], 'codecast_replay_authors', API_PORT) >= 1
    assert metric(net, net.nodes[2], 'codecast_replay_authors', API_PORT) == 0


@pytest.mark.parametrize('member, variable, sees', [
    ('node1', 'FLOOD_PUBLISH', sees_flood_publish), ('node2', 'GOSSIPSUB_MSG_ID', sees_msg_id), ('node5', 'GOSSIPSUB_SIGNING', sees_signing),
    ('node2', 'REPLAY_GUARD', sees_replay_guard), ('node3', 'DIRECT_PEERS', sees_direct_peers)])
def test_gossip(gossip, protos, heard, member, variable, sees):
    assert variable in next(m for m in gossip.nodes if m.name == member).env
    sees(gossip, protos, heard)


# ---- ports of our own: nodes on taps, and what they put on the wire ----

VLAN = {'NET_VLAN': '7', 'NET_MTU': '1400', 'NET_TCP_ECN': 'on', 'OPTIMUM_PORT': '7070'}


def capture(ns, what):
    p = subprocess.Popen(['ip', 'netns', 'exec', ns, 'timeout', '40', 'tcpdump', '-l', '-n', '-e', '-c', '1', '-i', 'eth0', what],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while 'listening on' not in (line := p.stderr.readline()):
        assert line, 'tcpdump does not start'
    return p


@pytest.mark.skipif(os.geteuid() != 0, reason='a tap needs root')
def test_ports_of_our_own_by_their_packets(lan):
    """Node 1 dials an address far away, node 2 dials node 1 by NET_ADDR6: by NET_GATEWAY, within NET_VLAN, with the segments of NET_MTU
    and the flags of NET_TCP_ECN. Node 3 is of the same /64: to node 1 one too many by SCORE_IP_THRESHOLD."""
    own = {'node1': {**VLAN, 'NET_ADDR': '172.29.0.10/24', 'NET_ADDR6': '2001:db8::10/64', 'NET_GATEWAY': '172.29.0.1', 'SCORE_IP_THRESHOLD': '1',
                     'BOOTSTRAP_PEERS': '/ip4/198.51.100.9/tcp/7070/p2p/{node2}'},
           **{f'node{i}': {**VLAN, 'NET_ADDR': f'172.29.0.1{i - 1}/24', 'NET_ADDR6': f'2001:db8::1{i - 1}/64',
                           'BOOTSTRAP_PEERS': '/ip6/2001:db8::10/tcp/7070/p2p/{node1}'} for i in (2, 3)}}
    for net in started(lan, nodes=3, late=2, gateways=0, driver='tap', own=own):
        one, two, three = net.nodes
        asks = capture(one.ns, 'vlan 7 and arp').communicate()[0]
        assert 'vlan 7' in asks and 'who-has 172.29.0.1 ' in asks and '172.29.0.10' in asks, asks
        dial = capture(one.ns, 'vlan 7 and ip6 and tcp')
        net.spawn(two)
        said = dial.communicate()[0]
        assert '2001:db8::10.7070: Flags [SEW]' in said and 'mss 1340' in said, said
        wait_until(lambda: any(p['address'].startswith('/ip6/2001:db8::10/') for p in peers(net, two)), why='not connected')
        net.spawn(three)
        wait_until(lambda: {p['peer_id']: p['score_parts']['p6'] for p in peers(net, one)} == {two.peer_id: -5, three.peer_id: -5}, why='no P6')
        wait_until(lambda: len(peers(net, three)) == 2, why='node 3 has not found node 2')
        assert all(p['score_parts']['p6'] == 0 for p in peers(net, three))
