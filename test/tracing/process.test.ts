import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startAgentAndReceiver } from '../helpers/agent-and-receiver.js'
import { startGateway, temporaryHome } from '../helpers/gateway-process.js'
import type { LogLine } from '../helpers/log.js'
import type { SpanLine } from '../helpers/otel-sdk.js'
import { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

/** This file is compiled to dist/test/tracing. */
const SDK = new URL('../helpers/otel-sdk.js', import.meta.url).href
const EXAMPLE = new URL('../../../examples/opentelemetry/otel.mjs', import.meta.url).href

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const TRACEPARENT = `00-${TRACE}-00f067aa0ba902b7-01`

const gatewayEnv = (config: { agents: object; connectors: object; defaultAgent: string }) => ({
  LURKBOT_GATEWAY__LOG__FORMAT: 'json',
  LURKBOT_GATEWAY__AGENTS: JSON.stringify(config.agents),
  LURKBOT_GATEWAY__CONNECTORS: JSON.stringify(config.connectors),
  LURKBOT_GATEWAY__DEFAULT_AGENT: config.defaultAgent,
  LURKBOT_GATEWAY__LANES__RETRY__BACKOFF_MS: '1',
  LURKBOT_GATEWAY__OVERLOAD__MAX_LOOP_DELAY_MS: '60000',
})

t.test('a trace goes on where the process died, up to the platform', async (t) => {
  let isDead = false
  let tries = 0
  const there = await startAgentAndReceiver(t, (response) => {
    if (!isDead) return
    const status = tries++ === 0 ? 503 : 200
    response.writeHead(status, { 'content-type': 'application/json' }).end('{"content":"Hello."}')
  })
  const { home, remove } = temporaryHome()
  const file = join(home, 'spans.ndjson')
  const env = { ...gatewayEnv(there.config), NODE_OPTIONS: `--import ${SDK}`, OTEL_TEST_FILE: file }
  const first = await startGateway({ home, env })
  t.teardown(async () => {
    await first.kill9()
    remove()
  })
  const socket = await TestSocket.greeted(t, first.wsUrl)
  socket.send({
    type: 'request',
    id: 'r',
    method: 'events.publish',
    params: { type: 'message.received', source: 'desk', payload: { content: 'hi' } },
    sessionKey: 'desk:1:main',
    traceparent: TRACEPARENT,
  })
  const [asked] = await there.at('/agent')
  await first.kill9()
  isDead = true
  const second = await startGateway({ home, env })
  t.teardown(() => second.kill9())

  const spans = (): SpanLine[] =>
    existsSync(file)
      ? readFileSync(file, 'utf8')
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line))
      : []
  await until(() => spans().some(({ name }) => name === 'delivery.send'))
  const one = (name: string) => spans().find((span) => span.name === name)!
  const [failed, run] = spans().filter(({ name }) => name === 'agent.run')
  t.ok(spans().every(({ traceId }) => traceId === TRACE))
  t.equal(one('events.publish').parent, '00f067aa0ba902b7')
  t.equal(one('event.accept').parent, one('events.publish').spanId)
  t.equal(failed!.parent, one('event.accept').spanId)
  t.equal(run!.parent, one('event.accept').spanId)
  t.equal(one('delivery.send').parent, run!.spanId)
  const tried = await there.at('/agent', 3)
  t.strictSame(
    tried.slice(1).map(({ headers }) => headers.traceparent),
    [failed, run].map((span) => `00-${TRACE}-${span!.spanId}-01`),
  )
  t.match(asked!.headers.traceparent, TRACE, 'the try that the death ended is nobody’s parent')
  const [said] = await there.at('/platform')
  t.equal(said!.headers.traceparent, `00-${TRACE}-${one('delivery.send').spanId}-01`)
  const line = second
    .output()
    .split('\n')
    .filter((text) => text.startsWith('{'))
    .map((text) => JSON.parse(text) as LogLine)
    .find(({ msg }) => msg === 'agent failed')
  t.match(line, { trace_id: TRACE, span_id: failed!.spanId })
})

t.test('the example prints what the gateway does, to the last span', async (t) => {
  const { home, remove } = temporaryHome()
  const env = { NODE_OPTIONS: `--import ${EXAMPLE}`, LURKBOT_GATEWAY__LOG__FORMAT: 'json' }
  const gateway = await startGateway({ home, env })
  t.teardown(async () => {
    await gateway.kill9()
    remove()
  })
  const socket = await TestSocket.greeted(t, gateway.wsUrl)
  await socket.call('sessions.send', { content: 'hi', wait: true }, 'web:1:main')
  t.match(await gateway.stop(), { code: 0 })
  for (const name of ['sessions.send', 'event.accept', 'agent.run']) {
    t.match(gateway.output(), `name: '${name}'`)
  }
})
