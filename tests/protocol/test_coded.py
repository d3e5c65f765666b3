"""The Python codec against the vectors of docs/PROTOCOL.md 13, and against itself."""
import json
import pathlib
import random
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import coded  # noqa: E402

VECTORS = json.loads((pathlib.Path(__file__).parents[1] / 'vectors' / 'coded_protocol.json').read_text())
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS['key']['seed']))
SELF = coded.peer_id(KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def pattern(size, salt):
    return bytes((j * 7 + j // 251 + salt) % 256 for j in range(size))


def only_field(text):
    (number, content), = coded.fields(bytes.fromhex(text))
    return number, content


def test_key_and_tag():
    assert SELF.hex() == VECTORS['key']['peer_id']
    assert int.from_bytes(coded.tag_of(SELF), 'big') == VECTORS['key']['tag']


def test_field_arithmetic():
    for a, b, product in VECTORS['gf']['products']:
        assert coded.MUL[a][b] == coded.MUL[b][a] == product
    for a, inverse in VECTORS['gf']['inverses']:
        assert coded.INV[a] == inverse


def test_shard_hashes():
    for v in VECTORS['shard_hash']:
        assert coded.shard_hash(pattern(v['size'], v['salt'])).hex() == v['hash']


def test_lots():
    for v in VECTORS['lot']:
        assert coded.lot(bytes.fromhex(v['id']), v['index'], v['tag'].to_bytes(4, 'big')) == int(v['lot'], 16)


@pytest.mark.parametrize('v', VECTORS['messages'], ids=lambda v: f"{v['size']} bytes, k={v['k']}")
def test_message_is_named_cut_and_signed_as_in_the_vectors(v):
    payload = pattern(v['size'], v['salt'])
    h = coded.Header.make(KEY, SELF, v['topic'].encode(), v['seqno'], payload, v['factor'])
    assert (h.k, h.length, len(h.core), h.id.hex()) == (v['k'], v['shard_bytes'], v['core_bytes'], v['id'])
    assert h.field().hex() == v['header']
    number, content = only_field(v['header'])
    assert number == coded.HEADER
    got = coded.Header.read(content)
    got.verify()
    assert got.id == h.id and got.hashes == h.hashes
    for at in (len(content) - 1, len(got.core) - 1):  # the signature, the last hash
        bent = bytearray(content)
        bent[at] ^= 1
        with pytest.raises(coded.Malformed):
            coded.Header.read(bytes(bent)).verify()


@pytest.mark.parametrize('v', [v for v in VECTORS['messages'] if 'source' in v], ids=lambda v: f"{v['size']} bytes, k={v['k']}")
def test_shards_of_the_vectors_decode(v):
    header = coded.Header.read(only_field(v['header'])[1])
    payload = pattern(v['size'], v['salt'])
    source = [only_field(f) for f in v['source']]
    mixed = [only_field(m['field']) for m in v['coded']]
    whole = coded.Generation.published(header, payload)
    for i, (number, content) in enumerate(source):
        s = coded.read(number, content)
        assert s['payload'] == whole.verified[i] and s['rank'] == (i or header.k)
        assert coded.write(number, **s).hex() == v['source'][i]
    for m, (number, content) in zip(v['coded'], mixed):
        s = coded.read(number, content)
        assert s['coefficients'].hex() == m['coefficients'] and s['payload'].hex() == m['payload']
        assert coded.combine(s['coefficients'], [whole.verified[i] for i in range(header.k)], header.length) == s['payload']
        assert coded.write(number, **s).hex() == m['field']
    for shards in (source, mixed, mixed[::-1] + source):
        g = coded.Generation(header)
        for _, content in shards:
            s = coded.read(coded.SHARD, content)
            g.take(s['coefficients'], s['payload'])
        assert g.payload == payload or (shards is mixed and len(mixed) < header.k)


def test_haves_wants_and_nears():
    for v in VECTORS['fields']:
        number, content = only_field(v['field'])
        got = coded.read(number, content)
        want = {n: set(x) if isinstance(x, list) else x for n, x in v.items() if n not in ('type', 'field', 'k')}
        for name in ('id', 'tags'):
            if name in want:
                want[name] = bytes.fromhex(want[name])
        if 'topic' in want:
            want['topic'] = want['topic'].encode()
        assert {n: got[n] for n in want} == want
        assert coded.write(number, v.get('k', 0), **got).hex() == v['field']


@pytest.mark.parametrize('v', VECTORS['malformed'], ids=lambda v: f"{v['number']}, {v['rule'][7:]}")
def test_malformed_messages_break_the_rule(v):
    content = bytes.fromhex(v['content'])
    with pytest.raises(coded.Malformed, match=v['rule']):
        coded.Header.read(content) if v['number'] == coded.HEADER else coded.read(v['number'], content)


def test_every_truncation_is_refused_or_read():
    for v in VECTORS['fields'] + [{'field': VECTORS['messages'][1]['source'][1]}, {'field': VECTORS['messages'][1]['header']}]:
        number, content = only_field(v['field'])
        for cut in range(len(content)):
            try:
                coded.Header.read(content[:cut]) if number == coded.HEADER else coded.read(number, content[:cut])
            except coded.Malformed:
                pass
            else:
                assert number not in (coded.HEADER, coded.SHARD)


@pytest.mark.parametrize('k', [2, 3, 5, 16, 40])
def test_recoded_shards_decode_at_third_hand(k):
    rng = random.Random(k)
    payload = rng.randbytes(k * 50 - 20)
    header = coded.Header.make(KEY, SELF, b't', k, payload, k)
    first, second, third = coded.Generation.published(header, payload), coded.Generation(header), coded.Generation(header)
    for i in rng.sample(range(header.k), header.k - 1):
        assert second.take(bytes([i]), first.verified[i])
    assert second.payload is None and second.rank() == header.k - 1
    for _ in range(header.k + 3):
        third.take(*second.mixture())
    assert third.payload is None and third.rank() == header.k - 1  # no more than the second has
    while second.payload is None:
        second.take(*first.mixture())
    while third.payload is None:
        third.take(*second.mixture())
    assert third.payload == payload


def test_forged_shards_are_not_delivered():
    payload = pattern(1000, 1)
    header = coded.Header.make(KEY, SELF, b't', 1, payload, 4)
    whole, g = coded.Generation.published(header, payload), coded.Generation(header)
    with pytest.raises(coded.Forged, match='does not match its hash'):
        g.take(b'\0', bytes(250))
    for bad in ((b'\4', bytes(250)), (b'\0', bytes(249)), (bytes(4), bytes(250)), (bytes(3), bytes(250)), (b'\1\2\3\4', bytes(249))):
        with pytest.raises(coded.Forged):
            g.take(*bad)
    g.take(b'\0', whole.verified[0])
    g.take(b'\1\2\3\4', bytes(250))
    while g.coded:  # two, but for mixtures that happen to depend on each other
        g.take(*whole.mixture())
    assert g.payload is None and set(g.verified) == {0}
    while g.payload is None:
        g.take(*whole.mixture())
    assert g.payload == payload
