"""The gossipsub-interop node by its --params contract: nodes in network namespaces, with host names and addresses as that suite's simulator gives
them."""
import collections
import datetime
import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from conftest import BUILD, pytest_sessionfinish  # noqa: E402, F401

NODE = BUILD / 'tests/interop/testplans/gossipsub'
NODES = 5
TAG = f'tp{os.getpid() % 100000}'


def sh(text):
    subprocess.run(['sh', '-ec', text], check=True, capture_output=True)


@pytest.fixture
def lan():
    """namespace(i) of nodes 0..NODES-1 on one bridge."""
    if os.geteuid() != 0:
        pytest.skip('namespaces need root')
    names = [f'{TAG}n{i}' for i in range(NODES)]
    try:
        sh(f'ip netns add {TAG}br; ip -n {TAG}br link add br0 type bridge; ip -n {TAG}br link set br0 up')
        for i, name in enumerate(names):
            sh(f'ip netns add {name}; ip -n {name} link add eth0 type veth peer name p{i} netns {TAG}br; ip -n {name} link set lo up;'
               f'ip -n {name} addr add 10.77.0.{i + 1}/24 dev eth0; ip -n {name} link set eth0 up;'
               f'ip -n {TAG}br link set p{i} master br0; ip -n {TAG}br link set p{i} up')
        yield lambda i: names[i]
    finally:
        for name in [*names, f'{TAG}br']:
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True)


def run(namespaces, tmp_path, script):
    """Every node runs the script; [(exit code, lines of stdout, stderr)]."""
    (tmp_path / 'params.json').write_text(json.dumps({'script': script}))
    (tmp_path / 'hosts').write_text(''.join(f'10.77.0.{i + 1} node{i}\n' for i in range(NODES)))
    processes = []
    for name, i in namespaces:
        inner = f'mount --bind {tmp_path}/hosts /etc/hosts; hostname node{i}; exec {NODE} --params {tmp_path}/params.json'
        processes.append(subprocess.Popen(['ip', 'netns', 'exec', name, 'unshare', '-mu', 'sh', '-ec', inner], text=True,
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    done = []
    try:
        for p in processes:
            out, err = p.communicate(timeout=90)
            done.append((p.returncode, [json.loads(line) for line in out.splitlines()], err))
    finally:
        for p in processes:
            p.kill()
    return done


def init(**params):
    return {'type': 'initGossipSub', 'gossipSubParams': params}


def only(node, instruction):
    return {'type': 'ifNodeIDEquals', 'nodeID': node, 'instruction': instruction}


def wait(seconds):
    return {'type': 'waitUntil', 'elapsedSeconds': seconds}


def publish(message, size, topic='a-subnet'):
    return {'type': 'publish', 'messageID': message, 'messageSizeBytes': size, 'topicID': topic}


def received(lines):
    return collections.Counter(e['id'] for e in lines if e['msg'] == 'Received Message')


def test_nodes_play_a_script_and_all_get_every_message(lan, tmp_path):
    subscribers = range(NODES - 1)  # the last one only publishes
    big = 2**40 + 7
    script = [
        {'type': 'initGossipSub', 'gossipSubParams': {'D': 3, 'Dlo': 2, 'Dhi': 4, 'Dout': 1, 'GossipFactor': None,
                                                      'HeartbeatInterval': 500_000_000}},
        {'type': 'setTopicValidationDelay', 'topicID': 'a-subnet', 'delaySeconds': 0.005},
        *[only(i, {'type': 'connect', 'connectTo': [j for j in range(i)]}) for i in range(1, NODES)],
        *[only(i, {'type': 'subscribeToTopic', 'topicID': 'a-subnet'}) for i in subscribers],
        wait(6),
        *[only(i, publish(i, 2048)) for i in range(NODES)],
        only(0, publish(big, 96 * 1024)),
        only(1, publish(99, 1024, 'nobody-hears')),
        wait(12),
    ]
    done = run([(lan(i), i) for i in range(NODES)], tmp_path, script)
    for i, (code, lines, err) in enumerate(done):
        assert code == 0, f'node{i}: {err}'
        assert all(datetime.datetime.fromisoformat(e['time']) and e['msg'] for e in lines)
        assert lines[0] | {'time': ''} == {'time': '', 'level': 'INFO', 'msg': 'PeerID', 'id': lines[0]['id'], 'node_id': i}
    peers = [lines[0]['id'] for _, lines, _ in done]
    assert len(set(peers)) == NODES
    for i in subscribers:
        got = received(done[i][1])
        want = {str(m) for m in (*range(NODES), big)}
        own = {str(i)} | ({str(big)} if i == 0 else set())
        assert want - own <= set(got) <= want, f'node{i} got {got}'
        for e in done[i][1]:
            if e['msg'] == 'Received Message':
                assert e['from'] in peers and e['from'] != peers[i] and e['topic'] == 'a-subnet'
    assert not received(done[NODES - 1][1])
    assert any(n > 1 for _, lines, _ in done for n in received(lines).values()), 'in a full network some message comes twice, and each shows'


@pytest.mark.parametrize('number,peer', [
    (3, '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'), (12345, '12D3KooWBcAzpFunZp5yFV4idLnigvxYHJtYGxwk52amoAMWrfeo')])
def test_keys_come_from_the_number(lan, tmp_path, number, peer):
    """Ids as rust-libp2p has them for those seeds."""
    code, lines, err = run([(lan(0), number)], tmp_path, [init()])[0]
    assert (code, lines[0]['id'], lines[0]['node_id']) == (0, peer, number), err


@pytest.mark.parametrize('script,why', [
    ([init(), {'type': 'dance'}], 'unknown instruction: dance'),
    ([{'type': 'subscribeToTopic', 'topicID': 't'}], 'before initGossipSub'),
    ([init(), publish(1, 4)], 'messageSizeBytes'),
    ([init(), {'type': 'subscribeToTopic', 'topicID': 't', 'partial': True}], 'no partial messages'),
    ([init(), {'type': 'connect', 'connectTo': [77]}], 'no address of node77'),
], ids=['unknown', 'order', 'size', 'partial', 'name'])
def test_what_a_node_cannot_play_it_refuses(lan, tmp_path, script, why):
    code, lines, err = run([(lan(0), 0)], tmp_path, script)[0]
    assert code == 1 and why in err and lines[0]['msg'] == 'PeerID'
