import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { createTelegramConnector } from '../../../src/connectors/telegram/telegram.js'
import { GatewayError, type JsonObject } from '../../../src/protocol/index.js'
import { type ConnectorHost, connectorContext, hostOf } from '../../helpers/connector-host.js'
import { messageOf, TelegramApi, TOKEN } from '../../helpers/telegram-api.js'
import { until } from '../../helpers/until.js'

async function connect(t: Test, apiRoot: string, options: JsonObject = {}) {
  const context = connectorContext()
  const connector = await createTelegramConnector({ apiRoot, token: TOKEN, ...options }, context)
  return { host: hostOf(t, connector), logged: context.logged }
}

/** Why a connection ended, or never came about. */
async function failed(host: ConnectorHost, start: 'started' | 'start' = 'start'): Promise<GatewayError> {
  // One that is lost at once may have been missed.
  if (start === 'start') await host.start().catch(() => {})
  await until(() => host.ended !== null)
  const error = host.ended!.error
  if (error instanceof GatewayError) return error
  throw error
}

t.test('an update is acknowledged once it was taken, and not before', async (t) => {
  const api = await TelegramApi.start(t)
  const { host } = await connect(t, api.url)
  let accept = () => {}
  const room = new Promise<void>((resolve) => {
    accept = resolve
  })
  const { answer } = host
  host.answer = async (message) => {
    await room
    return await answer(message)
  }
  await host.start()
  await until(() => api.isPolled)
  const update = api.say('message', messageOf('one'))
  await until(() => host.received.length === 1)
  t.equal(api.callsOf('getUpdates').length, 1, 'nothing is asked for meanwhile')
  t.strictSame(api.updates, [update])
  accept()
  await until(() => api.isPolled && api.updates.length === 0)
  t.match(api.callsOf('getUpdates').at(-1), { offset: update.update_id + 1, timeout: 30 })
})

t.test('what could not be taken comes again after what was', async (t) => {
  const api = await TelegramApi.start(t)
  const { host } = await connect(t, api.url)
  const { answer } = host
  host.answer = (message) => {
    if (message.text === 'two') throw new GatewayError('CANCELLED', 'The gateway stops.')
    return answer(message)
  }
  for (const text of ['one', 'two', 'three']) api.say('message', messageOf(text))
  t.match(await failed(host), { code: 'UNAVAILABLE', retryable: true })
  t.strictSame(
    host.received.map(({ text }) => text),
    ['one', 'two'],
    'the third must not overtake the second',
  )
  host.answer = answer
  await host.start()
  await until(() => api.isPolled)
  t.strictSame(
    host.received.slice(2).map(({ text }) => text),
    ['two', 'three'],
  )
  t.strictSame(api.updates, [])
})

t.test('one chat does not wait for another', async (t) => {
  const api = await TelegramApi.start(t)
  const { host } = await connect(t, api.url)
  const { answer } = host
  let accept = () => {}
  const room = new Promise<void>((resolve) => {
    accept = resolve
  })
  host.answer = async (message) => {
    if (message.peer === '1') await room
    return await answer(message)
  }
  api.say('message', messageOf('slow', { chat: { id: 1, type: 'private' } }))
  api.say('message', messageOf('behind it', { chat: { id: 1, type: 'private' } }))
  api.say('message', messageOf('fast', { chat: { id: 2, type: 'private' } }))
  await host.start()
  await until(() => host.received.length === 2)
  t.same(
    host.received.map(({ text }) => text),
    ['slow', 'fast'],
  )
  t.equal(api.updates.length, 3, 'the first one is not done')
  accept()
  await until(() => api.isPolled && api.updates.length === 0)
  t.equal(host.received.length, 3)
})

t.test('an update that nobody understands does not stand in the way', async (t) => {
  const api = await TelegramApi.start(t)
  const { host, logged } = await connect(t, api.url)
  api.say('message', {
    message_id: 1,
    from: { id: 42, is_bot: false, first_name: 'Ada' },
    text: 'from nowhere',
  })
  api.say('something_new', {})
  api.say('message', messageOf('fine'))
  await host.start()
  await until(() => api.isPolled)
  t.match(host.received, [{ text: 'fine' }])
  t.match(logged, [['warn', { updateId: 1 }, 'an update of Telegram cannot be read']])
})

t.test(
  'an abort ends a poll that waits, or a message that waits for room, and every connection',
  async (t) => {
    const api = await TelegramApi.start(t)
    const { host } = await connect(t, api.url)
    await host.start()
    await until(() => api.isPolled)
    await host.stop()
    t.strictSame(host.ended, { error: undefined })
    await until(async () => (await api.connections()) === 0)

    host.answer = () => new Promise(() => {})
    api.say('message', messageOf('one'))
    await host.start()
    await until(() => host.received.length === 1)
    await host.stop()
    t.strictSame(host.ended, { error: undefined })
    t.equal(api.updates.length, 1, 'it was not acknowledged')
  },
)

t.test('each reason that nothing can be received is told', async (t) => {
  const api = await TelegramApi.start(t)
  const { host } = await connect(t, api.url)
  api.refuse('getUpdates', {
    error_code: 429,
    description: 'Too Many Requests: retry after 3',
    parameters: { retry_after: 3 },
  })
  t.match(await failed(host), { code: 'RATE_LIMITED', retryable: true, retryAfterMs: 3_000 })

  api.refuse('getUpdates', { error_code: 502, description: 'Bad Gateway' })
  t.match(await failed(host), { code: 'UNAVAILABLE', retryable: true, message: /Bad Gateway/ })

  await host.start()
  await until(() => api.isPolled)
  const { host: other } = await connect(t, api.url)
  await other.start()
  t.match(await failed(host, 'started'), {
    code: 'CONFLICT',
    retryable: true,
    message: /another program polls/i,
  })
})

t.test('neither a wrong token nor a dead host shows the token', async (t) => {
  const api = await TelegramApi.start(t)
  for (const token of ['110201543:revoked-0123456789', 'no-token-at-all']) {
    const { host, logged } = await connect(t, api.url, { token })
    const error = await failed(host)
    t.match(error, { code: 'UNAUTHORIZED', retryable: false })
    t.notMatch(shown(error, logged), token)
  }
  const { host, logged } = await connect(t, api.url)
  await api.stop()
  const error = await failed(host)
  t.match(error, { code: 'UNAVAILABLE', retryable: true, message: /ECONNREFUSED/ })
  t.notMatch(shown(error, logged), TOKEN.slice(10))
})

t.test('a host that is no Bot API is as good as none', async (t) => {
  const api = await TelegramApi.start(t)
  const { host } = await connect(t, `${api.url}/file`)
  await t.rejects(host.start(), { code: 'UNAVAILABLE', retryable: true })
})

/** All that a log could hold of it. */
function shown({ message, stack, details, cause }: GatewayError, logged: unknown): string {
  return inspect([message, stack, details, cause, logged], { depth: 10 })
}
