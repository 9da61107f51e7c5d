import t from 'tap'
import { ConfigError } from '../../src/config/problems.js'
import { GatewayError } from '../../src/protocol/index.js'
import { startApp, temporaryFolder } from '../helpers/app.js'
import { captureLog } from '../helpers/log.js'
import { ScriptedConnector, startChannel } from '../helpers/scripted-connector.js'
import { until } from '../helpers/until.js'

t.test('a conversation on a channel has its session, its order and its agent', async (t) => {
  const { agent, connector, connect } = await startChannel(t)
  const watcher = await connect()
  const received = await connector.receive('hello', { id: '1', peer: '9', thread: '5' })
  t.match(received, { accepted: true, duplicate: false })
  t.strictSame(await connector.receive('hello', { id: '1', peer: '9', thread: '5' }), {
    ...received,
    duplicate: true,
  })
  const run = await agent.next()
  t.match(run.event, {
    source: 'scripted',
    sessionKey: 'scripted:9:5',
    payload: { content: 'hello', sender: 'Ada', origin: { messageId: '1' } },
  })
  t.equal(run.context.session.channel, 'scripted')
  run.reply()
  await watcher.event('agent.completed')
  t.equal(agent.runs.length, 1)
  t.match(
    watcher.frames.find(({ event }) => event === 'session.message'),
    {
      sessionKey: 'scripted:9:5',
      payload: { role: 'user', content: 'hello', sender: 'Ada' },
    },
  )
})

t.test('no key of a client makes a person’s message a duplicate', async (t) => {
  const { connector, connect } = await startChannel(t)
  const client = await connect()
  const paramsWith = (idempotencyKey: string) => ({ content: 'mine', idempotencyKey })
  for (const own of ['gateway:scripted:1', 'gateway:']) {
    const error = await client.refused('sessions.send', paramsWith(own), 'scripted:9:main')
    t.match(error, { code: 'INVALID_REQUEST', message: /does not begin with gateway:/ })
  }
  for (const key of ['scripted:1', '1']) {
    t.ok(await client.call('sessions.send', paramsWith(key), 'scripted:9:main'))
  }
  const received = await connector.receive('hello', { id: '1', peer: '9' })
  t.match(received, { accepted: true, duplicate: false })
})

t.test('a connector is told of a conversation that has a session, after a restart too', async (t) => {
  const home = await temporaryFolder(t)
  const start = () => startChannel(t, { journal: { type: 'sqlite' } }, undefined, { home })
  const thread = { peer: '9', thread: '5' }
  const first = await start()
  await until(() => first.connector.listens.length === 1)
  t.equal(await first.connector.now.inlet.knows(thread), false)
  await first.connector.receive('hello', thread)
  t.equal(await first.connector.now.inlet.knows(thread), true)
  await first.app.close()
  const second = await start()
  await until(() => second.connector.listens.length === 1)
  t.equal(await second.connector.now.inlet.knows(thread), true)
  t.equal(await second.connector.now.inlet.knows({ peer: '9', thread: '6' }), false)
})

t.test('the commands of the gateway work on the conversation', async (t) => {
  const { agent, connector, app } = await startChannel(t)
  const said = () => connector.sent.map(({ text, target, replyTo }) => [target.peer, text, replyTo])
  const hooked: string[] = []
  app.on('command:*', (step) => void hooked.push(`${step.name} ${'source' in step ? step.source : ''}`))
  await connector.receive('/new', { id: '1' })
  await connector.receive('one', { id: '2' })
  await connector.receive('two', { id: '3' })
  const run = await agent.next()
  await connector.receive('/stop', { id: '4' })
  t.ok(run.context.signal.aborted)
  await until(() => !app.lanes.isActive('scripted:7:main'))
  t.equal(agent.runs.length, 1)
  await connector.receive('/stop', { id: '5' })
  await connector.receive('/reset', { id: '6' })
  t.strictSame((await app.conversations.history('scripted:7:main', {})).messages, [])
  await until(() => connector.sent.length === 4)
  t.strictSame(said(), [
    ['7', 'A new conversation begins.', '1'],
    ['7', 'Stopped.', '4'],
    ['7', 'Nothing is being answered.', '5'],
    ['7', 'A new conversation begins.', '6'],
  ])
  t.same(
    hooked.map((told) => told.replace('command:', '')),
    ['new scripted', 'stop scripted', 'stop scripted', 'reset scripted'],
  )
})

t.test('a stranger is paired by an operator, and told so', async (t) => {
  const { connector, connect, app } = await startChannel(t, { connector: { allow: undefined } })
  const operator = await connect()
  t.match(await connector.receive('let me in'), { accepted: false, reason: 'not_paired' })
  const { payload } = await operator.event('pairing.requested')
  t.match(payload.pairing, { kind: 'peer', state: 'pending', channel: 'scripted', peer: '7', name: 'Ada' })
  await until(() => connector.sent.length === 1)
  t.match(connector.sent[0], { target: { peer: '7' }, text: new RegExp(payload.pairing.code) })
  t.match(await operator.call('pairing.list', {}), { pairings: [{ code: payload.pairing.code }] })
  const { pairing } = await operator.call('pairing.approve', { code: payload.pairing.code })
  t.match(pairing, { state: 'approved', code: null, approvedBy: 'anonymous' })
  t.match(await operator.event('pairing.resolved'), { payload: { approved: true, pairing: { peer: '7' } } })
  await until(() => connector.sent.length === 2)
  t.match(connector.sent[1], { text: /let in/ })
  t.match(await connector.receive('hello'), { accepted: true })
  t.equal((await app.journal.peers()).length, 1)
})

t.test('clients hear of each change of a channel, and find it in their snapshot', async (t) => {
  const { connector, connect, app } = await startChannel(t)
  await until(() => app.channels.get('scripted')!.ready)
  const socket = await connect()
  t.match(socket.helloOk!.snapshot.channels, [
    { channel: 'scripted', connector: 'mine', state: 'connected', identity: '@gateway', error: null },
  ])
  connector.onListen = () => {}
  connector.now.fail(new GatewayError('UNAVAILABLE', 'The host is down.'))
  const { payload } = await socket.event('channel.status')
  t.match(payload, { channel: 'scripted', state: 'waiting', error: { message: 'The host is down.' } })
  await socket.event('channel.status', ({ payload }) => payload.state === 'connecting')
})

t.test('a channel that is down degrades the health and shows in the metrics', async (t) => {
  const connector = new ScriptedConnector()
  connector.onListen = (listen) => listen.fail(new GatewayError('UNAUTHORIZED', 'The token is refused.'))
  const { app, url, agent } = await startChannel(t, {}, connector)
  await until(() => app.channels.get('scripted')!.status().state === 'failed')
  t.match(await (await fetch(`${url}/health`)).json(), {
    status: 'degraded',
    checks: { channels: { status: 'degraded', message: 'not connected: scripted (failed)' } },
  })
  const metrics = async () => (await fetch(`${url}/metrics`)).text()
  t.match(await metrics(), /gateway_channel_up\{channel="scripted"\} 0/)
  t.match(await metrics(), /gateway_channel_state\{channel="scripted",state="failed"\} 1/)
  connector.onListen = ({ inlet }) => inlet.connected()
  app.channels.get('scripted')!.start()
  await until(() => app.channels.get('scripted')!.ready)
  t.match(app.health.report().checks.channels, { status: 'ok' })
  await connector.receive('hi')
  await connector.receive('')
  const text = await metrics()
  t.match(text, /gateway_channel_up\{channel="scripted"\} 1/)
  t.match(text, /gateway_channel_state\{channel="scripted",state="connected"\} 1/)
  t.match(text, /gateway_channel_state\{channel="scripted",state="failed"\} 0/)
  t.match(text, /gateway_channel_reconnects_total\{channel="scripted"\} 0/)
  t.match(text, /gateway_channel_messages_total\{channel="scripted",outcome="accepted"\} 1/)
  t.match(text, /gateway_channel_messages_total\{channel="scripted",outcome="empty"\} 1/)
  t.equal((await agent.next()).content, 'hi')
})

t.test('connectors listen until the lanes have drained, and are closed before the sockets are', async (t) => {
  const { app, agent, connector, connect } = await startChannel(t, { shutdown: { drainTimeoutMs: 10_000 } })
  const socket = await connect()
  await connector.receive('hi')
  const run = await agent.next()
  const closed = app.close()
  await socket.event('gateway.shutdown')
  t.notOk(connector.now.signal.aborted)
  run.reply()
  await closed
  t.ok(connector.now.ended)
  t.equal(connector.closed, 1)
  const stopped = socket.frames.findIndex(({ payload }) => payload?.state === 'stopped')
  t.ok(stopped > 0, 'clients were told before their sockets closed')
})

t.test('a connector that hangs keeps no other and no stop waiting', async (t) => {
  const connector = new ScriptedConnector()
  connector.obeys = false
  connector.close = () => new Promise(() => {})
  const other = new ScriptedConnector()
  const { logger, lines } = captureLog()
  const { app } = await startChannel(
    t,
    {
      connectors: { mine: { type: 'scripted', allow: ['*'] }, other: { type: 'other' } },
      shutdown: { closeTimeoutMs: 300 },
    },
    connector,
    { logger, prepare: (app) => app.connector('other', () => other) },
  )
  await until(() => app.channels.get('scripted')!.ready && app.channels.get('other')!.ready)
  await app.close()
  t.equal(other.closed, 1)
  t.ok(lines.some(({ msg, step }) => step === 'channels' && /hangs/.test(msg)))
})

t.test('nobody connects before the port is open, nor one that is not to start', async (t) => {
  const connector = new ScriptedConnector()
  let listening = false
  connector.onListen = ({ inlet }) => {
    t.ok(listening)
    inlet.connected()
  }
  const { app, connect } = await startChannel(t, { connector: { enabled: false } }, connector, {
    prepare: (app) => {
      app.addHook('onListen', async () => {
        listening = true
      })
    },
  })
  t.equal(connector.listens.length, 0)
  const socket = await connect()
  await socket.call('channels.start', { channel: 'scripted' })
  await until(() => app.channels.get('scripted')!.ready)
})

t.test('a connector that cannot be made fails the start with its path', async (t) => {
  const error = await startApp(
    t,
    { connectors: { a: { type: 'nosuch' }, b: { type: 'mine' }, c: { type: 'mine' } } },
    { prepare: (app) => app.connector('mine', () => new ScriptedConnector()) },
  ).catch((error: unknown) => error)
  t.ok(error instanceof ConfigError)
  t.match(error, { problems: [{ path: 'connectors.a.type' }, { path: 'connectors.c.channel' }] })
})

t.test('whoever sends what a hook refuses is told so', async (t) => {
  const { connector } = await startChannel(t, {}, undefined, {
    prepare: (app) => {
      app.on('message:received', () => {
        throw new GatewayError('FORBIDDEN', 'No spam here.')
      })
    },
  })
  t.match(await connector.receive('spam', { id: 's1' }), { accepted: false, reason: 'refused' })
  await until(() => connector.sent.length === 1)
  t.match(connector.sent[0], { text: 'This message cannot be taken: No spam here.', replyTo: 's1' })
})

t.test('who is rejected is told once, and hears nothing however often they ask', async (t) => {
  const { connector, connect } = await startChannel(t, { connector: { allow: [], pairing: true } })
  const socket = await connect()
  await connector.receive('let me in')
  await until(() => connector.sent.length === 1)
  await socket.call('pairing.reject', { channel: 'scripted', peer: '7' })
  await until(() => connector.sent.length === 2)
  for (let times = 0; times < 3; times++) t.match(await connector.receive('please'), { reason: 'not_paired' })
  await connector.receive('let me in', { sender: { id: '8' }, peer: '8' })
  await until(() => connector.sent.length === 3)
  t.match(connector.sent, [
    { target: { peer: '7' }, text: /approve your code/ },
    { target: { peer: '7' }, text: 'You have not been let in.' },
    { target: { peer: '8' }, text: /approve your code/ },
  ])
  t.match(await socket.call('pairing.list', { state: 'rejected' }), { pairings: [{ peer: '7' }] })
  await socket.call('pairing.approve', { channel: 'scripted', peer: '7' })
  t.match(await connector.receive('hello'), { accepted: true })
})
