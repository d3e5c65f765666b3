#!/usr/bin/env python3
"""No two rooms define the same global name: a program links them all. Usage: symbols.py BUILD_ROOT"""
import collections
import pathlib
import subprocess
import sys


def main():
    owners = collections.defaultdict(set)
    libs = [p for p in pathlib.Path(sys.argv[1]).rglob('libcodecast_*.a')]
    for lib in libs:
        for line in subprocess.run(['nm', '-g', '--defined-only', lib], capture_output=True, text=True).stdout.splitlines():
            part = line.split()
            if len(part) == 3 and not part[2].startswith('__'):
                owners[part[2]].add(lib.name)
    bad = {s: o for s, o in owners.items() if len(o) > 1}
    for s, o in sorted(bad.items()):
        print(f'{s} is defined in {", ".join(sorted(o))}')
    print(f'{len(libs)} libraries, {len(owners)} names, {len(bad)} defined twice')
    return 1 if bad or not owners else 0


sys.exit(main())
