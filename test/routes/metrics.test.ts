import { spawnSync } from 'node:child_process'
import t from 'tap'
import { type RunningApp, startApp } from '../helpers/app.js'

/** Makes every kind of thing happen that is counted, with names that a client made up. */
async function useAll(gateway: RunningApp): Promise<void> {
  const { connect, open, url } = gateway
  const socket = await connect({ client: { id: 'evil-client', version: '1', platform: 'p', mode: 'cli' } })
  await socket.call('sessions.send', { content: 'hi', wait: true }, 'evil-channel:evil-key')
  await socket.call(
    'events.publish',
    { type: 'evil.type', source: 'evil-source', payload: {} },
    'evil-channel:evil-key',
  )
  await socket.call('events.publish', { type: 'system.heartbeat', payload: {} }, 'evil-channel:evil-key')
  socket.send({ type: 'event', id: 'e', event: 'evil.event', sessionKey: 'evil-channel:evil-key' })
  await socket.refused('evil.method')
  await socket.refused('sessions.get', {}, 'evil-channel:other')
  socket.send('evil frame')
  await (await open('/ws', { headers: { origin: 'https://evil.example' } })).closed
  await fetch(`${url}/evil-path`)
  await fetch(`${url}/`, { headers: { origin: 'https://evil.example' } })
  await socket.call('gateway.ping')
}

t.test('the reference’s metrics are there, under its names and labels', async (t) => {
  const gateway = await startApp(t)
  await useAll(gateway)
  const response = await fetch(`${gateway.url}/metrics`)
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  const text = await response.text()
  t.match(
    text,
    '# HELP gateway_events_total Total number of events processed\n# TYPE gateway_events_total counter\n',
  )
  t.match(text, /^gateway_events_total\{type="message\.received",source="ws"\} 1$/m)
  t.match(text, /^gateway_events_total\{type="system\.heartbeat",source="ws"\} 1$/m)
  t.match(text, /^gateway_events_total\{type="other",source="other"\} 1$/m)
  t.match(
    text,
    '# HELP gateway_active_lanes Number of active processing lanes\n# TYPE gateway_active_lanes gauge\n',
  )
  t.match(text, /^gateway_active_lanes \d+$/m)
  t.match(text, /^gateway_connections 1$/m)
})

t.test('the first internal error of a method shows as growth', async (t) => {
  const { url, app } = await startApp(t)
  const text = await (await fetch(`${url}/metrics`)).text()
  for (const method of app.methods.names)
    t.match(text, `gateway_rpc_errors_total{method="${method}",code="INTERNAL_ERROR"} 0\n`)
})

t.test('no session key and no name that a client chose becomes a label', async (t) => {
  const gateway = await startApp(t)
  await useAll(gateway)
  const text = await (await fetch(`${gateway.url}/metrics`)).text()
  t.notMatch(text, /evil/)
})

t.test('a scraper that asks for OpenMetrics gets it', async (t) => {
  const { url } = await startApp(t)
  const headers = { accept: 'application/openmetrics-text; version=1.0.0' }
  const [plain, open] = await Promise.all([fetch(`${url}/metrics`), fetch(`${url}/metrics`, { headers })])
  t.match(open.headers.get('content-type'), /^application\/openmetrics-text/)
  t.ok((await open.text()).endsWith('# EOF\n'))
  t.match(plain.headers.get('content-type'), /^text\/plain/)
  t.notMatch(await plain.text(), '# EOF')
})

t.test('scrapes in one format change nothing for those in the other, before, after or at once', async (t) => {
  const { url } = await startApp(t)
  const scrape = async (accept: string) => {
    const text = await (await fetch(`${url}/metrics`, { headers: { accept } })).text()
    // Those of the process may come later, as with its first collection of garbage.
    return [...text.matchAll(/^(gateway_\w+)[{ ]/gm)].map(([, name]) => name)
  }
  const open = 'application/openmetrics-text'
  const before = await scrape('text/plain')
  t.ok(before.includes('gateway_frames_total'))
  const all = await Promise.all([open, 'text/plain', open, 'text/plain'].map(scrape))
  for (const names of [...all, await scrape('text/plain')]) t.same(names, before)
})

t.test('metrics are open unless metrics.auth asks for a token', async (t) => {
  const tokens = [
    { token: 'reader', role: 'viewer' as const },
    { token: 'worker', role: 'agent' as const },
  ]
  const open = await startApp(t, { auth: { tokens } })
  t.equal((await fetch(`${open.url}/metrics`)).status, 200)
  const guarded = await startApp(t, { auth: { tokens }, metrics: { auth: true } })
  const status = async (token?: string) => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
    return (await fetch(`${guarded.url}/metrics`, { headers })).status
  }
  t.equal(await status(), 401)
  t.equal(await status('wrong'), 401)
  t.equal(await status('worker'), 403)
  t.equal(await status('reader'), 200)
  const off = await startApp(t, { metrics: { auth: true } })
  t.equal(
    (await fetch(`${off.url}/metrics`)).status,
    200,
    'with authentication off there is nothing to ask for',
  )
})

t.test('HEAD is answered without a body', async (t) => {
  const { url } = await startApp(t)
  const response = await fetch(`${url}/metrics`, { method: 'HEAD' })
  t.equal(response.status, 200)
  t.equal(await response.text(), '')
})

t.test('promtool finds nothing to complain about', async (t) => {
  const gateway = await startApp(t)
  await useAll(gateway)
  const input = await (await fetch(`${gateway.url}/metrics`)).text()
  const { status, error, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input,
    encoding: 'utf8',
  })
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
    t.comment('promtool is missing: install the Debian package prometheus')
    // On a developer's machine that is no failure; in CI nothing is missing.
    t.notOk(process.env.CI, 'promtool is installed in CI')
    return
  }
  t.equal(status, 0, stdout + stderr)
})
