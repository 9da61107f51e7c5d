import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createMqttConnector } from '../../../src/connectors/mqtt/mqtt.js'
import { createCertificate } from '../../auth/certificates.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { freePort } from '../../helpers/free-port.js'
import { startMosquitto } from '../../helpers/mosquitto.js'
import { until } from '../../helpers/until.js'
import { ALICE, hear, hostAt, say } from './hosted.js'

t.test('logs in, and says so when the broker refuses it', async (t) => {
  const broker = await startMosquitto(t, { users: { bot: 'right' } })
  const right = hostAt(t, broker, { username: 'bot', passwordEnv: 'RIGHT' })
  await right.start()
  for (const options of [
    { username: 'bot', passwordEnv: 'WRONG' },
    { username: 'nobody', password: 'x' },
    {},
  ]) {
    const error = await hostAt(t, broker, options)
      .start()
      .then(
        () => t.fail('it was let in'),
        (error: Error) => error,
      )
    t.match(error, { code: 'UNAUTHORIZED', retryable: false })
    t.notMatch(JSON.stringify(error), /wrong/)
  }
})

t.test('a topic that the broker denies is refused for good, and the connection lives on', async (t) => {
  const broker = await startMosquitto(t, {
    acl: ['topic readwrite lurkbot/alice/#', 'topic read lurkbot/+/in', 'topic deny lurkbot/bob/out'],
  })
  const host = hostAt(t, broker)
  await host.start()
  await t.rejects(host.send({ peer: 'bob', thread: null }, 'hi'), {
    code: 'FORBIDDEN',
    retryable: false,
    details: { reasonCode: 135 },
  })
  const got = await hear(await broker.client(t), 'lurkbot/alice/out')
  await host.send(ALICE, 'hi')
  await until(() => got.length === 1)
})

t.test('gives way for good to another client that has taken over its id', async (t) => {
  // Debian's mosquitto closes the connection without the word that MQTT 5 has for it; newer ones and other brokers say it.
  const { url, sockets } = await silentPort(t)
  const host = hostAt(t, { url })
  const started = host.start()
  await until(() => sockets.length === 1)
  const connack = [0x20, 3, 0, 0, 0]
  sockets[0]!.write(Buffer.from(connack))
  sockets[0]!.on('data', (chunk) => {
    // Several packets may come in one chunk; all of them are shorter than 128 bytes here.
    for (let at = 0; at < chunk.length; at += 2 + chunk[at + 1]!) {
      const isSubscribe = chunk[at]! >> 4 === 8
      if (isSubscribe) sockets[0]!.write(Buffer.from([0x90, 4, chunk[at + 2]!, chunk[at + 3]!, 0, 1]))
    }
  })
  await started
  // What waits for the broker then is not refused by it: it waits on.
  const kept = t.rejects(host.send(ALICE, 'hi'), { code: 'UNAVAILABLE', retryable: true })
  const takenOver = [0xe0, 2, 0x8e, 0]
  sockets[0]!.end(Buffer.from(takenOver))
  await until(() => host.ended !== null)
  await kept
  t.match(host.ended!.error, { code: 'CONFLICT', message: /clientId/, retryable: false })
})

t.test('needs a broker that acknowledges', async (t) => {
  const broker = await startMosquitto(t, { lines: ['max_qos 0'] })
  await t.rejects(hostAt(t, broker).start(), { code: 'INVALID_REQUEST', message: /QoS 1/, retryable: false })
})

t.test('speaks over a WebSocket', async (t) => {
  const port = await freePort()
  const broker = await startMosquitto(t, { lines: [`listener ${port} 127.0.0.1`, 'protocol websockets'] })
  const host = hostAt(t, { url: `ws://127.0.0.1:${port}` })
  // Only the first listener is known to be open.
  await until(() =>
    host.start().then(
      () => true,
      () => false,
    ),
  )
  const person = await broker.client(t)
  const got = await hear(person, 'lurkbot/alice/out')
  await say(person, 'hi')
  await until(() => host.received.length === 1)
  await host.send(ALICE, 'hello')
  await until(() => got.length === 1)
})

t.test('speaks TLS with a broker whose certificate it knows, and with no other', async (t) => {
  const { cert, key } = await createCertificate()
  const other = await createCertificate()
  const folder = t.testdir({ 'cert.pem': cert, 'key.pem': key, 'other.pem': other.cert })
  const broker = await startMosquitto(t, {
    tls: { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') },
  })
  const secure = { url: `mqtts://127.0.0.1:${broker.port}` }
  const host = hostAt(t, secure, { ca: join(folder, 'cert.pem') })
  await host.start()
  await host.send(ALICE, 'hi')
  for (const options of [{}, { ca: join(folder, 'other.pem') }]) {
    await t.rejects(hostAt(t, secure, options).start(), { code: 'UNAVAILABLE', message: /\([A-Z_]+\)/ })
  }
  await t.rejects(hostAt(t, secure, { ca: join(folder, 'missing.pem') }).start(), {
    code: 'NOT_LINKED',
    message: 'The file of ca cannot be read.',
  })
})

/** A port that takes connections and never says a word. */
async function silentPort(t: Test): Promise<{ url: string; sockets: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => {})))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets }
}

t.test('stops at once while it waits for a broker that says nothing, and leaves nothing open', async (t) => {
  const { url, sockets } = await silentPort(t)
  const connector = createMqttConnector({ url }, connectorContext())
  const control = new AbortController()
  const inlet = {
    connected: () => t.fail('connected'),
    troubled: () => t.fail('troubled'),
    receive: () => Promise.reject(new Error('a message')),
    knows: async () => false,
  }
  const listening = connector.listen(inlet, control.signal)
  await until(() => sockets.length === 1)
  sockets[0]!.resume()
  const closed = once(sockets[0]!, 'close')
  control.abort()
  await listening
  await closed
  await connector.listen(inlet, control.signal)
  t.equal(sockets.length, 1)
})

t.test('what answers but is no MQTT broker is unavailable', async (t) => {
  const { url, sockets } = await silentPort(t)
  const host = hostAt(t, { url })
  const started = host.start()
  await until(() => sockets.length === 1)
  sockets[0]!.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  await t.rejects(started, { code: 'UNAVAILABLE', retryable: true })
})

t.test('listens again after a stop, and says goodbye each time', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker, { clientId: 'bot' })
  const person = await broker.client(t)
  for (const text of ['one', 'two', 'three']) {
    await host.start()
    await say(person, text)
    await until(() => host.received.at(-1)?.text === text)
    await host.stop()
    await host.stop()
    t.strictSame(host.ended, { error: undefined })
    await t.rejects(host.send(ALICE, 'hi'), { code: 'UNAVAILABLE' })
  }
  await until(() => broker.log.match(/Received DISCONNECT from bot/g)?.length === 3)
  t.equal(host.received.length, 3)
})

t.test('ends an attempt that is stopped, and a connection to a broker that hangs', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker)
  await host.start()
  broker.signal('SIGSTOP')
  t.teardown(() => broker.signal('SIGCONT'))
  const control = new AbortController()
  const part = {
    target: ALICE,
    text: 'hi',
    attachments: [],
    idempotencyKey: 'k',
    runId: null,
    replyTo: null,
    part: 1,
    parts: 1,
  }
  const stopped = host.connector.send(part, control.signal)
  control.abort()
  await t.rejects(stopped, { code: 'CANCELLED' })
  const lost = host.connector.send(part, new AbortController().signal)
  const rejected = t.rejects(lost, { code: 'UNAVAILABLE', retryable: true })
  await host.stop()
  await rejected
  t.strictSame(host.ended, { error: undefined })
})
