import t from 'tap'
import { startApp } from '../../helpers/app.js'
import { startChannel } from '../../helpers/scripted-connector.js'
import type { TestSocket } from '../../helpers/socket.js'
import { until } from '../../helpers/until.js'

const KEY = 'web:1:main'
const OTHER = 'web:2:main'

/** What a socket hears of a message in each of two sessions. */
async function heard(socket: TestSocket, sender: TestSocket): Promise<string[]> {
  const from = socket.frames.length
  for (const key of [KEY, OTHER]) await sender.call('sessions.send', { content: 'x', wait: true }, key)
  await socket.call('gateway.ping')
  return [
    ...new Set(
      socket.frames
        .slice(from)
        .filter(({ type }) => type === 'event')
        .map(({ event, sessionKey }) => `${event} ${sessionKey}`),
    ),
  ].sort()
}

const ALL = ['agent.completed', 'agent.started', 'session.message'].flatMap((event) => [
  `${event} ${KEY}`,
  `${event} ${OTHER}`,
])

async function pair(t: Parameters<typeof startApp>[0]) {
  const { connect } = await startApp(t)
  const sender = await connect()
  for (const key of [KEY, OTHER]) await sender.call('sessions.create', {}, key)
  return { sender, socket: await connect(), connect }
}

t.test(
  'a new connection hears everything; its first subscription replaces that, later ones add',
  async (t) => {
    const { sender, socket } = await pair(t)
    t.same(await heard(socket, sender), ALL)
    t.same(await socket.call('events.subscribe', { patterns: ['agent.completed'] }), {
      subscriptions: [{ patterns: ['agent.completed'], sessionKeys: null }],
    })
    t.same(await heard(socket, sender), [`agent.completed ${KEY}`, `agent.completed ${OTHER}`])
    t.same(await socket.call('events.subscribe', { patterns: ['session.*'], sessionKeys: [OTHER] }), {
      subscriptions: [
        { patterns: ['agent.completed'], sessionKeys: null },
        { patterns: ['session.*'], sessionKeys: [OTHER] },
      ],
    })
    t.same(await heard(socket, sender), [
      `agent.completed ${KEY}`,
      `agent.completed ${OTHER}`,
      `session.message ${OTHER}`,
    ])
  },
)

t.test('a subscription to some sessions hears all of these and nothing else', async (t) => {
  const { sender, socket } = await pair(t)
  await socket.call('events.subscribe', { sessionKeys: [KEY] })
  t.same(
    await heard(socket, sender),
    ALL.filter((name) => name.endsWith(KEY)),
  )
})

t.test('a subscription is taken back by what it named, all of them by naming nothing', async (t) => {
  const { sender, socket } = await pair(t)
  await socket.call('events.subscribe', { patterns: ['agent.completed'] })
  await socket.call('events.subscribe', { sessionKeys: [KEY] })
  const kept = { subscriptions: [{ patterns: ['agent.completed'], sessionKeys: null }] }
  t.same(await socket.call('events.unsubscribe', { sessionKeys: [KEY] }), kept)
  t.same(await socket.call('events.unsubscribe', { patterns: ['never.named'] }), kept)
  t.same(await heard(socket, sender), [`agent.completed ${KEY}`, `agent.completed ${OTHER}`])
  t.same(await socket.call('events.unsubscribe'), { subscriptions: [] })
  t.same(await heard(socket, sender), [])
  await socket.call('events.subscribe', {})
  t.same(await heard(socket, sender), ALL)
})

t.test('taking back what was never subscribed to leaves the initial everything', async (t) => {
  const { sender, socket } = await pair(t)
  const everything = { subscriptions: [{ patterns: ['*'], sessionKeys: null }] }
  t.same(await socket.call('events.unsubscribe', { patterns: ['agent.delta'] }), everything)
  t.same(await heard(socket, sender), ALL)
  t.same(await socket.call('events.subscribe', { patterns: ['agent.completed'] }), {
    subscriptions: [{ patterns: ['agent.completed'], sessionKeys: null }],
  })
})

t.test('the subscription of the hello is one to add to', async (t) => {
  const { sender, connect } = await pair(t)
  const socket = await connect({ subscribe: ['agent.started'] })
  t.same(await heard(socket, sender), [`agent.started ${KEY}`, `agent.started ${OTHER}`])
  t.equal((await socket.call('events.subscribe', { sessionKeys: [KEY] })).subscriptions.length, 2)
})

t.test('a connection has a bounded number of subscriptions', async (t) => {
  const { socket } = await pair(t)
  for (let i = 0; i < 256; i++) await socket.call('events.subscribe', { patterns: [`p${i}`] })
  t.match(await socket.refused('events.subscribe', { patterns: ['more'] }), {
    code: 'UNAVAILABLE',
    retryable: false,
  })
})

t.test('events.publish: priority and idempotency as with messages, and the answer has the ids', async (t) => {
  const { sender, socket } = await pair(t)
  const params = { type: 'user.command', source: 'cli', payload: { a: 1 }, idempotencyKey: 'k' }
  const { eventId, runId, seq } = await socket.call('events.publish', params, KEY)
  const outcome = await socket.call('agent.wait', { runId })
  t.same(await sender.call('events.publish', params, KEY), {
    eventId,
    runId,
    seq,
    queued: 0,
    duplicate: true,
    outcome,
  })
  const other = { ...params, payload: { a: 2 } }
  t.match(await sender.refused('events.publish', other, KEY), { code: 'CONFLICT', details: { eventId } })
  t.match(await socket.call('agent.wait', { runId }), { status: 'completed', eventId })
})

t.test('a client does not speak for a channel, unless it may do anything', async (t) => {
  const token = (name: string, scopes: string[]) => ({ name, token: `${name}-0123456789abcdef`, scopes })
  const tokens = [token('writer', ['read', 'write']), token('admin', ['read', 'write', 'admin'])]
  const { connect, connector, agent } = await startChannel(t, { auth: { enabled: true, tokens } } as never)
  const as = (name: string) => connect({ auth: { token: `${name}-0123456789abcdef` } })
  const key = 'scripted:7:main'
  const said = { type: 'message.received', payload: { content: 'hi', origin: { senderId: '7' } } }
  const writer = await as('writer')
  t.match(await writer.refused('events.publish', { ...said, source: 'scripted' }, key), {
    code: 'FORBIDDEN',
    details: { source: 'scripted' },
  })
  agent.onRun = (run) => run.reply(`from ${run.event.source}`)
  for (const source of ['ws', 'telegram', 'my-bridge']) {
    const { runId } = await writer.call('events.publish', { ...said, source }, key)
    t.match(await writer.call('agent.wait', { runId }), { message: { content: `from ${source}` } })
  }
  t.strictSame(connector.sent, [])
  await (await as('admin')).call('events.publish', { ...said, source: 'scripted' }, key)
  await until(() => connector.sent.length === 1)
  t.match(connector.sent, [{ target: { peer: '7' }, text: 'from scripted' }])
})
