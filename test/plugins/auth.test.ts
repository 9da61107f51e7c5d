import { readFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import auth, { type AuthRefusal } from '../../plugins/auth.js'
import reverseProxy from '../../plugins/reverse-proxy.js'
import { load } from '../config/helpers.js'

interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: { error?: { code: string; message: string; retryAfterMs?: number }; principal?: string }
}

/** An app with one route for each scope, on a port of its own; `config` as in the configuration file. */
async function start(t: Test, config: object = {}) {
  const loaded = await load(t, { files: { 'config.json': JSON.stringify(config) } })
  const log: string[] = []
  const refusals: AuthRefusal[] = []
  const app = Fastify({ logger: { stream: { write: (line: string) => log.push(line) } } })
  t.teardown(() => app.close())
  const onRefused = (reason: AuthRefusal) => refusals.push(reason)
  await app.register(reverseProxy, { config: loaded.config })
  await app.register(auth, { config: loaded.config, home: loaded.home, onRefused })
  app.get('/open', async (request) => ({ principal: request.principal }))
  for (const scope of ['read', 'admin'] as const) {
    app.get(`/${scope}`, { onRequest: app.auth.require(scope) }, async (request) => {
      return { principal: request.principal!.name }
    })
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo

  const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const request = httpRequest({ port, host: '127.0.0.1', path, headers }, (response) => {
        text(response)
          .then((body) => {
            resolve({ status: response.statusCode!, headers: response.headers, body: JSON.parse(body) })
          })
          .catch(reject)
      })
      request.on('error', reject).end()
    })
  return { app, get, port, log, refusals, home: loaded.home }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

t.test('while authentication is off everyone is anonymous and may do everything', async (t) => {
  const { app, get } = await start(t)
  t.equal(app.auth.enabled, false)
  t.match(await get('/admin'), { status: 200, body: { principal: 'anonymous' } })
  t.match(await get('/admin', bearer('whatever')), { status: 200, body: { principal: 'anonymous' } })
})

t.test('a token is asked for, with the way to send it', async (t) => {
  const { app, get, refusals } = await start(t, { auth: { tokens: ['token1', 'token2'] } })
  t.equal(app.auth.enabled, true)
  const missing = await get('/read')
  t.match(missing, {
    status: 401,
    body: { error: { code: 'UNAUTHORIZED', message: /Bearer/, details: null } },
  })
  t.equal(missing.headers['www-authenticate'], 'Bearer realm="lurkbot"')
  t.equal(
    (await get('/read', bearer('token3'))).headers['www-authenticate'],
    'Bearer realm="lurkbot", error="invalid_token"',
  )
  const basic = await get('/read', { authorization: 'Basic dG9rZW4xOg==' })
  t.equal(basic.headers['www-authenticate'], 'Bearer realm="lurkbot"', 'a proxy may have its own scheme')
  t.match(await get('/read', bearer('')), { status: 401 })
  t.match(await get('/read?token=token1&access_token=token1'), { status: 401 }, 'not in a query string')
  t.match(await get('/read', bearer('token2')), { status: 200, body: { principal: 'tokens[1]' } })
  t.match(await get('/open'), { status: 200, body: { principal: null } })
  t.strictSame(new Set(refusals), new Set(['unauthorized']))
  t.match(app.auth.authenticate('token1'), { name: 'tokens[0]' })
  t.equal(app.auth.authenticate('token3'), null)
})

t.test('a token without the scope is FORBIDDEN', async (t) => {
  const tokens = [{ name: 'ci', token: 'a-token-that-only-reads', scopes: ['read'] }]
  const { get, refusals } = await start(t, { auth: { tokens } })
  t.match(await get('/read', bearer('a-token-that-only-reads')), { status: 200, body: { principal: 'ci' } })
  const refused = await get('/admin', bearer('a-token-that-only-reads'))
  t.match(refused, { status: 403, body: { error: { code: 'FORBIDDEN', message: /scope admin/ } } })
  t.match(refused.headers['www-authenticate'], /error="insufficient_scope", scope="admin"/)
  t.strictSame(refusals, ['forbidden'])
})

t.test('an address that guesses is stopped, and told for how long', async (t) => {
  const { app, get, refusals } = await start(t, {
    auth: { tokens: ['token1'] },
    rateLimit: { handshakeFailures: { max: 2, windowMs: 60_000 } },
  })
  for (let i = 0; i < 5; i++) t.match(await get('/read'), { status: 401 }, 'a missing token is no guess')
  for (const guess of ['a', 'b']) t.match(await get('/read', bearer(guess)), { status: 401 })
  const stopped = await get('/read', bearer('token1'))
  t.match(stopped, {
    status: 429,
    body: { error: { code: 'RATE_LIMITED', retryable: true, retryAfterMs: Number } },
  })
  t.equal(Number(stopped.headers['retry-after']), Math.ceil(stopped.body.error!.retryAfterMs! / 1000))
  t.ok(app.auth.attempts.isBlocked('127.0.0.1') > 0, 'WebSocket handshakes see the same')
  t.match(await get('/open'), { status: 200 })
  t.equal(refusals.at(-1), 'rate_limited')
})

t.test(
  'a bind beyond loopback without a token gets one, whose path and nothing else is logged',
  async (t) => {
    const { app, get, log, home } = await start(t, { host: '0.0.0.0' })
    const path = join(home, 'token')
    const token = (await readFile(path, 'utf8')).trim()
    t.equal(app.auth.enabled, true)
    t.match(await get('/admin'), { status: 401 })
    t.match(await get('/admin', bearer(token)), { status: 200, body: { principal: 'auto' } })
    t.ok(log.some((line) => line.includes(path) && line.includes('a token was made')))
    t.notOk(log.join('').includes(token))
  },
)

t.test('behind a proxy a token is asked for; told not to, the gateway says what that means', async (t) => {
  const behind = await start(t, { trustProxy: ['127.0.0.1'] })
  t.match(await behind.get('/admin'), { status: 401 })
  t.notMatch(behind.log.join(''), /authentication is off/)
  const open = await start(t, { trustProxy: ['127.0.0.1'], auth: { enabled: false } })
  t.match(await open.get('/admin'), { status: 200, body: { principal: 'anonymous' } })
  t.match(open.log.join(''), /"level":40.*authentication is off behind a proxy/)
})

t.test('behind a proxy failed logins count against the client that the proxy names', async (t) => {
  const { get } = await start(t, {
    trustProxy: ['127.0.0.1'],
    auth: { tokens: ['token1'] },
    rateLimit: { handshakeFailures: { max: 1 } },
  })
  const from = (address: string, token: string) =>
    get('/read', { ...bearer(token), 'x-forwarded-for': `203.0.113.1, ${address}` })
  t.match(await from('192.0.2.1', 'wrong'), { status: 401 })
  t.match(await from('192.0.2.1', 'token1'), { status: 429 })
  t.match(await from('192.0.2.2', 'token1'), { status: 200 })
})

t.test('a token file that others may read stops the start', async (t) => {
  const files = { 'config.json': '{"auth":{"enabled":true}}', token: 'a-token-that-leaked' }
  const { config, home } = await load(t, { files })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(reverseProxy, { config })
  await t.rejects(async () => app.register(auth, { config, home }), {
    name: 'ConfigError',
    message: /token may be read by others/,
  })
})

t.test('short tokens are warned about by name, beyond loopback only', async (t) => {
  const tokens = ['token1', { name: 'long', token: 'a-token-that-is-long-enough' }]
  const open = await start(t, { host: '0.0.0.0', auth: { tokens } })
  const warning = open.log.find((line) => line.includes('fewer than 16'))
  t.match(JSON.parse(warning!), { level: 40, tokens: ['tokens[0]'] })
  t.notOk(open.log.join('').includes('token1'))
  const loopback = await start(t, { auth: { tokens } })
  t.notOk(loopback.log.some((line) => line.includes('fewer than 16')))
})

t.test('foreign pages are refused on every plain HTTP request, unknown paths too', async (t) => {
  const { get, refusals } = await start(t, { auth: { allowedOrigins: ['https://app.example'] } })
  const refused = { status: 403, body: { error: { code: 'FORBIDDEN' } } }
  t.match(await get('/open', { origin: 'https://evil.example' }), {
    status: 403,
    body: { error: { code: 'FORBIDDEN', message: /allowedOrigins/, details: null, retryable: false } },
  })
  t.match(await get('/nowhere', { origin: 'null' }), refused)
  t.match(await get('/open', { host: 'evil.example:18789' }), refused, 'DNS rebinding')
  t.match(await get('/open', { origin: 'https://evil.example', upgrade: 'websocket' }), refused)
  t.strictSame(new Set(refusals), new Set(['origin']))
  t.match(await get('/open', { origin: 'https://app.example' }), { status: 200 })
  t.match(await get('/open', { origin: 'http://localhost:3000', host: 'localhost' }), { status: 200 })
})

t.test('two Host headers are refused', async (t) => {
  const { port } = await start(t)
  const socket = connect(port, '127.0.0.1')
  socket.end('GET /open HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n')
  t.match(await text(socket), /^HTTP\/1\.1 40[03] /)
})

t.test('a WebSocket upgrade is left to its route', async (t) => {
  const { app, port } = await start(t)
  const upgraded = new Promise<string | undefined>((resolve) => {
    app.server.on('upgrade', (request, socket) => {
      resolve(app.auth.originPolicy.check(request)?.reason)
      socket.destroy()
    })
  })
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write(
    'GET /open HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n' +
      'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  )
  t.match(await upgraded, /Origin/)
})
