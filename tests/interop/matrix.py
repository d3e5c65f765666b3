"""The matrix: our node x {js, go, rust} x {dial, listen} x {kernel, af_packet}, a line for each cell and a table at the end.

Exit 0 all passed, 1 something failed, 77 something could not be tried here (said by name).
"""
import argparse
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback

from bench import DRIVERS, Bench, Rest
from cells import CELLS, Seat, Skip
from network import Failure
from networks import NETWORKS
from reference import LIBRARIES, Missing

SEATS = ['dial', 'listen']
REST = 'idle link'


class Report:
    """What a data path's process tells the parent: (library, seat, driver, cell, outcome, ms, text)."""

    def __init__(self, pipe, driver):
        self.pipe, self.driver, self.has_failed = pipe, driver, False

    def tell(self, library, seat, cell, outcome, ms=None, text=''):
        self.has_failed |= outcome == 'FAILED'
        self.pipe.send((library, seat, self.driver, cell, outcome, ms, text))

    def run(self, library, seat, cell, step, *args):
        """Did it not fail?"""
        try:
            ms = step(*args)
            self.tell(library, seat, cell, 'ok', ms)
            return True
        except Skip as e:
            self.tell(library, seat, cell, 'skipped', text=str(e))
            return True
        except (AssertionError, Failure) as e:
            self.tell(library, seat, cell, 'FAILED', text=str(e) or traceback.format_exc())
        except Exception:
            self.tell(library, seat, cell, 'FAILED', text=traceback.format_exc())
        return False


def run_seat(report, bench, library, who, wanted):
    seat = Seat(bench, library, who == 'dial')
    try:
        seat.begin()
    except Exception:
        report.tell(library.name, who, 'start', 'FAILED', text=traceback.format_exc())
        seat.drop()
        return
    well = True
    for name in wanted:
        well &= report.run(library.name, who, name, CELLS[name], seat)
        if not seat.is_alive():
            report.tell(library.name, who, 'start', 'FAILED', text='a program of this seat is gone: the rest is not tried')
            break
    if well:
        report.run(library.name, who, 'leave', seat.end)
    seat.drop()


def run_cells(report, bench, libraries, seats, wanted, idle_s):
    rest = Rest(bench, libraries, idle_s) if idle_s else None
    has_rest = rest and report.run('all', 'both', f'{REST} begins', rest.begin)
    for library in libraries if wanted else []:
        for who in seats:
            run_seat(report, bench, library, who, wanted)
    if has_rest:
        rest.wait()
        for library in libraries:
            for who in seats:
                report.run(library.name, who, f'{REST} {idle_s} s', rest.end, library, who)


def run_networks(report, bench, libraries, networks):
    for name in networks:
        report.run('all', 'both', name, NETWORKS[name], bench, libraries)


def data_path(driver, steps, pipe):
    """Everything over one driver: steps are (function, its arguments after report and bench), each with nodes of its own."""
    os.setpgid(0, 0)  # Ctrl-C is the parent's; it ends us, and its death does too
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)

    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(1)

    signal.signal(signal.SIGTERM, end)
    report = Report(pipe, driver)
    try:
        for run, *args in steps:
            with Bench(driver) as bench:
                run(report, bench, *args)
                bench.has_failed = report.has_failed
            if bench.bad:
                report.tell('all', 'both', 'end', 'FAILED', text='; '.join(bench.bad))
    except Exception:
        report.tell('all', 'both', 'setup', 'FAILED', text=traceback.format_exc())
    pipe.send(None)


def say(r):
    library, seat, driver, cell, outcome, ms, text = r
    print(f'interop: {library:<5} {seat:<7} {driver:<10} {cell:<22} {outcome:<8}{"" if ms is None else f"{ms:9.1f} ms"}'
          f'{": " + text if text else ""}', flush=True)


def run_all(drivers, steps):
    """Runs the data paths, prints what is done as it is done; all reports."""
    fork = multiprocessing.get_context('fork')
    reports, readers, children = [], [], []

    def read(pipe):
        try:
            while (r := pipe.recv()) is not None:
                reports.append(r)
                say(r)
        except EOFError:
            pass

    for driver in drivers:
        ours, theirs = fork.Pipe(duplex=False)
        child = fork.Process(target=data_path, args=(driver, steps, theirs))
        child.start()
        theirs.close()
        children.append((driver, child))
        readers.append(threading.Thread(target=read, args=(ours,)))
    try:
        for t in readers:
            t.start()
        for driver, child in children:
            child.join()
            if child.exitcode:
                reports.append(('all', 'both', driver, 'process', 'FAILED', None, f'ended with {child.exitcode}'))
    except KeyboardInterrupt:
        for s in (signal.SIGINT, signal.SIGTERM):
            signal.signal(s, signal.SIG_IGN)
        print('interop: stopping', flush=True)
        for _, child in children:
            child.terminate()
        for _, child in children:
            child.join()
        sys.exit(130)
    for t in readers:
        t.join(5)
    return reports


def say_versions(libraries):
    for library in libraries:
        p = library.start()
        print(f'interop: {library.name}: {p.started()["library"]}', flush=True)
        p.leave()


def table(reports, columns, rows):
    """Cells in rows; libraries, seats and drivers in columns. Milliseconds where something was timed."""
    short = {'kernel': 'kernel', 'af_packet': 'afp'}
    print('\n' + f'{"":<22}' + ''.join(f'{f"{lib} {seat[:6]}":>13}' for lib, seat, _ in columns))
    print(f'{"":<22}' + ''.join(f'{short[driver]:>13}' for _, _, driver in columns) + '   (dial: we dial; ms)')
    for cell in rows:
        line = ''
        for key in columns:
            r = next((r for r in reports if r[:3] == key and r[3] == cell), None)
            line += f'{"-" if not r else r[4] if r[4] != "ok" else "ok" if r[5] is None else f"{r[5]:.1f}":>13}'
        print(f'{cell:<22}{line}')


def arguments():
    p = argparse.ArgumentParser(prog='scripts/interop', description='p2pnode in gossipsub mode against the libp2p of other languages, each '
                                'dialing, over kernel sockets and over AF_PACKET with our own TCP (that needs root).')
    p.add_argument('--library', action='append', choices=list(LIBRARIES), help='one library; repeatable [all]')
    p.add_argument('--seat', choices=SEATS, help='dial: our node dials; listen: the other does [both]')
    p.add_argument('--driver', choices=['all', *DRIVERS], default='all', help='one data path [all]')
    p.add_argument('--case', action='append', metavar='TEXT', help='cells whose name has this text; repeatable [all]')
    p.add_argument('--idle', type=int, default=130, metavar='S', help='seconds of the idle links; 0: without them [130]')
    p.add_argument('--long', action='store_true', help='idle links of 10 minutes')
    p.add_argument('--no-networks', action='store_true', help='without the mixed network and the forger')
    p.add_argument('--list', action='store_true', help='list the cells')
    return p.parse_args()


def ready(names):
    """(libraries that can be tried, {name: why not})."""
    libraries, missing = [], {}
    for name in names:
        try:
            LIBRARIES[name].prepare()
            libraries.append(LIBRARIES[name])
        except Missing as e:
            missing[name] = str(e)
    return libraries, missing


def main():
    a = arguments()
    if a.list:
        print('\n'.join([*CELLS, REST, *NETWORKS]))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted, networks = ([c for c in names if not a.case or any(t in c for t in a.case)] for names in (CELLS, NETWORKS))
    idle_s = 600 if a.long else a.idle
    if a.case and not any(t in REST for t in a.case):
        idle_s = 0
    libraries, untried = ready(a.library or list(LIBRARIES))
    drivers = DRIVERS if a.driver == 'all' else [a.driver]
    if 'af_packet' in drivers and os.geteuid() != 0:
        drivers = [d for d in drivers if d != 'af_packet']
        untried['af_packet'] = 'needs root'
    seats = [a.seat] if a.seat else SEATS
    t0, reports = time.monotonic(), []
    if libraries and drivers:
        steps = [(run_cells, libraries, seats, wanted, idle_s)] if wanted or idle_s else []
        steps += [(run_networks, libraries, networks)] if networks and not a.no_networks else []
        say_versions(libraries)
        reports = run_all(drivers, steps)
        rows = [*wanted, *([f'{REST} {idle_s} s'] if idle_s else [])]
        table(reports, [(lib.name, seat, d) for lib in libraries for seat in seats for d in drivers], rows)
    by = {o: sum(r[4] == o for r in reports) for o in ('ok', 'FAILED', 'skipped')}
    for r in reports:
        if r[4] == 'skipped':
            print(f'interop: skipped: {r[0]} {r[1]} {r[2]}: {r[3]}: {r[6]}')
    for name, why in untried.items():
        print(f'interop: skipped: {name}: {why}')
    print(f'interop: {by["ok"]} passed, {by["FAILED"]} failed, {by["skipped"]} skipped in {time.monotonic() - t0:.0f} s')
    return 1 if by['FAILED'] else 77 if untried or not reports else 0


if __name__ == '__main__':
    sys.exit(main())
