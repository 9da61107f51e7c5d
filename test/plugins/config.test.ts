import t from 'tap'
import { startApp } from '../helpers/app.js'
import { BASE, startConfigured } from '../helpers/config-app.js'
import { ScriptedAgent } from '../helpers/scripted-agent.js'
import { ScriptedConnector } from '../helpers/scripted-connector.js'
import { until } from '../helpers/until.js'

const CHANNELS = `${BASE}connectors:
  one: { type: scripted, channel: one, allow: ["*"], greeting: hi }
  two: { type: scripted, channel: two, allow: ["*"] }
channels:
  stopGraceMs: 20
  delivery: { backoffMs: 1, maxBackoffMs: 2 }
`

t.test(
  'of the connectors only those that changed connect anew, and what waits is sent by the new one',
  async (t) => {
    const made: { name: string; options: object; connector: ScriptedConnector }[] = []
    const { connect, app } = await startConfigured(t, {
      text: CHANNELS,
      prepare: (app) =>
        app.connector('scripted', (options, { name }) => {
          const connector = new ScriptedConnector()
          made.push({ name, options, connector })
          return connector
        }),
    })
    const socket = await connect()
    await until(() => app.channels.statuses().every(({ state }) => state === 'connected'))
    const before = made.find(({ name }) => name === 'one')!.connector
    let fail: (error: Error) => void = () => {}
    before.onSend = () =>
      new Promise((_resolve, reject) => {
        fail = reject
      })
    await socket.call('channels.send', { channel: 'one', peer: '7', text: 'late' })
    await until(() => before.sent.length === 1)

    t.match(await socket.call('config.set', { path: 'connectors.one.greeting', value: 'hello' }), {
      applied: ['connectors.one'],
    })
    t.strictSame(made.map(({ name }) => name).sort(), ['one', 'one', 'two'])
    t.equal(before.closed, 1)
    t.ok(before.now.ended, 'the old connection ended before the new one began')
    await until(() => app.channels.get('one')?.ready === true)
    fail(new Error('the connection is gone'))
    const after = made.at(-1)!.connector
    await until(() => after.sent.length === 1)
    t.equal(after.sent[0]!.text, 'late')

    await socket.call('config.set', { path: 'connectors.two' })
    t.equal(app.channels.get('two'), undefined)
    t.match(await socket.refused('channels.send', { channel: 'two', peer: '7', text: 'x' }), {
      code: 'NOT_FOUND',
    })
    await socket.call('config.set', {
      path: 'connectors.three',
      value: { type: 'scripted', channel: 'three' },
    })
    await until(() => app.channels.get('three')?.ready === true)
    await socket.call('channels.send', { channel: 'three', peer: '7', text: 'hello' })
    await until(() => made.at(-1)!.connector.sent.length === 1)
  },
)

t.test('a connector that cannot be made leaves the one that serves alone', async (t) => {
  let broken = false
  const { connect, app, read } = await startConfigured(t, {
    text: CHANNELS,
    prepare: (app) =>
      app.connector('scripted', () => {
        if (broken) throw new Error('no such account')
        return new ScriptedConnector()
      }),
  })
  const socket = await connect()
  await until(() => app.channels.get('one')?.ready === true)
  const channel = app.channels.get('one')
  broken = true
  t.match(await socket.refused('config.set', { path: 'connectors.one.greeting', value: 'x' }), {
    code: 'INVALID_REQUEST',
    details: {
      problems: [{ path: 'connectors.one', message: 'the connector cannot start: no such account' }],
    },
  })
  t.equal(app.channels.get('one'), channel)
  t.ok(channel?.ready)
  t.equal(await read(), CHANNELS)
})

t.test('workers move over to the agent that replaces theirs, and end what they have', async (t) => {
  const { connect } = await startConfigured(t, {
    text: `${BASE}defaultAgent: pool\nagents:\n  pool: { type: worker, historyLimit: 3 }\n`,
  })
  const socket = await connect()
  const serving = await connect({ caps: ['agent'] })
  await serving.call('worker.register', { agent: 'pool', credit: 2 })
  const first = socket.call('sessions.send', { content: 'one', wait: true }, 'web:1')
  const { lease } = (await serving.event('worker.run')).payload
  await socket.call('config.set', { path: 'agents.pool.historyLimit', value: 5 })
  const second = socket.call('sessions.send', { content: 'two', wait: true }, 'web:2')
  const run = await serving.event('worker.run', ({ payload }) => payload.lease !== lease)
  await serving.call('worker.complete', { lease, content: 'from the old one' })
  await serving.call('worker.complete', { lease: run.payload.lease, content: 'from the new one' })
  t.match(await first, { outcome: { status: 'completed' } })
  t.match(await second, { outcome: { status: 'completed' } })
})

t.test('routing and the default agent hold from the next event on', async (t) => {
  const agents = new Map<string, ScriptedAgent>()
  const { connect } = await startConfigured(t, {
    text: `${BASE}agents:\n  a: { type: scripted }\n  b: { type: scripted }\n`,
    prepare: (app) =>
      app.agent('scripted', (_options, { name }) => {
        const agent = new ScriptedAgent()
        agent.onRun = (run) => run.reply(name)
        agents.set(name, agent)
        return agent
      }),
  })
  const socket = await connect()
  const { hash: baseHash } = await socket.call('config.get')
  const patch = { defaultAgent: 'a', routing: [{ channel: 'irc', agent: 'b' }] }
  t.match(await socket.call('config.patch', { patch, baseHash }), { applied: ['defaultAgent', 'routing'] })
  await socket.call('sessions.send', { content: 'x', wait: true }, 'web:1')
  await socket.call('sessions.send', { content: 'y', wait: true }, 'irc:1')
  t.strictSame([agents.get('a')!.contents, agents.get('b')!.contents], [['x'], ['y']])
  const { agents: list } = await socket.call('agents.list')
  t.strictSame(
    list.filter((one: { default: boolean }) => one.default).map(({ name }: { name: string }) => name),
    ['a'],
  )
})

t.test('more changes at the same time than may wait are refused, and the others are all made', async (t) => {
  const { connect, read } = await startConfigured(t, {
    text: BASE.replace('watchIntervalMs: 0', 'watchIntervalMs: 0\n  maxPendingChanges: 3'),
  })
  const socket = await connect()
  const answers = await Promise.all(
    Array.from({ length: 5 }, (_, n) =>
      socket.request('config.set', { path: 'lanes.capacity', value: n + 1 }),
    ),
  )
  t.strictSame(
    answers.map(({ error }) => error?.code ?? 'ok'),
    ['ok', 'ok', 'ok', 'UNAVAILABLE', 'UNAVAILABLE'],
  )
  t.match(await read(), /capacity: 3\n/)
})

t.test('a gateway that is part of another program says that it cannot be changed', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  t.match(await socket.call('config.get', { path: 'lanes.capacity' }), { value: 100, file: null })
  t.match(await socket.refused('config.reload'), { code: 'UNAVAILABLE', retryable: false })
})
