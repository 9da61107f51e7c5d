import t from 'tap'
import { startApp } from '../helpers/app.js'
import { clientFrame, RawSocket } from '../helpers/raw-socket.js'
import { until } from '../helpers/until.js'

const HELLO = JSON.stringify({
  type: 'hello',
  minProtocol: 1,
  maxProtocol: 1,
  client: { id: 'a', version: '1', platform: 'b', mode: 'cli' },
})

/** A hello in two frames' worth of bytes: longer than the raw helper's small frames. */
function helloFrame(): Buffer {
  const payload = Buffer.from(HELLO)
  return Buffer.concat([Buffer.from([0x81, 0x80 | 126, 0, payload.length, 0, 0, 0, 0]), payload])
}

t.test('a peer that leaves two pings unanswered is terminated, one that answers lives on', async (t) => {
  const { connect, app } = await startApp(t, { connection: { heartbeatMs: 100 } })
  const mute = await connect({}, { autoPong: false })
  const alive = await connect()
  t.equal((await mute.closed).code, 1006)
  t.equal(mute.pings, 2)
  await until(() => app.connections.size === 1)
  t.ok(await alive.call('gateway.ping'))
})

t.test('a pong after one missed ping is enough', async (t) => {
  const { connect } = await startApp(t, { connection: { heartbeatMs: 100 } })
  const lazy = await connect({}, { autoPong: false })
  let pings = 0
  lazy.socket.on('ping', () => {
    if (++pings % 2 === 0) lazy.socket.pong()
  })
  // For one that came before it was listened for.
  lazy.socket.pong()
  await until(() => pings >= 6)
  t.ok(await lazy.call('gateway.ping'))
})

t.test('half a frame and then silence ends the same way', async (t) => {
  const { app, url } = await startApp(t, { connection: { heartbeatMs: 100 } })
  const raw = await RawSocket.upgraded(url)
  t.teardown(() => raw.destroy())
  raw.write(helloFrame())
  await until(() => raw.received.includes('hello-ok'))
  raw.write(clientFrame('{"type":"request","id":"never"}').subarray(0, 15))
  await raw.closed
  await until(() => app.connections.size === 0)
})

t.test('half a hello ends with the time for it', async (t) => {
  const { app, url } = await startApp(t, { connection: { handshakeTimeoutMs: 50, closeGraceMs: 50 } })
  const raw = await RawSocket.upgraded(url)
  raw.write(helloFrame().subarray(0, 30))
  await raw.closed
  await until(() => app.connections.size === 0)
  t.match(app.connections.stats.closes, { HELLO_TIMEOUT: 1 })
})

t.test('peers that vanish are forgotten, whatever they were doing', async (t) => {
  const { connect, open, app, url } = await startApp(t)
  const sockets = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? connect() : open())))
  for (const [i, socket] of sockets.entries()) {
    if (i % 3 === 0) socket.send({ type: 'request', id: 'x', method: 'sessions.list' })
    socket.terminate()
  }
  const raw = await RawSocket.upgraded(url)
  raw.socket.resetAndDestroy()
  await until(() => app.connections.size === 0)
  t.strictSame(app.events.stats.deliveries, 0)
})

t.test('a client that closes while requests are in flight gets its close answered', async (t) => {
  const { connect } = await startApp(t)
  for (let round = 0; round < 20; round++) {
    const socket = await connect()
    for (let i = 0; i < 50; i++)
      socket.send({ type: 'request', id: `${i}`, method: i % 2 ? 'sessions.list' : 'gateway.ping' })
    socket.socket.close(1000, 'done')
    t.equal((await socket.closed).code, 1000)
  }
})

t.test('a peer that only ends its side of the connection is let go', async (t) => {
  const { app, url } = await startApp(t)
  const raw = await RawSocket.upgraded(url)
  raw.write(helloFrame())
  await until(() => raw.received.includes('hello-ok'))
  raw.socket.end()
  await raw.closed
  await until(() => app.connections.size === 0)
  t.pass()
})

t.test('pings go out in turns, each connection once an interval', async (t) => {
  const { connect } = await startApp(t, { connection: { heartbeatMs: 200 } })
  const sockets = await Promise.all(Array.from({ length: 16 }, () => connect()))
  const counts = sockets.map(() => 0)
  for (const [i, { socket }] of sockets.entries()) socket.on('ping', () => counts[i]!++)
  await until(() => counts[0]! >= 3)
  for (const count of counts) t.ok(Math.abs(count - 3) <= 1, `${count} pings`)
})
