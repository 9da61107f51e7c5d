import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { chunk, EVENT_STREAM, sse, startAimock } from '../helpers/aimock.js'
import type { Frame } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { history, startFaulty } from './harness.js'

/** An endpoint that does with each message what its first word says. */
async function startWild(t: Test) {
  const open = new Set<ServerResponse>()
  const server = createServer(async (request, response) => {
    open.add(response)
    response.once('close', () => open.delete(response))
    let body = ''
    for await (const text of request) body += text
    const { messages } = JSON.parse(body) as { messages: { content: string }[] }
    behave(messages.at(-1)!.content, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, open }
}

function behave(what: string, response: ServerResponse): void {
  if (what === 'silent') return
  if (what === 'refuse') {
    response.socket!.resetAndDestroy()
    return
  }
  response.writeHead(200, EVENT_STREAM)
  if (what === 'stall') response.write(sse(chunk('half an ')))
  else if (what === 'reset') response.write(sse(chunk('half an ')), () => response.socket!.resetAndDestroy())
  else if (what === 'endless') pour(response, sse(chunk('x'.repeat(10_000))))
  else if (what === 'comments') pour(response, `: ${'x'.repeat(10_000)}\n\n`)
  else if (what === 'line') pour(response, 'x'.repeat(65_536))
  else response.end(sse(chunk(`answer to ${what}`), chunk(null, 'stop'), '[DONE]'))
}

/** The same again until nobody wants it. */
function pour(response: ServerResponse, text: string): void {
  const more = () => {
    while (!response.destroyed && response.write(text)) {}
  }
  response.on('drain', more)
  more()
}

t.test(
  'a provider that is silent, stalls, breaks off or never ends: its run fails, everything else goes on',
  async (t) => {
    const wild = await startWild(t)
    const provider = {
      type: 'openai',
      baseUrl: wild.baseUrl,
      model: 'm',
      maxResponseBytes: 4_000_000,
      retry: { attempts: 2, backoffMs: 1 },
    }
    const gateway = await startFaulty(t, {
      config: {
        defaultAgent: 'wild',
        agents: {
          wild: provider,
          quiet: { ...provider, responseTimeoutMs: 1_000, stallTimeoutMs: 1_000 },
        },
        routing: [{ channel: 'quiet', agent: 'quiet' }],
      },
    })
    const polite = await gateway.polite()
    // One good answer first: what a connection to the provider costs is there before.
    const first = await gateway.connect()
    const ask = (content: string, key: string) => first.call('sessions.send', { content, wait: true }, key)
    t.match((await ask('ok', 'wild:ok')).outcome, { message: { content: 'answer to ok' } })
    const restored = await gateway.restored()
    const expected: Record<string, [code: string, retryable: boolean]> = {
      silent: ['AGENT_TIMEOUT', true],
      refuse: ['UNAVAILABLE', true],
      stall: ['AGENT_TIMEOUT', true],
      reset: ['UNAVAILABLE', true],
      endless: ['UNAVAILABLE', false],
      comments: ['UNAVAILABLE', false],
      line: ['UNAVAILABLE', false],
    }
    const asking = Object.keys(expected).map(async (what) => {
      const key = `${expected[what]![0] === 'AGENT_TIMEOUT' ? 'quiet' : 'wild'}:${what}`
      const [bad, next] = await Promise.all([ask(what, key), ask('next', key)])
      return { what, bad: bad.outcome, next: next.outcome, key }
    })
    for (const { what, bad, next, key } of await polite.during(Promise.all(asking))) {
      const [code, retryable] = expected[what]!
      t.match(bad, { status: 'failed', message: null, error: { code, retryable } }, what)
      t.match(next, { status: 'completed', message: { content: 'answer to next' } })
      const { deadLetters } = await first.call('deadLetters.list', {}, key)
      t.match(deadLetters, [{ attempts: retryable ? 2 : 1 }])
      t.notMatch(JSON.stringify(await history(first, key)), /half an/)
    }
    await until(() => wild.open.size === 0)
    t.pass('no request to the provider is left open')
    await polite.verify(t)
    await restored(t)
  },
)

t.test(
  'a provider that drops, mangles, limits and disconnects: each message is answered once, in order',
  async (t) => {
    const mock = await startAimock(t, {
      chunkSize: 4,
      chaos: { dropRate: 0.15, malformedRate: 0.15, disconnectRate: 0.15, rateLimitRate: 0.15 },
    })
    mock.onMessage(/./, { content: 'a calm answer' })
    const gateway = await startFaulty(t, {
      config: {
        defaultAgent: 'chaos',
        agents: {
          chaos: {
            type: 'openai',
            baseUrl: `${mock.url}/v1`,
            model: 'm',
            retry: { attempts: 40, backoffMs: 1, maxBackoffMs: 5 },
          },
        },
      },
    })
    const polite = await gateway.polite()
    const socket = await gateway.connect()
    const keys = Array.from({ length: 8 }, (_, i) => `chaos:${i}`)
    const contents = Array.from({ length: 8 }, (_, i) => `m${i}`)
    const asking = keys.flatMap((key) =>
      contents.map((content) => socket.call('sessions.send', { content, wait: true }, key)),
    )
    for (const { outcome } of await polite.during(Promise.all(asking)))
      t.match(outcome, { status: 'completed', message: { content: 'a calm answer' } })
    for (const key of keys) {
      const messages = await history(socket, key)
      const answers = messages.filter(({ role }) => role === 'assistant')
      t.same(
        messages.filter(({ role }) => role === 'user').map(({ content }) => content),
        contents,
      )
      t.same(
        answers.map(({ eventId }) => eventId),
        messages.filter(({ role }) => role === 'user').map(({ eventId }) => eventId),
        'one answer each, in the order of the questions',
      )
    }
    const retried = socket.frames.filter(({ event }: Frame) => event === 'agent.retrying').length
    t.ok(retried > 5, `${retried} tries failed`)
    await polite.verify(t)
  },
)
