import t from 'tap'
import { freePort } from '../helpers/free-port.js'
import { joinIrc, startNgircd } from '../helpers/ngircd.js'
import { until } from '../helpers/until.js'
import { ChannelGateway } from './channel-gateway.js'
import { reconnects } from './channel-metrics.js'
import { ircAt } from './chat-entries.js'

t.test('a wrong password and a dead host are one clear status each', async (t) => {
  const server = await startNgircd(t, { password: 'right' })
  const wrong = await ChannelGateway.start(t, {
    connector: ircAt(server, { passwordEnv: 'IRC_PASSWORD' }),
    env: { IRC_PASSWORD: 'wrong-one' },
  })
  t.match(await wrong.becomes('failed'), {
    error: { code: 'UNAUTHORIZED', message: /Access denied: Bad password/, retryable: false },
  })
  t.match(wrong.log(), [{ msg: 'channel failed', code: 'UNAUTHORIZED' }])
  t.equal(wrong.log().length, 1)
  t.ok(await wrong.isReady())
  t.notMatch(wrong.output(), /wrong-one/)
  t.equal(await wrong.stop(), 0)

  const dead = await ChannelGateway.start(t, { connector: ircAt({ port: await freePort() }) })
  await until(async () => (await reconnects(dead)) >= 5)
  t.match(await dead.becomes('waiting'), { error: { code: 'UNAVAILABLE', message: /ECONNREFUSED/ } })
  t.match(dead.log(), [{ msg: 'channel waiting', code: 'UNAVAILABLE' }])
  t.equal(dead.log().length, 1)
  t.ok(await dead.isReady())
  t.equal(await dead.stop(), 0)
})

t.test('a channel where it may not speak or be is one clear status, and harms nothing else', async (t) => {
  const server = await startNgircd(t, { further: ['[Channel]', 'Name = #quiet', 'Modes = +m'] })
  const alice = await joinIrc(t, server.port, 'alice', ['#lobby'])
  const connector = ircAt(server, { channels: ['#lobby', '#quiet'], maxRejoins: 2 })
  const gateway = await ChannelGateway.start(t, { connector })
  await gateway.becomes('connected')
  const say = (peer: string, text: string) =>
    gateway.socket.request('channels.send', { channel: 'irc', peer, text, wait: true })

  const refused = { code: 'FORBIDDEN', message: /404/, retryable: false }
  for (const text of ['one', 'two']) t.match(await say('#quiet', text), { error: refused })
  t.match(await gateway.status(), { state: 'connected', error: refused })
  t.match(await say('alice', 'hello'), { error: null })
  t.match(await gateway.status(), { state: 'connected', error: null })
  const told = gateway.statuses().filter(({ state }) => state === 'connected')
  t.match(
    told.slice(-2).map(({ error }) => error),
    [refused, null],
  )
  t.equal(told.filter(({ error }) => error !== null).length, 1, 'the same again is no news')

  alice.client.raw('MODE', '#lobby', '+bn', 'lurk!*@*')
  alice.client.raw('KICK', '#lobby', 'lurk', 'enough')
  await until(() => gateway.log().some(({ msg }) => msg === 'room lost for good'))
  const outside = {
    state: 'connected',
    error: { code: 'FORBIDDEN', message: /^Not in #lobby \(474 .*\)\.$/ },
  }
  t.match(await gateway.status(), outside)
  t.match(await say('#lobby', 'hello?'), { error: refused })
  t.match(await say('alice', 'hello'), { error: null })
  t.match(await gateway.status(), outside, 'it is still outside')
  const messages = gateway.statuses().map(({ error }) => error?.message)
  t.match(messages.slice(-2), [/^Not in #lobby \(kicked by alice: enough\)\.$/, /474/])
  t.match(await gateway.dead(), [
    { peer: '#quiet', text: 'one', error: { code: 'FORBIDDEN' } },
    { peer: '#quiet', text: 'two', error: { code: 'FORBIDDEN' } },
    { peer: '#lobby', text: 'hello?', error: { code: 'FORBIDDEN' } },
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
