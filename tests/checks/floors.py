#!/usr/bin/env python3
"""Floors only look down: each room includes only the rooms that it may (see docs/ARCHITECTURE.md)."""
import pathlib
import re
import sys

MAY = {
    'base': [],
    'gf': ['base'],
    'rlnc': ['gf', 'base'],
    'crypto': ['base'],
    'libp2p': ['crypto', 'base'],
    'pubsub': ['libp2p', 'crypto', 'rlnc/rlnc.h', 'base'],
    'sim': ['pubsub', 'libp2p', 'crypto', 'rlnc', 'gf', 'base'],
    'tcp': ['base'],
    'drivers': ['base'],
    'net': ['drivers', 'tcp', 'libp2p', 'crypto', 'base'],
    'rpc': ['base', 'proto'],
    'http': ['base'],
    'lane': ['base'],
    'auth': ['crypto', 'base'],
    'gateway': ['auth', 'rpc', 'http', 'lane', 'crypto', 'base', 'proto'],
    'cli': ['http', 'rpc', 'crypto', 'base'],
    'node': ['net', 'pubsub', 'libp2p', 'crypto', 'auth', 'rpc', 'http', 'lane', 'drivers', 'tcp', 'base', 'proto'],
    'inside': ['gateway', 'node', 'rpc', 'http', 'base'],
}
# Rooms whose cores keep away from sockets, clocks, threads and DPDK.
SANS_IO = ['crypto', 'tcp', 'libp2p', 'pubsub', 'rlnc', 'gf', 'sim', 'auth']
NOT_SANS_IO = ['lib/auth/auth_issuer.c', 'lib/auth/auth_guard.c']  # the thread that asks, and the lock around it all
FORBIDDEN = re.compile(r'#include <(sys/socket|sys/time|sys/random|netinet/.*|pthread|poll|sys/epoll|unistd|time|rte_.*|threads)\.?h?>')
DPDK_ROOMS = ['drivers', 'node']


def room_of(path):
    return path.parts[1] if path.parts[0] == 'lib' else path.parts[0]


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.')
    bad, seen = [], 0
    files = sorted(p.relative_to(root) for d in ('lib', 'drivers') for p in (root / d).rglob('*.[ch]'))
    for f in files:
        room = room_of(f)
        if room not in MAY:
            bad.append(f'{f}: room {room} is not on the list in tests/checks/floors.py')
            continue
        for n, line in enumerate((root / f).read_text().splitlines(), 1):
            m = re.match(r'#include "([a-z0-9_]+)/([^"]+)"', line)
            if m:
                seen += 1
                target, whole = m[1], m[1] + '/' + m[2]
                if target != room and target not in MAY[room] and whole not in MAY[room]:
                    bad.append(f'{f}:{n}: {room} may not include {whole}')
            if re.match(r'#include "\.', line):
                bad.append(f'{f}:{n}: {line.strip()}: rooms are named from lib/, not by way of the parent folder')
            if room in SANS_IO and str(f) not in NOT_SANS_IO and FORBIDDEN.match(line):
                bad.append(f'{f}:{n}: {line.strip()} has no place in a sans-IO room')
            if room not in DPDK_ROOMS and line.startswith('#include <rte_'):
                bad.append(f'{f}:{n}: DPDK has no place in {room}')
    for b in bad:
        print(b)
    print(f'{len(files)} files, {seen} includes, {len(bad)} upward or forbidden')
    return 1 if bad or not seen else 0


sys.exit(main())
