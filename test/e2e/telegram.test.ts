import t, { type Test } from 'tap'
import { TelegramServer } from 'telegram-test-api/lib/telegramServer.js'
import { freePort } from '../helpers/free-port.js'
import { messageOf, refusal, TelegramApi, TOKEN } from '../helpers/telegram-api.js'
import { ChannelGateway } from './channel-gateway.js'
import { conversations, converse, type FalliblePlatform, type Platform } from './conversations.js'

async function telegram(t: Test): Promise<FalliblePlatform> {
  const api = await TelegramApi.start(t)
  const shutOut = new Set<string>()
  let revoked = false
  const platform: FalliblePlatform = {
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
    revokeToken: (hangUp) => {
      revoked = true
      // The poll that waits is answered, and the next one is not.
      if (hangUp) platform.say('42', 'not taken')
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
  const platform: Platform = {
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
  }
  const gateway = await ChannelGateway.start(t, platform)
  await converse(t, gateway, platform)
  t.equal(await gateway.stop(), 0)
})
