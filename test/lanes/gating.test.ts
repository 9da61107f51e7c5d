import t, { type Test } from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import type { ConfigOverrides } from '../helpers/app.js'
import { type ScriptedRun, startScripted } from '../helpers/scripted-agent.js'
import { until } from '../helpers/until.js'

const down = () => new GatewayError('UNAVAILABLE', 'The backend is down.')

function start(t: Test, limits: object, overrides: ConfigOverrides = {}, onRun?: (run: ScriptedRun) => void) {
  const agents = { scripted: { type: 'scripted', ...limits } }
  return startScripted(t, { ...overrides, agents }, { onRun })
}

t.test(
  'an agent has so many runs at the same time; the others hold nothing that other agents need',
  async (t) => {
    const { app, connect, agent } = await start(
      t,
      { concurrency: 2 },
      { lanes: { concurrency: 3 }, routing: [{ channel: 'echo', agent: 'echo' }] },
    )
    const socket = await connect()
    const sent = []
    for (let n = 0; n < 5; n++) sent.push(await socket.call('sessions.send', { content: `${n}` }, `web:${n}`))
    await agent.begun(2)
    const { outcome } = await socket.call('sessions.send', { content: 'hi', wait: true }, 'echo:1')
    t.match(outcome, { message: { content: 'hi' } })
    t.equal(agent.runs.length, 2)
    t.match((await socket.call('agents.list')).agents[0], { name: 'scripted', concurrency: 2, waiting: 3 })
    t.match(await socket.call('lanes.get', {}, 'web:4'), { waiting: 1, running: null })
    t.match((await app.inject('/metrics')).body, /gateway_agent_lanes_waiting\{agent="scripted"\} 3/)
    for (let n = 0; n < 5; n++) (await agent.next()).reply()
    for (const { runId } of sent) t.match(await socket.call('agent.wait', { runId }), { status: 'completed' })
    t.same(agent.contents, ['0', '1', '2', '3', '4'], 'in the order in which they came')
    t.equal(app.agents.get('scripted')!.gate!.waiting, 0)
  },
)

t.test(
  'what waits for its agent can be aborted, paused, outranked and joined as anything that waits',
  async (t) => {
    const { app, connect, agent } = await start(t, { concurrency: 1 })
    const socket = await connect()
    const send = async (content: string, key: string, more: object = {}) =>
      (await socket.call('sessions.send', { content, ...more }, key)).runId as string
    await send('first', 'web:1')
    const first = await agent.next()
    const aborted = await send('aborted', 'web:2')
    await send('paused', 'web:3')
    await send('late', 'web:4', { priority: 'cron' })
    await send('urgent', 'web:4')
    await until(() => app.agents.get('scripted')!.gate!.waiting >= 3)
    t.same(await socket.call('agent.abort', { runId: aborted }), { aborted: [aborted] })
    await socket.call('lanes.pause', {}, 'web:3')
    first.reply()
    for (const content of ['urgent', 'late']) {
      const run = await agent.next()
      t.equal(run.content, content)
      run.reply()
    }
    await socket.call('lanes.resume', {}, 'web:3')
    const last = await agent.next()
    t.equal(last.content, 'paused')
    last.reply()
    await socket.event('agent.completed', ({ sessionKey }) => sessionKey === 'web:3')
    t.notOk(agent.contents.includes('aborted'))
  },
)

t.test(
  'while an agent is unavailable its events wait, and none is lost however long that takes',
  async (t) => {
    let up = false
    const { app, connect, agent } = await start(
      t,
      { breaker: { failures: 3, openMs: 5, maxWaitMs: 60_000 } },
      { lanes: { retry: { attempts: 2, backoffMs: 1, maxBackoffMs: 2 } } },
      (run) => (up ? run.reply() : run.fail(down())),
    )
    const socket = await connect()
    const sent = []
    for (let n = 0; n < 5; n++) {
      for (const key of ['web:1', 'web:2']) {
        sent.push(await socket.call('sessions.send', { content: `${n}` }, key))
      }
    }
    t.match((await socket.event('agent.unavailable')).payload, {
      agent: 'scripted',
      failures: 3,
      retryInMs: 5,
    })
    const { gate } = app.agents.get('scripted')!
    await agent.begun(12)
    t.not(gate!.breaker!.state, 'closed')
    t.match((await socket.call('gateway.health')).checks.agents, {
      status: 'degraded',
      message: /scripted: unavailable/,
    })
    const { body } = await app.inject('/metrics')
    t.match(body, /gateway_agent_breaker_state\{agent="scripted",state="closed"\} 0/)
    up = true
    await socket.event('agent.available')
    for (const { runId } of sent) {
      const { status, error } = await socket.call('agent.wait', { runId })
      // Of the first events each may have failed twice before the breaker knew.
      if (status === 'failed') t.match(error, { message: /backend is down/ })
    }
    const failed = socket.events().filter(({ event }) => event === 'agent.failed')
    t.ok(failed.length <= 1, `${failed.length} failed before the breaker opened`)
    t.match((await socket.call('agents.list')).agents[0], { breaker: 'closed', waiting: 0 })
    t.match((await socket.call('gateway.health')).checks.agents, { status: 'ok' })
  },
)

t.test(
  'a failed probe is no try; an event that is too old fails as it would without a breaker',
  async (t) => {
    const { connect, agent } = await start(t, { breaker: { failures: 1, openMs: 1, maxWaitMs: 60_000 } })
    const socket = await connect()
    const { runId } = await socket.call('sessions.send', { content: 'hi' }, 'web:1')
    for (let n = 0; n < 6; n++) {
      const run = await agent.next()
      t.equal(run.context.attempt, 1)
      run.fail(down())
    }
    ;(await agent.next()).reply()
    t.match(await socket.call('agent.wait', { runId }), { status: 'completed' })

    const hasty = await start(t, { breaker: { failures: 1, openMs: 1, maxWaitMs: 0 } }, {}, (run) =>
      run.fail(down()),
    )
    const { outcome } = await (await hasty.connect()).call(
      'sessions.send',
      { content: 'x', wait: true },
      'web:1',
    )
    t.match(outcome, { status: 'failed', error: { message: /backend is down/ } })
    t.same(
      hasty.agent.runs.map(({ context }) => context.attempt),
      [1, 2, 3],
    )
  },
)

t.test(
  'a run past its time limit speaks of the backend, too, and is put off while that is unavailable',
  async (t) => {
    const { connect, agent } = await start(t, {
      timeoutMs: 20,
      breaker: { failures: 1, openMs: 1, maxWaitMs: 60_000 },
    })
    const socket = await connect()
    const { runId } = await socket.call('sessions.send', { content: 'hi' }, 'web:1')
    await agent.next()
    ;(await agent.next()).reply()
    t.match(await socket.call('agent.wait', { runId }), { status: 'completed' })
    t.match((await socket.event('agent.retrying')).payload.error, { code: 'AGENT_TIMEOUT' })
  },
)

t.test('what the backend refuses says that it is there', async (t) => {
  const { app, connect } = await start(
    t,
    { breaker: { failures: 1, openMs: 60_000, maxWaitMs: 60_000 } },
    {},
    (run) => run.fail(new GatewayError('INVALID_REQUEST', 'No.')),
  )
  const socket = await connect()
  for (let n = 0; n < 3; n++) {
    const { outcome } = await socket.call('sessions.send', { content: 'x', wait: true }, 'web:1')
    t.match(outcome, { status: 'failed', error: { code: 'INVALID_REQUEST' } })
  }
  t.equal(app.agents.get('scripted')!.gate!.breaker!.state, 'closed')
})

t.test('a run that waits for its backend can be aborted, and the lane goes on', async (t) => {
  const { connect, agent } = await start(
    t,
    { breaker: { failures: 1, openMs: 60_000, maxWaitMs: 60_000 } },
    {},
    (run) => run.fail(down()),
  )
  const socket = await connect()
  const [one, two] = [
    await socket.call('sessions.send', { content: 'one' }, 'web:1'),
    await socket.call('sessions.send', { content: 'two' }, 'web:1'),
  ]
  await socket.event('agent.unavailable')
  t.same(await socket.call('agent.abort', { runId: one.runId }), { aborted: [one.runId] })
  t.same(await socket.call('agent.abort', { runId: two.runId }), { aborted: [two.runId] })
  t.equal(agent.runs.length, 1)
})

t.test('a message that mentions an agent goes to that one, in the same session', async (t) => {
  const { connect, agent } = await startScripted(t, { routing: [{ mention: 'parrot', agent: 'echo' }] })
  const socket = await connect()
  const { outcome } = await socket.call('sessions.send', { content: 'Say it, @Parrot', wait: true }, 'web:1')
  t.match(outcome, { message: { content: 'Say it, @Parrot', agent: 'echo' } })
  await socket.call('sessions.send', { content: 'And you?' }, 'web:1')
  t.equal((await agent.next()).content, 'And you?')
})
