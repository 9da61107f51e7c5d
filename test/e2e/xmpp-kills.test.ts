import t from 'tap'
import { joinXmpp, startProsody } from '../helpers/prosody.js'
import { until } from '../helpers/until.js'
import { ChannelGateway } from './channel-gateway.js'
import { reconnects } from './channel-metrics.js'
import { ALICE, LURK, ROOM, USERS, xmppAt } from './chat-entries.js'

t.test('a gateway that is killed while it sends goes on with the part that was under way', async (t) => {
  const server = await startProsody(t, { users: USERS })
  const gateway = await ChannelGateway.start(t, { connector: xmppAt(server) })
  await gateway.becomes('connected')
  const alice = await joinXmpp(t, server, 'alice', USERS.alice)
  const texts = Array.from({ length: 40 }, (_, n) => `part ${n}`)
  const channel = gateway.channel
  await gateway.socket.call('channels.stop', { channel })
  for (const text of texts) await gateway.socket.call('channels.send', { channel, peer: ALICE, text })
  await gateway.socket.call('channels.start', { channel })
  await until(() => alice.texts(LURK).length >= 5)
  await gateway.kill9()
  t.ok(alice.texts(LURK).length < texts.length, 'there is something left')
  await gateway.startAgain()
  await until(() => alice.texts(LURK).includes(`part ${texts.length - 1}`))
  await gateway.pending(0)
  const heard = alice.texts(LURK)
  t.strictSame(
    heard.filter((text, i) => text !== heard[i - 1]),
    texts,
  )
  t.ok(heard.length <= texts.length + 1, 'only the one under way may come twice')
  t.equal(await gateway.stop(), 0)
})

t.test('a server that dies is told once, and things go on where they were when it is back', async (t) => {
  const server = await startProsody(t, { users: USERS })
  const connector = xmppAt(server, { rooms: [{ jid: ROOM, nick: 'Lurk' }] })
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
  const alice = await joinXmpp(t, server, 'alice', USERS.alice)
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
