"""What the programs tests/bench/figure<N>_* have in common: their arguments, and the records they write.

A figure's program measures one of the figures of docs/PERFORMANCE.md beside its baseline, in turns within one run. It is started as

    tests/bench/figure<N>_<name> [--quick] [--rounds N] [--build DIR] [--prepare]

and writes one JSON object a line to stdout for each record, progress to stderr. It ends with 0, with 77 when it cannot run here
(the last line of stderr says why), with any other code when it failed; records written before that count. With --prepare it builds what it is
compared with, where that is not there yet, and measures nothing. Ended by SIGTERM it takes away what it made. A record has

    figure  number                 name  what was measured, unique within the figure; "row: column" of the table in the docs
    unit    of value               value  the median of the runs
    spread  [least, most]          runs   how many
    goal    '>= 0.8', '<= 5', null: none; it is for value      met  true, false, null without a goal
    note    what a reader must know, or ''                     cmd  what makes this figure again
"""
import argparse
import json
import operator
import os
import pathlib
import shlex
import signal
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'scripts' / 'lib'))
FIELDS = ('figure', 'name', 'unit', 'value', 'spread', 'runs', 'goal', 'met', 'note', 'cmd')
SKIPPED = 77
WHY = 'docs/PERFORMANCE.md'  # its headings under which each figure's missed goals have their reasons
WHY_IN = {1: 'Reading them', 2: 'TCP on long and lossy paths', 3: 'Reading them', 4: 'Reading them', 5: 'A link, and relays',
          6: 'Reading them', 7: 'Reading them', 8: 'Reading them'}


def end_by_sigterm():
    """SIGTERM goes through every `with` and `finally`: namespaces, programs and folders go too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def arguments(doc, beside=(), **more):
    """The parsed arguments of a figure's program; beside: other libraries it measures; more: name=default of its own, as --name."""
    ap = argparse.ArgumentParser(description=doc.splitlines()[0])
    ap.add_argument('--quick', action='store_true', help='fewer and shorter rounds')
    ap.add_argument('--rounds', type=int, default=0, help='how many, instead of what is usual')
    ap.add_argument('--build', type=pathlib.Path, default=ROOT / 'build')
    ap.add_argument('--prepare', action='store_true', help='build what it is compared with, and end')
    for name, default in more.items():
        ap.add_argument(f'--{name.replace("_", "-")}', default=default, type=type(default) if default is not None else str)
    args = ap.parse_args()
    end_by_sigterm()
    if args.prepare:
        if beside:
            import others  # needs this module
            others.prepare(beside, args.build.resolve())
        sys.exit(0)
    return args


def rounds(args, quick, whole=5):
    """Of a run: what was asked for, or what is usual for its form."""
    return args.rounds or (quick if args.quick else whole)


def command():
    path = pathlib.Path(sys.argv[0]).resolve()
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
    return shlex.join([name, *sys.argv[1:]])


def is_met(value, goal):
    """goal: '>= 3' or '<= 0.5'."""
    if goal is None or value is None:
        return None if goal is None else False
    how, number = goal.split()
    return {'>=': operator.ge, '<=': operator.le}[how](value, float(number))


def digits(v):
    """Four that count: more is noise."""
    return v if v is None else float(f'{v:.4g}')


def record(figure, name, unit, values, goal=None, note='', cmd=None, value=None):
    """values: one a run; value: where the median of them is not what counts. Writes and returns the record."""
    values = [v for v in values if v is not None]
    value = digits(statistics.median(values) if value is None else value) if values else None
    r = {'figure': figure, 'name': name, 'unit': unit, 'value': value,
         'spread': [digits(min(values)), digits(max(values))] if values else None, 'runs': len(values),
         'goal': goal, 'met': is_met(value, goal), 'note': note, 'cmd': cmd or command()}
    print(json.dumps(r, ensure_ascii=False), flush=True)
    return r


def ratios(ours, theirs):
    """Of pairs measured in the same round."""
    return [a / b for a, b in zip(ours, theirs) if a is not None and b]


def ratio_of_sums(ours, theirs):
    """Of runs that chance decides: all rounds together."""
    pairs = [(a, b) for a, b in zip(ours, theirs) if a is not None and b]
    return sum(a for a, _ in pairs) / sum(b for _, b in pairs) if pairs else None


def why(figure):
    """Where the docs say why this figure's goals are missed: file, line and heading."""
    lines = (ROOT / WHY).read_text().splitlines()
    found = next(((i, line.lstrip('# ')) for i, line in enumerate(lines, 1) if line.startswith('#') and WHY_IN.get(figure, '-') in line), None)
    return f'{WHY}:{found[0]} "{found[1].partition(" (")[0]}"' if found else WHY


def say(text):
    print(text, file=sys.stderr, flush=True)


def skip(why):
    say(why)
    raise SystemExit(SKIPPED)


def need_root():
    if os.geteuid():
        skip('needs root: network namespaces')


def cpu_s(pid):
    """utime + stime of a process."""
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def run_time_s(pid):
    """Of all threads of a process, from the scheduler: finer than its ticks."""
    total = 0
    for t in pathlib.Path(f'/proc/{pid}/task').iterdir():
        try:
            total += int((t / 'schedstat').read_text().split()[0])
        except OSError:
            pass  # a thread that has just ended
    return total / 1e9


def memory_kib(pid):
    """RSS and what of it is private and dirty."""
    rss = private = 0
    for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
        if line.startswith('Rss:'):
            rss = int(line.split()[1])
        if line.startswith('Private_Dirty:'):
            private = int(line.split()[1])
    return rss, private
