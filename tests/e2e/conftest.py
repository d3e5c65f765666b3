import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'scripts' / 'lib'))
import clients  # noqa: E402
from network import Network  # noqa: E402

BUILD = pathlib.Path(os.environ.get('CODECAST_BUILD', ROOT / 'build'))


@pytest.fixture(scope='session')
def protos():
    return clients.load_protos()


@pytest.fixture
def make_network():
    """Starts networks; at the end every program must stop by itself with code 0."""
    made = []

    def make(**options):
        net = Network(build=BUILD, **options)
        made.append(net)
        net.start()
        return net

    yield make
    bad = [b for net in made for b in net.stop()]
    assert not bad, bad


@pytest.fixture
def build():
    return BUILD


def pytest_generate_tests(metafunc):
    """`driver` runs over the data paths that this user may have."""
    if 'driver' in metafunc.fixturenames:
        metafunc.parametrize('driver', ['kernel', 'af_packet'] if os.geteuid() == 0 else ['kernel'])
