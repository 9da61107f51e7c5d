import t from 'tap'
import { createEchoAgent } from '../../src/agents/echo.js'
import { ConfigError } from '../../src/config/problems.js'
import { agentSuite, createTestRun } from '../../src/testing/agent-suite.js'

t.test('behaves as every agent does', async (t) => {
  agentSuite(
    (name, body) => t.test(name, () => body()),
    async () => ({ agent: createEchoAgent(), ask: { content: 'hello', answer: 'hello', streams: false } }),
  )
})

t.test('answers an event that is no message with its type as JSON', async (t) => {
  const { event, context, deltas } = createTestRun({ event: { type: 'system.heartbeat' } })
  t.strictSame(await createEchoAgent().run(event, context), { content: '{"type":"system.heartbeat"}' })
  t.strictSame(deltas, [])
})

t.test('an empty message ends without an answer', async (t) => {
  const { event, context } = createTestRun({ content: '' })
  t.strictSame(await createEchoAgent().run(event, context), { content: '' })
})

t.test('takes no options', async (t) => {
  t.throws(() => createEchoAgent({ prefix: '>' }), ConfigError)
})
