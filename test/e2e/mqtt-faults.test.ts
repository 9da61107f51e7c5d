import t from 'tap'
import { freePort } from '../helpers/free-port.js'
import { startMosquitto } from '../helpers/mosquitto.js'
import { until } from '../helpers/until.js'
import { ChannelGateway, HeldAgent } from './channel-gateway.js'
import { reconnects } from './channel-metrics.js'

t.test('a broker that is killed is told once, and what waits for it goes out in order', async (t) => {
  const broker = await startMosquitto(t)
  const agent = await HeldAgent.start(t)
  const gateway = await ChannelGateway.start(t, { connector: { type: 'mqtt', url: broker.url }, agent })
  await gateway.becomes('connected')
  const before = await broker.client(t)
  agent.hold()
  for (const text of ['one', 'two', 'three']) await before.publishAsync('lurkbot/alice/in', text, { qos: 1 })
  await until(async () => (await gateway.accepted()) === 3)

  // One answer waits for the broker, and a run is under way while the gateway is killed as well.
  await broker.kill()
  await until(async () => (await reconnects(gateway)) >= 5)
  t.match(await gateway.becomes('waiting'), { error: { code: 'UNAVAILABLE', retryable: true } })
  t.ok(await gateway.isReady())
  const causes = gateway.log().flatMap(({ msg, cause }) => (msg === 'channel waiting' ? [cause] : []))
  t.equal(causes.filter((cause) => /ECONNREFUSED/.test(String(cause))).length, 1)
  t.equal(new Set(causes).size, causes.length, String(causes))
  agent.release()
  agent.hold()
  await until(() => agent.asked.length === 2)
  await gateway.pending(1)
  await gateway.kill9()
  await broker.start()
  const person = await broker.client(t)
  const answers: string[] = []
  person.on('message', (_topic, payload) => answers.push(payload.toString()))
  await person.subscribeAsync('lurkbot/alice/out', { qos: 1 })
  await gateway.startAgain()
  await gateway.becomes('connected')
  agent.release()
  await until(() => answers.length === 3)
  t.strictSame(answers, ['re: one', 're: two', 're: three'])
  t.equal(await gateway.stop(), 0)
})

t.test('a topic that the broker denies is one clear status, and harms no other', async (t) => {
  const broker = await startMosquitto(t, {
    users: { bot: 'right', alice: 'hers' },
    acl: ['user bot', 'topic read lurkbot/+/in', 'topic write lurkbot/alice/out', 'user alice', 'topic #'],
  })
  const connector = { type: 'mqtt', url: broker.url, username: 'bot', passwordEnv: 'MQTT_PASSWORD' }
  const gateway = await ChannelGateway.start(t, { connector, env: { MQTT_PASSWORD: 'wrong-one' } })
  const refused = { code: 'UNAUTHORIZED', message: /refused the user name or password/, retryable: false }
  t.match(await gateway.becomes('failed'), { error: refused })
  t.match(gateway.log(), [{ msg: 'channel failed', code: 'UNAUTHORIZED' }])
  t.equal(gateway.log().length, 1)
  t.ok(await gateway.isReady())
  t.notMatch(gateway.output(), /wrong-one/)
  await gateway.kill9()

  await gateway.startAgain({ MQTT_PASSWORD: 'right' })
  await gateway.becomes('connected')
  const alice = await broker.client(t, { username: 'alice', password: 'hers' })
  const answers: string[] = []
  alice.on('message', (_topic, payload) => answers.push(payload.toString()))
  await alice.subscribeAsync('lurkbot/+/out', { qos: 1 })
  for (const text of ['one', 'two']) await alice.publishAsync('lurkbot/bob/in', text, { qos: 1 })
  const denied = { code: 'FORBIDDEN', message: /does not allow this topic/, retryable: false }
  await until(async () => (await gateway.dead()).length === 2)
  t.match(await gateway.dead(), [
    { peer: 'bob', text: 'one', error: denied },
    { peer: 'bob', text: 'two', error: denied },
  ])
  t.match(await gateway.status(), { state: 'connected', error: denied })
  await alice.publishAsync('lurkbot/alice/in', 'three', { qos: 1 })
  await until(() => answers.length === 1)
  await gateway.pending(0)
  t.match(await gateway.status(), { state: 'connected', error: null })
  const told = gateway.statuses().filter(({ state, error }) => state === 'connected' && error !== null)
  t.equal(told.length, 1, 'the same again is no news')
  t.ok(await gateway.isReady())
  t.strictSame(
    gateway.log().map(({ msg }) => msg),
    ['channel connected', 'delivery failed for good', 'delivery failed for good'],
  )
  t.equal(await gateway.stop(), 0)
})

t.test('a broker that is not there is one clear status', async (t) => {
  const connector = { type: 'mqtt', url: `mqtt://127.0.0.1:${await freePort()}` }
  const gateway = await ChannelGateway.start(t, { connector })
  await until(async () => (await reconnects(gateway)) >= 5)
  t.match(await gateway.becomes('waiting'), { error: { code: 'UNAVAILABLE', message: /ECONNREFUSED/ } })
  t.match(gateway.log(), [{ msg: 'channel waiting', code: 'UNAVAILABLE' }])
  t.equal(gateway.log().length, 1)
  t.ok(await gateway.isReady())
  t.equal(await gateway.stop(), 0)
})
