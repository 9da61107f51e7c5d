import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { TelegramServer } from 'telegram-test-api/lib/telegramServer.js'
import { createTelegramConnector } from '../../../src/connectors/telegram/telegram.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { type ConnectorHost, connectorContext, hostOf } from '../../helpers/connector-host.js'
import { freePort } from '../../helpers/free-port.js'
import { until } from '../../helpers/until.js'

// The bot of telegram-test-api is always called so, whatever the token.
const NAME = 'TestNameBot'
const TOKEN = '123456:telegram-test-api'

async function startTelegram(t: Test, port?: number): Promise<TelegramServer> {
  const server = new TelegramServer({ port: port ?? (await freePort()), host: '127.0.0.1' })
  await server.start()
  t.teardown(() => server.stop())
  return server
}

async function connect(t: Test, server: TelegramServer, options: JsonObject = {}): Promise<ConnectorHost> {
  const given = { apiRoot: server.config.apiURL, token: TOKEN, pollPauseMs: 5, ...options }
  const connector = await createTelegramConnector(given, connectorContext())
  return hostOf(t, connector)
}

/** What the bot has written, oldest first. */
function written(server: TelegramServer): { readonly chat: string; readonly text: string }[] {
  return server.storage.botMessages.map(({ message }) => ({
    chat: String(message.chat_id),
    text: message.text,
  }))
}

t.test('a private conversation goes back and forth', async (t) => {
  const server = await startTelegram(t)
  const host = await connect(t, server)
  await host.start()
  t.equal(host.identity, `@${NAME}`)

  const ada = server.getClient(TOKEN, { userId: 42, chatId: 42, firstName: 'Ada', userName: 'ada' })
  await ada.sendMessage(ada.makeMessage('Hello?'))
  await until(() => host.received.length === 1)
  const [message] = host.received
  t.match(message, {
    peer: '42',
    thread: null,
    sender: { id: '42', name: 'Ada' },
    group: false,
    text: 'Hello?',
    metadata: { chatType: 'private', username: 'ada' },
  })
  t.match(message!.id, /^\d+$/)
  t.ok(Math.abs(Date.now() - message!.at!) < 60_000, 'its time is in milliseconds')

  const { messageId } = await host.send(message!, 'Hello Ada.', { replyTo: message!.id })
  t.match(messageId, /^\d+$/)
  const { result } = await ada.getUpdates()
  t.match(result[0]?.message, { chat_id: '42', text: 'Hello Ada.' })
  t.notOk('reply_parameters' in result[0]!.message, 'where two talk, it is plain what an answer is to')

  await ada.sendCommand(ada.makeCommand('/reset now'))
  await until(() => host.received.length === 2)
  t.match(host.received[1], { text: '/reset now' })
})

t.test('in a group, what names the bot is told from what does not', async (t) => {
  const server = await startTelegram(t)
  const host = await connect(t, server)
  await host.start()
  const group = server.getClient(TOKEN, { userId: 42, chatId: -77, type: 'group', chatTitle: 'Engines' })
  const text = `👩‍🔬 @${NAME.toLowerCase()} what is 1 + 1?`
  const entities = [{ type: 'mention' as const, offset: text.indexOf('@'), length: NAME.length + 1 }]
  await group.sendMessage(group.makeMessage('Lunch?'))
  await group.sendMessage(group.makeMessage(text, { entities }))
  await until(() => host.received.length === 2)
  t.match(host.received, [
    { peer: '-77', group: true, mentioned: false, text: 'Lunch?' },
    {
      peer: '-77',
      group: true,
      mentioned: true,
      text: '👩‍🔬 what is 1 + 1?',
      metadata: { chatTitle: 'Engines' },
    },
  ])

  await host.send(host.received[1]!, 'Two.', { replyTo: host.received[1]!.id, parts: 2 })
  await host.send(host.received[1]!, 'Or ten.', { replyTo: host.received[1]!.id, part: 2, parts: 2 })
  const { result } = await group.getUpdates()
  t.match(
    result.map(({ message }) => message),
    [
      { text: 'Two.', reply_parameters: { message_id: Number(host.received[1]!.id) } },
      { text: 'Or ten.', reply_parameters: undefined },
    ],
  )
})

t.test('an answer grows in one message', async (t) => {
  const server = await startTelegram(t)
  const { connector, ...host } = await connect(t, server)
  void host
  const signal = new AbortController().signal
  const target = { peer: '42', thread: null }
  await connector.preview!(target, 'run_1', 'One', signal)
  await connector.preview!(target, 'run_1', 'One, two', signal)
  t.strictSame(written(server), [{ chat: '42', text: 'One, two' }])

  const part = { target, attachments: [], runId: 'run_1', replyTo: null, parts: 2 }
  const first = { ...part, text: 'One, two, three.', idempotencyKey: 'a', part: 1 }
  const sent = await connector.send(first, signal)
  t.equal(sent.messageId, String(server.storage.botMessages[0]!.messageId))
  await connector.send({ ...part, text: 'Four.', idempotencyKey: 'b', part: 2 }, signal)
  t.strictSame(written(server), [
    { chat: '42', text: 'One, two, three.' },
    { chat: '42', text: 'Four.' },
  ])

  await connector.preview!(target, 'run_2', 'Let me', signal)
  await connector.discard!(target, 'run_2', signal)
  await connector.discard!(target, 'run_2', signal)
  t.equal(written(server).length, 2, 'a run that ends without an answer takes it back')
})

t.test('what Telegram calls is served at the endpoint', async (t) => {
  const server = await startTelegram(t)
  const secrets: unknown[] = []
  let host: ConnectorHost
  // telegram-test-api keeps the secret that it is told, but does not show it when it calls: this server adds it.
  const front = createHttpServer(async (request, response) => {
    const { webhooks } = server as unknown as { webhooks: Record<string, { secret_token: string }> }
    const secret = webhooks[TOKEN]!.secret_token
    secrets.push(secret)
    const answer = await host.connector.endpoint!(
      {
        headers: { 'x-telegram-bot-api-secret-token': secret },
        body: await buffer(request),
        remoteAddress: '127.0.0.1',
        signal: new AbortController().signal,
      },
      host,
    )
    response.writeHead(answer.status).end()
  })
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  t.teardown(() => front.close())
  const webhookUrl = `http://127.0.0.1:${(front.address() as AddressInfo).port}/channels/telegram`
  host = await connect(t, server, { webhookUrl })
  await host.start()

  const ada = server.getClient(TOKEN, { userId: 42, chatId: 42 })
  await ada.sendMessage(ada.makeMessage('By webhook'))
  await until(() => host.received.length === 1)
  t.match(host.received, [{ text: 'By webhook', peer: '42' }])
  t.match(secrets[0], /^[\w-]{43}$/)
  t.notMatch(secrets[0], 'telegram-test-api')
  await host.stop()
  t.equal(host.ended?.error, undefined)

  const poller = await connect(t, server)
  await poller.start()
  await ada.sendMessage(ada.makeMessage('By polling'))
  await until(() => poller.received.length === 1)
  t.equal(host.received.length, 1, 'polling ends the webhook')
})

t.test('a server that is killed ends the connection, and its return begins a new one', async (t) => {
  const server = await startTelegram(t)
  const host = await connect(t, server)
  await host.start()
  await server.stop()
  await until(() => host.ended !== null)
  t.match(host.ended, { error: { code: 'UNAVAILABLE', retryable: true } })
  await t.rejects(host.start(), { code: 'UNAVAILABLE', retryable: true })
  await t.rejects(host.send({ peer: '42', thread: null }, 'Anyone?'), {
    code: 'UNAVAILABLE',
    retryable: true,
  })

  const again = await startTelegram(t, server.config.port)
  await host.start()
  const ada = again.getClient(TOKEN, { userId: 42, chatId: 42 })
  await ada.sendMessage(ada.makeMessage('Back?'))
  await until(() => host.received.length === 1)
  t.match(host.received, [{ text: 'Back?' }])
})
