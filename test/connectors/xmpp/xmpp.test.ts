import t, { type Test } from 'tap'
import { createXmppConnector } from '../../../src/connectors/xmpp/xmpp.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext, hostOf } from '../../helpers/connector-host.js'
import { joinXmpp, startProsody } from '../../helpers/prosody.js'
import { until } from '../../helpers/until.js'

const target = (peer: string) => ({ peer, thread: null })
const users = { lurk: 'lurk-secret', alice: 'alice-secret' }
const server = await startProsody(t, { users })
let rooms = 0
const newRoom = () => `room-${++rooms}@conference.localhost`

async function connect(t: Test, options: JsonObject = {}) {
  const context = connectorContext({ env: { XMPP: users.lurk } })
  const connector = await createXmppConnector(
    { jid: 'lurk@localhost', passwordEnv: 'XMPP', service: server.service, allowInsecure: true, ...options },
    context,
  )
  return { connector, host: hostOf(t, connector), logged: context.logged }
}

t.test('a direct chat goes both ways', async (t) => {
  const { connector, host } = await connect(t)
  await host.start()
  t.equal(host.identity, 'lurk@localhost')
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await alice.say('lurk@localhost', 'hi <there> & é✓', 'chat', 'first')
  await until(() => host.received.length === 1)
  t.match(host.received[0], {
    peer: 'alice@localhost',
    thread: null,
    id: 'first',
    sender: { id: 'alice@localhost', name: 'alice' },
    group: false,
    mentioned: false,
    text: 'hi <there> & é✓',
    at: undefined,
  })

  await connector.typing?.(target('alice@localhost'), new AbortController().signal)
  const sent = await host.send(target('alice@localhost'), 'hello\nthere \u0001<&>', {
    idempotencyKey: 'key-1',
    attachments: [{ type: 'image/png', url: 'https://example.org/a.png' }],
  })
  t.same(sent, { messageId: 'key-1' })
  await until(() => alice.texts('lurk@localhost').length === 1)
  t.same(alice.texts('lurk@localhost'), ['hello\nthere <&>\nhttps://example.org/a.png'])
  const [typing, message] = alice.messages('lurk@localhost')
  t.ok(typing?.getChild('composing'))
  t.ok(message?.getChild('active'))
  t.equal(message?.getChild('origin-id')?.attrs.id, 'key-1')
})

t.test('a message as long as one may be arrives whole', async (t) => {
  const { connector, host } = await connect(t)
  await host.start()
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  // Three bytes each: the pieces that arrive end within a character.
  const long = '✓'.repeat(connector.capabilities.maxLength)
  await host.send(target('alice@localhost'), long)
  await alice.say('lurk@localhost', long)
  await until(() => host.received.length === 1 && alice.texts('lurk@localhost').length === 1)
  t.equal(host.received[0]?.text, long)
})

t.test('messages of one chat arrive in order', async (t) => {
  const { host } = await connect(t)
  await host.start()
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  const texts = Array.from({ length: 20 }, (_, index) => `message ${index}`)
  for (const text of texts) {
    await host.send(target('alice@localhost'), text)
    await alice.say('lurk@localhost', text)
  }
  await until(() => host.received.length === 20 && alice.texts('lurk@localhost').length === 20)
  t.same(alice.texts('lurk@localhost'), texts)
  t.same(
    host.received.map(({ text }) => text),
    texts,
  )
})

t.test('in a room it says who is meant, and hears neither itself nor what was said before', async (t) => {
  const room = newRoom()
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await alice.join(room, 'Alice')
  await alice.configure(room)
  await alice.say(room, 'lurk: before', 'groupchat')
  const { host } = await connect(t, { rooms: [{ jid: room, nick: 'Lurk' }] })
  await host.start()
  for (const text of ['lurk: hi', 'is @Lurk here', 'lurking']) await alice.say(room, text, 'groupchat')
  await until(() => host.received.length === 3)
  t.match(
    host.received.map(({ peer, group, mentioned, text, sender }) => ({
      peer,
      group,
      mentioned,
      text,
      sender,
    })),
    [
      {
        peer: room,
        group: true,
        mentioned: true,
        text: 'hi',
        sender: { id: `${room}/Alice`, name: 'Alice' },
      },
      { peer: room, group: true, mentioned: true, text: 'is here' },
      { peer: room, group: true, mentioned: false, text: 'lurking' },
    ],
  )
  t.match(await host.send(target(room), 'hello all', { idempotencyKey: 'key-2' }), { messageId: String })
  await until(() => alice.texts(`${room}/Lurk`).length === 1)
  t.same(alice.texts(`${room}/Lurk`), ['hello all'])

  await alice.say(`${room}/Lurk`, 'between us')
  await until(() => host.received.length === 4)
  t.match(host.received[3], { peer: `${room}/Alice`, group: false, text: 'between us' })
  await host.send(target(`${room}/Alice`), 'yes')
  await until(() => alice.messages(`${room}/Lurk`).length === 2)
  t.equal(alice.messages(`${room}/Lurk`)[1]?.attrs.type, 'chat')
})

t.test('a room that is not there is made, and is open to others', async (t) => {
  const room = newRoom()
  const { host } = await connect(t, { rooms: [{ jid: room }] })
  await host.start()
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await alice.join(room, 'Alice')
  await alice.say(room, 'lurk: hi', 'groupchat')
  await until(() => host.received.length === 1)
})

t.test('a room that tells who is who gives the address of a sender', async (t) => {
  const room = newRoom()
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await alice.join(room, 'Alice')
  await alice.configure(room, { 'muc#roomconfig_whois': 'anyone' })
  const { host } = await connect(t, { rooms: [{ jid: room }] })
  await host.start()
  await alice.say(room, 'lurk: hi', 'groupchat')
  await until(() => host.received.length === 1)
  t.match(host.received[0], { sender: { id: 'alice@localhost', name: 'Alice' }, mentioned: true })
})

t.test('a nick that is taken in a room gets a suffix', async (t) => {
  const room = newRoom()
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await alice.join(room, 'lurk')
  await alice.configure(room)
  const { host } = await connect(t, { rooms: [{ jid: room }] })
  await host.start()
  await alice.say(room, 'lurk_: hi', 'groupchat')
  await until(() => host.received.length === 1)
  t.match(host.received[0], { mentioned: true, text: 'hi' })
  await host.send(target(room), 'hello')
})

t.test('a room with a password is entered with it', async (t) => {
  const room = newRoom()
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await alice.join(room, 'Alice')
  await alice.configure(room, { 'muc#roomconfig_roomsecret': 'sesame' })
  const { host } = await connect(t, { rooms: [{ jid: room, password: 'sesame' }] })
  await host.start()
  await host.send(target(room), 'hello')
})

t.test('what was said while nobody was there comes later, with its time', async (t) => {
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await alice.say('lurk@localhost', 'while you were away')
  const { host } = await connect(t)
  await host.start()
  await until(() => host.received.length === 1)
  t.match(host.received[0], { text: 'while you were away', at: Number })
})

t.test('who is not there, and what is no address, is refused for good', async (t) => {
  const { host } = await connect(t)
  await host.start()
  await t.rejects(host.send(target('ghost@localhost'), 'hi'), { code: 'NOT_FOUND', retryable: false })
  await t.rejects(host.send(target('none@conference.localhost'), 'hi'), {
    code: 'NOT_FOUND',
    retryable: false,
  })
  await t.rejects(host.send(target('@'), 'hi'), { code: 'NOT_FOUND', retryable: false })
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await host.send(target('alice@localhost'), 'still here')
  await until(() => alice.texts('lurk@localhost').length === 1)
})

t.test('a room where it may not speak is forbidden', async (t) => {
  const room = newRoom()
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await alice.join(room, 'alice')
  await alice.configure(room, { 'muc#roomconfig_moderatedroom': '1' })
  const { host } = await connect(t, { rooms: [{ jid: room }] })
  await host.start()
  await alice.change(room, 'lurk', { role: 'visitor' })
  await t.rejects(host.send(target(room), 'hi'), { code: 'FORBIDDEN', retryable: false })
})

t.test('a room that it was thrown out of is joined again, not for ever', async (t) => {
  const room = newRoom()
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await alice.join(room, 'alice')
  await alice.configure(room)
  const { host, logged } = await connect(t, { rooms: [{ jid: room }], rejoinDelayMs: 50, maxRejoins: 1 })
  await host.start()
  await alice.change(room, 'lurk', { role: 'none' })
  await until(() => logged.some(([level]) => level === 'warn'))
  await t.rejects(host.send(target(room), 'hi'), { code: 'UNAVAILABLE', retryable: true })
  await until(() => host.send(target(room), 'back').then(Boolean, () => false))
  await alice.change(room, 'lurk', { role: 'none' })
  await until(() => logged.some(([level]) => level === 'error'))
  await t.rejects(host.send(target(room), 'hi'), { code: 'FORBIDDEN', retryable: false })
})

t.test('a room that does not let it in keeps nothing else from working', async (t) => {
  const room = newRoom()
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  await alice.join(room, 'alice')
  await alice.configure(room, { 'muc#roomconfig_membersonly': '1' })
  const { host, logged } = await connect(t, { rooms: [{ jid: room }], maxRejoins: 0 })
  await host.start()
  t.match(logged, [['error', { room, reason: 'registration-required' }, 'room lost for good']])
  await host.send(target('alice@localhost'), 'hi')
})
