#!/usr/bin/env python3
"""Our seat in libp2p's transport suites: one process, dialer or listener, told by environment variables and Redis.

libp2p/unified-testing (transport/): IS_DIALER, REDIS_ADDR, TEST_KEY, TRANSPORT, SECURE_CHANNEL, MUXER, LISTENER_IP, DEBUG. The listener sets
`<TEST_KEY>_listener_multiaddr`; the dialer polls it and prints YAML.
libp2p/test-plans (transport-interop, the older one): is_dialer, redis_addr, transport, security, muxer, ip, test_timeout_seconds. The listener
pushes to the list `listenerAddr`; the dialer pops it and prints JSON.

The libp2p part is session_tcp (tests/tools), found beside this file, by SESSION_TCP, or in the build folder.
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


class Unable(Exception):
    """Why this seat cannot do what it was asked for."""


class Redis:
    """As much of a Redis client as this needs (RESP2)."""

    def __init__(self, address, seconds):
        host, _, port = address.removeprefix('redis://').rpartition(':')
        end = time.monotonic() + seconds
        while True:
            try:
                self.socket = socket.create_connection((host or address, int(port) if host else 6379), 5)
                break
            except OSError as e:
                if time.monotonic() > end:
                    raise Unable(f'redis at {address}: {e}')
                time.sleep(0.1)
        self.socket.settimeout(None)
        self.file = self.socket.makefile('rb')

    def ask(self, *words):
        parts = [str(w).encode() for w in words]
        self.socket.sendall(b'*%d\r\n' % len(parts) + b''.join(b'$%d\r\n%s\r\n' % (len(p), p) for p in parts))
        return self._answer()

    def _answer(self):
        line = self.file.readline()
        if not line.endswith(b'\r\n'):
            raise Unable('redis closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b'-':
            raise Unable(f'redis: {rest.decode()}')
        if kind == b'+':
            return rest.decode()
        n = int(rest)
        if kind == b':' or n < 0:
            return n if kind == b':' else None
        if kind == b'*':
            return [self._answer() for _ in range(n)]
        return self.file.read(n + 2)[:-2].decode()


class Unified:
    """unified-testing's contract."""

    def __init__(self, env):
        self.is_dialer, self.key = env['IS_DIALER'] == 'true', f'{env["TEST_KEY"]}_listener_multiaddr'
        self.stack = [env.get(k) for k in ('TRANSPORT', 'SECURE_CHANNEL', 'MUXER')]
        self.ip, self.seconds = env.get('LISTENER_IP', '0.0.0.0'), float(env.get('TEST_TIMEOUT_SECS', 180))
        self.is_loud = env.get('DEBUG') == 'true'
        self.redis = Redis(env['REDIS_ADDR'], self.seconds)

    def offer(self, addr):
        self.redis.ask('SET', self.key, addr)

    def take(self):
        end = time.monotonic() + self.seconds
        while not (addr := self.redis.ask('GET', self.key)):
            if time.monotonic() > end:
                raise Unable(f'nobody set {self.key}')
            time.sleep(0.1)
        return addr

    def result(self, handshake_ms, ping_ms):
        return f'latency:\n  handshake_plus_one_rtt: {handshake_ms:.3f}\n  ping_rtt: {ping_ms:.3f}\n  unit: ms'


class Older:
    """test-plans' contract."""

    def __init__(self, env):
        self.is_dialer = env['is_dialer'] == 'true'
        self.stack = [env.get(k) for k in ('transport', 'security', 'muxer')]
        self.ip, self.seconds = env.get('ip', '0.0.0.0'), float(env.get('test_timeout_seconds', 180))
        self.is_loud = False
        self.redis = Redis(env.get('redis_addr', 'redis:6379'), self.seconds)

    def offer(self, addr):
        self.redis.ask('RPUSH', 'listenerAddr', addr)

    def take(self):
        answer = self.redis.ask('BLPOP', 'listenerAddr', max(1, int(self.seconds)))
        if not answer:
            raise Unable('nobody pushed to listenerAddr')
        return answer[1]

    def result(self, handshake_ms, ping_ms):
        return json.dumps({'handshakePlusOneRTTMillis': handshake_ms, 'pingRTTMilllis': ping_ms})


def program():
    build = os.environ.get('CODECAST_BUILD', HERE.parents[2] / 'build')
    for path in (os.environ.get('SESSION_TCP'), HERE / 'session_tcp', pathlib.Path(build) / 'tests/tools/session_tcp'):
        if path and os.access(path, os.X_OK):
            return str(path)
    raise Unable('session_tcp is not built')


def events(process, is_loud):
    for line in process.stdout:
        if is_loud:
            sys.stderr.write(line)
        yield json.loads(line)


def own_ip(ip, redis):
    """The address that others reach us at: the one given, or that which leads to Redis."""
    return redis.socket.getsockname()[0] if ip == '0.0.0.0' else ip


def listen(seat, argv):
    process = subprocess.Popen([*argv, '--listen', f'{seat.ip}:0', '--stay'], stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGTERM, lambda *_: (process.kill(), sys.exit(0)))
    peer = None
    for e in events(process, seat.is_loud):
        if e['event'] == 'self':
            peer = e['peer']
        elif e['event'] == 'listening':
            seat.offer(f'/ip4/{own_ip(seat.ip, seat.redis)}/tcp/{e["port"]}/p2p/{peer}')
    while process.wait() == 0:  # the dialer has been here: who started us ends us
        time.sleep(3600)
    raise Unable('the session ended badly')


def dial(seat, argv):
    words = seat.take().split('/')
    if len(words) < 5 or words[1] not in ('ip4', 'dns4', 'dns') or words[3] != 'tcp':
        raise Unable(f'not an address of TCP over IPv4: {"/".join(words)}')
    expect = ['--expect', words[words.index('p2p') + 1]] if 'p2p' in words else []
    process = subprocess.Popen([*argv, '--dial', f'{socket.gethostbyname(words[2])}:{words[4]}', '--pings', '2', *expect],
                               stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGTERM, lambda *_: (process.kill(), sys.exit(1)))
    up, pings = None, []
    for e in events(process, seat.is_loud):
        if e['event'] == 'up':
            up = e['ms']
        elif e['event'] == 'rtt' and e['by'] == 'ping':
            pings.append(e['us'] / 1000)
    if process.wait() or up is None or len(pings) < 2:
        raise Unable(f'{"no connection" if up is None else "no ping"} to {"/".join(words)}')
    print(seat.result(up + pings[0], pings[1]), flush=True)


def main():
    env = os.environ
    if 'IS_DIALER' not in env and 'is_dialer' not in env:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        argv = [program()]
        seat = Unified(env) if 'IS_DIALER' in env else Older(env)
        if seat.stack != ['tcp', 'noise', 'yamux']:
            raise Unable(f'only tcp, noise, yamux; asked for {seat.stack}')
        (dial if seat.is_dialer else listen)(seat, argv)
        return 0
    except (Unable, KeyError, OSError, ValueError) as e:
        print(f'transport: {e!r}' if isinstance(e, KeyError) else f'transport: {e}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
