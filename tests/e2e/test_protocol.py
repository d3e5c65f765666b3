"""The second implementation of the coded protocol (tests/protocol, written from docs/PROTOCOL.md alone) among real nodes. The two nodes
know nobody; the Python peer dials both, so whatever one has of the other went through Python."""
import asyncio
import hashlib
import os
import pathlib
import sys
import time

import pytest

from listen import publisher, receiver

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'protocol'))
from peer import Peer  # noqa: E402

TOPIC, K = 'coded', 4
LOOPBACK, LOCAL = '127.77.9', '127.77.9.200'


@pytest.fixture
def pair(make_network, protos):
    net = make_network(nodes=2, gateways=0, driver='kernel', loopback=LOOPBACK, mode='optimum',
                       node_env={'BOOTSTRAP_PEERS': '', 'OPTIMUM_SHARD_FACTOR': str(K)})
    return net, [receiver(n, protos, TOPIC) for n in net.nodes]


async def until(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


async def joined(net, **options):
    """A peer meshed with both nodes."""
    peer = Peer(TOPIC, **options)
    for n in net.nodes:
        await peer.join(n.ip, net.mesh_port(), LOCAL)
    await until(lambda: all(TOPIC.encode() in link.topics for link in peer.links), 'a node did not tell its subscription')
    return peer


def others_only(net):
    """Neither node knows the other."""
    for n in net.nodes:
        assert net.peers(n)['total_peers'] == 1, net.peers(n)


async def send_and_take(net, protos, receivers, peer, sizes):
    pub = publisher(net.nodes[0], protos)
    for size in sizes:
        payload = os.urandom(size)
        sha = await asyncio.to_thread(pub.publish, payload, TOPIC)
        assert await asyncio.wait_for(peer.received.get(), 30) == payload
        assert await asyncio.to_thread(receivers[1].wait_for, sha, 30), f'{size} bytes did not arrive:\n{net.tail(net.nodes[1])}'
    assert not peer.errors


def test_far_node_decodes_what_only_python_recoded(pair, protos):
    net, receivers = pair

    async def run():
        peer = await joined(net, mixes_only=True, threshold=0.5)
        others_only(net)
        await send_and_take(net, protos, receivers, peer, [16385, 24577, 50000, 100001, 1000000])
        assert peer.counts['source out'] == 0
        assert peer.counts['mixed out'] >= 4 * K and peer.counts['mixed before decoding'] > 0
        await peer.leave()

    asyncio.run(run())


def test_python_relays_source_shards(pair, protos):
    net, receivers = pair

    async def run():
        peer = await joined(net)
        await send_and_take(net, protos, receivers, peer, [30000, 300000])
        assert peer.counts['source out'] >= 2 * K
        await peer.leave()

    asyncio.run(run())


@pytest.mark.parametrize('mixes_only', [False, True])
@pytest.mark.parametrize('k', [2, 16, 255])
def test_nodes_take_what_python_publishes(pair, k, mixes_only):
    net, receivers = pair

    async def run():
        peer = await joined(net, mixes_only=mixes_only)
        payload = os.urandom(k * 1000 - 1)
        await peer.publish(payload, time.time_ns(), k)
        sha = hashlib.sha256(payload).hexdigest()
        for r in receivers:
            assert await asyncio.to_thread(r.wait_for, sha, 30), f'{r.name_text} did not decode:\n{net.tail(net.nodes[0], 40)}'
        assert not peer.errors
        await peer.leave()

    asyncio.run(run())
