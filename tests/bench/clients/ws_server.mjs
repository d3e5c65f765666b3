// A publish/subscribe server on npm `ws` with the frames of the gateway: what the gateway is measured beside.
// Usage: node ws_server.mjs ADDRESS PORT. As the gateway does, it hashes each payload, answers with the id and hands on base64.
import { createHash } from 'node:crypto'
import { WebSocketServer } from 'ws'

const topics = new Map()
const server = new WebSocketServer({ host: process.argv[2], port: Number(process.argv[3]), perMessageDeflate: false, backlog: 4096, maxPayload: 64 << 20 })

function publish (socket, m) {
  const payload = Buffer.from(m.message)
  const id = createHash('sha256').update(payload).digest('hex')
  const text = JSON.stringify({ source_node_id: 'node', topic: m.topic, message_id: id, message: payload.toString('base64') })
  for (const s of topics.get(m.topic) ?? []) s.send(text)
  socket.send(JSON.stringify({ type: 'ack', id: m.id, status: 'published', topic: m.topic, message_id: id }))
}

function subscribe (socket, m) {
  if (!topics.has(m.topic)) topics.set(m.topic, new Set())
  topics.get(m.topic).add(socket)
  socket.on('close', () => topics.get(m.topic).delete(socket))
  socket.send(JSON.stringify({ type: 'ack', id: m.id, status: 'subscribed', topic: m.topic }))
}

server.on('connection', (socket) => {
  socket.on('error', () => {})
  socket.on('message', (data) => {
    const m = JSON.parse(data)
    if (m.type === 'publish') publish(socket, m)
    else if (m.type === 'subscribe') subscribe(socket, m)
  })
})
