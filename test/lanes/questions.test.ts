import t from 'tap'
import type { PermissionQuestion } from '../../src/protocol/index.js'
import { startScripted } from '../helpers/scripted-agent.js'

const KEY = 'web:1:main'
const QUESTION: PermissionQuestion = {
  title: 'Delete everything?',
  options: [
    { id: 'yes', name: 'Allow', kind: 'allow_once' },
    { id: 'no', name: 'Reject', kind: 'reject_once' },
  ],
  tool: { callId: 'c1', title: 'rm', status: 'started', input: { path: '/' } },
}

/** A run that asks. */
async function asking(
  t: Parameters<typeof startScripted>[0],
  overrides: Parameters<typeof startScripted>[1] = {},
) {
  const started = await startScripted(t, overrides)
  const socket = await started.connect()
  const { runId } = await socket.call('sessions.send', { content: 'x' }, KEY)
  const run = await started.agent.next()
  const answer = run.context.ask(QUESTION)
  answer.catch(() => {})
  const { payload } = await socket.event('agent.permission')
  return { ...started, socket, runId, run, answer, payload, requestId: payload.requestId as string }
}

t.test('a question reaches who watches, and the answer the agent', async (t) => {
  const { socket, connect, runId, run, answer, payload, requestId } = await asking(t)
  t.strictSame(payload, { runId, requestId, ...QUESTION })
  t.strictSame(await socket.call('agent.questions'), { questions: [{ sessionKey: KEY, ...payload }] })
  t.strictSame(await socket.call('agent.questions', {}, 'web:2:main'), { questions: [] })
  const other = await connect()
  t.strictSame(await other.call('agent.answer', { requestId, optionId: 'yes' }), { runId })
  t.strictSame(await answer, { optionId: 'yes' })
  const over = { runId, requestId, outcome: 'answered', optionId: 'yes' }
  t.strictSame((await socket.event('agent.permissionResolved')).payload, over)
  t.strictSame(await socket.call('agent.questions'), { questions: [] })
  t.match(await other.refused('agent.answer', { requestId, optionId: 'yes' }), { code: 'NOT_FOUND' })
  run.reply()
  await socket.event('agent.completed')
})

t.test('nobody may choose: the agent is to go without', async (t) => {
  const { socket, answer, requestId } = await asking(t)
  await socket.call('agent.answer', { requestId, cancel: true }, KEY)
  t.strictSame(await answer, { optionId: null })
  t.match((await socket.event('agent.permissionResolved')).payload, { outcome: 'declined', optionId: null })
})

t.test('an answer that is none leaves the question open', async (t) => {
  const { socket, answer, requestId } = await asking(t)
  for (const [params, message] of [
    [{ requestId }, /either an option of the question, or `cancel`/],
    [{ requestId, optionId: 'yes', cancel: true }, /either/],
    [{ requestId, optionId: 'maybe' }, /params.optionId: expected one of "yes", "no"/],
  ] as const) {
    t.match(await socket.refused('agent.answer', params), { code: 'INVALID_REQUEST', message })
  }
  t.match(await socket.refused('agent.answer', { requestId: 'other', cancel: true }), { code: 'NOT_FOUND' })
  t.match(await socket.refused('agent.answer', { requestId, cancel: true }, 'web:2:main'), {
    code: 'NOT_FOUND',
  })
  await socket.call('agent.answer', { requestId, optionId: 'no' })
  t.strictSame(await answer, { optionId: 'no' })
})

t.test('only who may write to the session answers', async (t) => {
  const tokens = [
    { name: 'all', token: 'token-for-everything', scopes: ['read', 'write'] },
    { name: 'reader', token: 'token-that-only-reads', scopes: ['read'] },
    { name: 'other', token: 'token-for-another-session', scopes: ['read', 'write'], sessions: ['mine:*'] },
  ]
  const { connect, agent } = await startScripted(t, { auth: { enabled: true, tokens } } as object)
  const as = (token: string) => connect({ auth: { token } })
  const all = await as('token-for-everything')
  const other = await as('token-for-another-session')
  await all.call('sessions.send', { content: 'x' }, KEY)
  const answer = (await agent.next()).context.ask(QUESTION)
  const { requestId } = (await all.event('agent.permission')).payload
  const reader = await as('token-that-only-reads')
  t.match(await reader.refused('agent.answer', { requestId, optionId: 'yes' }), { code: 'FORBIDDEN' })
  t.match(await other.refused('agent.answer', { requestId, optionId: 'yes' }), { code: 'NOT_FOUND' })
  t.strictSame(await other.call('agent.questions'), { questions: [] })
  t.equal((await reader.call('agent.questions')).questions.length, 1)
  await all.call('agent.answer', { requestId, optionId: 'yes' })
  t.strictSame(await answer, { optionId: 'yes' })
  t.notOk(other.events().some(({ event }) => event.startsWith('agent.permission')))
})

t.test('a question ends', async (t) => {
  t.test('with its run’s abort', async (t) => {
    const { socket, answer, runId, requestId } = await asking(t)
    await socket.call('agent.abort', { runId })
    await t.rejects(answer, { code: 'CANCELLED' })
    t.match(await socket.refused('agent.answer', { requestId, cancel: true }), { code: 'NOT_FOUND' })
    await socket.event('agent.permissionResolved')
  })

  t.test('with its run’s time', async (t) => {
    const { socket, answer, url } = await asking(t, {
      agents: { scripted: { type: 'scripted', timeoutMs: 50 } },
    })
    await t.rejects(answer, { code: 'CANCELLED' })
    t.match((await socket.event('agent.permissionResolved')).payload, { outcome: 'expired' })
    const metrics = await (await fetch(`${url}/metrics`)).text()
    t.match(metrics, /^gateway_questions_open 0$/m)
    t.match(metrics, /^gateway_questions_total\{outcome="expired"\} 1$/m)
    await socket.event('agent.failed')
  })

  t.test('with its run', async (t) => {
    const { socket, answer, run } = await asking(t)
    run.reply()
    await t.rejects(answer, { code: 'CANCELLED' })
    t.match((await socket.event('agent.permissionResolved')).payload, { outcome: 'ended' })
    await t.rejects(run.context.ask(QUESTION), { code: 'CANCELLED' })
  })

  t.test('when its agent does not want to know any more', async (t) => {
    const { socket, run } = await asking(t)
    const control = new AbortController()
    const second = run.context.ask({ ...QUESTION, title: 'Second' }, control.signal)
    await socket.event('agent.permission', ({ payload }) => payload.title === 'Second')
    control.abort()
    await t.rejects(second, { code: 'CANCELLED' })
    await socket.event('agent.permissionResolved')
    t.equal((await socket.call('agent.questions')).questions.length, 1)
  })
})

t.test('a run may have so many questions open; what is no question is refused', async (t) => {
  const { run, answer, socket, requestId } = await asking(t, { lanes: { reports: { maxQuestions: 1 } } })
  await t.rejects(run.context.ask(QUESTION), { code: 'UNAVAILABLE', retryable: false })
  await socket.call('agent.answer', { requestId, cancel: true })
  await answer
  await t.rejects(run.context.ask({ ...QUESTION, options: [] }), { code: 'INVALID_REQUEST' })
})
