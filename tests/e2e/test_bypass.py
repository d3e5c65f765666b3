"""Is the kernel really bypassed, and is what relays send really coded? Seen from outside: ss, a capture, trace events."""
import os
import re
import subprocess
import time

import pytest

import network
from burst import wait_until
from listen import publisher, receiver

LCORES = [[], ['--net-lcores=2'], ['--net-lcores=2', '--coding-lcores=2'], ['--net-lcores=3', '--', '--log-level=lib.eal:error']]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='namespaces need root')


def kernel_connections(net, port):
    """Lines of `ss -tn` about the mesh port, over all nodes."""
    seen = []
    for n in net.nodes:
        out = network.sh('ip', 'netns', 'exec', n.ns, 'ss', '-Htn')
        seen += [line for line in out.splitlines() if f':{port}' in line]
    return seen


@pytest.fixture
def bypass(make_network, tmp_path):
    return make_network(nodes=4, gateways=0, driver='af_packet', node_args=lambda i: ['--pcap', tmp_path / '{name}.pcapng', *LCORES[i]])


def own_captures(net, folder):
    """What each node's --pcap has by now, as tcpdump reads it while the node still writes."""
    return [subprocess.run(['tcpdump', '--nano', '-ttnr', folder / f'{n.name}.pcapng', 'tcp'], capture_output=True, text=True).stdout.splitlines()
            for n in net.nodes]


def settled(net, n):
    """Metrics in which the roles' connections are all of the node's: while one closes, who has told already may differ."""
    found = []

    def is_settled():
        text = net.http(n, network.API_PORT, '/metrics')[1]
        conns = [int(v) for v in re.findall(r'codecast_net_role_connections\{.*net="\d+".*\} (\d+)', text)]
        found[:] = text, conns
        return sum(conns) == int(re.search(r'codecast_conns_now\{.*\} (\d+)', text)[1]) >= 3

    wait_until(is_settled, why=f"{n.name}'s roles do not have all connections")
    return found


def check_roles(net):
    """Each net role of a node has its own connections, and together they are all: the flows of a role reach its queue."""
    roles = []
    for n in net.nodes:
        text, conns = settled(net, n)
        jobs = sum(int(v) for v in re.findall(r'codecast_jobs_total\{.*\} (\d+)', text))
        assert (jobs > 0) == ('ring="coding_to_helper1"' in text) == ('--coding-lcores=2' in LCORES[len(roles)])
        assert 'codecast_ring_batches_total{' in text and ('ring="net1_to_coding"' in text) == (len(conns) > 1)
        roles.append(conns)
    assert [len(c) for c in roles] == [1, 2, 2, 3]
    assert sum(sum(c[1:]) for c in roles) > 0, roles


def test_messages_flow_while_the_kernel_has_no_connection(bypass, protos, tmp_path):
    net = bypass
    receivers = [receiver(n, protos) for n in net.nodes]
    time.sleep(1.5)
    pcap = tmp_path / 'bridge.pcap'
    dump = subprocess.Popen(['tcpdump', '-i', 'br0', '-w', pcap, '-U', '--immediate-mode', '-Z', 'root', '-s', '100', 'tcp', 'port', '7070'], stderr=subprocess.PIPE, text=True)
    said = dump.stderr.readline()
    assert 'listening' in said, said
    pub = publisher(net.nodes[0], protos)
    found = []
    for _ in range(10):
        sha = pub.publish(os.urandom(200000), 't')
        found += kernel_connections(net, 7070)
        assert all(r.wait_for(sha, 10) for r in receivers)
    assert found == []
    check_roles(net)
    time.sleep(0.3)
    dump.terminate()
    dump.wait(5)
    text = subprocess.run(['tcpdump', '-nr', pcap], capture_output=True, text=True).stdout
    data = [line for line in text.splitlines() if '.7070' in line and 'length 0' not in line]
    resets = [line for line in text.splitlines() if 'Flags [R' in line]
    assert len(data) > 20, text[-2000:]
    assert resets == []
    for lines in own_captures(net, tmp_path):
        sizes = [int(line.rsplit('length ', 1)[1].split(':')[0]) for line in lines if 'length ' in line]
        assert len(sizes) > 20 and max(sizes) > 10000, lines[-5:] # segments of up to 64 KiB are whole
        assert all(len(line.split()[0].split('.')[1]) == 9 for line in lines) # ns


def test_relays_pass_on_coded_shards(bypass, protos):
    net = bypass
    watcher = receiver(net.nodes[3], protos, has_traces=True)
    others = [receiver(n, protos) for n in net.nodes[:3]]
    time.sleep(1.5)
    pub = publisher(net.nodes[0], protos)
    for _ in range(40):
        sha = pub.publish(os.urandom(400000), 't')
        assert watcher.wait_for(sha, 10) and all(r.wait_for(sha, 10) for r in others)
    time.sleep(0.5)
    shards = [t.newShard for t in watcher.traces if t.type == 16]
    assert shards, 'no NEW_SHARD event came'
    coded = [s for s in shards if s.receivedFrom and sum(1 for c in s.coefficients if c) > 1]
    assert coded, f'{len(shards)} shards, none of several coefficients from a peer'
