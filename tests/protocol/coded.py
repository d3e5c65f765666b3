"""The coded protocol without a network: arithmetic, names, messages, decoding. Written from docs/PROTOCOL.md alone; numbers in
brackets are its sections. It is meant to be read; speed comes second (bytes.translate multiplies, big integers add)."""
import hashlib
import secrets

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEADER, SHARD, HAVE, WANT, NEAR = range(100, 105)
SECOND_HAND = 1
WANT_HEADER, WANT_SECOND_HAND, WANT_SOURCE_ONLY = 1, 2, 4
KEY_PREFIX, ID_PREFIX = bytes.fromhex('08011220'), bytes.fromhex('0024')  # [A] an Ed25519 key, an identity multihash


class Malformed(Exception):
    """Says the rule of [9] that was broken."""


# ---- protobuf ----

def uvarint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def read_uvarint(data, at):
    n = shift = 0
    while True:
        if at == len(data) or shift > 63:
            raise Malformed('coded: malformed message')
        n |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return n & 2**64 - 1, at


def field(number, value):
    if isinstance(value, int):
        return uvarint(number << 3) + uvarint(value)
    return uvarint(number << 3 | 2) + uvarint(len(value)) + bytes(value)


def fields(data):
    """(number, value) of each: int for a varint, bytes, or None for what nothing here uses."""
    at = 0
    while at < len(data):
        tag, at = read_uvarint(data, at)
        if tag >> 3 == 0 or tag & 7 not in (0, 1, 2, 5):
            raise Malformed('coded: malformed message')
        if tag & 7 == 0:
            value, at = read_uvarint(data, at)
            yield tag >> 3, value
            continue
        n, at = read_uvarint(data, at) if tag & 7 == 2 else (8 if tag & 7 == 1 else 4, at)
        if at + n > len(data):
            raise Malformed('coded: malformed message')
        yield tag >> 3, data[at:at + n] if tag & 7 == 2 else None
        at += n


# ---- GF(2^8) [2] ----

def _mul(a, b):
    p = 0
    while b:
        p ^= a if b & 1 else 0
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return p


MUL = [bytes(_mul(a, b) for b in range(256)) for a in range(256)]
INV = [0] + [MUL[a].index(1) for a in range(1, 256)]


def scale(c, row):
    return row.translate(MUL[c])


def add(a, b):
    return (int.from_bytes(a, 'little') ^ int.from_bytes(b, 'little')).to_bytes(len(a), 'little')


def combine(weights, rows, length):
    out = bytes(length)
    for w, row in zip(weights, rows):
        if w:
            out = add(out, scale(w, row.ljust(length, b'\0')))
    return out


# ---- names, hashes, signatures [4] ----

def sha256(*parts):
    return hashlib.sha256(b''.join(parts)).digest()


def shard_hash(shard):
    leaves = [sha256(shard[i:i + 16384]) for i in range(0, len(shard), 16384)]
    return sha256(b'codecast-rlnc-shard-v1:', len(shard).to_bytes(4, 'big'), *leaves)


def peer_id(public_key):
    return ID_PREFIX + KEY_PREFIX + public_key


def tag_of(peer):
    return sha256(peer)[:4]


def lot(generation_id, index, tag):
    """[6]"""
    x = int.from_bytes(generation_id[:8], 'big') ^ int.from_bytes(tag, 'big') << 32 ^ index << 8
    for multiplier in (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93):
        x = x * multiplier % 2**64
        x ^= x >> 32
    return x


def cut(size, factor):
    """(k, L) of a payload [2]."""
    length = -(-size // factor)
    return -(-size // length), length


# ---- messages [3] ----

def bits(indices, k):
    out = bytearray((k + 7) // 8)
    for i in indices:
        out[i // 8] |= 1 << i % 8
    return bytes(out) if any(out) else b''


def indices(data):
    return {8 * at + bit for at, byte in enumerate(data) for bit in range(8) if byte >> bit & 1}


class Header:
    def __init__(self, topic, publisher, seqno, size, k, length, hashes, signature=b''):
        self.topic, self.publisher, self.seqno, self.size = topic, publisher, seqno, size
        self.k, self.length, self.hashes, self.signature = k, length, hashes, signature
        self.core = b''.join(field(i + 1, v) for i, v in enumerate((topic, publisher, seqno, size, k, length, b''.join(hashes))))
        self.id = sha256(b'codecast-rlnc-generation-v1:', self.core)[:16]

    @classmethod
    def make(cls, private_key, publisher, topic, seqno, payload, factor):
        k, length = cut(len(payload), factor)
        h = cls(topic, publisher, seqno, len(payload), k, length, [shard_hash(payload[i * length:(i + 1) * length]) for i in range(k)])
        h.signature = private_key.sign(b'codecast-rlnc-header-v1:' + h.core)
        return h

    @classmethod
    def read(cls, content):
        rules = (('bad topic', lambda v: 1 <= len(v) <= 256), ('bad publisher id', lambda v: 1 <= len(v) <= 44), (None, None),
                 ('bad message size', lambda v: 1 <= v < 2**32), ('k out of range', lambda v: 2 <= v <= 255),
                 ('wrong shard length in header', lambda v: v == -(-values[3] // values[4]) and (values[4] - 1) * v < values[3]),
                 ('wrong number of shard hashes', lambda v: len(v) == 32 * values[4]),
                 ('bad header signature', lambda v: 1 <= len(v) <= 72))
        values = []
        for number, value in fields(content):
            if number != len(values) + 1 or number > 8:
                raise Malformed('coded: header is not canonical')
            if isinstance(value, int) != (number in (3, 4, 5, 6)):
                raise Malformed('coded: malformed message')
            rule, is_good = rules[number - 1]
            if rule and not is_good(value):
                raise Malformed(f'coded: {rule}')
            values.append(value)
        if len(values) < 8:
            raise Malformed('coded: malformed message')
        hashes = [values[6][i:i + 32] for i in range(0, len(values[6]), 32)]
        h = cls(*values[:6], hashes, values[7])
        if h.content() != content:
            raise Malformed('coded: header is not canonical')
        return h

    def verify(self):
        if len(self.publisher) != 38 or not self.publisher.startswith(ID_PREFIX + KEY_PREFIX):
            raise Malformed('coded: bad publisher id')
        try:
            Ed25519PublicKey.from_public_bytes(self.publisher[6:]).verify(self.signature, b'codecast-rlnc-header-v1:' + self.core)
        except InvalidSignature:
            raise Malformed('coded: bad header signature') from None

    def content(self):
        return self.core + field(8, self.signature)

    def field(self):
        return field(HEADER, self.content())

    def shard_length(self, index):
        return min((index + 1) * self.length, self.size) - index * self.length


def _byte(rule):
    return lambda v: v if isinstance(v, int) and v < 256 else _refuse(rule)


def _bytes(rule, is_good):
    return lambda v: v if isinstance(v, bytes) and is_good(len(v)) else _refuse(rule)


def _refuse(rule):
    raise Malformed(f'coded: {rule}')


_ID = ('id', None, _bytes('bad generation id', lambda n: n == 16))
_RANK = ('rank', 0, _byte('rank out of range'))
_FLAGS = ('flags', 0, _byte('malformed message'))
_BITS = _bytes('list too long', lambda n: n <= 32)


def _tags(most):
    return _bytes('list too long', lambda n: n % 4 == 0 and n <= 4 * most)


MESSAGES = {  # field number -> name, value when absent, check
    SHARD: {1: _ID, 2: _RANK, 3: ('coefficients', b'', _bytes('bad coefficients', lambda n: 1 <= n <= 255)), 4: _FLAGS,
            5: ('tags', b'', _tags(32)), 6: ('hops', 0, _byte('malformed message')),
            15: ('payload', None, _bytes('malformed message', lambda n: True))},
    HAVE: {1: _ID, 2: _RANK, 3: ('verified', b'', _BITS), 4: ('coming', b'', _BITS), 5: ('sending', b'', _BITS)},
    WANT: {1: _ID, 2: _RANK, 3: ('verified', b'', _BITS), 4: ('skip', b'', _BITS), 5: ('count', 0, _byte('malformed message')), 6: _FLAGS},
    NEAR: {1: ('topic', b'', _bytes('bad topic', lambda n: True)), 2: ('tags', b'', _tags(64))},
}


def read(kind, content):
    """A shard, have, want or near as a dict; sets of shards as Python sets."""
    out = {name: absent for name, absent, _ in MESSAGES[kind].values()}
    for number, value in fields(content):
        if out.get('payload') is not None:
            raise Malformed('coded: payload is not the last field')
        if number in MESSAGES[kind]:
            name, _, check = MESSAGES[kind][number]
            out[name] = check(value)
    if kind == NEAR and not 1 <= len(out['topic']) <= 256:
        raise Malformed('coded: bad topic')
    if kind != NEAR and out['id'] is None:
        raise Malformed('coded: bad generation id')
    if kind == SHARD and not out['coefficients']:
        raise Malformed('coded: bad coefficients')
    if kind == SHARD and out['payload'] is None:
        raise Malformed('coded: payload is not the last field')
    for name in ('verified', 'skip', 'coming', 'sending'):
        if name in out:
            out[name] = indices(out[name])
    return out


def write(kind, k=0, **values):
    """The RPC field. Numbers of section 3 that are always there even when 0: rank, and count of a want."""
    out = b''
    for number, (name, _, _) in MESSAGES[kind].items():
        value = values.get(name, 0 if name in ('rank', 'count') else None)
        if isinstance(value, (set, list, frozenset)):
            value = bits(value, k)
        if value or name in ('id', 'rank', 'count', 'topic', 'payload'):
            out += field(number, value)
    return field(kind, out)


# ---- a generation [2, 5] ----

class Forged(Exception):
    """Says the rule of [9]; whoever sent it is to be cut off."""


class Generation:
    """What one node holds of one message."""

    def __init__(self, header):
        self.header = header
        self.verified = {}  # index -> source shard
        self.coded = []     # (coefficients, payload, sender)
        self.span = {}      # the coefficients of both, reduced: its size is the rank
        self.payload = None

    @classmethod
    def published(cls, header, payload):
        g = cls(header)
        g._finish(payload)
        return g

    def _finish(self, payload):
        h = self.header
        self.verified = {i: payload[i * h.length:(i + 1) * h.length] for i in range(h.k)}
        self.coded, self.payload = [], payload

    def unit(self, index):
        return bytes(i == index for i in range(self.header.k))

    def rank(self):
        """As it is told to others: k only once decoded."""
        return self.header.k if self.payload is not None else min(len(self.span), self.header.k - 1)

    def take(self, coefficients, payload, sender=None):
        """A shard that came. True: it was of use. The message may be there afterwards (self.payload)."""
        h = self.header
        if len(coefficients) == 1:
            index = coefficients[0]
            if index >= h.k:
                raise Forged('coded: shard index out of range')
            if len(payload) != h.shard_length(index):
                raise Forged('coded: wrong shard length')
            if index in self.verified:
                return False
            if shard_hash(payload) != h.hashes[index]:
                raise Forged('coded: shard does not match its hash')
            self.verified[index] = payload
            is_useful = insert(self.span, self.unit(index))
        else:
            if len(coefficients) != h.k:
                raise Forged('coded: wrong number of coefficients')
            if not any(coefficients):
                raise Forged('coded: all coefficients are zero')
            if len(payload) != h.length:
                raise Forged('coded: wrong shard length')
            is_useful = self.payload is None and insert(self.span, coefficients)
            if is_useful:
                self.coded.append((coefficients, payload, sender))
        if self.payload is None and len(self.span) == h.k:
            self._decode()
        return is_useful

    def _decode(self):
        """[5] 6: what does not verify is never delivered; the coded rows go."""
        h = self.header
        solved = {}
        for i, shard in self.verified.items():
            insert(solved, self.unit(i), shard.ljust(h.length, b'\0'))
        for coefficients, payload, _ in self.coded:
            insert(solved, coefficients, payload)
        shards = [solved[i][1][:h.shard_length(i)] for i in range(h.k)]
        if any(shard_hash(s) != h.hashes[i] for i, s in enumerate(shards)):
            self.coded, self.span = [], {}
            for i in self.verified:
                insert(self.span, self.unit(i))
        else:
            self._finish(b''.join(shards))

    def mixture(self):
        """(coefficients, payload) of the verified shards, with fresh weights [2]."""
        h, held = self.header, sorted(self.verified)
        weights = [1 + secrets.randbelow(255) for _ in held]
        coefficients = bytearray(h.k)
        for i, w in zip(held, weights):
            coefficients[i] = w
        return bytes(coefficients), combine(weights, [self.verified[i] for i in held], h.length)

    def shard_field(self, index=None, tags=b'', hops=0):
        """A source shard, or without an index a mixture, as RPC field."""
        coefficients, payload = (bytes([index]), self.verified[index]) if index is not None else self.mixture()
        return write(SHARD, id=self.header.id, rank=self.rank(), coefficients=coefficients, tags=tags, hops=hops, payload=payload)

    def have_field(self):
        is_done = self.payload is not None
        held = sorted(self.verified)[:self.rank()]
        return write(HAVE, self.header.k, id=self.header.id, rank=self.rank(), verified=[] if is_done else held)


def insert(done, coefficients, payload=b''):
    """One step of Gauss-Jordan. done: {pivot: (coefficients, payload)}, fully reduced. True: the row added to it."""
    c, p = coefficients, payload
    for pivot, (pc, pp) in done.items():
        if c[pivot]:
            c, p = add(c, scale(c[pivot], pc)), add(p, scale(c[pivot], pp))
    pivot = next((i for i, v in enumerate(c) if v), None)
    if pivot is None:
        return False
    inverse = INV[c[pivot]]
    c, p = scale(inverse, c), scale(inverse, p)
    for other, (oc, op) in done.items():
        if oc[pivot]:
            done[other] = add(oc, scale(oc[pivot], c)), add(op, scale(oc[pivot], p))
    done[pivot] = c, p
    return True
