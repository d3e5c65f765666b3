"""Adds up meson's test logs into the closing line. Usage: tally.py LOG.json... [--fast] --failed-steps N"""
import argparse
import json
import pathlib
import sys

p = argparse.ArgumentParser()
p.add_argument('logs', nargs='+')
p.add_argument('--fast', action='store_true')
p.add_argument('--failed-steps', type=int, default=0)
a = p.parse_args()
passed, skipped, failed = 0, [], []
for path in a.logs[:1] if a.fast else a.logs:
    if not pathlib.Path(path).exists():
        failed.append(f'{path} is missing: that step ran no test')
        continue
    for line in pathlib.Path(path).read_text().splitlines():
        t = json.loads(line)
        name = f"{pathlib.Path(path).stem}: {t['name']}"
        if t['result'] in ('OK', 'EXPECTEDFAIL'):
            passed += 1
        elif t['result'] == 'SKIP':
            skipped.append(name)
        else:
            failed.append(f"{name}: {t['result']}")
if a.failed_steps and not failed:
    failed.append(f'{a.failed_steps} steps failed without naming a test')
if not passed:
    failed.append('no test ran')
for s in skipped:
    print(f'skipped: {s}')
for f in failed:
    print(f'FAILED: {f}')
print(f'{passed} passed, {len(failed)} failed' + (f', {len(skipped)} skipped' if skipped else ''))
sys.exit(1 if failed else 0)
