import t from 'tap'
import type { QueueMode } from '../../src/protocol/index.js'
import { type ScriptedRun, startScripted } from '../helpers/scripted-agent.js'
import type { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

const KEY = 'web:1:main'
const FINAL = ['agent.completed', 'agent.failed', 'agent.aborted', 'agent.merged']

const finals = (socket: TestSocket) =>
  socket
    .events()
    .filter(({ event }) => FINAL.includes(event))
    .map(({ event, payload }) => [event, payload.runId])

const final = (socket: TestSocket, runId: string) =>
  socket.next(({ event, payload }) => FINAL.includes(event) && payload.runId === runId)

async function start(t: Parameters<typeof startScripted>[0], queueMode: QueueMode, collect = {}) {
  const lanes = { queueMode, collect: { quietMs: 0, ...collect }, retry: { attempts: 2, backoffMs: 1 } }
  const { connect, agent, ...running } = await startScripted(t, { lanes: { ...lanes, abortGraceMs: 20 } })
  const socket = await connect()
  const send = (content: string, params = {}) => socket.call('sessions.send', { content, ...params }, KEY)
  return { ...running, connect, agent, socket, send }
}

t.test('collect: messages that wait join into one run, and each of them ends once', async (t) => {
  const { socket, agent, send } = await start(t, 'collect')
  const first = await send('one')
  const run = await agent.next()
  const ids = []
  for (const content of ['two', 'three', 'four']) ids.push(await send(content))
  const waiting = socket.call('agent.wait', { runId: ids[2].runId })
  run.reply('1')
  const joined = await agent.next()
  t.equal(joined.content, 'two\n\nthree\n\nfour')
  t.equal(joined.context.runId, ids[0].runId, 'the run is that of the first')
  t.same(
    joined.context.events.map(({ id }) => id),
    ids.map(({ eventId }) => eventId),
  )
  t.same(
    (await joined.context.history()).map(({ content }) => content),
    ['one', '1'],
    'what it answers is no history yet',
  )
  joined.reply('2')
  const outcome = await waiting
  t.match(outcome, { runId: ids[2].runId, status: 'completed', message: { content: '2' } })
  t.equal(outcome.mergedInto, ids[0].runId)
  t.equal((await socket.call('agent.wait', { runId: ids[0].runId })).mergedInto, null)
  await final(socket, ids[2].runId)
  t.same(finals(socket), [
    ['agent.completed', first.runId],
    ['agent.completed', ids[0].runId],
    ['agent.merged', ids[1].runId],
    ['agent.merged', ids[2].runId],
  ])
  t.match(socket.events().findLast(({ event }) => event === 'agent.merged')?.payload, {
    mergedInto: ids[0].runId,
    status: 'completed',
    agent: 'scripted',
  })
  t.same(
    (await socket.call('sessions.history', {}, KEY)).messages.map(
      ({ content }: { content: string }) => content,
    ),
    ['one', 'two', 'three', 'four', '1', '2'],
  )
  await send('five')
  const next = await agent.next()
  t.same(
    (await next.context.history()).map(({ content }) => content),
    ['one', '1', 'two', 'three', 'four', '2'],
    'an answer stands behind all that it answers',
  )
  next.reply()
})

t.test('collect: a run waits for the quiet time, and begins at once when the cap is reached', async (t) => {
  const { agent, socket, send } = await start(t, 'collect', {
    quietMs: 600_000,
    maxWaitMs: 600_000,
    maxMessages: 3,
  })
  await send('one')
  await send('two')
  t.match(await socket.call('lanes.get', {}, KEY), { waiting: 2, running: null })
  t.equal(agent.runs.length, 0)
  await send('three')
  const run = await agent.next()
  t.equal(run.content, 'one\n\ntwo\n\nthree')
  run.reply()
  await send('four')
  const { aborted } = await socket.call('agent.abort', {}, KEY)
  t.equal(aborted.length, 1, 'what is only collected can be aborted')
  t.match(await socket.call('lanes.get', {}, KEY), { waiting: 0, running: null })
  await send('five')
  await socket.call('sessions.patch', { queueMode: 'followup' }, KEY)
  await send('six')
  t.equal((await agent.next()).content, 'five', 'a change of mode holds nothing back')
})

t.test('collect: quiet, it begins by itself; and the longest wait bounds it', async (t) => {
  const { agent, send } = await start(t, 'collect', { quietMs: 5, maxWaitMs: 600_000 })
  await send('one')
  ;(await agent.next()).reply()
  const bounded = await start(t, 'collect', { quietMs: 600_000, maxWaitMs: 5 })
  await bounded.send('one')
  ;(await bounded.agent.next()).reply()
})

t.test('collect: only messages join, and attachments come along', async (t) => {
  const { socket, agent, send } = await start(t, 'collect')
  await send('one')
  const run = await agent.next()
  await send('two', { attachments: [{ type: 'text/plain', name: 'a' }] })
  await send('three', { attachments: [{ type: 'text/plain', name: 'b' }] })
  await socket.call(
    'events.publish',
    { type: 'user.command', payload: { command: 'x' }, priority: 'chat' },
    KEY,
  )
  await send('four')
  run.reply()
  const joined = await agent.next()
  t.match(joined.event.payload, { content: 'two\n\nthree', attachments: [{ name: 'a' }, { name: 'b' }] })
  joined.reply()
  const command = await agent.next()
  t.equal(command.event.type, 'user.command')
  command.reply('')
  const last = await agent.next()
  t.equal(last.content, 'four')
  last.reply()
})

t.test('collect: a run that failed for good leaves each of its events as a dead letter', async (t) => {
  const { socket, agent, send } = await start(t, 'collect')
  await send('one')
  const run = await agent.next()
  const two = await send('two')
  const three = await send('three')
  run.reply()
  ;(await agent.next()).fail(new Error('no'))
  const again = await agent.next()
  t.equal(again.content, 'two\n\nthree', 'another try handles the same')
  again.fail(new Error('no'))
  await final(socket, three.runId)
  const { deadLetters } = await socket.call('deadLetters.list', {})
  t.match(deadLetters, [
    { event: { id: two.eventId }, mergedInto: null },
    { event: { id: three.eventId }, mergedInto: two.runId },
  ])
  await socket.call('deadLetters.retry', { eventId: three.eventId })
  const retried = await agent.next()
  t.equal(retried.content, 'three')
  retried.reply('3')
  t.match(await socket.call('agent.wait', { runId: three.runId }), { status: 'completed', mergedInto: null })
})

t.test('collect: an abort of one stops the run that handles it, and with it the others', async (t) => {
  const { socket, agent, send } = await start(t, 'collect')
  await send('one')
  const run = await agent.next()
  const two = await send('two')
  const three = await send('three')
  run.reply()
  await agent.next()
  const { aborted } = await socket.call('agent.abort', { runId: three.runId })
  t.same(aborted, [two.runId, three.runId])
  t.match(await socket.call('agent.wait', { runId: three.runId }), {
    status: 'aborted',
    mergedInto: two.runId,
  })
})

t.test('interrupt: a new message aborts the run and is handled next', async (t) => {
  const { socket, agent, send } = await start(t, 'interrupt')
  const one = await send('one')
  await agent.next()
  const two = await send('two')
  const run = await agent.next()
  t.equal(run.content, 'two')
  t.same(
    (await run.context.history()).map(({ content }) => content),
    ['one'],
  )
  run.reply('2')
  await final(socket, two.runId)
  t.same(finals(socket), [
    ['agent.aborted', one.runId],
    ['agent.completed', two.runId],
  ])
  t.match(socket.events().find(({ event }) => event === 'agent.aborted')?.payload, {
    reason: 'interrupted',
    interruptedBy: two.runId,
  })
})

t.test(
  'interrupt: of ten at once the newest is handled and each other one is reported aborted',
  async (t) => {
    const { socket, connect, agent } = await start(t, 'interrupt')
    agent.onRun = (run: ScriptedRun) => {
      if (run.content === 'last') run.reply()
    }
    const others = await Promise.all([connect(), connect(), connect()])
    const sent = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        others[index % 3]!.call('sessions.send', { content: `${index}` }, KEY),
      ),
    )
    const newest = sent.reduce((a, b) => (a.seq > b.seq ? a : b))
    const last = await socket.call('sessions.send', { content: 'last', wait: true }, KEY)
    t.equal(last.outcome.status, 'completed')
    for (const { runId } of sent) {
      const { status } = await socket.call('agent.wait', { runId })
      t.equal(
        status,
        'aborted',
        runId === newest.runId ? 'the newest of the ten gave way to the one after' : runId,
      )
    }
    await until(() => finals(socket).length === 11)
    t.same(
      new Set(finals(socket).map(([, runId]) => runId)),
      new Set([...sent, last].map(({ runId }) => runId)),
      'each ended once',
    )
  },
)

t.test('interrupt: an older message that waits in a lower class interrupts nothing', async (t) => {
  const { socket, agent, send } = await start(t, 'interrupt')
  await socket.call('sessions.create', { queueMode: 'followup' }, KEY)
  await send('one')
  const first = await agent.next()
  const late = await send('late', { priority: 'cron' })
  const two = await send('two')
  first.reply()
  const second = await agent.next()
  t.equal(second.content, 'two')
  await socket.call('sessions.patch', { queueMode: null }, KEY)
  await socket.call('events.publish', { type: 'user.command', payload: {} }, KEY)
  t.notOk(second.context.signal.aborted)
  second.reply()
  await final(socket, two.runId)
  ;(await agent.next()).reply('')
  ;(await agent.next()).reply()
  await final(socket, late.runId)
  t.notOk(finals(socket).some(([event]) => event === 'agent.aborted'))
})

t.test(
  'interrupt: an agent that ignores its signal is left behind, and what it says then is not heard',
  async (t) => {
    const { socket, agent, send } = await start(t, 'interrupt')
    agent.onRun = (run) => {
      run.ignoresAbort = run.content === 'one'
    }
    const one = await send('one')
    const first = await agent.next()
    const two = await send('two')
    const second = await agent.next()
    t.equal(second.content, 'two')
    first.context.delta('late')
    first.reply('late')
    second.reply('2')
    await final(socket, two.runId)
    t.notOk(socket.events().some(({ payload }) => payload.text === 'late' || payload.content === 'late'))
    t.match(await socket.call('agent.wait', { runId: one.runId }), { status: 'aborted', message: null })
  },
)

t.test('interrupt: a run that is between two tries is aborted as well', async (t) => {
  const { connect, agent } = await startScripted(t, {
    lanes: { queueMode: 'interrupt', retry: { attempts: 3, backoffMs: 600_000, maxBackoffMs: 600_000 } },
  })
  const socket = await connect()
  const one = await socket.call('sessions.send', { content: 'one' }, KEY)
  ;(await agent.next()).fail(new Error('no'))
  await socket.event('agent.retrying')
  const two = await socket.call('sessions.send', { content: 'two' }, KEY)
  ;(await agent.next()).reply('2')
  await final(socket, two.runId)
  t.same(finals(socket), [
    ['agent.aborted', one.runId],
    ['agent.completed', two.runId],
  ])
})

t.test('interrupt: what no person asked for is not stopped, and waits its turn', async (t) => {
  const { socket, agent, send } = await start(t, 'interrupt')
  await socket.call('events.publish', { type: 'system.heartbeat', payload: {} }, KEY)
  const beat = await agent.next()
  await send('one')
  const two = await send('two')
  beat.reply('')
  const run = await agent.next()
  t.equal(run.content, 'two')
  t.notOk(beat.context.signal.aborted)
  run.reply()
  await final(socket, two.runId)
})

t.test(
  'interrupt: what was waiting when the mode changed, or in a pause, gives way to the newest',
  async (t) => {
    const { socket, agent, send } = await start(t, 'interrupt')
    await socket.call('sessions.create', {}, KEY)
    await socket.call('lanes.pause', {}, KEY)
    await socket.call('sessions.patch', { queueMode: 'followup' }, KEY)
    const one = await send('one')
    const two = await send('two')
    await socket.call('sessions.patch', { queueMode: null }, KEY)
    await socket.call('lanes.resume', {}, KEY)
    const run = await agent.next()
    t.equal(run.content, 'two')
    run.reply()
    await final(socket, two.runId)
    t.same(finals(socket)[0], ['agent.aborted', one.runId])
  },
)

t.test('steer: a new message is handed to a running agent that takes such', async (t) => {
  const { socket, agent, send } = await start(t, 'steer')
  const one = await send('one')
  const run = await agent.next()
  const waited = await send('before')
  const taken: unknown[] = []
  run.context.onSteer(({ payload }) => {
    taken.push(payload.content)
    return taken.length < 3
  })
  t.same(taken, ['before'], 'what waits already is handed over first')
  const two = await send('two')
  const refused = await send('refused')
  await until(() => taken.length === 3)
  run.reply('all of it')
  const next = await agent.next()
  t.equal(next.content, 'refused', 'what it does not take gets a run of its own')
  next.reply()
  await final(socket, refused.runId)
  t.same(finals(socket), [
    ['agent.completed', one.runId],
    ['agent.merged', waited.runId],
    ['agent.merged', two.runId],
    ['agent.completed', refused.runId],
  ])
  t.match(
    socket
      .events()
      .filter(({ event }) => event === 'agent.steered')
      .map(({ payload }) => payload),
    [
      { runId: waited.runId, eventId: waited.eventId, mergedInto: one.runId, agent: 'scripted' },
      { runId: two.runId, mergedInto: one.runId },
    ],
  )
  t.match(await socket.call('agent.wait', { runId: two.runId }), { message: { content: 'all of it' } })
})

t.test('steer: an agent that takes none has each message follow; one that throws keeps none', async (t) => {
  const { agent, send, socket } = await start(t, 'steer')
  await send('one')
  const run = await agent.next()
  const two = await send('two')
  run.context.onSteer(() => {
    throw new Error('not now')
  })
  await send('three')
  run.reply()
  const second = await agent.next()
  t.equal(second.content, 'two')
  second.reply()
  ;(await agent.next()).reply()
  t.match(await socket.call('agent.wait', { runId: two.runId }), { status: 'completed', mergedInto: null })
})

t.test('steer: a message that was taken by a try that failed is part of the next', async (t) => {
  const { agent, send, socket } = await start(t, 'steer')
  await send('one')
  const run = await agent.next()
  run.context.onSteer(() => true)
  const two = await send('two')
  await socket.event('agent.steered')
  run.fail(new Error('no'))
  const again = await agent.next()
  t.equal(again.content, 'one\n\ntwo')
  t.equal(again.context.attempt, 2)
  run.context.onSteer(() => t.fail('a try that is over takes nothing'))
  again.reply('both')
  t.match(await socket.call('agent.wait', { runId: two.runId }), { message: { content: 'both' } })
})

t.test('the mode is the session’s own, then that of its channel, then the default', async (t) => {
  const { connect, agent } = await startScripted(t, {
    routing: [{ channel: 'irc', queueMode: 'interrupt' }],
  })
  const socket = await connect()
  const { session } = await socket.call('sessions.create', { queueMode: 'steer', title: 'x' }, 'irc:1')
  t.equal(session.queueMode, 'steer')
  t.match(await socket.call('sessions.patch', { queueMode: null }, 'irc:1'), { session: { queueMode: null } })
  await socket.call('sessions.send', { content: 'one' }, 'irc:1')
  const run = await agent.next()
  await socket.call('sessions.send', { content: 'two' }, 'irc:1')
  ;(await agent.next()).reply()
  t.ok(run.context.signal.aborted)
  await t.rejects(socket.call('sessions.patch', { queueMode: 'all' }, 'irc:1'), {
    message: /^INVALID_REQUEST: params.queueMode: expected one of "followup"/,
  })
})

t.test('a repeated send gets the first one’s ids and, once there, its outcome', async (t) => {
  const { agent, send } = await start(t, 'followup')
  const first = await send('hi', { idempotencyKey: 'k' })
  const early = await send('hi', { idempotencyKey: 'k' })
  t.match(early, { eventId: first.eventId, runId: first.runId, duplicate: true })
  t.notOk('outcome' in early)
  const waiting = send('hi', { idempotencyKey: 'k', wait: true })
  ;(await agent.next()).reply('there')
  t.match((await waiting).outcome, { status: 'completed', message: { content: 'there' } })
  t.match((await send('hi', { idempotencyKey: 'k' })).outcome, { message: { content: 'there' } })
  await t.rejects(send('ho', { idempotencyKey: 'k' }), { message: /^CONFLICT/ })
  t.equal(agent.runs.length, 1)
})
