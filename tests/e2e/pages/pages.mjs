// A browser on the pages of a node and of two gateways: what it sees, clicks, sends. One JSON object of what was seen on stdout.
// Use: pages.mjs CHROMIUM SCREENSHOTS|- JSON
// JSON: {node, gateway1, gateway2, guarded: "http://..", token: one that guarded takes, messages: how many must arrive, tooLong: bytes of a message that is refused}
import { chromium } from 'playwright-core'

const [program, shots, given] = process.argv.slice(2)
const at = JSON.parse(given)
const WAIT = 30000
const HOSTILE = '<img src=x onerror="document.title=1"><b>bold</b> "quoted" \u2603'
const seen = { hostile: HOSTILE, requests: [], complaints: [] }

const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server'] })

async function open(url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(WAIT)
  page.on('request', (r) => seen.requests.push(r.url()))
  page.on('console', (m) => m.type() === 'error' && seen.complaints.push(`${m.text()} ${m.location().url}`))
  page.on('pageerror', (e) => seen.complaints.push(String(e)))
  const answer = await page.goto(url)
  if (answer.status() !== 200) throw new Error(`${url}: ${answer.status()}`)
  return page
}

const has = (page, id, text) => page.waitForFunction(([i, t]) => document.getElementById(i).textContent.includes(t), [id, text])

// Publish by the page of gateway 1, watch by that of gateway 2: between them is the mesh.
async function publishAndWatch() {
  const [watcher, writer] = [await open(`${at.gateway2}/`), await open(`${at.gateway1}/`)]
  for (const page of [watcher, writer]) { // both, so that two nodes are in the topic's mesh
    await page.fill('#live-topic', HOSTILE)
    await page.click('#live-go')
    await has(page, 'live-said', 'Listening to')
  }
  await writer.fill('#publish-topic', HOSTILE)
  // The first topic of a network takes a moment to be known to all: what arrives is counted, what was lost is sent again under another text.
  let n = 0
  for (const end = Date.now() + WAIT; (await watcher.locator('#live-list li').count()) < at.messages;) {
    if (Date.now() > end) throw new Error('nothing arrives')
    await writer.fill('#publish-text', `${HOSTILE} ${++n} ${'long enough to be cut into shards '.repeat(600)}`)
    await writer.click('#publish-go')
    await has(writer, 'publish-said', 'Published to')
    await watcher.waitForTimeout(50)
  }
  seen.arrived = await watcher.locator('#live-list li p').allTextContents()
  seen.bold = await watcher.locator('#live-list b, #live-list img, #topics b, #topics img').count()
  await writer.click('#publish-go')
  await has(writer, 'publish-said', 'Not sent again')
  await has(watcher, 'topics', HOSTILE)
  await has(watcher, 'clients', 'anonymous-')
  await has(watcher, 'nodes', 'healthy')
  seen.gateway = await watcher.title()
  return [watcher, writer]
}

async function node() {
  const page = await open(`${at.node}/`)
  await has(page, 'state', 'ready')
  await page.waitForFunction(() => document.querySelectorAll('#mesh line.in').length > 0)
  await has(page, 'topics', HOSTILE)
  await page.waitForSelector('#messages .bar.whole')
  await has(page, 'in', 'B')
  seen.peers = await page.locator('#peers tbody tr').count()
  seen.row = await page.locator('#peers tbody tr').first().innerText()
  seen.message = await page.locator('#messages li').first().innerText()
  seen.node = await page.title()
  await page.selectOption('#topic', HOSTILE)
  await has(page, 'mesh-count', ' of ')
  return page
}

// Counts answers of the program while the page is hidden, and after.
async function hides(page) {
  const set = (hidden) => page.evaluate((h) => {
    Object.defineProperty(document, 'hidden', { value: h, configurable: true })
    document.dispatchEvent(new Event('visibilitychange'))
  }, hidden)
  await set(true)
  await page.waitForTimeout(500) // what was under way may end
  let n = 0
  page.on('request', () => n++)
  await page.waitForTimeout(1700) // longer than a turn
  seen.whileHidden = n
  await set(false)
  await page.waitForRequest(/status/)
}

async function refusals(page) {
  await page.fill('#publish-text', 'x'.repeat(at.tooLong))
  await page.click('#publish-go')
  await has(page, 'publish-said', 'too large')
  // a program that is gone
  await page.context().setOffline(true)
  await page.waitForSelector('#trouble:not([hidden])')
  seen.gone = await page.textContent('#trouble')
  await page.context().setOffline(false)
  await page.waitForSelector('#trouble', { state: 'hidden' })
}

// A page that asks for a token and has none, or one that nobody vouches for.
async function tokens() {
  const page = await open(`${at.guarded}/`)
  await page.waitForSelector('#token-form:not([hidden])')
  seen.noToken = await page.textContent('#trouble')
  const bearer = page.waitForRequest((r) => r.headers().authorization === 'Bearer not.a.token')
  await page.fill('#token', ' not.a.token ')
  await page.click('#token-use')
  await bearer
  seen.kept = await page.evaluate(() => [sessionStorage.getItem('codecast-token'), localStorage.length])
  await page.waitForSelector('#trouble:not([hidden])')
  seen.badToken = await page.textContent('#trouble')
  await page.fill('#live-topic', 't')
  await page.click('#live-go')
  await has(page, 'live-said', 'trying again')
  await page.click('#token-drop')
  seen.dropped = await page.evaluate(() => sessionStorage.getItem('codecast-token'))
  await goodToken(await open(`${at.guarded}/`))
  return page
}

// One that the gateway takes: figures, a publish, and the live view, which sends it when it connects.
async function goodToken(page) {
  await page.waitForSelector('#token-form:not([hidden])')
  await page.fill('#token', at.token)
  await page.click('#token-use')
  await page.waitForSelector('#trouble', { state: 'hidden' })
  await has(page, 'nodes', 'healthy')
  await page.fill('#live-topic', 'guarded')
  await page.click('#live-go')
  await has(page, 'live-said', 'Listening to')
  await page.fill('#publish-topic', 'guarded')
  for (let n = 0, end = Date.now() + WAIT; (await page.locator('#live-list li').count()) < 1;) {
    if (Date.now() > end) throw new Error('nothing arrives with a token')
    await page.fill('#publish-text', `with a token ${++n}`)
    await page.click('#publish-go')
    await has(page, 'publish-said', 'Published to')
    await page.waitForTimeout(100)
  }
  seen.withToken = await page.locator('#live-list li p').first().textContent()
  seen.inAddress = seen.requests.filter((u) => u.includes(at.token)).length
}

async function picture(page, name) {
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme })
    for (const [size, width, height] of [['phone', 390, 844], ['desktop', 1280, 860]]) {
      await page.setViewportSize({ width, height })
      if (shots !== '-') await page.waitForTimeout(150) // what the new width asks for is drawn
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      if (over > 0) throw new Error(`${name} is ${over} px too wide for ${width} px`)
      if (shots !== '-') await page.screenshot({ path: `${shots}/${name}-${size}-${scheme}.png`, fullPage: true })
    }
  }
}

try {
  const [watcher, writer] = await publishAndWatch()
  const page = await node()
  await picture(page, 'node')
  await picture(watcher, 'gateway')
  seen.ownComplaints = [...seen.complaints]
  await Promise.all([hides(watcher), refusals(writer)])
  await picture(await tokens(), 'token')
  console.log(JSON.stringify(seen))
} finally {
  await browser.close()
}
