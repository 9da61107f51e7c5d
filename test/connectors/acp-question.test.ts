import t from 'tap'
import { ACP_PROGRAM } from '../helpers/acp.js'
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
