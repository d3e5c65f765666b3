// The live view of one topic, over the gateway's WebSocket.
import { byId, bytes, element, words } from './page.js'

const KEPT = 100 // messages shown
const TEXT = 2000 // characters of one

// The payload as text when it is some, else its first bytes.
function shown(base64) {
  const raw = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(raw)
    // eslint-disable-next-line no-control-regex
    if (!/[\u0000-\u0008\u000e-\u001f]/.test(text)) return { size: raw.length, text: text.length > TEXT ? `${text.slice(0, TEXT)}…` : text }
  } catch { /* no text, then */ }
  const hex = Array.from(raw.slice(0, 32), (b) => b.toString(16).padStart(2, '0')).join(' ')
  return { size: raw.length, text: `binary: ${hex}${raw.length > 32 ? ' …' : ''}` }
}

export class Live {
  constructor(token) {
    this.token = token
    this.topic = null
    this.name = `page-${Array.from(crypto.getRandomValues(new Uint8Array(6)), (b) => b.toString(16).padStart(2, '0')).join('')}`
  }

  say(text, isBad) {
    words('live-said', text)
    byId('live-said').className = isBad ? 'bad' : 'faint'
  }

  toggle(topic) {
    if (this.topic === topic && this.socket) {
      this.stop()
      return
    }
    this.stop()
    this.topic = topic
    this.count = 0
    this.delay = 500
    words('live-count', '')
    byId('live-list').replaceChildren()
    byId('live-go').textContent = 'Stop'
    this.open()
  }

  // A token goes along as a subprotocol: a query would show it in logs. The name is forgotten when its last topic and socket are gone.
  open() {
    const url = new URL('/api/v1/ws', location.href)
    url.protocol = url.protocol.replace('http', 'ws')
    if (this.token()) url.searchParams.set('client_id', this.name)
    const socket = new WebSocket(url, this.token() ? ['bearer', this.token()] : [])
    this.socket = socket
    this.say('Connecting.')
    socket.onopen = () => socket.send(JSON.stringify({ type: 'subscribe', topic: this.topic, id: 'live' }))
    socket.onmessage = (event) => this.socket === socket && this.frame(JSON.parse(event.data))
    socket.onclose = (event) => this.socket === socket && this.closed(event)
  }

  frame(f) {
    if (f.type === 'ack' && f.id === 'live') {
      this.delay = 500
      this.say(`Listening to ${this.topic}.`)
    } else if (f.type === 'error') {
      this.say(`The gateway says: ${f.error}.`, true)
    } else if (f.topic === this.topic && typeof f.message === 'string') {
      this.message(f)
    }
  }

  message(f) {
    const { size, text } = shown(f.message)
    const list = byId('live-list')
    list.prepend(element('li', { title: f.message_id },
      element('div', { className: 'line faint' }, element('span', { text: new Date().toLocaleTimeString() }), element('span', { text: bytes(size) })),
      element('p', { text })))
    while (list.children.length > KEPT) list.lastChild.remove()
    words('live-count', `${++this.count} arrived`)
  }

  closed(event) {
    this.say(`The connection ended${event.reason ? ` (${event.reason})` : ''}; trying again.${this.token() ? ' Is the token still good?' : ''}`, true)
    this.timer = setTimeout(() => this.open(), this.delay)
    this.delay = Math.min(this.delay * 2, 10000)
  }

  stop() {
    const socket = this.socket
    clearTimeout(this.timer)
    this.socket = null
    byId('live-go').textContent = 'Listen'
    if (!socket) return
    this.say('Stopped.')
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'unsubscribe', topic: this.topic }))
    socket.close()
  }
}
