"""Shared by the pytest interop tests: processes that are stopped at the end, the js peer."""
import os
import pathlib

import pytest

import lines
from reference import LIBRARIES, Missing

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("CODECAST_BUILD", HERE.parent.parent / "build"))


def pytest_sessionfinish(session, exitstatus):
    """Nothing ran: tell meson that it was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and not reporter.stats.get("passed"):
        session.exitstatus = 77


@pytest.fixture
def start():
    """start(argv, cwd) -> Lines; all are stopped at the end of the test."""
    running = []

    def go(argv, cwd=None):
        running.append(lines.Lines([str(a) for a in argv], cwd))
        return running[-1]

    go.running = running
    yield go
    for p in running:
        p.stop()


@pytest.fixture(scope="session")
def packages():
    try:
        LIBRARIES["js"].prepare()
    except Missing as e:
        pytest.skip(str(e))


@pytest.fixture
def js(start, packages):
    """js(flags...) -> a running peer.mjs that takes commands on stdin."""
    def go(*flags):
        p = LIBRARIES["js"].start("--echo", *flags)
        start.running.append(p)
        return p

    return go
