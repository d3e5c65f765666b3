"""Shared by the interop tests: the js peer as a process that speaks JSON lines."""
import json
import os
import pathlib
import queue
import shutil
import subprocess
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("CODECAST_BUILD", HERE.parent.parent / "build"))
JS = HERE / "js"


def pytest_sessionfinish(session, exitstatus):
    """Nothing ran: tell meson that it was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and not reporter.stats.get("passed"):
        session.exitstatus = 77


class Lines:
    """A process whose stdout is one JSON object per line."""

    def __init__(self, argv, cwd=None):
        self.process = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.events = []
        self.queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.queue.put(json.loads(line))
        self.queue.put(None)

    def wait(self, event, seconds=30, **want):
        """The next event of that name with those fields; whatever came before it is kept in self.events."""
        until = time.monotonic() + seconds
        for e in self.events:
            if e["event"] == event and not e.get("_seen") and all(e.get(k) == v for k, v in want.items()):
                e["_seen"] = True
                return e
        while True:
            try:
                e = self.queue.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no {event} {want} within {seconds} s; heard {self.events}")
            if e is None:
                pytest.fail(f"ended without {event} {want}; heard {self.events}")
            self.events.append(e)
            if e["event"] == event and all(e.get(k) == v for k, v in want.items()):
                e["_seen"] = True
                return e

    def count(self, event):
        return sum(e["event"] == event for e in self.events)

    def say(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def end(self, seconds=30):
        """Waits for it to exit by itself; its exit code."""
        code = self.process.wait(timeout=seconds)
        while (e := self.queue.get(timeout=5)) is not None:
            self.events.append(e)
        return code

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def start():
    """start(argv, cwd) -> Lines; all are stopped at the end of the test."""
    running = []

    def go(argv, cwd=None):
        running.append(Lines([str(a) for a in argv], cwd))
        return running[-1]

    yield go
    for p in running:
        p.stop()


@pytest.fixture
def js(start):
    """js(flags...) -> a running peer.mjs that takes commands on stdin."""
    if not shutil.which("node") or not (JS / "node_modules").is_dir():
        pytest.skip("needs node, and `npm ci` in tests/interop/js")

    def go(*flags):
        p = start(["node", "peer.mjs", "--stdin", "--echo", "--open-limits", *flags], JS)
        p.peer = p.wait("started")["peerId"]
        return p

    return go
