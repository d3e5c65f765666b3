#!/usr/bin/env python3
"""codecast-sim as a person meets it: help, errors, files, the same bytes for the same seed, plots that are SVG.
Usage: test_program.py CODECAST_SIM SOURCE_ROOT"""
import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import xml.dom.minidom

SIM, ROOT = sys.argv[1], pathlib.Path(sys.argv[2])
SMALL = ['--nodes', '20', '--messages', '3', '--bytes', '100k', '--k', '8', '--quiet']


def run(*args):
    return subprocess.run([SIM, *args], capture_output=True, text=True)


def check(is_good, what):
    if not is_good:
        sys.exit(f'failed: {what}')


def test_help():
    r = run('--help')
    check(r.returncode == 0 and '--scenario FILE' in r.stdout and 'up_mbit' in r.stdout, 'help')
    check(run('--version').stdout.startswith('codecast-sim '), 'version')


def test_errors():
    for args, says in ((['--nods', '3'], 'no such option'), (['--nodes', '1'], 'from 2'), (['--nodes'], 'expected --option VALUE'),
                       (['words'], 'expected'), (['--scenario', '/does/not/exist'], 'No such file'), (['--threshold', '2'], '<= 1')):
        r = run(*args)
        check(r.returncode == 2 and says in r.stderr and not r.stdout, f'{args}: {r.returncode} {r.stderr}')
    r = run(*SMALL, '--delay', 'matrix', '--matrix', '/does/not/exist')
    check(r.returncode == 1 and 'No such file' in r.stderr, r.stderr)
    r = run(*SMALL, '--out', '/does/not/exist/x')
    check(r.returncode == 1 and 'No such file' in r.stderr, r.stderr)


def test_files(tmp):
    (tmp / 'a.sim').write_text('# twenty nodes\nnodes = 20\nmessages = 3\nbytes = 100k\nk = 8\n')
    for name, args in (('one', SMALL), ('two', ['--scenario', str(tmp / 'a.sim'), '--quiet']), ('gossip', [*SMALL, '--mode=gossipsub'])):
        r = run(*args, '--out', str(tmp / name))
        check(r.returncode == 0 and not r.stderr, r.stderr)
    one, two = json.loads((tmp / 'one.json').read_text()), json.loads((tmp / 'two.json').read_text())
    check(one['delivered'] == one['wanted'] == 57 and one['scenario']['nodes'] == 20, 'delivered')
    for suffix in ('.messages.csv', '.nodes.csv', '.cdf.csv'):
        check((tmp / f'one{suffix}').read_bytes() == (tmp / f'two{suffix}').read_bytes(), f'same bytes in {suffix}')
    check({k: v for k, v in one.items() if k != 'scenario'} == {k: v for k, v in two.items() if k != 'scenario'}, 'same figures')
    rows = list(csv.DictReader((tmp / 'one.nodes.csv').open()))
    check(len(rows) == 20 and sum(int(r['out_bytes']) for r in rows) == one['sent_bytes'], 'bytes of the nodes')
    check(run(*SMALL).stdout == (tmp / 'one.json').read_text(), 'JSON on stdout')


def test_plots(tmp):
    r = subprocess.run([sys.executable, str(ROOT / 'scripts/sim-plots'), str(tmp / 'p'), f'coded={tmp}/one', f'gossip={tmp}/gossip'],
                       capture_output=True, text=True)
    check(r.returncode == 0, r.stderr)
    for name in ('latency', 'bytes', 'duplicates', 'time99'):
        xml.dom.minidom.parse(str(tmp / f'p.{name}.svg'))


with tempfile.TemporaryDirectory() as d:
    test_help()
    test_errors()
    test_files(pathlib.Path(d))
    test_plots(pathlib.Path(d))
print('ok')
