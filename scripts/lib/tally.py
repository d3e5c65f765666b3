"""Adds up meson's test logs into the closing line. Usage: tally.py LOG.json... [--fast] --failed-steps N
tally.py --names-of-failed LOG.json prints the names of its failed tests, one a line.
A test that failed and passed when it ran once more (LOG-again.json) counts as passed and is named.
"""
import argparse
import json
import pathlib
import sys

GOOD = ('OK', 'EXPECTEDFAIL')


def read(path):
    """{test name: result}"""
    text = pathlib.Path(path).read_text() if pathlib.Path(path).exists() else ''
    return {t['name']: t['result'] for t in map(json.loads, text.splitlines())}


p = argparse.ArgumentParser()
p.add_argument('logs', nargs='*')
p.add_argument('--fast', action='store_true')
p.add_argument('--failed-steps', type=int, default=0)
p.add_argument('--names-of-failed')
a = p.parse_args()
if a.names_of_failed:
    for name, result in read(a.names_of_failed).items():
        if result not in (*GOOD, 'SKIP'):
            print(name.rpartition(' / ')[2])
    sys.exit(0)

passed, skipped, again, failed = 0, [], [], []
for path in a.logs[:1] if a.fast else a.logs:
    first, second = read(path), read(path.replace('.json', '-again.json'))
    if not first:
        failed.append(f'{path} is missing: that step ran no test')
    for name, result in first.items():
        said = f'{pathlib.Path(path).stem}: {name}'
        if result in GOOD:
            passed += 1
        elif result == 'SKIP':
            skipped.append(said)
        elif second.get(name) in GOOD:
            passed += 1
            again.append(said)
        else:
            failed.append(f'{said}: {result}')
if a.failed_steps and not failed:
    failed.append(f'{a.failed_steps} steps failed without naming a test')
if not passed:
    failed.append('no test ran')
for s in skipped:
    print(f'skipped: {s}')
for s in again:
    print(f'passed only when run once more: {s}')
for f in failed:
    print(f'FAILED: {f}')
print(f'{passed} passed, {len(failed)} failed' + (f', {len(skipped)} skipped' if skipped else ''))
sys.exit(1 if failed else 0)
