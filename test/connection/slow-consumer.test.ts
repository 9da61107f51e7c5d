import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import type { Connection } from '../../src/connection/connection.js'
import { contract } from '../../src/protocol/index.js'
import { type RunningApp, startApp } from '../helpers/app.js'
import type { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

const MAX = 65_536
const CONFIG = { connection: { maxBufferedBytes: MAX, closeGraceMs: 5_000 } }

const connectionOf = ({ app }: RunningApp, socket: TestSocket): Connection =>
  [...app.connections].find(({ id }) => id === socket.helloOk!.server.connId)!

/** Broadcasts a turn's worth of numbered events of about 1 kB. */
function eventMaker({ app }: RunningApp, event: string, droppable: boolean) {
  let count = 0
  const text = 'x'.repeat(1000)
  return async (turn = 10) => {
    for (let i = 0; i < turn; i++) {
      const payload = JSON.stringify({ runId: 'r', n: count++, text })
      app.events.broadcast({ event, sessionKey: 'a:1', at: 1, payload, seq: 0 }, droppable)
    }
    await new Promise(setImmediate)
    return count
  }
}

t.test('past half of the buffer deltas are dropped, and the next event says how many', async (t) => {
  const gateway = await startApp(t, CONFIG)
  const reader = await gateway.connect()
  const other = await gateway.connect()
  const { outbox } = connectionOf(gateway, reader)
  const { stats } = gateway.app.connections.flusher
  const deltas = eventMaker(gateway, 'agent.delta', true)
  reader.socket.pause()
  let sent = 0
  while (stats.deltasDropped < 100) sent = await deltas()
  t.ok(outbox.bufferedBytes <= MAX / 2 + 2_000, `${outbox.bufferedBytes} bytes`)

  const kept = sent - stats.deltasDropped
  reader.socket.resume()
  await until(() => outbox.bufferedBytes === 0)
  const last = eventMaker(gateway, 'session.ended', false)
  await last(2)
  const [first, second] = await reader.all(2, ({ event }) => event === 'session.ended')
  t.equal(first!.dropped, stats.deltasDropped)
  t.notOk('dropped' in second!, 'said once')
  t.strictSame(
    reader
      .events()
      .filter(({ event }) => event === 'agent.delta')
      .map(({ payload }) => payload.n),
    Array.from({ length: kept }, (_, n) => n),
  )
  await other.all(sent, ({ event }) => event === 'agent.delta')
  t.notOk(
    other.frames.some((frame) => 'dropped' in frame),
    'another reader has them all',
  )
})

t.test('who does not read is closed with 4409; the others notice nothing', async (t) => {
  const gateway = await startApp(t, CONFIG)
  const stuck = await gateway.connect()
  const other = await gateway.connect()
  const connection = connectionOf(gateway, stuck)
  const events = eventMaker(gateway, 'session.ended', false)
  stuck.socket.pause()
  let sent = 0
  let most = 0
  while (connection.state === 'open') {
    sent = await events()
    most = Math.max(most, connection.outbox.bufferedBytes)
    t.ok(await other.call('gateway.ping'), 'served meanwhile')
  }
  t.ok(most <= MAX, `${most} bytes unread at most`)
  sent = await events(100)
  t.ok(connection.outbox.bufferedBytes <= MAX, 'nothing is added after the end')
  stuck.socket.resume()
  t.match(await stuck.closed, { code: 4409 })
  t.strictSame(gateway.app.connections.stats.closes, { SLOW_CONSUMER: 1 })
  t.equal(gateway.app.connections.stats.slowConsumers, 1)
  await other.all(sent, ({ event }) => event === 'session.ended')
  const got = stuck.events().map(({ payload }) => payload.n)
  t.strictSame(
    got,
    Array.from({ length: got.length }, (_, n) => n),
    'what it got has no gap',
  )
})

t.test('a peer that never reads again is gone after the grace', async (t) => {
  const gateway = await startApp(t, { connection: { maxBufferedBytes: MAX, closeGraceMs: 50 } })
  const stuck = await gateway.connect()
  const connection = connectionOf(gateway, stuck)
  const events = eventMaker(gateway, 'session.ended', false)
  stuck.socket.pause()
  while (connection.state === 'open') await events()
  await until(() => gateway.app.connections.size === 0)
  stuck.socket.resume()
  t.match((await stuck.closed).code, /^(1006|4409)$/)
})

t.test('many stuck readers cost bounded memory', async (t) => {
  const gateway = await startApp(t, CONFIG)
  const sockets = await Promise.all(Array.from({ length: 10 }, () => gateway.connect()))
  const connections = sockets.map((socket) => connectionOf(gateway, socket))
  for (const { socket } of sockets) socket.pause()
  const deltas = eventMaker(gateway, 'agent.delta', true)
  for (let i = 0; i < 600; i++) {
    await deltas(20)
    for (const { outbox } of connections) {
      if (outbox.bufferedBytes > MAX / 2 + 25_000) t.fail(`${outbox.bufferedBytes} bytes are unread`)
    }
  }
  t.ok(
    connections.every(({ state }) => state === 'open'),
    'deltas alone close nobody',
  )
})

const blob = contract({
  name: 'test.blob',
  summary: 'A large result.',
  scope: null,
  large: true,
  params: Type.Object({}),
  result: Type.Unknown(),
})

t.test(
  'large answers to many requests at once come one after the other, however slowly they are read',
  async (t) => {
    const answer = { text: 'x'.repeat(100_000) }
    let most = 0
    let running = 0
    const gateway = await startApp(t, CONFIG, {
      prepare: (app) =>
        app.method(blob, async (_params, { connection }) => {
          most = Math.max(most, connection.outbox.bufferedBytes)
          t.equal(++running, 1, 'one at a time')
          await new Promise(setImmediate)
          running--
          return answer
        }),
    })
    const socket = await gateway.connect()
    for (let i = 0; i < 200; i++) socket.send({ type: 'request', id: `b${i}`, method: 'test.blob' })
    socket.send({ type: 'request', id: 'quick', method: 'gateway.ping' })
    const reading = socket.all(200, ({ id }) => id?.startsWith('b') ?? false)
    for (let i = 0; i < 10; i++) {
      socket.socket.pause()
      await sleep(10)
      socket.socket.resume()
      await sleep(1)
    }
    for (const { error, result } of await reading) {
      t.equal(error, null)
      t.equal(result.text.length, 100_000)
    }
    t.ok(await socket.next(({ id }) => id === 'quick'))
    t.ok(most <= MAX / 2, `${most} bytes were unread when the next was begun`)
    t.equal(socket.socket.readyState, socket.socket.OPEN)
  },
)

t.test(
  'a client that pipelines big requests and reads is never closed, also while events come in',
  async (t) => {
    const gateway = await startApp(t, CONFIG)
    const socket = await gateway.connect()
    const sessionKey = 'a:big'
    await socket.call('sessions.send', { content: 'x'.repeat(60_000), wait: true }, sessionKey)
    const events = eventMaker(gateway, 'session.updated', false)
    const wanted = 300
    for (let i = 0; i < wanted; i++) {
      socket.send({ type: 'request', id: `h${i}`, method: 'sessions.history', sessionKey })
      if (i % 10 === 0) await events(1)
      if (i % 50 === 0) await sleep(5)
    }
    const answers = await socket.all(wanted, ({ id }) => id?.startsWith('h') ?? false)
    t.strictSame(
      answers.filter(({ error }) => error !== null && error.code !== 'RATE_LIMITED'),
      [],
    )
    await socket.all(30, ({ event }) => event === 'session.updated')
    t.strictSame(gateway.app.connections.stats.closes, {})
  },
)

t.test('answers as large as a frame may be go out, many in a row', async (t) => {
  const gateway = await startApp(t)
  const socket = await gateway.connect()
  const data = 'x'.repeat(1_048_000)
  for (let i = 0; i < 20; i++) {
    socket.send({ type: 'request', id: `small${i}`, method: 'gateway.ping' })
    socket.send({ type: 'request', id: `big${i}`, method: 'gateway.ping', params: { data } })
  }
  const answers = await socket.all(40, ({ type }) => type === 'response')
  t.ok(answers.every(({ error }) => error === null))
})

t.test('whoever asks and does not read is not read either, until the heartbeat ends it', async (t) => {
  const gateway = await startApp(t, { connection: { maxBufferedBytes: MAX, heartbeatMs: 200 } })
  const socket = await gateway.connect()
  const { outbox } = connectionOf(gateway, socket)
  socket.socket.pause()
  const data = 'x'.repeat(20_000)
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, outbox.bufferedBytes)
    for (let i = 0; i < 20; i++)
      socket.send({ type: 'request', id: 'a', method: 'gateway.ping', params: { data } })
  }, 2)
  t.teardown(() => clearInterval(watch))
  await until(() => gateway.app.connections.size === 0)
  clearInterval(watch)
  t.ok(most < MAX * 2, `${most} bytes unread at most`)
})

t.test('a steady stream does not keep a client that reads from being read', async (t) => {
  const gateway = await startApp(t, CONFIG)
  const socket = await gateway.connect()
  const { outbox } = connectionOf(gateway, socket)
  const events = eventMaker(gateway, 'session.ended', false)
  socket.socket.pause()
  while (!outbox.congested) await events(5)
  socket.send({ type: 'request', id: 'patient', method: 'gateway.ping' })
  socket.socket.resume()
  // As much as it reads comes in again: all of it is never read.
  let relieved = 0
  while (!socket.frames.some(({ id }) => id === 'patient')) {
    if (outbox.bufferedBytes < MAX / 4) await events(8)
    else await new Promise(setImmediate)
    relieved++
  }
  t.ok(relieved > 0)
  t.equal(socket.socket.readyState, socket.socket.OPEN)
})
