import { createServer } from 'node:net'
import { inspect } from 'node:util'
import t from 'tap'
import { createDiscordConnector } from '../../../src/connectors/discord/discord.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { discordServer } from '../../helpers/discord-server.js'
import { until } from '../../helpers/until.js'
import { connected, DM, discordHost } from './helpers.js'

t.test('options that do not fit are named, without their values', async (t) => {
  const context = connectorContext()
  const make = async (given: object) => createDiscordConnector({ ...given }, context)
  await t.rejects(make({}), /tokenEnv/)
  await t.rejects(make({ token: 'secret' }), /^(?!.*secret).*token/)
  await t.rejects(make({ token: 'x'.repeat(30), apiUrl: 'http://a:b@c' }), /apiUrl/)
  await t.rejects(make({ token: 'x'.repeat(30), intents: ['Presence'] }), /intents/)
  const env = { DISCORD: 'x'.repeat(30) }
  t.ok(await createDiscordConnector({ tokenEnv: 'DISCORD' }, connectorContext({ env })))
})

t.test('a wrong token is one clear error that is final', async (t) => {
  const server = await discordServer(t)
  const { host, context } = await discordHost(t, server, { token: 'wrong-token-0123456789' })
  await t.rejects(host.start(), {
    code: 'UNAUTHORIZED',
    retryable: false,
    message: 'Discord refused: signing in (401: Unauthorized, code 401).',
  })
  await t.rejects(host.start(), { code: 'UNAUTHORIZED' })
  t.strictSame(context.logged, [])
})

t.test('a token that is revoked ends the connection for good, and each message', async (t) => {
  const { server, host } = await connected(t)
  server.revoked = true
  await t.rejects(host.send(DM, 'x'), { code: 'UNAUTHORIZED', retryable: false })
  await t.rejects(host.send(DM, 'x'), { code: 'UNAUTHORIZED', retryable: false })
  server.close(4004)
  await until(() => host.ended !== null)
  t.match(host.ended, { error: { code: 'UNAUTHORIZED', retryable: false, message: /4004/ } })
})

t.test('an intent that was not granted is final, and can be left out', async (t) => {
  const server = await discordServer(t)
  server.grantedIntents = 1 << 12
  const { host } = await discordHost(t, server)
  await t.rejects(host.start(), { code: 'FORBIDDEN', retryable: false, message: /MessageContent/ })
  const modest = await discordHost(t, server, { intents: ['DirectMessages'] })
  await modest.host.start()
})

t.test('a bot that connected too often waits', async (t) => {
  const server = await discordServer(t)
  server.remainingStarts = 0
  const { host } = await discordHost(t, server)
  await t.rejects(host.start(), { code: 'RATE_LIMITED', retryAfterMs: 3_600_000 })
})

t.test('a dead host can be tried again', async (t) => {
  const server = await discordServer(t)
  const { host } = await discordHost(t, server)
  await server.kill()
  await t.rejects(host.start(), { code: 'UNAVAILABLE', retryable: true, message: /ECONNREFUSED/ })
  await server.start()
  await host.start()
})

t.test('a server that dies ends the connection; what was said meanwhile comes with the next', async (t) => {
  const { server, host, context } = await connected(t)
  server.say({ content: 'one' })
  await until(() => host.received.length === 1)
  await server.kill()
  await until(() => host.ended !== null)
  t.match(host.ended, { error: { code: 'UNAVAILABLE', retryable: true } })
  await t.rejects(host.send(DM, 'x'), { code: 'UNAVAILABLE', retryable: true })
  server.say({ content: 'two' })
  await t.rejects(host.start(), { code: 'UNAVAILABLE', message: /ECONNREFUSED/ })
  await server.start()
  await host.start()
  await until(() => host.received.length === 2)
  await host.send(DM, 'answer')
  t.strictSame(
    host.received.map(({ text }) => text),
    ['one', 'two'],
  )
  t.strictSame(server.starts, ['identify', 'resume 2'])
  t.strictSame(context.logged, [])
})

t.test(
  'what could not be taken comes again with the next connection, as does what came after it',
  async (t) => {
    const { server, host } = await connected(t)
    const accept = host.answer
    host.answer = (message) => {
      if (message.text === 'two') throw new Error('no room')
      return accept(message)
    }
    for (const content of ['one', 'two', 'three']) server.say({ content })
    await until(() => host.ended !== null)
    t.match(host.ended, { error: { code: 'UNAVAILABLE', retryable: true, message: /could not be taken/ } })
    host.answer = accept
    await host.start()
    await until(() => host.received.filter(({ text }) => text === 'three').length > 0)
    t.equal(server.starts[1], 'resume 2')
    const [first, second] = host.received.filter(({ text }) => text === 'two')
    t.equal(first!.id, second!.id)
    t.equal(host.received.filter(({ text }) => text === 'one').length, 1)
  },
)

t.test('a session that Discord forgot begins anew', async (t) => {
  const { server, host } = await connected(t)
  server.sendRaw('{"op":7,"d":null}')
  await until(() => host.ended !== null)
  t.match(host.ended, { error: { code: 'UNAVAILABLE', message: /asked to connect again/ } })
  server.forgetSessions()
  await t.rejects(host.start(), { code: 'UNAVAILABLE', retryable: true, message: /ended the session/ })
  await host.start()
  server.close(4009)
  await until(() => host.ended !== null)
  await host.start()
  t.strictSame(server.starts, ['identify', 'resume 1', 'identify', 'identify'])
})

t.test('an outage costs no session, however long it takes', async (t) => {
  const { server, host } = await connected(t)
  await server.kill()
  await until(() => host.ended !== null)
  server.say({ content: 'during the outage' })
  for (let i = 0; i < 6; i++) await t.rejects(host.start(), { code: 'UNAVAILABLE' })
  await server.start()
  await host.start()
  await until(() => host.received.length === 1)
  t.strictSame(server.starts, ['identify', 'resume 1'])
})

t.test('a session whose server is gone for good, while Discord answers, is given up', async (t) => {
  const { server, host } = await connected(t)
  server.disconnect()
  await until(() => host.ended !== null)
  server.refusesResumes = true
  for (let i = 0; i < 3; i++) await t.rejects(host.start(), { code: 'UNAVAILABLE' })
  await host.start()
  t.strictSame(server.starts, ['identify', 'resume 1', 'resume 1', 'resume 1', 'identify'])
})

t.test('it beats, and a server that no longer answers is left', async (t) => {
  const server = await discordServer(t)
  server.heartbeatIntervalMs = 20
  const { host } = await discordHost(t, server)
  await host.start()
  server.say({ content: 'x' })
  await until(() => server.heartbeats.filter((seq) => seq === 2).length > 3)
  server.sendRaw('{"op":1,"d":null}')
  server.acknowledgesHeartbeats = false
  await until(() => host.ended !== null)
  t.match(host.ended, { error: { code: 'UNAVAILABLE', retryable: true, message: /stopped answering/ } })
  await until(() => server.connections === 0)
})

t.test('it listens again after a stop, where it stopped, and a stop leaves nothing open', async (t) => {
  const server = await discordServer(t)
  const { host, connector } = await discordHost(t, server)
  const open = () => process.getActiveResourcesInfo().filter((kind) => /Timeout|TCPSocket/.test(kind)).length
  const before = open()
  for (let i = 0; i < 2; i++) {
    await host.start()
    await host.send(DM, 'hello')
    await host.stop()
    t.strictSame(host.ended, { error: undefined })
    await until(() => server.connections === 0)
    server.say({ content: `while it was stopped ${i}` })
  }
  t.strictSame(
    host.received.map(({ text }) => text),
    ['while it was stopped 0'],
  )
  await server.kill()
  await server.start()
  await until(() => open() <= before)
  await connector.close!()
  await connector.close!()
})

t.test('a stop while a host does not answer ends at once', async (t) => {
  const silent = createServer((socket) => t.teardown(() => socket.destroy()))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const { port } = silent.address() as { port: number }
  const server = await discordServer(t)
  const { host, connector } = await discordHost(t, server, { apiUrl: `http://127.0.0.1:${port}` })
  const stop = new AbortController()
  const listening = connector.listen(host, stop.signal)
  silent.once('connection', () => stop.abort())
  await listening
  t.notOk(host.isConnected)
})

t.test('a stop while the socket opens ends at once', async (t) => {
  const server = await discordServer(t)
  const { host, connector } = await discordHost(t, server)
  const stop = new AbortController()
  const listening = connector.listen(host, stop.signal)
  await until(() => server.calls.length > 0)
  stop.abort()
  await listening
  await until(() => server.connections === 0)
})

t.test('no error and no line of the log holds the token', async (t) => {
  const { server, host, context } = await connected(t)
  const errors: unknown[] = []
  server.fail(
    'POST /channels/messages',
    { status: 500 },
    { status: 401, body: {} },
    { status: 0, hangUp: true },
  )
  for (let i = 0; i < 3; i++) await host.send(DM, 'x').catch((error: unknown) => errors.push(error))
  await server.kill()
  await until(() => host.ended !== null)
  errors.push(host.ended!.error)
  await host.start().catch((error: unknown) => errors.push(error))
  await server.start()
  t.equal(errors.length, 5)
  t.notMatch(inspect([errors, context.logged], { depth: 10 }), /secret/)
})
