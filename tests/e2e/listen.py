"""Clients of a node's sidecar as the tests use them: a receiver listens once the node says so."""
import json
import time
import urllib.request

import clients
import network

WAIT = 20
OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def is_subscribed(m, topic):
    with OPEN(f'http://{m.control_ip}:{network.API_PORT}/debug/peers', timeout=5) as r:
        return any(t['topic'] == topic and t['subscribed'] for t in json.load(r)['topics'])


def receiver(m, protos, topic='t', **options):
    """Commands on other streams may overtake the subscription, so that the node is asked whether it has it."""
    r = clients.SidecarReceiver(m.name, m.control_ip, network.SIDECAR_PORT, topic, protos, **options)
    r.start()
    assert r.ready.wait(WAIT)
    end = time.monotonic() + WAIT
    while not is_subscribed(m, topic):
        assert time.monotonic() < end, f'{m.name} has no subscription to {topic} after {WAIT} s'
        time.sleep(0.05)
    return r


def publisher(m, protos):
    return clients.SidecarPublisher(m.control_ip, network.SIDECAR_PORT, protos)
