"""Gateways over real nodes: bursts, deaths, restarts, frozen nodes, thresholds."""
import json
import os
import pathlib
import re
import signal
import time
import urllib.error
import urllib.request

import burst
import network

WAIT = 20


def post(g, path, value):
    """(status, answer); status 0: nobody there."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    kind = 'application/octet-stream' if isinstance(value, bytes) else 'application/json'
    req = urllib.request.Request(f'http://{g.control_ip}:{network.HTTP_PORT}{path}', data=body, headers={'Content-Type': kind})
    try:
        with burst.OPEN(req, timeout=30) as r:
            return r.status, json.load(r)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)
    except OSError:
        return 0, {}


def publish_somewhere(gateways, topic, payload):
    """As a client does it: at the next gateway, with the same bytes, until one says that it is published. Returns the id."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        for g in gateways:
            status, answer = post(g, f'/publish?topic={topic}', payload)
            if status == 200:
                return answer['message_id']
        time.sleep(0.1)
    raise AssertionError('published nowhere')


def exactly_once(subscribers, ids, quiet_s=15):
    burst.settle(subscribers, ids, quiet_s=quiet_s, limit_s=60)
    for s in subscribers:
        assert not s.error, (s.name, s.error)
        assert burst.report(s, ids) == (0, 0, 0), (s.name, burst.report(s, ids))


def subscribe(net, g, protos, topic, tag, kinds=('ws', 'grpc')):
    made = {'ws': lambda: burst.WsSubscriber(g.control_ip, network.HTTP_PORT, topic, f'ws-{tag}'),
            'grpc': lambda: burst.GrpcSubscriber(g.control_ip, network.GRPC_PORT, topic, f'grpc-{tag}', protos)}
    subs = [made[k]() for k in kinds]
    burst.listen(net, g, subs, topic)
    return subs


def test_nothing_is_lost_or_doubled_by_bursts_deaths_and_restarts(make_network, protos):
    net = make_network(nodes=4, gateways=2, driver='kernel')
    first, second = net.gateways
    burst.wait_for_nodes(net)
    subs = subscribe(net, second, protos, 't', 'a')

    exactly_once(subs, burst.burst(first.control_ip, network.HTTP_PORT, 't', 2000, 1024))
    exactly_once(subs, burst.burst(first.control_ip, network.HTTP_PORT, 't', 20, 1 << 20))
    by_lanes = re.findall(r'^codecast_gateway_node_lane_published_total\{.*\} (\d+)', net.http(first, network.GATEWAY_API_PORT, '/metrics')[1], re.M)
    assert len(by_lanes) == 2 and sum(map(int, by_lanes)) >= 1000  # the large ones, and what came before they were open, by the streams

    # A node of gateway 1 dies under its publishes: the other one gets them.
    ids, dying = [], net.gateway_nodes(first)[0]
    for i in range(60):
        if i == 20:
            net.kill(dying, signal.SIGKILL)
        status, answer = post(first, '/publish?topic=t', os.urandom(5000))
        assert status == 200, answer
        ids.append(answer['message_id'])
    exactly_once(subs, ids)
    burst.wait_until(lambda: burst.health(net, first) == 'degraded')
    net.spawn(dying)
    burst.wait_until(lambda: burst.health(net, first) == 'ok', why='the node that came back is not noticed')

    # Gateway 1 dies: a client goes on at gateway 2 with what was not confirmed, and nothing comes twice.
    ids = []
    for i in range(40):
        if i == 20:
            net.kill(first, signal.SIGKILL)
        ids.append(publish_somewhere(net.gateways, 't', os.urandom(5000)))
    again = os.urandom(5000)
    net.spawn(first)
    net.wait_healthy(first, time.monotonic() + WAIT)
    burst.wait_until(lambda: burst.health(net, first) == 'ok')
    ids += [publish_somewhere([g], 't', again) for g in net.gateways]  # a client that lost the answer and asks elsewhere
    exactly_once(subs, ids)

    # Gateway 2 restarts: its clients come back, and what follows arrives, by all its nodes.
    for s in subs:
        assert max(s.got.values()) == 1, s.name  # nor later
        s.stop()
    assert net.kill(second) == 0
    net.spawn(second)
    net.wait_healthy(second, time.monotonic() + WAIT)
    burst.wait_until(lambda: burst.health(net, second) == 'ok')
    subs = subscribe(net, second, protos, 't', 'b')
    exactly_once(subs, [publish_somewhere([first], 't', os.urandom(5000)) for _ in range(20)])
    for s in subs:
        s.stop()


def test_gateways_inside_nodes_lose_and_double_nothing(make_network, protos):
    """Each node is its own gateway; one that dies takes its clients' connections along, and they go on at the next. What it has
    taken but not sent when it is killed dies with it: so that it has none, it is killed when all has arrived."""
    net = make_network(nodes=3, driver='kernel', embedded=True)
    first, second, third = net.nodes
    burst.wait_for_nodes(net)
    others = [s for g in (second, third) for s in subscribe(net, g, protos, 't', g.name)]
    exactly_once(others, burst.burst(first.control_ip, network.HTTP_PORT, 't', 2000, 1024))
    exactly_once(others, burst.burst(first.control_ip, network.HTTP_PORT, 't', 20, 1 << 20))
    for n in net.nodes:
        assert not any(burst.drops(net, n).values()), burst.drops(net, n)
    for kill in (False, True):
        if kill:
            net.kill(first, signal.SIGKILL)
        exactly_once(others, [publish_somewhere([first, second], 't', os.urandom(5000)) for _ in range(20)])
    for s in others:
        s.stop()


def is_stopped(pid):
    """All threads of it."""
    return all(pathlib.Path(f'/proc/{pid}/task/{t}/stat').read_text().rsplit(')', 1)[1].split()[0] == 'T' for t in os.listdir(f'/proc/{pid}/task'))


def test_a_gateway_and_its_nodes_that_come_freeze_die_and_return(make_network, protos):
    net = make_network(nodes=4, gateways=1, driver='kernel', late=4, node_env={'OPTIMUM_MAX_MSG_SIZE': '300000'})
    g, = net.gateways
    status, text = net.http(g, network.HTTP_PORT, '/health')
    assert (status, json.loads(text)['status']) == (503, 'unavailable')
    assert post(g, '/publish', {'topic': 't', 'data': 'too early'})[0] == 503
    net.late = []  # from now on they know each other
    subs = {t: burst.WsSubscriber(g.control_ip, network.HTTP_PORT, 't', t) for t in ('1.0', '0.25')}
    for t in subs:
        assert post(g, '/subscribe', {'client_id': t, 'topic': 't', 'threshold': float(t)})[0] == 200
    for n in net.nodes:
        net.spawn(n)
        net.wait_healthy(n, time.monotonic() + WAIT)
    burst.wait_for_nodes(net)
    for t, s in subs.items():  # a frame without threshold would set the default one: these only connect
        s.first = {'type': 'ping', 'id': 1}
    burst.listen(net, g, subs.values(), 't')
    every, some = subs['1.0'], subs['0.25']

    # The limit is the nodes'.
    assert post(g, '/publish?topic=t', os.urandom(300001))[0] == 413
    exactly_once(subs.values(), [publish_somewhere([g], 't', os.urandom(300000))])

    # Frozen: withheld from who wants all nodes to have it, also once the gateway has noticed; publishes go elsewhere.
    frozen = net.nodes[3]
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        burst.wait_until(lambda: is_stopped(frozen.process.pid))  # on a busy machine its threads run on for a moment
        t0 = time.monotonic()
        ids = [publish_somewhere([g], 't', os.urandom(2000)) for _ in range(8)]
        burst.wait_until(lambda: burst.health(net, g) == 'degraded', why='a frozen node is not noticed')
        assert time.monotonic() - t0 < 15
        ids += [publish_somewhere([g], 't', os.urandom(2000)) for _ in range(8)]
        exactly_once([some], ids)
        assert not any(every.got[i] for i in ids)
    finally:
        frozen.process.send_signal(signal.SIGCONT)
    burst.wait_until(lambda: burst.health(net, g) == 'ok', why='a node that thawed is not noticed')
    burst.wait_until(lambda: burst.is_subscribed(net, frozen, 't') and burst.has_mesh(net, frozen, 't'))
    exactly_once(subs.values(), [publish_somewhere([g], 't', os.urandom(2000)) for _ in range(8)])

    # Killed: noticed at once; back again: subscribed anew.
    net.kill(net.nodes[2], signal.SIGKILL)
    burst.wait_until(lambda: burst.health(net, g) == 'degraded', seconds=10)
    exactly_once([some], [publish_somewhere([g], 't', os.urandom(2000)) for _ in range(8)])
    net.spawn(net.nodes[2])
    burst.wait_until(lambda: burst.health(net, g) == 'ok', why='the node that came back is not noticed')
    burst.wait_until(lambda: burst.is_subscribed(net, net.nodes[2], 't') and burst.has_mesh(net, net.nodes[2], 't'))
    exactly_once(subs.values(), [publish_somewhere([g], 't', os.urandom(2000)) for _ in range(8)])
    for s in subs.values():
        s.stop()
    for n in net.nodes:
        net.kill(n, signal.SIGKILL)
    burst.wait_until(lambda: net.http(g, network.HTTP_PORT, '/health')[0] == 503, seconds=10)
    assert post(g, '/publish', {'topic': 't', 'data': 'too late'})[0] == 503
