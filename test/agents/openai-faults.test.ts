import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createOpenAiAgent } from '../../src/agents/openai.js'
import { GatewayError, type JsonObject } from '../../src/protocol/index.js'
import { createTestRun, type TestRun } from '../../src/testing/agent-suite.js'
import { chunk, EVENT_STREAM, sse, startEndpoint } from '../helpers/aimock.js'

type Handler = (response: ServerResponse, request: IncomingMessage) => void

/** Runs once against an endpoint that answers by `handle`. */
async function run(
  t: Test,
  handle: Handler,
  options: JsonObject = {},
  given: Parameters<typeof createTestRun>[0] = {},
) {
  const endpoint = await startEndpoint(t, (request, response) => handle(response, request))
  const test = createTestRun({ content: 'hi', ...given })
  const agent = createOpenAiAgent(
    { baseUrl: endpoint.baseUrl, model: 'm', ...options },
    { name: 'helper', log: test.context.log, baseDir: '/', env: {} },
  )
  return { ...test, reply: agent.run(test.event, test.context) }
}

const streaming =
  (...parts: unknown[]): Handler =>
  (response) =>
    response.writeHead(200, EVENT_STREAM).end(sse(...parts))

async function failed({ reply }: { reply: Promise<unknown> }): Promise<GatewayError> {
  const error: unknown = await reply.then(
    () => new Error('it answered'),
    (error) => error,
  )
  if (error instanceof GatewayError) return error
  throw error
}

t.test('an answer is whole', async (t) => {
  const parts = [chunk('Hel'), chunk('lo'), chunk(null, 'stop')]
  t.test('with a finish reason but no [DONE]', async (t) => {
    const { reply, deltas } = await run(t, streaming(...parts))
    t.match(await reply, { content: 'Hello', metadata: { finishReason: 'stop' } })
    t.strictSame(deltas, ['Hel', 'lo'])
  })
  t.test('with [DONE] but no finish reason', async (t) => {
    const { reply } = await run(t, streaming(chunk('Hello'), '[DONE]'))
    t.match(await reply, { content: 'Hello', metadata: undefined })
  })
  t.test('once it has its finish reason, even if the connection breaks then', async (t) => {
    const { reply } = await run(t, (response) => {
      response.writeHead(200, EVENT_STREAM).write(sse(...parts), () => response.destroy())
    })
    t.match(await reply, { content: 'Hello' })
  })
  t.test('at [DONE], even if the connection stays open', async (t) => {
    const { reply } = await run(t, (response) => {
      response.writeHead(200, EVENT_STREAM).write(sse(chunk('Hello'), '[DONE]'))
    })
    t.match(await reply, { content: 'Hello' })
  })
})

t.test('comments, other fields, empty choices and other choices do no harm', async (t) => {
  const { reply } = await run(t, (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    response.write(': keep-alive\r\n\r\nretry: 5\r\nevent: x\r\n')
    response.write(sse({ choices: [], prompt_filter_results: [] }, { choices: null }, { choices: [{}] }))
    response.write(sse({ choices: [{ index: 1, delta: { content: 'other' } }] }))
    response.write(sse({ choices: [{ delta: { reasoning_content: 'hm' } }], usage: null, error: null }))
    response.end(sse(chunk('ok', 'stop'), { choices: [], usage: { total_tokens: 2 } }, '[DONE]'))
  })
  t.match(await reply, { content: 'ok', usage: { total_tokens: 2 } })
})

t.test('reasoning and tool calls are reported as far as they can be read', async (t) => {
  const delta = (delta: object) => ({ choices: [{ index: 0, delta }] })
  const { reply, reports } = await run(
    t,
    streaming(
      delta({ reasoning_content: 'Let me' }),
      delta({ reasoning: ' see.', content: null }),
      delta({ reasoning: { odd: true }, tool_calls: 'odd' }),
      delta({ tool_calls: [{ index: 0, id: 'c1', function: { name: 'look', arguments: '{"at"' } }, 7] }),
      delta({
        tool_calls: [
          { index: 0, function: { arguments: ':1}' } },
          { index: 1, function: { arguments: 'x' } },
        ],
      }),
      chunk('ok', 'stop'),
      '[DONE]',
    ),
  )
  t.match(await reply, { content: 'ok' })
  t.strictSame(reports, [
    { type: 'reasoning', text: 'Let me' },
    { type: 'reasoning', text: ' see.' },
    { type: 'tool', callId: 'c1', title: 'look', status: 'started', input: { at: 1 } },
    { type: 'tool', callId: 'call-1', title: undefined, status: 'started', input: 'x' },
  ])
})

t.test('a stream that ends with neither [DONE] nor a finish reason is tried again', async (t) => {
  for (const parts of [[], [chunk('Hel')]]) {
    const error = await failed(await run(t, streaming(...parts)))
    t.match(error, { code: 'UNAVAILABLE', retryable: true, message: /broke off/ })
  }
})

t.test('a malformed chunk is tried again, and is not sent to clients', async (t) => {
  for (const part of [
    '{"choices":[',
    '42',
    '[]',
    { choices: 'secret' },
    { choices: [{ delta: { content: 7 } }] },
  ]) {
    const error = await failed(await run(t, streaming(chunk('a'), part, '[DONE]')))
    t.match(error, { code: 'UNAVAILABLE', retryable: true, details: null })
    t.equal(error.message, 'The model provider sent a malformed answer.')
  }
})

t.test('an error inside the stream is tried again', async (t) => {
  const started = await run(t, streaming(chunk('a'), { error: { message: 'over\nloaded', code: 502 } }))
  t.match(await failed(started), {
    code: 'UNAVAILABLE',
    retryable: true,
    message: 'The model provider failed in the middle of its answer: over loaded',
  })
  t.match(started.logged, [['warn', { body: /overloaded|over\\nloaded/ }, /in the middle/]])
})

t.test('an answer past maxResponseBytes is not tried again', async (t) => {
  const parts = Array.from({ length: 50 }, () => chunk('x'.repeat(50)))
  const error = await failed(await run(t, streaming(...parts, '[DONE]'), { maxResponseBytes: 1024 }))
  t.match(error, { code: 'UNAVAILABLE', retryable: false, message: /longer than the 1024 bytes/ })
})

t.test('silence ends in AGENT_TIMEOUT, which is tried again', async (t) => {
  const expected = { code: 'AGENT_TIMEOUT', retryable: true, message: /silent for too long/ }
  t.test('before the answer', async (t) => {
    t.match(await failed(await run(t, () => {}, { responseTimeoutMs: 20 })), expected)
  })
  t.test('in the middle of it', async (t) => {
    const started = await run(
      t,
      (response) => void response.writeHead(200, EVENT_STREAM).write(sse(chunk('a'))),
      { stallTimeoutMs: 20 },
    )
    t.match(await failed(started), expected)
    t.strictSame(started.deltas, ['a'])
  })
  t.test('but any byte is a sign of life', async (t) => {
    let beats = 0
    const { reply } = await run(
      t,
      (response) => {
        response.writeHead(200, EVENT_STREAM)
        const timer = setInterval(() => {
          if (++beats < 25) return response.write(': beat\n\n')
          clearInterval(timer)
          return response.end(sse(chunk('late', 'stop'), '[DONE]'))
        }, 60)
      },
      { stallTimeoutMs: 1200 },
    )
    t.match(await reply, { content: 'late' })
  })
})

t.test('an endpoint that is not there is tried again', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const { event, context } = createTestRun({ content: 'hi' })
  const agent = createOpenAiAgent(
    { baseUrl: `http://127.0.0.1:${port}`, model: 'm' },
    { name: 'helper', log: context.log, baseDir: '/', env: {} },
  )
  t.match(await failed({ reply: agent.run(event, context) }), {
    code: 'UNAVAILABLE',
    retryable: true,
    message: 'The connection to the model provider failed (ECONNREFUSED).',
  })
})

t.test('stopping a run in the middle of its answer closes the connection', async (t) => {
  const control = new AbortController()
  let closed: Promise<unknown> = Promise.resolve()
  const { reply, deltas } = await run(
    t,
    (response) => {
      closed = once(response, 'close')
      response.writeHead(200, EVENT_STREAM).write(sse(chunk('a')))
    },
    {},
    { signal: control.signal, onDelta: () => control.abort() },
  )
  t.match(await failed({ reply }), { code: 'CANCELLED' })
  await closed
  t.strictSame(deltas, ['a'])
})

t.test('stopping a run while an error is read', async (t) => {
  const control = new AbortController()
  const { reply } = await run(
    t,
    (response) => {
      response.writeHead(500).write('{"error":')
      setImmediate(() => control.abort())
    },
    {},
    { signal: control.signal },
  )
  t.match(await failed({ reply }), { code: 'CANCELLED' })
})

t.test('the status says enough where the body of an error hangs', async (t) => {
  const hanging = await run(t, (response) => void response.writeHead(401).write('{"error":'), {
    responseTimeoutMs: 50,
  })
  t.match(await failed(hanging), { code: 'NOT_LINKED', retryable: false, details: { status: 401 } })
})

t.test('a redirect is not followed: the headers would go along', async (t) => {
  const asked: (string | undefined)[] = []
  const started = await run(
    t,
    (response, request) => {
      asked.push(request.url)
      response.writeHead(307, { location: '/elsewhere' }).end()
    },
    { headers: { 'api-key': 'something' } },
  )
  t.match(await failed(started), { code: 'NOT_LINKED', retryable: false, details: { status: 307 } })
  t.strictSame(asked, ['/v1/chat/completions'])
})

t.test('neither clients nor the log learn a secret from an error', async (t) => {
  const key = 'my-own-secret-key'
  const header = 'another-secret-of-ours'
  const leak = `key ${key}, header ${header}, Bearer abc.def, sk-proj-12345678****wxyz, http://me:pass@host/`
  const check = (t: Test, { logged }: TestRun, error: GatewayError) => {
    for (const secret of [key, header, 'abc.def', '12345678', 'me:pass']) {
      t.notOk(error.message.includes(secret), `${secret} is not in the message`)
      t.notOk(JSON.stringify(logged).includes(secret), `${secret} is not in the log`)
      t.notOk(JSON.stringify(error.details).includes(secret))
    }
    t.match(error.message, /\[redacted\]/)
    t.ok(error.message.length < 300)
  }
  const options = { apiKey: key, headers: { 'x-more': header } }
  const long = `${leak}${'. '.repeat(500)}`
  t.test('that comes instead of an answer', async (t) => {
    const refused = await run(
      t,
      (response) => void response.writeHead(400).end(JSON.stringify({ error: { message: long } })),
      options,
    )
    check(t, refused, await failed(refused))
  })
  t.test('that comes in the middle of one', async (t) => {
    const broken = await run(t, streaming({ error: { message: long } }), options)
    check(t, broken, await failed(broken))
  })
  t.test('that makes a stream malformed', async (t) => {
    const broken = await run(t, streaming(long), options)
    t.equal((await failed(broken)).message, 'The model provider sent a malformed answer.')
    t.match(broken.logged, [['warn', { data: /^key \[redacted\], header \[redacted\]/ }]])
  })
  t.test('that is no JSON is not sent on at all', async (t) => {
    const page = await run(t, (response) => void response.writeHead(503).end('<html>inside</html>'), options)
    t.equal((await failed(page)).message, 'The model provider cannot answer now (HTTP 503)')
    t.match(page.logged, [['warn', { status: 503, body: '<html>inside</html>' }]])
  })
})

t.test('of an endless error only the start is read', async (t) => {
  const started = await run(t, (response) => {
    response.writeHead(500)
    const more = () => {
      while (response.write('x'.repeat(16_384)));
      response.once('drain', more)
    }
    more()
  })
  t.match(await failed(started), { code: 'UNAVAILABLE' })
})

t.test('connections serve run after run', async (t) => {
  const endpoint = await startEndpoint(t, (request, response) =>
    streaming(chunk('ok', 'stop'), '[DONE]')(response, request),
  )
  const { event, context } = createTestRun({ content: 'hi' })
  const agent = createOpenAiAgent(
    { baseUrl: endpoint.baseUrl, model: 'm' },
    { name: 'helper', log: context.log, baseDir: '/', env: {} },
  )
  for (let runs = 0; runs < 5; runs++) await agent.run(event, context)
  // A run that follows at once may find the connection not free yet, and opens a second one.
  t.ok(endpoint.connections() <= 2, `${endpoint.connections()} connections`)
})
