import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { Webhook } from 'standardwebhooks'
import t, { type Test } from 'tap'
import type { HistoryMessage } from '../../src/agents/agent.js'
import { createHttpAgent } from '../../src/agents/http.js'
import { GatewayError, type JsonObject } from '../../src/protocol/index.js'
import { agentSuite, createTestRun } from '../../src/testing/agent-suite.js'

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
const NDJSON = { 'content-type': 'application/x-ndjson' }
const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' }

interface Received {
  readonly headers: IncomingHttpHeaders
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: what was sent is what these tests are about
  readonly body: any
}

/** A receiver on loopback; its connections are destroyed with the test. */
async function startReceiver(t: Test, handle: (response: ServerResponse, received: Received) => void) {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    const body = await text(request)
    const one = { headers: request.headers, text: body, body: JSON.parse(body) }
    received.push(one)
    handle(response, one)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/run`, received }
}

function agentAt(url: string, options: JsonObject = {}, env: NodeJS.ProcessEnv = {}) {
  const { context, logged } = createTestRun()
  const agent = createHttpAgent({ url, ...options }, { name: 'mine', log: context.log, baseDir: '/', env })
  return Object.assign(agent, { logged })
}

const lines = (...values: object[]) => values.map((value) => `${JSON.stringify(value)}\n`).join('')

/** Runs once against a receiver that answers by `handle`. */
async function run(
  t: Test,
  handle: (response: ServerResponse, received: Received) => void,
  options: JsonObject = {},
  given: Parameters<typeof createTestRun>[0] = {},
) {
  const { url, received } = await startReceiver(t, handle)
  const test = createTestRun({ content: 'hi', ...given })
  return { ...test, received, reply: agentAt(url, options).run(test.event, test.context) }
}

async function failed({ reply }: { reply: Promise<unknown> }): Promise<GatewayError> {
  const error: unknown = await reply.then(
    () => new Error('it answered'),
    (error) => error,
  )
  if (error instanceof GatewayError) return error
  throw error
}

t.test('behaves as every agent does', async (t) => {
  agentSuite(
    (name, body) => t.test(name, () => body()),
    async () => {
      const { url } = await startReceiver(t, (response, { body }) => {
        const { content } = body.event.payload
        if (content === 'hang') return
        if (content === 'fail') return void response.writeHead(500).end('{"error":"no"}')
        response.writeHead(200, NDJSON).write(lines({ type: 'delta', text: 'Hello, ' }))
        response.end(lines({ type: 'delta', text: 'you!' }, { type: 'final' }))
      })
      const ask = { content: 'ask', answer: 'Hello, you!', streams: true }
      return { agent: agentAt(url), ask, hang: 'hang', fail: 'fail' }
    },
  )
})

t.test('the receiver is sent the run, signed, with an id that stays', async (t) => {
  const history = [{ role: 'user', content: 'earlier' } as HistoryMessage]
  const { url, received } = await startReceiver(t, (response) => response.writeHead(204).end())
  const agent = agentAt(url, { secretEnv: 'S', headers: { 'X-Tenant': 'a' } }, { S: `${SECRET}\n` })
  const { event, context } = createTestRun({ content: 'now', history })
  t.strictSame(await agent.run(event, context), { content: '' })
  await agent.run(event, { ...context, attempt: 2 })
  const [first, second] = received as [Received, Received]
  const { session, events } = context
  t.strictSame(first.body, {
    type: 'run',
    runId: 'run-1',
    attempt: 1,
    event,
    events,
    session,
    history,
  })
  t.match(first.headers, {
    'webhook-id': event.id,
    'idempotency-key': event.id,
    'content-type': 'application/json',
    'x-tenant': 'a',
    accept: 'application/json, text/plain, application/x-ndjson, text/event-stream',
  })
  t.match(second, { headers: { 'webhook-id': event.id }, body: { attempt: 2 } })
  for (const { text, headers } of received)
    new Webhook(SECRET).verify(text, headers as Record<string, string>)
})

t.test('without a secret nothing is signed; a secret that is not set lets runs fail', async (t) => {
  const { url, received } = await startReceiver(t, (response) => response.writeHead(204).end())
  const { event, context } = createTestRun({ content: 'x', history: [{ content: 'long' } as HistoryMessage] })
  await agentAt(url, { historyLimit: 0 }).run(event, context)
  t.notOk('webhook-signature' in received[0]!.headers)
  t.strictSame(received[0]!.body.history, [])
  await agentAt(url, { historyMaxChars: 3 }).run(event, context)
  t.strictSame(received[1]!.body.history, [])
  const unset = agentAt(url, { secretEnv: 'S' })
  t.match(unset.logged, [['warn', { agent: 'mine', variable: 'S' }, /is not set/]])
  await t.rejects(unset.run(event, context), { code: 'NOT_LINKED', retryable: false })
  t.equal(received.length, 2)
})

t.test('an answer may be', async (t) => {
  const sse = (...values: object[]) => values.map((value) => `data: ${JSON.stringify(value)}\n\n`).join('')
  const stream = [
    { type: 'reasoning', text: 'Hm.' },
    { type: 'tool', callId: 'c', title: 'look', status: 'completed', output: [1] },
    { type: 'delta', text: 'on' },
    { type: 'delta', text: 'e ü' },
    { type: 'something-newer' },
    { type: 'usage', usage: { tokens: 7 } },
  ]
  const streamed = { deltas: ['on', 'e ü'], reports: stream.slice(0, 2) }
  const cases: [name: string, type: string, body: string, expected: object][] = [
    [
      'one JSON object',
      'application/json',
      '{"content":"one","metadata":{"a":1},"usage":{"tokens":7}}',
      { reply: { content: 'one', metadata: { a: 1 }, usage: { tokens: 7 } } },
    ],
    ['text', 'Text/Plain;charset=utf-8', 'one\ntwo', { reply: { content: 'one\ntwo' } }],
    ['empty', 'application/json', '{"content":""}', { reply: { content: '' } }],
    [
      'NDJSON',
      'application/x-ndjson',
      `${lines(...stream, { type: 'final' })}\r\nwhatever follows\n`,
      { ...streamed, reply: { content: 'one ü', usage: { tokens: 7 } } },
    ],
    [
      'an event stream',
      'text/event-stream',
      `: beat\n\n${sse(...stream, { type: 'final', content: 'two', metadata: { a: 1 }, usage: { tokens: 8 } })}`,
      { ...streamed, reply: { content: 'two', metadata: { a: 1 }, usage: { tokens: 8 } } },
    ],
  ]
  for (const [name, type, body, { reply: expected, deltas = [], reports = [] }] of cases as [
    string,
    string,
    string,
    { reply: object; deltas?: string[]; reports?: object[] },
  ][]) {
    await t.test(name, async (t) => {
      const started = await run(t, async (response) => {
        response.writeHead(200, { 'content-type': type })
        // In pieces of a few bytes, also inside characters.
        const bytes = Buffer.from(body)
        for (let at = 0; at < bytes.length; at += 7) response.write(bytes.subarray(at, at + 7))
        response.end()
      })
      t.strictSame(JSON.parse(JSON.stringify(await started.reply)), expected)
      t.strictSame(started.deltas, deltas)
      t.strictSame(started.reports, reports)
    })
  }
})

t.test('an answer that is whole need not wait for the connection to end', async (t) => {
  const { reply } = await run(t, (response) => {
    response.writeHead(200, NDJSON).write(lines({ type: 'final', content: 'done' }))
  })
  t.match(await reply, { content: 'done' })
})

t.test(
  'an answer that is cut is tried again, where the receiver knows the request when it comes again',
  async (t) => {
    const cut = (response: ServerResponse) =>
      response.writeHead(200, NDJSON).write(lines({ type: 'delta', text: 'a' }), () => response.destroy())
    const ended = (response: ServerResponse) =>
      response.writeHead(200, NDJSON).end(lines({ type: 'delta', text: 'a' }))
    for (const handle of [cut, ended]) {
      const expected = { code: 'UNAVAILABLE', message: 'The receiver broke off in the middle of its answer.' }
      t.match(await failed(await run(t, handle)), { ...expected, retryable: true })
      t.match(await failed(await run(t, handle, { idempotent: false })), { ...expected, retryable: false })
    }
  },
)

t.test('what is no answer fails, and is not sent to clients', async (t) => {
  const cases: [type: string, body: string, message: RegExp][] = [
    ['application/json', '{"content":', /malformed/],
    ['application/json', '{"text":"x"}', /malformed/],
    ['application/json', '[]', /malformed/],
    ['application/x-ndjson', 'hello\n', /malformed/],
    ['application/x-ndjson', '{"type":"delta"}\n', /malformed/],
    ['application/x-ndjson', '{}\n', /malformed/],
    ['text/html', '<html>', /did not answer with JSON, text, NDJSON or an event stream \(HTTP 200\)/],
  ]
  for (const [type, body, message] of cases) {
    const started = await run(t, (response) => response.writeHead(200, { 'content-type': type }).end(body))
    t.match(await failed(started), { code: 'UNAVAILABLE', retryable: true, message }, body)
  }
})

t.test('the receiver may say itself why it cannot answer', async (t) => {
  const saying = (error: object, options: JsonObject = {}) =>
    run(
      t,
      (response) => response.writeHead(200, NDJSON).end(lines({ type: 'error', message: 'no', ...error })),
      options,
    )
  const message = 'The receiver could not answer: no'
  t.match(await failed(await saying({})), { code: 'UNAVAILABLE', retryable: true, message })
  t.match(await failed(await saying({ retryable: false })), { code: 'UNAVAILABLE', retryable: false })
  t.match(await failed(await saying({ code: 'FORBIDDEN' })), { code: 'FORBIDDEN', retryable: false })
  t.match(await failed(await saying({ code: 'odd' })), { code: 'UNAVAILABLE' })
  t.match(await failed(await saying({}, { idempotent: false })), { retryable: false })
  t.match(await failed(await saying({ retryable: true }, { idempotent: false })), { retryable: true })
})

t.test('by its status it is tried again', async (t) => {
  const cases: [status: number, headers: object, code: string, idempotent: boolean, otherwise: boolean][] = [
    [429, {}, 'UNAVAILABLE', true, true],
    [503, { 'retry-after': '2' }, 'UNAVAILABLE', true, true],
    [503, {}, 'UNAVAILABLE', true, false],
    [500, {}, 'UNAVAILABLE', true, false],
    [502, {}, 'UNAVAILABLE', true, false],
    [400, {}, 'INVALID_REQUEST', false, false],
    [401, {}, 'NOT_LINKED', false, false],
    [404, {}, 'NOT_LINKED', false, false],
  ]
  for (const [status, headers, code, idempotent, otherwise] of cases) {
    const handle = (response: ServerResponse) =>
      response.writeHead(status, { ...headers }).end('{"error":"why"}')
    const error = await failed(await run(t, handle))
    t.match(error, { code, retryable: idempotent, details: { status } }, `${status}`)
    if ('retry-after' in headers) t.equal(error.retryAfterMs, 2_000)
    t.match(
      await failed(await run(t, handle, { idempotent: false })),
      { code, retryable: otherwise },
      `${status}`,
    )
  }
})

t.test('nobody listens: tried again in any case', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const { event, context } = createTestRun({ content: 'hi' })
  const reply = agentAt(`http://127.0.0.1:${port}`, { idempotent: false }).run(event, context)
  t.match(await failed({ reply }), { code: 'UNAVAILABLE', retryable: true, message: /ECONNREFUSED/ })
})

t.test('a redirect is not followed: the headers would go along', async (t) => {
  const started = await run(t, (response) => response.writeHead(307, { location: '/elsewhere' }).end())
  t.match(await failed(started), { code: 'NOT_LINKED', retryable: false, details: { status: 307 } })
  t.equal(started.received.length, 1)
})

t.test('silence ends in AGENT_TIMEOUT', async (t) => {
  const expected = {
    code: 'AGENT_TIMEOUT',
    retryable: true,
    message: 'The receiver was silent for too long.',
  }
  t.match(await failed(await run(t, () => {}, { responseTimeoutMs: 20 })), expected)
  const stalls = (response: ServerResponse) => void response.writeHead(200, JSON_TYPE).write('{"content":')
  t.match(await failed(await run(t, stalls, { stallTimeoutMs: 20 })), expected)
})

t.test('an answer past maxResponseBytes is not tried again', async (t) => {
  const handle = (response: ServerResponse) =>
    response.writeHead(200, JSON_TYPE).end(JSON.stringify({ content: 'x'.repeat(2_000) }))
  const error = await failed(await run(t, handle, { maxResponseBytes: 1024 }))
  t.match(error, { code: 'UNAVAILABLE', retryable: false, message: /longer than the 1024 bytes/ })
})

t.test('stopping a run in the middle of its answer closes the connection', async (t) => {
  const control = new AbortController()
  let closed: Promise<unknown> = Promise.resolve()
  const started = await run(
    t,
    (response) => {
      closed = once(response, 'close')
      response.writeHead(200, NDJSON).write(lines({ type: 'delta', text: 'a' }))
    },
    {},
    { signal: control.signal, onDelta: () => control.abort() },
  )
  t.match(await failed(started), { code: 'CANCELLED' })
  await closed
})

t.test('neither clients nor the log learn a secret from an error', async (t) => {
  const header = 'a-secret-of-ours'
  const leak = `${SECRET} ${header}`
  const options = { secret: SECRET, headers: { 'x-key': header } }
  const handlers: ((response: ServerResponse) => void)[] = [
    (response) => void response.writeHead(400).end(JSON.stringify({ error: leak })),
    (response) =>
      void response.writeHead(200, NDJSON).end(lines({ type: 'error', message: leak, code: leak })),
    (response) => void response.writeHead(200, NDJSON).end(leak),
  ]
  for (const handle of handlers) {
    const started = await run(t, handle, options)
    const { message, details } = await failed(started)
    const all = JSON.stringify([message, details, started.logged])
    t.match(all, /\[redacted\]/)
    t.notOk(all.includes(SECRET) || all.includes(header), all)
  }
})
