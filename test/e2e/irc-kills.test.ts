import t from 'tap'
import { joinIrc, startNgircd } from '../helpers/ngircd.js'
import { until } from '../helpers/until.js'
import { ChannelGateway } from './channel-gateway.js'
import { reconnects } from './channel-metrics.js'
import { ircAt } from './chat-entries.js'

t.test('a gateway that is killed while it sends goes on with the part that was under way', async (t) => {
  const server = await startNgircd(t)
  const gateway = await ChannelGateway.start(t, {
    connector: ircAt(server, { burst: 1 }),
  })
  await gateway.becomes('connected')
  const alice = await joinIrc(t, server.port, 'alice')
  const texts = Array.from({ length: 40 }, (_, n) => `part ${n}`)
  const channel = gateway.channel
  await gateway.socket.call('channels.stop', { channel })
  for (const text of texts) await gateway.socket.call('channels.send', { channel, peer: 'alice', text })
  await gateway.socket.call('channels.start', { channel })
  await until(() => alice.texts('alice').length >= 5)
  await gateway.kill9()
  t.ok(alice.texts('alice').length < texts.length, 'there is something left')
  await gateway.startAgain()
  await until(() => alice.texts('alice').includes(`part ${texts.length - 1}`))
  await gateway.pending(0)
  const heard = alice.texts('alice')
  t.strictSame(
    heard.filter((text, i) => text !== heard[i - 1]),
    texts,
  )
  t.ok(heard.length <= texts.length + 1, 'only the one under way may come twice')
  t.equal(await gateway.stop(), 0)
})

t.test('a server that dies is told once, and things go on where they were when it is back', async (t) => {
  const server = await startNgircd(t)
  const connector = ircAt(server, { channels: ['#lobby'] })
  const gateway = await ChannelGateway.start(t, { connector })
  const said = (text: string) =>
    gateway.socket.call('channels.send', { channel: 'irc', peer: '#lobby', text })
  for (const time of [1, 2]) {
    await gateway.becomes('connected')
    const before = await reconnects(gateway)
    await server.program.kill()
    // Attempt after attempt fails, ever in the same way.
    await until(async () => (await reconnects(gateway)) >= before + 5)
    const waiting = { state: 'waiting', error: { code: 'UNAVAILABLE', retryable: true }, retryInMs: Number }
    t.match(await gateway.becomes('waiting'), waiting)
    await said(`${time} a`)
    await said(`${time} b`)
    t.ok(await gateway.isReady())
    await server.program.start()
    await gateway.pending(0)
  }
  const alice = await joinIrc(t, server.port, 'alice', ['#lobby'])
  await said('3')
  await until(() => alice.heard.length === 1)
  const causes = gateway.log().flatMap(({ msg, cause }) => (msg === 'channel waiting' ? [cause] : []))
  t.equal(causes.filter((cause) => /ECONNREFUSED/.test(String(cause))).length, 1)
  t.equal(new Set(causes).size, causes.length, String(causes))
  t.equal(await gateway.stop(), 0)
})
