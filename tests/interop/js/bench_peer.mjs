#!/usr/bin/env node
// js-libp2p under measurement (tests/bench/figure3_stream, figure4_gossip): nothing is printed for a message, nothing is hashed for the log.
// usage: bench_peer.mjs relay LISTEN sign|nosign | sink LISTEN | source ADDR SIZE SECONDS
import './polyfill.mjs'
import { randomBytes } from 'node:crypto'
import { multiaddr } from '@multiformats/multiaddr'
import { makeNode, keyFromSeed, versions } from './common.mjs'

const SINK = '/bench/sink/1.0.0'
const [role, addr, ...rest] = process.argv.slice(2)
const out = (event, fields = {}) => process.stdout.write(JSON.stringify({ event, ...fields }) + '\n')
const now = () => Number(process.hrtime.bigint()) / 1e9
const noSign = rest[0] === 'nosign'
const n = await makeNode({
  privateKey: await keyFromSeed(`bench-${role}`), listen: role === 'source' ? [] : [addr], monitor: false, openLimits: true, maxOutboundBuffer: 512 << 20,
  noSign, msgId: noSign ? 'sha256' : 'spec'
})

// Bytes until the end of the stream; then how many there were.
async function sink (s) {
  let got = 0
  for await (const b of s) got += b.byteLength
  s.send(new Uint8Array(Buffer.from(String(got))))
  await s.close()
}

async function source (size, seconds) {
  const s = await (await n.dial(multiaddr(addr))).newStream(SINK)
  const chunk = new Uint8Array(randomBytes(size))
  const reply = (async () => { let x = ''; for await (const b of s) x += Buffer.from(b.subarray()).toString(); return Number(x) })()
  const pump = async (seconds) => {
    const end = now() + seconds
    let sent = 0
    while (now() < end) {
      for (let i = 0; i < 64 && i * size < 1 << 20; i++, sent += size) {
        if (s.send(chunk) || s.writeBufferLength < 1 << 20) continue
        // onDrain may resolve at once, over and over, while the stream's own buffer grows
        do await new Promise((resolve) => setImmediate(resolve))
        while (s.writeBufferLength > 4 << 20)
      }
    }
    return sent
  }
  const warm = await pump(seconds / 3)
  out('streaming')
  const t = now()
  const sent = await pump(seconds)
  await s.close()
  const got = await reply
  out('streamed', { bytes: sent, seconds: now() - t, ok: got === sent + warm })
}

if (role === 'sink') await n.handle(SINK, sink)
await n.start()
if (role === 'relay') n.services.pubsub.subscribe('bench')
out('started', { library: versions() })
for (const a of n.getMultiaddrs()) out('listening', { addr: String(a) })
if (role === 'source') await source(Number(rest[0]), Number(rest[1]))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
