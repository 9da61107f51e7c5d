import t from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import { newSessionRecord } from '../../src/sessions/sessions.js'
import { startApp } from '../helpers/app.js'
import { startScripted } from '../helpers/scripted-agent.js'
import type { Frame, TestSocket } from '../helpers/socket.js'

const KEY = 'web:1:main'
const FINAL = ['agent.completed', 'agent.failed', 'agent.aborted']

const ofRun = (socket: TestSocket, runId: string) =>
  socket.events().filter(({ payload }) => payload.runId === runId)

const final = (socket: TestSocket, runId: string) =>
  socket.next(({ event, payload }) => FINAL.includes(event) && payload.runId === runId)

t.test('a run is started, streams, answers and completes, under one id and in this order', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const { runId, eventId } = await socket.call('sessions.send', { content: 'hi' }, KEY)
  const run = await agent.next()
  t.match(run.context, { runId, attempt: 1, session: { key: KEY, channel: 'web', active: true } })
  run.context.delta('Hel')
  run.context.delta('lo')
  run.reply({ content: 'Hello', metadata: { mood: 'good' }, usage: { tokens: 3 } })
  await final(socket, runId)
  const events = ofRun(socket, runId)
  t.same(
    events.map(({ event, payload }) => [event, payload.role ?? payload.text ?? null]),
    [
      ['session.message', 'user'],
      ['agent.started', null],
      ['agent.delta', 'Hel'],
      ['agent.delta', 'lo'],
      ['session.message', 'assistant'],
      ['agent.completed', null],
    ],
  )
  const [question, started, , , answer, completed] = events as [Frame, Frame, Frame, Frame, Frame, Frame]
  t.match(started.payload, { runId, eventId, agent: 'scripted', attempt: 1 })
  t.match(answer.payload, { content: 'Hello', agent: 'scripted', metadata: { mood: 'good' }, eventId })
  t.match(completed.payload, { eventId, agent: 'scripted', usage: { tokens: 3 } })
  t.equal(completed.payload.messageId, answer.payload.messageId)
  t.ok(question.seq < answer.seq && answer.seq < completed.seq)
  t.equal(events.filter(({ event }) => FINAL.includes(event)).length, 1)
})

t.test('an empty reply ends the run without a message', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const sent = socket.call('sessions.send', { content: 'hi', wait: true }, KEY)
  ;(await agent.next()).reply('')
  t.match((await sent).outcome, { status: 'completed', message: null, error: null })
  t.match((await socket.event('agent.completed')).payload, { messageId: null })
  t.equal((await socket.call('sessions.history', {}, KEY)).messages.length, 1)
})

t.test('the agent is given the conversation until now, and nothing of what still waits', async (t) => {
  const { connect, agent } = await startScripted(t, { sessions: { historyLimit: 3 } })
  const socket = await connect()
  const said = async (limit?: number) =>
    (await agent.runs.at(-1)!.context.history(limit)).map(({ content }) => content)
  await socket.call('sessions.send', { content: 'one' }, KEY)
  const first = await agent.next()
  for (const content of ['two', 'three', 'four']) await socket.call('sessions.send', { content }, KEY)
  t.same(await said(), [])
  first.reply('1')
  const second = await agent.next()
  t.same(await said(), ['one', '1'], 'the answer that came while it waited is part of it')
  second.reply('2')
  await agent.next()
  t.same(await said(), ['1', 'two', '2'], 'as many as the configuration says')
  t.same(await said(1), ['2'])
  t.same(await said(0), [])
  t.same(await said(100), ['one', '1', 'two', '2'])
})

t.test(
  'a failure is tried again in place, the lane waits, and the answer comes under the first id',
  async (t) => {
    const { connect, agent } = await startScripted(t)
    const socket = await connect()
    const { runId, eventId } = await socket.call('sessions.send', { content: 'hard' }, KEY)
    await socket.call('sessions.send', { content: 'next' }, KEY)
    ;(await agent.next()).fail(new Error('a secret of the backend'))
    ;(await agent.next()).fail(new GatewayError('UNAVAILABLE', 'busy', { retryAfterMs: 1 }))
    const third = await agent.next()
    t.match(third.context, { runId, attempt: 3 })
    third.reply('done')
    await final(socket, runId)
    t.same(agent.contents.slice(0, 3), ['hard', 'hard', 'hard'], 'the next one waited')
    const retries = ofRun(socket, runId).filter(({ event }) => event === 'agent.retrying')
    t.match(retries, [
      {
        payload: {
          eventId,
          agent: 'scripted',
          attempt: 1,
          error: { code: 'INTERNAL_ERROR', retryable: true },
        },
      },
      { payload: { attempt: 2, error: { code: 'UNAVAILABLE', message: 'busy', retryAfterMs: 1 } } },
    ])
    t.notMatch(JSON.stringify(socket.frames), /secret of the backend/)
    t.equal(ofRun(socket, runId).filter(({ event }) => FINAL.includes(event)).length, 1)
  },
)

t.test('when all tries failed the event is a dead letter and the lane moves on', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  agent.onRun = (run) => (run.content === 'hard' ? run.fail(new Error('no')) : run.reply())
  const { runId, eventId } = await socket.call('sessions.send', { content: 'hard' }, KEY)
  const next = await socket.call('sessions.send', { content: 'next' }, KEY)
  await final(socket, next.runId)
  t.same(agent.contents, ['hard', 'hard', 'hard', 'next'])
  t.match(ofRun(socket, runId).at(-1), {
    event: 'agent.failed',
    payload: { eventId, attempts: 3, error: { code: 'INTERNAL_ERROR' } },
  })
  t.match(await socket.call('agent.wait', { runId }), { status: 'failed', error: { code: 'INTERNAL_ERROR' } })
  t.match((await socket.call('deadLetters.list')).deadLetters, [
    { event: { id: eventId, runId, payload: { content: 'hard' } }, attempts: 3 },
  ])
})

t.test('a failure that another try cannot mend is a dead letter at once', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const sent = socket.call('sessions.send', { content: 'x', wait: true }, KEY)
  ;(await agent.next()).fail(new GatewayError('NOT_LINKED', 'no key'))
  t.match((await sent).outcome, {
    status: 'failed',
    message: null,
    error: { code: 'NOT_LINKED', message: 'no key', retryable: false, details: null },
  })
  t.equal(agent.runs.length, 1)
  t.match((await socket.call('deadLetters.list')).deadLetters, [
    { attempts: 1, error: { code: 'NOT_LINKED' } },
  ])
})

t.test('an agent has a retry policy of its own', async (t) => {
  const { connect, agent } = await startScripted(t, {
    agents: { scripted: { type: 'scripted', retry: { attempts: 1 } } },
  })
  const socket = await connect()
  agent.onRun = (run) => run.fail(new Error('no'))
  const { outcome } = await socket.call('sessions.send', { content: 'x', wait: true }, KEY)
  t.match(outcome, { status: 'failed' })
  t.equal(agent.runs.length, 1)
})

t.test('a reply that is none fails the run at once instead of holding the lane', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const socket = await connect()
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  for (const reply of [
    {},
    { content: 5 },
    { content: 'x', metadata: 'y' },
    { content: 'x', usage: { n: 1n } },
    cycle,
  ]) {
    agent.onRun = (run) => run.reply(reply)
    const { outcome } = await socket.call('sessions.send', { content: 'x', wait: true }, KEY)
    t.match(outcome, { status: 'failed', error: { code: 'INTERNAL_ERROR', retryable: false } })
  }
  t.equal(agent.runs.length, 5)
  t.equal(app.lanes.dispatcher.size, 0)
})

t.test('an agent that throws at once, or answers without a promise, is as good as any', async (t) => {
  const { connect } = await startApp(
    t,
    {
      agents: { hasty: { type: 'hasty', retry: { attempts: 1 } } },
      defaultAgent: 'hasty',
    },
    {
      prepare: (app) =>
        app.agent('hasty', () => ({
          type: 'hasty',
          run: ((event: { payload: { content: string } }) => {
            if (event.payload.content === 'throw') throw new Error('at once')
            return { content: 'at once' }
          }) as never,
        })),
    },
  )
  const socket = await connect()
  const send = async (content: string) =>
    (await socket.call('sessions.send', { content, wait: true }, KEY)).outcome
  t.match(await send('throw'), { status: 'failed', error: { code: 'INTERNAL_ERROR' } })
  t.match(await send('answer'), { status: 'completed', message: { content: 'at once' } })
})

t.test('a session whose agent is gone is served as the routing says', async (t) => {
  const { connect } = await startApp(
    t,
    {},
    {
      prepare: async (app) => {
        await app.journal.saveSession(newSessionRecord(KEY, Date.now(), { agent: 'gone' }), [])
      },
    },
  )
  const socket = await connect()
  const { outcome } = await socket.call('sessions.send', { content: 'x', wait: true }, KEY)
  t.match(outcome, { status: 'completed' })
  t.match((await socket.event('agent.started')).payload, { agent: 'echo' })
})
