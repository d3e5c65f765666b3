"""What the room's Python tests share: a server process, and messages made from the descriptors alone."""
import os
import re
import subprocess

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

BIG = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1),
       ('grpc.use_local_subchannel_pool', 1), ('grpc.enable_http_proxy', 0)]


class Messages:
    """Classes by full name, from a FileDescriptorSet."""

    def __init__(self, files):
        self.pool = descriptor_pool.DescriptorPool()
        left = list(files)
        while left:
            for f in list(left):
                if all(self.has(d) for d in f.dependency):
                    self.pool.Add(f)
                    left.remove(f)

    def has(self, name):
        try:
            self.pool.FindFileByName(name)
            return True
        except KeyError:
            return False

    def __getattr__(self, name):
        raise AttributeError(name)

    def __getitem__(self, name):
        return message_factory.MessageFactory(self.pool).GetPrototype(self.pool.FindMessageTypeByName(name))


def load(path):
    s = descriptor_pb2.FileDescriptorSet()
    with open(path, 'rb') as f:
        s.ParseFromString(f.read())
    return Messages(s.file)


class Server:
    """A program that prints "port N" and ends when its stdin does."""

    def __init__(self, *argv):
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.p.stdout.readline().decode()
        found = re.match(r'port (\d+)', line)
        if not found:
            raise RuntimeError('%s said %r, exit %r' % (argv, line, self.p.wait()))
        self.port = int(found.group(1))
        self.addr = '127.0.0.1:%d' % self.port

    def rss_kb(self):
        with open('/proc/%d/status' % self.p.pid) as f:
            return int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1))

    def say(self, text):
        self.p.stdin.write(text.encode())
        self.p.stdin.flush()

    def stop(self):
        """Ends it; returns (exit code, its last words)."""
        if self.p.poll() is None:
            self.p.stdin.close()
        try:
            code = self.p.wait(20)
        except subprocess.TimeoutExpired:
            self.p.kill()
            code = 'killed'
        words = self.p.stdout.read().decode()
        self.p.stdout.close()
        return code, words


def channel(addr, *options, **kw):
    return grpc.insecure_channel(addr, options=BIG + list(options), **kw)


def code_of(call):
    """The status code and text that a call ends with."""
    try:
        call()
    except grpc.RpcError as e:
        return e.code(), e.details()
    return grpc.StatusCode.OK, ''


def env(name):
    return os.environ[name]
