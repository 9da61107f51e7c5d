import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { InputHistory } from '../../../src/cli/chat/input-history.js'
import { chatOnTerminal } from '../../../src/cli/chat/terminal-chat.js'
import { type ChatGateway, chatGateway, message, SESSION, screen } from './chat-gateway.js'

interface Chat extends ChatGateway {
  readonly ended: Promise<void>
  type(text: string): void
  shows(text: string, from?: number): Promise<void>
  text(): string
}

async function chat(
  t: Test,
  history: Parameters<typeof chatGateway>[1] = [],
  inputs?: InputHistory,
): Promise<Chat> {
  const gateway = await chatGateway(t, history)
  const input = new PassThrough()
  const { stream, text, shows } = screen()
  const ended = chatOnTerminal(gateway.client, SESSION, { input, output: stream, inputs })
  await shows('/help names the commands')
  return { ...gateway, ended, text, shows, type: (keys) => input.write(keys) }
}

const accepted = (runId: string) => ({ eventId: runId, seq: 1, runId, queued: 0 })
const run = { runId: 'r1', eventId: 'e1', agent: 'echo' }

t.test('an answer appears piece by piece and the final message is not repeated', async (t) => {
  const c = await chat(t)
  c.type('hello\r')
  const sent = await c.asked.next()
  t.match(sent, { method: 'sessions.send', sessionKey: SESSION, params: { content: 'hello' } })
  c.event('session.message', message({ role: 'user', content: 'hello' }), 1)
  c.answer(sent, accepted('r1'))
  c.event('agent.started', { ...run, attempt: 1 })
  c.event('agent.delta', { runId: 'r1', text: 'Good ' })
  await c.shows('echo> Good ')
  c.event('agent.delta', { runId: 'r1', text: 'mor' })
  c.event('session.message', message({ content: 'Good morning' }), 2)
  c.event('agent.completed', { ...run, messageId: 'm' }, 3)
  await c.shows('echo> Good morning\n')
  t.equal(c.text().split('Good').length, 2, 'once')
  t.notMatch(c.text(), /user> hello/, 'one’s own message is not shown as that of another')
  c.type('/quit\r')
  await c.ended
})

t.test('what was said before is shown at the start and by /history', async (t) => {
  const c = await chat(t, [message({ role: 'user', content: 'earlier' }), message({ content: 'answer' })])
  await c.shows('> earlier\n')
  await c.shows('echo> answer\n')
  const before = c.text().length
  c.type('/history\r')
  await c.shows('earlier\n', before)
  await c.shows('echo> answer\n', before)
  c.type('\u0004')
  await c.ended
})

t.test('messages of others, and answers that were not streamed, are shown whole', async (t) => {
  const c = await chat(t)
  c.event('session.message', message({ role: 'user', content: 'I am Ann', sender: 'ann', runId: 'r9' }), 1)
  await c.shows('ann> I am Ann')
  c.event('session.message', message({ role: 'user', content: 'elsewhere', runId: 'r8' }), 2, 'other:1')
  c.event('session.message', message({ content: 'Hi\u001b[31m Ann', runId: 'r9' }), 3)
  c.event('agent.completed', { ...run, runId: 'r9', messageId: 'm' }, 4)
  await c.shows('echo> Hi[31m Ann')
  t.notMatch(c.text(), /elsewhere/)
})

t.test('where deltas were dropped the final message is shown whole', async (t) => {
  const c = await chat(t)
  c.event('agent.started', { ...run, attempt: 1 })
  c.event('agent.delta', { runId: 'r1', text: 'one three' })
  c.event('session.message', message({ content: 'one two three' }), 1)
  c.event('agent.completed', { ...run, messageId: 'm' }, 2)
  await c.shows('echo> one three …\n')
  await c.shows('echo> one two three\n')
})

t.test('Ctrl-C stops the running answer; once more leaves', async (t) => {
  const c = await chat(t)
  c.event('agent.started', { ...run, attempt: 1 })
  c.event('agent.delta', { runId: 'r1', text: 'endless' })
  await c.shows('endless')
  c.type('\u0003')
  const abort = await c.asked.next()
  t.match(abort, { method: 'agent.abort', params: { runId: 'r1' } })
  c.answer(abort, { aborted: ['r1'] })
  c.event('agent.aborted', { ...run, reason: 'requested' }, 1)
  await c.shows('(aborted: requested)')
  c.type('\u0003')
  await c.ended
})

t.test('a failure is shown with its reason, and the chat goes on', async (t) => {
  const c = await chat(t)
  const error = { code: 'AGENT_TIMEOUT', message: 'too slow', details: null, retryable: true }
  c.event('agent.started', { ...run, attempt: 1 })
  c.event('agent.retrying', { ...run, attempt: 1, error, retryInMs: 1500 })
  await c.shows('(AGENT_TIMEOUT: too slow; next try in 2 s)')
  c.event('agent.failed', { ...run, error, attempts: 2 }, 1)
  await c.shows('(no answer: AGENT_TIMEOUT: too slow)')
  c.type('/reset\r')
  const reset = await c.asked.next()
  t.match(reset, { method: 'sessions.reset', sessionKey: SESSION })
  c.fail(reset, { code: 'FORBIDDEN', message: 'not yours', retryable: false })
  await c.shows('(FORBIDDEN: not yours)')
})

t.test(
  'a lost connection is announced, and a message sent meanwhile arrives once with the same key',
  async (t) => {
    const c = await chat(t)
    c.type('first\r')
    const first = await c.asked.next()
    c.connection().close(1012, 'restarting')
    await c.shows('(the connection ended: restarting; reconnecting)')
    await c.accept({ epoch: 'e', seq: 0, recovered: true })
    await c.shows('(connected again)')
    const again = await c.asked.next()
    t.same(again.params, first.params)
    t.ok(again.params?.idempotencyKey)
    c.answer(again, accepted('r1'))
  },
)

t.test('what a failed attempt streamed is left behind when the run begins anew', async (t) => {
  const c = await chat(t)
  c.event('agent.started', { ...run, attempt: 1 })
  c.event('agent.delta', { runId: 'r1', text: 'Half of' })
  c.event('agent.started', { ...run, attempt: 2 })
  c.event('agent.delta', { runId: 'r1', text: 'The whole' })
  c.event('session.message', message({ content: 'The whole answer' }), 1)
  c.event('agent.completed', { ...run, messageId: 'm' }, 2)
  await c.shows('echo> Half of …\n')
  await c.shows('echo> The whole answer\n')
})

t.test('an answer during which the connection was lost is shown whole at its end', async (t) => {
  const c = await chat(t)
  c.event('agent.started', { ...run, attempt: 1 })
  c.event('agent.delta', { runId: 'r1', text: 'one ' })
  await c.shows('echo> one ')
  c.connection().cut()
  await c.shows('echo> one  …\n')
  await c.shows('(the connection ended')
  await c.accept({ epoch: 'e', seq: 0, recovered: true })
  await c.shows('(connected again)')
  c.event('agent.delta', { runId: 'r1', text: 'three' })
  c.event('session.message', message({ content: 'one two three' }), 1)
  c.event('agent.completed', { ...run, messageId: 'm' }, 2)
  await c.shows('echo> one two three\n')
  t.notMatch(c.text(), /echo> three/)
})

t.test('what is typed while an answer streams is kept, and shown behind it', async (t) => {
  const c = await chat(t)
  c.event('agent.started', { ...run, attempt: 1 })
  c.event('agent.delta', { runId: 'r1', text: 'A' })
  await c.shows('echo> A')
  c.type('next question\r')
  const sent = await c.asked.next()
  c.answer(sent, accepted('r2'))
  c.type('draft')
  c.event('agent.delta', { runId: 'r1', text: 'B' })
  await c.shows('echo> AB')
  c.event('session.message', message({ content: 'ABC' }), 1)
  c.event('agent.completed', { ...run, messageId: 'm' }, 2)
  await c.shows('echo> ABC\n> next question\n> draft')
})

t.test('slashes are commands, two of them a message that begins with one', async (t) => {
  const c = await chat(t)
  c.type('/nonsense\r')
  await c.shows('(/nonsense: unknown command')
  c.type('/help\r')
  await c.shows('/abort    stops')
  c.type('//etc is a folder\r')
  const sent = await c.asked.next()
  t.equal(sent.params?.content, '/etc is a folder')
  c.answer(sent, accepted('r1'))
  for (const name of ['constructor', '__proto__']) {
    c.type(`${name}\r`)
    const other = await c.asked.next()
    t.equal(other.params?.content, name)
    c.answer(other, accepted(name))
  }
  c.type('/abort\r')
  const abort = await c.asked.next()
  t.match(abort, { method: 'agent.abort', sessionKey: SESSION, params: {} })
  c.answer(abort, { aborted: ['r1', 'r2'] })
  await c.shows('(stopped: 2)')
})

t.test('the chat ends with the client', async (t) => {
  const c = await chat(t)
  c.connection().close(4401)
  await c.ended
  t.equal(c.client.state.status, 'closed')
})

const QUESTION = {
  runId: 'r1',
  requestId: 'ask_1',
  title: 'Delete x?',
  options: [
    { id: 'allow', name: 'Allow', kind: 'allow_once' },
    { id: 'reject', name: 'Reject', kind: 'reject_once' },
  ],
}
const over = (fields: object) => ({
  runId: 'r1',
  requestId: 'ask_1',
  outcome: 'answered',
  optionId: null,
  ...fields,
})

t.test(
  'a question is shown with its options, answered by a bare number, and the answer goes on below',
  async (t) => {
    const c = await chat(t)
    c.event('agent.started', { ...run, attempt: 1 })
    c.event('agent.delta', { runId: 'r1', text: 'Let me see. ' })
    await c.shows('echo> Let me see.')
    c.event('agent.permission', {
      ...QUESTION,
      tool: { callId: 'c', status: 'started', input: { path: 'x' } },
    })
    await c.shows('echo> Let me see. \n')
    await c.shows('? Delete x?\n  {"path":"x"}\n  1. Allow\n  2. Reject\nanswer> ')
    c.type('2\r')
    const answer = await c.asked.next()
    t.match(answer, {
      method: 'agent.answer',
      sessionKey: SESSION,
      params: { requestId: 'ask_1', optionId: 'reject' },
    })
    c.event('agent.permissionResolved', over({ optionId: 'reject' }))
    c.answer(answer, { runId: 'r1' })
    c.event('agent.delta', { runId: 'r1', text: 'I left ' })
    await c.shows('echo> I left ')
    c.event('session.message', message({ content: 'Let me see. I left it.' }), 1)
    c.event('agent.completed', { ...run, messageId: 'm' }, 2)
    await c.shows('echo> I left it.\n> ')
    t.notMatch(c.text(), /elsewhere/)
    t.equal(c.text().split('Let me see').length, 2, 'once')
  },
)

t.test('a question is answered by name or command too, and all else is a message', async (t) => {
  const c = await chat(t)
  c.event('agent.permission', QUESTION)
  await c.shows('answer> ')
  for (const text of ['3', 'allow it', '//answer 1']) {
    c.type(`${text}\r`)
    const sent = await c.asked.next()
    t.equal(sent.method, 'sessions.send', text)
    c.answer(sent, accepted(text))
  }
  c.type('/answer 3\r')
  await c.shows("(INVALID_REQUEST: '3' is none of the answers.)")
  c.type('ALLOW\r')
  t.match(await c.asked.next(), { method: 'agent.answer', params: { optionId: 'allow' } })
})

t.test('a question that is over elsewhere says so, and the next one is shown', async (t) => {
  const c = await chat(t)
  c.event('agent.permission', QUESTION)
  c.event('agent.permission', { ...QUESTION, requestId: 'ask_2', title: 'Delete y?' })
  await c.shows('Delete x?')
  t.notMatch(c.text(), /Delete y/)
  c.event('agent.permissionResolved', over({ optionId: 'allow' }))
  await c.shows('(answered elsewhere: Allow)')
  await c.shows('? Delete y?')
  c.event('agent.permissionResolved', over({ requestId: 'ask_2', outcome: 'expired' }))
  await c.shows('(nobody answered in time)\n> ')
  c.type('/answer 1\r')
  await c.shows('(NOT_FOUND: Nothing is asked.)')
})

t.test('an answer that comes too late says so', async (t) => {
  const c = await chat(t)
  c.event('agent.permission', QUESTION)
  await c.shows('answer> ')
  c.type('1\r')
  c.fail(await c.asked.next(), { code: 'NOT_FOUND', message: 'It is over.', retryable: false })
  await c.shows('(it was over already)')
})

t.test('calls of tools are a line each, and reasoning is hidden until it is asked for', async (t) => {
  const c = await chat(t)
  c.event('agent.started', { ...run, attempt: 1 })
  c.event('agent.reasoning', { runId: 'r1', text: 'Secretly.\n' })
  const call = (fields: object) =>
    c.event('agent.tool', { runId: 'r1', callId: 'c1', status: 'updated', ...fields })
  call({ status: 'started', title: 'Look\naround' })
  call({})
  call({ status: 'completed' })
  call({ callId: 'c2', title: 'Dig', status: 'failed' })
  await c.shows('· Look around\n')
  await c.shows('· Dig\n')
  await c.shows('· Dig: failed\n')
  t.equal(c.text().split('· Look').length, 2, 'once')
  c.type('/reasoning\r')
  await c.shows('(reasoning is shown)')
  c.event('agent.reasoning', { runId: 'r1', text: 'First one\nthen ' })
  await c.shows('~ First one\n')
  c.event('agent.reasoning', { runId: 'r1', text: 'another.' })
  c.event('agent.delta', { runId: 'r1', text: 'Here.' })
  await c.shows('~ then another.\n')
  t.notMatch(c.text(), /Secretly/)
})

t.test(
  'a backslash at its end goes on with the next line; /paste takes any lines as one message',
  async (t) => {
    const c = await chat(t, [message({ role: 'user', content: 'two\nlines' })])
    await c.shows('> two\n… lines\n')
    c.type('one\\\rtwo\r')
    await c.shows('… two')
    const sent = await c.asked.next()
    t.match(sent.params, { content: 'one\ntwo' })
    c.answer(sent, accepted('r1'))
    c.type('/paste\r/abort\r\r  x\\\r/end\r')
    const pasted = await c.asked.next()
    t.match(pasted, { method: 'sessions.send', params: { content: '/abort\n\n  x\\' } })
    c.answer(pasted, accepted('r2'))
    c.type('half\\\r\u0003')
    await c.shows('(given up)')
    c.type('whole\r')
    t.match((await c.asked.next()).params, { content: 'whole' })
  },
)

t.test('the arrow keys bring back what was typed in an earlier chat', async (t) => {
  const home = t.testdir()
  const first = await chat(t, [], new InputHistory(home))
  first.type('remember me\r')
  first.answer(await first.asked.next(), accepted('r1'))
  first.type('/quit\r')
  await first.ended
  const second = await chat(t, [], new InputHistory(home))
  second.type('\u001b[A\u001b[A\r')
  t.match((await second.asked.next()).params, { content: 'remember me' })
})
