"""The demo, as a person runs it, in each mode over each data path."""
import os
import re
import subprocess

import pytest

from conftest import BUILD, ROOT


def demo(*args, timeout=180):
    r = subprocess.run(['/usr/bin/python3', ROOT / 'scripts/lib/demo.py', '--build', BUILD, '--once', *args], capture_output=True,
                       text=True, timeout=timeout)
    assert r.returncode == 0, r.stdout[-4000:] + r.stderr[-2000:]
    assert 'nothing is left behind' in r.stdout
    return r.stdout


def left_behind(out):
    """Namespaces of this very run; other runs on the machine are none of our business."""
    tag = re.search(r'namespaces (\w+)-', out)
    names = subprocess.run(['ip', 'netns', 'list'], capture_output=True, text=True).stdout.split()
    return [n for n in names if tag and n.startswith(tag[1] + '-')]


@pytest.mark.parametrize('mode', ['optimum', 'gossipsub'])
def test_demo_delivers_everywhere(mode, driver):
    out = demo('--mode', mode, '--driver', driver, '--count', '3')
    assert ' 0 repeated' in out and 'MISSING' not in out
    assert left_behind(out) == []


def test_demo_over_tap():
    if os.geteuid() or not os.path.exists('/dev/net/tun'):
        pytest.skip('needs root and /dev/net/tun')
    demo('--driver', 'tap', '--count', '2')


@pytest.mark.parametrize('mode', ['optimum', 'gossipsub'])
def test_demo_with_large_messages(mode, driver):
    demo('--mode', mode, '--driver', driver, '--size', '8388608', '--count', '2')


def test_demo_with_the_largest_messages(driver):
    demo('--driver', driver, '--size', '16777216', '--count', '1')
