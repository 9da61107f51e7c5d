import { connect } from 'node:net'
import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { CLOSE, HelloErrorFrame, HelloOkFrame, PROTOCOL_VERSION } from '../../src/protocol/index.js'
import { VERSION } from '../../src/version.js'
import { startApp } from '../helpers/app.js'
import type { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

const CLIENT = { id: 'test', version: '1.0.0', platform: 'node', mode: 'cli' }
const HELLO = { type: 'hello', minProtocol: 1, maxProtocol: 1, client: CLIENT }
const TOKENS = { auth: { tokens: [{ name: 'ci', token: 'correct-horse-battery', role: 'viewer' as const }] } }

/** What a refused client sees: the error, then the close. */
async function refusal(socket: TestSocket) {
  const { error } = await socket.next(({ type }) => type === 'hello-error')
  return { error, ...(await socket.closed) }
}

t.test('hello-ok has every field that the protocol gives it', async (t) => {
  const { open, app } = await startApp(t)
  await app.sessions.create('test:1:main', {})
  for (const path of ['/ws', '/']) {
    const helloOk = await (await open(path)).hello()
    t.strictSame([...Value.Errors(HelloOkFrame, helloOk)], [], path)
    t.match(helloOk, {
      protocol: PROTOCOL_VERSION,
      server: { version: VERSION, host: null, connId: /^[0-9a-f-]{13}$/ },
      snapshot: { sessions: [{ key: 'test:1:main', channel: 'test' }], cronJobs: [], channels: [] },
      policy: {
        maxPayloadBytes: 1_048_576,
        maxBufferedBytes: 1_048_576,
        heartbeatMs: 25_000,
        maxInFlight: 256,
      },
      auth: { role: 'admin', scopes: ['read', 'write', 'admin', 'agent'] },
      resume: { epoch: app.journal.epoch, seq: app.journal.head, recovered: false },
    })
    t.ok(helloOk.features.methods.includes('sessions.send'))
    t.ok(helloOk.features.events.includes('session.message'))
  }
})

t.test('the protocol is spoken at /ws and at /', async (t) => {
  const { open } = await startApp(t)
  for (const path of ['/ws', '/', '/ws?token=ignored', '/?a=b']) {
    const socket = await open(path)
    t.equal((await socket.hello()).type, 'hello-ok', path)
  }
})

t.test('with a base path both are below it', async (t) => {
  const { open, url } = await startApp(t, { basePath: '/gate/way' })
  for (const path of ['/ws', '/', '']) t.equal((await (await open(path)).hello()).type, 'hello-ok', path)
  t.equal((await fetch(`${url}/health`)).status, 200)
  t.equal((await fetch(new URL('/health', url))).status, 404)
})

t.test('names in snake_case are understood, and fields that nobody knows are ignored', async (t) => {
  const { open, app } = await startApp(t)
  const socket = await open()
  socket.send({
    type: 'hello',
    min_protocol: 0,
    max_protocol: 7,
    client: { ...CLIENT, display_name: 'Test', shoe_size: 43 },
    caps: null,
    auth: null,
    subscribe: null,
    resume: null,
    future: { deep: [1] },
  })
  t.match(await socket.next((frame) => frame.type === 'hello-ok'), { protocol: 1 })
  t.equal([...app.connections][0]!.client!.displayName, 'Test')
  socket.send({
    type: 'request',
    id: 'a',
    method: 'sessions.create',
    session_key: 'test:1:main',
    later: true,
  })
  t.match(await socket.next((frame) => frame.id === 'a'), { result: { session: { key: 'test:1:main' } } })
})

t.test('a client that speaks no version of ours is told which there are, and closed with 4406', async (t) => {
  const { open } = await startApp(t)
  for (const [minProtocol, maxProtocol] of [
    [2, 9],
    [0, 0],
  ]) {
    const socket = await open()
    socket.send({ ...HELLO, minProtocol, maxProtocol })
    t.match(await refusal(socket), {
      code: 4406,
      error: { code: 'INVALID_REQUEST', details: { minProtocol: 1, maxProtocol: 1 }, retryable: false },
    })
  }
})

t.test('a hello that is wrong in itself gets an error that names the field, then the end', async (t) => {
  const { open } = await startApp(t)
  const wrong: [unknown, string][] = [
    [{ ...HELLO, minProtocol: '1' }, 'hello.minProtocol'],
    [{ ...HELLO, client: { ...CLIENT, mode: 'toaster' } }, 'hello.client.mode'],
    [{ ...HELLO, client: { ...CLIENT, id: '' } }, 'hello.client.id'],
    [{ ...HELLO, client: 'me' }, 'hello.client'],
    [{ ...HELLO, subscribe: 'agent.*' }, 'hello.subscribe'],
    [{ ...HELLO, resume: { epoch: 'x', seq: -1 } }, 'hello.resume.seq'],
    [{ ...HELLO, auth: { token: 5 } }, 'hello.auth.token'],
    [{ type: 'hello' }, 'hello.minProtocol'],
  ]
  for (const [hello, path] of wrong) {
    const socket = await open()
    socket.send(hello)
    const { error, code } = await refusal(socket)
    t.equal(code, 4400, path)
    t.strictSame([...Value.Errors(HelloErrorFrame, { type: 'hello-error', error })], [])
    t.match(error, { code: 'INVALID_REQUEST', message: new RegExp(`^${path}: expected `), details: { path } })
  }
})

t.test('whoever does not say hello is closed with 4408', async (t) => {
  const { open } = await startApp(t, { connection: { handshakeTimeoutMs: 50 } })
  const socket = await open()
  socket.send({ type: 'request', id: 'early', method: 'gateway.ping' })
  t.match(await refusal(socket), { code: 4408, error: { code: 'INVALID_REQUEST', retryable: true } })
  t.match(socket.frames[0], { id: 'early', error: { code: 'INVALID_REQUEST', message: /hello/ } })
})

t.test('the time for the hello is over once it was said', async (t) => {
  const { connect } = await startApp(t, { connection: { handshakeTimeoutMs: 50 } })
  const socket = await connect()
  const { socket: silent } = await connect()
  const later = Date.now() + 150
  await until(async () => (await socket.call('gateway.ping')).at > later)
  t.equal(silent.readyState, silent.OPEN)
})

t.test('requests sent right after the hello wait for its answer and are answered after it', async (t) => {
  const { open } = await startApp(t)
  const socket = await open()
  // In one packet, as a client does that does not wait.
  const stream = (socket.socket as unknown as { _socket: import('node:net').Socket })._socket
  stream.cork()
  socket.send(HELLO)
  for (let i = 0; i < 10; i++)
    socket.send({ type: 'request', id: `p${i}`, method: 'gateway.ping', params: { data: i } })
  socket.send(HELLO)
  stream.uncork()
  await socket.next((frame) => frame.id === 'p9')
  await socket.next((frame) => frame.error?.code === 'INVALID_REQUEST')
  t.equal(socket.frames[0]!.type, 'hello-ok')
  t.strictSame(
    socket.frames.filter((frame) => frame.result).map((frame) => frame.result.data),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
})

t.test('a second hello is an error, and the connection lives on', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  socket.send(HELLO)
  t.match(await socket.next((frame) => frame.type === 'response'), {
    id: null,
    error: { code: 'INVALID_REQUEST', message: /one hello/ },
  })
  t.ok(await socket.call('gateway.ping'))
})

t.test('a token is taken from the hello, the header or the subprotocol', async (t) => {
  const { connect, open } = await startApp(t, TOKENS)
  const token = 'correct-horse-battery'
  const ways = [
    connect({ auth: { token } }),
    connect({ auth: { password: token } }),
    connect({}, { headers: { authorization: `Bearer ${token}` } }),
    connect({}, { protocols: [`bearer.${token}`] }),
    connect({}, { protocols: ['lurkbot.v1', `bearer.${token}`] }),
  ]
  for (const socket of await Promise.all(ways)) {
    t.strictSame(socket.helloOk!.auth, { role: 'viewer', scopes: ['read'] })
  }
  const both = await open('/ws', { protocols: ['lurkbot.v1', `bearer.${token}`] })
  t.equal(both.socket.protocol, 'lurkbot.v1', 'the token does not come back')
})

t.test('without a valid token it is 4401, and no token in a query string helps', async (t) => {
  const { open } = await startApp(t, TOKENS)
  const cases: [string, Parameters<typeof open>[1], object, RegExp][] = [
    ['/ws', {}, {}, /required/],
    ['/ws?token=correct-horse-battery', {}, {}, /required/],
    ['/ws?access_token=correct-horse-battery', {}, {}, /required/],
    ['/', {}, { auth: { token: 'wrong' } }, /failed/],
    ['/ws', { headers: { authorization: 'Bearer wrong' } }, {}, /failed/],
    ['/ws', { protocols: ['bearer.wrong'] }, {}, /failed/],
    [
      '/ws',
      { headers: { authorization: 'Bearer correct-horse-battery' }, protocols: ['bearer.other'] },
      {},
      /several different/,
    ],
  ]
  for (const [path, options, hello, message] of cases) {
    const socket = await open(path, options)
    socket.send({ ...HELLO, ...hello })
    t.match(await refusal(socket), { code: 4401, error: { code: 'UNAUTHORIZED', message } })
  }
})

t.test('after too many wrong tokens the address has to wait: 4429 with the time', async (t) => {
  const { open, connect } = await startApp(t, {
    ...TOKENS,
    rateLimit: { handshakeFailures: { max: 3, windowMs: 60_000 } },
  })
  const token = 'correct-horse-battery'
  const inside = await connect({ auth: { token } })
  for (let i = 0; i < 3; i++) {
    const socket = await open()
    socket.send({ ...HELLO, auth: { token: `guess ${i}` } })
    t.equal((await socket.closed).code, 4401)
  }
  const socket = await open()
  socket.send({ ...HELLO, auth: { token } })
  const { error, code } = await refusal(socket)
  t.equal(code, 4429)
  t.match(error, { code: 'RATE_LIMITED', retryable: true })
  t.ok(error.retryAfterMs > 0 && error.retryAfterMs <= 60_000)
  t.ok(await inside.call('gateway.ping'), 'who is in stays in')
})

t.test('a web page of another origin is refused with 4403, one of a loopback host is let in', async (t) => {
  const { open } = await startApp(t, { auth: { allowedOrigins: ['https://app.example'] } })
  for (const origin of ['https://evil.example', 'null', 'file://']) {
    const socket = await open('/ws', { headers: { origin } })
    t.match(await refusal(socket), { code: 4403, error: { code: 'FORBIDDEN' } }, origin)
  }
  for (const origin of ['http://localhost:3000', 'https://app.example']) {
    const socket = await open('/', { headers: { origin } })
    t.equal((await socket.hello()).type, 'hello-ok', origin)
  }
  const rebound = await open('/ws', { headers: { host: 'evil.example' } })
  t.equal((await rebound.closed).code, 4403)
})

t.test('a full gateway refuses with 1013, and takes the next when someone has left', async (t) => {
  const { open, connect, app } = await startApp(t, { connection: { maxConnections: 2 } })
  const first = await connect()
  await connect()
  const third = await open()
  t.match(await refusal(third), {
    code: 1013,
    error: { code: 'UNAVAILABLE', retryable: true, retryAfterMs: 5000 },
  })
  first.socket.close()
  await first.closed
  await until(() => !app.connections.full)
  t.equal((await (await open()).hello()).type, 'hello-ok')
})

t.test('refused connections are counted by reason', async (t) => {
  const { open, app } = await startApp(t, { ...TOKENS, connection: { handshakeTimeoutMs: 20 } })
  await (await open()).closed
  const foreign = await open('/ws', { headers: { origin: 'https://evil.example' } })
  await foreign.closed
  const stranger = await open()
  stranger.send(HELLO)
  await stranger.closed
  // Not over HTTP: such a gateway has no patience for a request on a busy machine.
  const { body: metrics } = await app.inject('/metrics')
  for (const reason of ['hello_timeout', 'origin_refused', 'unauthorized']) {
    t.match(metrics, new RegExp(`gateway_handshakes_refused_total\\{reason="${reason}"\\} 1\n`))
  }
})

t.test('a refused client that never answers the close is gone after the grace', async (t) => {
  const { url, app } = await startApp(t, { connection: { handshakeTimeoutMs: 20, closeGraceMs: 50 } })
  const raw = connect(Number(new URL(url).port), '127.0.0.1')
  t.teardown(() => raw.destroy())
  raw.write(
    'GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  raw.resume()
  await new Promise((resolve) => raw.once('close', resolve).on('error', () => {}))
  await until(() => app.connections.size === 0)
  t.strictSame(app.connections.stats.closes, { HELLO_TIMEOUT: 1 })
})

t.test('each refusal closes with a code of the table', (t) => {
  const codes = Object.values(CLOSE).map(({ code }) => code)
  t.equal(new Set(codes).size, codes.length)
  t.end()
})
