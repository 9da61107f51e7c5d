import t, { type Test } from 'tap'
import { ChatQuestions } from '../../../src/cli/chat/chat-questions.js'
import { Conversation, type ConversationView } from '../../../src/cli/chat/conversation.js'
import { Inbox } from '../../client/scripted-gateway.js'
import { type ChatGateway, chatGateway, message, SESSION } from './chat-gateway.js'

interface Talk extends ChatGateway {
  readonly conversation: Conversation
  readonly seen: Inbox<string>
}

async function talk(t: Test): Promise<Talk> {
  const gateway = await chatGateway(t)
  const seen = new Inbox<string>()
  const view: ConversationView = {
    message: ({ content }) => seen.put(`message ${content}`),
    started: (agent) => seen.put(`started ${agent}`),
    delta: (text) => seen.put(`delta ${text}`),
    reasoning: (line) => seen.put(`reasoning ${line}`),
    tool: (title, failed) => seen.put(`tool ${title} ${failed}`),
    question: (text) => seen.put(`question ${text}`),
    questionOver: (how) => seen.put(`over ${how}`),
    interrupted: () => {},
    answered: (message) => seen.put(`answered ${message?.content ?? null}`),
    failed: ({ code }) => seen.put(`failed ${code}`),
    aborted: (reason, waiting) => seen.put(`aborted ${reason} ${waiting}`),
    notice: (text) => seen.put(`notice ${text}`),
  }
  const conversation = new Conversation({ client: gateway.client, sessionKey: SESSION, view })
  t.teardown(() => conversation.close())
  await conversation.begin()
  return { ...gateway, conversation, seen }
}

const run = (runId: string) => ({ runId, eventId: runId, agent: 'echo' })
const accepted = (runId: string) => ({ eventId: runId, seq: 1, runId, queued: 0 })

t.test(
  'it is idle when every run of its own has ended, even one that ended before its send was answered',
  async (t) => {
    const { conversation, asked, answer, event, seen } = await talk(t)
    const sending = conversation.send('quick')
    const sent = await asked.next()
    event('session.message', message({ role: 'user', content: 'quick' }), 1)
    event('session.message', message({ content: 'done' }), 2)
    event('agent.completed', { ...run('r1'), messageId: 'm' }, 3)
    t.equal(await seen.next(), 'answered done')
    answer(sent, accepted('r1'))
    await sending
    await conversation.idle()

    const second = conversation.send('slow')
    answer(await asked.next(), accepted('r2'))
    await second
    let idle = false
    const waiting = conversation.idle().then(() => {
      idle = true
    })
    event('agent.completed', { ...run('other'), messageId: null }, 4)
    t.equal(await seen.next(), 'answered null')
    t.notOk(idle, 'the run of another does not end ours')
    event('agent.aborted', { ...run('r2'), reason: 'because' }, 5)
    t.equal(await seen.next(), 'aborted because false')
    await waiting
  },
)

t.test('messages of others that come while a send is open are shown when it is answered', async (t) => {
  const { conversation, asked, answer, event, seen } = await talk(t)
  const sending = conversation.send('mine')
  const sent = await asked.next()
  event('session.message', message({ role: 'user', content: 'theirs', runId: 'r9' }), 1)
  event('session.message', message({ role: 'user', content: 'mine', runId: 'r1' }), 2)
  answer(sent, accepted('r1'))
  await sending
  t.equal(await seen.next(), 'message theirs')
  t.equal(seen.size, 0)
})

t.test('a refusal for lack of room is tried again with the same key, another one is not', async (t) => {
  const { conversation, asked, answer, fail } = await talk(t)
  const sending = conversation.send('x')
  const first = await asked.next()
  fail(first, { code: 'UNAVAILABLE', retryAfterMs: 1 })
  const second = await asked.next()
  t.same(second.params, first.params)
  answer(second, accepted('r1'))
  await sending
  const refused = conversation.send('y')
  fail(await asked.next(), { code: 'FORBIDDEN', retryable: false })
  await t.rejects(refused, { code: 'FORBIDDEN' })
})

t.test('after a gap it asks how its runs ended', async (t) => {
  const { conversation, asked, answer, fail, connection, accept, seen } = await talk(t)
  for (const runId of ['r1', 'r2', 'r3']) {
    const sending = conversation.send(runId)
    answer(await asked.next(), accepted(runId))
    await sending
  }
  connection().cut()
  t.match(await seen.next(), /^notice .*reconnecting/)
  await accept({ epoch: 'other', seq: 9, recovered: false })
  t.equal(await seen.next(), 'notice connected again')
  const waits = [await asked.next(), await asked.next(), await asked.next()]
  t.same(
    waits.map(({ method, params }) => [method, params?.runId]),
    [
      ['agent.wait', 'r1'],
      ['agent.wait', 'r2'],
      ['agent.wait', 'r3'],
    ],
  )
  answer(waits[0]!, {
    runId: 'r1',
    eventId: 'r1',
    status: 'completed',
    message: message({ content: 'yes' }),
    error: null,
  })
  t.equal(await seen.next(), 'answered yes')
  answer(waits[1]!, {
    runId: 'r2',
    eventId: 'r2',
    status: 'failed',
    message: null,
    error: { code: 'UNAVAILABLE' },
  })
  t.equal(await seen.next(), 'failed UNAVAILABLE')
  fail(waits[2]!, { code: 'NOT_FOUND', retryable: false })
  t.equal(await seen.next(), 'failed NOT_FOUND')
  await conversation.idle()
})

t.test('what was asked before it began, or while the connection was lost, is asked', async (t) => {
  const gateway = await chatGateway(t)
  const question = (requestId: string) => ({
    runId: 'r1',
    requestId,
    title: requestId,
    options: [{ id: 'a', name: 'Allow', kind: 'allow_once' }],
  })
  gateway.questions.push(question('one'))
  const seen: string[] = []
  const view = {
    question: (text: string) => seen.push(text.split('\n')[0]!),
    questionOver: (how: string | null) => seen.push(`over ${how}`),
  }
  const questions = new ChatQuestions({ client: gateway.client, sessionKey: SESSION, view })
  await questions.find()
  await questions.find()
  gateway.questions.splice(0, 1, question('two'))
  await questions.find()
  t.same(seen, ['one', 'over it is over', 'two'])
})

t.test('what is asked while an answer is on its way is shown when that has arrived, once', async (t) => {
  const gateway = await chatGateway(t)
  const question = (requestId: string) => ({
    runId: 'r1',
    requestId,
    title: requestId,
    options: [{ id: 'a', name: 'Allow', kind: 'allow_once' as const }],
  })
  const seen: string[] = []
  const view = {
    question: (text: string) => seen.push(text.split('\n')[0]!),
    questionOver: (how: string | null) => seen.push(`over ${how}`),
  }
  const questions = new ChatQuestions({ client: gateway.client, sessionKey: SESSION, view })
  questions.asked(question('one'))
  const answering = questions.answer('1')
  questions.asked(question('two'))
  t.equal(questions.choice('1'), null, 'nobody has seen it yet')
  questions.resolved({ requestId: 'one', outcome: 'answered', optionId: 'a' })
  gateway.answer(await gateway.asked.next(), { runId: 'r1' })
  await answering
  t.same(seen, ['one', 'over null', 'two'])
  t.ok(questions.choice('1'))
})
