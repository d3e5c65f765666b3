"""A Docker engine for a test: the one that runs, or one of our own that ends with us."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time


FORWARD = pathlib.Path('/proc/sys/net/ipv4/ip_forward')


def sh(*cmd, check=True, timeout=900, env=None, cwd=None, stdin=None):
    """Runs a command; its result with stdout and stderr as text."""
    r = subprocess.run([str(c) for c in cmd], capture_output=True, text=True, timeout=timeout, cwd=cwd, input=stdin,
                       env={**os.environ, **(env or {})})
    if check and r.returncode:
        raise RuntimeError(f"{' '.join(map(str, cmd))}: exit {r.returncode}: {(r.stderr or r.stdout).strip()[-600:]}")
    return r


def free_port():
    with socket.socket() as s:
        s.bind(('0.0.0.0', 0))
        return s.getsockname()[1]


class Engine:
    """`own` when we started it: data and socket are then in `home`."""

    def __init__(self, home, own_only=False):
        self.home, self.process, self.own = pathlib.Path(home), None, False
        if own_only or sh('docker', 'info', check=False).returncode:
            self.start()

    def start(self):
        """No rules in the host's netfilter and no bridge of its own: ports are published by docker's proxy."""
        self.home.mkdir(parents=True, exist_ok=True)
        sock = self.home / 'docker.sock'
        self.forwards = FORWARD.read_text()
        self.log = open(self.home / 'dockerd.log', 'w')
        self.process = subprocess.Popen(
            ['dockerd', '--data-root', self.home / 'data', '--exec-root', self.home / 'exec', '-p', self.home / 'dockerd.pid',
             '-H', f'unix://{sock}', '--iptables=false', '--ip6tables=false', '--bridge=none'],
            stdout=self.log, stderr=self.log, start_new_session=True)
        self.own = True
        os.environ['DOCKER_HOST'] = f'unix://{sock}'
        os.environ.pop('DOCKER_CONTEXT', None)
        end = time.monotonic() + 90
        while sh('docker', 'info', check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                tail = (self.home / 'dockerd.log').read_text()[-800:]
                raise RuntimeError(f'dockerd did not start: {tail}')
            time.sleep(0.3)

    def stop(self, keep=False):
        """Ends what we started, by its pid, and removes its files."""
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        FORWARD.write_text(self.forwards)  # the engine turns it on
        for line in pathlib.Path('/proc/mounts').read_text().splitlines():
            at = line.split()[1]
            if at.startswith(f'{self.home}/'):
                sh('umount', '-l', at, check=False)
        if not keep:
            shutil.rmtree(self.home, ignore_errors=True)


class Compose:
    """docker-compose on the project's files, with ports on the host that nobody has."""

    def __init__(self, folder, project, env):
        self.folder, self.project, self.env, self.files = folder, project, env, ['docker-compose.yml']
        if shutil.which('docker-compose'):
            self.program = ['docker-compose']
        else:
            self.program = ['docker', 'compose']

    def __call__(self, *args, check=True, timeout=300):
        files = [x for f in self.files for x in ('-f', f)]
        return sh(*self.program, '-p', self.project, *files, *args, check=check, env=self.env, cwd=self.folder, timeout=timeout)

    def container(self, service):
        return self('ps', '-q', service).stdout.strip()

    def state(self, service):
        """'healthy', 'starting', 'unhealthy', or how it ended."""
        cid = self.container(service)
        if not cid:
            return 'none'
        r = sh('docker', 'inspect', '-f', '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}', cid, check=False)
        status, _, health = r.stdout.strip().partition(' ')
        return health if status == 'running' and health else status

    def logs(self, *services):
        return self('logs', '--no-color', *services).stdout
