#!/usr/bin/env python3
"""What operators install fits the programs: compose files and environment files name known variables, units are valid.
Usage: deploy.py ROOT BUILD"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

root, build = (pathlib.Path(a).resolve() for a in sys.argv[1:])
programs = {'p2pnode': build / 'app/p2pnode/p2pnode', 'gateway': build / 'app/gateway/gateway'}
known = {}
for name, path in programs.items():
    out = subprocess.run([path, '--help'], capture_output=True, text=True, check=True).stdout
    known[name] = set(re.findall(r'^\s+([A-Z][A-Z0-9_]+)\s', out, re.M))
bad = []

# The variables of a compose file stand in blocks of their own: x-.. anchors and services.
for path in sorted((root / 'docker').glob('*.yml')):
    program = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        block = re.match(r'(?:  )?(x-)?(p2pnode|node|gateway)[\w-]*:', line)
        if block:
            program = 'gateway' if block[2] == 'gateway' else 'p2pnode'
        variable = re.match(r'\s+#?([A-Z][A-Z0-9_]+): ', line)
        if variable and (not program or variable[1] not in known[program]):
            bad.append(f'{path}:{number}: {program} has no variable {variable[1]}')

for path, program in ((root / 'scripts/systemd/node.env', 'p2pnode'), (root / 'scripts/systemd/gateway.env', 'gateway')):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        variable = re.match(r'#?([A-Z][A-Z0-9_]+)=', line)
        if variable and variable[1] not in known[program]:
            bad.append(f'{path}:{number}: {program} has no variable {variable[1]}')

if shutil.which('systemd-analyze'):
    with tempfile.TemporaryDirectory() as d:
        units = []
        for path in sorted((root / 'scripts/systemd').glob('*.service')):
            text = path.read_text()
            for name, program in programs.items():
                text = text.replace(f'/usr/local/bin/{name}', str(program))
            units.append(pathlib.Path(d) / path.name)
            units[-1].write_text(text)
        r = subprocess.run(['systemd-analyze', 'verify', '--man=no', *units], capture_output=True, text=True)
        if r.returncode or any(str(u.name) in r.stderr for u in units):
            bad.append(f'systemd-analyze verify: {r.stderr.strip()}')
else:
    print('no systemd-analyze here: the units are not verified')

print('\n'.join(bad) or f'{sum(map(len, known.values()))} variables known; compose files, environment files and units fit')
sys.exit(1 if bad else 0)
