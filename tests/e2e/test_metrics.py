"""/metrics of both programs, by promtool's rules: what fails them is on a list, because dashboards ask for those very names."""
import json
import os
import re
import shutil
import subprocess

import pytest

import burst
import network
from conftest import ROOT

# (name, what is wrong with it), as existing dashboards spell it.
EXCEPTIONS = {
    'optimum_bandwidth_total_bytes', 'optimum_conn_total_connections', 'message_seen_nodes_count', 'nodes_active_total',
    *(f'{prefix}_{way}_messages_{what}' for prefix in ('optimum_mump2p', 'optimum_gossip_p2p') for way in ('delivered', 'received')
      for what in ('bytes', 'count')),
}

PROMTOOL = shutil.which('promtool', path=os.environ['PATH'] + ':/usr/local/bin')


def families(text):
    """{name: type}; every sample belongs to a family that is announced before it, and carries the two labels."""
    types, helped = {}, set()
    for line in text.splitlines():
        if m := re.match(r'# HELP (\S+) \S', line):
            helped.add(m[1])
        elif m := re.match(r'# TYPE (\S+) (counter|gauge|histogram)$', line):
            assert m[1] not in types and m[1] in helped, line
            types[m[1]] = m[2]
        else:
            m = re.match(r'([a-zA-Z_:][\w:]*)\{cluster_id="[^"]+",protocol_type="(optimum|gossipsub)".*\} \S+$', line)
            assert m, line
            assert m[1] in types or types.get(re.sub('_(bucket|sum|count)$', '', m[1])) == 'histogram', line
    return types


def lint(types):
    for name, kind in types.items():
        if (kind == 'counter') != name.endswith('_total') or (kind != 'histogram' and name.endswith(('_count', '_sum', '_bucket'))) \
                or re.search('[a-z][A-Z]', name):
            yield name


@pytest.mark.parametrize('mode', ['optimum', 'gossipsub'])
def test_metrics_pass_the_lint_but_for_the_names_that_stay(make_network, mode):
    net = make_network(nodes=1, gateways=1, mode=mode, driver='kernel', node_env={'NET_LCORES': '2', 'CODING_LCORES': '3'})
    # the API answers before the log's last lines are written
    burst.wait_until(lambda: 'msg="node started"' in net.nodes[0].log.read_text(), why='the node does not say that it started')
    assert 'msg="lcores" net=2 coding=3' in net.nodes[0].log.read_text()
    text = net.http(net.nodes[0], network.API_PORT, '/metrics')[1]
    assert all(f'ring="{r}"' in text for r in ('net1_to_coding', 'coding_to_net1', 'coding_to_helper2', 'helper2_to_coding'))
    for m, port in ((net.nodes[0], network.API_PORT), (net.gateways[0], network.HTTP_PORT), (net.gateways[0], network.GATEWAY_API_PORT)):
        status, text = net.http(m, port, '/metrics')
        assert status == 200 and text.endswith('\n')
        types = families(text)
        assert len(types) > 30 and {f'process_{n}' for n in ('cpu_seconds_total', 'open_fds', 'max_fds', 'virtual_memory_bytes', 'virtual_memory_max_bytes',
                                                            'resident_memory_bytes', 'start_time_seconds')} <= set(types)
        assert set(lint(types)) <= EXCEPTIONS
        if PROMTOOL:
            r = subprocess.run([PROMTOOL, 'check', 'metrics'], input=text, capture_output=True, text=True)
            assert {line.split()[0] for line in (r.stdout + r.stderr).splitlines()} <= EXCEPTIONS, r.stdout + r.stderr


@pytest.mark.skipif(not PROMTOOL, reason='no promtool: scripts/setup takes it out of a package where it can')
def test_promtool_was_there():
    """So that a run without it has a skipped test."""
    assert subprocess.run([PROMTOOL, '--version'], capture_output=True).returncode == 0


def named_in_monitoring():
    """The names that the dashboard and the alerts ask for."""
    folder = ROOT / 'docker/monitoring'
    board = json.loads((folder / 'grafana/dashboards/codecast.json').read_text())
    asked = [t['expr'] for p in board['panels'] for t in p.get('targets', ())] + re.findall(r'expr: (.+)', (folder / 'alerts.yml').read_text())
    return {re.sub('_bucket$', '', n) for n in re.findall(r'\b(?:codecast|optimum|process|message|node|nodes|client|publish)_\w+', ' '.join(asked))}


def test_dashboard_and_alerts_ask_for_what_is_there(make_network):
    net = make_network(nodes=1, gateways=1, driver='kernel')
    types = {}
    for m, port in ((net.nodes[0], network.API_PORT), (net.gateways[0], network.GATEWAY_API_PORT)):
        types |= families(net.http(m, port, '/metrics')[1])
    asked = {n for n in named_in_monitoring() if not n.startswith('optimum_gossip_')}
    assert len(asked) > 30 and asked <= set(types), asked - set(types)


def test_metrics_of_a_node_with_its_gateway_inside_pass_too(make_network):
    net = make_network(nodes=1, driver='kernel', embedded=True)
    both, clients = (families(net.http(net.nodes[0], port, '/metrics')[1]) for port in (network.API_PORT, network.HTTP_PORT))
    assert set(lint(both)) | set(lint(clients)) <= EXCEPTIONS
    assert set(clients) <= set(both) and 'codecast_up' in set(both) - set(clients)
