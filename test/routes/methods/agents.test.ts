import t from 'tap'
import { startScripted } from '../../helpers/scripted-agent.js'

const KEY = 'web:1:main'

t.test('agent.wait answers when the run ends, to everyone who waits, and at once afterwards', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const [a, b] = [await connect(), await connect()]
  const { runId, eventId } = await a.call('sessions.send', { content: 'x' }, KEY)
  const waits = [
    a.call('agent.wait', { runId }),
    b.call('agent.wait', { runId }),
    b.call('agent.wait', { runId }),
  ]
  ;(await agent.next()).reply('y')
  const results = await Promise.all(waits)
  t.match(results[0], {
    runId,
    eventId,
    status: 'completed',
    message: { content: 'y', role: 'assistant' },
    error: null,
  })
  t.same(results[1], results[0])
  t.same(await b.call('agent.wait', { runId }), results[0])
  t.equal(app.outcomes.waiting, 0)
})

t.test('agent.wait gives up after its time, the run goes on', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const socket = await connect()
  const { runId } = await socket.call('sessions.send', { content: 'x' }, KEY)
  for (const timeoutMs of [0, 5]) {
    t.match(await socket.refused('agent.wait', { runId, timeoutMs }), {
      code: 'AGENT_TIMEOUT',
      retryable: true,
      details: { runId },
    })
  }
  t.equal(app.outcomes.waiting, 0)
  ;(await agent.next()).reply()
  t.match(await socket.call('agent.wait', { runId }), { status: 'completed' })
  t.match(
    await socket.call('agent.wait', { runId, timeoutMs: 0 }),
    { status: 'completed' },
    'what ended needs no time',
  )
})

t.test('a wait that is cancelled, or whose connection ends, leaves nothing behind', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const [a, b] = [await connect(), await connect()]
  const { runId } = await a.call('sessions.send', { content: 'x' }, KEY)
  await agent.next()
  a.send({ type: 'request', id: 'w1', method: 'agent.wait', params: { runId } })
  b.send({ type: 'request', id: 'w2', method: 'agent.wait', params: { runId } })
  b.send({
    type: 'request',
    id: 's1',
    method: 'sessions.send',
    params: { content: 'y', wait: true },
    sessionKey: KEY,
  })
  await a.call('gateway.ping')
  await b.event('session.message', ({ payload }) => payload.content === 'y')
  t.ok(app.outcomes.waiting > 0)
  a.send({ type: 'cancel', id: 'w1' })
  t.match(await a.next(({ id }) => id === 'w1'), { error: { code: 'CANCELLED' } })
  b.terminate()
  while (app.outcomes.waiting > 0) await a.call('gateway.ping')
  t.equal(app.lanes.dispatcher.pending, 2, 'the events stay')
})

t.test('a run that nobody knows is NOT_FOUND', async (t) => {
  const { connect } = await startScripted(t)
  const socket = await connect()
  for (const runId of ['run_nope', 'evt_x', 'nonsense']) {
    for (const method of ['agent.wait', 'agent.abort']) {
      t.match(
        await socket.refused(method, { runId }),
        { code: 'NOT_FOUND', details: { runId } },
        `${method} ${runId}`,
      )
    }
  }
})

t.test('agent.abort with a session key stops a run of that session only', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const { runId } = await socket.call('sessions.send', { content: 'x' }, KEY)
  await agent.next()
  t.match(await socket.refused('agent.abort', { runId }, 'web:other'), { code: 'NOT_FOUND' })
  t.same(await socket.call('agent.abort', { runId }, KEY), { aborted: [runId] })
})

t.test('the agents are listed with the default one marked; echo is always there', async (t) => {
  const { connect } = await startScripted(t, { agents: { second: { type: 'echo' } } })
  const socket = await connect()
  t.same((await socket.call('agents.list')).agents, [
    { name: 'scripted', type: 'scripted', default: true },
    { name: 'second', type: 'echo', default: false },
    { name: 'echo', type: 'echo', default: false },
  ])
})
