"""Clients that we did not write, and the very commands and snippets that users have: curl, nc, grep over the logs, npm `ws`, @grpc/grpc-js,
websockets, a reflection client, a Go program, grpcurl."""
import asyncio
import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile

import grpc
import pytest
import websockets
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import clients
import network
from conftest import BUILD, ROOT, go_home
from burst import wait_until

HERE = ROOT / 'tests/e2e/clients'


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def sh(line, api, m=None, timeout=60):
    """A user's line; localhost is where they have the gateway, or node 1."""
    line = line.replace('localhost:9090', f'{api.nodes[0].ip}:9090').replace('localhost', (m or api.gateways[0]).ip)
    r = subprocess.run(['bash', '-c', line], capture_output=True, text=True, timeout=timeout)
    return r.stdout + (r.stderr if r.returncode else '')


def gateways(api):
    return api.gateways[0], api.nodes[0]


# ---- curl, nc, grep ----

CURL = [
    ("""curl -s -X POST http://localhost:8080{f}/subscribe -H "Content-Type: application/json" -d '{{"client_id":"curl","topic":"demo","threshold":0.7}}'""",
     '{"status":"subscribed","client":"curl"}'),
    ("""curl -s -X POST http://localhost:8080{f}/publish -H "Content-Type: application/json" -d '{{"client_id":"curl","topic":"demo","message":"Hello {n}"}}'""",
     '"status":"published"'),
    ("""curl -s -X POST http://localhost:8080{f}/publish -H "Content-Type: application/json" -d '{{"client_id":"curl","topic":"demo","message":"Hello {n}"}}'""",
     '"status":"deduplicated"'),
    ("""curl -s -X POST localhost:8080{f}/publish -d '{{"client_id":"curl","topic":"demo","message_length":1024}}'""", '"status":"published"'),
    ("""curl -s -X POST localhost:8080{f}/publish -d '{{"topic":"demo","data":"short {n}"}}'""", '"status":"published"'),
    ("""echo "by octets {n}" | curl -s -X POST 'localhost:8080{f}/publish?topic=demo' -H 'Content-Type: application/octet-stream' --data-binary @-""",
     '"status":"published"'),
    ("""curl -s -X POST localhost:8080{f}/publish -d '{{"client_id":"curl","message":"m"}}'""", 'missing topic'),
    ("""curl -s -X POST localhost:8080{f}/publish -d '{{"topic":"demo","message":"m"}}'""", 'missing client ID'),
    ("""curl -s -X POST localhost:8080{f}/publish -d '{{"client_id":"curl","topic":"demo"}}'""", 'either message or message_length must be provided'),
    ("""curl -s -X POST localhost:8080{f}/publish -d 'not JSON'""", 'invalid JSON'),
    ("""curl -s -X POST localhost:8080{f}/publish -d '{{"client_id":"curl","topic":"unheard of","message":"m"}}'""", 'topic not assigned'),
    ("""curl -s "http://localhost:8080{f}/topics?client_id=curl" """, '"topics":["demo"]'),
    ("""curl -s http://localhost:8080{f}/health""", '"status":"ok"'),
    ("""curl -s http://localhost:8080{f}/version""", '"commit_hash"'),
    ("""curl -s http://localhost:8080{f}/node-countries""", '"count":'),
    ("""curl -s "http://localhost:8080{f}/tracer/stream?window=10s" """, '"bloat_factor"'),
    ("""curl -s -X POST http://localhost:8080{f}/session -d '{{"client_id":"curl","topics":["demo"],"capabilities":["publish"],"expose_amount":1}}'""",
     '"session_id"'),
    ("""curl -s http://localhost:8080{f}/metrics""", 'optimum_proxy_ws_clients_active'),
    ("""curl -s -o /dev/null -w '%{{http_code}}' http://localhost:8080{f}/tracer/reset""", '200'),
    ("""curl -s http://localhost:9090{f}/health""", '"status":"ok"'), ("""curl -s http://localhost:9090{f}/node-state""", '"pub_key"'),
    ("""curl -s http://localhost:9090{f}/version""", '"commit_hash"'), ("""curl -s http://localhost:9090{f}/p2p-snapshot""", '"connected_peers"'),
    ("""curl -s "http://localhost:9090{f}/topics?topic=demo&nodeinfo=true" """, '"nodes"'),
]


def test_the_curl_lines_in_all_families(api):
    for i, m in enumerate(gateways(api)):
        for f in ('', '/api', '/api/v1'):
            for line, words in CURL:
                said = sh(line.format(f=f, n=f'{i}{f}'), api, m)
                assert words in said, (line, said)
    for line, words in (("curl -s localhost:9090/debug/peers", '"peer_id"'), ("curl -s localhost:9090/config", '"cluster_id"'),
                        ("curl -s localhost:9090/health", '"mode":"optimum"'),
                        ("curl -s localhost:9090/metrics", 'optimum_mump2p_total_peers'),
                        ("curl -s http://localhost:8081/api/v1/node-state", '"pub_key"')):
        assert words in sh(line, api), line


def test_the_ports_are_open_to_nc(api):
    if not shutil.which('nc'):
        pytest.skip('no nc')
    for m, ports in ((api.nodes[0], (7070, 33212, 9090, 8080, 50051)), (api.gateways[0], (8080, 50051, 8081))):
        for port in ports:
            assert re.search('succeeded|open', sh(f'nc -zv {m.ip} {port} 2>&1', api))


async def say_by_websocket(ip, text):
    async with websockets.connect(f'ws://{ip}:8080/api/v1/ws?client_id=ws-follower') as ws:
        await ws.send(json.dumps({'type': 'subscribe', 'topic': 'followed', 'id': 1}))
        assert json.loads(await ws.recv())['status'] == 'subscribed'
        await ws.send(json.dumps({'type': 'publish', 'topic': 'followed', 'message': text, 'id': 2}))
        while json.loads(await asyncio.wait_for(ws.recv(), 30)).get('status') != 'published':
            pass
        await ws.send(json.dumps({'type': 'unsubscribe', 'topic': 'followed', 'id': 3}))
        await ws.send(json.dumps({'type': 'dance', 'id': 4}))
        while json.loads(await asyncio.wait_for(ws.recv(), 30)).get('type') != 'error':
            pass


def say_by_grpc(ip, pb, unary, stream):
    with grpc.insecure_channel(f'{ip}:50051', options=clients.CHANNEL_OPTIONS) as channel:
        one = channel.unary_unary('/proto.ProxyStream/Publish', lambda m: m.SerializeToString(), pb.PublishResponse.FromString)
        one(pb.PublishRequest(client_id='unary-follower', topic='followed', message=unary.encode()), timeout=30)
        many = channel.stream_stream('/proto.ProxyStream/ClientStream', lambda m: m.SerializeToString(), pb.ProxyMessage.FromString)
        list(many(iter([pb.ProxyMessage(client_id='stream-follower', type='publish', topic='followed', message=stream.encode())]), timeout=30))


def test_the_logs_of_the_debug_level_follow_a_message(api, protos):
    """docker-compose logs | grep -E "(publish|subscribe|message)" """
    gateway, ways = api.gateways[0], ('rest', 'websocket', 'unary', 'stream')
    sh("""curl -s -X POST localhost:8080/subscribe -d '{"client_id":"follower","topic":"followed"}'""", api)
    sh("""curl -s -X POST localhost:8080/publish -d '{"client_id":"follower","topic":"followed","message":"follow rest"}'""", api)
    asyncio.run(say_by_websocket(gateway.ip, 'follow websocket'))
    say_by_grpc(gateway.ip, protos['gateway'], 'follow unary', 'follow stream')
    sh("""curl -s -X POST 'localhost:8080/publish?access_token=hush' -d '{"client_id":"follower","message":"nowhere"}'""", api)
    sh("""curl -s localhost:8080/publish; curl -s localhost:8080/no/message/here""", api)
    with grpc.insecure_channel(f'{api.nodes[0].control_ip}:{network.SIDECAR_PORT}', options=clients.CHANNEL_OPTIONS) as channel:
        pb = protos['sidecar']
        call = channel.stream_stream('/proto.CommandStream/ListenCommands', lambda m: m.SerializeToString(), pb.Response.FromString)
        with pytest.raises(grpc.RpcError):
            list(call(iter([pb.Request(command=1, topic='f' * 300, data=b'follow this not')]), timeout=30))
    logs = ' '.join(str(m.log) for m in api.members)

    def lines(*words):
        grep = subprocess.run(['bash', '-c', f'cat {logs} | grep -E "(publish|subscribe|message)"'], capture_output=True, text=True)
        return [line for line in grep.stdout.splitlines() if all(w in line for w in words)]

    for way in ways:
        mid = sha(f'follow {way}')
        for words in (('"message published"', 'topic=followed'), ('"publish message"',), ('"deliver message"',), ('"message received"',)):
            wait_until(lambda: lines(mid, *words), why=f'the log does not follow what came by {way}: {words}')
    for words in (('msg="subscribe"', 'client=follower', 'topic=followed'), ('msg="subscribe"', 'client=ws-follower', 'topic=followed'),
                  ('msg="unsubscribe"', 'client=ws-follower'), ('message of a WebSocket client refused', 'client=ws-follower'),
                  ('HTTP answer', 'method=POST', 'path=/publish', 'status=200', 'ms='), ('HTTP answer', 'path=/publish', 'status=400'),
                  ('publish refused', 'client=follower', 'missing topic'), ('HTTP answer', 'method=GET', 'path=/publish', 'status=405'),
                  ('HTTP answer', 'path=/no/message/here', 'status=404'), ('publish refused', 'topic=fff')):
        wait_until(lambda: lines(*words), why=f'no line has {words}')
    text = '\n'.join(m.log.read_text(errors='replace') for m in api.members)
    for words in ('HTTP connection open" ip=', 'WebSocket client connected" client=ws-follower', 'WebSocket client gone" client=ws-follower',
                  'gRPC client connected" client=stream-follower', 'gRPC client gone" client=stream-follower',
                  'gRPC call" method=/proto.ProxyStream/Publish', 'gRPC call end" method=/proto.ProxyStream/ClientStream status=OK',
                  'gRPC call end" method=/proto.CommandStream/ListenCommands status=INVALID_ARGUMENT'):
        assert words in text, words
    assert 'hush' not in text and 'nowhere' not in text and 'follow rest' not in text


# ---- websockets of Python ----

def test_python_websockets(api):
    async def go(m):
        async with websockets.connect(f'ws://{m.ip}:8080/api/v1/ws?client_id=py{m.name}') as ws:
            await ws.send(json.dumps({'type': 'subscribe', 'topic': 'py', 'id': 1}))
            assert json.loads(await ws.recv())['type'] == 'ack'
            await ws.send(json.dumps({'type': 'publish', 'topic': 'py', 'message': f'by {m.name}'}))
            got = json.loads(await asyncio.wait_for(ws.recv(), 30))
            assert (got['topic'], got['message_id'], base64.b64decode(got['message'])) == ('py', sha(f'by {m.name}'), f'by {m.name}'.encode())
            await ws.send(json.dumps({'type': 'dance', 'id': 2}))
            assert json.loads(await ws.recv())['type'] == 'error'

    for m in gateways(api):
        asyncio.run(go(m))


# ---- npm ----

@pytest.fixture(scope='module')
def npm():
    """npm ci of the lock file, once for each state of it."""
    if not shutil.which('npm'):
        pytest.skip('no npm')
    stamp, lock = HERE / 'node_modules/.installed', hashlib.sha256((HERE / 'package-lock.json').read_bytes()).hexdigest()
    fd = os.open(HERE, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        if not stamp.exists() or stamp.read_text() != lock:
            r = subprocess.run(['npm', 'ci', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
                               cwd=HERE, capture_output=True, text=True, timeout=200, preexec_fn=go_home,
                               env={**os.environ, **network.PROXIES})
            if r.returncode:
                pytest.skip(f'npm ci: {r.stderr.strip()[-300:]}')
            stamp.write_text(lock)
    finally:
        os.close(fd)


def run_lines(*argv):
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stdout + r.stderr
    return [json.loads(line) for line in r.stdout.splitlines()]


def test_npm_ws(api, npm):
    for m in gateways(api):
        said = run_lines('node', HERE / 'ws.mjs', f'{m.ip}:8080', f'js of {m.name}')
        assert {'status': 'subscribed', 'client': 'js-client'} in said
        assert {x['text'] for x in said if 'text' in x} == {'Hello from JavaScript', 'and on the socket'}
        assert any(x.get('type') == 'ack' and x['id'] == 7 for x in said)
        assert all(x['source_node_id'].startswith('12D3KooW') and x['message_id'] == sha(x['text']) for x in said if 'text' in x)


def test_grpc_js(api, npm):
    for m in gateways(api):
        said = run_lines('node', HERE / 'grpc.mjs', ROOT / 'proto', f'{m.ip}:50051', f'{api.nodes[0].ip}:33212', f'grpc-js of {m.name}')
        topic = f'grpc-js of {m.name}'
        assert {'status': 'subscribed', 'topic': topic, 'client_id': 'grpc-js'} in said
        assert {'status': 'published', 'topic': topic, 'client_id': 'grpc-js', 'message_id': sha('by grpc-js')} in said
        assert {'topic': topic, 'text': 'by grpc-js', 'message_id': sha('by grpc-js')} in said
        assert any(x.get('nodeMode') == 'optimum' and x['status'] for x in said)
        assert any(x.get('message_id') == sha('to the sidecar') for x in said) and {'answers': 1} in said


# ---- reflection: no .proto at all ----

class Reflection:
    """Knows of a server only what its reflection says."""

    def __init__(self, target, version):
        with tempfile.TemporaryDirectory() as d:
            name = 'reflection.proto' if version == 'v1' else 'reflection_v1alpha.proto'
            subprocess.run(['protoc', f'--proto_path={ROOT / "proto"}', f'--descriptor_set_out={d}/set', name], check=True)
            with open(f'{d}/set', 'rb') as f:
                own = descriptor_pb2.FileDescriptorSet.FromString(f.read())
        pool = descriptor_pool.DescriptorPool()
        for f in own.file:
            pool.Add(f)
        self.channel = grpc.insecure_channel(target, options=[('grpc.use_local_subchannel_pool', 1), ('grpc.enable_http_proxy', 0)])
        self.package, self.own, self.pool = f'grpc.reflection.{version}', pool, descriptor_pool.DescriptorPool()

    def get(self, pool, name):
        return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName(name))

    def ask(self, **what):
        request, answer = (self.get(self.own, f'{self.package}.ServerReflection{k}') for k in ('Request', 'Response'))
        call = self.channel.stream_stream(f'/{self.package}.ServerReflection/ServerReflectionInfo', lambda m: m.SerializeToString(), answer.FromString)
        return next(iter(call(iter([request(**what)]), timeout=20)))

    def services(self):
        return {s.name for s in self.ask(list_services='').list_services_response.service}

    def call(self, service, method, **fields):
        for raw in self.ask(file_containing_symbol=service).file_descriptor_response.file_descriptor_proto:
            self.pool.AddSerializedFile(raw)
        m = self.pool.FindServiceByName(service).methods_by_name[method]
        request, answer = (self.get(self.pool, t.full_name) for t in (m.input_type, m.output_type))
        return self.channel.unary_unary(f'/{service}/{method}', lambda x: x.SerializeToString(), answer.FromString)(request(**fields), timeout=20)


@pytest.mark.parametrize('version', ['v1', 'v1alpha'])
def test_a_client_that_has_reflection_alone(api, version):
    common = {'grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'}
    for m in gateways(api):
        r = Reflection(f'{m.ip}:50051', version)
        assert common | {'proto.ProxyStream', 'proto.GatewayStream', 'proto.SessionService'} <= r.services()
        assert r.call('proto.ProxyStream', 'Publish', topic='reflected', message=b'm').message_id == sha('m')
        assert r.call('grpc.health.v1.Health', 'Check').status == 1
        r.channel.close()
    r = Reflection(f'{api.nodes[0].ip}:33212', version)
    assert common | {'proto.CommandStream'} <= r.services()
    assert r.call('proto.CommandStream', 'Health').nodeMode == 'optimum'
    r.channel.close()


# ---- Go ----

def go_program(name, package):
    """Built once, from the module cache or the proxy; without Go or the modules: skipped."""
    if not shutil.which('go'):
        pytest.skip('no go')
    out = BUILD / 'clients' / name
    try:  # what is compiled by then is kept: the next run goes on from there
        r = subprocess.run(['go', 'build', '-mod=readonly', '-o', str(out), package], cwd=HERE / 'go', capture_output=True, text=True,
                           timeout=90, preexec_fn=go_home, env={**os.environ, **network.PROXIES})
    except subprocess.TimeoutExpired:
        pytest.skip('go build takes too long')
    if r.returncode:
        pytest.skip(f'go build: {r.stderr.strip()[-300:]}')
    return out


def test_go_snippet(api):
    program = go_program('snippet', '.')
    for m in gateways(api):
        r = subprocess.run([program, f'{m.ip}:8080', f'go{m.name}', 'Hello from Go'], capture_output=True, text=True, timeout=60)
        assert r.stdout.splitlines() == ['subscribed', 'published', f'go{m.name} Hello from Go true'], r.stdout + r.stderr


def test_grpcurl(api):
    grpcurl = shutil.which('grpcurl') or go_program('grpcurl', 'github.com/fullstorydev/grpcurl/cmd/grpcurl')
    for m in gateways(api):
        assert 'proto.ProxyStream' in sh(f'{grpcurl} -plaintext localhost:50051 list', api, m).split()
        assert 'rpc ClientStream' in sh(f'{grpcurl} -plaintext localhost:50051 describe proto.ProxyStream', api, m)
        said = sh(f"""{grpcurl} -plaintext -d '{{"topic":"demo","message":"aGVsbG8="}}' localhost:50051 proto.ProxyStream/Publish""", api, m)
        assert json.loads(said)['status'] == 'published'
    assert json.loads(sh(f'{grpcurl} -plaintext localhost:33212 proto.CommandStream/Health', api, api.nodes[0]))['nodeMode'] == 'optimum'
