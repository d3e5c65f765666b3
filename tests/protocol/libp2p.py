"""What lies below the coded protocol (docs/PROTOCOL.md, appendix A): multistream-select, Noise XX, yamux, identify, for a peer that
dials. Only what a well-behaved network needs: an error ends the connection."""
import asyncio
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from coded import KEY_PREFIX, field, fields, peer_id, uvarint

MULTISTREAM, NOISE, YAMUX, IDENTIFY, PING = '/multistream/1.0.0', '/noise', '/yamux/1.0.0', '/ipfs/id/1.0.0', '/ipfs/ping/1.0.0'
PREFACE = b'noise-libp2p-static-key:'


def raw(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Identity:
    def __init__(self, key=None):
        self.key = key or Ed25519PrivateKey.generate()
        self.public = KEY_PREFIX + raw(self.key)
        self.id = peer_id(raw(self.key))


# ---- multistream-select, on anything with read_exactly and write ----

async def read_varint(io):
    n = shift = 0
    while True:
        byte = (await io.read_exactly(1))[0]
        n |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return n


async def read_line(io):
    return (await io.read_exactly(await read_varint(io))).decode().rstrip('\n')


async def write_line(io, *lines):
    await io.write(b''.join(uvarint(len(line) + 1) + line.encode() + b'\n' for line in lines))


async def select(io, protocol):
    await write_line(io, MULTISTREAM, protocol)
    for expected in (MULTISTREAM, protocol):
        if (got := await read_line(io)) != expected:
            raise ConnectionError(f'{expected}: the peer says {got}')


async def answer(io, protocols):
    """The listening side; the protocol chosen."""
    while True:
        line = await read_line(io)
        if line == MULTISTREAM or line in protocols:
            await write_line(io, line)
        else:
            await write_line(io, 'na')
        if line in protocols:
            return line


class Socket:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def read_exactly(self, n):
        return await self.reader.readexactly(n)

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()


# ---- Noise XX ----

class Cipher:
    def __init__(self, key):
        self.aead, self.n = ChaCha20Poly1305(key), 0

    def nonce(self):
        self.n += 1
        return bytes(4) + (self.n - 1).to_bytes(8, 'little')


class Handshake:
    """The symmetric state of the Noise specification, section 5.2."""

    def __init__(self):
        self.h = self.ck = b'Noise_XX_25519_ChaChaPoly_SHA256'
        self.cipher = None
        self.mix_hash(b'')

    def mix_hash(self, data):
        self.h = hashlib.sha256(self.h + data).digest()

    def derive(self, secret):
        temp = hmac.digest(self.ck, secret, 'sha256')
        first = hmac.digest(temp, b'\1', 'sha256')
        return first, hmac.digest(temp, first + b'\2', 'sha256')

    def mix_key(self, private, public):
        self.ck, key = self.derive(private.exchange(X25519PublicKey.from_public_bytes(public)))
        self.cipher = Cipher(key)

    def seal(self, text):
        out = self.cipher.aead.encrypt(self.cipher.nonce(), text, self.h) if self.cipher else text
        self.mix_hash(out)
        return out

    def open(self, data):
        text = self.cipher.aead.decrypt(self.cipher.nonce(), data, self.h) if self.cipher else data
        self.mix_hash(data)
        return text


class Noise:
    """After dial(): a byte stream with the same face as Socket; remote: the peer's id."""

    def __init__(self, socket):
        self.socket, self.buffer = socket, bytearray()
        self.sender = self.receiver = self.remote = None

    async def _send(self, message):
        await self.socket.write(len(message).to_bytes(2, 'big') + message)

    async def _receive(self):
        return await self.socket.read_exactly(int.from_bytes(await self.socket.read_exactly(2), 'big'))

    async def dial(self, identity):
        hs, e, s = Handshake(), X25519PrivateKey.generate(), X25519PrivateKey.generate()
        await self._send(hs.seal(raw(e)) + hs.seal(b''))                           # -> e
        message = await self._receive()                                              # <- e, ee, s, es
        remote_e = hs.open(message[:32])
        hs.mix_key(e, remote_e)
        remote_s = hs.open(message[32:80])
        hs.mix_key(e, remote_s)
        self.remote = self._check(hs.open(message[80:]), remote_s)
        sealed = hs.seal(raw(s))                                                     # -> s, se
        hs.mix_key(s, remote_e)
        payload = field(1, identity.public) + field(2, identity.key.sign(PREFACE + raw(s)))
        await self._send(sealed + hs.seal(payload))
        self.sender, self.receiver = map(Cipher, hs.derive(b''))

    @staticmethod
    def _check(payload, static):
        got = dict(fields(payload))
        if not got[1].startswith(KEY_PREFIX):
            raise ConnectionError('not an Ed25519 key')
        Ed25519PublicKey.from_public_bytes(got[1][4:]).verify(got[2], PREFACE + static)
        return peer_id(got[1][4:])

    async def read_exactly(self, n):
        while len(self.buffer) < n:
            self.buffer += self.receiver.aead.decrypt(self.receiver.nonce(), await self._receive(), None)
        out = bytes(self.buffer[:n])
        del self.buffer[:n]
        return out

    async def write(self, data):
        for at in range(0, len(data), 65519):
            await self._send(self.sender.aead.encrypt(self.sender.nonce(), data[at:at + 65519], None))


# ---- yamux ----

DATA, WINDOW, PINGS, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8


class Stream:
    def __init__(self, mux, number):
        self.mux, self.number, self.buffer, self.credit = mux, number, bytearray(), 262144
        self.is_ended, self.changed = False, asyncio.Event()

    def wake(self):
        self.changed.set()
        self.changed = asyncio.Event()

    async def read_exactly(self, n):
        while len(self.buffer) < n:
            if self.is_ended:
                raise EOFError
            await self.changed.wait()
        out = bytes(self.buffer[:n])
        del self.buffer[:n]
        return out

    async def write(self, data):
        at = 0
        while at < len(data):
            if self.is_ended and not self.credit:
                raise ConnectionError('the stream is closed')
            n = min(self.credit, len(data) - at, 16384)
            if n == 0:
                await self.changed.wait()
                continue
            self.credit -= n
            await self.mux.frame(DATA, 0, self.number, n, data[at:at + n])
            at += n

    async def close(self):
        await self.mux.frame(WINDOW, FIN, self.number, 0)


class Yamux:
    """on_stream(stream) runs as a task for each stream that the peer opens."""

    def __init__(self, io, on_stream):
        self.io, self.on_stream, self.streams, self.next = io, on_stream, {}, 1
        self.lock = asyncio.Lock()  # a frame goes out whole
        self.tasks = set()

    async def frame(self, kind, flags, number, length, body=b''):
        head = bytes([0, kind]) + flags.to_bytes(2, 'big') + number.to_bytes(4, 'big') + length.to_bytes(4, 'big')
        async with self.lock:
            await self.io.write(head + body)

    async def open(self):
        stream = self.streams[self.next] = Stream(self, self.next)
        self.next += 2
        await self.frame(WINDOW, SYN, stream.number, 0)
        return stream

    async def run(self):
        try:
            while True:
                await self._read_frame()
        finally:
            for s in self.streams.values():
                s.is_ended = True
                s.wake()

    async def _read_frame(self):
        head = await self.io.read_exactly(12)
        kind, flags = head[1], int.from_bytes(head[2:4], 'big')
        number, length = int.from_bytes(head[4:8], 'big'), int.from_bytes(head[8:], 'big')
        if kind == PINGS and flags & SYN:
            await self.frame(PINGS, ACK, 0, length)
        elif kind == GO_AWAY:
            raise EOFError
        elif kind in (DATA, WINDOW):
            body = await self.io.read_exactly(length) if kind == DATA else b''
            await self._of_stream(number, flags, body, length if kind == WINDOW else 0)

    async def _of_stream(self, number, flags, body, growth):
        if flags & SYN:
            self.streams[number] = Stream(self, number)
            await self.frame(WINDOW, ACK, number, 0)
            task = asyncio.create_task(self.on_stream(self.streams[number]))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        stream = self.streams.get(number)
        if not stream:
            return
        stream.buffer += body
        stream.credit += growth
        if flags & (FIN | RST):
            stream.is_ended = True
        stream.wake()
        if body:
            await self.frame(WINDOW, 0, number, len(body))  # all room back at once: we read all


# ---- a connection ----

class Connection:
    """handlers: protocol -> coroutine function of a stream. remote: the peer's id."""

    def __init__(self, identity, handlers):
        self.identity, self.remote, self.mux, self.reader = identity, None, None, None
        self.handlers = {IDENTIFY: self._identify, PING: self._ping, **handlers}

    async def dial(self, host, port, local):
        reader, self.writer = await asyncio.open_connection(host, port, local_addr=(local, 0))
        socket = Socket(reader, self.writer)
        await select(socket, NOISE)
        noise = Noise(socket)
        await noise.dial(self.identity)
        await select(noise, YAMUX)
        self.remote, self.mux = noise.remote, Yamux(noise, self._on_stream)
        self.reader = asyncio.create_task(self.mux.run())

    async def open(self, protocol):
        stream = await self.mux.open()
        await select(stream, protocol)
        return stream

    async def protocols(self):
        """What the peer says in identify."""
        stream = await self.open(IDENTIFY)
        told = await stream.read_exactly(await read_varint(stream))
        return [v.decode() for n, v in fields(told) if n == 3]

    async def close(self):
        self.reader.cancel()
        self.writer.close()
        await asyncio.gather(self.reader, return_exceptions=True)

    async def _on_stream(self, stream):
        try:
            await self.handlers[await answer(stream, self.handlers)](stream)
        except (EOFError, ConnectionError):
            pass  # the peer closed it

    async def _identify(self, stream):
        told = field(1, self.identity.public) + b''.join(field(3, p.encode()) for p in self.handlers)
        told += field(5, b'codecast/1.0.0') + field(6, b'python')
        await stream.write(uvarint(len(told)) + told)
        await stream.close()

    async def _ping(self, stream):
        while True:
            await stream.write(await stream.read_exactly(32))
