import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { RunningApp } from '../helpers/app.js'
import { startApp } from '../helpers/app.js'
import fc from '../helpers/properties.js'
import type { TestSocket } from '../helpers/socket.js'

const KEY = 'resume:1:main'

/** Appends `count` durable events of about `bytes` each. */
async function produce({ app }: RunningApp, count: number, bytes = 100): Promise<void> {
  const record = (await app.sessions.find(KEY)) ?? {
    key: KEY,
    channel: 'resume',
    title: null,
    agent: null,
    metadata: {},
    paused: false,
    queueMode: null,
    createdAt: 1,
    updatedAt: 1,
    resetSeq: 0,
  }
  const payload = JSON.stringify({ reason: 'x'.repeat(bytes) })
  // Of now: what is older than the retention may go at any time.
  const entry = { event: 'session.ended', sessionKey: KEY, at: Date.now(), payload }
  for (let left = count; left > 0; left -= 50) {
    await app.journal.saveSession(record, Array(Math.min(50, left)).fill(entry))
  }
}

/** Appends without a pause until the returned function is called. */
function produceSteadily(gateway: RunningApp, atOnce: number, pauseMs: number): () => Promise<void> {
  let busy = true
  const done = (async () => {
    while (busy) {
      await produce(gateway, atOnce)
      await sleep(pauseMs)
    }
  })()
  return () => {
    busy = false
    return done
  }
}

const seqs = (socket: TestSocket) =>
  socket.events().flatMap(({ seq }) => (seq === undefined ? [] : [seq as number]))

/** Waits for the event at this position. */
const reached = (socket: TestSocket, seq: number) =>
  socket.next((frame) => frame.seq === seq, Math.max(0, socket.frames.length - 1))

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

t.test('who comes back gets exactly the durable events that it missed, in order', async (t) => {
  const gateway = await startApp(t)
  const { journal } = gateway.app
  const first = await gateway.connect()
  t.strictSame(first.helloOk!.resume, { epoch: journal.epoch, seq: 0, recovered: false })
  await produce(gateway, 10)
  await reached(first, 10)
  first.terminate()
  await produce(gateway, 600)
  const second = await gateway.connect({ resume: { epoch: journal.epoch, seq: 10 } })
  t.strictSame(second.helloOk!.resume, { epoch: journal.epoch, seq: 10, recovered: true })
  await reached(second, 610)
  await produce(gateway, 5)
  await reached(second, 615)
  t.strictSame(seqs(second), range(11, 615))
  t.strictSame(
    second.events().map(({ id }) => id),
    range(11, 615).map((seq) => `ev_${seq}`),
    'an event has the same id each time',
  )
})

t.test('who missed nothing gets nothing twice', async (t) => {
  const gateway = await startApp(t)
  await produce(gateway, 3)
  const { epoch, head } = gateway.app.journal
  const socket = await gateway.connect({ resume: { epoch, seq: head } })
  t.strictSame(socket.helloOk!.resume, { epoch, seq: 3, recovered: true })
  await produce(gateway, 1)
  await reached(socket, 4)
  t.strictSame(seqs(socket), [4])
})

t.test('a position of another journal, or one that is not reached yet, is not recovered', async (t) => {
  const gateway = await startApp(t)
  await produce(gateway, 3)
  const { epoch, head } = gateway.app.journal
  for (const resume of [
    { epoch: 'another', seq: 1 },
    { epoch, seq: head + 1 },
    { epoch, seq: Number.MAX_SAFE_INTEGER },
  ]) {
    const socket = await gateway.connect({ resume })
    t.strictSame(socket.helloOk!.resume, { epoch, seq: head, recovered: false })
    await socket.call('gateway.ping')
    t.strictSame(seqs(socket), [], 'nothing that it might have seen already')
  }
  const socket = await gateway.connect({ resume: { epoch: 'another', seq: 1 } })
  await produce(gateway, 1)
  await reached(socket, head + 1)
})

t.test('there is no gap and no double while events come in at full speed', async (t) => {
  const gateway = await startApp(t)
  const { journal } = gateway.app
  await produce(gateway, 2_000)
  const stop = produceSteadily(gateway, 50, 1)
  t.teardown(stop)
  await fc.assert(
    fc.asyncProperty(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat({ max: 3 }),
      fc.boolean(),
      async (share, turns, subscribes) => {
        const from = Math.floor(journal.head * share)
        const socket = await gateway.connect({ resume: { epoch: journal.epoch, seq: from } })
        // Whatever is asked for in between disturbs nothing.
        for (let i = 0; i < turns; i++) await socket.call('gateway.ping')
        if (subscribes) await socket.call('events.subscribe', { patterns: ['*'] })
        const upTo = journal.head + 100
        await reached(socket, upTo)
        const got = seqs(socket)
        socket.terminate()
        return (
          JSON.stringify(got) === JSON.stringify(range(from + 1, from + got.length)) &&
          got.length >= upTo - from
        )
      },
    ),
    { numRuns: 25 },
  )
  await stop()
  t.pass()
})

t.test('who resumes with the last position it saw, again and again, sees each event once', async (t) => {
  const gateway = await startApp(t)
  const { epoch } = gateway.app.journal
  const stop = produceSteadily(gateway, 20, 1)
  t.teardown(stop)
  const all: number[] = []
  for (let i = 0; i < 30; i++) {
    const socket = await gateway.connect({ resume: { epoch, seq: all.at(-1) ?? 0 } })
    await socket.next((frame) => frame.seq > (all.at(-1) ?? 0) + 20)
    socket.terminate()
    all.push(...seqs(socket))
  }
  await stop()
  t.strictSame(all, range(1, all.length))
})

t.test(
  'a subscription that changes during a replay holds for the rest of it, without gap or double',
  async (t) => {
    const gateway = await startApp(t)
    const { epoch } = gateway.app.journal
    await produce(gateway, 3_000, 2_000)
    const socket = await gateway.open()
    socket.socket.pause()
    socket.send({
      type: 'hello',
      minProtocol: 1,
      maxProtocol: 1,
      client: { id: 'test', version: '1', platform: 'node', mode: 'cli' },
      resume: { epoch, seq: 0 },
    })
    socket.send({ type: 'request', id: 's', method: 'events.subscribe', params: { patterns: ['*'] } })
    socket.send({
      type: 'request',
      id: 't',
      method: 'events.subscribe',
      params: { patterns: ['session.*'], sessionKeys: [KEY] },
    })
    await sleep(50)
    await produce(gateway, 100)
    socket.socket.resume()
    await reached(socket, 3_100)
    t.strictSame(seqs(socket), range(1, 3_100))
    t.match(await socket.next((frame) => frame.id === 't'), { result: { subscriptions: { length: 2 } } })
  },
)

t.test('a slow reader of a long replay is neither closed nor taken for dead', async (t) => {
  const gateway = await startApp(t, {
    connection: { maxBufferedBytes: 65_536, heartbeatMs: 100 },
  })
  const { epoch } = gateway.app.journal
  await produce(gateway, 8_000, 1_500)
  const socket = await gateway.open()
  const stop = produceSteadily(gateway, 10, 20)
  t.teardown(stop)
  void socket.hello({ resume: { epoch, seq: 0 } })
  // Reads for a moment, then not, for several heartbeats in all.
  for (let i = 0; i < 25; i++) {
    socket.socket.pause()
    await sleep(30)
    socket.socket.resume()
    await sleep(3)
  }
  await stop()
  await reached(socket, gateway.app.journal.head)
  t.strictSame(seqs(socket), range(1, gateway.app.journal.head))
  t.equal(socket.socket.readyState, socket.socket.OPEN)
})

t.test('events larger than the whole buffer are replayed as well', async (t) => {
  const gateway = await startApp(t, { connection: { maxBufferedBytes: 16_384 } })
  await produce(gateway, 60, 40_000)
  const socket = await gateway.open()
  socket.socket.pause()
  void socket.hello({ resume: { epoch: gateway.app.journal.epoch, seq: 0 } })
  await sleep(30)
  socket.socket.resume()
  await reached(socket, 60)
  t.strictSame(seqs(socket), range(1, 60))
})

t.test('a replay keeps nobody waiting, and its end by the client ends it', async (t) => {
  const gateway = await startApp(t)
  const { journal } = gateway.app
  const { epoch } = journal
  await produce(gateway, 20_000)
  const other = await gateway.connect()
  const reader = await gateway.open()
  void reader.hello({ resume: { epoch, seq: 0 }, subscribe: ['never.*'] })
  let pings = 0
  let pages = 0
  const replayed = journal.replay.bind(journal)
  journal.replay = (...args) => {
    pages++
    return replayed(...args)
  }
  await reader.next((frame) => frame.type === 'hello-ok')
  while (pages < 20_000 / 256 - 1) {
    await other.call('gateway.ping')
    pings++
  }
  t.ok(pings > 5, `${pings} requests of another were answered meanwhile`)
  const leaving = await gateway.open()
  leaving.socket.pause()
  leaving.hello({ resume: { epoch, seq: 0 } }).catch(() => {})
  const before = pages
  while (pages < before + 2) await sleep(1)
  leaving.terminate()
  while ([...gateway.app.connections].length > 2) await sleep(1)
  const after = pages
  await other.call('gateway.ping')
  await other.call('gateway.ping')
  t.ok(pages <= after + 1)
})

t.test('a replay that cannot read the journal ends with 1011, so that the client comes back', async (t) => {
  const gateway = await startApp(t)
  await produce(gateway, 10)
  const { journal } = gateway.app
  journal.replay = () => Promise.reject(new Error('unreadable'))
  const socket = await gateway.connect({ resume: { epoch: journal.epoch, seq: 0 } })
  t.equal((await socket.closed).code, 1011)
  t.notOk(socket.frames.some((frame) => frame.type === 'hello-error'))
})

t.test('a reader whom retention overtakes is sent away to learn of the gap', async (t) => {
  const gateway = await startApp(t)
  await produce(gateway, 1_000)
  const { journal } = gateway.app
  const socket = await gateway.open()
  let calls = 0
  journal.holds = () => ++calls <= 2
  const closed = socket.hello({ resume: { epoch: journal.epoch, seq: 0 } }).then(() => socket.closed)
  t.equal((await closed).code, 4409)
  const got = seqs(socket)
  t.strictSame(got, range(1, got.length), 'what came was without gap')
})
