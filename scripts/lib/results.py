"""Figures of docs/RESULTS.md: each NAME runs codecast-sim over its scenarios, prints a table in Markdown and writes it, the
results and the plots into build/results/NAME.

Names: stall, compare100, compare1000, sizes, loss, sweep, hops, liars, scale, egress (this one also runs 8 real nodes), all."""
import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIM = pathlib.Path(os.environ.get('CODECAST_SIM') or ROOT / 'build/app/sim/codecast-sim')
sys.path.insert(0, str(ROOT / 'scripts/lib'))
import svg  # noqa: E402

ARGS = None


class Runs:
    """The runs of one name; a run that is there already is not made again."""

    def __init__(self, name):
        self.dir = ROOT / 'build/results' / name
        self.dir.mkdir(parents=True, exist_ok=True)
        self.table = []

    def run(self, label, **options):
        prefix = self.dir / label
        if ARGS.again or not prefix.with_name(label + '.json').exists():
            args = [a for k, v in options.items() for a in ('--' + k.replace('_', '-'), str(v))]
            print(f'  {label}: codecast-sim ' + ' '.join(args), file=sys.stderr, flush=True)
            subprocess.run([SIM, '--quiet', '--out', prefix.with_name(label + '.tmp'), *args], check=True)
            for s in ('.messages.csv', '.nodes.csv', '.cdf.csv', '.json'):
                prefix.with_name(label + '.tmp' + s).rename(prefix.with_name(label + s))
        return json.load(open(prefix.with_name(label + '.json')))

    def cdf(self, label):
        lines = (self.dir / (label + '.cdf.csv')).read_text().splitlines()[1:]
        return [(float(ms), float(share)) for share, ms in (line.split(',') for line in lines)]

    def row(self, *cells):
        self.table.append('| ' + ' | '.join(str(c) for c in cells) + ' |')
        if len(self.table) == 1:
            self.table.append('|' + '---|' * len(cells))

    def done(self):
        text = '\n'.join(self.table) + '\n'
        (self.dir / 'table.md').write_text(text)
        print(text)


def ms(v):
    return f'{v:.0f}' if v >= 100 else f'{v:.1f}'


def percent(v):
    return '100' if v == 1 else f'{100 * v:.2f}'


def useless(j):
    return f"{100 * j['useless_shards_share']:.0f} %"


def stall():
    r = Runs('stall')
    r.row('N', 'gate', 'reference: delivered', 'useless shards', 'ours: delivered', 'useless shards', 'ours: p95 ms')
    for n in (5, 12, 16, 20):
        for gate in (0.75, 0.85, 0.9, 0.95):
            common = dict(nodes=n, dials=0, k=16, mult=2.5, threshold=gate, d=6, messages=20 if ARGS.quick else 100, interval_s=4,
                          drain_s=20)
            a = r.run(f'reference-{n}-{gate}', mode='reference', **common)
            b = r.run(f'ours-{n}-{gate}', **common)
            r.row(n, gate, percent(a['delivered_share']) + ' %', useless(a), percent(b['delivered_share']) + ' %', useless(b),
                  ms(b['latency_ms']['p95']))
    svg.lines(r.dir / 'stall.svg', 'Delivered over the gate: k = 16, mult 2.5, D = 6', 'gate', 'percent of deliveries',
              {f'{who}, N = {n}': [(g, 100 * r.run(f'{who}-{n}-{g}')['delivered_share']) for g in (0.75, 0.85, 0.9, 0.95)]
               for who in ('reference', 'ours') for n in (12, 20)}, ymax=105)
    r.done()


SIZES = (('1k', 1000), ('100k', 100000), ('1M', 1000000), ('4M', 4000000))
WAYS = (('gossipsub 1.1', dict(mode='gossipsub', gossipsub='1.1')), ('gossipsub 1.2', dict(mode='gossipsub')),
        ('gossipsub 1.2, flood', dict(mode='gossipsub', flood='yes')), ('coded, k = 4', dict(k=4)), ('coded, k = 16', dict(k=16)))


def compare(nodes):
    r = Runs(f'compare{nodes}')
    messages = 4 if ARGS.quick else 10 if nodes >= 1000 else 30
    r.row('size', 'D', 'way', 'p50 ms', 'p95 ms', 'p99 ms', 'to all, median', 'to all, worst', 'bytes / ideal', 'MB a node')
    for size, nbytes in SIZES:
        for d in (6, 8):
            for way, options in WAYS:
                label = f'{size}-D{d}-' + way.replace(' ', '').replace(',', '-').replace('=', '')
                j = r.run(label, nodes=nodes, bytes=nbytes, d=d, messages=messages,
                          interval_s={'1k': 2, '100k': 5, '1M': 12, '4M': 40}[size], drain_s=120, **options)
                lat, last = j['latency_ms'], j['time_to_all_ms']
                lost = '' if j['delivered_share'] == 1 else f" ({percent(j['delivered_share'])} % delivered)"
                r.row(size, d, way + lost, ms(lat['p50']), ms(lat['p95']), ms(lat['p99']), ms(last['p50']), ms(last['max']),
                      f"{j['sent_over_ideal']:.2f}", f"{j['node_out_bytes']['mean'] / messages / 1e6:.3f}")
            names = [w[0] for w in WAYS]
            labels = {w: f'{size}-D{d}-' + w.replace(' ', '').replace(',', '-').replace('=', '') for w in names}
            svg.lines(r.dir / f'{size}-D{d}.svg', f'{nodes} nodes, {size}, D = {d}: latency', 'ms', 'share of deliveries',
                      {w: r.cdf(label) for w, label in labels.items()}, ymax=1)
            svg.bars(r.dir / f'{size}-D{d}.bytes.svg', f'{nodes} nodes, {size}, D = {d}: bytes over what is needed', 'times',
                     {w: [r.run(label)['sent_over_ideal']] for w, label in labels.items()}, ['all bytes of all nodes / payload x (nodes - 1)'])
    r.done()


MIDDLE = (('1k', 1000, 2), ('4k', 4000, 2), ('10k', 10000, 2), ('20k', 20000, 2), ('50k', 50000, 2), ('100k', 100000, 5),
          ('200k', 200000, 5), ('500k', 500000, 12), ('1M', 1000000, 12))  # and seconds between publishes
LOCAL = dict(delay='random', delay_ms=0.05, delay_max_ms=0.15, up_mbit=1000, down_mbit=1000)
FAST = dict(up_mbit=1000, down_mbit=1000, small_bytes=300000)
PLACES = ((100, 6, '', {}), (100, 8, '', {}), (1000, 6, '', {}), (1000, 8, '', {}), (100, 6, 'local', LOCAL), (100, 6, 'fast', FAST))
THREE = (('gossipsub', dict(mode='gossipsub')), ('k4', dict(k=4)), ('k16', dict(k=16)))


def middle(r, place, name, options, size, nbytes, interval):
    """p50, p95, bytes, and whether all came: the mean over seeds, since the chance of a small network's mesh is some per cent."""
    nodes, d, kind, net = place
    runs = [r.run(f"{nodes}-D{d}-{kind and kind + '-'}{size}-{name}-s{seed}", nodes=nodes, d=d, bytes=nbytes, seed=seed, drain_s=60,
                  interval_s=interval, messages=4 if ARGS.quick else 10 if nodes >= 1000 else 20, **net, **options)
            for seed in ((1, 2, 3) if nodes < 1000 else (1,))]
    rows = [(j['latency_ms']['p50'], j['latency_ms']['p95'], j['sent_over_ideal'], j['delivered_share']) for j in runs]
    return [sum(column) / len(rows) for column in zip(*rows)]


def sizes():
    """The size rule's curve: coded against gossipsub 1.2."""
    r = Runs('sizes')
    r.row('nodes', 'D', 'size', 'gossipsub 1.2: p50 ms', 'p95 ms', 'bytes / ideal', 'k = 4: p50', 'p95', 'bytes / ideal', 'k = 16: p50', 'p95',
          'bytes / ideal', 'delivered')
    for place in PLACES:
        title = f"{place[0]}{place[2] and ', ' + place[2]}"
        curves = {'p95, k = 4': [], 'p95, k = 16': [], 'bytes, k = 4': [], 'bytes, k = 16': []}
        for size, nbytes, interval in MIDDLE:
            base, *ours = [middle(r, place, name, options, size, nbytes, interval) for name, options in THREE]
            cells = [ms(base[0]), ms(base[1]), f'{base[2]:.2f}']
            for k, got in zip((4, 16), ours):
                cells += [f'{got[0] / base[0]:.2f}', f'{got[1] / base[1]:.2f}', f'{got[2]:.2f}']
                curves[f'p95, k = {k}'].append((nbytes / 1000, got[1] / base[1]))
                curves[f'bytes, k = {k}'].append((nbytes / 1000, got[2] / base[2]))
            r.row(title, place[1], size, *cells, percent(min(base[3], ours[0][3], ours[1][3])) + ' %')
        svg.lines(r.dir / f"{title.replace(', ', '-')}-D{place[1]}.svg", f'{title} nodes, D = {place[1]}: coded over gossipsub 1.2', 'KB', 'times',
                  curves, xlog=True, ymax=1.2)
    r.done()


def loss():
    r = Runs('loss')
    r.row('lost', 'k', 'delivered', 'p50 ms', 'p95 ms', 'to all, worst', 'bytes / ideal', 'grown by', 'allowed: 1/(1 - loss) + 10 %')
    for k in (4, 16):
        base = None
        for lost in (0, 5, 10, 20):
            j = r.run(f'k{k}-loss{lost}', nodes=100, k=k, loss_percent=lost, messages=10 if ARGS.quick else 40, interval_s=12)
            base = base or j['sent_over_ideal']
            r.row(f'{lost} %', k, percent(j['delivered_share']) + ' %', ms(j['latency_ms']['p50']), ms(j['latency_ms']['p95']),
                  ms(j['time_to_all_ms']['max']), f"{j['sent_over_ideal']:.2f}", f"{j['sent_over_ideal'] / base:.2f}",
                  f'{1 / (1 - lost / 100) + 0.1:.2f}')
    r.done()


def sweep():
    r = Runs('sweep')
    base = dict(k=16, mult=1.5, threshold=0.75, d=6)
    r.row('k', 'mult', 'threshold', 'D', 'p50 ms', 'p95 ms', 'to all, worst', 'bytes / ideal', 'useless shards')
    todo = [dict(base, k=k) for k in (2, 4, 8, 16, 32, 64, 128)] + [dict(base, mult=m) for m in (0.5, 1, 2, 3)] + \
           [dict(base, threshold=t) for t in (0.25, 1)] + [dict(base, d=d) for d in (4, 8, 12)]
    for o in todo:
        j = r.run('k{k}-m{mult}-t{threshold}-d{d}'.format(**o), nodes=200, messages=5 if ARGS.quick else 10, interval_s=12, **o)
        r.row(o['k'], o['mult'], o['threshold'], o['d'], ms(j['latency_ms']['p50']), ms(j['latency_ms']['p95']),
              ms(j['time_to_all_ms']['max']), f"{j['sent_over_ideal']:.2f}", useless(j))
    r.done()


def hops():
    """A line of nodes: h hops. Cut-through approaches size/rate + h (shard/rate + delay), against h (size/rate + delay)."""
    r = Runs('hops')
    r.row('hops', 'k', 'last node, ms', 'size/rate + h (shard/rate + delay)', 'ratio', 'store and forward: h (size/rate + delay)')
    rate, delay, size = 50e6 / 8e3, 20, 1000000  # bytes per ms, ms
    for h in (1, 2, 4, 8):
        n = h + 1
        matrix = r.dir / f'line{h}.txt'
        matrix.write_text('\n'.join(' '.join(str(delay) for _ in range(n)) for _ in range(n)) + '\n')
        for k in (4, 16, 64):
            j = r.run(f'h{h}-k{k}', nodes=n, dials=1, k=k, mult=1, messages=5, interval_s=20, publishers=1, delay='matrix', matrix=matrix)
            got, want = j['time_to_all_ms']['p50'], size / rate + h * (size / k / rate + delay)
            r.row(h, k, ms(got), ms(want), f'{got / want:.2f}', ms(h * (size / rate + delay)))
    r.done()


def liars():
    r = Runs('liars')
    r.row('adversaries', 'delivered', 'p95 ms', 'bytes / ideal', 'cut off', 'all of them after messages', 'of links lied on, cut', 'honest ones cut off')
    kinds = (('none', {}), ('17 % forgers', dict(forgers_percent=17)), ('17 % silent', dict(silent_percent=17)),
             ('17 % withholders', dict(withholders_percent=17)),
             ('10 % of each, 5 % loss', dict(forgers_percent=10, silent_percent=10, withholders_percent=10, loss_percent=5)))
    for name, options in kinds:
        j = r.run(name.replace(' ', '').replace('%', '').replace(',', '-'), nodes=100, k=16, messages=10 if ARGS.quick else 30,
                  interval_s=12, **options)
        forgers = 'forgers_percent' in options
        r.row(name, percent(j['delivered_share']) + ' %', ms(j['latency_ms']['p95']), f"{j['sent_over_ideal']:.2f}",
              f"{j['adversaries_cut']} of {j['adversaries']}" if forgers else '-', j['cut_after_messages'] if forgers else '-',
              f"{j['lie_links_cut']} of {j['lie_links']}" if forgers else '-', j['honest_cut'])
    r.done()


def scale():
    r = Runs('scale')
    r.row('nodes', 'messages', 'delivered', 'p50 ms', 'p95 ms', 'to 99 %, median', 'to all, worst', 'bytes / ideal')
    for n, m in ((100, 20), (1000, 100), (10000, 3)):
        j = r.run(f'n{n}', nodes=n, k=16, messages=4 if ARGS.quick else m, interval_s=5)
        r.row(n, m, percent(j['delivered_share']) + ' %', ms(j['latency_ms']['p50']), ms(j['latency_ms']['p95']),
              ms(j['time_to_99_ms']['p50']), ms(j['time_to_all_ms']['max']), f"{j['sent_over_ideal']:.2f}")
    r.done()


def egress():
    import egress as real
    r = Runs('egress')
    count, size = 10, 1048576
    # Rate and delays such that a message takes about as long as it does with 8 real nodes and their clients on 2 busy CPUs.
    j = r.run('sim', nodes=8, dials=0, k=4, bytes=size, messages=4 * count, publishers=1, interval_s=1, delay='random', delay_ms=0.1,
              delay_max_ms=3, jitter_ms=5, up_mbit=400, down_mbit=0)
    sim = j['sent_over_ideal']
    r.row('', 'bytes sent / needed', 'against the simulator')
    r.row('simulated', f'{sim:.3f}', '1')
    for i, got in enumerate(real.measure(ROOT, count, size, 1 if ARGS.quick else 3)):
        r.row(f'8 real nodes, run {i + 1}', f'{got:.3f}', f'{got / sim:.3f}')
    r.done()


def main():
    global ARGS
    names = {'stall': stall, 'compare100': lambda: compare(100), 'compare1000': lambda: compare(1000), 'sizes': sizes, 'loss': loss, 'sweep': sweep,
             'hops': hops, 'liars': liars, 'scale': scale, 'egress': egress}
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('names', nargs='+', choices=[*names, 'all'], metavar='NAME')
    p.add_argument('--quick', action='store_true', help='fewer messages, into the same folder: run with --again after it')
    p.add_argument('--again', action='store_true', help='do not take results that are there')
    ARGS = p.parse_args()
    if not SIM.exists():
        sys.exit(f'{SIM} is not there: run ./scripts/build first')
    for n in names if 'all' in ARGS.names else ARGS.names:
        print(f'## {n}', flush=True)
        names[n]()


main()
