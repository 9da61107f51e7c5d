import t from 'tap'
import { joinXmpp, startProsody, type XmppPerson } from '../helpers/prosody.js'
import { until } from '../helpers/until.js'
import { ChannelGateway, HeldAgent } from './channel-gateway.js'
import { accepted, reconnects } from './channel-metrics.js'

const users = { lurk: 'lurk-secret', alice: 'alice-secret', bob: 'bob-secret' }
const LURK = 'lurk@localhost'
const ALICE = 'alice@localhost'
const ROOM = 'team@conference.localhost'

const at = ({ service }: { readonly service: string }, further: object = {}) => ({
  type: 'xmpp',
  jid: LURK,
  password: users.lurk,
  service,
  allowInsecure: true,
  allow: ['*'],
  rejoinDelayMs: 20,
  ...further,
})

const answers = (texts: readonly string[]) => texts.map((text) => `re: ${text}`)

/** Each message with an id, as clients give them. */
async function sayAll(person: XmppPerson, texts: readonly string[]): Promise<void> {
  for (const text of texts) await person.say(LURK, text, 'chat', `id of ${text}`)
}

t.test('people are answered in order, directly and in a room where they name it', async (t) => {
  const server = await startProsody(t, { users })
  const agent = await HeldAgent.start(t)
  const connector = at(server, { rooms: [{ jid: ROOM, nick: 'Lurk' }] })
  const gateway = await ChannelGateway.start(t, { connector, agent })
  await gateway.becomes('connected')
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  const bob = await joinXmpp(t, server, 'bob', users.bob)
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
  const server = await startProsody(t, { users })
  const agent = await HeldAgent.start(t)
  const gateway = await ChannelGateway.start(t, { connector: at(server), agent })
  await gateway.becomes('connected')
  const before = await joinXmpp(t, server, 'alice', users.alice)
  await sayAll(before, ['one'])
  await until(() => before.texts(LURK).length === 1)
  await gateway.pending(0)
  agent.hold()
  await sayAll(before, ['two', 'three', 'four', 'five'])
  await until(async () => (await accepted(gateway)) === 5 && agent.asked.length === 2)

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
  const alice = await joinXmpp(t, server, 'alice', users.alice)
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
  const server = await startProsody(t, { users })
  const agent = await HeldAgent.start(t)
  const gateway = await ChannelGateway.start(t, { connector: at(server), agent })
  await gateway.becomes('connected')
  const alice = await joinXmpp(t, server, 'alice', users.alice)
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

t.test('a server that dies is told once, and things go on where they were when it is back', async (t) => {
  const server = await startProsody(t, { users })
  const connector = at(server, { rooms: [{ jid: ROOM, nick: 'Lurk' }] })
  const gateway = await ChannelGateway.start(t, { connector })
  const said = (peer: string, text: string) =>
    gateway.socket.call('channels.send', { channel: 'xmpp', peer, text })
  for (const time of [1, 2]) {
    await gateway.becomes('connected')
    const before = await reconnects(gateway)
    await server.program.kill()
    // Attempt after attempt fails, ever in the same way.
    await until(async () => (await reconnects(gateway)) >= before + 5)
    const waiting = { state: 'waiting', error: { code: 'UNAVAILABLE', retryable: true }, retryInMs: Number }
    t.match(await gateway.becomes('waiting'), waiting)
    for (const text of ['a', 'b']) {
      await said(ALICE, `${time} ${text}`)
      await said(ROOM, `${time} ${text}`)
    }
    t.ok(await gateway.isReady())
    await server.program.start()
    await gateway.pending(0)
  }
  const alice = await joinXmpp(t, server, 'alice', users.alice)
  // Each was sent once, except where the first death came before it was heard of.
  await until(() => alice.texts(LURK).length === 4)
  t.strictSame(alice.texts(LURK), ['1 a', '1 b', '2 a', '2 b'])
  await alice.join(ROOM, 'Alice')
  await said(ROOM, '3')
  await until(() => alice.texts(`${ROOM}/Lurk`).includes('3'))
  const causes = gateway.log().flatMap(({ msg, cause }) => (msg === 'channel waiting' ? [cause] : []))
  t.equal(causes.filter((cause) => /ECONNREFUSED/.test(String(cause))).length, 1)
  t.equal(new Set(causes).size, causes.length, String(causes))
  t.equal(await gateway.stop(), 0)
})
