import { once } from 'node:events'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { contract } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'
import { RawSocket } from '../helpers/raw-socket.js'
import { until } from '../helpers/until.js'

const hold = contract({
  name: 'test.hold',
  summary: 'Never answers.',
  scope: null,
  params: Type.Object({}),
  result: Type.Unknown(),
})

t.test(
  'at a stop everyone is told, requests in flight are refused, and the connections end with 1001',
  async (t) => {
    let signal: AbortSignal | undefined
    const { connect, open, app } = await startApp(
      t,
      {},
      {
        prepare: (app) =>
          app.method(hold, (_params, context) => {
            signal = context.signal
            return new Promise(() => {})
          }),
      },
    )
    const [busy, idle, silent] = [await connect(), await connect({ subscribe: ['gateway.*'] }), await open()]
    busy.send({ type: 'request', id: 'held', method: 'test.hold' })
    await until(() => signal !== undefined)
    const aborted = once(signal!, 'abort')
    await app.close()
    await aborted
    t.match(await busy.event('gateway.shutdown'), {
      payload: { reason: 'stop', restart: false, drainTimeoutMs: 5_000 },
      sessionKey: null,
    })
    t.match(await busy.next((frame) => frame.id === 'held'), {
      result: null,
      error: { code: 'UNAVAILABLE', retryable: true, retryAfterMs: 1000 },
    })
    t.ok(await idle.event('gateway.shutdown'))
    for (const socket of [busy, idle, silent]) t.equal((await socket.closed).code, 1001)
    t.equal(app.connections.size, 0)
  },
)

t.test('at a restart it is 1012, and the event says so', async (t) => {
  const { connect, app } = await startApp(t)
  const socket = await connect()
  app.lifecycle.restarting = true
  await app.close()
  t.match(await socket.event('gateway.shutdown'), { payload: { reason: 'restart', restart: true } })
  t.equal((await socket.closed).code, 1012)
})

t.test('while the lanes drain, runs end, requests are answered and new work is refused', async (t) => {
  let finish = () => {}
  const { connect, open, app } = await startApp(
    t,
    { defaultAgent: 'slow', agents: { slow: { type: 'slow' } } },
    {
      prepare: (app) =>
        app.agent('slow', () => ({
          type: 'slow',
          run: () => new Promise((resolve) => (finish = () => resolve({ content: 'done at last' }))),
        })),
    },
  )
  const socket = await connect()
  const waiting = socket.request('sessions.send', { content: 'hi', wait: true }, 'a')
  await socket.event('agent.started')
  const closing = app.close()
  await socket.event('gateway.shutdown')
  t.ok(await socket.call('gateway.ping'), 'requests are answered')
  t.match(await socket.refused('sessions.send', { content: 'more' }, 'a'), {
    code: 'UNAVAILABLE',
    retryable: true,
  })
  const late = await open().catch(() => null)
  if (late !== null) t.equal((await late.closed).code, 1001, 'who comes now is sent away')
  finish()
  t.match(await waiting, {
    result: { outcome: { status: 'completed', message: { content: 'done at last' } } },
  })
  await closing
  t.equal((await socket.closed).code, 1001)
})

t.test('peers that do not answer the close are destroyed after the grace', async (t) => {
  const { app, url, connect } = await startApp(t, { connection: { closeGraceMs: 100 } })
  const dead = await RawSocket.upgraded(url)
  const alive = await connect()
  alive.socket.pause()
  await app.close()
  await dead.closed
  t.equal(app.connections.size, 0)
})

t.test('closing twice, at once and later, is fine', async (t) => {
  const { app, connect } = await startApp(t)
  const socket = await connect()
  await Promise.all([
    app.connections.closeAll('SHUTTING_DOWN'),
    app.connections.closeAll('SHUTTING_DOWN'),
    app.close(),
    app.close(),
  ])
  await app.close()
  t.equal((await socket.closed).code, 1001)
})

t.test('a stop in the middle of handshakes and replays leaves nothing open', async (t) => {
  const { app, open } = await startApp(t)
  for (let i = 0; i < 500; i++) await app.sessions.create(`a:${i}`, { metadata: { text: 'x'.repeat(5000) } })
  const sockets = await Promise.all(Array.from({ length: 10 }, () => open()))
  for (const socket of sockets) {
    socket.hello({ resume: { epoch: app.journal.epoch, seq: 0 } }).catch(() => {})
    if (socket === sockets[0]) socket.socket.pause()
  }
  await app.close()
  sockets[0]!.socket.resume()
  for (const socket of sockets) t.match((await socket.closed).code, /^100[16]$/)
  t.equal(app.connections.size, 0)
})
