import t from 'tap'
import { joinIrc, startNgircd } from '../helpers/ngircd.js'
import { until } from '../helpers/until.js'
import { ChannelGateway, HeldAgent } from './channel-gateway.js'
import { ircAt } from './chat-entries.js'

t.test('people are answered in order, in private and in a channel where they name it', async (t) => {
  const server = await startNgircd(t)
  const agent = await HeldAgent.start(t)
  const connector = ircAt(server, { channels: ['#lobby'] })
  const gateway = await ChannelGateway.start(t, { connector, agent })
  await gateway.becomes('connected')
  const alice = await joinIrc(t, server.port, 'alice', ['#lobby'])
  const bob = await joinIrc(t, server.port, 'bob', ['#lobby'])

  const numbers = Array.from({ length: 12 }, (_, n) => String(n))
  for (const n of numbers) {
    alice.client.say('lurk', n)
    bob.client.say('lurk', `bob ${n}`)
  }
  bob.client.say('#lobby', 'does it read along?')
  bob.client.say('#lobby', 'lurk: what do you say?')
  const answers = (texts: readonly string[]) => texts.map((text) => `re: ${text}`)
  await until(() => alice.texts('#lobby').includes('re: what do you say?'))
  await until(() => alice.texts('alice').length >= 12 && bob.texts('bob').length >= 12)
  t.strictSame(alice.texts('alice'), answers(numbers))
  t.strictSame(bob.texts('bob'), answers(numbers.map((n) => `bob ${n}`)))
  t.strictSame(
    alice.texts('#lobby').filter((text) => text.startsWith('re: ')),
    ['re: what do you say?'],
  )
  t.notOk(agent.asked.includes('does it read along?'))
  t.equal(await gateway.stop(), 0)
})

t.test('what the gateway has is answered once and in order, whoever is killed in between', async (t) => {
  const server = await startNgircd(t)
  const agent = await HeldAgent.start(t)
  const gateway = await ChannelGateway.start(t, { connector: ircAt(server), agent })
  await gateway.becomes('connected')
  const before = await joinIrc(t, server.port, 'alice')
  before.client.say('lurk', 'one')
  await until(() => before.heard.length === 1)
  await gateway.pending(0)
  agent.hold()
  for (const text of ['two', 'three', 'four', 'five']) before.client.say('lurk', text)
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
  // The gateway is back before she is.
  await until(() => gateway.log().some(({ msg }) => msg === 'delivery is tried again'))
  const alice = await joinIrc(t, server.port, 'alice')
  await until(() => alice.heard.length === 2)
  agent.release()
  await until(() => alice.heard.length === 4)
  t.strictSame(
    [...before.texts('alice'), ...alice.texts('alice')],
    ['re: one', 're: two', 're: three', 're: four', 're: five'],
  )

  // The gateway alone, in the middle of a run; while it is away there is nobody who could hear.
  agent.hold()
  alice.client.say('lurk', 'six')
  alice.client.say('lurk', 'seven')
  await until(async () => (await gateway.accepted()) === 2 && agent.asked.at(-1) === 'six')
  await gateway.pending(0)
  await gateway.kill9()
  alice.client.say('lurk', 'nobody hears this')
  await gateway.startAgain()
  await gateway.becomes('connected')
  agent.release()
  alice.client.say('lurk', 'eight')
  await until(() => alice.heard.length === 7)
  t.strictSame(alice.texts('alice').slice(4), ['re: six', 're: seven', 're: eight'])
  t.notOk(agent.asked.includes('nobody hears this'))
  t.equal(await gateway.stop(), 0)
})
