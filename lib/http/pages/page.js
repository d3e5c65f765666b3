// What both pages need. All that comes from servers and peers is text: it goes into textContent and nowhere else.

export const byId = (id) => document.getElementById(id)

export function element(name, options = {}, ...children) {
  const e = document.createElement(name)
  const { className, label, title, text } = options
  if (className) e.className = className
  if (label) e.dataset.label = label
  if (title) e.title = title
  if (text !== undefined) e.textContent = text
  e.append(...children)
  return e
}

export const words = (id, text) => {
  const e = byId(id)
  if (e.textContent !== String(text)) e.textContent = text
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function bytes(n) {
  let i = 0
  while (n >= 1024 && i < SIZES.length - 1) {
    n /= 1024
    i++
  }
  return `${i && n < 100 ? n.toFixed(1) : Math.round(n)} ${SIZES[i]}`
}

export const number = (n) => Math.round(n).toLocaleString('en')
export const rate = (n) => (n < 10 ? (Math.round(n * 10) / 10).toString() : number(n))
export const shortId = (id) => (id.length > 14 ? `${id.slice(0, 4)}…${id.slice(-6)}` : id)

export function ago(seconds) {
  if (seconds < 1) return 'now'
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`
}

// Growth per second of counters between two answers; null for the first, and after a restart.
export class Rates {
  next(now, counters) {
    const was = this.last
    this.last = { now, counters }
    if (!was || now <= was.now) return null
    const out = {}
    for (const [name, v] of Object.entries(counters)) {
      if (v < was.counters[name]) return null
      out[name] = (v - was.counters[name]) / (now - was.now)
    }
    return out
  }
}

// rows: for each an array of cells {text, small, className, title}; the first cell names the row.
export function fillTable(table, labels, rows) {
  const body = table.tBodies[0]
  const made = rows.map((cells) => element('tr', {}, ...cells.map((c, i) => {
    const td = element('td', { className: `${i ? '' : 'head '}${c.className ?? ''}`.trim(), label: labels[i], title: c.title })
    td.append(element('span', { text: c.text }))
    if (c.small) td.firstChild.append(element('small', { text: c.small }))
    return td
  })))
  body.replaceChildren(...made)
  table.hidden = !rows.length
}

export class Refused extends Error {
  constructor(status, text) {
    super(text)
    this.status = status
  }
}

const SAID = {
  403: 'This token may not do that',
  404: 'The program does not know this request: is it of another version than this page?',
  429: 'Too much in a short time',
  503: 'Not possible just now',
}

// The JSON of an answer; a Refused, in words, for anything else.
export async function ask(path, options = {}) {
  let answer
  try {
    answer = await fetch(path, { cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(10000), ...options })
  } catch (e) {
    throw new Refused(0, e.name === 'TimeoutError' ? 'No answer in 10 seconds; trying again.' : 'Nobody answers: the program has stopped or the network is down; trying again.')
  }
  let body = null
  try {
    body = await answer.json()
  } catch {
    throw new Refused(answer.status, `The answer (HTTP ${answer.status}) is none that this page can read.`)
  }
  if (answer.ok) return body
  const wait = answer.headers.get('retry-after')
  const why = body && typeof body.error === 'string' ? `: ${body.error}` : ''
  const said = answer.status === 401 ? (options.headers?.authorization ? 'The token was refused' : 'A token is needed') : SAID[answer.status]
  throw new Refused(answer.status, `${said ?? `Refused (HTTP ${answer.status})`}${why}${wait ? ` (again in ${wait} s)` : ''}.`)
}

export function trouble(text) {
  const e = byId('trouble')
  words('trouble', text)
  e.hidden = !text
}

// Calls turn() every `ms` while the page is seen; one at a time. Returns a function that calls it now.
export function poll(turn, ms) {
  let timer = 0
  let busy = false
  const run = async () => {
    clearTimeout(timer)
    if (busy || document.hidden) return
    busy = true
    try {
      await turn()
      trouble('')
    } catch (e) {
      trouble(e instanceof Refused ? e.message : `This page failed: ${e.message}`)
    }
    busy = false
    if (!document.hidden) timer = setTimeout(run, ms)
  }
  document.addEventListener('visibilitychange', run)
  run()
  return run
}
