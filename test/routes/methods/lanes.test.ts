import t from 'tap'
import { GatewayError } from '../../../src/protocol/errors.js'
import { type ScriptedAgent, startScripted } from '../../helpers/scripted-agent.js'
import type { Frame, TestSocket } from '../../helpers/socket.js'

const KEY = 'web:1:main'

const failForGood: ScriptedAgent['onRun'] = (run) => run.fail(new GatewayError('NOT_LINKED', 'no key'))

const send = async (socket: TestSocket, content: string, key = KEY) =>
  (await socket.call('sessions.send', { content, wait: true }, key)) as {
    eventId: string
    runId: string
    seq: number
  }

for (const type of ['memory', 'sqlite'] as const) {
  t.test(
    `dead letters are listed page by page, oldest first, of all sessions or of one (${type})`,
    async (t) => {
      const { connect } = await startScripted(t, { journal: { type } }, { onRun: failForGood })
      const socket = await connect()
      const ids: string[] = []
      for (let i = 0; i < 5; i++)
        ids.push((await send(socket, `m${i}`, i % 2 ? 'web:odd' : 'web:even')).eventId)
      const list = async (params: object, key?: string) => {
        const { deadLetters, nextCursor } = await socket.call('deadLetters.list', params, key)
        return {
          ids: deadLetters.map(({ event }: Frame) => (event as never as { id: string }).id),
          nextCursor,
        }
      }
      t.same(await list({}), { ids, nextCursor: null })
      const first = await list({ limit: 2 })
      t.same(first.ids, ids.slice(0, 2))
      const second = await list({ limit: 2, cursor: first.nextCursor })
      t.same(second.ids, ids.slice(2, 4))
      t.same(await list({ limit: 2, cursor: second.nextCursor }), { ids: ids.slice(4), nextCursor: null })
      t.same((await list({}, 'web:odd')).ids, [ids[1], ids[3]])
      t.same((await list({}, 'web:none')).ids, [])
      const { deadLetters } = await socket.call('deadLetters.list', { limit: 1 })
      t.match(deadLetters[0], {
        event: { id: ids[0], type: 'message.received', sessionKey: 'web:even', payload: { content: 'm0' } },
        error: { code: 'NOT_LINKED', message: 'no key' },
        attempts: 1,
        diedAt: Number,
        mergedInto: null,
      })
    },
  )
}

t.test('a dead letter that is retried is handled with its first ids, its tries counted anew', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const socket = await connect()
  agent.onRun = (run) => run.fail(new Error('flaky'))
  const { eventId, runId, seq } = await send(socket, 'x')
  t.equal(agent.runs.length, 3)
  agent.onRun = () => {}
  t.same(await socket.call('deadLetters.retry', { eventId }), { eventId, runId, seq, queued: 0 })
  await agent.begun(4)
  const run = agent.runs[3]!
  t.match(run.event, { id: eventId, runId, seq, payload: { content: 'x' } })
  t.equal(run.context.attempt, 1)
  const waiting = socket.call('agent.wait', { runId })
  t.same((await socket.call('deadLetters.list')).deadLetters, [])
  t.match(await socket.refused('deadLetters.retry', { eventId }), { code: 'NOT_FOUND', details: { eventId } })
  run.fail(new Error('flaky'))
  await agent.begun(5)
  t.equal(agent.runs[4]!.context.attempt, 2)
  agent.runs[4]!.reply('at last')
  t.match(await waiting, { status: 'completed', message: { content: 'at last' } })
  t.match(await socket.call('agent.wait', { runId }), { status: 'completed' })
  const { messages } = await socket.call('sessions.history', {}, KEY)
  t.same(
    messages.map(({ content }: Frame) => content),
    ['x', 'at last'],
  )
  t.equal(app.lanes.dispatcher.size, 0)
})

t.test('a retried dead letter goes to the end of its lane, even of a full one', async (t) => {
  const { connect, agent } = await startScripted(t, { lanes: { capacity: 1 } })
  const socket = await connect()
  agent.onRun = (run) => run.content === 'dead' && failForGood(run)
  const { eventId } = await send(socket, 'dead')
  await socket.call('sessions.send', { content: 'running' }, KEY)
  await socket.call('sessions.send', { content: 'waiting' }, KEY)
  t.match(await socket.refused('sessions.send', { content: 'no' }, KEY), { code: 'UNAVAILABLE' })
  t.equal((await socket.call('deadLetters.retry', { eventId })).queued, 2)
  agent.onRun = (run) => run.reply()
  agent.runs.at(-1)!.reply()
  await socket.all(3, ({ event }) => event === 'agent.completed')
  t.same(agent.contents, ['dead', 'running', 'waiting', 'dead'])
})

t.test('retried twice at once, a dead letter is handled once', async (t) => {
  const { connect, agent } = await startScripted(t, {}, { onRun: failForGood })
  const socket = await connect()
  const { eventId, runId } = await send(socket, 'x')
  agent.onRun = (run) => run.reply()
  const both = await Promise.all([
    socket.request('deadLetters.retry', { eventId }),
    socket.request('deadLetters.retry', { eventId }),
  ])
  t.same(both.map(({ error }) => error?.code ?? 'OK').sort(), ['NOT_FOUND', 'OK'])
  await socket.call('agent.wait', { runId })
  t.equal(agent.runs.length, 2)
})

t.test('a discarded dead letter is forgotten', async (t) => {
  const { connect } = await startScripted(t, {}, { onRun: failForGood })
  const socket = await connect()
  const { eventId } = await send(socket, 'x')
  t.same(await socket.call('deadLetters.discard', { eventId }), { discarded: true })
  t.same((await socket.call('deadLetters.list')).deadLetters, [])
  for (const method of ['deadLetters.discard', 'deadLetters.retry']) {
    t.match(await socket.refused(method, { eventId }), { code: 'NOT_FOUND' }, method)
    t.match(await socket.refused(method, { eventId: 'evt_unknown' }), { code: 'NOT_FOUND' }, method)
  }
})

t.test('a lane is paused and resumed only where there is a session', async (t) => {
  const { connect, app } = await startScripted(t)
  const socket = await connect()
  for (const method of ['lanes.pause', 'lanes.resume']) {
    t.match(await socket.refused(method, {}, 'web:none'), { code: 'NOT_FOUND' }, method)
  }
  t.same((await socket.call('sessions.list')).sessions, [])
  t.equal(app.lanes.dispatcher.size, 0)
  await socket.call('sessions.create', {}, KEY)
  t.match(await socket.call('lanes.pause', {}, KEY), { sessionKey: KEY, paused: true })
  t.match((await socket.call('lanes.list')).lanes, [{ sessionKey: KEY, paused: true, waiting: 0 }])
  t.match(await socket.call('lanes.pause', {}, KEY), { paused: true }, 'twice is fine')
  t.match(await socket.call('lanes.resume', {}, KEY), { paused: false })
  t.match(await socket.call('lanes.resume', {}, KEY), { paused: false })
  t.equal(app.lanes.dispatcher.size, 0)
})

t.test('lanes.get tells what runs, since when, and page by page what waits behind it', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const before = Date.now()
  const first = await socket.call('sessions.send', { content: 'runs' }, KEY)
  await agent.next()
  const sent = []
  for (const priority of ['system', 'chat', 'cron', 'chat'])
    sent.push(await socket.call('sessions.send', { content: 'secret text', priority }, KEY))
  const [system, chat, cron, chat2] = sent.map(({ eventId }) => eventId)
  const { events, ...lane } = await socket.call('lanes.get', {}, KEY)
  t.match(lane, {
    sessionKey: KEY,
    waiting: 4,
    paused: false,
    running: { eventId: first.eventId, runId: first.runId, agent: 'scripted', attempt: 1 },
    nextCursor: null,
  })
  t.ok(lane.running.startedAt >= before - 1)
  t.strictSame(
    events.map(({ id, priority, position }: Frame) => [id, priority, position]),
    [
      [chat, 'chat', 1],
      [chat2, 'chat', 2],
      [system, 'system', 3],
      [cron, 'cron', 4],
    ],
  )
  t.match(events[0], { runId: sent[1].runId, type: 'message.received', source: 'ws', at: Number })
  t.notMatch(JSON.stringify(events), /secret text/, 'no contents')
  const page = await socket.call('lanes.get', { limit: 3 }, KEY)
  t.strictSame(page.events, events.slice(0, 3))
  t.strictSame((await socket.call('lanes.get', { limit: 3, cursor: page.nextCursor }, KEY)).events, [
    events[3],
  ])
  await socket.call('agent.abort', { runId: sent[0].runId })
  const moved = await socket.call('lanes.get', { limit: 3, cursor: page.nextCursor }, KEY)
  t.same(
    moved.events.map(({ id }: Frame) => id),
    [chat, chat2, cron],
    'what is gone: from the head, so that nothing is missed',
  )
  t.same(await socket.call('lanes.get', {}, 'web:idle'), {
    sessionKey: 'web:idle',
    waiting: 0,
    paused: false,
    oldestAt: null,
    running: null,
    events: [],
    nextCursor: null,
  })
})

t.test('lanes are listed page by page, longest waiting first, by channel and state', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const keys = ['web:1', 'chat:1', 'web:2', 'chat:2', 'web:3']
  for (const key of keys) {
    await socket.call('sessions.send', { content: 'x' }, key)
    await agent.next()
  }
  await socket.call('sessions.create', {}, 'web:paused')
  await socket.call('lanes.pause', {}, 'web:paused')
  const list = async (params: object) => {
    const { lanes, nextCursor, total } = await socket.call('lanes.list', params)
    return { keys: lanes.map(({ sessionKey }: Frame) => sessionKey), nextCursor, total }
  }
  const found: string[] = []
  let cursor: string | null | undefined
  while (cursor !== null) {
    const page = await list({ limit: 2, ...(cursor && { cursor }) })
    t.equal(page.total, 6)
    found.push(...page.keys)
    cursor = page.nextCursor
  }
  t.strictSame([...found].sort(), [...keys, 'web:paused'].sort())
  t.equal(found.at(-1), 'web:paused', 'nothing waits in it')
  t.strictSame((await list({ channel: 'chat' })).keys.sort(), ['chat:1', 'chat:2'])
  t.strictSame((await list({ paused: true })).keys, ['web:paused'])
  t.equal((await list({ running: true })).total, 5)
  t.strictSame((await list({ running: false, paused: false })).keys, [])
})
