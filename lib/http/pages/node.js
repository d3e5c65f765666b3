import { ago, ask, byId, bytes, element, fillTable, number, poll, rate, Rates, shortId, words } from './page.js'
import { drawMesh } from './mesh.js'

const rates = new Rates()
const before = new Map() // a peer's traffic of the last turn
let beforeAt = 0
let lastPeers = null

function head(p, ready) {
  document.title = `${p.cluster_id}: Codecast node`
  words('name', p.cluster_id)
  words('state', ready)
  byId('state').className = ready === 'ready' ? 'good' : 'what'
  words('what', `${p.mode} · ${shortId(p.peer_id)}`)
  byId('what').title = `${p.peer_id}, ${p.driver}`
}

function figures(m, p) {
  const r = rates.next(m.now_seconds, m.counters)
  words('peer-count', number(p.total_peers))
  if (r) {
    words('delivered', rate(r.delivered))
    words('published', rate(r.published))
    words('in', bytes(r.rpc_in_bytes))
    words('out', bytes(r.rpc_out_bytes))
  }
  const c = m.counters
  if (p.mode === 'optimum') {
    words('useful', c.shards_in ? `${Math.round((100 * c.shards_new) / c.shards_in)} %` : '–')
    words('useful-more', c.shards_in ? `of ${number(c.shards_in)} shards useful` : 'of the shards useful')
  } else {
    words('useful', number(c.duplicates))
    words('useful-more', 'duplicates received')
  }
}

function topicChoice(topics) {
  const select = byId('topic')
  const names = topics.map((t) => t.topic).sort()
  const known = [...select.options].slice(1).map((o) => o.value)
  if (names.join('\n') === known.join('\n')) return
  const chosen = select.value
  select.replaceChildren(select.options[0], ...names.map((n) => {
    const o = element('option', { text: n })
    o.value = n
    return o
  }))
  select.value = names.includes(chosen) ? chosen : ''
}

function mesh() {
  if (!lastPeers) return
  const { inside, left } = drawMesh(byId('mesh'), lastPeers.peers, byId('topic').value, shortId)
  const none = !lastPeers.peers.length
  words('mesh-count', none ? '' : `${inside} of ${lastPeers.peers.length}${left > 0 ? `, ${left} not drawn` : ''}`)
  byId('mesh').toggleAttribute('hidden', none)
  byId('legend').hidden = none
  byId('mesh-none').hidden = !none
}

function traffic(p, now) {
  const was = before.get(p.peer_id)
  const per = (name) => (was && now > beforeAt && p.traffic[name] >= was[name] ? `${bytes((p.traffic[name] - was[name]) / (now - beforeAt))}/s` : '')
  return [{ text: bytes(p.traffic.bytes_in), small: per('bytes_in'), className: 'num' },
    { text: bytes(p.traffic.bytes_out), small: per('bytes_out'), className: 'num' }]
}

function peers(list, now) {
  const labels = ['Peer', 'Direction', 'Mesh of', 'Score', 'RTT', 'In', 'Out', 'Queue', 'Since']
  const rows = [...list].sort((a, b) => (a.peer_id < b.peer_id ? -1 : 1)).map((p) => [
    { text: shortId(p.peer_id), small: p.address, title: `${p.peer_id} ${p.agent} ${p.protocol}` },
    { text: p.direction },
    { text: p.mesh.length > 4 ? `${p.mesh.slice(0, 4).join(', ')} and ${p.mesh.length - 4} more` : p.mesh.join(', ') || '–', title: p.mesh.join(', ') },
    { text: p.score.toFixed(1), className: p.score < 0 ? 'num bad' : 'num', title: Object.entries(p.score_parts).map(([k, v]) => `${k} ${v.toFixed(2)}`).join(', ') },
    { text: p.rtt_ms ? `${p.rtt_ms.toFixed(p.rtt_ms < 10 ? 2 : 0)} ms` : '–', className: 'num' },
    ...traffic(p, now),
    { text: bytes(p.queue_bytes), className: 'num' },
    { text: ago(p.connected_seconds), className: 'num' }])
  fillTable(byId('peers'), labels, rows)
  byId('peers-none').hidden = rows.length > 0
  before.clear()
  for (const p of list) before.set(p.peer_id, p.traffic)
  beforeAt = now
}

function topics(list) {
  fillTable(byId('topics'), ['Topic', 'Subscribed here', 'Peers', 'In our mesh'], list.map((t) => [
    { text: t.topic }, { text: t.subscribed ? 'yes' : 'no' }, { text: number(t.peers), className: 'num' },
    { text: number(t.mesh), className: t.subscribed && t.peers && !t.mesh ? 'num bad' : 'num' }]))
  byId('topics-none').hidden = list.length > 0
}

function message(m) {
  const full = element('i')
  full.style.width = `${Math.round((100 * m.rank) / m.k)}%`
  return element('li', { title: m.id },
    element('div', { className: 'line' }, element('span', { text: m.topic }),
      element('span', { className: 'faint', text: `${m.rank} of ${m.k} · ${bytes(m.bytes)} · ${ago(m.age_seconds)}` })),
    element('div', { className: m.decoded ? 'bar whole' : 'bar' }, full))
}

function messages(m, mode) {
  byId('messages').replaceChildren(...m.messages.map(message))
  byId('messages-none').hidden = m.messages.length > 0
  if (mode === 'optimum') {
    words('message-count', m.known ? `rank of k shards; ${number(m.undecoded)} filling up, ${number(m.known - m.undecoded)} whole` : '')
    words('messages-none', 'None is known now. Small messages travel whole and do not show here.')
  } else {
    words('messages-none', `In gossipsub mode messages travel whole, without shards: ${number(m.counters.delivered)} delivered (${bytes(m.counters.delivered_bytes)}).`)
  }
}

async function turn() {
  const [p, m, ready] = await Promise.all([ask('/debug/peers'), ask('/debug/messages'),
    ask('/api/v1/ready').then((r) => r.status, (e) => e.message)])
  lastPeers = p
  head(p, ready)
  figures(m, p)
  topicChoice(p.topics)
  mesh()
  messages(m, p.mode)
  peers(p.peers, m.now_seconds)
  topics(p.topics)
}

byId('topic').addEventListener('change', mesh)
window.addEventListener('resize', mesh)
poll(turn, 1500)
