import t from 'tap'
import { startScripted } from '../helpers/scripted-agent.js'
import type { TestSocket } from '../helpers/socket.js'

const KEY = 'web:1:main'

const sendAll = async (socket: TestSocket, contents: string[], key = KEY) => {
  const ids: string[] = []
  for (const content of contents) ids.push((await socket.call('sessions.send', { content }, key)).runId)
  return ids
}

const finals = (socket: TestSocket) =>
  socket
    .events()
    .filter(({ event }) => ['agent.completed', 'agent.failed', 'agent.aborted'].includes(event))
    .map(({ event, payload }) => [event, payload.runId])

t.test('a running run is stopped, its answer is dropped and the lane moves on', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const [first, second] = await sendAll(socket, ['one', 'two'])
  const run = await agent.next()
  t.same(await socket.call('agent.abort', { runId: first, reason: 'changed my mind' }), { aborted: [first] })
  t.ok(run.context.signal.aborted)
  run.reply('never mind')
  t.match((await socket.event('agent.aborted')).payload, {
    runId: first,
    agent: 'scripted',
    reason: 'changed my mind',
  })
  t.match(await socket.call('agent.wait', { runId: first }), {
    status: 'aborted',
    message: null,
    error: null,
  })
  ;(await agent.next()).reply()
  await socket.event('agent.completed')
  t.same(finals(socket), [
    ['agent.aborted', first],
    ['agent.completed', second],
  ])
  t.same(await socket.call('agent.abort', { runId: first }), { aborted: [] }, 'it has ended')
  t.same((await socket.call('deadLetters.list')).deadLetters, [], 'an aborted event is no dead letter')
})

t.test('an agent that ignores its signal does not keep a stopped run alive', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const socket = await connect()
  const [first] = await sendAll(socket, ['one', 'two'])
  const run = await agent.next()
  run.ignoresAbort = true
  t.same(await socket.call('agent.abort', { runId: first }), { aborted: [first] })
  t.equal((await agent.next()).content, 'two')
  t.match((await app.inject('/metrics')).body, /gateway_runs_abandoned_total 1/)
})

t.test('a waiting run is taken out of the queue without ever starting', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const socket = await connect()
  const [, second, third] = await sendAll(socket, ['one', 'two', 'three'])
  const run = await agent.next()
  t.same(await socket.call('agent.abort', { runId: second }, KEY), { aborted: [second] })
  t.match(await socket.call('agent.wait', { runId: second }), { status: 'aborted' })
  t.equal((await socket.call('lanes.get', {}, KEY)).waiting, 1)
  run.reply()
  ;(await agent.next()).reply()
  await socket.next(({ event, payload }) => event === 'agent.completed' && payload.runId === third)
  t.same(agent.contents, ['one', 'three'])
  t.equal(app.lanes.dispatcher.pending, 0)
  t.equal(app.lanes.dispatcher.pendingBytes, 0)
})

t.test('a whole session is stopped: what runs and all that waits', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const socket = await connect()
  const ids = await sendAll(socket, ['1', '2', '3', '4', '5', '6'])
  const [elsewhere] = await sendAll(socket, ['other'], 'web:2:main')
  await agent.begun(2)
  const { aborted } = await socket.call('agent.abort', {}, KEY)
  t.same(aborted, ids)
  for (const runId of ids)
    t.match(await socket.call('agent.wait', { runId, timeoutMs: 0 }), { status: 'aborted' })
  t.same(finals(socket).sort(), ids.map((id) => ['agent.aborted', id]).sort(), 'each hears its end once')
  t.equal(agent.runs.length, 2)
  t.same(await socket.call('agent.abort', {}, KEY), { aborted: [] })
  t.same(await socket.call('agent.abort', {}, 'web:never:used'), { aborted: [] })
  t.equal((await socket.call('sessions.get', {}, KEY)).session.active, false)
  await socket.call('sessions.delete', {}, KEY)
  agent.runs[1]!.reply()
  t.match(await socket.call('agent.wait', { runId: elsewhere }), { status: 'completed' })
  t.equal(app.lanes.dispatcher.size, 0)
})

t.test('a waiting run that is stopped twice at once is stopped when either is told so', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const [first, second] = await sendAll(socket, ['one', 'two'])
  await agent.next()
  const [a, b, all] = await Promise.all([
    socket.call('agent.abort', { runId: second }),
    socket.call('agent.abort', { runId: second }),
    socket.call('agent.abort', {}, KEY),
  ])
  t.same([a.aborted, b.aborted, all.aborted], [[second], [second], [first, second]])
})

t.test('a run between two tries is stopped at once', async (t) => {
  const { connect, agent } = await startScripted(t, {
    lanes: { retry: { attempts: 5, backoffMs: 3_600_000, maxBackoffMs: 3_600_000 } },
  })
  const socket = await connect()
  const [first] = await sendAll(socket, ['one', 'two'])
  ;(await agent.next()).fail(new Error('no'))
  await socket.event('agent.retrying')
  t.match(await socket.call('lanes.get', {}, KEY), { running: { runId: first, attempt: 1 }, waiting: 1 })
  const [a, b] = await Promise.all([
    socket.call('agent.abort', { runId: first }),
    socket.call('agent.abort', { runId: first }),
  ])
  t.same([a.aborted, b.aborted], [[first], [first]], 'twice at once is fine')
  t.equal((await agent.next()).content, 'two')
  t.equal(agent.runs.length, 2)
  t.match(await socket.call('lanes.get', {}, KEY), { running: { attempt: 1 }, waiting: 0 })
})

t.test('a run whose next try waits for a place is stopped without waiting for it', async (t) => {
  const { connect, agent, app } = await startScripted(t, {
    lanes: { concurrency: 1, retry: { attempts: 2, backoffMs: 1 } },
  })
  const socket = await connect()
  const [first] = await sendAll(socket, ['one', 'two'])
  const [other] = await sendAll(socket, ['other'], 'web:2:main')
  ;(await agent.next()).fail(new Error('no'))
  const busy = await agent.next()
  t.equal(busy.content, 'other')
  const lane = app.lanes.dispatcher.lane(KEY)!
  while (lane.state !== 'resuming') await new Promise(setImmediate)
  t.same(await socket.call('agent.abort', { runId: first }), { aborted: [first] })
  t.equal(agent.runs.length, 2)
  busy.reply()
  t.match(await socket.call('agent.wait', { runId: other }), { status: 'completed' })
  t.equal((await agent.next()).content, 'two')
  t.equal(app.lanes.dispatcher.running, 1)
})

t.test('a run that ends by itself while it is being stopped counts as what it was', async (t) => {
  let write = () => {}
  const mayWrite = new Promise<void>((resolve) => {
    write = resolve
  })
  let arrive = () => {}
  const arrived = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const { connect, agent } = await startScripted(
    t,
    {},
    {
      prepare: (app) => {
        const complete = app.journal.complete.bind(app.journal)
        app.journal.complete = async (request) => {
          arrive()
          await mayWrite
          return complete(request)
        }
      },
    },
  )
  const socket = await connect()
  const [first] = await sendAll(socket, ['one'])
  ;(await agent.next()).reply('done')
  await arrived
  const abort = socket.call('agent.abort', { runId: first })
  await socket.call('gateway.ping')
  write()
  t.same(await abort, { aborted: [] })
  t.match(await socket.call('agent.wait', { runId: first }), {
    status: 'completed',
    message: { content: 'done' },
  })
})

t.test('a paused lane lets its run end and starts no other until it is resumed', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const [first, second] = await sendAll(socket, ['one', 'two'])
  const run = await agent.next()
  t.match(await socket.call('lanes.pause', {}, KEY), { paused: true, waiting: 1, running: { runId: first } })
  run.reply()
  t.match(await socket.call('agent.wait', { runId: first }), { status: 'completed' })
  await sendAll(socket, ['three'])
  t.match(await socket.call('lanes.get', {}, KEY), { paused: true, waiting: 2, running: null })
  t.equal(agent.runs.length, 1)
  t.same(
    await socket.call('agent.abort', { runId: second }),
    { aborted: [second] },
    'what waits can be aborted',
  )
  t.match(await socket.call('lanes.resume', {}, KEY), { paused: false })
  t.equal((await agent.next()).content, 'three')
})

t.test('a lane is reported with its depth, its oldest event and its run', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  await sendAll(socket, ['running'])
  await agent.next()
  const waiting = await socket.call('sessions.send', { content: 'old', priority: 'cron' }, KEY)
  const oldest = (await socket.next(({ seq }) => seq === waiting.seq)).at
  while (Date.now() === oldest) await new Promise(setImmediate)
  await sendAll(socket, ['urgent'])
  t.match(await socket.call('lanes.get', {}, KEY), {
    sessionKey: KEY,
    waiting: 2,
    oldestAt: oldest,
    running: { agent: 'scripted', attempt: 1 },
  })
  while (Date.now() === oldest) await new Promise(setImmediate)
  await sendAll(socket, ['a', 'b'], 'web:2:main')
  const { lanes, total } = await socket.call('lanes.list')
  t.same(
    lanes.map(({ sessionKey }: { sessionKey: string }) => sessionKey),
    [KEY, 'web:2:main'],
    'longest waiting first',
  )
  t.equal(total, 2)
  const first = await socket.call('lanes.list', { limit: 1 })
  t.same([first.lanes.length, first.total], [1, 2])
  t.same(await socket.call('lanes.get', {}, 'web:none'), {
    sessionKey: 'web:none',
    waiting: 0,
    paused: false,
    oldestAt: null,
    running: null,
    events: [],
    nextCursor: null,
  })
})
