"""The reference peers of other libraries: how each is made ready, and one of them as a process (README.md has the contract)."""
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess

from lines import Lines

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get('CODECAST_BUILD', HERE.parent.parent / 'build'))


class Missing(Exception):
    """What this machine lacks for a library, as one line."""


class Peer(Lines):
    """A running reference peer."""

    def __init__(self, library, argv, cwd, stderr):
        super().__init__(argv, cwd, stderr)
        self.library, self._peer = library, None

    @property
    def peer(self):
        return self.started()['peerId']

    def started(self):
        if not self._peer:
            self._peer = self.wait('started')
        return self._peer

    def address(self):
        """Where it listens, with its id."""
        if not self.count('listening'):
            self.wait('listening')
        return self.all('listening')[0]['addr']

    def shows(self, *controls):
        """Can this library show all of those control events, as 'iwant.out'?"""
        return set(controls) <= set(self.started().get('shows', []))

    def controls(self, what, direction, peer, **want):
        return self.all('control', what=what, direction=direction, peer=peer, **want)

    def dial(self, addr):
        self.say(cmd='dial', addr=addr)
        answer = self.wait('dialed', 20, addr=addr)
        assert answer['ok'], f'{self.library.name} could not dial {addr}: {answer.get("error")}'

    def leave(self, seconds=10):
        """Asks it to go: goodbye to its peers, then exit; its exit code."""
        if self.process.poll() is None:
            self.say(cmd='exit')
        return self.end(seconds)


class Library:
    name = agent = ''
    has_forger = has_v13 = False
    has_scores = True
    keeps_unsent = True   # a message published to nobody is kept, and told of
    reads_records = True  # signed peer records as the specs have them
    key_types = ()        # beside Ed25519, of --key-type
    no_px = None  # why peers in our PRUNE, or in its own, cannot lead to a connection

    def prepare(self):
        """Builds or installs it, once. Raises Missing."""

    def command(self):
        """(argv, cwd) of the peer without flags."""

    def start(self, *flags, stderr=subprocess.DEVNULL, prefix=()):
        argv, cwd = self.command()
        return Peer(self, [str(a) for a in (*prefix, *argv, *flags)], cwd, stderr)


def _run(argv, cwd, seconds, **env):
    """Runs a build step; Missing with its last word when it fails."""
    try:
        r = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=seconds, env={**os.environ, **env})
    except subprocess.TimeoutExpired:
        raise Missing(f'{" ".join(argv[:2])}: not done in {seconds} s')
    if r.returncode:
        said = [s for s in (r.stderr + r.stdout).splitlines() if s.strip()]
        raise Missing(f'{" ".join(argv[:2])} failed: {" / ".join(said[-3:]) or "no reason given"}')


def _need(*programs):
    for p in programs:
        if not shutil.which(p):
            raise Missing(f'{p} is not installed')


class _Locked:
    """Two tests may begin at once."""

    def __init__(self, folder):
        self.fd = os.open(folder, os.O_RDONLY)

    def __enter__(self):
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def __exit__(self, *_):
        os.close(self.fd)


class Js(Library):
    name, agent = 'js', 'js-libp2p/'
    key_types = ('secp256k1', 'rsa')  # its ECDSA keys make no peer id
    folder = HERE / 'js'

    def prepare(self):
        """`npm ci` from the lock file into js/node_modules, once for each state of the lock file."""
        _need('node', 'npm')
        version = subprocess.run(['node', '--version'], capture_output=True, text=True).stdout.strip()
        if int(version.lstrip('v').split('.')[0] or 0) < 18:
            raise Missing(f'node {version} is too old: 18 or newer')
        lock = hashlib.sha256((self.folder / 'package-lock.json').read_bytes()).hexdigest()
        stamp = self.folder / 'node_modules' / '.installed'
        with _Locked(self.folder):
            if stamp.exists() and stamp.read_text() == lock:
                return
            if not os.access(self.folder, os.W_OK):
                raise Missing(f'{self.folder}/node_modules is not there, and this user may not make it')
            _run(['npm', 'ci', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], self.folder, 240)
            stamp.write_text(lock)

    def command(self):
        return ['node', 'peer.mjs', '--stdin', '--open-limits'], self.folder


class Go(Library):
    name, agent = 'go', 'go-libp2p/'
    has_forger = has_v13 = True
    key_types = ('secp256k1', 'rsa', 'ecdsa')
    folder = HERE / 'go'

    def prepare(self):
        """`go build` at the versions of go.sum; go itself knows whether there is something to do."""
        _need('go')
        out = BUILD / 'interop'
        out.mkdir(parents=True, exist_ok=True)
        with _Locked(out):
            _run(['go', 'build', '-trimpath', '-mod=readonly', '-o', str(out / 'go_peer'), '.'], self.folder, 900)

    def command(self):
        return [BUILD / 'interop' / 'go_peer'], None


class Rust(Library):
    name, agent = 'rust', 'rust-libp2p/'
    has_v13 = True
    keeps_unsent = reads_records = False
    no_px = 'rust-libp2p puts no records into PRUNE and reads none, so nobody learns an address to dial'
    folder = HERE / 'rust'

    def prepare(self):
        """`cargo build` at the versions of Cargo.lock, into the build folder."""
        if not (self.folder / 'Cargo.toml').exists():
            raise Missing('no rust peer in this version')
        _need('cargo')
        out = BUILD / 'interop' / 'rust'
        out.mkdir(parents=True, exist_ok=True)
        with _Locked(out):
            _run(['cargo', 'build', '--release', '--locked', '--target-dir', str(out)], self.folder, 1800)

    def command(self):
        return [BUILD / 'interop' / 'rust' / 'release' / 'peer'], None


LIBRARIES = {library.name: library for library in (Js(), Go(), Rust())}
