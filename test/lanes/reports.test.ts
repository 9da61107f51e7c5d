import t from 'tap'
import type { AgentReport } from '../../src/protocol/index.js'
import { captureLog } from '../helpers/log.js'
import { startScripted } from '../helpers/scripted-agent.js'

const KEY = 'web:1:main'

/** What a watcher sees of a run that does this before it answers: names and payloads, without the run's id. */
async function seen(
  t: Parameters<typeof startScripted>[0],
  act: (report: (report: AgentReport) => void, delta: (text: string) => void) => void,
  overrides: Parameters<typeof startScripted>[1] = {},
) {
  const { logger, lines } = captureLog()
  const { connect } = await startScripted(t, overrides, {
    logger,
    onRun: (run) => {
      act(run.context.report, run.context.delta)
      run.reply()
    },
  })
  const socket = await connect()
  const { outcome } = await socket.call('sessions.send', { content: 'x', wait: true }, KEY)
  t.equal(outcome.status, 'completed')
  const events = socket
    .events()
    .filter(({ event }) => ['agent.tool', 'agent.reasoning', 'agent.delta'].includes(event))
    .map(({ event, payload: { runId, ...payload } }) => [event.slice('agent.'.length), payload])
  return { events, warnings: lines.filter(({ level }) => level === 40).map(({ msg }) => msg) }
}

t.test('tool calls and reasoning reach who watches, in their order with the answer’s pieces', async (t) => {
  const { events } = await seen(t, (report, delta) => {
    report({ type: 'reasoning', text: 'Hm.' })
    report({ type: 'reasoning', text: ' Well.' })
    delta('One')
    delta(' moment')
    report({ type: 'tool', callId: 'c', title: 'look', status: 'started', input: { at: [1] } })
    report({ type: 'tool', callId: 'c', status: 'completed', output: null })
  })
  t.strictSame(events, [
    ['reasoning', { text: 'Hm.' }],
    ['delta', { text: 'One' }],
    ['delta', { text: ' moment' }],
    ['reasoning', { text: ' Well.' }],
    ['tool', { callId: 'c', title: 'look', status: 'started', input: { at: [1] } }],
    ['tool', { callId: 'c', status: 'completed', output: null }],
  ])
})

t.test('what is too long is cut, and says so', async (t) => {
  const { events } = await seen(
    t,
    (report) => {
      const call = { type: 'tool', callId: 'c', status: 'updated' } as const
      report({ ...call, title: 't'.repeat(600), input: 'é'.repeat(50), output: { a: 'x'.repeat(100) } })
      report({ ...call, input: 'é'.repeat(32), output: ['x'.repeat(60)] })
    },
    { lanes: { reports: { maxBytes: 65 } } },
  )
  t.match(events[0], [
    'tool',
    {
      title: `${'t'.repeat(500)}…`,
      input: `${'é'.repeat(32)}… [cut: 100 bytes in all]`,
      output: `{"a":"${'x'.repeat(59)}… [cut: 108 bytes in all]`,
    },
  ])
  t.match(events[1], ['tool', { input: 'é'.repeat(32), output: ['x'.repeat(60)] }])
})

t.test('what is no report, or too much, is left out; the run goes on and the log has one line', async (t) => {
  const cycle: unknown[] = []
  cycle.push(cycle)
  const { events, warnings } = await seen(
    t,
    (report) => {
      for (const odd of [null, 5, {}, { type: 'tool' }, { type: 'tool', callId: '', status: 'started' }]) {
        report(odd as AgentReport)
      }
      report({ type: 'reasoning', text: '' })
      for (let calls = 0; calls < 50; calls++)
        report({ type: 'tool', callId: `${calls}`, status: 'started', input: cycle })
      for (let pieces = 0; pieces < 50; pieces++) report({ type: 'reasoning', text: 'x'.repeat(100) })
    },
    { lanes: { maxReplyBytes: 2_000, reports: { maxPerRun: 3 } } },
  )
  t.strictSame(
    events.slice(0, 3),
    ['0', '1', '2'].map((callId) => ['tool', { callId, status: 'started' }]),
  )
  const reasoning = events.slice(3)
  t.ok(reasoning.every(([name]) => name === 'reasoning'))
  t.equal(reasoning.map(([, { text }]) => text).join('').length, 2_000)
  t.strictSame(warnings, [
    'an agent’s report is none of the protocol and is left out',
    'an agent reports too often on its tools; the rest is left out',
    'an agent’s reasoning is too long; the rest is left out',
  ])
})

t.test('reports are fenced off once the run has ended or was stopped', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const late: AgentReport[] = [
    { type: 'tool', callId: 'late', status: 'completed' },
    { type: 'reasoning', text: 'late' },
  ]
  await socket.call('sessions.send', { content: 'one' }, KEY)
  const ended = await agent.next()
  ended.reply()
  await socket.event('agent.completed')
  const { runId } = await socket.call('sessions.send', { content: 'two' }, KEY)
  const stopped = await agent.next()
  stopped.context.signal.addEventListener('abort', () => late.forEach(stopped.context.report))
  await socket.call('agent.abort', { runId })
  late.forEach(ended.context.report)
  await socket.call('gateway.ping')
  t.notOk(socket.events().some(({ event }) => event === 'agent.tool' || event === 'agent.reasoning'))
})
