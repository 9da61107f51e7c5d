import t, { type Test } from 'tap'
import { createIrcConnector } from '../../../src/connectors/irc/irc.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext, hostOf } from '../../helpers/connector-host.js'
import { joinIrc, startNgircd } from '../../helpers/ngircd.js'
import { until } from '../../helpers/until.js'

const target = (peer: string) => ({ peer, thread: null })

async function connect(t: Test, port: number, options: JsonObject = {}, env: NodeJS.ProcessEnv = {}) {
  const context = connectorContext({ env })
  const connector = await createIrcConnector(
    { host: '127.0.0.1', port, tls: false, nick: 'lurk', messagesPerSecond: 100, ...options },
    context,
  )
  return { connector, host: hostOf(t, connector), logged: context.logged }
}

t.test('a private conversation goes both ways', async (t) => {
  const { port } = await startNgircd(t)
  const { host } = await connect(t, port)
  await host.start()
  t.equal(host.identity, 'lurk')
  const alice = await joinIrc(t, port, 'Alice')
  alice.client.say('lurk', '\u0002hi\u000f there, é')
  await until(() => host.received.length === 1)
  const [message] = host.received
  t.match(message, {
    peer: 'alice',
    thread: null,
    sender: { id: 'alice', name: 'Alice' },
    group: false,
    text: 'hi there, é',
    metadata: { nick: 'Alice', account: null },
  })
  t.same(await host.send(target('alice'), 'hello ✓'), { messageId: null })
  await until(() => alice.heard.length === 1)
  t.same(alice.texts('Alice'), ['hello ✓'])
})

t.test('each message has an id of its own, also one that says the same', async (t) => {
  const { port } = await startNgircd(t)
  const { host } = await connect(t, port)
  await host.start()
  const alice = await joinIrc(t, port, 'alice')
  alice.client.say('lurk', 'again')
  alice.client.say('lurk', 'again')
  await until(() => host.received.length === 2)
  t.not(host.received[0]?.id, host.received[1]?.id)
})

t.test('in a channel it says who is meant, and cuts its name off', async (t) => {
  const { port } = await startNgircd(t)
  const { host } = await connect(t, port, { channels: ['#Lobby'] })
  await host.start()
  const alice = await joinIrc(t, port, 'alice', ['#Lobby'])
  for (const text of ['lurk: hi', 'Lurk, you?', 'is @lurk here', 'lurking is fun', 'well']) {
    alice.client.say('#lobby', text)
  }
  alice.client.action('#lobby', 'waves at lurk')
  await until(() => host.received.length === 6)
  t.same(
    host.received.map(({ peer, group, mentioned, text }) => ({ peer, group, mentioned, text })),
    [
      { peer: '#lobby', group: true, mentioned: true, text: 'hi' },
      { peer: '#lobby', group: true, mentioned: true, text: 'you?' },
      { peer: '#lobby', group: true, mentioned: true, text: 'is here' },
      { peer: '#lobby', group: true, mentioned: false, text: 'lurking is fun' },
      { peer: '#lobby', group: true, mentioned: false, text: 'well' },
      { peer: '#lobby', group: true, mentioned: true, text: 'waves at lurk' },
    ],
  )
  await host.send(target('#lobby'), 'hello all')
  await until(() => alice.heard.length === 1)
  t.same(alice.texts('#Lobby'), ['hello all'])
})

t.test('notices and CTCP requests are not answered', async (t) => {
  const { port } = await startNgircd(t)
  const { host } = await connect(t, port)
  await host.start()
  const alice = await joinIrc(t, port, 'alice')
  alice.client.notice('lurk', 'automatic')
  alice.client.say('lurk', '\u0001VERSION\u0001')
  alice.client.say('lurk', 'last')
  await until(() => host.received.length > 0)
  await host.send(target('alice'), 'only this')
  await until(() => alice.heard.length > 0)
  t.same(
    host.received.map(({ text }) => text),
    ['last'],
  )
  t.same(alice.noticed, [])
})

t.test('the lines of a part arrive in order and whole, and carry no command', async (t) => {
  const { port } = await startNgircd(t)
  const { connector, host } = await connect(t, port, { burst: 100 })
  await host.start()
  const alice = await joinIrc(t, port, 'alice')
  const { maxLength, lengthOf } = connector.capabilities
  const long = 'é'.repeat(maxLength / 2)
  t.equal(lengthOf?.(long), maxLength)
  await host.send(target('alice'), `one\r\n\n :two\nQUIT :three\n\u0001ACTION four\u0001`, {
    attachments: [{ type: 'image/png', url: 'https://example.org/a.png' }],
  })
  await host.send(target('alice'), long)
  await until(() => alice.heard.length === 6)
  t.same(alice.texts('alice'), [
    'one',
    ' :two',
    'QUIT :three',
    'ACTION four',
    'https://example.org/a.png',
    long,
  ])
})

t.test('a part of line breaks alone is no longer than can be sent in time', async (t) => {
  const { connector } = await connect(t, 6667)
  const { maxLength, lengthOf } = connector.capabilities
  t.ok(lengthOf!('a\n'.repeat(9)) <= maxLength)
  t.ok(lengthOf!('a\n'.repeat(11)) > maxLength)
})

t.test('lines beyond the burst wait for their turn, and can be given up', async (t) => {
  const { port } = await startNgircd(t)
  const { connector, host } = await connect(t, port, { messagesPerSecond: 0.5, burst: 2 })
  await host.start()
  const alice = await joinIrc(t, port, 'alice')
  const stop = new AbortController()
  const part = { text: '1\n2\n3', attachments: [], idempotencyKey: 'k', runId: null, replyTo: null }
  const sending = connector.send({ ...part, target: target('alice'), part: 1, parts: 1 }, stop.signal)
  await until(() => alice.heard.length === 2)
  stop.abort()
  await t.rejects(sending)
  t.same(alice.texts('alice'), ['1', '2'])
})

t.test('who is not there, and what is no name, is refused for good', async (t) => {
  const { port } = await startNgircd(t)
  const { host } = await connect(t, port, { returnGraceMs: 0 })
  await host.start()
  await t.rejects(host.send(target('ghost'), 'hi'), { code: 'NOT_FOUND', retryable: false })
  await t.rejects(host.send(target('#nowhere'), 'hi'), { code: 'NOT_FOUND', retryable: false })
  await t.rejects(host.send(target('a,b'), 'hi'), { code: 'NOT_FOUND', retryable: false })
  await t.rejects(host.send(target('a\r\nQUIT'), 'hi'), { code: 'NOT_FOUND', retryable: false })
  const alice = await joinIrc(t, port, 'alice')
  await host.send(target('alice'), 'still here')
  await until(() => alice.heard.length === 1)
})

t.test('who is not there may still be coming when it has just come itself', async (t) => {
  const { port } = await startNgircd(t)
  const { host } = await connect(t, port)
  await host.start()
  await t.rejects(host.send(target('alice'), 'hi'), { code: 'UNAVAILABLE', retryable: true, message: /401/ })
  const alice = await joinIrc(t, port, 'alice')
  await host.send(target('alice'), 'hi')
  await until(() => alice.heard.length === 1)
})

t.test('a channel where it may not speak is forbidden', async (t) => {
  const { port } = await startNgircd(t, {
    further: ['[Channel]', 'Name = #quiet', 'Modes = +m'],
  })
  const { host } = await connect(t, port, { channels: ['#quiet'] })
  await host.start()
  await t.rejects(host.send(target('#quiet'), 'hi'), { code: 'FORBIDDEN', retryable: false })
})

t.test('a nick that is taken gets a suffix', async (t) => {
  const { port } = await startNgircd(t)
  await joinIrc(t, port, 'lurk')
  const { host } = await connect(t, port, { channels: ['#lobby'] })
  await host.start()
  t.equal(host.identity, 'lurk_')
  const alice = await joinIrc(t, port, 'alice', ['#lobby'])
  alice.client.say('#lobby', 'lurk: the other one')
  alice.client.say('#lobby', 'lurk_: you')
  await until(() => host.received.length === 2)
  t.same(
    host.received.map(({ mentioned }) => mentioned),
    [false, true],
  )
})

t.test('a channel with a key is joined with it', async (t) => {
  const { port } = await startNgircd(t, {
    further: ['[Channel]', 'Name = #team', 'Modes = +k secret'],
  })
  const { host } = await connect(t, port, { channels: ['#team'], channelKeys: { '#team': 'secret' } })
  await host.start()
  await host.send(target('#team'), 'hi')
})
