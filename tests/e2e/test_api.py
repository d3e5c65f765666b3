"""The client-facing surface as clients that exist use it: wrong inputs, shapes, gRPC services, trace events, by a gateway program and by
the gateway inside a node, over one network of two nodes."""
import base64
import hashlib
import json
import os
import queue
import time
import urllib.error
import urllib.request

import grpc
import pytest

import network
from burst import OPEN, wait_until

FAMILIES = '', '/api', '/api/v1'
LONG = 'x' * 257
LIMIT = 1 << 20  # OPTIMUM_MAX_MSG_SIZE's default
OCTETS = 'application/octet-stream'


def sha(data):
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


def ask(base, method, path, body=None, kind='application/json'):
    """(status, answer, its bytes, its headers)"""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    req = urllib.request.Request(f'http://{base}{path}', data=body, method=method, headers={'Content-Type': kind} if body is not None else {})
    try:
        with OPEN(req, timeout=30) as r:
            status, raw, headers = r.status, r.read(), r.headers
    except urllib.error.HTTPError as e:
        status, raw, headers = e.code, e.read(), e.headers
    is_json = 'json' in headers.get('content-type', '')
    return status, json.loads(raw) if is_json else raw.decode(), raw, headers


def gateway_bases(api):
    """The program, and the one inside a node."""
    return [f'{m.ip}:{network.HTTP_PORT}' for m in (api.gateways[0], api.nodes[0])]


def node_base(api):
    return f'{api.nodes[0].ip}:{network.API_PORT}'


# ---- wrong inputs: method, path, body, status, words of the answer; paths in all three families ----

GATEWAY_PATHS = {'publish': 'POST', 'subscribe': 'POST', 'unsubscribe': 'POST', 'session': 'POST', 'ws': 'GET', 'health': 'GET', 'version': 'GET',
                 'node-countries': 'GET', 'node-state': 'GET', 'topics': 'GET', 'tracer/stream': 'GET', 'metrics': 'GET'}
NODE_PATHS = 'health', 'node-state', 'version', 'config', 'p2p-snapshot', 'topics', 'peers', 'ready', 'metrics'

FULL = {'client_id': 'wrong', 'topic': 'wrong', 'message': 'm'}
GATEWAY_WRONG = [
    *(('POST' if m == 'GET' else 'GET', '/' + p, None if m == 'POST' else b'{}', 405, f'use {m}') for p, m in GATEWAY_PATHS.items()),
    *(('DELETE', '/' + p, None, 405, 'method not allowed') for p in [*GATEWAY_PATHS, 'tracer/reset']),
    ('GET', '/nothing', None, 404, 'no such path'), ('POST', '/publish/x', b'{}', 404, 'no such path'), ('GET', '/debug/pprof', None, 404, 'no such'),
    ('GET', '/ws?client_id=x', None, 426, 'WebSocket'),
    *(('POST', p, b, 400, 'invalid JSON') for p in ('/publish', '/subscribe', '/unsubscribe', '/session') for b in (b'{', b'', b'[]', b'\xff', b'{"a":1}x')),
    ('POST', '/publish', {'client_id': 'wrong', 'message': 'm'}, 400, 'missing topic'),
    ('POST', '/publish', {'data': 'm'}, 400, 'missing topic'),
    ('POST', '/publish', {'topic': 'wrong', 'message': 'm'}, 400, 'missing client ID'),
    ('POST', '/publish', {}, 400, 'missing client ID, missing topic'),
    ('POST', '/publish', {'client_id': 'wrong', 'topic': 'wrong'}, 400, 'either message or message_length must be provided'),
    ('POST', '/publish', {'topic': 'wrong', 'data': ''}, 400, 'either message or message_length must be provided'),
    ('POST', '/publish', {**FULL, 'topic': 'nobody is here'}, 400, 'topic not assigned'),
    ('POST', '/publish', {**FULL, 'topic': LONG}, 400, 'topic too long'),
    ('POST', '/publish', {**FULL, 'client_id': LONG}, 400, 'client ID too long'),
    ('POST', '/publish', {**FULL, 'topic': 'a\nb'}, 400, 'control characters'),
    ('POST', '/publish', {**FULL, 'message': 5}, 400, 'message must be a string'),
    ('POST', '/publish', {**FULL, 'message': '%%', 'encoding': 'base64'}, 400, 'not base64'),
    ('POST', '/publish', {**FULL, 'encoding': 'rot13'}, 400, 'encoding'),
    *(('POST', '/publish', {'client_id': 'wrong', 'topic': 'wrong', 'message_length': n}, 400, 'message_length') for n in (0, -1, 1.5, '5')),
    *(('POST', '/publish', {**FULL, 'message': None, **more}, 400, 'invalid JSON') for more in ({'message_length': '5'}, {'client_id': 5}, {'topic': []})),
    ('POST', '/publish', {'client_id': 'wrong', 'topic': 'wrong', 'message_length': LIMIT + 1}, 413, 'too large'),
    ('POST', '/publish', {'topic': 'wrong', 'data': 'm' * (LIMIT + 1)}, 413, 'too large'),
    ('POST', '/subscribe', {'topic': 'wrong'}, 400, 'missing client ID'), ('POST', '/subscribe', {'client_id': 'wrong'}, 400, 'missing topic'),
    ('POST', '/subscribe', {'client_id': LONG, 'topic': 't'}, 400, 'client ID too long'),
    ('POST', '/subscribe', {'client_id': 'wrong', 'topic': LONG}, 400, 'topic too long'),
    *(('POST', '/subscribe', {'client_id': 'wrong', 'topic': 't', 'threshold': t}, 400, 'threshold') for t in (0, -0.5, 1.01, '1', [])),
    ('POST', '/unsubscribe', {'topic': 't'}, 400, 'missing client ID'), ('POST', '/unsubscribe', {'client_id': 'wrong'}, 400, 'missing topic'),
    ('GET', '/topics', None, 400, 'missing client ID'), ('GET', f'/topics?client_id={LONG}', None, 400, 'client ID too long'),
    ('GET', '/topics?client_id=%ff', None, 400, 'not UTF-8'),
    ('POST', '/session', {'topics': ['t']}, 400, 'missing client ID'),
    *(('POST', '/session', {'client_id': 'wrong', **more}, 400, 'invalid JSON') for more in ({'expose_amount': 'x'}, {'expose_amount': -1}, {'topics': 'a'})),
    ('GET', '/tracer/stream?window=soon', None, 400, 'window'), ('GET', '/tracer/stream?window=-1s', None, 400, 'window'),
]
OCTETS_WRONG = [
    ('/publish', b'x', 400, 'missing topic'), ('/publish?topic=', b'x', 400, 'missing topic'), ('/publish?topic=t', b'', 400, 'either message'),
    (f'/publish?topic={LONG}', b'x', 400, 'topic too long'), ('/publish?topic=t%0a', b'x', 400, 'control'),
    ('/publish?topic=nobody&client_id=wrong', b'x', 400, 'topic not assigned'), ('/publish?topic=t', b'x' * (LIMIT + 1), 413, 'too large'),
]
NODE_WRONG = [
    *((m, '/' + p, b'{}' if m == 'POST' else None, 405, 'use GET') for p in NODE_PATHS for m in ('POST', 'PUT', 'DELETE')),
    *(('GET', p, None, 404, 'no such path') for p in ('/nothing', '/publish', '/health/x')),
]


def check_wrong(base, rows, families):
    bad = []
    for method, path, body, status, words, *kind in rows:
        for family in families:
            got, answer, raw, headers = ask(base, method, family + path, body, *kind)
            error = answer.get('error', '') if isinstance(answer, dict) else ''
            if (got, raw[:10]) != (status, b'{"error":"') or words not in error or (status == 405 and not headers['allow']):
                bad.append((base, method, family + path[:80], repr(body)[:80], got, str(answer)[:200]))
    assert not bad, bad


NODE_METRICS = """conn_stream_duration_seconds conn_streams_current conn_total_connections bandwidth_messages_total bandwidth_total_bytes
    bandwidth_traffic_bytes_total mump2p_delivered_messages_bytes mump2p_delivered_messages_count mump2p_delivered_messages_delay_seconds
    mump2p_dropped_queue_full_total mump2p_dropped_rejected_total mump2p_dropped_throttled_total mump2p_peers_per_protocol
    mump2p_received_messages_bytes mump2p_received_messages_count mump2p_shards_duplicate_total mump2p_shards_total mump2p_shards_unhelpful_total
    mump2p_shards_unnecessary_total mump2p_total_peers p2p_active_topics p2p_message_size_bytes p2p_messages_published_total
    p2p_messages_received_total p2p_publish_errors_total"""
GATEWAY_METRICS = """client_topic_threshold fallback_deliveries_total message_first_seen_timestamp message_seen_nodes_count message_size_bytes
    node_received_messages_total nodes_active_total publish_error_total optimum_proxy_p2p_connections optimum_proxy_published_by_client_total
    optimum_proxy_ws_clients_active optimum_p2p_message_size_bytes"""


def test_every_metric_that_dashboards_ask_for_is_there(api):
    for base, names in ((node_base(api), ['optimum_' + n for n in NODE_METRICS.split()]), *((b, GATEWAY_METRICS.split()) for b in gateway_bases(api))):
        text = ask(base, 'GET', '/metrics')[1]
        missing = [n for n in names if f'# TYPE {n} ' not in text]
        assert not missing and 'process_cpu_seconds_total{' in text, (base, missing)


def test_wrong_inputs_of_the_gateway(api):
    for base in gateway_bases(api):
        ask(base, 'POST', '/subscribe', {'client_id': 'wrong', 'topic': 'wrong'})
        check_wrong(base, GATEWAY_WRONG, FAMILIES)
        check_wrong(base, [('POST', p, b, s, w, OCTETS) for p, b, s, w in OCTETS_WRONG], FAMILIES)
        check_wrong(base, [('GET', '/api/v2/health', None, 404, 'no such path')], [''])


def test_wrong_inputs_of_the_node(api):
    check_wrong(node_base(api), NODE_WRONG, FAMILIES)
    check_wrong(node_base(api), [('POST', '/debug/peers', b'', 405, 'use GET'), ('GET', '/api/v1/debug/peers', None, 404, 'no such path')], [''])


# ---- right ones: every field ----

def test_log_level_over_http(api):
    for base in (node_base(api), f'{api.gateways[0].ip}:{network.GATEWAY_API_PORT}'):
        was = ask(base, 'GET', '/debug/log-level')[1]['level']
        for body, level in ((b'debug', 'debug'), ({'level': 'error'}, 'error'), (b'warn\n', 'warn'), ({'level': was}, was)):
            assert ask(base, 'PUT', '/debug/log-level', body)[:2] == (200, {'level': level})
            assert ask(base, 'GET', '/debug/log-level')[1] == {'level': level}
        check_wrong(base, [*(('PUT', '/debug/log-level', b, 400, 'the level is') for b in (b'', b'all', b'\0', {'level': 1}, {}, [], b'{"level":"debug"')),
                           ('POST', '/debug/log-level', b'debug', 405, 'not allowed'), ('GET', '/api/debug/log-level', None, 404, 'no such path')], [''])


def test_shapes_of_the_gateway(api):
    for base in gateway_bases(api):
        for f in FAMILIES:
            status, a, raw, _ = ask(base, 'GET', f + '/health')
            assert status == 200 and b'"status":"ok"' in raw
            assert all(isinstance(a[k], str) for k in ('country', 'country_iso', 'cpu_used', 'disk_used', 'memory_used'))
            assert set(ask(base, 'GET', f + '/version')[1]) == {'version', 'commit_hash'}
            a = ask(base, 'GET', f + '/node-countries')[1]
            assert a['count'] == len(a['countries']) == len(a['country_isos']) > 0
            assert set(a['countries'].values()) == {'India'} and set(a['country_isos'].values()) == {'IN'}
            assert ask(base, 'POST', f + '/subscribe', {'client_id': 'shape', 'topic': 'shape', 'threshold': 0.1})[2] == \
                b'{"status":"subscribed","client":"shape"}'
            assert ask(base, 'GET', f + '/topics?client_id=shape')[1] == {'client_id': 'shape', 'topics': ['shape'], 'count': 1}
            text = f'{base}{f}'
            for status in ('published', 'deduplicated'):
                assert ask(base, 'POST', f + '/publish', {'client_id': 'shape', 'topic': 'shape', 'message': text, 'timestamp': 1})[2] == \
                    b'{"status":"%s","topic":"shape","message_id":"%s"}' % (status.encode(), sha(text).encode())
            a = ask(base, 'POST', f + '/publish', {'client_id': 'shape', 'topic': 'shape', 'message_length': 100})[1]
            assert a['status'] == 'published' and len(a['message_id']) == 64
            a = ask(base, 'POST', f + '/session', {'client_id': 'shape', 'topics': ['shape'], 'capabilities': ['publish'], 'expose_amount': 1})[1]
            assert set(a) == {'session_id', 'nodes', 'expires_at', 'refresh_after'} and len(a['nodes']) == 1
            assert set(a['nodes'][0]) == {'id', 'address', 'transport', 'region', 'ticket', 'score'}
            assert a['nodes'][0]['id'] in [n.peer_id for n in api.nodes] and a['nodes'][0]['region'] == 'IN'
            a = ask(base, 'GET', f + '/tracer/stream?window=60s')[1]
            assert set(a) == {'algorithm', 'active_nodes', 'unhealthy_nodes', 'published_messages', 'delivered_messages', 'duplicate_messages',
                              'average_delay_seconds', 'p75', 'p95', 'total_bytes_moved', 'bloat_factor', 'ideal_byte_complexity', 'last_updated',
                              'messages', 'window_seconds'}
            assert set(a['messages'][sha(text)]) == {'topic', 'published', 'delivered', 'delay_sec', 'peers_seen', 'duplicates', 'bytes_moved'}
            assert ask(base, 'GET', f + '/tracer/reset')[0] == 200
            assert 'client_topic_threshold{' in ask(base, 'GET', f + '/metrics')[1]


HEALTH = {'country', 'country_iso', 'cpu_used', 'disk_used', 'memory_used', 'mode', 'status'}


def test_shapes_of_the_node(api):
    base = node_base(api)
    for f in FAMILIES:
        a = ask(base, 'GET', f + '/health')[1]
        assert set(a) == HEALTH
        assert (a['mode'], a['status'], a['country'], a['country_iso']) == ('optimum', 'ok', 'India', 'IN') and all(isinstance(v, str) for v in a.values())
        a = ask(base, 'GET', f + '/node-state')[1]
        assert set(a) == {'pub_key', 'country', 'country_iso', 'addresses', 'peers', 'topics'}
        assert (a['pub_key'], a['peers'], a['country'], a['country_iso']) == (api.nodes[0].peer_id, [api.nodes[1].peer_id], 'India', 'IN')
        assert a['addresses'] == [f'/ip4/{api.nodes[0].ip}/tcp/{api.mesh_port()}']
        assert set(ask(base, 'GET', f + '/version')[1]) == {'version', 'commit_hash'}
        assert ask(base, 'GET', f + '/config')[1]['cluster_id'] == 'node1'
        a = ask(base, 'GET', f + '/p2p-snapshot')[1]
        assert set(a) == {'seen_message_hashes', 'fully_decoded_message_hashes', 'undecoded_shard_buffer_sizes', 'total_peer_count',
                          'full_message_node_count', 'partial_message_node_count', 'connected_peers'}
        assert ask(base, 'GET', f + '/topics?topic=nobody%20knows')[1]['topics'] == []
        assert 'optimum_mump2p_delivered_messages_delay_seconds_count{' in ask(base, 'GET', f + '/metrics')[1]
    peer = ask(base, 'GET', '/debug/peers')[1]['peers'][0]
    assert {'peer_id', 'address', 'direction', 'protocol', 'mesh', 'score', 'traffic', 'rtt_ms'} <= set(peer)
    # A topic that nobody else wants is no reason to wait.
    ask(f'{api.nodes[0].ip}:{network.HTTP_PORT}', 'POST', '/subscribe', {'client_id': 'alone', 'topic': 'lonely'})
    wait_until(lambda: any(t['subscribed'] for t in ask(base, 'GET', '/topics?topic=lonely')[1]['topics']))
    wait_until(lambda: ask(base, 'GET', '/ready')[0] == 200)
    for f in FAMILIES:  # the gateway's port for monitoring has the node's shapes
        gateway = f'{api.gateways[0].ip}:{network.GATEWAY_API_PORT}'
        health = ask(gateway, 'GET', f + '/health')[1]
        assert HEALTH <= set(health) and health['mode'] == 'optimum'
        a = ask(gateway, 'GET', f + '/node-state')[1]
        assert set(a) == {'pub_key', 'country', 'country_iso', 'addresses', 'peers', 'topics'}
        assert a['pub_key'] in [n.peer_id for n in api.nodes]


def test_a_message_is_known_wherever_it_got_to(api, protos):
    pb = protos['sidecar']
    one, two = (Caller(n.ip, network.SIDECAR_PORT, pb) for n in api.nodes[:2])
    listen = 'CommandStream/ListenCommands'

    def publish(node, topic, data):
        return json.loads(next(node.stream(listen, 'Response', pb.Request(command=1, topic=topic, data=data), None)[0]).data)['status']

    def snapshot(node):
        return ask(f'{node.ip}:{network.API_PORT}', 'GET', '/api/v1/p2p-snapshot')[1]

    call, _ = two.stream(listen, 'Response', pb.Request(command=2, topic='everywhere'))
    wait_until(lambda: any(t['peers'] for t in ask(node_base(api), 'GET', '/topics?topic=everywhere')[1]['topics']))
    for size in (100, 100000):  # a plain message and a coded one
        data = os.urandom(size)
        assert publish(one, 'everywhere', data) == 'published'
        wait_until(lambda: sha(data) in snapshot(api.nodes[1])['seen_message_hashes'])
        for node in api.nodes[:2]:
            wait_until(lambda: snapshot(node)['undecoded_shard_buffer_sizes'] == {})
            a = snapshot(node)
            assert sha(data) in a['seen_message_hashes'] and sha(data) in a['fully_decoded_message_hashes']
            assert all(len(i) == 64 for i in a['seen_message_hashes'])
            assert (a['total_peer_count'], len(a['connected_peers']), a['partial_message_node_count']) == (1, 1, 0)
        wait_until(lambda: snapshot(api.nodes[1])['full_message_node_count'] == 1)  # the one it came from
        assert (publish(two, 'everywhere', data), publish(two, 'elsewhere', data)) == ('deduplicated', 'published')
    call.cancel()
    one.channel.close()
    two.channel.close()


def metric(node, name):
    text = ask(f'{node.ip}:{network.API_PORT}', 'GET', '/metrics')[1]
    return sum(float(line.rsplit(' ', 1)[1]) for line in text.splitlines() if line.startswith(name + '{'))


# ---- gRPC: a gateway's services ----

class Caller:
    """A client by python3-grpcio of one address."""

    def __init__(self, host, port, pb):
        options = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1), ('grpc.keepalive_time_ms', 120000),
                   ('grpc.keepalive_timeout_ms', 20000), ('grpc.use_local_subchannel_pool', 1), ('grpc.enable_http_proxy', 0)]
        self.channel, self.pb = grpc.insecure_channel(f'{host}:{port}', options=options), pb

    def unary(self, method, request, answer):
        return self.channel.unary_unary(f'/proto.{method}', lambda m: m.SerializeToString(), getattr(self.pb, answer).FromString)(request, timeout=20)

    def stream(self, method, answer, *first):
        """(the call, a queue of what to send; None half-closes)"""
        out = queue.Queue()
        for m in first:
            out.put(m)
        return self.channel.stream_stream(f'/proto.{method}', lambda m: m.SerializeToString(), getattr(self.pb, answer).FromString)(
            iter(out.get, None), timeout=60), out


def test_grpc_services_of_the_gateway_under_every_name(api, protos):
    pb = protos['gateway']
    for m in (api.gateways[0], api.nodes[0]):
        g = Caller(m.ip, network.GRPC_PORT, pb)
        for service, method, kind in (('ProxyStream', 'ClientStream', 'ProxyMessage'), ('ProxyStream', 'Stream', 'ProxyMessage'),
                                      ('GatewayStream', 'ClientStream', 'GatewayMessage'), ('GatewayStream', 'Stream', 'GatewayMessage')):
            name, topic, data = f'{m.name}{service}{method}', f'{m.name}{service}{method}', os.urandom(50)
            a = g.unary(f'{service}/Subscribe', pb.SubscribeRequest(client_id=name, topic=topic, threshold=0.1), 'SubscribeResponse')
            assert (a.status, a.topic, a.client_id) == ('subscribed', topic, name)
            call, out = g.stream(f'{service}/{method}', kind, getattr(pb, kind)(client_id=name))
            a = g.unary(f'{service}/Publish', pb.PublishRequest(client_id=name, topic=topic, message=data), 'PublishResponse')
            assert (a.status, a.topic, a.client_id, a.message_id) == ('published', topic, name, sha(data))
            got = next(call)
            assert (got.topic, got.message, got.message_id) == (topic, data, sha(data))
            out.put(getattr(pb, kind)(type='publish', topic=topic, message=data[::-1]))
            assert next(call).message_id == sha(data[::-1])
            call.cancel()
            a = g.unary(f'{service}/ExposeNodes', pb.ExposeNodesRequest(client_id=name, expose_amount=1), 'ExposeNodesResponse')
            assert len(a.nodes) == len(a.nodesOptP2P) == 1
        a = g.unary('SessionService/CreateSession', pb.SessionRequest(client_id='c', topics=['t'], capabilities=['publish']), 'SessionResponse')
        assert a.session_id and a.nodes[0].transport == 'grpc' and a.expires_at and a.refresh_after and not a.error
        for method, request, words in (('Publish', pb.PublishRequest(client_id='c', message=b'm'), 'missing topic'),
                                       ('Publish', pb.PublishRequest(client_id='c', topic=LONG, message=b'm'), 'topic too long'),
                                       ('Publish', pb.PublishRequest(client_id='c', topic='t', message=bytes(LIMIT + 1)), 'message too large'),
                                       ('Publish', pb.PublishRequest(client_id='c', topic='t'), 'missing message'),
                                       ('Subscribe', pb.SubscribeRequest(topic='t'), 'missing client ID'),
                                       ('Subscribe', pb.SubscribeRequest(client_id='c'), 'missing topic'),
                                       ('Subscribe', pb.SubscribeRequest(client_id='c', topic='t', threshold=2), 'threshold')):
            with pytest.raises(grpc.RpcError) as e:
                g.unary('ProxyStream/' + method, request, method + 'Response')
            assert words in e.value.details()
            assert e.value.code() == (grpc.StatusCode.RESOURCE_EXHAUSTED if 'large' in words else grpc.StatusCode.INVALID_ARGUMENT)
        g.channel.close()


# ---- the sidecar, and the habits of its clients ----

def test_habits_of_the_clients_of_the_sidecar(api, protos):
    pb = protos['sidecar']
    node = Caller(api.nodes[0].ip, network.SIDECAR_PORT, pb)
    listen = 'CommandStream/ListenCommands'

    a = node.unary('CommandStream/Health', pb.Void(), 'HealthResponse')
    assert (a.country, a.country_iso) == ('India', 'IN')
    assert a.status and a.nodeMode == 'optimum' and a.p2pAddress.endswith(api.nodes[0].peer_id)

    # Publishes, half-closes, and requires a Response.
    call, _ = node.stream(listen, 'Response', pb.Request(command=1, topic='habit', data=b'one'), None)
    got = list(call)
    assert len(got) == 1 and json.loads(got[0].data)['message_id'] == sha('one')

    # A subscriber of one topic, by another node, while one client publishes to two and never reads.
    other = Caller(api.nodes[1].ip, network.SIDECAR_PORT, pb)
    mine, _ = other.stream(listen, 'Response', pb.Request(command=4, data=b'["mine"]'))
    wait_until(lambda: 'mine' in other.unary('CommandStream/ListTopics', pb.Void(), 'TopicList').topics)
    wait_until(lambda: any(t['peers'] for t in ask(node_base(api), 'GET', '/topics?topic=mine')[1]['topics']))
    deaf, loop = node.stream(listen, 'Response')
    payloads = [os.urandom(100) for _ in range(300)]
    big = [os.urandom(LIMIT) for _ in range(4)]
    for p in payloads + big:
        loop.put(pb.Request(command=1, topic='not mine', data=p))
        loop.put(pb.Request(command=1, topic='mine', data=p))
    ids, traces, until = {sha(p) for p in payloads + big}, [], time.monotonic() + 60
    for r in mine:
        if r.command == 1:
            j = json.loads(r.data)
            assert j['topic'] == 'mine' and sha(base64.b64decode(j['message'])) == j['message_id']
            assert j['source_node_id'] == j['upstream_peer_id'] == api.nodes[0].peer_id
            ids.remove(j['message_id'])
        elif r.command == 2:
            traces.append(r.data)
        if not ids or time.monotonic() > until:
            break
    assert not ids
    mine.cancel()
    deaf.cancel()

    # Oversize is told; the stream goes on, and says so again at its end.
    call, out = node.stream(listen, 'Response', pb.Request(command=1, topic='habit', data=bytes(LIMIT + 1)))
    assert json.loads(next(call).data)['code'] == 413
    out.put(pb.Request(command=1, topic='habit', data=b'after it'))
    assert json.loads(next(call).data)['status'] == 'published'
    out.put(None)
    with pytest.raises(grpc.RpcError) as e:
        next(call)
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED

    check_traces(traces, protos['trace'])
    # 304 came to node 2 from node 1; of its own ones a node has no delay.
    took = [metric(n, 'optimum_mump2p_delivered_messages_delay_seconds_' + k) for n in reversed(api.nodes) for k in ('count', 'sum')]
    assert took[0] >= 304 and 0 < took[1] < 60 * took[0] and took[2] < 304
    node.channel.close()
    other.channel.close()


# ---- trace events, by a description of their own ----

EVENT = ('type', 'peerID', 'timestamp', 'publishMessage', 'rejectMessage', 'duplicateMessage', 'deliverMessage', 'addPeer', 'removePeer', 'recvRPC',
         'sendRPC', 'dropRPC', 'join', 'leave', 'graft', 'prune', 'duplicateShard', 'unhelpfulShard', 'unnecessaryShard', 'newShard')
TYPES = ('PUBLISH_MESSAGE', 'REJECT_MESSAGE', 'DUPLICATE_MESSAGE', 'DELIVER_MESSAGE', 'ADD_PEER', 'REMOVE_PEER', 'RECV_RPC', 'SEND_RPC', 'DROP_RPC',
         'JOIN', 'LEAVE', 'GRAFT', 'PRUNE', 'DUPLICATE_SHARD', 'UNHELPFUL_SHARD', 'UNNECESSARY_SHARD', 'NEW_SHARD')
SHARD = 'messageID:1 receivedFrom:2 coefficients:3'
PARTS = {'publishMessage': 'messageID:1 topic:2', 'rejectMessage': 'messageID:1 receivedFrom:2 reason:3 topic:4',
         'duplicateMessage': 'messageID:1 receivedFrom:2 topic:3', 'deliverMessage': 'messageID:1 topic:2 receivedFrom:3',
         'addPeer': 'peerID:1 proto:2', 'removePeer': 'peerID:1', 'recvRPC': 'receivedFrom:1 meta:2 length:3', 'sendRPC': 'sendTo:1 meta:2 length:3',
         'dropRPC': 'sendTo:1 meta:2', 'join': 'topic:1', 'leave': 'topic:2', 'graft': 'peerID:1 topic:2', 'prune': 'peerID:1 topic:2',
         'duplicateShard': SHARD, 'unhelpfulShard': SHARD, 'unnecessaryShard': SHARD, 'newShard': SHARD}


def check_traces(traces, pb):
    """They are read with the fields of the table, and nothing is left over."""
    fields = pb.TraceEvent.DESCRIPTOR.fields_by_name
    assert [fields[n].number for n in EVENT] == list(range(1, 21))
    assert [v.name for v in fields['type'].enum_type.values] == list(TYPES)
    for name, want in PARTS.items():
        assert {f'{f.name}:{f.number}' for f in fields[name].message_type.fields} == set(want.split()), name
    kinds = set()
    for raw in traces:
        e = pb.TraceEvent.FromString(raw)
        assert not len(e.UnknownFields()) and e.SerializeToString() == raw
        assert abs(e.timestamp / 1e9 - time.time()) < 600 and e.peerID
        assert e.HasField(EVENT[3 + e.type])
        kinds.add(TYPES[e.type])
    assert {'DELIVER_MESSAGE', 'NEW_SHARD'} <= kinds, kinds


def test_gossipsub_traces_are_those_of_go_libp2p_pubsub(make_network, protos):
    net = make_network(nodes=1, gateways=0, mode='gossipsub', driver='kernel', loopback='127.0.3',
                       node_env={'GOSSIPSUB_PORT': '6161', 'GOSSIPSUB_MAX_MSG_SIZE': '1000'})
    pb = protos['sidecar']
    node = Caller(net.nodes[0].ip, network.SIDECAR_PORT, pb)
    call, out = node.stream('CommandStream/ListenCommands', 'Response', pb.Request(command=2, topic='t'), pb.Request(command=1, topic='t', data=b'm'))
    for r in call:
        if r.command == 3:
            e = protos['gossip_trace'].TraceEvent.FromString(r.data)
            assert e.peerID and e.timestamp > 1e18 and not len(e.UnknownFields())
            if e.HasField('publishMessage') or e.HasField('deliverMessage'):
                break
    call.cancel()
    call, out = node.stream('CommandStream/ListenCommands', 'Response', pb.Request(command=1, topic='t', data=bytes(1001)))
    assert json.loads(next(call).data)['code'] == 413
    call.cancel()
    assert json.loads(net.http(net.nodes[0], network.API_PORT, '/node-state')[1])['addresses'] == [f'/ip4/{net.nodes[0].ip}/tcp/6161']
    text = net.http(net.nodes[0], network.API_PORT, '/metrics')[1]
    assert 'optimum_gossip_p2p_delivered_messages_delay_seconds_sum{' in text and 'optimum_conn_stream_duration_seconds_bucket{' in text
    node.channel.close()
