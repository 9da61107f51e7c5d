import t, { type Test } from 'tap'
import { createWorkerAgent } from '../../src/agents/worker.js'
import { ConfigError } from '../../src/config/problems.js'
import { agentSuite } from '../../src/testing/agent-suite.js'
import { type ConfigOverrides, startApp } from '../helpers/app.js'
import type { Frame } from '../helpers/socket.js'
import { TestWorker } from '../helpers/test-worker.js'
import { until } from '../helpers/until.js'

const KEY = 'web:1:main'

/** A gateway whose default agent is of type worker. */
async function startPool(t: Test, options: object = {}, overrides: ConfigOverrides = {}) {
  const running = await startApp(t, {
    defaultAgent: 'brain',
    agents: { brain: { type: 'worker', ...options } },
    ...overrides,
    lanes: { retry: { attempts: 2, backoffMs: 1, maxBackoffMs: 2 }, ...overrides.lanes },
    shutdown: { drainTimeoutMs: 10 },
  })
  return {
    ...running,
    work: (more: Parameters<typeof TestWorker.connect>[1] = {}) => TestWorker.connect(running, more),
  }
}

t.test('behaves as every agent does', async (t) => {
  agentSuite(
    (name, body) => t.test(name, () => body()),
    async () => {
      const { app, work } = await startPool(t)
      const worker = await work({ credit: 10 })
      const answer = async () => {
        for (;;) {
          const run = await worker.next()
          const { content } = run.event.payload
          if (content === 'hang') continue
          if (content === 'fail') {
            await worker.fail(run, { message: 'I will not.' })
            continue
          }
          if (content === 'ask') for (const text of ['Hello', ', you!']) worker.delta(run, text)
          await worker.complete(run, content === 'ask' ? 'Hello, you!' : '')
        }
      }
      answer().catch(() => {})
      return {
        agent: app.agents.get('brain')!.agent,
        ask: { content: 'ask', answer: 'Hello, you!', streams: true },
        hang: 'hang',
        fail: 'fail',
        close: () => app.close(),
      }
    },
  )
})

t.test('a worker gets all that a run needs, streams, and completes it', async (t) => {
  const { connect, work } = await startPool(t, { timeoutMs: 60_000 })
  const client = await connect()
  const worker = await work()
  const first = client.call('sessions.send', { content: 'one', wait: true }, KEY)
  await worker.complete(await worker.next(), 'ONE')
  await first
  const sent = await client.call('sessions.send', { content: 'two' }, KEY)
  const run = await worker.next()
  t.match(run, {
    agent: 'brain',
    runId: sent.runId,
    attempt: 1,
    event: { id: sent.eventId, payload: { content: 'two' } },
    session: { key: KEY, channel: 'web' },
    history: [
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'ONE' },
    ],
  })
  t.ok(run.deadlineMs > 0 && run.deadlineMs <= 60_000)
  t.equal(run.events, undefined)
  worker.delta(run, 'T')
  worker.delta(run, 'WO')
  await worker.complete(run, 'TWO', { metadata: { mood: 'good' }, usage: { tokens: 3 } })
  await client.event('agent.completed', ({ payload }) => payload.runId === sent.runId)
  const said = client.events().filter(({ payload }) => payload.runId === sent.runId)
  t.same(
    said.map(({ event, payload }) => [event, payload.text ?? payload.content ?? null]),
    [
      ['session.message', 'two'],
      ['agent.started', null],
      ['agent.delta', 'T'],
      ['agent.delta', 'WO'],
      ['session.message', 'TWO'],
      ['agent.completed', null],
    ],
  )
  t.match(said.at(-1)!.payload.usage, { tokens: 3 })
  t.match(said.at(-2)!.payload.metadata, { mood: 'good' })
})

t.test('what a worker tells of tools and reasoning goes to those who watch', async (t) => {
  const { connect, work } = await startPool(t)
  const client = await connect()
  const worker = await work()
  const { runId } = await client.call('sessions.send', { content: 'hi' }, KEY)
  const run = await worker.next()
  worker.report(run, { type: 'reasoning', text: 'Hm.' })
  worker.report(run, { type: 'tool', callId: 'c1', status: 'started', title: 'look' })
  t.match((await client.event('agent.reasoning')).payload, { runId, text: 'Hm.' })
  t.match((await client.event('agent.tool')).payload, {
    runId,
    callId: 'c1',
    status: 'started',
    title: 'look',
  })
  worker.report(run, { type: 'dance' })
  t.match((await worker.socket.next(({ id }) => id === `p-${run.lease}`)).error, { code: 'INVALID_REQUEST' })
  await worker.complete(run, 'done')
  worker.report(run, { type: 'reasoning', text: 'late' })
  await worker.socket.next(({ error }) => error?.code === 'CONFLICT')
})

t.test('the history is as long as the options let it be, the newest first', async (t) => {
  const { connect, work } = await startPool(t, { historyMaxBytes: 700 })
  const client = await connect()
  const worker = await work()
  for (const content of ['one', 'two', 'three']) {
    const sent = client.call('sessions.send', { content, wait: true }, KEY)
    await worker.complete(await worker.next(), content.toUpperCase())
    await sent
  }
  await client.call('sessions.send', { content: 'four' }, KEY)
  const { history } = await worker.next()
  const said = history.map(({ content }: Frame) => content)
  t.ok(said.length >= 1 && said.length < 6, said.join())
  t.equal(said.at(-1), 'THREE')
  t.ok(Buffer.byteLength(history.map((entry: object) => JSON.stringify(entry)).join('')) <= 700)
})

t.test('runs are shared among the workers, never beyond their credit; the others wait', async (t) => {
  const { connect, work, app } = await startPool(t)
  const client = await connect()
  const [a, b] = [await work({ credit: 2 }), await work({ credit: 2 })]
  for (let n = 1; n <= 6; n++) await client.call('sessions.send', { content: `${n}` }, `web:${n}:main`)
  const first = [await a.next(), await a.next()]
  const second = [await b.next(), await b.next()]
  await until(() => app.agents.get('brain')!.gate!.waiting === 2)
  t.same((await client.call('agents.list')).agents[0], {
    name: 'brain',
    type: 'worker',
    default: true,
    waiting: 2,
    workers: { connected: 2, credit: 4, running: 4 },
  })
  await a.socket.call('gateway.ping')
  t.equal(a.runs.length + b.runs.length, 4, 'two wait')
  t.same([...a.contents].map(Number).sort(), [1, 3], 'each in turn')
  await b.complete(second[0], 'done')
  t.equal((await b.next()).event.payload.content, '5')
  await a.complete(first[1], 'done')
  t.equal((await a.next()).event.payload.content, '6')
  const { body } = await app.inject('/metrics')
  t.match(body, /gateway_workers\{agent="brain"\} 2/)
  t.match(body, /gateway_worker_credit\{agent="brain"\} 4/)
  t.match(body, /gateway_worker_runs\{agent="brain"\} 4/)
})

t.test('a worker that takes its credit back finishes what it has and gets nothing more', async (t) => {
  const { connect, work } = await startPool(t)
  const client = await connect()
  const [leaving, staying] = [await work(), await work({ credit: 0 })]
  const one = await client.call('sessions.send', { content: 'one' }, KEY)
  const run = await leaving.next()
  await leaving.register(0)
  await client.call('sessions.send', { content: 'two' }, 'web:2:main')
  await leaving.complete(run, 'done')
  t.match(await client.call('agent.wait', { runId: one.runId }), { status: 'completed' })
  await staying.register(1)
  t.equal((await staying.next()).event.payload.content, 'two')
  t.same(leaving.contents, ['one'])
})

t.test(
  'what a lost worker had goes to another at once, in the same try, and begins anew for those who watch',
  async (t) => {
    const { connect, work, app } = await startPool(t)
    const client = await connect()
    const [lost, other] = [await work(), await work({ credit: 0 })]
    const { runId } = await client.call('sessions.send', { content: 'hi' }, KEY)
    const before = await lost.next()
    lost.delta(before, 'Hal')
    await client.event('agent.delta')
    lost.socket.terminate()
    await other.register(1)
    const after = await other.next()
    t.match(after, { runId, attempt: 1, event: { id: before.event.id } })
    t.not(after.lease, before.lease)
    other.delta(after, 'Hello')
    await other.complete(after, 'Hello')
    t.match(await client.call('agent.wait', { runId }), {
      status: 'completed',
      message: { content: 'Hello' },
    })
    t.same(
      client
        .events()
        .filter(({ event }) => event.startsWith('agent.'))
        .map(({ event, payload }) => [event, payload.text]),
      [
        ['agent.started', undefined],
        ['agent.delta', 'Hal'],
        ['agent.started', undefined],
        ['agent.delta', 'Hello'],
        ['agent.completed', undefined],
      ],
    )
    t.match((await app.inject('/metrics')).body, /gateway_worker_handovers_total\{agent="brain"\} 1/)
  },
)

t.test('who has lost a lease is refused and changes nothing', async (t) => {
  const { connect, work } = await startPool(t)
  const client = await connect()
  const [old, other] = [await work(), await work({ credit: 0 })]
  const { runId } = await client.call('sessions.send', { content: 'hi' }, KEY)
  const before = await old.next()
  await old.socket.call('worker.unregister', { agent: 'brain' })
  await other.register(1)
  const after = await other.next()
  await old.register(1)
  const { lease } = before
  t.match(await old.socket.refused('worker.complete', { lease, content: 'late' }), { code: 'CONFLICT' })
  t.match(await old.socket.refused('worker.fail', { lease, error: { message: 'late' } }), {
    code: 'CONFLICT',
  })
  old.delta(before, 'late')
  t.match((await old.socket.next(({ id }) => id === `d-${lease}`)).error, {
    code: 'CONFLICT',
    details: { lease },
  })
  t.match(
    await old.socket.refused('worker.complete', { lease: after.lease, content: 'not mine' }),
    { code: 'CONFLICT' },
    'nor does it speak for the one who has it',
  )
  await other.complete(after, 'right')
  t.match(await client.call('agent.wait', { runId }), { message: { content: 'right' } })
  t.match(await other.socket.refused('worker.complete', { lease: after.lease, content: 'again' }), {
    code: 'CONFLICT',
  })
  const { messages } = await client.call('sessions.history', {}, KEY)
  t.same(
    messages.map(({ content }: Frame) => content),
    ['hi', 'right'],
  )
  t.notOk(client.events().some(({ event }) => event === 'agent.delta'))
})

t.test('a run that loses one worker after the other fails its try', async (t) => {
  const { connect, work } = await startPool(t, { maxHandovers: 1 })
  const client = await connect()
  const { runId } = await client.call('sessions.send', { content: 'deadly' }, KEY)
  for (const attempt of [1, 1, 2, 2]) {
    const worker = await work()
    t.equal((await worker.next()).attempt, attempt)
    worker.socket.terminate()
  }
  t.match(await client.call('agent.wait', { runId }), {
    status: 'failed',
    error: { code: 'UNAVAILABLE', message: /lost with 2 workers/, retryable: true },
  })
})

t.test('an aborted run is taken back, and its credit is free again whatever the worker does', async (t) => {
  const { connect, work } = await startPool(t)
  const client = await connect()
  const worker = await work()
  const { runId } = await client.call('sessions.send', { content: 'stop me' }, KEY)
  const run = await worker.next()
  await client.call('agent.abort', { runId, reason: 'enough' })
  t.match((await worker.cancelled(run)).payload, { agent: 'brain', runId, reason: /enough/ })
  const next = await client.call('sessions.send', { content: 'next' }, KEY)
  const after = await worker.next()
  t.match(await worker.socket.refused('worker.complete', { lease: run.lease, content: 'late' }), {
    code: 'CONFLICT',
  })
  await worker.complete(after, 'done')
  t.match(await client.call('agent.wait', { runId: next.runId }), { message: { content: 'done' } })
})

t.test('past its time limit a run is taken back and fails', async (t) => {
  const { connect, work } = await startPool(t, { timeoutMs: 50 })
  const client = await connect()
  const worker = await work()
  const { runId } = await client.call('sessions.send', { content: 'slow' }, KEY)
  const run = await worker.next()
  t.match((await worker.cancelled(run)).payload, { reason: /timeout/ })
  t.match(await client.call('agent.wait', { runId }), { status: 'failed', error: { code: 'AGENT_TIMEOUT' } })
})

t.test('a failure says whether to try again, and when', async (t) => {
  const { connect, work } = await startPool(t)
  const client = await connect()
  const worker = await work()
  const { runId } = await client.call('sessions.send', { content: 'hi' }, KEY)
  await worker.fail(await worker.next(), { message: 'Busy.', retryAfterMs: 1 })
  const again = await worker.next()
  t.equal(again.attempt, 2)
  t.match((await client.event('agent.retrying')).payload.error, { code: 'UNAVAILABLE', message: 'Busy.' })
  await worker.fail(again, { message: 'No key.', code: 'NOT_LINKED', retryable: false })
  t.match(await client.call('agent.wait', { runId }), {
    status: 'failed',
    error: { code: 'NOT_LINKED', message: 'No key.', retryable: false },
  })
  t.match(await worker.socket.refused('worker.fail', { lease: 'x', error: { message: 'x', code: 'NONE' } }), {
    code: 'INVALID_REQUEST',
  })
})

t.test('an answer that grows too long ends the run and is taken back', async (t) => {
  const { connect, work } = await startPool(t, {}, { lanes: { maxReplyBytes: 1024 } })
  const client = await connect()
  const worker = await work()
  const { runId } = await client.call('sessions.send', { content: 'hi' }, KEY)
  const run = await worker.next()
  worker.delta(run, 'x'.repeat(2000))
  await worker.cancelled(run)
  t.match(await client.call('agent.wait', { runId }), { error: { message: /longer than 1024 bytes/ } })
})

t.test('without a worker runs wait, and fail once none has come for too long', async (t) => {
  const patient = await startPool(t)
  const client = await patient.connect()
  const { runId } = await client.call('sessions.send', { content: 'hi' }, KEY)
  const worker = await patient.work()
  await worker.complete(await worker.next(), 'here')
  t.match(await client.call('agent.wait', { runId }), { message: { content: 'here' } })

  const hasty = await startPool(t, { waitTimeoutMs: 20 })
  const { outcome } = await (await hasty.connect()).call('sessions.send', { content: 'hi', wait: true }, KEY)
  t.match(outcome, { status: 'failed', error: { code: 'UNAVAILABLE', message: /No worker/ } })
  const late = await hasty.work()
  await (await hasty.connect()).call('sessions.send', { content: 'again' }, KEY)
  t.equal((await late.next()).event.payload.content, 'again', 'one that comes later serves')
})

t.test('a worker that does not read is given nothing more until it does', async (t) => {
  const { connect, work } = await startPool(t, {}, { connection: { maxBufferedBytes: 16_384 } })
  const client = await connect({ subscribe: ['agent.*'] })
  const [deaf, other] = [await work({ credit: 1_000 }), await work({ credit: 1 })]
  deaf.socket.socket.pause()
  const content = 'x'.repeat(500_000)
  const total = 40
  for (let n = 0; n < total; n++) await client.call('sessions.send', { content }, `web:${n}:main`)
  await other.complete(await other.next(), 'small')
  await client.event('agent.completed')
  t.ok(other.runs.length < 5, 'it has credit for one at a time')
  deaf.socket.socket.resume()
  const answer = async (worker: TestWorker) => {
    for (;;) await worker.complete(await worker.next(), 'ok').catch(() => {})
  }
  for (const worker of [deaf, other]) answer(worker).catch(() => {})
  await client.all(total, ({ event }) => event === 'agent.completed')
  t.equal(deaf.socket.socket.readyState, deaf.socket.socket.OPEN, 'nothing was dropped')
  t.equal(deaf.runs.length + other.runs.length, total)
})

t.test('unknown options and bad values are refused with their path', async (t) => {
  const refused = (options: object) => {
    try {
      createWorkerAgent(options as never, { name: 'x' })
    } catch (error) {
      return error instanceof ConfigError ? error.problems.map(({ path }) => path) : error
    }
  }
  t.same(refused({ waitTimeout: 1 }), ['waitTimeout'])
  t.same(refused({ maxHandovers: -1, historyMaxBytes: 'many' }), ['maxHandovers', 'historyMaxBytes'])
})
