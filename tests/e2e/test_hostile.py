"""Strangers on every port: garbage, half-open and slow connections, oversize messages. The service goes on."""
import json
import os
import queue
import random
import socket
import time
import urllib.error
import urllib.request

import grpc
import pytest

import clients
import network
from listen import publisher, receiver


def ports(net):
    for n in net.nodes:
        for port in (net.mesh_port(), network.SIDECAR_PORT, network.API_PORT):
            yield n.control_ip, port
    for g in net.gateways:
        for port in (network.HTTP_PORT, network.GRPC_PORT, network.GATEWAY_API_PORT):
            yield g.control_ip, port


def assert_alive(net, protos, receivers, pub):
    sha = pub.publish(os.urandom(3000), 't')
    for r in receivers:
        assert r.wait_for(sha, 10), f'{r.name_text} stopped receiving'
    for m in net.nodes + net.gateways:
        assert m.process.poll() is None, f'{m.name} ended:\n{net.tail(m)}'


@pytest.fixture
def served(make_network, protos, driver):
    net = make_network(nodes=2, gateways=1, driver=driver)
    receivers = [receiver(n, protos) for n in net.nodes]
    time.sleep(1.5)
    return net, receivers, publisher(net.nodes[0], protos)


def test_garbage_on_every_port(served, protos):
    net, receivers, pub = served
    rng = random.Random(7)
    openings = [b'', b'\x13/multistream/1.0.0\n', b'\x13/multistream/1.0.0\n\x07/noise\n', b'GET / HTTP/1.1\r\n', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
                b'\xff' * 16]
    for host, port in ports(net):
        for opening in openings:
            for _ in range(3):
                with socket.create_connection((host, port), timeout=3) as s:
                    try:
                        s.sendall(opening + rng.randbytes(rng.choice([1, 40, 4000, 70000])))
                        s.settimeout(0.05)
                        s.recv(100)
                    except OSError:
                        pass
    assert_alive(net, protos, receivers, pub)


def test_silent_and_trickling_connections(served, protos):
    net, receivers, pub = served
    held = []
    for host, port in ports(net):
        for _ in range(20):
            try:
                held.append(socket.create_connection((host, port), timeout=3))
            except OSError:
                pass  # a limit: also an answer
    for i in range(20):
        for s in held:
            try:
                s.send(b'\x13/multistream/1.0.0\n'[i:i + 1])
            except OSError:
                pass
        time.sleep(0.02)
    assert_alive(net, protos, receivers, pub)
    for s in held:
        s.close()
    assert_alive(net, protos, receivers, pub)


def test_oversize_publish_is_refused_aloud(served, protos):
    net, receivers, pub = served
    big = os.urandom(1048577)
    status, answer = clients.publish_http(net.gateways[0].control_ip, network.HTTP_PORT, 't', big)
    assert status == 413 and '1048576' in answer['error']
    pb = protos['gateway']
    channel = grpc.insecure_channel(f'{net.gateways[0].control_ip}:{network.GRPC_PORT}', options=clients.CHANNEL_OPTIONS)
    publish = channel.unary_unary('/proto.ProxyStream/Publish', request_serializer=lambda m: m.SerializeToString(),
                                  response_deserializer=pb.PublishResponse.FromString)
    with pytest.raises(grpc.RpcError) as e:
        publish(pb.PublishRequest(client_id='c', topic='t', message=big), timeout=10)
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and e.value.details()
    pb = protos['sidecar']
    out = queue.Queue()
    channel = grpc.insecure_channel(f'{net.nodes[0].control_ip}:{network.SIDECAR_PORT}', options=clients.CHANNEL_OPTIONS)
    call = channel.stream_stream('/proto.CommandStream/ListenCommands', request_serializer=lambda m: m.SerializeToString(),
                                 response_deserializer=pb.Response.FromString)(iter(out.get, None))
    out.put(pb.Request(command=1, topic='t', data=big))
    answer = json.loads(next(call).data)
    assert answer['status'] == 'error' and answer['code'] == 413, answer
    out.put(None)
    with pytest.raises(grpc.RpcError) as e:
        next(call)
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and e.value.details()
    assert_alive(net, protos, receivers, pub)
    status, _ = net.http(net.nodes[0], network.API_PORT, '/metrics')
    assert status == 200


def test_malformed_json_and_missing_fields(served):
    net, _, _ = served
    base = f'http://{net.gateways[0].control_ip}:{network.HTTP_PORT}/api/v1'
    for path, body, want in [('publish', '{"topic"', 'invalid JSON'), ('publish', '{"data":"x"}', 'missing topic'),
                             ('publish', '{"client_id":"c","message":"x"}', 'missing topic'),
                             ('publish', '{"client_id":"c","topic":"t"}', 'either message or message_length must be provided'),
                             ('publish', '{"topic":"t","message":"x"}', 'missing client ID'),
                             ('subscribe', '{"topic":"t"}', 'missing client ID'), ('subscribe', '{"client_id":"c"}', 'missing topic'),
                             ('subscribe', 'nonsense', 'invalid JSON')]:
        req = urllib.request.Request(f'{base}/{path}', data=body.encode(), method='POST')
        with pytest.raises(urllib.error.HTTPError) as e:
            urllib.request.urlopen(req, timeout=5)
        text = e.value.read().decode()
        assert 400 <= e.value.code < 500 and want in json.loads(text)['error'], (path, body, text)
