import t from 'tap'
import { joinXmpp, startProsody, type XmppPerson } from '../helpers/prosody.js'
import { until } from '../helpers/until.js'
import { ChannelGateway, HeldAgent } from './channel-gateway.js'
import { LURK, ROOM, USERS, xmppAt } from './chat-entries.js'

const answers = (texts: readonly string[]) => texts.map((text) => `re: ${text}`)

/** Each message with an id, as clients give them. */
async function sayAll(person: XmppPerson, texts: readonly string[]): Promise<void> {
  for (const text of texts) await person.say(LURK, text, 'chat', `id of ${text}`)
}

t.test('people are answered in order, directly and in a room where they name it', async (t) => {
  const server = await startProsody(t, { users: USERS })
  const agent = await HeldAgent.start(t)
  const connector = xmppAt(server, { rooms: [{ jid: ROOM, nick: 'Lurk' }] })
  const gateway = await ChannelGateway.start(t, { connector, agent })
  await gateway.becomes('connected')
  const alice = await joinXmpp(t, server, 'alice', USERS.alice)
  const bob = await joinXmpp(t, server, 'bob', USERS.bob)
  await alice.join(ROOM, 'Alice')

  const numbers = Array.from({ length: 12 }, (_, n) => String(n))
  for (const n of numbers) {
    await sayAll(alice, [n])
    await sayAll(bob, [`bob ${n}`])
  }
  await alice.say(ROOM, 'does it read along?', 'groupchat')
  await alice.say(ROOM, 'Lurk: what do you say?', 'groupchat')
  await alice.say(`${ROOM}/Lurk`, 'between us')
  await until(() => alice.texts(LURK).length >= 12 && bob.texts(LURK).length >= 12)
  await until(() => alice.texts(`${ROOM}/Lurk`).length >= 2)
  t.strictSame(alice.texts(LURK), answers(numbers))
  t.strictSame(bob.texts(LURK), answers(numbers.map((n) => `bob ${n}`)))
  const ofRoom = alice.messages(`${ROOM}/Lurk`).filter((stanza) => stanza.getChild('body'))
  t.strictSame(ofRoom.map((stanza) => [stanza.attrs.type, stanza.getChildText('body')]).sort(), [
    ['chat', 're: between us'],
    ['groupchat', 're: what do you say?'],
  ])
  t.notOk(agent.asked.includes('does it read along?'))
  t.equal(await gateway.stop(), 0)
})

t.test('what the gateway has is answered once and in order, whoever is killed in between', async (t) => {
  const server = await startProsody(t, { users: USERS })
  const agent = await HeldAgent.start(t)
  const gateway = await ChannelGateway.start(t, { connector: xmppAt(server), agent })
  await gateway.becomes('connected')
  const before = await joinXmpp(t, server, 'alice', USERS.alice)
  await sayAll(before, ['one'])
  await until(() => before.texts(LURK).length === 1)
  await gateway.pending(0)
  agent.hold()
  await sayAll(before, ['two', 'three', 'four', 'five'])
  await until(async () => (await gateway.accepted()) === 5 && agent.asked.length === 2)

  // Two answers wait for the server, one is being made, and one question waits for that.
  await server.program.kill()
  await gateway.becomes('waiting')
  for (const asked of [3, 4]) {
    agent.release()
    agent.hold()
    await until(() => agent.asked.length === asked)
  }
  await gateway.pending(2)
  await gateway.kill9()
  await server.program.start()
  await gateway.startAgain()
  await gateway.becomes('connected')
  // The gateway is back before she is: the server keeps what is for her.
  await gateway.pending(0)
  const alice = await joinXmpp(t, server, 'alice', USERS.alice)
  await until(() => alice.texts(LURK).length === 2)
  agent.release()
  await until(() => alice.texts(LURK).length === 4)
  t.strictSame(
    [...before.texts(LURK), ...alice.texts(LURK)],
    answers(['one', 'two', 'three', 'four', 'five']),
  )
  t.equal(await gateway.stop(), 0)
})

t.test('whatever the server has taken for the gateway is answered, however that was away', async (t) => {
  const server = await startProsody(t, { users: USERS })
  const agent = await HeldAgent.start(t)
  const gateway = await ChannelGateway.start(t, { connector: xmppAt(server), agent })
  await gateway.becomes('connected')
  const alice = await joinXmpp(t, server, 'alice', USERS.alice)
  await sayAll(alice, ['one'])
  await until(() => alice.texts(LURK).length === 1)
  await gateway.pending(0)
  agent.hold()
  const sent = ['two', 'three', 'four', 'five', 'six', 'seven']
  const written = sayAll(alice, sent)
  await until(() => agent.asked.includes('two'))
  // In the middle of what comes: some of it is on disk, some on its way, some not sent yet.
  await gateway.kill9()
  await written
  await sayAll(alice, ['while you were away'])
  await gateway.startAgain()
  await gateway.becomes('connected')
  agent.release()
  await sayAll(alice, ['last'])
  await until(() => alice.texts(LURK).includes('re: last'))
  t.strictSame(alice.texts(LURK), answers(['one', ...sent, 'while you were away', 'last']))
  t.equal(await gateway.stop(), 0)
})
