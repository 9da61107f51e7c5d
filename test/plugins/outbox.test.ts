import t from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import { sampleDelivery } from '../../src/testing/journal-samples.js'
import { startWithChannel } from '../helpers/channel-app.js'
import { captureLog } from '../helpers/log.js'
import { silence } from '../helpers/scripted-channel.js'

const read = async (url: string) => (await fetch(`${url}/metrics`)).text()
const metric = (text: string, series: string) => {
  const line = text.split('\n').find((line) => line.startsWith(`${series} `))
  return line === undefined ? null : Number(line.slice(series.length + 1))
}

t.test('metrics tell what waits, what was delivered, and what is dead', async (t) => {
  const { url, say, channel, connect } = await startWithChannel(t, {}, { onRun: (run) => run.reply() })
  const socket = await connect()
  const before = await read(url)
  t.equal(metric(before, 'gateway_delivery_dead'), 0)
  t.equal(metric(before, 'gateway_delivery_dead_oldest_age_seconds'), 0)
  t.equal(metric(before, 'gateway_deliveries_pending{channel="chat"}'), 0)
  await say('a')
  await socket.event('delivery.sent')
  channel.onSend = () => {
    throw new GatewayError('FORBIDDEN', 'no')
  }
  await say('b')
  await socket.event('delivery.failed')
  channel.onSend = silence
  await say('c')
  await channel.wasAsked(3)
  const after = await read(url)
  const deliveries = (outcome: string) =>
    metric(after, `gateway_deliveries_total{channel="chat",outcome="${outcome}"}`)
  t.strictSame([deliveries('delivered'), deliveries('dead'), deliveries('retried')], [1, 1, null])
  t.equal(metric(after, 'gateway_deliveries_pending{channel="chat"}'), 1)
  t.equal(metric(after, 'gateway_delivery_dead'), 1)
  t.ok(metric(after, 'gateway_delivery_dead_oldest_age_seconds')! >= 0)
  t.equal(metric(after, 'gateway_delivery_duration_seconds_count{channel="chat"}'), 1)
  t.equal(metric(after, 'gateway_events_total{type="message.received",source="chat"}'), 3)
})

t.test(
  'what waits for a channel that is no more is told in health and log, and nowhere by name',
  async (t) => {
    const config = { journal: { type: 'sqlite' as const } }
    const first = await startWithChannel(t, config)
    const lost = sampleDelivery('x', { channel: 'former', sessionKey: 'former:1:main' })
    await first.app.journal.enqueue([lost])
    await first.app.close()
    const { logger, lines } = captureLog()
    const { app, url } = await startWithChannel(t, config, { home: first.home, logger })
    const message = /not configured: former \(1\)/
    t.match(await (await fetch(`${url}/health`)).json(), {
      status: 'degraded',
      checks: { outbox: { status: 'degraded', message } },
    })
    t.equal(lines.filter(({ channel }) => channel === 'former').length, 1)
    const metrics = await read(url)
    t.equal(metric(metrics, 'gateway_deliveries_unknown_channel'), 1)
    t.notMatch(metrics, /former/)
    t.equal((await app.journal.pendingDeliveries()).length, 1)
  },
)

t.test('at a stop, the last answer of a run that drains is still delivered', async (t) => {
  const { app, channel, agent, say } = await startWithChannel(t, { shutdown: { drainTimeoutMs: 5_000 } })
  await say('hello')
  const run = await agent.next()
  const closed = app.close()
  run.reply('goodbye')
  await closed
  t.strictSame(channel.texts, ['goodbye'])
})

t.test('a platform that says nothing does not hold a stop up', async (t) => {
  const { logger, lines } = captureLog()
  const overrides = { channels: { delivery: { stopGraceMs: 10 } } }
  const { app, channel, say } = await startWithChannel(t, overrides, { logger, onRun: (run) => run.reply() })
  channel.onSend = () => new Promise(() => {})
  await say('hello')
  await channel.wasAsked(1)
  await app.close()
  t.notOk(lines.some(({ msg }) => msg.includes('hangs')))
})
