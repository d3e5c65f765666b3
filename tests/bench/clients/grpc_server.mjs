// proto.ProxyStream/ClientStream on grpc-js, as far as the bench needs it: what the gateway is measured beside.
// Usage: node grpc_server.mjs ADDRESS PORT PROTO_FOLDER. As the gateway does, it hashes each payload and hands it on.
import { createHash } from 'node:crypto'
import grpc from '@grpc/grpc-js'
import loader from '@grpc/proto-loader'

const [, , address, port, protos] = process.argv
const service = grpc.loadPackageDefinition(loader.loadSync('gateway.proto', { includeDirs: [protos], keepCase: true })).proto.ProxyStream.service
const topics = new Map()

function clientStream (call) {
  call.on('error', () => {})
  call.on('data', (m) => {
    if (m.type === 'subscribe' && m.topic) {
      if (!topics.has(m.topic)) topics.set(m.topic, new Set())
      topics.get(m.topic).add(call)
    } else if (m.type === 'publish') {
      const id = createHash('sha256').update(m.message).digest('hex')
      for (const c of topics.get(m.topic) ?? []) c.write({ topic: m.topic, message: m.message, message_id: id })
    }
  })
  call.on('end', () => {
    for (const t of topics.values()) t.delete(call)
    call.end()
  })
}

const server = new grpc.Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 })
server.addService(service, { ClientStream: clientStream, Stream: clientStream })
server.bindAsync(`${address}:${port}`, grpc.ServerCredentials.createInsecure(), (err) => { if (err) throw err })
