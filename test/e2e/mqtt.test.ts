import t from 'tap'
import { startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { startMosquitto } from '../helpers/mosquitto.js'
import { until } from '../helpers/until.js'

t.test('every question is answered once and in order, whoever dies in between', async (t) => {
  const broker = await startMosquitto(t)
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const env = {
    LURKBOT_GATEWAY__CONNECTORS: JSON.stringify({ home: { type: 'mqtt', url: broker.url } }),
    LURKBOT_GATEWAY__CHANNELS__RECONNECT__BACKOFF_MS: '20',
    LURKBOT_GATEWAY__CHANNELS__RECONNECT__MAX_BACKOFF_MS: '50',
    LURKBOT_GATEWAY__CHANNELS__DELIVERY__BACKOFF_MS: '20',
    LURKBOT_GATEWAY__CHANNELS__DELIVERY__MAX_BACKOFF_MS: '50',
  }
  let gateway = await startGateway({ home, env })
  t.teardown(() => gateway.kill9())

  // From its first subscription on the broker keeps what comes for it.
  await until(() => broker.log.includes('Sending SUBACK to lurkbot-home'))

  const seen = new Set<string>()
  const answers: { topic: string; text: string; correlation: string | undefined }[] = []
  // One that comes back, for whom the broker keeps what comes while it is away.
  const person = await broker.client(t, {
    clientId: 'person',
    clean: false,
    properties: { sessionExpiryInterval: 600 },
    reconnectPeriod: 50,
  })
  person.on('message', (topic, payload, { properties }) => {
    const id = String(properties?.userProperties?.id)
    if (seen.has(id)) return
    seen.add(id)
    answers.push({ topic, text: payload.toString(), correlation: properties?.correlationData?.toString() })
  })
  await person.subscribeAsync(['lurkbot/+/answers/#', 'lurkbot/+/out'], { qos: 1 })

  const peers = ['alice', 'bob']
  for (let n = 0; n < 20; n++) {
    const properties =
      n % 4 < 2
        ? { responseTopic: `lurkbot/${peers[n % 2]}/answers/1`, correlationData: Buffer.from(`c${n}`) }
        : undefined
    const payload = JSON.stringify({ id: `q${n}`, text: `${n}` })
    await person.publishAsync(`lurkbot/${peers[n % 2]}/in`, payload, { qos: 1, properties })
    if (n === 4 || n === 15) {
      await gateway.kill9()
      gateway = await startGateway({ home, env })
    }
    if (n === 9) {
      await broker.kill('SIGTERM')
      await broker.start()
    }
  }
  await until(() => answers.length >= 20)
  for (const [i, peer] of peers.entries()) {
    const theirs = answers.filter(({ topic }) => topic.includes(peer))
    const asked = Array.from({ length: 10 }, (_, k) => 2 * k + i)
    t.strictSame(
      theirs.map(({ text }) => text),
      asked.map(String),
      peer,
    )
    for (const { topic, text, correlation } of theirs) {
      const isRequest = Number(text) % 4 < 2
      t.equal(topic, isRequest ? `lurkbot/${peer}/answers/1` : `lurkbot/${peer}/out`)
      t.equal(correlation, isRequest ? `c${text}` : undefined)
    }
  }
  t.equal((await gateway.stop()).code, 0)
  t.equal(answers.length, 20)
})
