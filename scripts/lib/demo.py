"""The demo: starts a network, publishes through gateway 1, shows every arrival. See --help."""
import argparse
import json
import pathlib
import shlex
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from network import PROXIES, Failure, Network  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def arguments():
    p = argparse.ArgumentParser(prog='scripts/demo', description='Starts nodes and gateways, publishes through gateway 1 and shows '
                                'the messages arriving by WebSocket and gRPC at the other gateways and at every node.')
    p.add_argument('--nodes', type=int, default=4, help='nodes [4]')
    p.add_argument('--gateways', type=int, default=2, help='gateways [2]')
    p.add_argument('--embedded', action='store_true', help='each node has its gateway inside; no gateway program runs')
    p.add_argument('--mode', choices=['optimum', 'gossipsub'], default='optimum', help='coded shards or plain gossipsub [optimum]')
    p.add_argument('--driver', default='auto', choices=['auto', 'kernel', 'af_packet', 'af_xdp', 'tap'],
                   help='data path; auto: af_packet in namespaces as root, else kernel on 127.0.0.x [auto]')
    p.add_argument('--size', type=int, default=65536, help='payload bytes [65536]')
    p.add_argument('--count', type=int, default=5, help='messages [5]')
    p.add_argument('--topic', default='demo', help='topic [demo]')
    p.add_argument('--timeout', type=float, default=30, help='seconds to wait for each message [30]')
    p.add_argument('--keep', action='store_true', help='leave it running until Ctrl-C and print commands to try')
    p.add_argument('--once', action='store_true', help='run, show the table, stop (what happens without --keep too)')
    p.add_argument('--build', default=None, help='build folder [build]')
    a = p.parse_args()
    if a.nodes < 1 or a.gateways < 1 or a.nodes + a.gateways > 200:
        p.error('at least one node and one gateway, at most 200 in all')
    if a.size < 1 or a.count < 1:
        p.error('--size and --count must be at least 1')
    return a


def say(text):
    print(f'demo: {text}', flush=True)


def try_lines(net, topic):
    g1, g2, n1 = net.gateways[0], net.gateways[-1], net.nodes[0]
    plain = shlex.quote(topic)
    topic = json.dumps(topic, ensure_ascii=False)[1:-1].replace("'", "'\\''")  # in JSON, in the shell's quotes
    inside = ' '.join(net.inside()) + ' ' if net.inside() else ''
    cli = inside + shlex.quote(net.program('codecast'))
    first = f', after: unset {" ".join(PROXIES)}' if PROXIES else ''
    return f"""
Try, in another terminal{' (as root)' if inside else ''}{first}:
  {cli} health -g {g1.control_ip}
  {cli} publish {plain} 'hello, all' -g {g1.control_ip}
  {cli} bench -g {g1.control_ip} --receiver {g2.control_ip} --rate 100 --for 2s
  {cli} watch --sidecar {n1.control_ip}
  {inside}curl -s http://{g1.control_ip}:8080/api/v1/health
  {inside}curl -s http://{n1.control_ip}:9090/debug/peers
  {inside}curl -s -X POST http://{g1.control_ip}:8080/api/v1/subscribe -d '{{"client_id":"me","topic":"{topic}","threshold":0.1}}'
  (echo '{{"type":"subscribe","topic":"{topic}"}}'; sleep 600) | {inside}/usr/bin/python3 -m websockets "ws://{g2.control_ip}:8080/api/v1/ws?client_id=you"
  {inside}curl -s -X POST http://{g1.control_ip}:8080/api/v1/publish -d '{{"client_id":"me","topic":"{topic}","message":"hello"}}'
  {inside}curl -s http://{n1.control_ip}:9090/metrics
With grpcurl (not in Debian: go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest):
  {inside}grpcurl -plaintext {g1.control_ip}:50051 list
  {inside}grpcurl -plaintext -d '{{"client_id":"me","topic":"{topic}","message":"aGk="}}' {g1.control_ip}:50051 proto.ProxyStream/Publish
  {inside}grpcurl -plaintext {n1.control_ip}:33212 proto.CommandStream/Health
Logs: {net.work}/*.log
"""


def main():
    a = arguments()
    net, code = None, 1

    def interrupted(sig, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)  # the terminal was closed
    try:
        limit = max(1048576, a.size)
        net = Network(a.nodes, a.gateways, a.mode, a.driver, a.build, say=say, max_bytes=limit, embedded=a.embedded)
        gateways = 'with a gateway in each' if a.embedded else f'and {a.gateways} gateways'
        say(f'starting {a.nodes} nodes {gateways}, mode {a.mode}, driver {net.driver}')
        net.start()
        for n in net.nodes:
            p = net.peers(n)
            say(f'{n.name} {n.ip} {n.peer_id} {p["driver"] if p else "?"}')
        client = [*net.inside(), '/usr/bin/python3', str(HERE / 'demo_client.py'), '--topic', a.topic, '--size', str(a.size), '--count',
                  str(a.count), '--timeout', str(a.timeout), '--publish', net.gateways[0].control_ip,
                  '--gateways', ','.join(f'{g.name}={g.control_ip}' for g in net.gateways[1:] or net.gateways),
                  '--nodes', ','.join(f'{n.name}={n.control_ip}' for n in net.nodes)]
        code = subprocess.run(client).returncode
        if a.keep:
            print(try_lines(net, a.topic), flush=True)
            say('running; Ctrl-C stops it')
            while True:
                signal.pause()
    except KeyboardInterrupt:
        code = 130 if not a.keep else code
        print()
    except Failure as e:
        say(str(e))
        code = 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if net:
            bad = net.stop()
            for b in bad:
                say(b)
            code = code or (1 if bad else 0)
            say('stopped, nothing is left behind' if not bad else 'stopped')
    return code


sys.exit(main())
