"""What 8 real nodes send for a message, from their own metrics, over what is needed: (nodes - 1) x size."""
import pathlib
import re
import subprocess
import sys
import time

from network import API_PORT, Failure, Network

HERE = pathlib.Path(__file__).resolve().parent


def sent(net):
    """Bytes out on all peer connections of all nodes."""
    total = 0
    for n in net.nodes:
        status, text = net.http(n, API_PORT, '/metrics')
        if status != 200:
            raise Failure(f'{n.name} has no metrics: {text}')
        total += sum(float(v) for v in re.findall(r'^optimum_bandwidth_total_bytes\{[^}]*direction="out"[^}]*\} (\S+)$', text, re.M))
    return total


def once(build, count, size):
    net = Network(8, 1, 'optimum', 'kernel', build, loopback='127.77.31', max_bytes=max(1048576, size), say=lambda t: None)
    try:
        net.start()
        time.sleep(3)  # meshes form
        before = sent(net)
        r = subprocess.run([sys.executable, str(HERE / 'demo_client.py'), '--topic', 'demo', '--size', str(size), '--count', str(count),
                            '--timeout', '60', '--publish', net.gateways[0].ip, '--gateways', f'{net.gateways[0].name}={net.gateways[0].ip}',
                            '--nodes', ','.join(f'{n.name}={n.control_ip}' for n in net.nodes)], capture_output=True, text=True)
        if r.returncode:
            raise Failure('not everything was delivered:\n' + r.stdout[-2000:] + r.stderr[-2000:])
        time.sleep(2)  # what is still said
        return (sent(net) - before) / (7 * size * count)
    finally:
        net.stop()


def measure(root, count, size, runs):
    for _ in range(runs):
        yield once(root / 'build', count, size)
