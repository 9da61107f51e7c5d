import t from 'tap'
import type { Agent } from '../../src/agents/agent.js'
import type { GatewayError } from '../../src/protocol/index.js'
import { createTestRun } from '../../src/testing/agent-suite.js'
import { ACP_PROGRAM, failed, inSession, isAlive, message, say, startAcp, who } from '../helpers/acp.js'
import { gatewayEnv, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

t.test('each session of the gateway has one of the agent, all of them one process', async (t) => {
  const { agent, cwd } = await startAcp(t)
  const [one, again, other] = [await who(agent, 'a:1'), await who(agent, 'a:1'), await who(agent, 'a:2')]
  t.equal(again.sessionId, one.sessionId)
  t.not(other.sessionId, one.sessionId)
  t.equal(other.pid, one.pid)
  t.equal(one.cwd, cwd)
})

t.test('a conversation that begins is told what was said before, once', async (t) => {
  const { agent } = await startAcp(t)
  const history = [message('user', 'hi'), message('assistant', 'hello')]
  const first = await say(agent, 'recall', { history })
  const expected =
    'What was said before in this conversation:\n\nuser: hi\n\nassistant: hello\n\nWhat is said now:\n\nrecall'
  t.strictSame(JSON.parse(first.reply.content), [expected])
  const second = await say(agent, 'more', { history })
  t.strictSame(JSON.parse(second.reply.content), [expected, 'more'])
  // Of a session that was reset nothing was said before.
  const reset = await say(agent, 'anew', { history: [] })
  t.strictSame(JSON.parse(reset.reply.content), ['anew'])
})

t.test('mode and model', async (t) => {
  t.test('are set in each conversation', async (t) => {
    const { agent } = await startAcp(t, '', { mode: 'plan', model: 'big' })
    t.strictSame((await who(agent, 'a:1')).settings, { mode: 'plan', 'the-model': 'big' })
    t.strictSame((await who(agent, 'a:2')).settings, { mode: 'plan', 'the-model': 'big' })
  })
  t.test('that the agent does not have are NOT_LINKED', async (t) => {
    const { agent } = await startAcp(t, '', { mode: 'fast' })
    const message = "The agent does not offer the mode 'fast'; it offers: code, plan."
    t.match(await failed(agent, 'ask'), { code: 'NOT_LINKED', retryable: false, message })
    const { agent: other } = await startAcp(t, '', { model: 'huge' })
    t.match(await failed(other, 'ask'), { code: 'NOT_LINKED', message: /it offers: small, big/ })
  })
})

t.test('stopping a run', async (t) => {
  const stop = async (agent: Agent, content: string) => {
    const control = new AbortController()
    const { event, context } = createTestRun({ content, ...inSession('a:1'), signal: control.signal })
    const run = agent.run(event, context)
    setTimeout(() => control.abort(), 20)
    await t.rejects(run, { code: 'CANCELLED' })
  }

  t.test('leaves the conversation as it was; the next run waits until the agent has stopped', async (t) => {
    const { agent } = await startAcp(t)
    const { sessionId } = await who(agent, 'a:1')
    await stop(agent, 'slow')
    const { reply, deltas } = await say(agent, 'recall', inSession('a:1'))
    t.match(JSON.parse(reply.content).slice(1), ['slow', 'recall'])
    t.equal(deltas.join(''), reply.content)
    t.equal((await who(agent, 'a:1')).sessionId, sessionId)
  })

  t.test('that does not stop leaves the conversation to itself; it begins anew', async (t) => {
    const { agent } = await startAcp(t, '', { cancelTimeoutMs: 50 })
    const { sessionId, pid } = await who(agent, 'a:1')
    await stop(agent, 'deaf')
    const next = await who(agent, 'a:1')
    t.not(next.sessionId, sessionId)
    t.equal(next.pid, pid)
  })
})

t.test('so many conversations are kept', async (t) => {
  const { agent } = await startAcp(t, '', { maxSessions: 2 })
  const first = await who(agent, 'a:1')
  const second = await who(agent, 'a:2')
  await who(agent, 'a:1')
  await who(agent, 'a:3')
  t.equal((await who(agent, 'a:1')).sessionId, first.sessionId)
  t.not((await who(agent, 'a:2')).sessionId, second.sessionId)

  const control = new AbortController()
  const { agent: small } = await startAcp(t, '', { maxSessions: 1 })
  const hanging = failed(small, 'hang', {
    ...inSession('a:1'),
    signal: control.signal,
    onDelta: () => setImmediate(busy),
  })
  let refused: Promise<GatewayError> | undefined
  const busy = () => {
    refused = failed(small, 'ask', inSession('a:2'))
    refused.finally(() => control.abort())
  }
  await hanging
  t.match(await refused, { code: 'UNAVAILABLE', retryable: true, message: /works on 1 conversations/ })
})

t.test('close ends the process, even one that does not want to', async (t) => {
  for (const like of ['', 'stubborn']) {
    const { agent } = await startAcp(t, like)
    const { pid } = await who(agent)
    await agent.close?.()
    t.notOk(isAlive(pid))
    t.match(await failed(agent, 'ask'), { code: 'CANCELLED' })
  }
})

t.test('a process without work rests until the next run', async (t) => {
  const { agent, logged } = await startAcp(t, 'loads', { idleTimeoutMs: 1 })
  const { pid, sessionId } = await who(agent)
  await until(() => !isAlive(pid))
  const next = await who(agent)
  t.not(next.pid, pid)
  t.equal(next.sessionId, sessionId, 'and it goes on with its conversations')
  t.strictSame(
    logged.filter(([level]) => level === 'error'),
    [],
  )
})

t.test('a gateway that is killed takes the agent’s process along', async (t) => {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const agents = { mine: { type: 'acp', command: process.execPath, args: [ACP_PROGRAM], cwd: home } }
  const gateway = await startGateway({
    home,
    env: gatewayEnv(home, {
      LURKBOT_GATEWAY__AGENTS: JSON.stringify(agents),
      LURKBOT_GATEWAY__DEFAULT_AGENT: 'mine',
    }),
  })
  t.teardown(() => gateway.kill9())
  const socket = await TestSocket.greeted(t, gateway.wsUrl)
  const { outcome } = await socket.call('sessions.send', { content: 'who', wait: true }, 'web:1:main')
  const { pid } = JSON.parse(outcome.message.content)
  t.ok(isAlive(pid))
  await gateway.kill9()
  await until(() => !isAlive(pid))
})
