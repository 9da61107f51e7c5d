import t from 'tap'
import type { IncomingMessage, Received } from '../../../src/connectors/connector.js'
import { createMqttConnector } from '../../../src/connectors/mqtt/mqtt.js'
import { GatewayError } from '../../../src/protocol/index.js'
import { connectorContext, hostOf } from '../../helpers/connector-host.js'
import { startMosquitto } from '../../helpers/mosquitto.js'
import { until } from '../../helpers/until.js'
import { ALICE, hear, hostAt, say } from './hosted.js'

const ACCEPTED: Received = { accepted: true, eventId: 'e', runId: 'r', duplicate: false }
const texts = (messages: readonly IncomingMessage[]) => messages.map(({ text }) => text)
const ids = (messages: readonly IncomingMessage[]) => messages.map(({ id }) => id)

t.test('acknowledges a message once the gateway has it, in order, and meanwhile goes on', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker, { clientId: 'bot' })
  const waiting = new Map<string, (received: Received) => void>()
  host.answer = ({ text }) => new Promise((resolve) => waiting.set(text, resolve))
  await host.start()
  const person = await broker.client(t)
  const got = await hear(person, 'lurkbot/alice/out')
  for (const text of ['one', 'two', 'three']) await say(person, text)
  await until(() => waiting.size === 3)
  waiting.get('three')!(ACCEPTED)
  waiting.get('two')!(ACCEPTED)
  await host.send(ALICE, 'while it waits')
  await until(() => got.length === 1)
  t.notMatch(broker.log, /Received PUBACK from bot/)
  waiting.get('one')!(ACCEPTED)
  await until(() => broker.log.match(/Received PUBACK from bot/g)?.length === 3)
  const acks = [...broker.log.matchAll(/Received PUBACK from bot \(Mid: (\d+), RC:0\)/g)].map(
    ([, mid]) => mid,
  )
  t.strictSame(acks, ['1', '2', '3'])
})

t.test('gets again what the gateway could not take, under the same ids, and nothing else', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker)
  host.answer = ({ text }) => {
    if (text === 'two') throw new GatewayError('UNAVAILABLE', 'The gateway stops.')
    return ACCEPTED
  }
  await host.start()
  const person = await broker.client(t)
  for (const text of ['one', 'two', 'two', 'three']) await say(person, text)
  await until(() => host.ended !== null)
  t.match(host.ended!.error, { code: 'UNAVAILABLE', message: 'The gateway could not take a message.' })
  const before = host.received.splice(0)

  host.answer = () => ACCEPTED
  await host.start()
  await until(() => host.received.length === 3)
  t.strictSame(texts(host.received), ['two', 'two', 'three'])
  const named = new Set(ids(host.received))
  t.equal(named.size, 3)
  for (const { id } of before.slice(1)) t.ok(named.has(id))
  await say(person, 'two')
  await until(() => host.received.length === 4)
  t.notOk(named.has(host.received[3]!.id), 'what is said once more is a message of its own')
})

t.test('throws away what the gateway will never take', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker, { clientId: 'bot' })
  host.answer = ({ text }) => {
    if (text === 'bad') throw new GatewayError('INVALID_REQUEST', 'Too long.')
    return ACCEPTED
  }
  await host.start()
  const person = await broker.client(t)
  await say(person, 'bad')
  await say(person, 'good')
  await until(() => /Received PUBACK from bot \(Mid: 2, RC:0\)/.test(broker.log))
  t.match(broker.log, /Received PUBACK from bot \(Mid: 1, RC:131\)/)
  t.ok(host.isConnected)
})

t.test('a message of QoS 0 that cannot be taken ends nothing', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker)
  host.answer = () => {
    throw new Error('no room')
  }
  await host.start()
  const person = await broker.client(t)
  await person.publishAsync('lurkbot/alice/in', 'hi', { qos: 0 })
  await until(() => host.received.length === 1)
  host.answer = () => ACCEPTED
  await say(person, 'again')
  await until(() => host.received.length === 2)
  t.ok(host.isConnected)
})

t.test('gets what was sent while it was away, but nothing that was retained before it came', async (t) => {
  const broker = await startMosquitto(t)
  const person = await broker.client(t)
  await person.publishAsync('lurkbot/alice/in', 'old', { qos: 1, retain: true })
  const host = hostAt(t, broker)
  await host.start()
  await host.stop()
  await say(person, 'one')
  await say(person, 'two')
  await host.start()
  await until(() => host.received.length === 2)
  t.strictSame(texts(host.received), ['one', 'two'])
})

t.test('no longer hears topics that are not configured any more', async (t) => {
  const broker = await startMosquitto(t)
  const clientId = 'bot'
  const before = hostAt(t, broker, { clientId, subscribe: ['lurkbot/+/in', 'other/+/in'] })
  await before.start()
  await before.stop()
  const context = connectorContext()
  const host = hostOf(t, createMqttConnector({ url: broker.url, clientId }, context))
  await host.start()
  const person = await broker.client(t)
  await person.publishAsync('other/bob/in', 'hi', { qos: 1 })
  await say(person, 'hello')
  await until(() => host.received.length === 1)
  t.strictSame(texts(host.received), ['hello'])
  t.match(context.logged, [['warn', { reason: /not subscribed to any more/ }]])
})

t.test('survives a broker that is killed and started again', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker)
  await host.start()
  await broker.kill()
  await until(() => host.ended !== null)
  t.match(host.ended!.error, { code: 'UNAVAILABLE', retryable: true })
  await t.rejects(host.send(ALICE, 'hi'), { code: 'UNAVAILABLE', retryable: true })
  await t.rejects(host.start(), { code: 'UNAVAILABLE', message: /ECONNREFUSED/, retryable: true })
  await broker.start()
  await host.start()
  const person = await broker.client(t)
  const got = await hear(person, 'lurkbot/alice/out')
  await host.send(ALICE, 'back')
  await until(() => got.length === 1)
})

t.test('gets a message once more that it had not acknowledged when the broker was restarted', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker)
  host.answer = () => new Promise(() => {})
  await host.start()
  const person = await broker.client(t)
  await say(person, 'hi')
  await until(() => host.received.length === 1)
  await broker.kill('SIGTERM')
  await until(() => host.ended !== null)
  host.answer = () => ACCEPTED
  await broker.start()
  await host.start()
  await until(() => host.received.length === 2)
  t.equal(host.received[0]!.id, host.received[1]!.id)
})

t.test('acknowledges when it is stopped what the gateway has at that moment', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker, { clientId: 'bot' })
  let take = (_received: Received) => {}
  host.answer = () =>
    new Promise((resolve) => {
      take = resolve
    })
  await host.start()
  await say(await broker.client(t), 'hi')
  await until(() => host.received.length === 1)
  const stopped = host.stop()
  take(ACCEPTED)
  await stopped
  t.strictSame(host.ended, { error: undefined })
  t.match(broker.log, /Received PUBACK from bot[\s\S]*Received DISCONNECT from bot/)
})
