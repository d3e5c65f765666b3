// Independent check of vectors/noise.json and session_*.json: a small Noise XX on node:crypto only
// (no libp2p package), plus yamux framing over the decrypted stream.
import { readFileSync } from 'node:fs'
import c from 'node:crypto'
const dir = new URL('../../vectors/', import.meta.url)
const J = (n) => JSON.parse(readFileSync(new URL(n + '.json', dir)))
const B = (h) => Buffer.from(h, 'hex')
const sha = (...b) => c.createHash('sha256').update(Buffer.concat(b)).digest()
const hm = (k, ...b) => c.createHmac('sha256', k).update(Buffer.concat(b)).digest()
const hkdf = (ck, ikm) => { const t = hm(ck, ikm); const a = hm(t, Buffer.from([1])); return [a, hm(t, a, Buffer.from([2]))] }
const priv = (raw) => c.createPrivateKey({ key: Buffer.concat([B('302e020100300506032b656e04220420'), raw]), format: 'der', type: 'pkcs8' })
const pubk = (raw) => c.createPublicKey({ key: Buffer.concat([B('302a300506032b656e032100'), raw]), format: 'der', type: 'spki' })
const pub = (raw) => c.createPublicKey(priv(raw)).export({ format: 'der', type: 'spki' }).subarray(12)
const dh = (a, b) => c.diffieHellman({ privateKey: priv(a), publicKey: pubk(b) })
const nonce = (n) => { const b = Buffer.alloc(12); b.writeBigUInt64LE(BigInt(n), 4); return b }
const enc = (k, n, ad, p) => { const x = c.createCipheriv('chacha20-poly1305', k, nonce(n), { authTagLength: 16 }); x.setAAD(ad, { plaintextLength: p.length }); return Buffer.concat([x.update(p), x.final(), x.getAuthTag()]) }
const dec = (k, n, ct) => { const x = c.createDecipheriv('chacha20-poly1305', k, nonce(n), { authTagLength: 16 }); x.setAAD(Buffer.alloc(0), { plaintextLength: ct.length - 16 }); x.setAuthTag(ct.subarray(-16)); return Buffer.concat([x.update(ct.subarray(0, -16)), x.final()]) }
function xx (v) {
  const is = B(v.initiator.static_private); const ie = B(v.initiator.ephemeral_private); const rs = B(v.responder.static_private); const re = B(v.responder.ephemeral_private)
  let h = sha(Buffer.from(v.protocol)).subarray(0); h = Buffer.byteLength(v.protocol) <= 32 ? Buffer.concat([Buffer.from(v.protocol), Buffer.alloc(32 - v.protocol.length)]) : h
  let ck = h; let k; let n = 0
  const mixH = (b) => { h = sha(h, b) }; const mixK = (i) => { [ck, k] = hkdf(ck, i); n = 0 }
  const eh = (p) => { const o = enc(k, n++, h, p); mixH(o); return o }
  mixH(B(v.prologue)); const m1 = pub(ie); mixH(m1); mixH(Buffer.alloc(0))
  const e2 = pub(re); mixH(e2); mixK(dh(re, pub(ie))); const s2 = eh(pub(rs)); mixK(dh(rs, pub(ie))); const m2 = Buffer.concat([e2, s2, eh(B(v.responder.payload))])
  const s3 = eh(pub(is)); mixK(dh(is, pub(re))); const m3 = Buffer.concat([s3, eh(B(v.initiator.payload))])
  const [k1, k2] = hkdf(ck, Buffer.alloc(0)); return { m: [m1, m2, m3], h, k1, k2 }
}
let ok = 0; const t = (b, n) => { if (!b) { console.error('FAIL', n); process.exitCode = 1 } else ok++ }
for (const v of J('noise').vectors) {
  const r = xx(v); r.m.forEach((m, i) => t(m.toString('hex') === v.messages[i].hex, v.name + ' msg ' + i))
  t(r.h.toString('hex') === v.handshake_hash_after[2], 'h'); t(r.k1.toString('hex') === v.initiator_to_responder_key, 'k1'); t(r.k2.toString('hex') === v.responder_to_initiator_key, 'k2')
  const n = { 'i->r': 0, 'r->i': 0 }; for (const x of v.transport) t(enc(x.dir === 'i->r' ? r.k1 : r.k2, n[x.dir]++, Buffer.alloc(0), B(x.plaintext)).toString('hex') === x.ciphertext, 'transport')
}
for (const name of ['session_early_muxer', 'session_mss_muxer']) {
  const s = J(name)
  for (const [dirn, who, nh] of [['dialer_to_listener', 'initiator', 2], ['listener_to_dialer', 'responder', 1]]) {
    let b = B(s[dirn]); const strs = []
    for (let i = 0; i < 2; i++) { strs.push(b.subarray(1, 1 + b[0]).toString().trim()); b = b.subarray(1 + b[0]) }
    t(strs.join() === '/multistream/1.0.0,/noise', name + ' mss')
    const fr = []; while (b.length) { const l = b.readUInt16BE(0); fr.push(b.subarray(2, 2 + l)); b = b.subarray(2 + l) }
    const key = B(s.noise_transport.find((x) => x.by === who).key)
    const pt = Buffer.concat(fr.slice(nh).map((f, i) => dec(key, i, f)))
    t(pt.toString('hex') === s.decrypted[who], `${name} ${who} decrypt`)
    let y = pt; const pre = []
    if (name === 'session_mss_muxer') for (let i = 0; i < 2; i++) { pre.push(y.subarray(1, 1 + y[0]).toString().trim()); y = y.subarray(1 + y[0]) }
    let n = 0; while (y.length) { const len = y[1] === 0 ? y.readUInt32BE(8) : 0; t(y[0] === 0 && y[1] < 4, 'yamux header'); y = y.subarray(12 + len); n++ }
    console.log(name, who, 'noise frames', fr.length, 'max', Math.max(...fr.map((f) => f.length)), 'yamux frames', n, pre.join(' '))
  }
}
console.log('checks ok:', ok)
