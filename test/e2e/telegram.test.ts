import t, { type Test } from 'tap'
import { TelegramServer } from 'telegram-test-api/lib/telegramServer.js'
import { freePort } from '../helpers/free-port.js'
import { messageOf, refusal, TelegramApi, TOKEN } from '../helpers/telegram-api.js'
import { until } from '../helpers/until.js'
import { ChannelGateway } from './channel-gateway.js'
import { conversations, converse, type FalliblePlatform } from './conversations.js'

async function telegram(t: Test): Promise<FalliblePlatform & { readonly api: TelegramApi }> {
  const api = await TelegramApi.start(t)
  const shutOut = new Set<string>()
  let revoked = false
  const platform: FalliblePlatform & { readonly api: TelegramApi } = {
    api,
    connector: { type: 'telegram', tokenEnv: 'TELEGRAM', apiRoot: api.url, pollPauseMs: 5, allow: ['*'] },
    env: { TELEGRAM: TOKEN },
    wrongEnv: { TELEGRAM: '110201543:wrong-token-of-a-bot' },
    secret: TOKEN,
    redelivers: true,
    idempotent: false,
    peers: ['42', '43'],
    sends: 'taken',
    say: (peer, text) => {
      const chat = { id: Number(peer), type: 'private', first_name: 'Ada' }
      api.say('message', messageOf(text, { chat, from: { id: chat.id, is_bot: false, first_name: 'Ada' } }))
    },
    said: (peer) => api.sent.filter(({ chat }) => chat === peer).map(({ text }) => text),
    unconfirmed: () => api.updates.length,
    shutOut: (peer) => shutOut.add(peer),
    revokeToken: () => {
      revoked = true
    },
    restoreToken: () => {
      revoked = false
    },
    kill: () => api.stop(),
    start: () => api.listen(),
  }
  api.refusing = (method, params) => {
    if (revoked) return refusal(401, 'Unauthorized')
    if (method !== 'sendMessage') return undefined
    if (shutOut.has(String(params.chat_id))) return refusal(403, 'Forbidden: bot was blocked by the user')
    if (platform.sends === 'refused for now') return refusal(502, 'Bad Gateway')
    return platform.sends === 'unanswered' ? { ...refusal(0, ''), silent: true } : undefined
  }
  return platform
}

conversations(t, telegram)

t.test('a conversation with telegram-test-api goes back and forth', async (t) => {
  const server = new TelegramServer({ port: await freePort(), host: '127.0.0.1' })
  await server.start()
  t.teardown(() => server.stop())
  await converse(t, {
    connector: {
      type: 'telegram',
      tokenEnv: 'TELEGRAM',
      apiRoot: server.config.apiURL,
      pollPauseMs: 5,
      allow: ['*'],
    },
    env: { TELEGRAM: TOKEN },
    peers: ['42', '43'],
    say: (peer, text) => {
      const person = server.getClient(TOKEN, { userId: Number(peer), chatId: Number(peer) })
      return person.sendMessage(person.makeMessage(text))
    },
    said: (peer) =>
      server.storage.botMessages
        .filter(({ message }) => String(message.chat_id) === peer)
        .map(({ message }) => message.text),
  })
})

t.test('a token that is revoked while nothing is said is noticed by the next poll', async (t) => {
  const { api, ...platform } = await telegram(t)
  const gateway = await ChannelGateway.start(t, platform)
  await gateway.becomes('connected')
  await until(() => api.isPolled)
  platform.revokeToken()
  await platform.say('42', 'hello?')
  t.match((await gateway.becomes('failed')).error, { code: 'UNAUTHORIZED' })
  t.ok(await gateway.isReady())
  t.equal(gateway.log().filter(({ msg }) => msg === 'channel failed').length, 1)
  platform.restoreToken()
  await gateway.socket.call('channels.start', { channel: 'telegram' })
  await until(() => platform.said('42').length === 1)
})
