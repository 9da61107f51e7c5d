import t from 'tap'
import { freePort } from '../helpers/free-port.js'
import { joinXmpp, startProsody } from '../helpers/prosody.js'
import { until } from '../helpers/until.js'
import { ChannelGateway } from './channel-gateway.js'
import { reconnects } from './channel-metrics.js'
import { ALICE, ROOM, USERS, xmppAt } from './chat-entries.js'

t.test('a wrong password, a dead host and a deleted account are one clear status each', async (t) => {
  // Prosody 0.12 forgets the reason to say while it hangs up if it is told something in that moment: nothing is to be told.
  const server = await startProsody(t, { users: USERS, withoutAcks: true })
  const gateway = await ChannelGateway.start(t, {
    connector: xmppAt(server, { password: undefined, passwordEnv: 'XMPP_PASSWORD' }),
    env: { XMPP_PASSWORD: 'wrong-one' },
  })
  const refused = {
    error: {
      code: 'UNAUTHORIZED',
      message: 'The XMPP server refused the login (not-authorized).',
      retryable: false,
    },
  }
  t.match(await gateway.becomes('failed'), refused)
  t.match(gateway.log(), [{ msg: 'channel failed', code: 'UNAUTHORIZED' }])
  t.equal(gateway.log().length, 1)
  t.ok(await gateway.isReady())
  t.notMatch(gateway.output(), /wrong-one/)
  await gateway.kill9()

  await gateway.startAgain({ XMPP_PASSWORD: USERS.lurk })
  await gateway.becomes('connected')
  const other = await joinXmpp(t, server, 'lurk', USERS.lurk)
  await other.deleteAccount()
  t.match(await gateway.becomes('failed'), {
    error: { code: 'UNAUTHORIZED', message: 'The XMPP server closed the connection (not-authorized).' },
  })
  const waits = { channel: 'xmpp', peer: ALICE, text: 'not lost' }
  await gateway.socket.call('channels.send', waits)
  t.match(await gateway.status(), { state: 'failed', pending: 1 })
  await gateway.socket.call('channels.start', { channel: 'xmpp' })
  await until(() => gateway.statuses().filter(({ state }) => state === 'failed').length === 2)
  t.match(await gateway.status(), refused)
  t.strictSame(
    gateway.log().map(({ msg }) => msg),
    ['channel connected', 'channel failed', 'channel failed'],
  )
  t.ok(await gateway.isReady())
  t.equal(await gateway.stop(), 0)

  const service = `xmpp://127.0.0.1:${await freePort()}`
  const dead = await ChannelGateway.start(t, { connector: xmppAt({ service }) })
  await until(async () => (await reconnects(dead)) >= 5)
  t.match(await dead.becomes('waiting'), { error: { code: 'UNAVAILABLE', message: /ECONNREFUSED/ } })
  t.match(dead.log(), [{ msg: 'channel waiting', code: 'UNAVAILABLE' }])
  t.equal(dead.log().length, 1)
  t.ok(await dead.isReady())
  t.equal(await dead.stop(), 0)
})

t.test('a room where it may not speak or be is one clear status, and harms nothing else', async (t) => {
  const server = await startProsody(t, { users: USERS })
  const alice = await joinXmpp(t, server, 'alice', USERS.alice)
  await alice.join(ROOM, 'Alice')
  await alice.configure(ROOM, { 'muc#roomconfig_moderatedroom': '1' })
  const connector = xmppAt(server, { rooms: [{ jid: ROOM, nick: 'Lurk' }], maxRejoins: 2 })
  const gateway = await ChannelGateway.start(t, { connector })
  await gateway.becomes('connected')
  const say = (peer: string, text: string) =>
    gateway.socket.request('channels.send', { channel: 'xmpp', peer, text, wait: true })

  await alice.change(ROOM, 'Lurk', { role: 'visitor' })
  const refused = { code: 'FORBIDDEN', message: /refused the message/, retryable: false }
  for (const text of ['one', 'two']) t.match(await say(ROOM, text), { error: refused })
  t.match(await gateway.status(), { state: 'connected', error: refused })
  t.match(await say(ALICE, 'hello'), { error: null })
  t.match(await gateway.status(), { state: 'connected', error: null })
  const told = gateway.statuses().filter(({ state, error }) => state === 'connected' && error !== null)
  t.equal(told.length, 1, 'the same again is no news')

  await alice.change(ROOM, 'Lurk', { affiliation: 'outcast' })
  await until(() => gateway.log().some(({ msg }) => msg === 'room lost for good'))
  const outside = { code: 'FORBIDDEN', message: `Not in ${ROOM} (forbidden).` }
  t.match(await gateway.status(), { state: 'connected', error: outside })
  t.match(await say(ROOM, 'hello?'), { error: refused })
  t.match(await say(ALICE, 'hello'), { error: null })
  t.match(await gateway.status(), { state: 'connected', error: outside }, 'it is still outside')
  const messages = gateway.statuses().map(({ error }) => error?.message)
  t.strictSame(messages.slice(-2), [`Not in ${ROOM} (banned).`, outside.message])
  t.match(await gateway.dead(), [
    { peer: ROOM, text: 'one', error: { code: 'FORBIDDEN' } },
    { peer: ROOM, text: 'two', error: { code: 'FORBIDDEN' } },
    { peer: ROOM, text: 'hello?', error: { code: 'FORBIDDEN' } },
  ])
  t.ok(await gateway.isReady())
  t.strictSame(
    gateway.log().map(({ msg }) => msg),
    [
      'channel connected',
      'delivery failed for good',
      'delivery failed for good',
      'room lost, it will be joined again',
      'room lost, it will be joined again',
      'room lost for good',
      'delivery failed for good',
    ],
  )
  t.equal(await gateway.stop(), 0)
})
