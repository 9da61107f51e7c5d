import type { ChatCompletionRequest } from '@copilotkit/aimock'
import t, { type Test } from 'tap'
import type { HistoryMessage } from '../../src/agents/agent.js'
import { createOpenAiAgent } from '../../src/agents/openai.js'
import type { JsonObject } from '../../src/protocol/index.js'
import { agentSuite, createTestRun } from '../../src/testing/agent-suite.js'
import { lastChatRequest, startAimock } from '../helpers/aimock.js'

const KEY = 'sk-test-0123456789abcdef'

function agentAt(url: string, options: JsonObject = {}, env: NodeJS.ProcessEnv = {}) {
  const { context, logged } = createTestRun()
  const given = { baseUrl: `${url}/v1`, model: 'test-model', ...options }
  const agent = createOpenAiAgent(given, { name: 'helper', log: context.log, baseDir: '/', env })
  return Object.assign(agent, { logged })
}

const message = (role: HistoryMessage['role'], content: string) => ({ role, content }) as HistoryMessage

/** What the endpoint was sent, for these messages of the history. */
async function sent(t: Test, options: JsonObject, history: HistoryMessage[]): Promise<ChatCompletionRequest> {
  const mock = await startAimock(t)
  mock.onMessage(/./, { content: 'ok' })
  const { event, context } = createTestRun({ content: 'now', history })
  await agentAt(mock.url, options).run(event, context)
  return lastChatRequest(mock)
}

t.test('behaves as every agent does', async (t) => {
  agentSuite(
    (name, body) => t.test(name, () => body()),
    async () => {
      const mock = await startAimock(t, { chunkSize: 5 })
      mock.onMessage('ask', { content: 'Hello, you who ask!' })
      mock.onMessage('hang', () => new Promise(() => {}))
      mock.onMessage('fail', { error: { message: 'no' }, status: 500 })
      return {
        agent: agentAt(mock.url),
        ask: { content: 'ask', answer: 'Hello, you who ask!', streams: true },
        hang: 'hang',
        fail: 'fail',
      }
    },
  )
})

t.test('answers with the usage and the reason for the end', async (t) => {
  const mock = await startAimock(t)
  mock.onMessage('one', { content: 'ok', usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 } })
  mock.onMessage('two', { content: 'cut', finishReason: 'length' })
  mock.onMessage('three', { content: 'no', finishReason: 'content_filter' })
  const agent = agentAt(mock.url)
  const run = async (content: string) => {
    const { event, context } = createTestRun({ content })
    return agent.run(event, context)
  }
  t.match(await run('one'), {
    content: 'ok',
    usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 },
    metadata: { finishReason: 'stop' },
  })
  t.match(await run('two'), { content: 'cut', metadata: { finishReason: 'length' } })
  t.match(await run('three'), { content: 'no', metadata: { finishReason: 'content_filter' } })
})

t.test('tool calls are reported, and are no part of the answer', async (t) => {
  const mock = await startAimock(t)
  mock.onMessage('only', { toolCalls: [{ name: 'look', arguments: '{}' }] })
  mock.onMessage('both', { content: 'A text.', toolCalls: [{ name: 'look', arguments: '{}' }] })
  const agent = agentAt(mock.url)
  const only = createTestRun({ content: 'only' })
  t.match(await agent.run(only.event, only.context), {
    content: '',
    metadata: { finishReason: 'tool_calls' },
  })
  t.strictSame(only.reports, [
    {
      type: 'tool',
      callId: only.reports[0]?.type === 'tool' && only.reports[0].callId,
      title: 'look',
      status: 'started',
      input: {},
    },
  ])
  t.match(only.logged, [['warn', { finishReason: 'tool_calls' }, 'the model answered without a text']])
  const both = createTestRun({ content: 'both' })
  t.match(await agent.run(both.event, both.context), { content: 'A text.' })
})

t.test('the endpoint is sent', async (t) => {
  t.test('the model, the conversation and nothing that is not set', async (t) => {
    const history = [message('user', 'hi'), message('assistant', 'hello'), message('system', 'note')]
    t.match(await sent(t, {}, history), {
      model: 'test-model',
      stream: true,
      stream_options: { include_usage: true },
      messages: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'hello' },
        { role: 'system', content: 'note' },
        { role: 'user', content: 'now' },
      ],
    })
    const request = await sent(t, {}, [])
    t.notOk('temperature' in request)
    t.notOk('max_tokens' in request)
  })

  t.test('the settings', async (t) => {
    const request = await sent(t, { systemPrompt: 'Be brief.', temperature: 0.5, maxTokens: 9 }, [])
    t.match(request, {
      temperature: 0.5,
      max_tokens: 9,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'now' },
      ],
    })
  })

  t.test('the newest messages that fit, and the event’s own in any case', async (t) => {
    const history = ['aaaa', 'bbbb', 'cccc'].map((content) => message('user', content))
    const contents = async (options: JsonObject) =>
      (await sent(t, options, history)).messages.map(({ content }) => content)
    t.strictSame(await contents({ historyMaxChars: 8 }), ['bbbb', 'cccc', 'now'])
    t.strictSame(await contents({ historyMaxChars: 7 }), ['cccc', 'now'])
    t.strictSame(await contents({ historyMaxChars: 0 }), ['now'])
    t.strictSame(await contents({ historyLimit: 1 }), ['cccc', 'now'])
    t.strictSame(await contents({ historyLimit: 0 }), ['now'])
  })
})

t.test('the key', async (t) => {
  const mock = await startAimock(t, { auth: { apiKeys: [KEY] } })
  mock.onMessage(/./, { content: 'in' })
  const { event, context } = createTestRun({ content: 'hi' })

  t.test('comes from the environment', async (t) => {
    const agent = agentAt(mock.url, { apiKeyEnv: 'THE_KEY' }, { THE_KEY: `${KEY}\n` })
    t.match(await agent.run(event, context), { content: 'in' })
  })

  t.test('comes from the configuration, or from a header', async (t) => {
    t.match(await agentAt(mock.url, { apiKey: KEY }).run(event, context), { content: 'in' })
    const headers = { Authorization: `Bearer ${KEY}` }
    t.match(await agentAt(mock.url, { headers }).run(event, context), { content: 'in' })
  })

  t.test('that is wrong or missing: NOT_LINKED, not tried again', async (t) => {
    const expected = { name: 'GatewayError', code: 'NOT_LINKED', retryable: false, details: { status: 401 } }
    await t.rejects(agentAt(mock.url, { apiKey: 'sk-wrong-key' }).run(event, context), expected)
    await t.rejects(agentAt(mock.url).run(event, context), expected)
  })

  t.test('whose variable is not set lets the gateway start with a warning; runs fail', async (t) => {
    for (const env of [{}, { THE_KEY: ' ' }]) {
      const agent = agentAt(mock.url, { apiKeyEnv: 'THE_KEY' }, env)
      t.match(agent.logged, [['warn', { agent: 'helper', variable: 'THE_KEY' }, /is not set/]])
      const asked = mock.getRequests().length
      await t.rejects(agent.run(event, context), { code: 'NOT_LINKED', retryable: false })
      t.equal(mock.getRequests().length, asked)
    }
  })
})

t.test('an event without content asks the model nothing', async (t) => {
  const mock = await startAimock(t)
  const { event, context } = createTestRun({ event: { type: 'system.heartbeat' } })
  t.strictSame(await agentAt(mock.url).run(event, context), { content: '' })
  t.equal(mock.getRequests().length, 0)
})

t.test('failures of the endpoint', async (t) => {
  const mock = await startAimock(t)
  const fail = (status: number, retryAfter?: number, error = { message: 'because' }) =>
    mock.onMessage(`status ${status}`, { error, status, retryAfter })
  const failing = async (content: string) => {
    const { event, context, deltas } = createTestRun({ content })
    const error = await agentAt(mock.url)
      .run(event, context)
      .then(
        () => t.fail('it answered'),
        (error) => error,
      )
    return { error, deltas }
  }

  t.test('429 is tried again when the endpoint says', async (t) => {
    fail(429, 7)
    t.match((await failing('status 429')).error, {
      code: 'UNAVAILABLE',
      retryable: true,
      retryAfterMs: 7000,
      message: 'The model provider cannot answer now (HTTP 429): because',
    })
  })

  for (const status of [408, 409, 500, 502, 503, 529]) {
    t.test(`${status} is tried again`, async (t) => {
      fail(status)
      t.match((await failing(`status ${status}`)).error, { code: 'UNAVAILABLE', retryable: true })
    })
  }

  for (const [status, code] of [
    [400, 'INVALID_REQUEST'],
    [402, 'NOT_LINKED'],
    [403, 'NOT_LINKED'],
    [404, 'NOT_LINKED'],
    [413, 'INVALID_REQUEST'],
    [422, 'INVALID_REQUEST'],
  ] as const) {
    t.test(`${status} is ${code}, not tried again`, async (t) => {
      fail(status)
      t.match((await failing(`status ${status}`)).error, { code, retryable: false, details: { status } })
    })
  }

  t.test('429 for want of money is not tried again', async (t) => {
    mock.onMessage('broke', { error: { message: 'pay', code: 'insufficient_quota' }, status: 429 })
    t.match((await failing('broke')).error, { code: 'NOT_LINKED', retryable: false })
  })

  t.test('what is no stream at all is tried again', async (t) => {
    mock.addFixture({
      match: { userMessage: 'malformed' },
      response: { content: 'x' },
      chaos: { malformedRate: 1 },
    })
    t.match((await failing('malformed')).error, { code: 'UNAVAILABLE', retryable: true })
  })

  t.test('a connection that breaks off in the middle is tried again', async (t) => {
    mock.addFixture({
      match: { userMessage: 'truncated' },
      response: { content: 'a long answer that is cut' },
      chunkSize: 4,
      // Without a pause the mock destroys the connection before it has written anything.
      latency: 10,
      truncateAfterChunks: 3,
    })
    const { error, deltas } = await failing('truncated')
    t.match(error, { code: 'UNAVAILABLE', retryable: true, message: /broke off in the middle/ })
    t.ok('a long answer that is cut'.startsWith(deltas.join('')))
  })

  t.test('a connection that breaks off before the answer is tried again', async (t) => {
    mock.addFixture({
      match: { userMessage: 'disconnect' },
      response: { content: 'x' },
      chaos: { disconnectRate: 1 },
    })
    t.match((await failing('disconnect')).error, {
      code: 'UNAVAILABLE',
      retryable: true,
      message: /connection to the model provider failed/,
    })
  })
})
