import t from 'tap'
import { ConfigError } from '../../src/config/problems.js'
import type { JsonObject } from '../../src/protocol/index.js'
import { createTestRun } from '../../src/testing/agent-suite.js'
import { ACP_PROGRAM, ACP_SECRET, failed, inSession, say, startAcp, who } from '../helpers/acp.js'
import { startApp } from '../helpers/app.js'
import { until } from '../helpers/until.js'

t.test('a process that dies fails its runs, to be tried again; the next run has another', async (t) => {
  const { agent, errors } = await startAcp(t)
  const before = await who(agent)
  const { event, context } = createTestRun({ content: 'hang', event: { sessionKey: 'test:2:main' } })
  const other = agent.run(event, context).catch((error) => error)
  const expected = {
    code: 'UNAVAILABLE',
    retryable: true,
    message: 'The agent’s process has ended (exit code 3).',
  }
  t.match(await failed(agent, 'crash'), expected)
  t.match(await other, expected)
  t.equal(errors().length, 1, 'the log has one line of it')
  const after = await who(agent)
  t.not(after.pid, before.pid)
  t.not(after.sessionId, before.sessionId)
})

t.test('a process that was killed is told of as such', async (t) => {
  const { agent } = await startAcp(t)
  const { pid } = await who(agent)
  const failing = failed(agent, 'hang')
  process.kill(pid, 'SIGKILL')
  t.match(await failing, { retryable: true, message: /\(SIGKILL\)/ })
})

for (const like of ['loads', 'resumes']) {
  t.test(`an agent that ${like} sessions goes on with them in its next process`, async (t) => {
    const { agent } = await startAcp(t, like)
    const { sessionId } = await who(agent)
    await failed(agent, 'crash', inSession())
    const prompts = JSON.parse((await say(agent, 'recall', inSession())).reply.content)
    t.equal(prompts.length, 3)
    t.match(prompts.slice(1), ['crash', 'recall'])
    t.equal((await who(agent)).sessionId, sessionId)
  })
}

t.test('a program that cannot start is tried again only after a while, which doubles', async (t) => {
  const { agent, errors, logged } = await startAcp(t, 'dies-at-start')
  const first = await failed(agent)
  t.match(first, {
    code: 'UNAVAILABLE',
    retryable: true,
    message: 'The agent’s process ended before it was ready (exit code 7).',
  })
  t.equal(first.retryAfterMs, 1_000)
  for (let runs = 0; runs < 20; runs++) {
    const next = await failed(agent)
    t.equal(next.message, first.message)
    t.ok(next.retryAfterMs! <= 1_000)
  }
  t.equal(errors().length, 1, 'the log has one line for all of them')
  t.match(logged, [['error', { agent: 'mine', waitMs: 1_000 }]])
})

t.test('what is wrong with the program is said once and clearly', async (t) => {
  const cases: [like: string, options: JsonObject, expected: object][] = [
    [
      '',
      { command: 'no-such-program' },
      {
        code: 'NOT_LINKED',
        retryable: false,
        message: /'no-such-program' cannot be started: there is no such program/,
      },
    ],
    ['', { command: './not/there' }, { code: 'NOT_LINKED', retryable: false }],
    ['', { command: '/' }, { code: 'NOT_LINKED', retryable: false, message: /EACCES/ }],
    ['old', {}, { code: 'NOT_LINKED', message: /speaks version 0/ }],
    ['silent', { startTimeoutMs: 300 }, { code: 'AGENT_TIMEOUT', message: /not ready within 300 ms/ }],
  ]
  for (const [like, options, expected] of cases) {
    const { agent, errors } = await startAcp(t, like, options)
    t.match(await failed(agent), expected, `${like} ${JSON.stringify(options)}`)
    t.match(await failed(agent), expected)
    t.equal(errors().length, 1)
  }
})

t.test('a run that is stopped while the process starts does not stop the others’ start', async (t) => {
  const { agent } = await startAcp(t)
  const control = new AbortController()
  const { event, context } = createTestRun({ content: 'ask', signal: control.signal })
  const stopped = agent.run(event, context)
  const other = say(agent, 'ask')
  control.abort()
  await t.rejects(stopped, { code: 'CANCELLED' })
  t.equal((await other).reply.content, 'Hello, you!')
})

t.test('a message that is too long ends the process', async (t) => {
  const { agent } = await startAcp(t, '', { maxMessageBytes: 50_000 })
  t.match(await failed(agent, 'huge'), { code: 'UNAVAILABLE', retryable: true, message: /has ended/ })
})

t.test('what the process writes beside the protocol does no harm', async (t) => {
  const { agent, logged } = await startAcp(t, 'chatters,noisy')
  t.equal((await say(agent, 'ask')).reply.content, 'Hello, you!')
  await agent.close?.()
  const lines = () => logged.filter(([, , message]) => message === 'an agent wrote to its standard error')
  await until(() => logged.some(([, , message]) => message.includes('left out')))
  t.equal(lines().length, 20)
  t.match(lines()[0], ['info', { agent: 'mine', line: 'line 0 [redacted]' }])
  const [, leftOut] = logged.at(-1)!
  t.ok((leftOut as { lines: number }).lines >= 980)
  t.equal(logged.length, 21)
})

t.test('options are checked', async (t) => {
  const problemsOf = async (options: JsonObject) => {
    const error: unknown = await startAcp(t, '', options).then(
      () => null,
      (error) => error,
    )
    return error instanceof ConfigError ? error.problems : []
  }
  t.match(await problemsOf({ cwd: './nowhere' }), [{ path: 'cwd', message: /expected a folder, found none/ }])
  t.match(await problemsOf({ cwd: ACP_PROGRAM }), [{ path: 'cwd' }])
  t.match(await problemsOf({ permission: 'maybe' }), [
    { path: 'permission', message: 'expected one of ask, allow, deny, found "maybe"' },
  ])
  const [problem] = await problemsOf({ env: { A: 7, B: ACP_SECRET } })
  t.match(problem, { path: 'env.A', message: 'expected text, found 7' })
})

t.test('in a gateway: a permission is an event, its answer a method, and a crash costs a try', async (t) => {
  const cwd = t.testdir()
  const mine = { type: 'acp', command: process.execPath, args: [ACP_PROGRAM], cwd }
  const { connect } = await startApp(t, {
    defaultAgent: 'mine',
    agents: { mine },
    lanes: { retry: { attempts: 2, backoffMs: 1 } },
  })
  const socket = await connect()
  const key = 'web:1:main'
  const asked = socket.call('sessions.send', { content: 'permission', wait: true }, key)
  const { payload } = await socket.event('agent.permission')
  t.match(payload, { title: 'Delete x', tool: { callId: 'c2' } })
  await socket.call('agent.answer', { requestId: payload.requestId, optionId: 'no' })
  t.equal((await asked).outcome.message.content, '{"outcome":"selected","optionId":"no"}')

  const stopped = await socket.call('sessions.send', { content: 'hang' }, key)
  await socket.event('agent.delta', ({ payload }) => payload.runId === stopped.runId)
  t.strictSame(await socket.call('agent.abort', { runId: stopped.runId }), { aborted: [stopped.runId] })
  const crashed = await socket.call('sessions.send', { content: 'crash', wait: true }, key)
  t.match(crashed.outcome, { status: 'failed', error: { code: 'UNAVAILABLE' } })
  t.ok(await socket.event('agent.retrying'))
  const next = await socket.call('sessions.send', { content: 'ask', wait: true }, key)
  t.match(next.outcome, { status: 'completed', message: { content: 'Hello, you!' } })
})
