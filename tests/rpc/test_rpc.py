"""A client that is not ours (python3-grpcio) against our server."""
import queue
import socket
import struct
import threading
import time
import unittest

import grpc

import wire

Code = grpc.StatusCode
PROTO = wire.load(wire.env('RPC_PROTOSET'))


class Requests:
    """A request iterator that is fed by hand."""

    def __init__(self, *first):
        self.q = queue.Queue()
        for m in first:
            self.q.put(m)

    def __iter__(self):
        return iter(self.q.get, None)

    def send(self, m):
        self.q.put(m)

    def half_close(self):
        self.q.put(None)


class TestServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = wire.Server(wire.env('RPC_ECHO_SERVER'))
        cls.silent = socket.create_connection(('127.0.0.1', cls.server.port))
        cls.silent_since = time.time()
        cls.ch = wire.channel(cls.server.addr)

    @classmethod
    def tearDownClass(cls):
        cls.ch.close()
        cls.silent.close()
        code, words = cls.server.stop()
        assert code == 0, code
        assert words.endswith('open 0\n'), words

    def unary(self, method, data, **kw):
        return self.ch.unary_unary('/test.Echo/' + method)(data, timeout=20, wait_for_ready=True, **kw)

    def stream(self, method, requests, **kw):
        return self.ch.stream_stream('/test.Echo/' + method)(iter(requests), timeout=kw.pop('timeout', 30),
                                                             wait_for_ready=True, **kw)

    def test_unary_echoes(self):
        for n in (1, 5, 4095, 4096, 70000, 16 << 20):
            data = bytes(i * 7 & 255 for i in range(min(n, 1000))) * (n // 1000 + 1)
            self.assertEqual(self.unary('Unary', data[:n]), data[:n])

    def test_unary_statuses(self):
        for n in range(1, 17):
            code, text = wire.code_of(lambda: self.unary('Status', bytes([n]) + b'because'))
            self.assertEqual((code.value[0], text), (n, 'because'))

    def test_bidi_echoes_7000_small(self):
        sent = [struct.pack('<I', i) * 25 for i in range(7000)]
        self.assertEqual(list(self.stream('Bidi', sent)), sent)

    def test_bidi_echoes_16_mib(self):
        sent = [b'a' * (16 << 20), b'b', b'', b'c' * (3 << 20)]
        self.assertEqual(list(self.stream('Bidi', sent)), sent)

    def test_answer_after_half_close(self):
        self.assertEqual(list(self.stream('Tail', [b'x'] * 42)), [b'count=42'])
        self.assertEqual(list(self.stream('Tail', [])), [b'count=0'])

    def test_stream_headers_come_at_once(self):
        r = Requests()
        call = self.stream('Hold', r)
        t = time.time()
        call.initial_metadata()
        self.assertLess(time.time() - t, 5)
        call.cancel()
        r.half_close()

    def test_writer_that_never_reads(self):
        r = Requests()
        call = self.stream('Hold', r)
        for i in range(20000):
            r.send(b'z' * 1000)
        r.half_close()
        time.sleep(0.5)
        self.assertEqual(self.unary('Unary', b'still here'), b'still here')
        call.cancel()

    def test_reader_that_never_reads(self):
        before = self.server.rss_kb()
        calls = []
        for _ in range(8):
            r = Requests(struct.pack('<3I', 1000, 100000, 0))  # 100 MB each
            calls.append((self.stream('Source', r), r))
        time.sleep(1)
        self.assertEqual(self.unary('Unary', b'still here'), b'still here')
        if not wire.env('RPC_SANITIZED') == '1':
            self.assertLess(self.server.rss_kb() - before, 100 << 10)
        for call, r in calls:
            call.cancel()
            r.half_close()

    def test_slow_reader_gets_what_was_queued(self):
        r = Requests(struct.pack('<3I', 1000, 100000, 0))
        call = self.stream('Source', r)
        time.sleep(0.3)
        got = [len(m) for m in call]
        self.assertTrue(10 <= len(got) < 500 and set(got) == {100000}, len(got))
        self.assertRegex(call.details(), r'refused=%d dropped=0' % (1000 - len(got)))
        r.half_close()

    def test_cancel_and_deadline(self):
        r = Requests(b'x')
        call = self.stream('Hold', r)
        call.initial_metadata()
        call.cancel()
        self.assertEqual(call.code(), Code.CANCELLED)
        call = self.stream('Hold', Requests(b'x'), timeout=0.2)
        self.assertEqual(wire.code_of(lambda: list(call))[0], Code.DEADLINE_EXCEEDED)

    def test_unknown_methods(self):
        for path in ('/test.Echo/No', '/No/No', '/', '/test.Echo/', '//', '/test.Echo/Unary/x'):
            code, _ = wire.code_of(lambda: self.ch.unary_unary(path)(b'x', timeout=10))
            self.assertEqual(code, Code.UNIMPLEMENTED, path)
        call = self.ch.stream_stream('/test.Echo/No')(iter([b'x'] * 10), timeout=10)
        self.assertEqual(wire.code_of(lambda: list(call))[0], Code.UNIMPLEMENTED)

    def test_oversize(self):
        code, text = wire.code_of(lambda: self.unary('Unary', b'x' * (17 << 20)))
        self.assertEqual(code, Code.RESOURCE_EXHAUSTED, text)
        self.assertIn('larger than max', text)
        call = self.stream('Bidi', [b'a', b'x' * (17 << 20)])
        self.assertEqual(wire.code_of(lambda: list(call))[0], Code.RESOURCE_EXHAUSTED)

    def test_compressed_requests(self):
        ch = wire.channel(self.server.addr, compression=grpc.Compression.Gzip)
        echo = ch.unary_unary('/test.Echo/Unary')
        data = b'compressible ' * 10000
        self.assertEqual(echo(data, timeout=10), data)
        before = self.server.rss_kb()
        code, text = wire.code_of(lambda: echo(bytes(1 << 29), timeout=60))  # 512 KiB of gzip, 512 MiB of zeroes
        self.assertEqual(code, Code.RESOURCE_EXHAUSTED, text)
        if not wire.env('RPC_SANITIZED') == '1':
            self.assertLess(self.server.rss_kb() - before, 60 << 10)
        ch.close()

    def test_metadata(self):
        token = 'Bearer ' + 'a.b-c_' * 1000
        self.assertEqual(self.unary('Header', b'', metadata=[('authorization', token)]), token.encode())
        self.assertEqual(self.unary('Header', b''), b'')
        own = wire.channel(self.server.addr)  # such a client may lose its connection
        header = own.unary_unary('/test.Echo/Header')
        code, _ = wire.code_of(lambda: header(b'', timeout=10, metadata=[('authorization', 'x' * 100000)]))
        self.assertNotEqual(code, Code.OK)
        own.close()

    def test_frequent_pings(self):
        ch = wire.channel(self.server.addr, ('grpc.keepalive_time_ms', 150), ('grpc.keepalive_timeout_ms', 2000),
                          ('grpc.keepalive_permit_without_calls', 1), ('grpc.http2.max_pings_without_data', 0))
        echo = ch.unary_unary('/test.Echo/Unary')
        echo(b'x', timeout=10)
        seen = []
        ch.subscribe(seen.append)
        r = Requests(b'x')
        call = ch.stream_stream('/test.Echo/Hold')(iter(r))
        time.sleep(2.5)
        self.assertTrue(call.is_active())
        call.cancel()
        r.half_close()
        time.sleep(2)
        self.assertEqual(set(seen), {grpc.ChannelConnectivity.READY})
        ch.close()

    def test_many_streams_at_once(self):
        calls = []
        for i in range(300):
            r = Requests(b'%d' % i)
            calls.append((self.stream('Bidi', r), r))
        for i, (call, r) in enumerate(calls):
            self.assertEqual(next(call), b'%d' % i)
            r.half_close()
        for call, _ in calls:
            self.assertEqual(list(call), [])
            self.assertEqual(call.code(), Code.OK)

    # health

    def health(self, service):
        m = PROTO['grpc.health.v1.HealthCheckResponse']
        req = PROTO['grpc.health.v1.HealthCheckRequest'](service=service).SerializeToString()
        return m.FromString(self.ch.unary_unary('/grpc.health.v1.Health/Check')(req, timeout=10)).status

    def test_health(self):
        self.assertEqual(self.health(''), 1)
        self.assertEqual(self.health('test.Echo'), 1)
        for name in ('nobody', 'x' * 5000, 'test.Echo\0'):
            self.assertEqual(wire.code_of(lambda: self.health(name))[0], Code.NOT_FOUND)
        bad = self.ch.unary_unary('/grpc.health.v1.Health/Check')
        self.assertEqual(wire.code_of(lambda: bad(b'\x0a\xff', timeout=10))[0], Code.INVALID_ARGUMENT)

    def test_health_watch(self):
        m = PROTO['grpc.health.v1.HealthCheckResponse']
        req = PROTO['grpc.health.v1.HealthCheckRequest'](service='test.Echo').SerializeToString()
        call = self.ch.unary_stream('/grpc.health.v1.Health/Watch')(req, timeout=30)
        self.assertEqual(m.FromString(next(call)).status, 1)
        self.server.say('-')
        self.assertEqual(m.FromString(next(call)).status, 2)
        self.server.say('+')
        self.assertEqual(m.FromString(next(call)).status, 1)
        call.cancel()
        req = PROTO['grpc.health.v1.HealthCheckRequest'](service='nobody').SerializeToString()
        call = self.ch.unary_stream('/grpc.health.v1.Health/Watch')(req, timeout=30)
        self.assertEqual(m.FromString(next(call)).status, 3)
        call.cancel()

    # reflection

    def reflect(self, version, **ask):
        p = 'grpc.reflection.%s.' % version
        req = PROTO[p + 'ServerReflectionRequest'](host='h', **ask)
        call = self.ch.stream_stream('/%sServerReflection/ServerReflectionInfo' % p)(
            iter([req.SerializeToString()]), timeout=10)
        got = [PROTO[p + 'ServerReflectionResponse'].FromString(m) for m in call]
        self.assertEqual(len(got), 1)
        self.assertEqual((got[0].valid_host, got[0].original_request), ('h', req))
        return got[0]

    def files(self, resp):
        from google.protobuf import descriptor_pb2
        return [descriptor_pb2.FileDescriptorProto.FromString(b)
                for b in resp.file_descriptor_response.file_descriptor_proto]

    def test_reflection(self):
        for v in ('v1', 'v1alpha'):
            names = [s.name for s in self.reflect(v, list_services='').list_services_response.service]
            self.assertEqual(sorted(names), ['grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection',
                                             'grpc.reflection.v1alpha.ServerReflection', 'test.Echo'])
            for symbol in ('proto.CommandStream', 'proto.CommandStream.ListenCommands', 'proto.Request',
                           'proto.Request.jwt_token', 'proto.ResponseType'):
                f = self.files(self.reflect(v, file_containing_symbol=symbol))
                self.assertEqual([x.name for x in f], ['sidecar.proto'])
            f = self.files(self.reflect(v, file_by_filename='gateway.proto'))
            self.assertEqual([s.name for s in f[0].service], ['ProxyStream', 'GatewayStream', 'SessionService'])
            nested = self.files(self.reflect(v, file_containing_symbol='optimum.pb.TraceEvent.RPCMeta.shards'))
            self.assertEqual(nested[0].name, 'trace.proto')
            for ask in ({'file_by_filename': 'no'}, {'file_containing_symbol': 'no.Such'},
                        {'file_containing_symbol': ''}, {'all_extension_numbers_of_type': 'no.Such'}):
                self.assertEqual(self.reflect(v, **ask).error_response.error_code, Code.NOT_FOUND.value[0])
            r = self.reflect(v, all_extension_numbers_of_type='proto.Request')
            self.assertEqual(r.all_extension_numbers_response.base_type_name, 'proto.Request')
            self.assertEqual(self.reflect(v).error_response.error_code, Code.INVALID_ARGUMENT.value[0])
            self.assertEqual(self.reflect(v, file_containing_extension={'containing_type': 'proto.Request',
                             'extension_number': 1}).error_response.error_code, Code.NOT_FOUND.value[0])

    def test_reflection_makes_a_usable_stub(self):
        """What grpcurl does: describe, then speak the described messages."""
        r = self.reflect('v1', file_containing_symbol='grpc.health.v1.Health')
        m = wire.Messages(self.files(r))
        method = m.pool.FindServiceByName('grpc.health.v1.Health').methods_by_name['Check']
        req, resp = m[method.input_type.full_name], m[method.output_type.full_name]
        out = self.ch.unary_unary('/%s/%s' % (method.containing_service.full_name, method.name))(
            req(service='').SerializeToString(), timeout=10)
        self.assertEqual(resp.FromString(out).status, 1)

    def test_reflection_garbage(self):
        call = self.ch.stream_stream('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo')(
            iter([b'\x0a\x80']), timeout=10)
        self.assertEqual(wire.code_of(lambda: list(call))[0], Code.INVALID_ARGUMENT)

    def test_reflection_asked_by_one_who_never_reads(self):
        before = self.server.rss_kb()
        req = PROTO['grpc.reflection.v1.ServerReflectionRequest'](file_by_filename='trace.proto').SerializeToString()
        r = Requests()
        call = self.ch.stream_stream('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo')(iter(r), timeout=30)
        for _ in range(20000):
            r.send(req)
        r.half_close()
        time.sleep(1)
        if not wire.env('RPC_SANITIZED') == '1':
            self.assertLess(self.server.rss_kb() - before, 30 << 10)
        call.cancel()

    # what is no gRPC at all

    def raw(self, data, wait=2):
        s = socket.create_connection(('127.0.0.1', self.server.port))
        s.settimeout(wait)
        got = b''
        try:
            for i in range(0, len(data), 1 << 16):
                s.sendall(data[i:i + (1 << 16)])
            while True:
                b = s.recv(65536)
                if not b:
                    break
                got += b
        except OSError:
            pass
        s.close()
        return got

    def test_garbage_on_the_port(self):
        import random
        rng = random.Random(1)
        preface = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
        settings = b'\0\0\0\4\0\0\0\0\0'
        cases = [b'', b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\x16\x03\x01' + bytes(200), bytes(100000),
                 preface, preface[:10], preface + bytes(9), preface + b'\xff' * 1000,
                 preface + settings + b'\0\x40\0\0\0\0\0\0\1' + bytes(0x4000),
                 preface + settings + b'\0\0\5\1\4\0\0\0\1' + b'\xff' * 5]
        cases += [preface + settings + rng.randbytes(rng.randrange(2000)) for _ in range(20)]
        threads = [threading.Thread(target=self.raw, args=(c, 0.5)) for c in cases]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(self.unary('Unary', b'still here'), b'still here')

    def test_garbage_in_messages(self):
        """A frame that says it is longer than it is, then the end: the call ends, the server stays."""
        for path in (b'/test.Echo/Unary', b'/test.Echo/Bidi'):
            hdr = b''.join(b'\x00' + bytes([len(k)]) + k + bytes([len(v)]) + v for k, v in
                           ((b':method', b'POST'), (b':scheme', b'http'), (b':path', path), (b':authority', b'x'),
                            (b'te', b'trailers'), (b'content-type', b'application/grpc')))
            frame = lambda kind, flags, body: struct.pack('>I', len(body))[1:] + bytes([kind, flags]) + \
                b'\0\0\0\1' + body
            self.raw(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0' + frame(1, 4, hdr) +
                     frame(0, 1, b'\0\xff\xff\xff\xff1234'), 0.5)
        self.assertEqual(self.unary('Unary', b'still here'), b'still here')

    def test_zz_silent_connection_goes(self):
        """It never said hello: it is closed after 10 s (opened before the first test, so little is left to wait)."""
        self.silent.settimeout(max(1, 14 - (time.time() - self.silent_since)))
        self.silent.recv(1000)  # the server's own settings
        try:
            self.assertEqual(self.silent.recv(1000), b'')
        except ConnectionResetError:
            pass


class TestRestart(unittest.TestCase):
    def test_client_comes_back(self):
        s = wire.Server(wire.env('RPC_ECHO_SERVER'))
        ch = wire.channel(s.addr, ('grpc.initial_reconnect_backoff_ms', 100), ('grpc.max_reconnect_backoff_ms', 300))
        echo = ch.unary_unary('/test.Echo/Unary')
        self.assertEqual(echo(b'1', timeout=10), b'1')
        r = Requests(b'x')
        call = ch.stream_stream('/test.Echo/Bidi')(iter(r))
        self.assertEqual(next(call), b'x')
        t = time.time()
        code, words = s.stop()
        self.assertEqual(code, 0)
        self.assertLess(time.time() - t, 5)
        self.assertIn('open 0', words)
        self.assertEqual(wire.code_of(lambda: next(call))[0], Code.UNAVAILABLE)
        r.half_close()
        s = wire.Server(wire.env('RPC_ECHO_SERVER'), s.addr)
        self.assertEqual(echo(b'2', timeout=10, wait_for_ready=True), b'2')
        ch.close()
        s.stop()

    def test_every_address(self):
        for bind in ('0', ':0', '[::]:0', '127.0.0.1:0', '[::1]:0'):
            try:
                s = wire.Server(wire.env('RPC_ECHO_SERVER'), bind)
            except RuntimeError:
                if '::1' in bind:
                    continue  # no IPv6 here
                raise
            host = '[::1]' if '::1' in bind else '127.0.0.1'
            ch = wire.channel('%s:%d' % (host, s.port))
            self.assertEqual(ch.unary_unary('/test.Echo/Unary')(b'x', timeout=10), b'x', bind)
            ch.close()
            self.assertEqual(s.stop()[0], 0)


if __name__ == '__main__':
    unittest.main()
