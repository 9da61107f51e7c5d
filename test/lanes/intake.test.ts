import t from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import { startApp } from '../helpers/app.js'
import { startScripted } from '../helpers/scripted-agent.js'
import type { Frame, TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

const KEY = 'web:1:main'

const userMessages = (socket: TestSocket, count: number) =>
  socket.all(count, ({ event, payload }) => event === 'session.message' && payload.role === 'user')

t.test('a send is acknowledged with its ids and its place', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const socket = await connect()
  const first = await socket.call('sessions.send', { content: 'one' }, KEY)
  t.match(first, { eventId: /^evt_/, runId: /^run_/, seq: Number, queued: 0 })
  t.notOk('outcome' in first)
  const run = await agent.next()
  t.match(run.event, {
    id: first.eventId,
    runId: first.runId,
    seq: first.seq,
    source: 'ws',
    priority: 'chat',
  })
  const second = await socket.call('sessions.send', { content: 'two' }, KEY)
  t.equal(second.queued, 1)
  const third = await socket.call('sessions.send', { content: 'three' }, KEY)
  t.equal(third.queued, 2)
  t.ok(first.seq < second.seq && second.seq < third.seq)
  t.equal(app.lanes.dispatcher.pending, 3)
  t.match(await socket.event('session.message', ({ seq }) => seq === first.seq), {
    sessionKey: KEY,
    payload: {
      role: 'user',
      content: 'one',
      eventId: first.eventId,
      runId: first.runId,
      sender: 'anonymous',
    },
  })
})

t.test('with wait, a send is answered with the outcome of its run', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  const { runId, eventId, outcome } = await socket.call('sessions.send', { content: 'hi', wait: true }, KEY)
  t.match(outcome, { runId, eventId, status: 'completed', error: null })
  t.match(outcome.message, { role: 'assistant', content: 'hi', agent: 'echo', runId })
})

t.test('attachments and metadata reach the agent, the watchers and the history', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const extra = { attachments: [{ type: 'image/png', url: 'https://x/y.png' }], metadata: { thread: 7 } }
  await socket.call('sessions.send', { content: 'look', ...extra }, KEY)
  t.match((await agent.next()).event.payload, extra)
  t.match((await socket.event('session.message')).payload, extra)
  t.match((await socket.call('sessions.history', {}, KEY)).messages, [{ content: 'look', ...extra }])
})

t.test(
  '100 sends at once from several connections: each is handled once, in the order of the journal',
  async (t) => {
    const { connect, agent, app } = await startScripted(t)
    agent.onRun = (run) => run.reply()
    const sockets = await Promise.all([connect(), connect(), connect(), connect()])
    const acknowledged = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const content = `${i % 4}/${Math.floor(i / 4)}`
        return { content, ...(await sockets[i % 4]!.call('sessions.send', { content }, KEY)) }
      }),
    )
    const ends = await sockets[0]!.all(100, ({ event }) => event === 'agent.completed')
    const inOrder = acknowledged.sort((a, b) => a.seq - b.seq)
    t.equal(new Set(inOrder.map(({ seq }) => seq)).size, 100)
    t.same(
      agent.contents,
      inOrder.map(({ content }) => content),
    )
    t.same(
      ends.map(({ payload }) => payload.runId),
      inOrder.map(({ runId }) => runId),
    )
    for (const sender of ['0', '1', '2', '3']) {
      const mine = agent.contents.filter((content) => String(content).startsWith(`${sender}/`))
      t.same(
        mine,
        Array.from({ length: 25 }, (_, i) => `${sender}/${i}`),
        'what one connection sends stays in its order',
      )
    }
    t.equal(app.lanes.dispatcher.size, 0)
  },
)

t.test('sessions run side by side, the events of one after each other', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  for (const session of ['a', 'b', 'c']) {
    for (const content of [`${session}1`, `${session}2`])
      await socket.call('sessions.send', { content }, session)
  }
  await agent.begun(3)
  t.same(agent.contents, ['a1', 'b1', 'c1'])
  agent.runs[1]!.reply()
  await agent.begun(4)
  t.same(agent.contents, ['a1', 'b1', 'c1', 'b2'])
})

t.test('chat goes before system, and system before cron', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const send = (content: string, priority?: string) =>
    socket.call('sessions.send', { content, priority }, KEY)
  await send('running')
  const run = await agent.next()
  await send('cron', 'cron')
  await send('system', 'system')
  await socket.call(
    'events.publish',
    { type: 'system.event', source: 'build', payload: { content: 'event' } },
    KEY,
  )
  t.equal((await send('chat')).queued, 1, 'its place is known')
  agent.onRun = (run) => run.reply()
  run.reply()
  await socket.all(5, ({ event }) => event === 'agent.completed')
  t.same(agent.contents, ['running', 'chat', 'system', 'event', 'cron'])
})

t.test('the same idempotency key again answers with the first ids and does nothing else', async (t) => {
  const { connect, agent } = await startScripted(t)
  const [socket, other] = [await connect(), await connect()]
  const params = { content: 'once', idempotencyKey: 'k1' }
  const first = await socket.call('sessions.send', params, KEY)
  const { eventId, runId, seq } = first
  t.equal(first.duplicate, undefined)
  const again = await other.call('sessions.send', params, KEY)
  t.same(again, { eventId, runId, seq, queued: 0, duplicate: true })
  t.match(await socket.refused('sessions.send', { ...params, content: 'else' }, KEY), {
    code: 'CONFLICT',
    details: { eventId },
  })
  t.match(await socket.refused('sessions.send', { ...params, priority: 'cron' }, KEY), { code: 'CONFLICT' })
  const elsewhere = await socket.call('sessions.send', params, 'web:2:main')
  t.not(elsewhere.eventId, eventId, 'a key counts for its session')
  ;(await agent.next()).reply('done')
  const waited = await socket.call('sessions.send', { ...params, wait: true }, KEY)
  t.match(waited, {
    eventId,
    duplicate: true,
    outcome: { status: 'completed', message: { content: 'done' } },
  })
  t.equal((await socket.call('sessions.history', {}, KEY)).messages.length, 2)
  t.equal(agent.runs.length, 2)
})

t.test('the same key sent many times at once makes one event', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const sockets = await Promise.all([connect(), connect(), connect()])
  const params = { content: 'once', idempotencyKey: 'k1' }
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, i) => sockets[i % 3]!.call('sessions.send', params, KEY)),
  )
  t.equal(new Set(answers.map(({ eventId }) => eventId)).size, 1)
  t.equal(answers.filter(({ duplicate }) => !duplicate).length, 1)
  t.equal(app.lanes.dispatcher.pending, 1)
  ;(await agent.next()).reply()
  await sockets[0]!.event('agent.completed')
  t.equal(agent.runs.length, 1)
  t.equal(app.lanes.dispatcher.size, 0)
})

t.test('a full lane refuses, says when to come back, tells it once, and drops nothing it took', async (t) => {
  const { connect, agent } = await startScripted(t, { lanes: { capacity: 3 } })
  const socket = await connect()
  const send = (content: string, idempotencyKey?: string) =>
    socket.request('sessions.send', { content, idempotencyKey }, KEY)
  await send('running')
  const run = await agent.next()
  const answers = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((content) => send(content, content)))
  const refused = answers.filter(({ error }) => error !== null)
  t.equal(refused.length, 2)
  for (const { error } of refused) {
    t.match(error, { code: 'UNAVAILABLE', retryable: true, details: { reason: 'lane_full' } })
    t.ok(error.retryAfterMs > 0)
  }
  await socket.call('gateway.ping')
  const full = socket.events().filter(({ event }) => event === 'lane.full')
  t.match(full, [{ sessionKey: KEY, payload: { capacity: 3 } }])
  t.match((await send('a', 'a')).result, { duplicate: true }, 'a repeated send needs no room')
  t.match((await send('other', 'a')).error, { code: 'CONFLICT' })
  t.match((await send('f', 'unknown')).error, { code: 'UNAVAILABLE' })
  const other = await socket.call('sessions.send', { content: 'elsewhere' }, 'web:2:main')
  t.equal(other.queued, 0, 'another lane has room')

  agent.onRun = (run) => run.reply()
  run.reply()
  await socket.all(4, ({ event, sessionKey }) => event === 'agent.completed' && sessionKey === KEY)
  t.same(
    agent.runs.filter(({ event }) => event.sessionKey === KEY).map(({ content }) => content),
    ['running', 'a', 'b', 'c'],
  )
  t.equal((await send('again')).error, null)
  const { messages } = await socket.call('sessions.history', {}, KEY)
  t.notOk(
    messages.some(({ content }: Frame) => content === 'd' || content === 'e'),
    'a refused one left no trace',
  )
})

t.test('the gateway as a whole is bounded in events and in bytes', async (t) => {
  const { connect, agent, app } = await startScripted(t, { lanes: { maxPending: 2 } })
  const [socket, other] = [await connect(), await connect()]
  await socket.call('sessions.send', { content: 'one' }, 'a')
  await other.call('sessions.send', { content: 'two' }, 'b')
  const error = await (await connect()).refused('sessions.send', { content: 'three' }, 'c')
  t.match(error, { code: 'UNAVAILABLE', retryable: true, details: { reason: 'gateway_full' } })
  t.match(await socket.call('gateway.health'), {
    status: 'degraded',
    checks: { lanes: { status: 'degraded' } },
  })
  ;(await agent.next()).reply()
  await socket.event('agent.completed')
  await socket.call('sessions.send', { content: 'three' }, 'c')
  t.equal(app.lanes.dispatcher.pending, 2)

  const small = await startScripted(t, { lanes: { maxPendingBytes: 1_024 } })
  const [first, second] = [await small.connect(), await small.connect()]
  await first.call('sessions.send', { content: 'x'.repeat(600) }, 'a')
  t.match(await second.refused('sessions.send', { content: 'x'.repeat(600) }, 'b'), {
    code: 'UNAVAILABLE',
    details: { reason: 'gateway_full' },
  })
  await second.call('sessions.send', { content: 'small' }, 'b')
})

const SHARE = { lanes: { maxPendingPerPrincipal: 2 } }
const RATE_LIMITED = { code: 'RATE_LIMITED', retryable: true, details: { reason: 'principal_full' } }

t.test('without authentication each connection has a share of the room, however it sends', async (t) => {
  const { connect, agent } = await startScripted(t, SHARE)
  const [flood, polite] = [await connect(), await connect()]
  await flood.call('sessions.send', { content: 'one' }, 'a')
  await flood.call('events.publish', { type: 'user.command', payload: {} }, 'b')
  const error = await flood.refused('sessions.send', { content: 'three' }, 'c')
  t.match(error, RATE_LIMITED)
  t.ok(error.retryAfterMs > 0)
  t.match(await flood.refused('events.publish', { type: 'user.command', payload: {} }, 'c'), RATE_LIMITED)
  flood.send({ type: 'event', id: 'frame', event: 'user.command', sessionKey: 'c', payload: {} })
  t.match((await flood.next(({ id }) => id === 'frame')).error, RATE_LIMITED)
  await polite.call('sessions.send', { content: 'mine' }, 'c')
  ;(await agent.next()).reply()
  await flood.event('agent.completed')
  t.ok(await flood.call('sessions.send', { content: 'three' }, 'c'), 'a place that is free is given again')
})

t.test('with authentication a token has a share of the room, over all its connections', async (t) => {
  const tokens = ['flood', 'polite'].map((name) => ({
    name,
    token: name,
    scopes: ['read' as const, 'write' as const],
  }))
  const { connect } = await startScripted(t, { ...SHARE, auth: { tokens } })
  const as = (token: string) => connect({ auth: { token } })
  await (await as('flood')).call('sessions.send', { content: 'one' }, 'a')
  await (await as('flood')).call('sessions.send', { content: 'two' }, 'b')
  t.match(await (await as('flood')).refused('sessions.send', { content: 'three' }, 'c'), RATE_LIMITED)
  t.ok(await (await as('polite')).call('sessions.send', { content: 'mine' }, 'a'))
})

t.test('a place is given back by an abort, a failure and a repeated send', async (t) => {
  const { connect, agent } = await startScripted(t, SHARE)
  const socket = await connect()
  const send = (content: string, key: string, idempotencyKey?: string) =>
    socket.call('sessions.send', { content, idempotencyKey }, key)
  const { runId } = await send('runs', 'a')
  const waits = await send('waits', 'a')
  for (const run of [waits.runId, runId]) await socket.call('agent.abort', { runId: run })
  const again = (await send('once', 'b', 'key')).runId
  t.equal((await send('once', 'b', 'key')).runId, again)
  const fails = await send('fails', 'c')
  await agent.begun(3)
  agent.runs.at(-1)!.fail(new GatewayError('NOT_LINKED', 'no'))
  await socket.event('agent.failed', ({ payload }) => payload.runId === fails.runId)
  t.ok(await send('room', 'd'))
  t.match(await socket.refused('sessions.send', { content: 'x' }, 'e'), RATE_LIMITED)
})

t.test('a repeated send that is answered although there is no room counts as no refusal', async (t) => {
  const { connect, app } = await startScripted(t, { lanes: { capacity: 1 } })
  const socket = await connect()
  const send = (content: string) => socket.call('sessions.send', { content, idempotencyKey: content }, KEY)
  await send('runs')
  const { runId } = await send('waits')
  t.equal((await send('waits')).runId, runId)
  t.equal(app.lanes.dispatcher.refusals.lane_full, 0)
  t.notOk(socket.events().some(({ event }) => event === 'lane.full'))
  t.match(await socket.refused('sessions.send', { content: 'new', idempotencyKey: 'new' }, KEY), {
    details: { reason: 'lane_full' },
  })
  t.equal(app.lanes.dispatcher.refusals.lane_full, 1)
  await socket.event('lane.full')
})

t.test('what waits for a change of its session is bounded, too', async (t) => {
  const { connect, agent, app } = await startScripted(t, { lanes: { maxPendingBytes: 1_024 } })
  const socket = await connect()
  await socket.call('sessions.create', {}, KEY)
  let change = () => {}
  const held = new Promise<void>((resolve) => {
    change = resolve
  })
  const save = app.journal.saveSession.bind(app.journal)
  app.journal.saveSession = (...args) => held.then(() => save(...args))
  const patched = socket.call('sessions.patch', { title: 'new' }, KEY)
  await until(() => app.sessions.changing(KEY) !== null)
  const large = { content: 'x'.repeat(600) }
  const first = socket.call('sessions.send', large, KEY)
  t.match(await socket.refused('sessions.send', large, KEY), {
    code: 'UNAVAILABLE',
    details: { reason: 'gateway_full' },
  })
  change()
  await patched
  await first
  t.match((await agent.next()).context.session, { title: 'new' })
})

t.test('an event of any type is handled; only a message is part of the conversation', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const published = await socket.call(
    'events.publish',
    { type: 'user.command', source: 'telegram', payload: { command: '/new' } },
    KEY,
  )
  const run = await agent.next()
  t.match(run.event, {
    id: published.eventId,
    type: 'user.command',
    source: 'telegram',
    priority: 'system',
    payload: { command: '/new' },
  })
  run.reply('started anew')
  await socket.event('agent.completed')
  const { messages } = await socket.call('sessions.history', {}, KEY)
  t.match(messages, [{ role: 'assistant', content: 'started anew' }])
  t.equal(messages.length, 1)
})

t.test('an inbound event frame is accepted silently; a refusal is answered', async (t) => {
  const { connect, agent } = await startScripted(t, { lanes: { capacity: 1 } })
  const socket = await connect()
  const publish = (id: string, fields: object) =>
    socket.send({ type: 'event', id, event: 'message.received', sessionKey: KEY, ...fields })
  publish('f1', { payload: { content: 'hi', sender: 'Ann' } })
  const run = await agent.next()
  t.match(run.event, { type: 'message.received', source: 'ws', payload: { content: 'hi', sender: 'Ann' } })
  publish('f2', { payload: { content: 'waits' } })
  publish('f3', { payload: { content: 'no room' } })
  publish('f4', { payload: {} })
  const answerTo = (id: string) => socket.next((frame) => frame.type === 'response' && frame.id === id)
  t.match(await answerTo('f3'), { result: null, error: { code: 'UNAVAILABLE' } })
  t.match(await answerTo('f4'), { error: { code: 'INVALID_REQUEST', details: { path: 'payload.content' } } })
  t.notOk(socket.frames.some(({ type, id }) => type === 'response' && (id === 'f1' || id === 'f2')))
})

t.test('a published message has the shape that watchers expect, or is refused', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const bad: [object, string][] = [
    [{}, 'payload.content'],
    [{ content: '' }, 'payload.content'],
    [{ content: 5 }, 'payload.content'],
    [{ content: 'x', attachments: 'y' }, 'payload.attachments'],
    [{ content: 'x', attachments: [{ name: 'no type' }] }, 'payload.attachments.0.type'],
    [{ content: 'x', sender: {} }, 'payload.sender'],
    [{ content: 'x', metadata: [] }, 'payload.metadata'],
  ]
  for (const [payload, path] of bad) {
    const error = await socket.refused('events.publish', { type: 'message.received', payload }, KEY)
    t.match(error, { code: 'INVALID_REQUEST', details: { path } }, JSON.stringify(payload))
    t.ok(error.message.startsWith(`${path}: expected `), error.message)
  }
  t.match(await socket.refused('sessions.get', {}, KEY), { code: 'NOT_FOUND' }, 'nothing was stored')
  t.equal(agent.runs.length, 0)
})

t.test('a refused event leaves nothing behind: permission comes before everything', async (t) => {
  const { connect, app } = await startScripted(t, {
    auth: {
      enabled: true,
      tokens: [
        { name: 'all', token: 'all-token-0123456789' },
        { name: 'one', token: 'one-token-0123456789', role: 'operator', sessions: ['web:1:*'] },
        { name: 'viewer', token: 'view-token-0123456789', role: 'viewer' },
      ],
    },
  })
  const one = await connect({ auth: { token: 'one-token-0123456789' } })
  const viewer = await connect({ auth: { token: 'view-token-0123456789' } })
  for (const [socket, key] of [
    [one, 'web:2:main'],
    [viewer, 'web:1:main'],
  ] as const) {
    t.match(await socket.refused('sessions.send', { content: 'x' }, key), { code: 'FORBIDDEN' })
    socket.send({
      type: 'event',
      id: 'e1',
      event: 'message.received',
      sessionKey: key,
      payload: { content: 'x' },
    })
    t.match(await socket.next(({ id }) => id === 'e1'), { error: { code: 'FORBIDDEN' } })
  }
  const all = await connect({ auth: { token: 'all-token-0123456789' } })
  t.same((await all.call('sessions.list')).sessions, [])
  t.equal(app.lanes.dispatcher.size, 0)
  const metrics = await app.inject('/metrics')
  t.match(metrics.body, /gateway_events_refused_total\{reason="forbidden"\} 2/, 'counted')
  t.equal((await one.call('sessions.send', { content: 'x' }, 'web:1:main')).queued, 0)
})

t.test('a journal that cannot write: refused, the place is given back, and later sends work', async (t) => {
  let failing = true
  const { connect, app, agent } = await startScripted(
    t,
    { lanes: { capacity: 1 } },
    {
      prepare: (app) => {
        const { journal } = app
        const append = journal.append.bind(journal)
        journal.append = (request) =>
          failing ? Promise.reject(new GatewayError('UNAVAILABLE', 'disk full')) : append(request)
      },
    },
  )
  const socket = await connect()
  for (let i = 0; i < 3; i++) {
    t.match(await socket.refused('sessions.send', { content: 'x', idempotencyKey: 'k' }, KEY), {
      code: 'UNAVAILABLE',
      retryable: true,
      message: 'disk full',
    })
  }
  t.equal(app.lanes.dispatcher.size, 0)
  t.equal(app.lanes.dispatcher.pending, 0)
  t.equal(app.lanes.dispatcher.pendingBytes, 0)
  failing = false
  t.equal(
    (await socket.call('sessions.send', { content: 'x', idempotencyKey: 'k' }, KEY)).duplicate,
    undefined,
  )
  ;(await agent.next()).reply()
  await socket.event('agent.completed')
  t.equal((await userMessages(socket, 1)).length, 1)
})
