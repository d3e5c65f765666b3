// The picture of the mesh: this node in the middle, its peers around it.

const NS = 'http://www.w3.org/2000/svg'
const SHOWN = 48
const NAMED = 12 // in one ring; more are dots without names
const MARGIN = 54 // room for names

function shape(name, attributes, text) {
  const e = document.createElementNS(NS, name)
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v)
  if (text !== undefined) e.textContent = text
  return e
}

// One ring for a few, two for many, so that names stay apart. Beginning at the side, as the picture is wider than high.
function places(n, width, height) {
  const rings = n <= NAMED ? [n] : [Math.ceil(n * 0.38), n - Math.ceil(n * 0.38)]
  const out = []
  rings.forEach((count, ring) => {
    const share = rings.length === 1 ? 1 : ring ? 1 : 0.58
    for (let i = 0; i < count; i++) {
      const turn = (2 * Math.PI * (i + (ring ? 0.5 : 0))) / count
      out.push([width / 2 + Math.cos(turn) * (width / 2 - MARGIN) * share, height / 2 + Math.sin(turn) * (height / 2 - MARGIN) * share])
    }
  })
  return out
}

// topic '': a peer counts as in the mesh when it is in any.
export function drawMesh(svg, peers, topic, shortId) {
  const width = Math.min(Math.max(svg.parentElement.clientWidth - 30, 260), 640) // as wide as it is shown: letters keep their size
  const height = Math.min(width, peers.length > 6 ? 400 : 260)
  const isIn = (p) => (topic ? p.mesh.includes(topic) : p.mesh.length > 0)
  const shown = [...peers].sort((a, b) => isIn(b) - isIn(a) || (a.peer_id < b.peer_id ? -1 : 1)).slice(0, SHOWN)
  const at = places(shown.length, width, height)
  const lines = []
  const dots = []
  shown.forEach((p, i) => {
    const [x, y] = at[i]
    const inside = isIn(p)
    const dot = shape('circle', { class: `peer${inside ? ' in' : ''}${p.score < 0 ? ' low' : ''}`, cx: x, cy: y, r: shown.length > NAMED ? 7 : 11 })
    dot.append(shape('title', {}, `${p.peer_id}\n${p.address}\nscore ${p.score.toFixed(1)}, RTT ${p.rtt_ms.toFixed(1)} ms\nin the mesh of: ${p.mesh.join(', ') || 'no topic'}`))
    lines.push(shape('line', { class: inside ? 'in' : '', x1: width / 2, y1: height / 2, x2: x, y2: y }))
    dots.push(dot)
    if (shown.length <= NAMED) {
      const above = y < height / 2 - 1 // its line comes from below
      dots.push(shape('text', { x, y: y + (above ? -30 : 26) }, width < 480 ? p.peer_id.slice(-6) : shortId(p.peer_id)))
      dots.push(shape('text', { class: 'rtt', x, y: y + (above ? -17 : 39) }, p.rtt_ms ? `${p.rtt_ms.toFixed(1)} ms` : ''))
    }
  })
  const me = shape('circle', { class: 'me', cx: width / 2, cy: height / 2, r: 15 })
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
  svg.replaceChildren(...lines, me, ...dots)
  return { inside: peers.filter(isIn).length, left: peers.length - shown.length }
}
