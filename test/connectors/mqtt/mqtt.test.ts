import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { IPublishPacket } from 'mqtt'
import t from 'tap'
import { createMqttConnector } from '../../../src/connectors/mqtt/mqtt.js'
import { docsFolder } from '../../../src/docs/generate.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext, hostOf } from '../../helpers/connector-host.js'
import { startMosquitto } from '../../helpers/mosquitto.js'
import { until } from '../../helpers/until.js'
import { ALICE, hear, hostAt } from './hosted.js'

const plain = (properties: IPublishPacket['properties']) => ({
  ...properties,
  userProperties: { ...properties?.userProperties },
})

t.test('talks with someone who has a plain client, both ways', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker)
  await host.start()
  t.match(host.identity, /^lurkbot-/)
  const person = await broker.client(t)
  const got = await hear(person, 'lurkbot/alice/out')
  await person.publishAsync('lurkbot/alice/in', 'Grüße', { qos: 1 })
  await until(() => host.received.length === 1)
  t.match(host.received[0], {
    peer: 'alice',
    thread: null,
    sender: { id: 'alice' },
    text: 'Grüße',
    group: false,
    metadata: { topic: 'lurkbot/alice/in' },
  })
  const { peer, thread, id } = host.received[0]!
  const sent = await host.send({ peer, thread }, 'Selber', { idempotencyKey: 'k', runId: 'r', replyTo: id })
  t.strictSame(sent, { messageId: null })
  await until(() => got.length === 1)
  t.match(got[0], { topic: 'lurkbot/alice/out', payload: Buffer.from('Selber'), qos: 1, retain: false })
  t.strictSame(plain(got[0]!.properties), {
    payloadFormatIndicator: true,
    contentType: 'text/plain',
    userProperties: { id: 'k', runId: 'r', replyTo: id },
  })
})

t.test(
  'answers a request on its response topic with its correlation data, also after a restart',
  async (t) => {
    const broker = await startMosquitto(t)
    const options = { clientId: 'bot' }
    const host = hostAt(t, broker, options)
    await host.start()
    const person = await broker.client(t)
    const got = await hear(person, 'lurkbot/alice/answers/+')
    const correlationData = Buffer.from([0, 255, 1])
    await person.publishAsync('lurkbot/alice/in', '{"text":"2+2?","id":"q 1"}', {
      qos: 1,
      properties: { responseTopic: 'lurkbot/alice/answers/ä', correlationData },
    })
    await until(() => host.received.length === 1)
    const { id } = host.received[0]!
    await host.stop()

    const next = hostAt(t, broker, options)
    await next.start()
    await next.send(ALICE, '4', { replyTo: id, part: 1, parts: 2 })
    await next.send(ALICE, '.', { replyTo: id, part: 2, parts: 2 })
    await until(() => got.length === 2)
    t.match(
      got.map(({ topic, properties, payload }) => [topic, payload.toString(), properties?.correlationData]),
      [
        ['lurkbot/alice/answers/ä', '4', correlationData],
        ['lurkbot/alice/answers/ä', '.', correlationData],
      ],
    )
    t.match(got[1]!.properties?.userProperties, { replyTo: 'q 1', part: '2', parts: '2' })
  },
)

t.test('the command that the page shows asks and prints the answer', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker)
  host.answer = async ({ id, peer, thread }) => {
    await host.send({ peer, thread }, '21 °C', { replyTo: id })
    return { accepted: true, eventId: 'e', runId: 'r', duplicate: false }
  }
  await host.start()
  const page = await readFile(join(docsFolder(), 'channels/mqtt.md'), 'utf8')
  const command = /```sh\n(mosquitto_rr .*)\n```/.exec(page)![1]!.replace('1883', String(broker.port))
  const { stdout } = await promisify(execFile)('bash', ['-c', command])
  t.equal(stdout, '21 °C\n')
  t.match(host.received, [{ peer: 'alice', text: 'How warm is it?' }])
})

for (const [options, allowed] of [
  [{}, 'lurkbot/alice/answers/1'],
  [{ responseTopics: ['answers/#'] }, 'answers/1'],
] as const)
  t.test(`keeps to the response topics that are allowed, such as ${allowed}`, async (t) => {
    const broker = await startMosquitto(t)
    const host = hostAt(t, broker, options as JsonObject)
    await host.start()
    const person = await broker.client(t)
    const ask = (text: string, responseTopic: string) =>
      person.publishAsync('lurkbot/alice/in', text, { qos: 1, properties: { responseTopic } })
    await ask('no', 'home/door/set')
    await ask('yes', allowed)
    await until(() => host.received.length === 1)
    t.equal(host.received[0]!.text, 'yes')
    const forged = `x:${Buffer.from('home/door/set').toString('base64url')}:`
    await t.rejects(host.send(ALICE, 'ON', { replyTo: forged }), {
      code: 'FORBIDDEN',
      retryable: false,
    })
  })

t.test('finds conversation, thread, sender, text and id where the templates say', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker, {
    subscribe: ['home/#', '$share/bots/office/+'],
    peer: '{{topic}}',
    thread: '{{payload.room}}',
    sender: '{{properties.user}}',
    text: '{{levels.1}}: {{payload.state}}',
    id: '{{payload.n}}',
    reply: '{{peer}}/answer/{{thread}}',
    format: 'json',
  })
  await host.start()
  const person = await broker.client(t)
  const got = await hear(person, 'home/lamp/answer/+')
  const properties = { userProperties: { user: ['u1', 'u2'] } }
  await person.publishAsync('home/lamp', '{"room": 7, "state": "on", "n": 5}', { qos: 1, properties })
  await person.publishAsync('office/door', '{"state": "open", "n": 6}', { qos: 1 })
  await until(() => host.received.length === 2)
  t.match(host.received, [
    { id: '5', peer: 'home/lamp', thread: '7', sender: { id: 'u1' }, text: 'lamp: on' },
    { id: '6', peer: 'office/door', thread: null, sender: { id: 'office/door' }, text: 'door: open' },
  ])
  const attachments = [{ type: 'text/plain', data: 'aGk=' }]
  const to = { peer: 'home/lamp', thread: '7' }
  await host.send(to, 'fine', { idempotencyKey: 'k', attachments, replyTo: '5' })
  await until(() => got.length === 1)
  const { runId: _, ...message } = JSON.parse(got[0]!.payload.toString())
  t.strictSame(message, {
    type: 'message',
    id: 'k',
    peer: 'home/lamp',
    thread: '7',
    text: 'fine',
    attachments,
    replyTo: '5',
    part: 1,
    parts: 1,
  })
  t.equal(got[0]!.properties?.contentType, 'application/json')
  await person.publishAsync('home/lamp', '{"state": "off", "n": 7}', { qos: 1 })
  await until(() => host.received.length === 3)
  t.equal(
    host.received[2]!.text,
    'lamp: off',
    'and what it said itself on a topic it reads did not come back',
  )
  await t.rejects(host.send({ peer: 'a/#', thread: null }, 'hi'), {
    code: 'INVALID_REQUEST',
    retryable: false,
  })
})

t.test('tells equal messages apart, and knows one by the id that it brings', async (t) => {
  const broker = await startMosquitto(t)
  const host = hostAt(t, broker)
  await host.start()
  const person = await broker.client(t)
  for (const payload of ['yes', 'yes', '{"text":"a","id":1}', '{"text":"a","id":1}', '42', '{broken']) {
    await person.publishAsync('lurkbot/alice/in', payload, { qos: 1 })
  }
  await person.publishAsync('lurkbot/alice/in', 'b', {
    qos: 0,
    properties: { userProperties: { id: 'x/y' } },
  })
  await until(() => host.received.length === 7)
  const ids = host.received.map(({ id }) => id)
  t.not(ids[0], ids[1])
  t.strictSame([ids[2], ids[3], ids[6]], ['1', '1', 'x%2Fy'])
  t.strictSame(
    host.received.map(({ text }) => text),
    ['yes', 'yes', 'a', 'a', '42', '{broken', 'b'],
  )
})

t.test('throws away what is no message, and says so once in the log', async (t) => {
  const broker = await startMosquitto(t)
  const context = connectorContext()
  const host = hostOf(t, createMqttConnector({ url: broker.url, peer: '{{payload.from}}' }, context))
  await host.start()
  const person = await broker.client(t)
  await person.publishAsync('lurkbot/a/in', Buffer.from([0xff, 0xfe]), { qos: 1 })
  await person.publishAsync('lurkbot/a/in', '{"text":"from nobody"}', { qos: 1 })
  await person.publishAsync('lurkbot/a/in', '{"from":"a","text":"hi"}', { qos: 1 })
  await until(() => host.received.length === 1)
  t.match(host.received, [{ peer: 'a', text: 'hi' }])
  t.match(context.logged, [['warn', { connector: 'test', reason: /UTF-8/, count: 1 }]])
  t.equal(context.logged.length, 1)
  await until(() => /Received PUBACK from lurkbot-test \(Mid: 3, RC:0\)/.test(broker.log))
  t.match(broker.log, /Received PUBACK from lurkbot-test \(Mid: 1, RC:131\)/)
})

t.test('honours how long a message may be', async (t) => {
  const broker = await startMosquitto(t, { lines: ['max_packet_size 20000'] })
  const host = hostAt(t, broker, { maxPacketSize: 8_192 })
  const { capabilities } = host.connector
  t.equal(capabilities.maxLength, 8_192 - 2_048)
  t.equal(capabilities.lengthOf!('ä'), 2)
  await host.start()
  await host.send(ALICE, 'x'.repeat(capabilities.maxLength))
  const narrow = hostAt(t, broker, { maxPacketSize: 100_000 })
  await narrow.start()
  t.equal(narrow.connector.capabilities.maxLength, 20_000 - 2_048)
  await t.rejects(host.send(ALICE, 'x'.repeat(20_001)), {
    code: 'INVALID_REQUEST',
    retryable: false,
  })
  const person = await broker.client(t)
  await person.publishAsync('lurkbot/alice/in', 'x'.repeat(10_000), { qos: 1 })
  await person.publishAsync('lurkbot/alice/in', 'short', { qos: 1 })
  await until(() => host.received.length === 1)
  t.equal(host.received[0]!.text, 'short')
  t.ok(host.isConnected)
})

t.test('says what is wrong with its options, without showing a secret', async (t) => {
  const url = 'mqtt://127.0.0.1'
  const cases: [JsonObject, RegExp][] = [
    [{}, /^url: expected text, found nothing/],
    [{ url: 'http://127.0.0.1' }, /^url: expected a URL such as mqtt:/],
    [{ url: 'mqtt://u:p@127.0.0.1' }, /^url: expected no credentials/],
    [{ url, ca: 'ca.pem' }, /^url: expected mqtts:/],
    [{ url: 'mqtts://127.0.0.1', cert: 'c.pem' }, /^key: expected cert and key together/],
    [
      { url, passwordEnv: 'my password' },
      /^passwordEnv: expected the name of an environment variable, found text \(not/,
    ],
    [{ url, passwordEnv: 'A', password: 'b' }, /^password: expected nothing beside passwordEnv/],
    [{ url, subscribe: ['a/#/b'] }, /^subscribe\[0\]: expected a topic filter/],
    [{ url, subscribe: ['a', 'b+'] }, /^subscribe\[1\]: expected a topic filter/],
    [{ url, subscribe: [] }, /^subscribe: expected a list/],
    [{ url, peer: '{{level.1}}' }, /^peer: expected a path that begins as/],
    [{ url, reply: 'x/{{topic}}' }, /^reply: expected a path that begins as \{\{peer\}\}/],
    [{ url, topic: 'x' }, /^topic: unknown option/],
  ]
  for (const [options, message] of cases) {
    t.throws(() => createMqttConnector(options, connectorContext()), { message }, String(message))
  }
})
