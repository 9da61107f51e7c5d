import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { startApp } from '../helpers/app.js'
import { captureLog } from '../helpers/log.js'
import { startScripted } from '../helpers/scripted-agent.js'
import { until } from '../helpers/until.js'

const TINY = { overload: { maxRssBytes: 1, sampleIntervalMs: 10, collectAfterMs: 3_600_000 } }

async function metric(app: FastifyInstance, line: string): Promise<string | undefined> {
  const { body } = await app.inject('/metrics')
  const found = body.split('\n').find((text) => text.startsWith(`${line} `))
  return found?.slice(line.length + 1)
}

/** Says that memory is past its bound, or no more, whatever is measured. */
function pretend(app: FastifyInstance, over: 'heap' | null): void {
  Object.defineProperty(app.overload.memory, 'over', { get: () => over, set: () => {}, configurable: true })
}

t.test('past the watermark new events are refused; what waits, control and the rest go on', async (t) => {
  const { app, connect, agent, url } = await startScripted(t)
  const socket = await connect()
  const send = (content: string) => socket.call('sessions.send', { content }, 'web:1')
  await send('runs')
  await send('waits')
  pretend(app, 'heap')
  const refused = { code: 'UNAVAILABLE', retryable: true, details: { reason: 'memory' } }
  const error = await socket.refused('sessions.send', { content: 'no' }, 'web:2')
  t.match(error, refused)
  t.ok(error.retryAfterMs >= 1_000)
  t.match(await socket.refused('events.publish', { type: 'user.command', payload: {} }, 'web:2'), refused)
  t.equal((await fetch(`${url}/ready`)).status, 503)
  t.equal(await metric(app, 'gateway_ready'), '0')
  t.equal((await fetch(`${url}/live`)).status, 200)
  t.match(await socket.call('gateway.health'), {
    status: 'failing',
    checks: { memory: { status: 'failing' } },
  })
  t.match(await socket.call('lanes.get', {}, 'web:1'), { waiting: 1 })
  t.match(await socket.call('lanes.pause', {}, 'web:1'), { paused: true })
  await socket.call('lanes.resume', {}, 'web:1')
  t.same(await socket.call('deadLetters.list'), { deadLetters: [], nextCursor: null })
  agent.runs[0]!.reply()
  await agent.begun(2)
  t.match(await socket.call('agent.abort', { reason: 'enough' }, 'web:1'), { aborted: [/^run_/] })
  t.equal(await metric(app, 'gateway_lane_refusals_total{reason="memory"}'), '2')
  t.equal(await metric(app, 'gateway_memory_over_bound{bound="heap"}'), '1')
  t.equal(await metric(app, 'gateway_memory_over_bound{bound="rss"}'), '0')

  pretend(app, null)
  t.equal((await fetch(`${url}/ready`)).status, 200)
  t.equal(await metric(app, 'gateway_ready'), '1')
  t.ok(await send('again'))
})

t.test('a repeated send is answered past the watermark, too', async (t) => {
  const { app, connect } = await startScripted(t)
  const socket = await connect()
  const params = { content: 'once', idempotencyKey: 'k' }
  const { runId } = await socket.call('sessions.send', params, 'web:1')
  pretend(app, 'heap')
  t.match(await socket.call('sessions.send', params, 'web:1'), { runId, duplicate: true })
  t.equal(app.lanes.dispatcher.refusals.memory, 0)
})

t.test('past the watermark a WebSocket is refused at its upgrade, plain HTTP is not', async (t) => {
  const { logger, lines } = captureLog()
  const { app, url, open } = await startApp(t, TINY, { logger })
  await until(() => app.overload.memory.over !== null)
  const upgrade = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' }
  const response = await app.inject({
    url: '/ws',
    headers: { ...upgrade, 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' },
  })
  t.equal(response.statusCode, 503)
  t.match(response.headers, { 'retry-after': '5', connection: 'close' })
  t.match(response.json(), {
    error: { code: 'UNAVAILABLE', details: { reason: 'memory' }, retryAfterMs: 5_000 },
  })
  await t.rejects(open(), { message: 'Unexpected server response: 503' })
  t.equal((await fetch(url)).status, 200)
  t.equal(await metric(app, 'gateway_http_refused_total{kind="memory"}'), '2')
  t.equal(await metric(app, 'gateway_memory_bound_bytes{bound="rss"}'), '1')
  t.equal(lines.filter(({ msg }) => msg.startsWith('memory is past a bound')).length, 1, 'logged once')
})

t.test('past the watermark slow readers are closed, and the others stay', async (t) => {
  const { app, connect } = await startApp(t, {
    connection: { maxBufferedBytes: 16_384_000 },
    overload: { sampleIntervalMs: 10 },
  })
  const [slow, healthy] = [await connect(), await connect()]
  slow.socket.pause()
  const text = 'x'.repeat(100_000)
  const connections = [...app.connections]
  while (!connections.some(({ outbox }) => outbox.congested)) {
    const payload = JSON.stringify({ runId: 'run_x', text })
    app.events.broadcast({ event: 'session.message', sessionKey: 'a', at: 0, payload, seq: 0 })
    await healthy.call('gateway.ping')
  }
  t.equal(app.connections.size, 2)
  pretend(app, 'heap')
  await until(() => app.connections.stats.slowConsumers === 1)
  slow.socket.resume()
  t.equal((await slow.closed).code, 4409)
  t.ok(await healthy.call('gateway.ping'))
})

t.test('the delay of the event loop is a check and a metric', async (t) => {
  const { app } = await startApp(t, { overload: { maxLoopDelayMs: 200, loopDelayWindowMs: 100 } })
  await until(() => app.overload.loopDelay.worstMs > 0)
  for (const end = performance.now() + 500; performance.now() < end; );
  await until(() => app.overload.loopDelay.worstMs > 400)
  t.match(app.health.report().checks.eventLoop, { status: 'failing', message: /^blocked for \d+ ms/ })
  t.ok(Number(await metric(app, 'gateway_event_loop_delay_seconds{statistic="max"}')) > 0.4)
  for (const statistic of ['p50', 'p99']) {
    t.ok(await metric(app, `gateway_event_loop_delay_seconds{statistic="${statistic}"}`))
  }
  await until(() => app.health.report().checks.eventLoop!.status === 'ok')
})
