import t from 'tap'
import { ACP_PROGRAM } from '../helpers/acp.js'
import { startApp } from '../helpers/app.js'
import { joinIrc, startNgircd } from '../helpers/ngircd.js'
import { startChannel } from '../helpers/scripted-connector.js'
import { until } from '../helpers/until.js'

t.test('a permission of a real agent is asked and answered on the channel that it works for', async (t) => {
  const agent = { type: 'acp', command: process.execPath, args: [ACP_PROGRAM], cwd: t.testdir() }
  const { connector } = await startChannel(t, {
    defaultAgent: 'coder',
    agents: { coder: agent, scripted: { type: 'scripted' } },
  })
  await until(() => connector.listens.length === 1)
  const texts = () => connector.sent.map(({ text }) => text)

  await connector.receive('ask')
  await until(() => connector.sent.length === 1)
  await connector.receive('permission')
  await until(() => connector.sent.length === 2)
  t.match(texts()[1], /Delete x\n\{"path":"x"\}\n1\. Always\n2\. Yes\n3\. No\n/)
  await connector.receive('what is said meanwhile')
  await connector.receive('/answer 3')
  await until(() => connector.sent.length === 5)
  const others = texts().filter((text) => text !== 'Answered: No')
  t.match(others, [
    'Hello, you!',
    /Delete x/,
    '{"outcome":"selected","optionId":"no"}',
    '["ask","permission","what is said meanwhile"]',
  ])
  t.equal(others.length, 4)
})

t.test(
  'on IRC, where clients keep a slash to themselves, an answer has a form that can be typed',
  async (t) => {
    const { port } = await startNgircd(t)
    const coder = { type: 'acp', command: process.execPath, args: [ACP_PROGRAM], cwd: t.testdir() }
    const irc = { type: 'irc', host: '127.0.0.1', port, tls: false, nick: 'lurk', messagesPerSecond: 100 }
    const { app } = await startApp(t, {
      defaultAgent: 'coder',
      agents: { coder },
      connectors: { irc: { ...irc, channels: ['#lobby'], allow: ['#lobby', 'alice'] } as { type: string } },
    })
    await until(() => app.channels.get('irc')!.ready)
    const alice = await joinIrc(t, port, 'alice', ['#lobby'])
    const bob = await joinIrc(t, port, 'bob', ['#lobby'])
    for (const [peer, where] of [
      ['lurk', 'alice'],
      ['#lobby', '#lobby'],
    ] as const) {
      const heard = () => alice.texts(where).join('\n')
      alice.client.say(peer, peer === 'lurk' ? 'permission' : 'lurk: permission')
      await until(() => heard().includes('such as !answer 1'))
      t.match(heard(), /Delete x\n\{"path":"x"\}\n1\. Always\n2\. Yes\n3\. No\n/)
      // Of those who may write in a group anyone may answer.
      const who = peer === 'lurk' ? alice : bob
      who.client.say(peer, '!answer 2')
      await until(() => heard().includes('"optionId":"yes"'))
      await until(() => heard().includes('Answered: Yes'))
    }
  },
)
