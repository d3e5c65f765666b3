"""A process that speaks JSON lines: events out, commands in."""
import json
import subprocess
import threading
import time


class Unheard(AssertionError):
    """An event that did not come."""


class Lines:
    """A process whose stdout is one JSON object per line."""

    def __init__(self, argv, cwd=None, stderr=subprocess.DEVNULL):
        self.process = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True)
        self.events, self.has_ended = [], False
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            e = json.loads(line)
            with self.changed:
                self.events.append(e)
                self.changed.notify_all()
        with self.changed:
            self.has_ended = True
            self.changed.notify_all()

    def fail(self, text):
        heard = [{k: v for k, v in e.items() if k != '_seen'} for e in self.events[-12:]]
        raise Unheard(f'{text}; heard last: {json.dumps(heard)}')

    def all(self, event, **want):
        """Every event so far of that name with those fields."""
        with self.changed:
            return [e for e in self.events if e['event'] == event and all(e.get(k) == v for k, v in want.items())]

    def count(self, event, **want):
        return len(self.all(event, **want))

    def wait(self, event, seconds=30, **want):
        """The first event of that name with those fields that no earlier wait gave."""
        until = time.monotonic() + seconds
        with self.changed:
            while True:
                for e in self.all(event, **want):
                    if not e.get('_seen'):
                        e['_seen'] = True
                        return e
                if self.has_ended:
                    self.fail(f'ended without {event} {want}')
                if not self.changed.wait(max(0, until - time.monotonic())) and time.monotonic() >= until:
                    self.fail(f'no {event} {want} within {seconds} s')

    def wait_count(self, count, event, seconds, **want):
        """Waits until that many such events have come; all of them."""
        until = time.monotonic() + seconds
        with self.changed:
            while len(self.all(event, **want)) < count:
                if self.has_ended or time.monotonic() >= until:
                    self.fail(f'{self.count(event, **want)} of {count} {event} {want} within {seconds} s')
                self.changed.wait(max(0.01, until - time.monotonic()))
            return self.all(event, **want)

    def say(self, **command):
        self.process.stdin.write(json.dumps(command) + '\n')
        self.process.stdin.flush()

    def end(self, seconds=30):
        """Waits for it to exit by itself; its exit code."""
        code = self.process.wait(timeout=seconds)
        self.reader.join(5)
        return code

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
