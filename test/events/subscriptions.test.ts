import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { EVENTS, EventFrame } from '../../src/protocol/index.js'
import { type RunningApp, startApp } from '../helpers/app.js'
import type { TestSocket } from '../helpers/socket.js'

const TOKENS = {
  auth: {
    tokens: [
      { token: 'admin-token' },
      { token: 'viewer-token', role: 'viewer' as const },
      { token: 'agent-token', role: 'agent' as const },
      { token: 'confined-token', scopes: ['read' as const], sessions: ['mine:*', 'shared:room'] },
    ],
  },
}
const as = (token: string, rest: object = {}) => ({ auth: { token }, ...rest })

/** One durable and one passing event in a session. */
async function happen({ app }: RunningApp, sessionKey: string): Promise<void> {
  await app.sessions.create(sessionKey, {})
  const payload = JSON.stringify({ runId: 'r', text: 'piece' })
  app.events.broadcast({ event: 'agent.delta', sessionKey, at: Date.now(), payload, seq: 0 }, true)
}

/** What a connection has received, once everything up to now has arrived. */
async function received(socket: TestSocket): Promise<string[]> {
  await socket.call('gateway.ping')
  return socket.events().map(({ event, sessionKey }) => `${event} ${sessionKey}`)
}

t.test('an event frame has every field, and durable ones their place in the journal', async (t) => {
  const gateway = await startApp(t)
  const socket = await gateway.connect()
  await happen(gateway, 'a:1')
  const created = await socket.event('session.created')
  const delta = await socket.event('agent.delta')
  for (const frame of [created, delta]) t.strictSame([...Value.Errors(EventFrame, frame)], [])
  t.strictSame(Object.keys(created), ['id', 'type', 'at', 'event', 'payload', 'sessionKey', 'seq'])
  t.strictSame([...Value.Errors(EVENTS.sessionCreated.payload, created.payload)], [])
  t.equal(created.seq, gateway.app.journal.head)
  t.strictSame(Object.keys(delta), ['id', 'type', 'at', 'event', 'payload', 'sessionKey'])
})

t.test('a new connection gets everything', async (t) => {
  const gateway = await startApp(t)
  const socket = await gateway.connect()
  await happen(gateway, 'a:1')
  t.strictSame(await received(socket), ['session.created a:1', 'agent.delta a:1'])
})

t.test('a hello may subscribe to less, also to nothing', async (t) => {
  const gateway = await startApp(t)
  const some = await gateway.connect({ subscribe: ['agent.*', 'no.such'] })
  const none = await gateway.connect({ subscribe: [] })
  const all = await gateway.connect({ subscribe: null })
  await happen(gateway, 'a:1')
  t.strictSame(await received(some), ['agent.delta a:1'])
  t.strictSame(await received(none), [])
  t.strictSame(await received(all), ['session.created a:1', 'agent.delta a:1'])
})

t.test('the first events.subscribe replaces everything, later ones add up without doubles', async (t) => {
  const gateway = await startApp(t)
  const socket = await gateway.connect()
  t.strictSame(await socket.call('events.subscribe', { patterns: ['session.*'], sessionKeys: ['a:1'] }), {
    subscriptions: [{ patterns: ['session.*'], sessionKeys: ['a:1'] }],
  })
  await socket.call('events.subscribe', { sessionKeys: ['a:1', 'a:2'] })
  await socket.call('events.subscribe', { patterns: ['*.created'] })
  const { subscriptions } = await socket.call('events.subscribe', {
    patterns: ['session.created', '*.created'],
  })
  t.equal(subscriptions.length, 4)
  for (const key of ['a:1', 'a:2', 'b:1']) await happen(gateway, key)
  t.strictSame(await received(socket), [
    'session.created a:1',
    'agent.delta a:1',
    'session.created a:2',
    'agent.delta a:2',
    'session.created b:1',
  ])
})

t.test('what was subscribed in the hello is added to', async (t) => {
  const gateway = await startApp(t)
  const socket = await gateway.connect({ subscribe: ['session.created'] })
  await socket.call('events.subscribe', { sessionKeys: ['a:1'], patterns: ['agent.*'] })
  await happen(gateway, 'a:1')
  await happen(gateway, 'a:2')
  t.strictSame(await received(socket), ['session.created a:1', 'agent.delta a:1', 'session.created a:2'])
})

t.test('events.unsubscribe takes one subscription back, and without parameters all', async (t) => {
  const gateway = await startApp(t)
  const socket = await gateway.connect({ subscribe: [] })
  await socket.call('events.subscribe', { patterns: ['session.*'] })
  await socket.call('events.subscribe', { patterns: ['agent.*'], sessionKeys: ['a:1'] })
  await socket.call('events.unsubscribe', { patterns: ['session.*'] })
  await happen(gateway, 'a:1')
  t.strictSame(await received(socket), ['agent.delta a:1'])
  t.strictSame(await socket.call('events.unsubscribe'), { subscriptions: [] })
  await happen(gateway, 'a:2')
  t.strictSame(await received(socket), ['agent.delta a:1'])
  await socket.call('events.subscribe', {})
  await happen(gateway, 'a:3')
  t.strictSame((await received(socket)).slice(1), ['session.created a:3', 'agent.delta a:3'])
})

t.test('subscriptions of one connection are bounded', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect({ subscribe: [] })
  for (let i = 0; i < 255; i++) await socket.call('events.subscribe', { patterns: [`never.${i}`] })
  t.match(await socket.refused('events.subscribe', { patterns: ['one.more'] }), {
    code: 'UNAVAILABLE',
    retryable: false,
  })
})

t.test('scopes and session patterns decide who sees what, live', async (t) => {
  const gateway = await startApp(t, TOKENS)
  const { connect } = gateway
  const [admin, viewer, agent, confined] = await Promise.all(
    ['admin-token', 'viewer-token', 'agent-token', 'confined-token'].map((token) => connect(as(token))),
  )
  await confined!.call('events.subscribe', { patterns: ['*'] })
  await confined!.call('events.subscribe', { sessionKeys: ['mine:1'] })
  for (const key of ['mine:1', 'yours:1', 'shared:room', 'shared:roomy']) await happen(gateway, key)
  const everything = ['mine:1', 'yours:1', 'shared:room', 'shared:roomy'].flatMap((key) => [
    `session.created ${key}`,
    `agent.delta ${key}`,
  ])
  t.strictSame(await received(admin!), everything)
  t.strictSame(await received(viewer!), everything)
  t.strictSame(await received(agent!), [], 'no scope to read')
  t.strictSame(await received(confined!), [
    'session.created mine:1',
    'agent.delta mine:1',
    'session.created shared:room',
    'agent.delta shared:room',
  ])
  t.match(await agent!.refused('events.subscribe', { patterns: ['*'] }), { code: 'FORBIDDEN' })
})

t.test('scopes and session patterns decide who sees what in a replay and in the snapshot', async (t) => {
  const gateway = await startApp(t, TOKENS)
  const { epoch } = gateway.app.journal
  for (const key of ['mine:1', 'yours:1', 'shared:room']) await happen(gateway, key)
  const resume = { epoch, seq: 0 }
  const seen = async (token: string, rest: object = {}) => {
    const socket = await gateway.connect(as(token, { resume, ...rest }))
    t.equal(socket.helloOk!.resume.recovered, true)
    const snapshot = socket.helloOk!.snapshot.sessions.map(({ key }: { key: string }) => key).sort()
    return [snapshot, await received(socket)]
  }
  const keys = ['mine:1', 'shared:room', 'yours:1']
  const events = ['session.created mine:1', 'session.created yours:1', 'session.created shared:room']
  t.strictSame(await seen('admin-token'), [keys, events])
  t.strictSame(await seen('viewer-token'), [keys, events])
  t.strictSame(await seen('viewer-token', { subscribe: ['agent.*'] }), [keys, []])
  t.strictSame(await seen('agent-token'), [[], []])
  t.strictSame(await seen('confined-token'), [
    ['mine:1', 'shared:room'],
    ['session.created mine:1', 'session.created shared:room'],
  ])
})

t.test(
  'gateway.shutdown reaches everyone, also those without scopes and in some sessions only',
  async (t) => {
    const gateway = await startApp(t, TOKENS)
    const sockets = await Promise.all(
      ['admin-token', 'agent-token', 'confined-token'].map((token) => gateway.connect(as(token))),
    )
    await gateway.app.close()
    for (const socket of sockets) t.match(await socket.event('gateway.shutdown'), { sessionKey: null })
  },
)

t.test('an event goes to each of many connections once, whatever they subscribed to', async (t) => {
  const gateway = await startApp(t)
  const hellos = [
    {},
    { subscribe: ['*'] },
    { subscribe: ['session.created', 'session.*', '*ed'] },
    { subscribe: ['agent.*'] },
  ]
  const sockets = await Promise.all(Array.from({ length: 40 }, (_, i) => gateway.connect(hellos[i % 4])))
  for (const [i, socket] of sockets.entries()) {
    if (i % 5 === 0) await socket.call('events.subscribe', { patterns: ['*'], sessionKeys: ['a:1'] })
  }
  await happen(gateway, 'a:1')
  for (const [i, socket] of sockets.entries()) {
    const all = i % 4 < 2 || i % 5 === 0
    const expected = all
      ? ['session.created a:1', 'agent.delta a:1']
      : i % 4 === 2
        ? ['session.created a:1']
        : ['agent.delta a:1']
    t.strictSame(await received(socket), expected, `connection ${i}`)
  }
})

t.test('a connection that has gone leaves nothing behind', async (t) => {
  const gateway = await startApp(t)
  const socket = await gateway.connect({ subscribe: ['agent.*'] })
  await socket.call('events.subscribe', { sessionKeys: ['a:1', 'a:2'] })
  const [connection] = gateway.app.connections
  socket.socket.close()
  await socket.closed
  await happen(gateway, 'a:1')
  t.strictSame(gateway.app.events.selections(connection!), [])
  t.equal(gateway.app.events.stats.deliveries, 0)
})
