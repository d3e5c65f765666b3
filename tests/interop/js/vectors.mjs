// Writes ../../vectors/*.json: test vectors made by the real js libraries.
// usage: node vectors.mjs [outdir]
import './polyfill.mjs'
import net from 'node:net'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs'
import { encode as vEncode, decode as vDecode } from 'uint8-varint'
import { multiaddr } from '@multiformats/multiaddr'
import { generateKeyPairFromSeed, privateKeyToProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { PeerRecord, RecordEnvelope } from '@libp2p/peer-record'
import { defaultCrypto } from '@libp2p/noise/crypto'
import { base36 } from 'multiformats/bases/base36'
import { base32 } from 'multiformats/bases/base32'
import { base58btc } from 'multiformats/bases/base58'
import { sha256, sha512 } from 'multiformats/hashes/sha2'
import { identity } from 'multiformats/hashes/identity'
import { makeNode, specMsgId, hex } from './common.mjs'

const nm = new URL('./node_modules/', import.meta.url)
const deep = (p) => import(new URL(p, nm))
const { RPC } = await deep('@libp2p/gossipsub/dist/src/message/rpc.js')
const { buildRawMessage, validateToRawMessage } = await deep('@libp2p/gossipsub/dist/src/utils/buildRawMessage.js')
const { msgIdFnStrictSign, msgIdFnStrictNoSign } = await deep('@libp2p/gossipsub/dist/src/utils/msgIdFn.js')
const { getPublishConfigFromPeerId } = await deep('@libp2p/gossipsub/dist/src/utils/publishConfig.js')
const { computeScore } = await deep('@libp2p/gossipsub/dist/src/score/compute-score.js')
const scoreParams = await deep('@libp2p/gossipsub/dist/src/score/peer-score-params.js')
const scoreThresholds = await deep('@libp2p/gossipsub/dist/src/score/peer-score-thresholds.js')
const { Identify } = await deep('@libp2p/identify/dist/src/pb/message.js')
const { encodeHeader } = await deep('@libp2p/yamux/dist/src/encode.js')
const { decodeHeader } = await deep('@libp2p/yamux/dist/src/decode.js')
const { FrameType, Flag, GoAwayCode } = await deep('@libp2p/yamux/dist/src/frame.js')
const { NoiseHandshakePayload } = await deep('@libp2p/noise/dist/src/proto/payload.js')
const { XXHandshakeState, ZEROLEN } = await deep('@libp2p/noise/dist/src/protocol.js')
const { wrapCrypto } = await deep('@libp2p/noise/dist/src/crypto.js')
const { createHandshakePayload, getSignaturePayload } = await deep('@libp2p/noise/dist/src/utils.js')
const dht = await deep('@libp2p/kad-dht/dist/src/message/dht.js')

const OUT = process.argv[2] ?? new URL('../../vectors/', import.meta.url).pathname
mkdirSync(OUT, { recursive: true })
const ver = (p) => `${p}@${JSON.parse(readFileSync(new URL(p + '/package.json', nm))).version}`
const index = []
function save (name, pkgs, note, body) {
  const made_by = pkgs.map(ver)
  writeFileSync(`${OUT}/${name}.json`, JSON.stringify({ made_by, note, ...body }, null, 1) + '\n')
  index.push({ name, made_by, note })
}
const u8 = (s) => new Uint8Array(Buffer.from(s))
const fromHex = (h) => new Uint8Array(Buffer.from(h, 'hex'))
const seedOf = (s) => new Uint8Array(createHash('sha256').update(s).digest())
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// ---- varint
{
  const vals = [0, 1, 2, 127, 128, 129, 255, 256, 300, 16383, 16384, 65535, 65536, 2097151, 2097152, 268435455, 268435456, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 35 - 1, 2 ** 35, 2 ** 42, 2 ** 49 - 1, 2 ** 49, Number.MAX_SAFE_INTEGER]
  const decodes = ['8000', 'ffff7f', '80', 'ffffffffffffffffff01', 'ffffffffffffffffffff01', '81808000'].map((h) => {
    try { return { hex: h, value: String(vDecode(fromHex(h))) } } catch (e) { return { hex: h, error: `${e.name}: ${e.message}` } }
  })
  save('varint', ['uint8-varint'], 'unsigned LEB128. decode_behaviour shows what the js library does with non-minimal, truncated and over-long input (not what a strict decoder should do).', {
    vectors: vals.map((v) => ({ value: String(v), hex: hex(vEncode(v)) })), decode_behaviour: decodes
  })
}

// ---- keys, peer ids
const seeds = [['zero', new Uint8Array(32)], ['ones', new Uint8Array(32).fill(255)], ['count', Uint8Array.from({ length: 32 }, (_, i) => i)], ['alice', seedOf('alice')], ['bob', seedOf('bob')], ['carol', seedOf('carol')]]
const keys = {}
{
  const out = []
  for (const [name, seed] of seeds) {
    const k = await generateKeyPairFromSeed('Ed25519', seed)
    const id = peerIdFromPrivateKey(k)
    keys[name] = { k, id, seed }
    const msg = u8('libp2p test message ' + name)
    out.push({
      name, seed: hex(seed), private_raw_64: hex(k.raw), public_raw: hex(k.publicKey.raw),
      private_protobuf: hex(privateKeyToProtobuf(k)), public_protobuf: hex(publicKeyToProtobuf(k.publicKey)),
      peer_id_multihash: hex(id.toMultihash().bytes), peer_id_base58btc: id.toString(),
      peer_id_cidv1_bytes: hex(id.toCID().bytes), peer_id_cidv1_base32: id.toCID().toString(base32), peer_id_cidv1_base36: id.toCID().toString(base36),
      message: hex(msg), signature: hex(await k.sign(msg))
    })
  }
  save('keys', ['@libp2p/crypto', '@libp2p/peer-id', 'multiformats'], 'Ed25519 seed -> libp2p protobuf keys -> peer id (identity multihash of the public key protobuf), CIDv1 with codec libp2p-key 0x72; signature over message.', { vectors: out })
}

// ---- multihash
{
  const out = []
  for (const s of ['', 'a', 'multihash', 'x'.repeat(100)]) {
    for (const h of [sha256, sha512, identity]) {
      const d = await h.digest(u8(s))
      out.push({ input: hex(u8(s)), name: h.name, code: d.code, digest: hex(d.digest), multihash: hex(d.bytes), base58btc: base58btc.baseEncode(d.bytes) })
    }
  }
  save('multihash', ['multiformats'], 'multihash = varint code, varint length, digest', { vectors: out })
}

// ---- multiaddr
{
  const id = keys.alice.id.toString()
  const cid = keys.alice.id.toCID().toString(base36)
  const texts = ['/ip4/127.0.0.1/tcp/4001', '/ip4/0.0.0.0/tcp/0', '/ip4/255.255.255.255/tcp/65535', `/ip4/127.0.0.1/tcp/4001/p2p/${id}`, `/p2p/${id}`,
    '/ip6/::1/tcp/4001', '/ip6/::/tcp/0', '/ip6/2001:db8::ff00:42:8329/tcp/80', `/ip6/fe80::1/tcp/1/p2p/${id}`, '/ip6zone/eth0/ip6/fe80::1/tcp/1',
    '/dns4/example.com/tcp/443', '/dns6/example.com/tcp/443', '/dns/example.com/tcp/443', `/dnsaddr/bootstrap.libp2p.io/p2p/${id}`,
    '/ip4/1.2.3.4/udp/4001/quic-v1', '/ip4/1.2.3.4/tcp/443/ws', '/dns4/example.com/tcp/443/tls/ws', '/dns4/example.com/tcp/443/wss',
    `/ip4/1.2.3.4/tcp/4001/p2p/${id}/p2p-circuit/p2p/${keys.bob.id}`, `/ip4/1.2.3.4/tcp/1/p2p/${cid}`,
    `/ip4/1.2.3.4/tcp/1/ipfs/${id}`, '/unix/tmp%2Fa.sock', '/memory/1234', '/ip4/1.2.3.4/udp/1/webrtc-direct']
  const out = []
  for (const t of texts) {
    try {
      const m = multiaddr(t)
      out.push({ text: t, hex: hex(m.bytes), canonical: multiaddr(m.bytes).toString(), components: m.getComponents().map((c) => ({ code: c.code, name: c.name, value: c.value ?? null })) })
    } catch (e) { out.push({ text: t, error: `${e.name}: ${e.message}` }) }
  }
  const bad = ['', '127.0.0.1', '/ip4/256.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/65536', '/ip4/127.0.0.1/tcp', '/ip4', '/nosuch/1', '/ip4/127.0.0.1/tcp/-1', '/ip6/zz/tcp/1', '/ip4/127.0.0.1/tcp/1/p2p/notapeer', '/ip4/127.0.0.1/tcp/1/', '//ip4/127.0.0.1'].map((t) => {
    try { const m = multiaddr(t); return { text: t, accepted: true, hex: hex(m.bytes), canonical: m.toString() } } catch (e) { return { text: t, accepted: false, error: e.message } }
  })
  const badBytes = ['04', '047f0000', '047f000001', '047f00000106', '047f0000010600', '047f000001060fa1', 'ff', '36ff01', '00', '3603616263'].map((h) => {
    try { const m = multiaddr(fromHex(h)); const s = m.toString(); return { hex: h, accepted: true, text: s } } catch (e) { return { hex: h, accepted: false, error: e.message } }
  })
  save('multiaddr', ['@multiformats/multiaddr'], 'text <-> bytes; canonical is the text the library prints from the bytes. parse_text and parse_bytes show what js accepts.', { vectors: out, parse_text: bad, parse_bytes: badBytes })
}

// ---- signed peer records
const records = {}
{
  const out = []
  for (const [name, addrs, seq] of [['alice', ['/ip4/127.0.0.1/tcp/4001'], 1n], ['bob', ['/ip4/127.0.0.1/tcp/4002', '/ip6/::1/tcp/4002', '/dns4/bob.example/tcp/4002'], 1700000000000n], ['carol', [], 2n ** 63n]]) {
    const rec = new PeerRecord({ peerId: keys[name].id, multiaddrs: addrs.map((t) => multiaddr(t)), seqNumber: seq })
    const env = await RecordEnvelope.seal(rec, keys[name].k)
    const bytes = env.marshal()
    await RecordEnvelope.openAndCertify(bytes, PeerRecord.DOMAIN)
    records[name] = bytes
    const dom = u8(PeerRecord.DOMAIN)
    const signed = Buffer.concat([vEncode(dom.length), dom, vEncode(env.payloadType.length), env.payloadType, vEncode(env.payload.length), env.payload])
    out.push({ name, seed: hex(keys[name].seed), peer_id: keys[name].id.toString(), addrs, seq: String(seq), domain: PeerRecord.DOMAIN, payload_type: hex(env.payloadType), payload: hex(env.payload), signed_bytes: hex(signed), signature_over_signed_bytes_ok: await keys[name].k.publicKey.verify(new Uint8Array(signed), env.signature), signature: hex(env.signature), envelope: hex(bytes) })
  }
  save('peer_record', ['@libp2p/peer-record', '@libp2p/crypto'], 'libp2p-peer-record envelopes; payload_type 0x0301; signed_bytes is rebuilt here from the spec layout and verified against the library signature.', { vectors: out })
}

// ---- identify
{
  const out = []
  const mk = (name, m) => { const b = Identify.encode(m); out.push({ name, hex: hex(b), delimited: hex(Buffer.concat([vEncode(b.length), b])), fields: { protocolVersion: m.protocolVersion ?? null, agentVersion: m.agentVersion ?? null, publicKey: m.publicKey ? hex(m.publicKey) : null, listenAddrs: (m.listenAddrs ?? []).map((x) => multiaddr(x).toString()), observedAddr: m.observedAddr ? multiaddr(m.observedAddr).toString() : null, protocols: m.protocols ?? [], signedPeerRecord: m.signedPeerRecord ? hex(m.signedPeerRecord) : null } }) }
  mk('full', { protocolVersion: 'ipfs/0.1.0', agentVersion: 'test/1.0.0', publicKey: publicKeyToProtobuf(keys.alice.k.publicKey), listenAddrs: [multiaddr('/ip4/127.0.0.1/tcp/4001').bytes, multiaddr('/ip6/::1/tcp/4001').bytes], observedAddr: multiaddr('/ip4/127.0.0.1/tcp/50000').bytes, protocols: ['/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0', '/meshsub/1.2.0', '/meshsub/1.1.0'], signedPeerRecord: records.alice })
  mk('minimal', { publicKey: publicKeyToProtobuf(keys.bob.k.publicKey), listenAddrs: [], protocols: ['/ipfs/id/1.0.0'] })
  mk('push-without-key', { listenAddrs: [multiaddr('/ip4/127.0.0.1/tcp/4002').bytes], protocols: ['/ipfs/id/1.0.0', '/ipfs/kad/1.0.0'] })
  save('identify', ['@libp2p/identify'], 'Identify protobuf; on the wire it is varint length delimited (field delimited).', { vectors: out })
}

// ---- gossipsub RPC
{
  const rpcs = []
  const msgs = []
  const full = (o) => ({ subscriptions: [], messages: [], ...o })
  const ctl = (o) => full({ control: { ihave: [], iwant: [], graft: [], prune: [], idontwant: [], ...o } })
  const mk = (name, r, describe) => { const b = RPC.encode(r); rpcs.push({ name, hex: hex(b), delimited: hex(Buffer.concat([vEncode(b.length), b])), describe }) }
  const built = {}
  for (const [name, topic, data, seqno] of [['alice', 'test-topic', 'hello world', 1n], ['bob', 'test-topic', '', 0x0102030405060708n], ['carol', 'other', 'x'.repeat(2000), 2n ** 64n - 1n]]) {
    const { k, id } = keys[name]
    const seq = new Uint8Array(8); new DataView(seq.buffer).setBigUint64(0, seqno, false)
    const cfg = getPublishConfigFromPeerId('StrictSign', id, k)
    // The library takes its seqno from a counter; the same steps with a fixed seqno, then checked by the library's own validator.
    const raw = { from: cfg.author.toMultihash().bytes, data: u8(data), seqno: seq, topic, signature: undefined, key: undefined }
    const toSign = Buffer.concat([u8('libp2p-pubsub:'), RPC.Message.encode(raw)])
    raw.signature = await k.sign(new Uint8Array(toSign)); raw.key = cfg.key
    const v = await validateToRawMessage('StrictSign', raw)
    if (!v.valid) throw new Error('library rejects vector ' + v.error)
    built[name] = raw
    msgs.push({ name, topic, data: hex(raw.data), seqno: String(seqno), seqno_hex: hex(seq), from: hex(raw.from), signed_bytes: hex(toSign), signature: hex(raw.signature), key: hex(raw.key), message: hex(RPC.Message.encode(raw)), library_validates: v.valid, msg_id_js_default: hex(msgIdFnStrictSign(v.message)), msg_id_spec_default: hex(specMsgId(v.message)) })
    mk('publish-' + name, full({ messages: [raw] }), `one signed message from ${name}`)
    const noKey = { ...raw, key: undefined }
    const v2 = await validateToRawMessage('StrictSign', noKey)
    msgs.push({ name: name + '-no-key-field', message: hex(RPC.Message.encode(noKey)), library_validates: v2.valid })
  }
  {
    // entirely by the library, its own seqno
    const r = await buildRawMessage(getPublishConfigFromPeerId('StrictSign', keys.alice.id, keys.alice.k), 'lib-topic', u8('library built'), u8('library built'))
    msgs.push({ name: 'library-built', topic: 'lib-topic', data: hex(u8('library built')), seqno_hex: hex(r.raw.seqno), from: hex(r.raw.from), signature: hex(r.raw.signature), key: hex(r.raw.key), message: hex(RPC.Message.encode(r.raw)), msg_id_js_default: hex(msgIdFnStrictSign(r.msg)), msg_id_spec_default: hex(specMsgId(r.msg)) })
    const a = await buildRawMessage(getPublishConfigFromPeerId('StrictNoSign', keys.alice.id, keys.alice.k), 'anon', u8('anonymous'), u8('anonymous'))
    msgs.push({ name: 'anonymous', topic: 'anon', data: hex(u8('anonymous')), message: hex(RPC.Message.encode(a.raw)), msg_id_js_default: hex(await msgIdFnStrictNoSign(a.msg)), library_validates: (await validateToRawMessage('StrictNoSign', a.raw)).valid })
  }
  const neg = []
  const A = built.alice
  const flip = (b) => { const c = Uint8Array.from(b); c[0] ^= 1; return c }
  for (const [name, m, pol] of [['bad-signature', { ...A, signature: flip(A.signature) }], ['changed-data', { ...A, data: u8('hello World') }], ['changed-seqno', { ...A, seqno: flip(A.seqno) }], ['seqno-7-bytes', { ...A, seqno: A.seqno.subarray(1) }], ['no-seqno', { ...A, seqno: undefined }], ['no-from', { ...A, from: undefined }], ['no-signature', { ...A, signature: undefined }], ['key-of-another-peer', { ...A, key: built.bob.key }], ['from-of-another-peer', { ...A, from: built.bob.from }], ['signed-under-no-sign', A, 'StrictNoSign'], ['unsigned-with-from-under-no-sign', { topic: 't', data: u8('d'), from: A.from }, 'StrictNoSign'], ['valid', A]]) {
    const r = await validateToRawMessage(pol ?? 'StrictSign', m)
    neg.push({ name, policy: pol ?? 'StrictSign', message: hex(RPC.Message.encode(m)), valid: r.valid, error: r.error ?? null })
  }
  const ids = [specMsgId((await validateToRawMessage('StrictSign', built.alice)).message), specMsgId((await validateToRawMessage('StrictSign', built.bob)).message)]
  mk('empty', full({}), 'empty RPC')
  mk('subscribe', full({ subscriptions: [{ subscribe: true, topic: 'a' }, { subscribe: true, topic: 'topic-b' }] }), 'subscriptions a, topic-b')
  mk('unsubscribe', full({ subscriptions: [{ subscribe: false, topic: 'a' }] }), 'subscribe=false is encoded explicitly (08 00)')
  mk('ihave', ctl({ ihave: [{ topicID: 'test-topic', messageIDs: ids }] }), 'IHAVE, two spec-default ids')
  mk('iwant', ctl({ iwant: [{ messageIDs: ids }] }), 'IWANT, two ids')
  mk('graft', ctl({ graft: [{ topicID: 'a' }, { topicID: 'topic-b' }] }), 'GRAFT a, topic-b')
  mk('prune-v1.0', ctl({ prune: [{ topicID: 'a', peers: [] }] }), 'PRUNE without backoff')
  mk('prune-backoff', ctl({ prune: [{ topicID: 'a', peers: [], backoff: 60 }] }), 'PRUNE backoff 60 s')
  mk('prune-px', ctl({ prune: [{ topicID: 'a', backoff: 60, peers: [{ peerID: keys.bob.id.toMultihash().bytes, signedPeerRecord: records.bob }, { peerID: keys.alice.id.toMultihash().bytes }] }] }), 'PRUNE with PX: bob with signed record, alice without')
  mk('idontwant', ctl({ idontwant: [{ messageIDs: ids }] }), 'IDONTWANT, two ids')
  mk('everything', { subscriptions: [{ subscribe: true, topic: 'a' }], messages: [built.alice, built.bob], control: { ihave: [{ topicID: 'a', messageIDs: [ids[0]] }], iwant: [{ messageIDs: [ids[1]] }], graft: [{ topicID: 'a' }], prune: [{ topicID: 'b', peers: [], backoff: 10 }], idontwant: [{ messageIDs: [ids[0]] }] } }, 'all fields')
  mk('control-present-but-empty', ctl({}), 'empty control message')
  save('gossipsub_rpc', ['@libp2p/gossipsub'], 'RPC protobuf (hex) and length delimited (delimited). Signature covers "libp2p-pubsub:" + Message without signature and key. js default msg id = public key protobuf || seqno; spec and go default = from || seqno; rust-libp2p default = base58 text of from || decimal seqno (not made here).', { rpc: rpcs, messages: msgs, validation: neg })
}

// ---- gossipsub score function
{
  const T = scoreParams.defaultTopicScoreParams
  const base = { graylisted: false, behaviourPenalty: 0, knownIPs: new Set(), topics: {} }
  const ts = { inMesh: false, graftTime: 0, meshTime: 0, firstMessageDeliveries: 0, meshMessageDeliveries: 0, meshMessageDeliveriesActive: false, meshFailurePenalty: 0, invalidMessageDeliveries: 0 }
  const cases = [
    ['zero', {}, {}, {}], ['p1', { inMesh: true, meshTime: 100 }, {}, {}], ['p1-cap', { inMesh: true, meshTime: 1e9 }, {}, {}], ['p2', { firstMessageDeliveries: 7.5 }, {}, {}], ['p2-cap', { firstMessageDeliveries: 1e6 }, {}, { topicScoreCap: 0 }],
    ['p3-deficit', { meshMessageDeliveriesActive: true, meshMessageDeliveries: 5 }, {}, {}], ['p3-inactive', { meshMessageDeliveriesActive: false, meshMessageDeliveries: 5 }, {}, {}], ['p3b', { meshFailurePenalty: 225 }, {}, {}], ['p4', { invalidMessageDeliveries: 3 }, {}, {}],
    ['p5', {}, {}, { app: -3 }], ['p6-10-peers', {}, { ips: 10 }, {}], ['p6-11-peers', {}, { ips: 11 }, {}], ['p6-15-peers', {}, { ips: 15 }, {}], ['p7', {}, { behaviourPenalty: 4 }, {}], ['p7-threshold', {}, { behaviourPenalty: 6 }, { behaviourPenaltyThreshold: 6 }],
    ['mixed', { inMesh: true, meshTime: 12, firstMessageDeliveries: 3, meshMessageDeliveriesActive: true, meshMessageDeliveries: 18, meshFailurePenalty: 1, invalidMessageDeliveries: 2 }, { behaviourPenalty: 1.5 }, { app: 0.25 }]]
  const out = cases.map(([name, t, p, g]) => {
    const params = scoreParams.createPeerScoreParams({ topics: { t: T }, ...(g.topicScoreCap != null ? { topicScoreCap: g.topicScoreCap } : {}), ...(g.behaviourPenaltyThreshold != null ? { behaviourPenaltyThreshold: g.behaviourPenaltyThreshold } : {}), appSpecificScore: () => g.app ?? 0 })
    const st = { ...base, behaviourPenalty: p.behaviourPenalty ?? 0, knownIPs: new Set(p.ips ? ['127.0.0.1'] : []), topics: { t: { ...ts, ...t } } }
    const peerIPs = new Map([['127.0.0.1', new Set(Array.from({ length: p.ips ?? 0 }, (_, i) => 'p' + i))]])
    return { name, topic_stats: { ...ts, ...t }, behaviourPenalty: p.behaviourPenalty ?? 0, peers_on_my_ip: p.ips ?? 0, app: g.app ?? 0, topicScoreCap: params.topicScoreCap, behaviourPenaltyThreshold: params.behaviourPenaltyThreshold, score: computeScore('x', st, params, peerIPs) }
  })
  const plain = { ...scoreParams.defaultPeerScoreParams, IPColocationFactorWhitelist: [] }; delete plain.appSpecificScore
  save('gossipsub_score', ['@libp2p/gossipsub'], 'computeScore() of js with its default parameters (meshTime in the unit of timeInMeshQuantum as js passes it, ms)', { peer_score_params: plain, topic_score_params: T, thresholds: scoreThresholds.defaultPeerScoreThresholds, vectors: out })
}

// ---- yamux frames
{
  const out = []
  const mk = (name, h, payload) => { const b = Buffer.concat([encodeHeader(h), payload ?? new Uint8Array(0)]); out.push({ name, type: h.type, flags: h.flag, stream_id: h.streamID, length: h.length, hex: hex(b), decoded: decodeHeader(new Uint8Array(b)) }) }
  const W = FrameType.WindowUpdate; const D = FrameType.Data
  mk('window-update SYN id1 (how js opens a stream)', { type: W, flag: Flag.SYN, streamID: 1, length: 0 })
  mk('window-update ACK id1', { type: W, flag: Flag.ACK, streamID: 1, length: 0 })
  mk('window-update 262144', { type: W, flag: 0, streamID: 3, length: 262144 })
  mk('window-update FIN', { type: W, flag: Flag.FIN, streamID: 3, length: 0 })
  mk('window-update RST', { type: W, flag: Flag.RST, streamID: 2, length: 0 })
  mk('data SYN', { type: D, flag: Flag.SYN, streamID: 5, length: 5 }, u8('hello'))
  mk('data ACK', { type: D, flag: Flag.ACK, streamID: 5, length: 5 }, u8('world'))
  mk('data', { type: D, flag: 0, streamID: 0xfffffffe, length: 3 }, u8('abc'))
  mk('data FIN empty', { type: D, flag: Flag.FIN, streamID: 7, length: 0 })
  mk('data SYN|FIN', { type: D, flag: Flag.SYN | Flag.FIN, streamID: 9, length: 1 }, u8('z'))
  mk('ping SYN', { type: FrameType.Ping, flag: Flag.SYN, streamID: 0, length: 0xdeadbeef })
  mk('ping ACK', { type: FrameType.Ping, flag: Flag.ACK, streamID: 0, length: 0xdeadbeef })
  for (const c of [GoAwayCode.NormalTermination, GoAwayCode.ProtocolError, GoAwayCode.InternalError]) mk('goaway ' + GoAwayCode[c], { type: FrameType.GoAway, flag: 0, streamID: 0, length: c })
  save('yamux_frames', ['@libp2p/yamux'], 'header: version 0, type, flags u16, stream id u32, length u32, big endian; then length bytes for type 0', { vectors: out })
}

// ---- noise
const eph = { initiator: seedOf('ephemeral-initiator'), responder: seedOf('ephemeral-responder') }
const stat = { initiator: seedOf('noise-static-initiator'), responder: seedOf('noise-static-responder') }
const fixedCrypto = (seed, record) => ({
  ...defaultCrypto,
  generateX25519KeyPair: () => defaultCrypto.generateX25519KeyPairFromSeed(seed),
  chaCha20Poly1305Encrypt (pt, nonce, ad, k) {
    const p = Buffer.from(pt.subarray()); const n = hex(nonce); const A = hex(ad)
    const ct = defaultCrypto.chaCha20Poly1305Encrypt(pt, nonce, ad, k)
    record?.({ op: 'encrypt', key: hex(k), nonce: n, ad: A, plaintext: p.toString('hex'), ciphertext: hex(ct) })
    return ct
  }
})
{
  const out = []
  for (const [name, prologue, ext] of [['with-extensions', '', { streamMuxers: ['/yamux/1.0.0'], webtransportCerthashes: [] }], ['no-extensions', '', undefined], ['prologue', 'test prologue', { streamMuxers: ['/yamux/1.0.0', '/mplex/6.7.0'], webtransportCerthashes: [] }]]) {
    const side = (who, initiator) => {
      const c = wrapCrypto(fixedCrypto(eph[who]))
      return new XXHandshakeState({ crypto: c, protocolName: 'Noise_XX_25519_ChaChaPoly_SHA256', initiator, prologue: u8(prologue), s: defaultCrypto.generateX25519KeyPairFromSeed(stat[who]) })
    }
    const I = side('initiator', true); const R = side('responder', false)
    const pI = await createHandshakePayload(keys.alice.k, I.s.publicKey, ext); const pR = await createHandshakePayload(keys.bob.k, R.s.publicKey, ext)
    const list = (b) => { const { Uint8ArrayList } = lists; return new Uint8ArrayList(b.subarray()) }
    const lists = await deep('uint8arraylist/dist/src/index.js')
    const m1 = I.writeMessageA(ZEROLEN); R.readMessageA(list(m1))
    const h1 = hex(I.ss.h)
    const m2 = R.writeMessageB(pR); const got2 = I.readMessageB(list(m2))
    const h2 = hex(I.ss.h)
    const m3 = I.writeMessageC(pI); const got3 = R.readMessageC(list(m3))
    const h3 = hex(I.ss.h); const ck = hex(I.ss.ck)
    if (hex(got2) !== hex(pR) || hex(got3) !== hex(pI) || hex(R.ss.h) !== h3) throw new Error('noise mismatch')
    const [c1, c2] = I.ss.split(); const [r1, r2] = R.ss.split()
    const k1 = hex(c1.k); const k2 = hex(c2.k)
    const tr = []
    for (const [dir, cs, ds, pt] of [['i->r', c1, r1, 'ping'], ['r->i', c2, r2, 'pong'], ['i->r', c1, r1, ''], ['i->r', c1, r1, 'y'.repeat(300)], ['r->i', c2, r2, 'z']]) {
      const ct = cs.encryptWithAd(ZEROLEN, u8(pt)); const h = hex(ct)
      const back = hex(ds.decryptWithAd(ZEROLEN, list(Uint8Array.from(ct.subarray()))))
      if (back !== hex(u8(pt))) throw new Error('transport mismatch')
      tr.push({ dir, plaintext: hex(u8(pt)), ciphertext: h, framed: hex(Buffer.concat([Buffer.from([(h.length / 2) >> 8, (h.length / 2) & 255]), Buffer.from(h, 'hex')])) })
    }
    const dec = (b) => { const p = NoiseHandshakePayload.decode(b); return { identityKey: hex(p.identityKey), identitySig: hex(p.identitySig), streamMuxers: p.extensions?.streamMuxers ?? null, has_extensions: p.extensions != null } }
    out.push({
      name, protocol: 'Noise_XX_25519_ChaChaPoly_SHA256', prologue: hex(u8(prologue)),
      initiator: { identity_seed: hex(keys.alice.seed), static_private: hex(stat.initiator), static_public: hex(I.s.publicKey), ephemeral_private: hex(eph.initiator), ephemeral_public: hex(I.e.publicKey), payload: hex(pI), payload_fields: dec(pI), signed_bytes: hex(getSignaturePayload(I.s.publicKey)) },
      responder: { identity_seed: hex(keys.bob.seed), static_private: hex(stat.responder), static_public: hex(R.s.publicKey), ephemeral_private: hex(eph.responder), ephemeral_public: hex(R.e.publicKey), payload: hex(pR), payload_fields: dec(pR), signed_bytes: hex(getSignaturePayload(R.s.publicKey)) },
      messages: [m1, m2, m3].map((m) => ({ hex: hex(m), framed: hex(Buffer.concat([Buffer.from([m.byteLength >> 8, m.byteLength & 255]), m.subarray()])) })),
      handshake_hash_after: [h1, h2, h3], chaining_key: ck, initiator_to_responder_key: k1, responder_to_initiator_key: k2, transport: tr
    })
  }
  save('noise', ['@libp2p/noise', '@libp2p/crypto'], 'Noise_XX with fixed ephemeral and static keys (init option crypto.generateX25519KeyPair / generateX25519KeyPairFromSeed). The identity signature is over "noise-libp2p-static-key:" + static public key. On the wire each Noise message has a 2-byte big-endian length.', { vectors: out })
}

// ---- whole connection captures through a recording TCP proxy, with fixed keys
async function capture (name, { earlyMuxer, muxers }) {
  const enc = []
  const mk = (who, idKey, listen) => makeNode({
    privateKey: keys[idKey].k, listen, muxers, earlyMuxer, monitor: false, identifyPush: true, msgId: 'spec',
    yamux: { enableKeepAlive: true, keepAliveInterval: 60000 },
    noise: { staticNoiseKey: stat[who], crypto: fixedCrypto(eph[who], (r) => enc.push({ by: who, ...r })) }
  })
  const L = await mk('responder', 'bob', ['/ip4/127.0.0.1/tcp/0']); const D = await mk('initiator', 'alice', [])
  await L.start(); await D.start()
  const port = Number(L.getMultiaddrs()[0].getComponents().find((c) => c.name === 'tcp').value)
  const chunks = []
  const proxy = net.createServer((c) => {
    const s = net.connect(port, '127.0.0.1')
    c.on('data', (b) => { chunks.push({ dir: 'd->l', hex: b.toString('hex') }); s.write(b) }); s.on('data', (b) => { chunks.push({ dir: 'l->d', hex: b.toString('hex') }); c.write(b) })
    c.on('end', () => s.end()); s.on('end', () => c.end()); c.on('error', () => {}); s.on('error', () => {})
  })
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const addr = multiaddr(`/ip4/127.0.0.1/tcp/${proxy.address().port}/p2p/${L.peerId}`)
  L.services.pubsub.subscribe('cap'); D.services.pubsub.subscribe('cap')
  const got = []
  for (const [w, n] of [['listener', L], ['dialer', D]]) n.services.pubsub.addEventListener('gossipsub:message', ({ detail: d }) => got.push({ by: w, data: hex(d.msg.data), msgId: d.msgId }))
  await D.dial(addr)
  await D.services.ping.ping(addr)
  await sleep(600)
  await D.services.pubsub.publish('cap', u8('from dialer')); await sleep(50)
  await L.services.pubsub.publish('cap', new Uint8Array(3000).fill(0x42)); await sleep(100)
  L.services.pubsub.unsubscribe('cap'); await sleep(100)
  await D.hangUp(L.peerId); await sleep(200)
  await D.stop(); await L.stop(); proxy.close()
  // transport plaintexts: encryptions with empty ad after the handshake
  const transport = enc.filter((e) => e.ad === '')
  const plain = {}; const frames = {}
  for (const who of ['initiator', 'responder']) {
    const cat = Buffer.concat(transport.filter((e) => e.by === who).map((e) => Buffer.from(e.plaintext, 'hex')))
    plain[who] = cat.toString('hex')
    if (earlyMuxer !== false && muxers[0] === 'yamux') {
      frames[who] = []
      for (let o = 0; o + 12 <= cat.length;) {
        const h = decodeHeader(new Uint8Array(cat.subarray(o, o + 12))); const n = h.type === 0 ? h.length : 0
        frames[who].push({ ...h, type: FrameType[h.type], data: cat.subarray(o + 12, o + 12 + n).toString('hex') }); o += 12 + n
      }
    }
  }
  const total = (d) => chunks.filter((c) => c.dir === d).map((c) => c.hex).join('')
  save(name, ['libp2p', '@libp2p/tcp', '@libp2p/multistream-select', '@libp2p/noise', '@libp2p/yamux', '@libp2p/identify', '@libp2p/ping', '@libp2p/gossipsub'],
    `bytes of a whole TCP connection between two js nodes through a recording proxy, dialer = noise initiator = alice, listener = responder = bob; ${earlyMuxer === false ? 'muxer by multistream-select after Noise' : 'muxer by the Noise extension'}; identify, ping, gossipsub subscribe/graft/publish both ways, unsubscribe, close. Keys fixed (same as noise.json), so a C node can replay and decrypt it. Ordering of streams, gossipsub seqnos, ping bytes and the peer record seq vary between runs.`,
    { dialer_seed: hex(keys.alice.seed), listener_seed: hex(keys.bob.seed), noise: { initiator_static: hex(stat.initiator), responder_static: hex(stat.responder), initiator_ephemeral: hex(eph.initiator), responder_ephemeral: hex(eph.responder) }, dialer_to_listener: total('d->l'), listener_to_dialer: total('l->d'), chunks_in_order: chunks, noise_transport: transport.map((e) => ({ by: e.by, key: e.key, nonce: e.nonce, plaintext: e.plaintext })), decrypted: plain, yamux_frames: frames, messages_seen: got })
}
await capture('session_early_muxer', { earlyMuxer: true, muxers: ['yamux'] })
await capture('session_mss_muxer', { earlyMuxer: false, muxers: ['yamux'] })

// ---- multistream-select
{
  const n = await makeNode({ privateKey: keys.bob.k, listen: ['/ip4/127.0.0.1/tcp/0'], monitor: false })
  await n.start()
  const port = Number(n.getMultiaddrs()[0].getComponents().find((c) => c.name === 'tcp').value)
  const msg = (s) => { const b = u8(s + '\n'); return Buffer.concat([vEncode(b.length), b]) }
  const talk = (parts) => new Promise((resolve) => {
    const s = net.connect(port, '127.0.0.1'); const rec = []
    s.on('data', (b) => rec.push({ from: 'js', hex: b.toString('hex'), text: b.toString('latin1') }))
    let mine = false
    s.on('error', () => {}); s.on('close', () => { if (!mine) rec.push({ from: 'js', closed: true }) })
    ;(async () => { for (const p of parts) { rec.push({ from: 'client', hex: p.toString('hex'), text: p.toString('latin1') }); s.write(p); await sleep(80) } await sleep(200); mine = true; s.destroy(); resolve(rec) })()
  })
  const M = '/multistream/1.0.0'
  const conv = [
    { name: 'lazy: header and /noise in one write', talk: await talk([Buffer.concat([msg(M), msg('/noise')])]) },
    { name: 'step by step', talk: await talk([msg(M), msg('/noise')]) },
    { name: 'na then /noise', talk: await talk([msg(M), msg('/tls/1.0.0'), msg('/noise')]) },
    { name: 'ls', talk: await talk([msg(M), msg('ls')]) },
    { name: 'wrong header version', talk: await talk([msg('/multistream/2.0.0'), msg(M)]) },
    { name: 'missing newline', talk: await talk([Buffer.concat([Buffer.from([3]), Buffer.from('abc')])]) },
    { name: 'length 2000 (over the 1024 limit)', talk: await talk([Buffer.concat([vEncode(2000), Buffer.alloc(1999, 97), Buffer.from('\n')])]) }
  ]
  await n.stop()
  save('multistream', ['@libp2p/multistream-select', 'libp2p'], 'what a js listener answers on a raw TCP connection. The client side bytes are ours; the answers are real. On top of it, session_*.json begin with the real dialer side.', { protocols: [M, '/noise', '/yamux/1.0.0', '/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0', '/meshsub/1.2.0', 'na', 'ls'].map((p) => ({ text: p, hex: msg(p).toString('hex') })), conversations: conv })
}

// ---- kad-dht
{
  const { Message, MessageType } = dht; const out = []
  const mk = (name, m) => { const b = Message.encode(m); out.push({ name, hex: hex(b), delimited: hex(Buffer.concat([vEncode(b.length), b])) }) }
  const P = (n, c) => ({ id: keys[n].id.toMultihash().bytes, multiaddrs: [multiaddr('/ip4/127.0.0.1/tcp/4001').bytes], connection: c })
  mk('find-node request', { type: MessageType.FIND_NODE, key: keys.bob.id.toMultihash().bytes, closer: [], providers: [] })
  mk('find-node response', { type: MessageType.FIND_NODE, key: keys.bob.id.toMultihash().bytes, closer: [P('bob', dht.ConnectionType.CONNECTED), P('carol', dht.ConnectionType.CAN_CONNECT)], providers: [] })
  mk('ping', { type: MessageType.PING, closer: [], providers: [] })
  mk('add-provider', { type: MessageType.ADD_PROVIDER, key: (await sha256.digest(u8('content'))).bytes, closer: [], providers: [P('alice')] })
  mk('get-providers', { type: MessageType.GET_PROVIDERS, key: (await sha256.digest(u8('content'))).bytes, closer: [], providers: [] })
  mk('get-value', { type: MessageType.GET_VALUE, key: u8('/v/key'), closer: [], providers: [] })
  mk('put-value', { type: MessageType.PUT_VALUE, key: u8('/v/key'), record: dht.Record.encode({ key: u8('/v/key'), value: u8('value'), timeReceived: '2026-01-01T00:00:00.000Z' }), closer: [], providers: [] })
  save('kad_dht', ['@libp2p/kad-dht'], 'Kademlia messages; keyspace id = SHA-256 of the peer id multihash bytes (or of the key)', { vectors: out, kad_ids: ['alice', 'bob', 'carol'].map((n) => ({ name: n, multihash: hex(keys[n].id.toMultihash().bytes), sha256: createHash('sha256').update(keys[n].id.toMultihash().bytes).digest('hex') })) })
}

writeFileSync(`${OUT}/README.md`, `# Test vectors\n\nMade by \`peer/vectors.mjs\` with node ${process.version}: \`cd peer && npm ci && node vectors.mjs\`. All byte strings are hex.\nkeys.json is the base of the named seeds (alice, bob, carol).\n\n| file | made by | what |\n| --- | --- | --- |\n${index.map((i) => `| ${i.name}.json | ${i.made_by.join(', ')} | ${i.note.replaceAll('|', '\\|')} |`).join('\n')}\n`)
console.log(index.map((i) => i.name).join(' '))
process.exit(0)
