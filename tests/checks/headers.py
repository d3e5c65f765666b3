#!/usr/bin/env python3
"""Each public header compiles alone. Usage: headers.py COMPILER ROOT FLAGS... -- HEADERS..."""
import subprocess
import sys
import concurrent.futures


def main():
    cut = sys.argv.index('--')
    cc, root, flags, headers = sys.argv[1], sys.argv[2], sys.argv[3:cut], sys.argv[cut + 1:]

    def one(h):
        r = subprocess.run([cc, '-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror', '-fsyntax-only',
                            '-I', root, '-I', root + '/lib', *flags, '-x', 'c', h], capture_output=True, text=True)
        return h, r.returncode, r.stderr

    bad = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for h, rc, err in pool.map(one, headers):
            if rc:
                bad += 1
                print(f'{h} does not compile alone:\n{err}')
    print(f'{len(headers)} headers, {bad} do not compile alone')
    return 1 if bad or not headers else 0


sys.exit(main())
