"""The other libraries that figures 3 and 4 measure beside: built or installed once, before anything is measured."""
import os
import shutil
import subprocess
import sys
import time

import figure

sys.path.insert(0, str(figure.ROOT / 'tests' / 'interop'))
import reference  # noqa: E402


def measured_rust(build):
    """The interop peer is built quickly, this one to be fast."""
    return build / 'interop' / 'rust' / 'measured' / 'peer'


def _build_rust(build):
    if not shutil.which('cargo'):
        raise reference.Missing('cargo is not installed')
    out = build / 'interop' / 'rust'
    out.mkdir(parents=True, exist_ok=True)
    r = subprocess.run(['cargo', 'build', '--profile', 'measured', '--locked', '--target-dir', str(out)],
                       cwd=reference.LIBRARIES['rust'].folder, capture_output=True, text=True)
    if r.returncode:
        raise reference.Missing('cargo build failed: ' + ' / '.join(r.stderr.strip().splitlines()[-3:]))


def prepare(names, build):
    """{name: library} of those that can be had here. Says what takes long."""
    there = {'js': reference.LIBRARIES['js'].folder / 'node_modules' / '.installed', 'go': build / 'interop' / 'go_peer', 'rust': measured_rust(build)}
    os.environ.setdefault('CODECAST_BUILD', str(build))
    found = {}
    for name in names:
        library, began, is_new = reference.LIBRARIES[name], time.monotonic(), not there[name].exists()
        if is_new:
            figure.say(f'building the {name} peer, once')
        try:
            _build_rust(build) if name == 'rust' else library.prepare()
            found[name] = library
        except reference.Missing as e:
            figure.say(f'without {name}: {e}')
        if is_new:
            figure.say(f'  {time.monotonic() - began:.0f} s')
    return found
