import { once } from 'node:events'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { createCertificate } from '../auth/certificates.js'
import { RawSocket, upgradeRequest } from '../helpers/raw-socket.js'
import { until } from '../helpers/until.js'
import { beside, startFaulty } from './harness.js'

const LIMITS = { handshakeTimeoutMs: 2_000, requestTimeoutMs: 2_400, idleTimeoutMs: 4_500, closeGraceMs: 200 }

const gateway = await startFaulty(t, { config: { connection: LIMITS } })

t.test('half an HTTP request, in its head or its body, and then silence: 408, and gone', async (t) => {
  const whole = 'POST /health HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n12345'
  await beside(t, gateway, async () => {
    const cuts = [0, 1, 4, 12, 22, 30, whole.length - 9]
    const sockets = cuts.map((cut) => {
      const raw = new RawSocket(gateway.process.url)
      raw.write(whole.slice(0, cut))
      return raw
    })
    const slow = new RawSocket(gateway.process.url)
    slow.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n')
    // It shows signs of life, of no use to anyone.
    const trickle = setInterval(() => slow.write(`X-${Date.now()}: a\r\n`), 50)
    t.teardown(() => clearInterval(trickle))
    // The one whose body is missing may be answered before: nobody has asked for that body.
    const bodies = ['', 'Expect: 100-continue\r\n'].map((expects) => {
      const raw = new RawSocket(gateway.process.url)
      raw.write(`POST /health HTTP/1.1\r\nHost: 127.0.0.1\r\n${expects}Content-Length: 10\r\n\r\n12345`)
      return raw
    })
    const upgrade = new RawSocket(gateway.process.url)
    upgrade.write(upgradeRequest('/ws').slice(0, 60))
    for (const raw of [...sockets, slow, upgrade]) t.match(await raw.answer(), ERROR_408)
    for (const raw of bodies) t.match(await raw.answer(), / (404|408) /)
  })
})

const ERROR_408 =
  /^HTTP\/1.1 408 Request Timeout\r\n.*\r\n\r\n\{"error":\{"code":"INVALID_REQUEST","message":"The request did not arrive in time\."/s

t.test('an HTTP connection on which nothing passes is destroyed, be it idle or not read', async (t) => {
  await beside(t, gateway, async () => {
    const before = await gateway.inspect()
    const idle = new RawSocket(gateway.process.url)
    idle.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    t.match(await idle.answer(), /^HTTP\/1.1 200 /)
    const deaf = new RawSocket(gateway.process.url)
    deaf.socket.pause()
    deaf.write('GET /methods HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(1_000))
    t.teardown(() => deaf.destroy())
    const { bytes } = await gateway.inspect()
    t.ok(bytes - before.bytes < 15_000_000, `${bytes - before.bytes} bytes for what it does not read`)
    // That it is gone at the gateway's side is seen there: its descriptors are as before.
  })
})

t.test('what is no HTTP gets the shape of all errors', async (t) => {
  await beside(t, gateway, async () => {
    const refused = {
      'nonsense\r\n\r\n': 400,
      'GET / HTTP/9.9\r\n\r\n': 400,
      '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc': 400,
      [`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`]: 431,
    }
    for (const [request, status] of Object.entries(refused)) {
      const raw = new RawSocket(gateway.process.url)
      raw.write(Buffer.from(request, 'latin1'))
      const [head, body] = (await raw.answer()).split('\r\n\r\n')
      t.match(head, `HTTP/1.1 ${status} `)
      t.match(JSON.parse(body!), {
        error: { code: 'INVALID_REQUEST', message: String, details: null, retryable: false },
      })
    }
  })
})

t.test('half a TLS handshake and then silence: gone after the time for it', async (t) => {
  const { cert, key } = await createCertificate()
  const gateway = await startFaulty(t, {
    config: {
      connection: LIMITS,
      tls: { enabled: true, cert: './cert.pem', key: './key.pem' },
    },
    files: { 'cert.pem': cert, 'key.pem': key },
    env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
  })
  const polite = await gateway.polite()
  const open = gateway.descriptors()
  const port = Number(new URL(gateway.process.url).port)
  const hello = await clientHello()
  const sockets: Socket[] = []
  for (const bytes of [
    Buffer.alloc(0),
    hello.subarray(0, 20),
    hello,
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  ]) {
    for (let i = 0; i < 10; i++) {
      const socket = connectTcp(port, '127.0.0.1').on('error', () => {})
      socket.resume().write(bytes)
      sockets.push(socket)
    }
  }
  // Whole handshakes with half a request behind them.
  for (let i = 0; i < 10; i++) {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }).on('error', () => {})
    socket.resume().write('GET / HT')
    sockets.push(socket)
  }
  await polite.during(Promise.all(sockets.map((socket) => once(socket, 'close'))))
  await until(() => gateway.descriptors() <= open)
  t.pass('none is left')
  await polite.verify(t)
})

/** The first bytes that a TLS client sends. */
async function clientHello(): Promise<Buffer> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const client = connectTls({ port, host: '127.0.0.1' }).on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [Socket]
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return bytes
}
