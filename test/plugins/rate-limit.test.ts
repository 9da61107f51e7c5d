import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import rateLimit, { type LimitedKind } from '../../plugins/rate-limit.js'
import reverseProxy from '../../plugins/reverse-proxy.js'
import { load } from '../config/helpers.js'

/** An app with an HTTP route, probes and a WebSocket route; `config` as in the configuration file. */
async function start(t: Test, config: { basePath?: string; trustProxy?: boolean; rateLimit: object }) {
  const loaded = await load(t, { files: { 'config.json': JSON.stringify(config) } })
  const refusals: LimitedKind[] = []
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(reverseProxy, { config: loaded.config })
  await app.register(rateLimit, { config: loaded.config, onRefused: (kind) => refusals.push(kind) })
  await app.register(websocket)
  await app.register(
    async (app) => {
      for (const path of ['/', '/health', '/health/live', '/health/ready', '/live', '/ready']) {
        app.get(path, async () => ({ path }))
      }
      app.get('/ws', { websocket: true }, (socket) => socket.close(1000))
    },
    { prefix: loaded.config.basePath },
  )
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}${loaded.config.basePath}`
  return { app, url, port, refusals, get: (path: string, headers = {}) => fetch(url + path, { headers }) }
}

/** The close code of a WebSocket that was let in, or the HTTP status of the refusal. */
async function openWebSocket(t: Test, url: string, headers = {}): Promise<number> {
  const ws = new WebSocket(`${url.replace('http', 'ws')}/ws`, { headers })
  t.teardown(() => ws.terminate())
  return new Promise((resolve, reject) => {
    ws.on('close', resolve)
    ws.on('error', reject)
    ws.on('unexpected-response', (_request, response) => resolve(response.statusCode!))
  })
}

const WINDOW = { windowMs: 60_000 }

t.test('past the limit a request is answered 429, with the time to wait', async (t) => {
  const { get, refusals } = await start(t, { rateLimit: { http: { max: 2, ...WINDOW } } })
  t.equal((await get('/')).status, 200)
  t.equal((await get('/nowhere')).status, 404, 'unknown paths count')
  const refused = await get('/')
  t.equal(refused.status, 429)
  const body = (await refused.json()) as { error: { retryAfterMs: number } }
  t.match(body, { error: { code: 'RATE_LIMITED', message: String, details: null, retryable: true } })
  t.ok(body.error.retryAfterMs > 0 && body.error.retryAfterMs <= 60_000)
  t.equal(refused.headers.get('retry-after'), String(Math.ceil(body.error.retryAfterMs / 1000)))
  t.equal((await get('/nowhere')).status, 429)
  t.strictSame(refusals, ['http', 'http'])
})

t.test('probes are never refused and do not count', async (t) => {
  const { get, url } = await start(t, { basePath: '/gateway', rateLimit: { http: { max: 1, ...WINDOW } } })
  const probes = ['/health', '/health/live', '/health/ready', '/live', '/ready', '/health?verbose=1']
  for (const path of [...probes, ...probes]) t.equal((await get(path)).status, 200, path)
  t.equal((await get('/')).status, 200)
  t.equal((await get('/')).status, 429)
  for (const path of ['/health/../', '/healthy', '/health%2f', '//health', '/?/health']) {
    t.equal((await get(path)).status, 429, `${path} is no probe`)
  }
  t.equal((await fetch(new URL('/health', url))).status, 429, 'nor is one outside of the base path')
  t.equal((await get('/ready')).status, 200)
})

t.test('upgrades have a limit of their own, refused with a whole HTTP response', async (t) => {
  const rateLimit = { http: { max: 1, ...WINDOW }, upgrades: { max: 2, ...WINDOW } }
  const { app, get, url, port, refusals } = await start(t, { rateLimit })
  t.equal((await get('/')).status, 200)
  t.equal((await get('/')).status, 429)
  t.equal(await openWebSocket(t, url), 1000)
  t.equal(await openWebSocket(t, url), 1000)
  t.equal(await openWebSocket(t, url), 429)
  t.strictSame(refusals, ['http', 'upgrades'])

  const closed = new Promise((resolve) => {
    app.server.once('connection', (socket) => socket.once('close', resolve))
  })
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.write(
    'GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  const response = await text(socket)
  t.match(response, /^HTTP\/1\.1 429 Too Many Requests\r\n/)
  t.match(response, /\r\nretry-after: \d+\r\n/i)
  t.match(response, /\r\nconnection: close\r\n/i)
  t.match(JSON.parse(response.split('\r\n\r\n')[1]!), { error: { code: 'RATE_LIMITED' } })
  await closed
})

t.test('the addresses of an IPv6 /64 share a limit, others do not', async (t) => {
  const { get, url } = await start(t, {
    trustProxy: true,
    rateLimit: { http: { max: 1, ...WINDOW }, upgrades: { max: 1, ...WINDOW } },
  })
  const from = (address: string) => ({ 'x-forwarded-for': address })
  t.equal((await get('/', from('2001:db8::1'))).status, 200)
  t.equal((await get('/', from('2001:db8::2'))).status, 429)
  t.equal((await get('/', from('2001:db8:0:1::1'))).status, 200)
  t.equal((await get('/', from('192.0.2.1'))).status, 200)
  t.equal((await get('/', from('::ffff:192.0.2.1'))).status, 429)
  t.equal(await openWebSocket(t, url, from('2001:db8::1')), 1000)
  t.equal(await openWebSocket(t, url, from('2001:db8::2')), 429)
})

t.test('the addresses that are remembered are bounded', async (t) => {
  const rateLimit = { http: { max: 1, ...WINDOW }, maxAddresses: 2 }
  const { get } = await start(t, { trustProxy: true, rateLimit })
  const statusFor = async (host: number) => (await get('/', { 'x-forwarded-for': `192.0.2.${host}` })).status
  t.strictSame([await statusFor(1), await statusFor(1), await statusFor(2)], [200, 429, 200])
  t.equal(await statusFor(3), 200)
  t.equal(await statusFor(1), 200, 'it was forgotten')
})

t.test('a maximum of zero is no limit', async (t) => {
  const none = { max: 0, ...WINDOW }
  const { get, url, refusals } = await start(t, { rateLimit: { http: none, upgrades: none } })
  for (let i = 0; i < 20; i++) t.equal((await get('/')).status, 200)
  for (let i = 0; i < 5; i++) t.equal(await openWebSocket(t, url), 1000)
  t.strictSame(refusals, [])
})
