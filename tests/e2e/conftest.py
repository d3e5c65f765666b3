import ctypes
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'scripts' / 'lib'))
import burst  # noqa: E402
import clients  # noqa: E402
from network import Network  # noqa: E402

BUILD = pathlib.Path(os.environ.get('CODECAST_BUILD', ROOT / 'build'))


LAN = f'cct{os.getpid() % 100000}-lan'
CLONE_NEWNET = 0x40000000


LIBC = ctypes.CDLL(None, use_errno=True)
homes = []


def _enter(path):
    fd = os.open(path, os.O_RDONLY)
    if LIBC.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f'setns {path}')
    os.close(fd)


def go_home():
    """Back to the machine's own network, for a child that fetches something."""
    if homes:
        LIBC.setns(homes[0], CLONE_NEWNET)


def pytest_sessionfinish(session, exitstatus):
    """Nothing ran: tell meson that it was skipped."""
    reporter = session.config.pluginmanager.get_plugin('terminalreporter')
    if exitstatus == 0 and reporter and not reporter.stats.get('passed'):
        session.exitstatus = 77


@pytest.fixture(scope='session', autouse=True)
def lan():
    """As root this process and all it starts live in a network namespace of their own, from before its first thread (gRPC's
    among them) on: its clients reach the networks in namespaces, and 127.0.0.x is nobody else's."""
    if os.geteuid():
        yield None
        return
    home = os.open('/proc/self/ns/net', os.O_RDONLY)
    homes.append(home)
    subprocess.run(['ip', 'netns', 'add', LAN], check=True)
    try:
        subprocess.run(['ip', '-n', LAN, 'link', 'set', 'lo', 'up'], check=True)
        _enter(f'/var/run/netns/{LAN}')
        yield LAN
        _enter(f'/proc/self/fd/{home}')
    finally:
        subprocess.run(['ip', 'netns', 'del', LAN], check=True)


@pytest.fixture(scope='session')
def protos():
    return clients.load_protos()


@pytest.fixture
def make_network(lan):
    """Starts networks; at the end every program must stop by itself with code 0."""
    made = []

    def make(**options):
        net = Network(build=BUILD, lan=lan, **options)
        made.append(net)
        net.start()
        return net

    yield make
    bad = [b for net in made for b in net.stop()]
    assert not bad, bad


@pytest.fixture(scope='session')
def api(lan):
    """One network for all tests of what clients speak: a gateway program, and two nodes with a gateway inside each."""
    net = Network(build=BUILD, lan=lan, nodes=2, gateways=1, driver='kernel', embedded='too', loopback='127.0.2',
                  node_env={'LOG_LEVEL': 'debug', 'COUNTRY': 'India', 'COUNTRY_ISO': 'IN'}, gateway_env={'LOG_LEVEL': 'debug'})
    try:
        net.start()
        burst.wait_for_nodes(net)
        yield net
    finally:
        bad = net.stop()
    assert not bad, bad


@pytest.fixture
def build():
    return BUILD


def pytest_generate_tests(metafunc):
    """`driver` runs over the data paths that this user may have."""
    if 'driver' in metafunc.fixturenames:
        metafunc.parametrize('driver', ['kernel', 'af_packet'] if os.geteuid() == 0 else ['kernel'])
