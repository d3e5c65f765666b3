import { ask, byId, bytes, fillTable, number, poll, rate, Rates, Refused, trouble, words } from './page.js'
import { Live } from './live.js'

const TOKEN = 'codecast-token'
const rates = new Rates()
let refresh = () => {}

const token = () => sessionStorage.getItem(TOKEN) ?? ''
const authorization = () => (token() ? { authorization: `Bearer ${token()}` } : {})

// ---- what the gateway knows ----

function figures(s) {
  words('client-count', number(s.client_count))
  words('connections', number(s.connections))
  words('topic-count', number(s.topic_count))
  const r = rates.next(s.now_seconds, s.counters)
  if (!r) return
  words('published', rate(r.published))
  words('deliveries', rate(r.deliveries))
  words('incoming', rate(r.incoming))
}

function nodes(list) {
  fillTable(byId('nodes'), ['Node', 'State', 'Country', 'CPU', 'Memory', 'Answers in', 'Sent', 'Received', 'Waiting'], list.map((n) => [
    { text: n.target, small: n.p2p_address.replace(/\/p2p\/.*/, ''), title: n.p2p_address },
    { text: n.healthy ? 'healthy' : 'not reached', className: n.healthy ? 'good short' : 'bad short', small: n.mode },
    { text: n.country || '–' },
    { text: `${n.cpu_used.toFixed(0)} %`, className: 'num' },
    { text: `${n.memory_used.toFixed(0)} %`, className: 'num' },
    { text: n.answer_ms ? `${n.answer_ms.toFixed(2)} ms` : '–', className: 'num' },
    { text: number(n.published), className: 'num' },
    { text: number(n.received), className: 'num' },
    { text: bytes(n.queued_bytes), className: 'num' }]))
  byId('nodes-none').hidden = list.length > 0
}

function topics(s) {
  const list = [...s.topics].sort((a, b) => b.subscribers - a.subscribers || (a.topic < b.topic ? -1 : 1))
  fillTable(byId('topics'), ['Topic', 'Subscribers'], list.map((t) => [{ text: t.topic }, { text: number(t.subscribers), className: 'num' }]))
  words('topics-more', list.length < s.topic_count ? `${list.length} of ${number(s.topic_count)}` : '')
  words('topics-none', 'Nobody subscribes to anything.')
  byId('topics-none').hidden = list.length > 0
}

function clients(s) {
  const list = [...s.clients].sort((a, b) => b.connections - a.connections || b.published - a.published || (a.client_id < b.client_id ? -1 : 1))
  fillTable(byId('clients'), ['Client', 'Connections', 'Topics', 'Published'], list.map((c) => [{ text: c.client_id },
    { text: number(c.connections), className: 'num' }, { text: number(c.topics), className: 'num' }, { text: number(c.published), className: 'num' }]))
  words('clients-more', list.length < s.client_count ? `${list.length} of ${number(s.client_count)}` : '')
  words('clients-none', 'No client is known.')
  byId('clients-none').hidden = list.length > 0
}

function state(list) {
  const up = list.filter((n) => n.healthy).length
  words('state', up === list.length ? (up === 1 ? 'its node is healthy' : `all ${up} nodes healthy`) : up ? `degraded: ${up} of ${list.length} nodes` : 'no node can be reached')
  byId('state').className = up === list.length ? 'good' : 'bad'
}

async function turn() {
  let s
  try {
    s = await ask('/api/v1/status', { headers: authorization() })
  } catch (e) {
    if (e instanceof Refused && (e.status === 401 || e.status === 403)) byId('token-form').hidden = false
    throw e
  }
  document.title = `${s.cluster_id}: Codecast gateway`
  byId('token-form').hidden = !token()
  words('name', s.cluster_id)
  state(s.nodes)
  figures(s)
  nodes(s.nodes)
  topics(s)
  clients(s)
}

// ---- publish ----

async function publish(event) {
  event.preventDefault()
  const topic = byId('publish-topic').value
  const button = byId('publish-go')
  const said = byId('publish-said')
  button.disabled = true
  try {
    const r = await ask('/api/v1/publish', { method: 'POST', headers: { 'content-type': 'application/json', ...authorization() },
      body: JSON.stringify({ topic, data: byId('publish-text').value }) })
    said.className = 'good'
    said.textContent = r.status === 'deduplicated'
      ? `Not sent again: ${topic} had this very message less than two minutes ago.` : `Published to ${topic}, id ${r.message_id.slice(0, 16)}…`
  } catch (e) {
    said.className = 'bad'
    said.textContent = e.message
  }
  button.disabled = false
  if (!byId('live-topic').value) byId('live-topic').value = topic
}

// ---- start ----

const live = new Live(token)

byId('publish').addEventListener('submit', publish)
byId('live').addEventListener('submit', (event) => {
  event.preventDefault()
  const topic = byId('live-topic').value
  live.toggle(topic)
  if (!byId('publish-topic').value) byId('publish-topic').value = topic
})
byId('token-form').addEventListener('submit', (event) => {
  event.preventDefault()
  sessionStorage.setItem(TOKEN, byId('token').value.trim())
  byId('token').value = ''
  trouble('')
  refresh()
})
byId('token-drop').addEventListener('click', () => {
  sessionStorage.removeItem(TOKEN)
  live.stop()
  refresh()
})
window.addEventListener('pagehide', () => live.stop())
byId('token-form').hidden = !token()
ask('/api/v1/version').then((v) => words('version', `${v.version} (${v.commit_hash})`), () => {})
refresh = poll(turn, 1500)
