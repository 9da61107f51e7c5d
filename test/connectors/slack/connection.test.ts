import { createServer } from 'node:net'
import t from 'tap'
import { abortable } from '../../../src/agents/abort.js'
import { createSlackConnector } from '../../../src/connectors/slack/slack.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { slackServer } from '../../helpers/slack-server.js'
import { until } from '../../helpers/until.js'
import { connected, DM, slackHost } from './helpers.js'

t.test('options that do not fit are named, without their values', async (t) => {
  const context = connectorContext({ env: { SLACK_BOT: 'secret', SLACK_APP: 'oops-secret' } })
  const options = { botTokenEnv: 'SLACK_BOT', appTokenEnv: 'SLACK_APP', apiUrl: 'ftp://x', extra: 1 }
  const make = async (given: object) => createSlackConnector({ ...given }, context)
  await t.rejects(make(options), /extra/)
  const { extra, ...others } = options
  const error = await make(others).then(
    () => t.fail('it was made'),
    (error: Error) => error.message,
  )
  for (const path of ['botTokenEnv', 'appTokenEnv', 'apiUrl']) t.match(error, path)
  t.notMatch(error, 'secret')
  await t.rejects(make({}), /botTokenEnv.*\n?.*appTokenEnv/)
  await t.rejects(make({ botToken: 'secret' }), /^(?!.*secret)botToken: expected .* begins with xoxb-/)
  const mistaken = { botTokenEnv: 'xoxb-1-secret', appTokenEnv: 'xapp-1-secret' }
  await t.rejects(make(mistaken), /^(?!.*secret).*name of an environment variable/)
})

t.test('tokens come from the environment', async (t) => {
  const server = await slackServer(t)
  const env = { BOT: server.botToken, APP: server.appToken }
  const options = { botTokenEnv: 'BOT', appTokenEnv: 'APP', apiUrl: server.apiUrl }
  t.ok(await createSlackConnector(options, connectorContext({ env })))
})

t.test('a wrong token is one clear error that is final', async (t) => {
  const server = await slackServer(t)
  const bot = await slackHost(t, server, { botToken: 'xoxb-wrong' })
  await t.rejects(bot.host.start(), {
    code: 'UNAUTHORIZED',
    retryable: false,
    message: 'Slack refused: signing in with the bot token (invalid_auth).',
  })
  const app = await slackHost(t, server, { appToken: 'xapp-wrong' })
  await t.rejects(app.host.start(), {
    code: 'UNAUTHORIZED',
    retryable: false,
    message: 'Slack refused: opening a socket with the app token (invalid_auth).',
  })
  t.strictSame([...bot.context.logged, ...app.context.logged], [])
})

t.test('a missing scope is named', async (t) => {
  const server = await slackServer(t)
  server.fail('apps.connections.open', { error: 'missing_scope', needed: 'connections:write' })
  const { host } = await slackHost(t, server)
  await t.rejects(host.start(), { code: 'FORBIDDEN', message: /needs connections:write/ })
})

t.test('a dead host can be tried again', async (t) => {
  const server = await slackServer(t)
  const { host } = await slackHost(t, server)
  await server.kill()
  await t.rejects(host.start(), { code: 'UNAVAILABLE', retryable: true, message: /ECONNREFUSED/ })
  await server.start()
  await host.start()
  t.equal(server.connections, 1)
})

t.test('a server that dies ends the connection; what was said meanwhile comes with the next', async (t) => {
  const { server, host, context } = await connected(t)
  await server.say({ text: 'one' }).acknowledged
  await server.kill()
  await until(() => host.ended !== null)
  t.match(host.ended, { error: { code: 'UNAVAILABLE', retryable: true, message: /lost/ } })
  await t.rejects(host.send(DM, 'x'), { code: 'UNAVAILABLE', retryable: true })
  const { acknowledged } = server.say({ text: 'two' })
  await server.start()
  await host.start()
  await acknowledged
  await host.send(DM, 'answer')
  t.strictSame(
    host.received.map(({ text }) => text),
    ['one', 'two'],
  )
  t.strictSame(context.logged, [])
})

t.test('what is not yet taken when the connection is lost comes again', async (t) => {
  const { server, host } = await connected(t)
  const accept = host.answer
  const lost = new AbortController()
  host.answer = () => abortable(new Promise(() => {}), lost.signal)
  const { acknowledged } = server.say({ text: 'wait' })
  await until(() => host.received.length === 1)
  await server.kill()
  await until(() => host.ended !== null)
  lost.abort()
  host.answer = accept
  await server.start()
  await host.start()
  await acknowledged
  t.equal(host.received[1]!.id, host.received[0]!.id)
})

t.test(
  'when Slack asks to connect again, it can be at once; when socket mode is off, it is final',
  async (t) => {
    const { server, host } = await connected(t)
    server.disconnect('refresh_requested')
    await until(() => host.ended !== null)
    t.match(host.ended, {
      error: { code: 'UNAVAILABLE', retryable: true, message: /asked to connect again/ },
    })
    await host.start()
    server.disconnect('link_disabled')
    await until(() => host.ended !== null)
    t.match(host.ended, { error: { code: 'FORBIDDEN', retryable: false } })
  },
)

t.test('a permission that is revoked during a conversation is told by the next message', async (t) => {
  const { server, host } = await connected(t)
  await host.send(DM, 'one')
  server.revoked = true
  await t.rejects(host.send(DM, 'two'), { code: 'UNAUTHORIZED', retryable: false, message: /token_revoked/ })
})

t.test('it listens again after a stop, and a stop leaves nothing open', async (t) => {
  const server = await slackServer(t)
  const { host } = await slackHost(t, server)
  const open = () => process.getActiveResourcesInfo().filter((kind) => /Timeout|TCPSocket/.test(kind)).length
  const before = open()
  for (let i = 0; i < 2; i++) {
    await host.start()
    await server.say({ text: 'hi' }).acknowledged
    await host.send(DM, 'hello')
    await host.stop()
    t.strictSame(host.ended, { error: undefined })
    await until(() => server.connections === 0)
  }
  await server.kill()
  await server.start()
  await until(() => open() <= before)
})

t.test('a stop while a host does not answer ends at once', async (t) => {
  const silent = createServer((socket) => t.teardown(() => socket.destroy()))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const server = await slackServer(t)
  const { port } = silent.address() as { port: number }
  const { host, connector } = await slackHost(t, server, { apiUrl: `http://127.0.0.1:${port}/api` })
  const stop = new AbortController()
  const listening = connector.listen(host, stop.signal)
  stop.abort()
  await listening
  t.notOk(host.isConnected)
})

t.test('no error and no line of the log holds a token', async (t) => {
  const { server, host, context } = await connected(t)
  const errors: unknown[] = []
  server.fail(
    'chat.postMessage',
    { status: 401, body: server.botToken },
    { error: server.botToken },
    { hangUp: true },
  )
  for (let i = 0; i < 3; i++) await host.send(DM, 'x').catch((error: unknown) => errors.push(error))
  host.answer = () => {
    throw new Error('no room')
  }
  void server.say({ text: 'x' })
  await until(() => context.logged.length > 0)
  await server.kill()
  await until(() => host.ended !== null)
  errors.push(host.ended!.error)
  await host.start().catch((error: unknown) => errors.push(error))
  await server.start()
  t.equal(errors.length, 5)
  const { inspect } = await import('node:util')
  t.notMatch(inspect([errors, context.logged], { depth: 10 }), /secret(bot|app)|ticket=/)
})
