"""The demo's client side, run inside the network: subscribes everywhere, publishes, prints the table of arrivals.

Exit 0 only when every receiver got every message once with its hash.
"""
import argparse
import hashlib
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import clients  # noqa: E402
from network import GRPC_PORT, HTTP_PORT, SIDECAR_PORT  # noqa: E402


def pairs(text):
    return [p.split('=', 1) for p in text.split(',') if p]


def main():
    p = argparse.ArgumentParser()
    for name in ('--topic', '--publish', '--gateways', '--nodes'):
        p.add_argument(name, required=True)
    p.add_argument('--size', type=int, required=True)
    p.add_argument('--count', type=int, required=True)
    p.add_argument('--timeout', type=float, default=30)
    a = p.parse_args()

    protos = clients.load_protos()
    receivers = []
    for name, ip in pairs(a.gateways):
        receivers.append(clients.WebSocketReceiver(f'{name} WebSocket', ip, HTTP_PORT, a.topic, f'demo-ws-{name}'))
        receivers.append(clients.GatewayReceiver(f'{name} gRPC', ip, GRPC_PORT, a.topic, f'demo-grpc-{name}', protos))
    for name, ip in pairs(a.nodes):
        receivers.append(clients.SidecarReceiver(f'{name} sidecar', ip, SIDECAR_PORT, a.topic, protos))
    for r in receivers:
        r.start()
    for r in receivers:
        if not r.ready.wait(20) or r.error:
            print(f'demo: {r.name_text} could not subscribe: {r.error or "no answer in 20 s"}')
            return 1
    time.sleep(0.5)

    print(f'\n{"message":>7} {"bytes":>9}  {"receiver":<22} {"ms":>9}  hash equal')
    missing, times = 0, []
    for i in range(a.count):
        payload = os.urandom(a.size)
        sha = hashlib.sha256(payload).hexdigest()
        t0 = time.monotonic()
        status, answer = clients.publish_http(a.publish, HTTP_PORT, a.topic, payload, timeout=a.timeout)
        if status != 200 or answer.get('message_id') != sha:
            print(f'{i + 1:>7} {a.size:>9}  publish at gateway 1 answered {status}: {answer}')
            missing += len(receivers)
            continue
        for r in receivers:
            at = r.wait_for(sha, a.timeout)
            if at is None:
                missing += 1
                print(f'{i + 1:>7} {a.size:>9}  {r.name_text:<22} {"-":>9}  MISSING {r.error or ""}')
            else:
                times.append((at - t0) * 1000)
                print(f'{i + 1:>7} {a.size:>9}  {r.name_text:<22} {times[-1]:>9.1f}  yes')
        sys.stdout.flush()
    repeats = sum(len(r.got) - len({g[0] for g in r.got}) for r in receivers)
    expected = a.count * len(receivers)
    print(f'\ndemo: {expected - missing} of {expected} deliveries, {repeats} repeated', end='')
    if times:
        print(f', median {statistics.median(times):.1f} ms, slowest {max(times):.1f} ms', end='')
    print()
    return 1 if missing or repeats else 0


try:
    code = main()
except KeyboardInterrupt:
    code = 130  # whoever runs us was interrupted, too, and says so
sys.stdout.flush()
os._exit(code)  # gRPC's threads need no farewell
