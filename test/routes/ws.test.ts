import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { VERSION } from '../../src/version.js'
import { createCertificate } from '../auth/certificates.js'
import { startApp } from '../helpers/app.js'
import { captureLog } from '../helpers/log.js'
import { RawSocket, upgradeRequest } from '../helpers/raw-socket.js'
import { until } from '../helpers/until.js'

/** The status line, headers and JSON body of a raw response. */
function parse(answer: string) {
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  return {
    status: Number(head.split(' ')[1]),
    head: head.toLowerCase(),
    body: body === '' ? null : JSON.parse(body),
  }
}

t.test('plain HTTP at / tells what this is', async (t) => {
  const { url } = await startApp(t)
  const response = await fetch(`${url}/`)
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /^application\/json/)
  t.strictSame(await response.json(), {
    name: 'lurkbot-gateway',
    version: VERSION,
    protocol: 1,
    links: {
      websocket: 'ws',
      health: 'health',
      metrics: 'metrics',
      methods: 'methods',
      openapi: 'openapi.json',
      asyncapi: 'asyncapi.json',
    },
  })
  const head = await fetch(`${url}/`, { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(await head.text(), '')
})

t.test('the links at the base path lead somewhere, with a slash at its end and without', async (t) => {
  const { url } = await startApp(t, { basePath: '/gate/way' })
  for (const address of [url, `${url}/`, `${url}?a=/b`, `${url}/?a=b`]) {
    const { links } = (await (await fetch(address)).json()) as { links: { health: string } }
    t.equal(new URL(links.health, address).href, `${url}/health`, address)
  }
})

t.test('plain HTTP at /ws is told to upgrade', async (t) => {
  const { url } = await startApp(t)
  const response = await fetch(`${url}/ws`)
  t.equal(response.status, 426)
  t.equal(response.headers.get('upgrade'), 'websocket')
  t.match(await response.json(), {
    error: { code: 'INVALID_REQUEST', message: /WebSocket/, retryable: false },
  })
  t.equal((await fetch(`${url}/ws`, { method: 'HEAD' })).status, 426)
  t.equal((await fetch(`${url}/ws`, { method: 'POST' })).status, 404)
})

t.test('an upgrade where no WebSocket is gets a 404 on the socket, which is then closed', async (t) => {
  const { url, app } = await startApp(t)
  for (const path of [
    '/nope',
    '/nope/../ws2',
    '/health',
    '/metrics',
    '/methods',
    '/ws/',
    '/WS',
    '//ws',
    '/%77s%00',
    '/%zz',
  ]) {
    const raw = new RawSocket(url)
    raw.write(upgradeRequest(path))
    const { status, head, body } = parse(await raw.answer())
    t.ok(status === 404 || status === 400, `${path}: ${status}`)
    t.match(head, /content-type: application\/json/, path)
    t.match(body, { error: { code: /NOT_FOUND|INVALID_REQUEST/ } }, path)
  }
  t.equal(app.connections.stats.accepted, 0)
  const socket = new WebSocket(`${url.replace('http', 'ws')}/nope`)
  t.match((await once(socket, 'error'))[0], { message: /404/ })
})

t.test('an upgrade that is not one of WebSocket version 13 gets a 4xx and no connection', async (t) => {
  const { url, app } = await startApp(t)
  const wrong: [Record<string, string | undefined>, number][] = [
    [{ 'Sec-WebSocket-Key': undefined }, 400],
    [{ 'Sec-WebSocket-Key': 'short' }, 400],
    [{ 'Sec-WebSocket-Key': 'not/base64/not/base64!!==' }, 400],
    [{ 'Sec-WebSocket-Version': '7' }, 400],
    [{ 'Sec-WebSocket-Version': undefined }, 400],
    [{ 'Sec-WebSocket-Protocol': 'a,,b' }, 400],
  ]
  for (const [headers, expected] of wrong) {
    const raw = new RawSocket(url)
    raw.write(upgradeRequest('/ws', headers))
    t.equal(Number((await raw.answer()).split(' ')[1]), expected, JSON.stringify(headers))
  }
  t.equal(app.connections.stats.accepted, 0)
  await t.resolves(fetch(`${url}/health`))
})

t.test('a client that offers another protocol gets a plain response', async (t) => {
  const { url } = await startApp(t)
  const raw = new RawSocket(url)
  raw.write(
    upgradeRequest('/health', {
      Upgrade: 'h2c',
      Connection: 'Upgrade, HTTP2-Settings',
      'HTTP2-Settings': 'AAMAAABkAAQAAP__',
    }),
  )
  const { status, body } = parse(await raw.answer())
  t.equal(status, 200)
  t.match(body, { status: 'ok' })
  const info = new RawSocket(url)
  info.write(upgradeRequest('/', { Upgrade: 'h2c' }))
  t.match(parse(await info.answer()), { status: 200, body: { name: 'lurkbot-gateway' } })
  const ws = new RawSocket(url)
  ws.write(upgradeRequest('/ws', { Upgrade: 'h2c' }))
  t.equal(parse(await ws.answer()).status, 426)
})

t.test(
  'sockets that die during the upgrade leave nothing behind, and the gateway stops at once',
  async (t) => {
    const { logger, lines } = captureLog()
    const { url, app } = await startApp(t, {}, { logger })
    for (const path of ['/ws', '/nope', '/health']) {
      for (let i = 0; i < 10; i++) {
        const raw = new RawSocket(url)
        raw.write(upgradeRequest(path, i % 2 ? {} : { Upgrade: 'h2c' }))
        if (i % 3 === 0) raw.socket.resetAndDestroy()
        else if (i % 3 === 1) raw.destroy()
        else raw.write('then garbage that is no frame')
        await raw.closed
      }
    }
    await until(() => app.connections.size === 0)
    await until(
      async () =>
        (await new Promise<number>((resolve) => app.server.getConnections((_, n) => resolve(n)))) === 0,
    )
    t.strictSame(
      lines.filter(({ level }) => level >= 50),
      [],
    )
  },
)

t.test('garbage instead of frames ends the connection with 1002, and the others live on', async (t) => {
  const { url, connect, app } = await startApp(t)
  const other = await connect()
  const raw = await RawSocket.upgraded(url)
  raw.received = ''
  raw.write('GET /what HTTP/1.1\r\n\r\n')
  raw.socket.end()
  const answer = Buffer.from(await raw.answer(), 'latin1')
  t.equal(answer[0], 0x88, 'a close frame')
  t.equal(answer.readUInt16BE(2), 1002)
  await until(() => app.connections.size === 1)
  t.ok(await other.call('gateway.ping'))
})

t.test('frames in the same packet as the upgrade are read', async (t) => {
  const { url } = await startApp(t)
  const raw = new RawSocket(url)
  const hello = Buffer.from(
    '{"type":"hello","minProtocol":1,"maxProtocol":1,"client":{"id":"a","version":"1","platform":"b","mode":"cli"}}',
  )
  const head = Buffer.from([0x81, 0x80 | hello.length, 0, 0, 0, 0])
  raw.write(Buffer.concat([Buffer.from(upgradeRequest('/ws')), head, hello]))
  await until(() => raw.received.includes('hello-ok'))
  raw.destroy()
  t.pass()
})

t.test('over TLS it is the same: frames, refusals and what is no WebSocket', async (t) => {
  const { cert, key } = await createCertificate()
  const baseDir = t.testdir({ 'cert.pem': cert, 'key.pem': key })
  const insecure = { rejectUnauthorized: false }
  const { connect, open, wsUrl, app } = await startApp(
    t,
    { tls: { enabled: true, cert: 'cert.pem', key: 'key.pem' } },
    { baseDir },
  )
  const socket = await connect({}, insecure)
  const data = 'x'.repeat(1_000_000)
  for (let i = 0; i < 5; i++) t.equal((await socket.call('gateway.ping', { data })).data.length, data.length)
  const foreign = await open('/', { ...insecure, headers: { origin: 'https://evil.example' } })
  t.equal((await foreign.closed).code, 4403)
  for (const path of ['/nope', '/health', '/%zz']) {
    const [error] = await once(new WebSocket(new URL(path, wsUrl), insecure), 'error')
    t.match(error, { message: /40[04]/ }, path)
  }
  socket.socket.close()
  await until(() => app.connections.size === 0)
})

t.test('a third party’s own WebSocket route works beside ours', async (t) => {
  const { url } = await startApp(
    t,
    {},
    {
      prepare: (app) => {
        app.register(async (plugin) => {
          plugin.get('/echo', { websocket: true }, (socket) => {
            socket.on('message', (data: Buffer) => socket.send(data.toString()))
          })
        })
      },
    },
  )
  const socket = new WebSocket(`${url.replace('http', 'ws')}/echo`)
  await once(socket, 'open')
  socket.send('hello')
  t.equal(String((await once(socket, 'message'))[0]), 'hello')
  socket.terminate()
})
