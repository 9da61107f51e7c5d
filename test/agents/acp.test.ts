import t from 'tap'
import type { Agent } from '../../src/agents/agent.js'
import { GatewayError, type PermissionQuestion } from '../../src/protocol/index.js'
import { agentSuite, createTestRun } from '../../src/testing/agent-suite.js'
import { ACP_SECRET, failed, inSession, say, startAcp, who } from '../helpers/acp.js'

type Given = Parameters<typeof createTestRun>[0]

t.test('behaves as every agent does', async (t) => {
  agentSuite(
    (name, body) => t.test(name, () => body()),
    async () => {
      const { agent } = await startAcp(t)
      return {
        agent,
        ask: { content: 'ask', answer: 'Hello, you!', streams: true },
        hang: 'hang',
        fail: 'fail',
      }
    },
  )
})

t.test('what the agent does is told as it does it', async (t) => {
  const { agent } = await startAcp(t)
  const { reply, deltas, reports } = await say(agent, 'work')
  t.match(reply, {
    content: 'Let me look.\n\nIt is there.',
    usage: { used: 10, size: 100 },
    metadata: { stopReason: 'end_turn' },
  })
  t.strictSame(deltas, ['Let me look.', '\n\nIt is there.'])
  t.match(reports, [
    { type: 'reasoning', text: 'Hm.' },
    { type: 'tool', callId: 'c1', title: 'Look', status: 'started', input: { path: 'x' } },
    { type: 'tool', callId: 'c1', status: 'updated' },
    { type: 'tool', callId: 'c1', status: 'completed', output: [{ content: { text: 'found' } }] },
  ])
})

t.test('an event without content asks the agent nothing, and starts no process', async (t) => {
  const { agent } = await startAcp(t, 'dies-at-start')
  const { event, context } = createTestRun({ event: { type: 'system.heartbeat' } })
  t.strictSame(await agent.run(event, context), { content: '' })
})

t.test('the process has the environment, without what is the gateway’s', async (t) => {
  const { agent } = await startAcp(t)
  const { reply } = await say(agent, 'environment')
  const env = JSON.parse(reply.content)
  t.equal(env.ACP_SECRET, ACP_SECRET)
  t.equal(env.PATH, process.env.PATH)
  t.notOk(Object.keys(env).some((name) => name.startsWith('LURKBOT_')))
})

t.test('a permission', async (t) => {
  const selected = (optionId: string) => ({ outcome: 'selected', optionId })
  const answered = async (agent: Agent, given: Given = {}) =>
    JSON.parse((await say(agent, 'permission', given)).reply.content)

  t.test('is asked for', async (t) => {
    const { agent } = await startAcp(t)
    let asked: PermissionQuestion | undefined
    const onAsk = async (question: PermissionQuestion) => {
      asked = question
      return { optionId: 'yes' }
    }
    t.strictSame(await answered(agent, { onAsk }), selected('yes'))
    t.match(asked, {
      title: 'Delete x',
      options: [{ id: 'always', name: 'Always', kind: 'allow_always' }, { id: 'yes' }, { id: 'no' }],
      tool: { callId: 'c2', title: 'Delete x', status: 'started', input: { path: 'x' } },
    })
    const nobody = { onAsk: async () => ({ optionId: null }) }
    t.strictSame(await answered(agent, nobody), { outcome: 'cancelled' })
  })

  t.test('may be given or refused by configuration', async (t) => {
    const { agent } = await startAcp(t, '', { permission: 'allow' })
    t.strictSame(await answered(agent), selected('yes'))
    const { agent: strict } = await startAcp(t, '', { permission: 'deny' })
    t.strictSame(await answered(strict), selected('no'))
  })

  t.test('that nobody has answered is over when the run is stopped', async (t) => {
    const { agent } = await startAcp(t)
    const control = new AbortController()
    const onAsk = () => {
      control.abort()
      return new Promise<never>(() => {})
    }
    t.match(await failed(agent, 'permission', { onAsk, signal: control.signal }), { code: 'CANCELLED' })
    t.match((await say(agent, 'ask')).reply, { content: 'Hello, you!' })
  })
})

t.test('an answer that is longer than it may be is cancelled', async (t) => {
  const { agent } = await startAcp(t)
  const tooLong = new GatewayError('UNAVAILABLE', 'too long', { retryable: false })
  const onDelta = () => {
    throw tooLong
  }
  t.equal(await failed(agent, 'flood', { onDelta }), tooLong)
  t.match((await say(agent, 'ask')).reply, { content: 'Hello, you!' })
})

t.test('what the agent answers instead', async (t) => {
  const { agent } = await startAcp(t)
  const first = await failed(agent, 'fail')
  t.match(first, { code: 'UNAVAILABLE', retryable: true, message: /^The agent failed: .*no luck/ })
  t.match(first.message, /\[redacted\]/)
  t.match(await failed(agent, 'refuse'), { code: 'UNAVAILABLE', retryable: false, message: /never/ })
  t.match(await failed(agent, 'sign in'), { code: 'NOT_LINKED', retryable: false, message: /signed in/ })
  const { sessionId } = await who(agent)
  t.match(await failed(agent, 'lose', inSession('test:1:main')), { code: 'UNAVAILABLE', retryable: true })
  t.not((await who(agent)).sessionId, sessionId)
})
