import t from 'tap'
import { startScripted } from '../helpers/scripted-agent.js'

const KEY = 'web:1:main'

t.test(
  'past its time limit a run fails with AGENT_TIMEOUT, is a dead letter, and the lane moves on',
  async (t) => {
    const { connect, agent } = await startScripted(t, {
      agents: { scripted: { type: 'scripted', timeoutMs: 30 } },
    })
    const socket = await connect()
    const slow = await socket.call('sessions.send', { content: 'slow' }, KEY)
    const next = socket.call('sessions.send', { content: 'next', wait: true }, KEY)
    const run = await agent.next()
    t.match(await socket.call('agent.wait', { runId: slow.runId }), {
      status: 'failed',
      error: { code: 'AGENT_TIMEOUT', message: /30 ms/ },
    })
    t.ok(run.context.signal.aborted)
    ;(await agent.next()).reply()
    t.match((await next).outcome, { status: 'completed' })
    t.match((await socket.call('deadLetters.list')).deadLetters, [
      { event: { id: slow.eventId }, error: { code: 'AGENT_TIMEOUT' }, attempts: 1 },
    ])
  },
)

t.test('an agent that ignores its signal is left behind and nothing of it gets through', async (t) => {
  const { connect, agent, app } = await startScripted(t, {
    agents: { scripted: { type: 'scripted', timeoutMs: 20 } },
  })
  agent.onRun = (run) => {
    run.ignoresAbort = true
  }
  const socket = await connect()
  const { runId } = await socket.call('sessions.send', { content: 'deaf' }, KEY)
  const deaf = await agent.next()
  t.match(await socket.call('agent.wait', { runId }), { status: 'failed', error: { code: 'AGENT_TIMEOUT' } })
  const next = socket.call('sessions.send', { content: 'next', wait: true }, KEY)
  const run = await agent.next()
  deaf.context.delta('late')
  deaf.reply('too late')
  run.context.delta('in time')
  run.reply('answer')
  t.match((await next).outcome, { status: 'completed', message: { content: 'answer' } })
  const deltas = socket.events().filter(({ event }) => event === 'agent.delta')
  t.same(
    deltas.map(({ payload }) => payload.text),
    ['in time'],
  )
  const { messages } = await socket.call('sessions.history', {}, KEY)
  t.same(
    messages.map(({ content }: { content: string }) => content),
    ['deaf', 'next', 'answer'],
  )
  t.match((await app.inject('/metrics')).body, /gateway_runs_abandoned_total 1/)
})

t.test('deltas are fenced off once the run has ended, was stopped, or says nothing', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const first = await socket.call('sessions.send', { content: 'one' }, KEY)
  const run = await agent.next()
  for (const nothing of ['', undefined, 5, null]) run.context.delta(nothing as string)
  run.context.delta('heard')
  run.reply()
  await socket.event('agent.completed')
  run.context.delta('after the end')

  const second = await socket.call('sessions.send', { content: 'two' }, KEY)
  const stopped = await agent.next()
  stopped.ignoresAbort = true
  stopped.context.signal.addEventListener('abort', () => stopped.context.delta('after the abort'))
  await socket.call('agent.abort', { runId: second.runId })
  await socket.call('gateway.ping')
  const deltas = socket.events().filter(({ event }) => event === 'agent.delta')
  t.match(deltas, [{ payload: { runId: first.runId, text: 'heard' } }])
  t.equal(deltas.length, 1)
})

t.test('a reply past lanes.maxReplyBytes fails its run at once and the lane moves on', async (t) => {
  const { connect, agent } = await startScripted(
    t,
    { lanes: { maxReplyBytes: 2_000 } },
    { onRun: (run) => run.reply('x'.repeat(run.content === 'long' ? 3_000 : 1_000)) },
  )
  const socket = await connect()
  const long = await socket.call('sessions.send', { content: 'long', wait: true }, KEY)
  t.match(long.outcome, {
    status: 'failed',
    error: { code: 'UNAVAILABLE', message: /2000 bytes/, retryable: false },
  })
  const short = await socket.call('sessions.send', { content: 'short', wait: true }, KEY)
  t.equal(short.outcome.message.content.length, 1_000)
  t.equal(agent.runs.length, 2)
})

t.test('a run that is stopped while it is marked as begun does not reach its agent', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const { journal } = app
  const begin = journal.begin.bind(journal)
  const marking = new Promise<() => void>((asked) => {
    journal.begin = async (ids) => {
      await new Promise<void>((marked) => asked(marked))
      await begin(ids)
    }
  })
  const socket = await connect()
  const { runId } = await socket.call('sessions.send', { content: 'stopped' }, KEY)
  const mark = await marking
  const aborted = socket.call('agent.abort', { runId })
  await socket.call('gateway.info')
  mark()
  t.same(await aborted, { aborted: [runId] })
  t.match(await socket.call('agent.wait', { runId }), { status: 'aborted' })
  journal.begin = begin
  agent.onRun = (run) => run.reply()
  await socket.call('sessions.send', { content: 'next', wait: true }, KEY)
  t.same(agent.contents, ['next'])
})
