import t, { type Test } from 'tap'
import { createTelegramConnector } from '../../../src/connectors/telegram/telegram.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext, hostOf } from '../../helpers/connector-host.js'
import { GROUP, messageOf, TelegramApi, TOKEN } from '../../helpers/telegram-api.js'
import { until } from '../../helpers/until.js'

const ADA = { peer: '42', thread: null }
const { signal } = new AbortController()

async function connect(t: Test, options: JsonObject = {}, context = connectorContext()) {
  const api = await TelegramApi.start(t)
  const connector = await createTelegramConnector({ apiRoot: api.url, token: TOKEN, ...options }, context)
  const host = hostOf(t, connector)
  await host.start()
  return { api, host, connector, logged: context.logged }
}

const refused = (error_code: number, description: string, retry_after?: number) => ({
  error_code,
  description,
  parameters: { retry_after },
})

t.test('each refusal says whether to try again', async (t) => {
  const { api, host } = await connect(t)
  const cases: [ReturnType<typeof refused>, object][] = [
    [refused(429, 'Too Many Requests: retry after 7', 7), { code: 'RATE_LIMITED', retryAfterMs: 7_000 }],
    [
      refused(403, 'Forbidden: bot was blocked by the user'),
      { code: 'FORBIDDEN', retryable: false, message: /blocked by the user/ },
    ],
    [refused(403, 'Forbidden: bot was kicked from the group chat'), { code: 'FORBIDDEN', retryable: false }],
    [refused(400, 'Bad Request: chat not found'), { code: 'NOT_FOUND', retryable: false }],
    [refused(400, 'Bad Request: message thread not found'), { code: 'NOT_FOUND', retryable: false }],
    [refused(400, 'Bad Request: message is too long'), { code: 'INVALID_REQUEST', retryable: false }],
    [refused(401, 'Unauthorized'), { code: 'UNAUTHORIZED', retryable: false }],
    [refused(500, 'Internal Server Error'), { code: 'UNAVAILABLE', retryable: true }],
  ]
  for (const [refusal, expected] of cases) {
    api.refuse('sendMessage', refusal)
    const error = await host.send(ADA, 'hi').catch((error) => error)
    t.match(error, expected, refusal.description)
  }
  t.match(await host.send(ADA, 'hi'), { messageId: /^\d+$/ })
})

t.test('a topic is named by its number', async (t) => {
  const { api, host, connector } = await connect(t)
  const topic = { peer: '-1001', thread: '7' }
  await host.send(topic, 'hi', { replyTo: '12@1700000100' })
  await connector.typing!(topic, signal)
  t.match(api.callsOf('sendMessage'), [
    {
      chat_id: '-1001',
      message_thread_id: 7,
      reply_parameters: { message_id: 12, allow_sending_without_reply: true },
    },
  ])
  t.strictSame(api.callsOf('sendChatAction'), [{ chat_id: '-1001', message_thread_id: 7, action: 'typing' }])
  await t.rejects(host.send({ peer: '-1001', thread: 'seven' }, 'hi'), { code: 'INVALID_REQUEST' })
  api.refuse('sendChatAction', refused(403, 'Forbidden'))
  await connector.typing!(ADA, signal)
})

t.test('a text is shown with its marks, or as Telegram shows them', async (t) => {
  const text = 'Try **this**:\n```js\nlet a = 1\n```'
  const { api, host } = await connect(t)
  await host.send(ADA, text)
  t.match(api.callsOf('sendMessage'), [
    {
      text: 'Try this:\nlet a = 1',
      entities: [
        { type: 'bold', offset: 4, length: 4 },
        { type: 'pre', language: 'js', offset: 10, length: 9 },
      ],
      parse_mode: undefined,
    },
  ])
  const plain = await connect(t, { format: 'plain' })
  await plain.host.send(ADA, text)
  t.match(plain.api.callsOf('sendMessage'), [{ text, entities: [] }])
})

t.test('the preview becomes the answer', async (t) => {
  t.test('of the run that it is of', async (t) => {
    const { api, host, connector } = await connect(t)
    await connector.preview!(ADA, 'run_1', 'One', signal)
    await host.send(ADA, 'Two', { runId: 'run_2' })
    await host.send(ADA, 'No run', { runId: null })
    await host.send(ADA, 'One.', { runId: 'run_1' })
    await host.send(ADA, 'One again', { runId: 'run_1' })
    t.strictSame([...api.messages.values()], ['One.', 'Two', 'No run', 'One again'])
  })
  t.test('even if that is what it shows already', async (t) => {
    const { api, host, connector } = await connect(t)
    await connector.preview!(ADA, 'run_1', 'One', signal)
    await connector.preview!(ADA, 'run_1', 'One', signal)
    t.strictSame(api.callsOf('editMessageText'), [])
    await host.send(ADA, 'One', { runId: 'run_1' })
    t.strictSame([...api.messages.values()], ['One'])
  })
  t.test('by the next attempt when the first one fails', async (t) => {
    const { api, host, connector } = await connect(t)
    await connector.preview!(ADA, 'run_1', 'One', signal)
    api.refuse('editMessageText', refused(429, 'Too Many Requests', 1))
    await t.rejects(host.send(ADA, 'One.', { runId: 'run_1' }), { code: 'RATE_LIMITED' })
    await host.send(ADA, 'One.', { runId: 'run_1' })
    t.strictSame([...api.messages.values()], ['One.'])
  })
  t.test('also when it is still on its way', async (t) => {
    const { api, host, connector } = await connect(t)
    const shown = connector.preview!(ADA, 'run_1', 'One', signal)
    await host.send(ADA, 'One.', { runId: 'run_1' })
    await shown
    t.strictSame([...api.messages.values()], ['One.'])
  })
  t.test('unless somebody deleted it', async (t) => {
    const { api, host, connector } = await connect(t)
    await connector.preview!(ADA, 'run_1', 'One', signal)
    api.messages.clear()
    await connector.preview!(ADA, 'run_1', 'One, two', signal)
    await connector.preview!(ADA, 'run_1', 'One, two, three', signal)
    t.equal(api.messages.size, 0, 'it is not shown again')
    await host.send(ADA, 'One, two, three.', { runId: 'run_1' })
    t.strictSame([...api.messages.values()], ['One, two, three.'])
  })
  t.test('or there is no text', async (t) => {
    const { api, host, connector } = await connect(t)
    await connector.preview!(ADA, 'run_1', 'One', signal)
    t.match(await host.send(ADA, '', { runId: 'run_1' }), { messageId: null })
    t.equal(api.messages.size, 0)
  })
})

t.test('a preview that Telegram finds too quick waits as long as it says', async (t) => {
  const { api, host, connector } = await connect(t)
  await connector.preview!(ADA, 'run_1', 'One', signal)
  api.refuse('editMessageText', refused(429, 'Too Many Requests', 3_600))
  await connector.preview!(ADA, 'run_1', 'One, two', signal)
  await connector.preview!(ADA, 'run_1', 'One, two, three', signal)
  t.equal(api.callsOf('editMessageText').length, 1)
  await host.send(ADA, 'One, two, three.', { runId: 'run_1' })
  t.strictSame([...api.messages.values()], ['One, two, three.'])
})

t.test('files are taken along', async (t) => {
  const { api, host, logged } = await connect(t, {}, connectorContext({ maxAttachmentBytes: 10 }))
  const sizes = [
    { file_id: 'small', file_size: 1 },
    { file_id: 'large', file_size: 8 },
  ]
  api.files.set('large', Buffer.from('pixels!!'))
  api.files.set('liar', Buffer.alloc(11))
  const documents: object[] = [
    { photo: sizes, caption: 'Look' },
    { document: { file_id: 'large', file_name: 'a.txt', mime_type: 'text/plain' }, animation: undefined },
    { voice: { file_id: 'liar', mime_type: 'audio/ogg' } },
    { video: { file_id: 'huge', file_size: 11 } },
    { audio: { file_id: 'missing', file_name: 'song.mp3' } },
    { animation: { file_id: 'large' }, document: { file_id: 'large' } },
  ]
  for (const one of documents) api.say('message', messageOf(undefined, { ...one, media_group_id: '9' }))
  await until(() => host.received.length === documents.length)
  const data = Buffer.from('pixels!!').toString('base64')
  t.strictSame(
    host.received.map(({ attachments }) => attachments),
    [
      [{ type: 'image/jpeg', name: 'photo.jpg', data }],
      [{ type: 'text/plain', name: 'a.txt', data }],
      [{ type: 'audio/ogg', name: 'voice.ogg' }],
      [{ type: 'video/mp4', name: 'video.mp4' }],
      [{ type: 'audio/mpeg', name: 'song.mp3' }],
      [{ type: 'video/mp4', name: 'animation.mp4', data }],
    ],
  )
  t.match(host.received, [
    { text: 'Look', metadata: { album: '9', missing: undefined } },
    { text: '' },
    { metadata: { missing: 'too large' } },
    { metadata: { missing: 'too large' } },
    { metadata: { missing: 'failed' } },
    { metadata: { missing: undefined } },
  ])
  t.notMatch(JSON.stringify([host.received, logged]), TOKEN, 'the address of a file has the token in it')
})

t.test('a file that never comes holds nothing up for long', async (t) => {
  const { api, host } = await connect(t, { downloadTimeoutMs: 20 })
  api.files.set('stuck', null)
  api.say('message', messageOf('here', { document: { file_id: 'stuck' } }))
  await until(() => host.received.length === 1)
  t.match(host.received, [{ attachments: [{ name: 'document' }], metadata: { missing: 'failed' } }])
})

t.test('an abort while a file is downloaded leaves the message with Telegram', async (t) => {
  const { api, host } = await connect(t)
  api.files.set('stuck', null)
  api.say('message', messageOf('here', { document: { file_id: 'stuck' } }))
  await until(() => api.callsOf('getFile').length === 1)
  await host.stop()
  t.strictSame(host.received, [])
  t.equal(api.updates.length, 1)
})

t.test('files are sent', async (t) => {
  const { api, host } = await connect(t)
  const data = Buffer.from('some bytes').toString('base64')
  await host.send({ peer: '-1001', thread: '7' }, 'Here:', {
    attachments: [
      { type: 'image/png', name: 'plot.png', data },
      { type: 'text/csv', name: '../numbers\r\n.csv', data },
      { type: 'image/jpeg', url: 'https://example.com/a.jpg' },
      { type: 'application/pdf', url: 'https://example.com/a.pdf' },
      { type: 'text/plain', name: 'nothing.txt' },
    ],
  })
  const uploads = api.calls.filter(({ method }) => /^send/.test(method))
  t.strictSame(
    uploads.map(({ method }) => method),
    ['sendMessage', 'sendPhoto', 'sendDocument', 'sendPhoto', 'sendDocument'],
  )
  t.match(uploads[1]?.body, /name="message_thread_id"\r\n\r\n7\r\n/)
  t.match(uploads[1]?.body, /filename=plot\.png\r\n[\s\S]*some bytes/)
  t.match(uploads[2]?.body, /filename=numbers__\.csv\r\n/)
  t.match(uploads[3]?.params, { photo: 'https://example.com/a.jpg', message_thread_id: 7 })

  api.refuse('sendPhoto', refused(400, 'Bad Request: PHOTO_INVALID_DIMENSIONS'))
  api.refuse('sendDocument', refused(400, 'Bad Request: failed to get HTTP URL content'))
  await host.send(ADA, '', {
    attachments: [
      { type: 'text/html', url: 'https://example.com/' },
      { type: 'image/png', data },
    ],
  })
  t.strictSame(
    api.calls.slice(-4).map(({ method }) => method),
    ['sendDocument', 'sendMessage', 'sendPhoto', 'sendDocument'],
    'what is no picture for Telegram is a file, what it cannot fetch a link',
  )
})

t.test('the next attempt goes on where the last one failed', async (t) => {
  const { api, host } = await connect(t)
  const data = Buffer.from('x').toString('base64')
  const attachments = [
    { type: 'text/plain', name: 'a', data },
    { type: 'text/plain', name: 'b', data },
  ]
  const part = { idempotencyKey: 'key', attachments }
  api.refuse('sendDocument', refused(500, 'Internal Server Error'))
  await t.rejects(host.send(ADA, 'Files:', part), { code: 'UNAVAILABLE' })
  const { messageId } = await host.send(ADA, 'Files:', part)
  t.equal(api.callsOf('sendMessage').length, 1)
  t.equal(messageId, String([...api.messages].find(([, text]) => text === 'Files:')?.[0]))
})

t.test('a failing menu of commands is no harm', async (t) => {
  const { api, host } = await connect(t)
  t.match(api.callsOf('setMyCommands'), [
    {
      commands: [
        { command: 'start' },
        { command: 'help' },
        { command: 'new' },
        { command: 'stop' },
        { command: 'answer' },
      ],
    },
  ])
  await host.stop()
  api.refuse('setMyCommands', refused(429, 'Too Many Requests', 60))
  await host.start()
  t.equal(host.identity, '@LurkTestBot')
  const other = await connect(t, { commands: false })
  t.strictSame(other.api.callsOf('setMyCommands'), [])
})

t.test('an answer in a group is a reply', async (t) => {
  const { api, host } = await connect(t)
  api.say('message', messageOf('hi', { chat: GROUP }))
  await until(() => host.received.length === 1)
  const [message] = host.received
  await host.send(message!, 'hi', { replyTo: message!.id })
  t.match(api.callsOf('sendMessage'), [{ reply_parameters: { message_id: Number(message!.id) } }])
})
