// What gossipsub says and hears beside messages. The library has no events for most of it: its RPC functions are watched.

function * entries (c) {
  for (const v of c?.graft ?? []) yield { what: 'graft', topic: v.topicID, count: 1 }
  for (const v of c?.prune ?? []) yield { what: 'prune', topic: v.topicID, count: 1, px: v.peers?.length ?? 0 }
  for (const v of c?.ihave ?? []) yield { what: 'ihave', topic: v.topicID, count: v.messageIDs?.length ?? 0 }
  for (const v of c?.iwant ?? []) yield { what: 'iwant', count: v.messageIDs?.length ?? 0 }
  for (const v of c?.idontwant ?? []) yield { what: 'idontwant', count: v.messageIDs?.length ?? 0 }
}

// tell({what, direction, peer, topic?, count, px?}) for each entry of each RPC of the gossipsub service.
export function watchControl (gossipsub, tell) {
  const receive = gossipsub.handleReceivedRpc.bind(gossipsub)
  const send = gossipsub.sendRpc.bind(gossipsub)
  gossipsub.handleReceivedRpc = (from, rpc) => {
    for (const e of entries(rpc.control)) tell({ ...e, direction: 'in', peer: String(from) })
    return receive(from, rpc)
  }
  const sendBatch = gossipsub.sendRpcInBatch.bind(gossipsub)
  gossipsub.sendRpcInBatch = (ids, rpc) => { // IDONTWANT goes this way
    const all = [...ids]
    sendBatch(ids, rpc)
    for (const id of all) for (const e of entries(rpc.control)) tell({ ...e, direction: 'out', peer: id })
  }
  gossipsub.sendRpc = (id, rpc) => {
    const isSent = send(id, rpc) // it adds what waited to be sent along
    if (isSent) for (const e of entries(rpc.control)) tell({ ...e, direction: 'out', peer: String(id) })
    return isSent
  }
}
