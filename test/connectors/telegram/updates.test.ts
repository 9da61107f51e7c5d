import t, { type Test } from 'tap'
import { createTelegramConnector } from '../../../src/connectors/telegram/telegram.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext, hostOf } from '../../helpers/connector-host.js'
import { BOT, GROUP, messageOf, TelegramApi, TOKEN } from '../../helpers/telegram-api.js'
import { until } from '../../helpers/until.js'

/** A connector in webhook mode, whose endpoint is called as Telegram would. */
async function connect(t: Test, options: JsonObject = {}) {
  const api = await TelegramApi.start(t)
  const given = { apiRoot: api.url, token: TOKEN, webhookUrl: 'https://gateway.example.com/x', ...options }
  const context = connectorContext()
  const host = hostOf(t, await createTelegramConnector(given, context))
  await host.start()
  const [webhook] = api.callsOf('setWebhook')
  const call = async (body: string, secret = webhook!.secret_token as string) =>
    await host.connector.endpoint!(
      {
        headers: { 'x-telegram-bot-api-secret-token': secret },
        body: Buffer.from(body),
        remoteAddress: '127.0.0.1',
        signal: new AbortController().signal,
      },
      host,
    )
  const tell = async (kind: string, what: object) => {
    const { length } = host.received
    const { status } = await call(JSON.stringify({ update_id: 1, [kind]: what }))
    t.equal(status, 200)
    return host.received[length] ?? null
  }
  return { api, host, call, tell, webhook, logged: context.logged }
}

/** A message with an entity over `part` of its text. */
function marked(text: string, part: string, type: string, fields: object = {}) {
  const entities = [{ type, offset: text.indexOf(part), length: part.length, ...fields }]
  return messageOf(text, { chat: GROUP, entities })
}

t.test('the endpoint takes what Telegram sends, and nothing else', async (t) => {
  const { host, call, webhook } = await connect(t)
  t.match(webhook, { url: 'https://gateway.example.com/x', allowed_updates: ['message'] })
  const update = JSON.stringify({ update_id: 1, message: messageOf('hi') })
  t.match(await call(update, 'guessed'), { status: 401 })
  t.match(await call(update, ''), { status: 401 })
  for (const body of ['', '{', 'null', '[]', '{"update_id":"1"}']) {
    t.match(await call(body), { status: 400 }, body)
  }
  t.strictSame(host.received, [])
  t.match(await call(update), { status: 200 })
  t.match(host.received, [{ text: 'hi' }])

  const { answer } = host
  host.answer = () => {
    throw new Error('no room')
  }
  t.match(await call(update), { status: 503 }, 'Telegram tries again')
  host.answer = answer
  await host.stop()
  t.match(await call(update), { status: 503 })
})

t.test('a webhook that somebody takes away is a lost connection', async (t) => {
  const { api, host, logged } = await connect(t, { webhookCheckMs: 1 })
  await until(() => api.callsOf('getWebhookInfo').length > 1)
  t.equal(host.ended, null)
  api.webhook.url = 'https://gateway.example.com:443/x'
  const trouble = { last_error_date: 9_999_999_999, last_error_message: 'Wrong response: 502 Bad Gateway' }
  Object.assign(api.webhook, trouble)
  await until(() => logged.length > 0)
  const { length } = api.callsOf('getWebhookInfo')
  await until(() => api.callsOf('getWebhookInfo').length > length + 1)
  const fields = { reason: trouble.last_error_message, waiting: 0 }
  t.strictSame(logged, [['warn', fields, 'Telegram could not deliver to the webhook']])
  api.webhook.url = ''
  await until(() => host.ended !== null)
  t.match(host.ended, { error: { code: 'CONFLICT', retryable: true } })
  await host.start()
  t.equal(api.webhook.url, 'https://gateway.example.com/x')
})

t.test('without a webhook there is no endpoint', async (t) => {
  const connector = await createTelegramConnector({ token: TOKEN }, connectorContext())
  t.equal(connector.endpoint, undefined)
})

t.test('topics are threads, and chains of replies are not', async (t) => {
  const { tell } = await connect(t)
  const topic = { chat: GROUP, is_topic_message: true, message_thread_id: 7 }
  t.match(await tell('message', messageOf('a', topic)), { peer: '-1001', thread: '7' })
  t.match(await tell('message', messageOf('b', { chat: GROUP, message_thread_id: 7 })), { thread: null })
})

t.test('a group message is for the bot when it says so', async (t) => {
  const { tell } = await connect(t)
  const mine = '@lurktestBOT'
  const cases: [string, object, object][] = [
    ['a mention', marked(`${mine}: hi`, mine, 'mention'), { mentioned: true, text: 'hi' }],
    ['at the end', marked(`hi ${mine}`, mine, 'mention'), { mentioned: true, text: 'hi' }],
    [
      'in the middle',
      marked(`😀 hi ${mine} there`, mine, 'mention'),
      { mentioned: true, text: '😀 hi there' },
    ],
    ['of somebody else', marked('@ada hi', '@ada', 'mention'), { mentioned: false, text: '@ada hi' }],
    [
      'by its name',
      marked('Lurk, hi', 'Lurk', 'text_mention', { user: BOT }),
      { mentioned: true, text: 'hi' },
    ],
    ['a command', marked('/new', '/new', 'bot_command'), { mentioned: false, text: '/new' }],
    [
      'a command for it',
      marked(`/new${mine} x`, `/new${mine}`, 'bot_command'),
      { mentioned: true, text: '/new x' },
    ],
    [
      'a reply',
      messageOf('why?', { chat: GROUP, reply_to_message: messageOf('so', { from: BOT }) }),
      { mentioned: true, text: 'why?' },
    ],
    [
      'a reply to another',
      messageOf('why?', { chat: GROUP, reply_to_message: messageOf('so') }),
      { mentioned: false },
    ],
    [
      'in a topic that it opened',
      messageOf('hi', {
        chat: GROUP,
        reply_to_message: messageOf(undefined, { from: BOT, forum_topic_created: { name: 'x' } }),
      }),
      { mentioned: false },
    ],
    [
      'a caption',
      messageOf(undefined, {
        chat: GROUP,
        caption: mine,
        caption_entities: [{ type: 'mention', offset: 0, length: mine.length }],
        photo: [{ file_id: 'x', width: 1, height: 1 }],
      }),
      { mentioned: true, text: '' },
    ],
  ]
  for (const [name, message, expected] of cases) t.match(await tell('message', message), expected, name)
})

t.test('what is for nobody here is passed over', async (t) => {
  const { host, tell, logged } = await connect(t)
  const bot = { id: 7, is_bot: true, first_name: 'Other', username: 'other_bot' }
  const other = '/new@other_bot'
  const cases: [string, string, object][] = [
    ['a command for another bot', 'message', marked(other, other, 'bot_command')],
    ['another bot', 'message', messageOf('beep', { from: bot })],
    ['somebody who joins', 'message', messageOf(undefined, { chat: GROUP, new_chat_members: [bot] })],
    ['a post in a channel', 'channel_post', messageOf('news', { chat: { id: -1, type: 'channel' } })],
    ['a button', 'callback_query', { id: '1', data: 'x' }],
    ['an edit', 'edited_message', messageOf('hi!', { edit_date: 1_700_000_100 })],
    ['a group that moves', 'message', messageOf(undefined, { chat: GROUP, migrate_to_chat_id: -1002 })],
  ]
  for (const [name, kind, message] of cases) t.equal(await tell(kind, message), null, name)
  t.strictSame(host.received, [])
  t.match(logged, [['info', { from: -1001, to: -1002 }, /supergroup/]])
})

t.test('an edit is a message of its own where that is wanted', async (t) => {
  const { tell, webhook } = await connect(t, { edits: 'message' })
  t.match(webhook, { allowed_updates: ['message', 'edited_message'] })
  const message = messageOf('hi')
  const first = await tell('message', message)
  const edit = await tell('edited_message', { ...message, text: 'hi!', edit_date: 1_700_000_100 })
  t.match(edit, {
    text: 'hi!',
    at: 1_700_000_100_000,
    metadata: { edited: true, messageId: message.message_id },
  })
  t.not(edit!.id, first!.id, 'it is no repetition')
})

t.test('who writes as a group is that group', async (t) => {
  const { tell } = await connect(t)
  const from = { id: 1087968824, is_bot: true, first_name: 'Group', username: 'GroupAnonymousBot' }
  const message = await tell('message', messageOf('hi', { chat: GROUP, from, sender_chat: GROUP }))
  t.match(message, { sender: { id: '-1001', name: 'Engines' } })
})

t.test('a sticker says what it shows', async (t) => {
  const { api, tell } = await connect(t)
  api.files.set('s', Buffer.from('webp'))
  const message = await tell('message', messageOf(undefined, { sticker: { file_id: 's', emoji: '👍' } }))
  t.match(message, { text: '👍', attachments: [{ type: 'image/webp', data: 'd2VicA==' }] })
})
