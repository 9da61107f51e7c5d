import t, { type Test } from 'tap'
import type { PermissionQuestion } from '../../src/protocol/index.js'
import type { ScriptedAgent } from '../helpers/scripted-agent.js'
import { ScriptedConnector, startChannel } from '../helpers/scripted-connector.js'
import { until } from '../helpers/until.js'

const KEY = 'scripted:7:main'

const asks = (title: string, ...names: string[]): PermissionQuestion => ({
  title,
  options: names.map((name) => ({ id: name.toLowerCase(), name, kind: 'allow_once' })),
})

/** What the people of a conversation have read. */
const texts = ({ sent }: ScriptedConnector) => sent.map(({ text }) => text)

/** A run of someone's message. */
async function run(connector: ScriptedConnector, agent: ScriptedAgent, text = 'tidy up', from = {}) {
  await connector.receive(text, from)
  return agent.next()
}

async function started(t: Test, options: Parameters<typeof startChannel>[1] = {}) {
  const made = await startChannel(t, options)
  await until(() => made.app.channels.get('scripted')!.ready)
  return made
}

t.test('who wrote is asked, in its place in the conversation, and answers by number', async (t) => {
  const { connector, agent, connect, url } = await started(t)
  const socket = await connect()
  const { context, reply } = await run(connector, agent).then((run) => ({
    context: run.context,
    reply: (text: string) => run.reply(text),
  }))
  const tool = { callId: 'c', status: 'started' as const, input: { path: '/tmp/x' } }
  const answer = context.ask({ ...asks('Delete it?', 'Always', 'Yes', 'No'), tool })
  await until(() => connector.sent.length === 1)
  t.match(connector.sent, [{ target: { peer: '7', thread: null }, replyTo: 'm1', runId: null }])
  t.equal(
    connector.sent[0]!.text,
    'The agent asks for permission:\nDelete it?\n{"path":"/tmp/x"}\n1. Always\n2. Yes\n3. No\n' +
      'Answer with /answer and the number, such as /answer 1',
  )
  const metrics = async () => (await fetch(`${url}/metrics`)).text()
  t.match(await metrics(), /^gateway_questions_open 1$/m)
  t.match(await connector.receive('/answer 4'), { reason: 'command' })
  t.match(await connector.receive('/answer'), { reason: 'command' })
  t.match(await connector.receive('!answer 2'), { reason: 'command' })
  t.strictSame(await answer, { optionId: 'yes' })
  t.match((await socket.event('agent.permissionResolved')).payload, { outcome: 'answered', optionId: 'yes' })
  reply('Deleted.')
  await until(() => connector.sent.length === 5)
  const none = 'That is none of the answers. Answer with /answer and the number, such as /answer 1'
  t.strictSame(texts(connector).slice(1), [none, none, 'Answered: Yes', 'Deleted.'])
  t.match(await metrics(), /^gateway_questions_total\{outcome="answered"\} 1$/m)
  await connector.receive('/answer 2')
  await until(() => connector.sent.length === 6)
  t.equal(texts(connector).at(-1), 'That question is over.')
})

t.test('one question at a time, and an answer to one is never one to the next', async (t) => {
  const { connector, agent, connect } = await started(t)
  const socket = await connect()
  const { context } = await run(connector, agent)
  const first = context.ask(asks('First?', 'Yes', 'No'))
  const second = context.ask(asks('Second?', 'Yes', 'No'))
  await until(() => connector.sent.length === 1)
  const { questions } = await socket.call('agent.questions')
  t.equal(questions.length, 2)
  await socket.call('agent.answer', { requestId: questions[0].requestId, optionId: 'no' })
  t.strictSame(await first, { optionId: 'no' })
  await until(() => connector.sent.length === 2)
  t.match(
    texts(connector)[1],
    /Second\?\n3\. Yes\n4\. No\nAnswer with \/answer and the number, such as \/answer 3$/,
  )
  await connector.receive('/answer 1')
  await until(() => connector.sent.length === 3)
  t.equal(texts(connector)[2], 'That question is over.')
  await connector.receive('/answer 3')
  t.strictSame(await second, { optionId: 'yes' })
})

t.test('only who may write answers; in a group that is anyone who may, without a mention', async (t) => {
  const { connector, agent } = await started(t, { connector: { allow: ['7', '9'] } })
  const group = { peer: '#room', group: true }
  const { context } = await run(connector, agent, 'tidy up', { ...group, mentioned: true })
  const answer = context.ask(asks('Sure?', 'Yes', 'No'))
  await until(() => connector.sent.length === 1)
  t.match(await connector.receive('/answer 1', { ...group, sender: { id: '8' } }), { reason: 'not_allowed' })
  t.match(await connector.receive('/answer 1', { sender: { id: '9' }, peer: '9' }), { reason: 'command' })
  await until(() => connector.sent.length === 2)
  t.match(connector.sent[1], { target: { peer: '9' }, text: 'Nothing is being asked.' })
  t.match(await connector.receive('/answer 2', { ...group, sender: { id: '9' } }), { reason: 'command' })
  t.strictSame(await answer, { optionId: 'no' })
})

t.test('an answer does not wait behind messages of its conversation', async (t) => {
  const { connector, agent } = await started(t, { lanes: { capacity: 1 } })
  const { context } = await run(connector, agent)
  const answer = context.ask(asks('Sure?', 'Yes'))
  await until(() => connector.sent.length === 1)
  await connector.receive('one more')
  connector.receive('one too many').catch(() => {})
  await connector.receive('/answer 1')
  t.strictSame(await answer, { optionId: 'yes' })
})

t.test('a question that is over when the platform is back is not asked any more', async (t) => {
  const { connector, agent, connect } = await started(t)
  const socket = await connect()
  const asking = await run(connector, agent)
  await socket.call('channels.stop', { channel: 'scripted' })
  const answer = asking.context.ask(asks('Sure?', 'Yes'))
  const { requestId } = (await socket.event('agent.permission')).payload
  await until(async () => (await socket.call('channels.list', {})).channels[0].pending === 1)
  await socket.call('agent.answer', { requestId, optionId: 'yes' })
  await answer
  asking.reply('done')
  await until(async () => (await socket.call('channels.list', {})).channels[0].pending === 2)
  await socket.call('channels.start', { channel: 'scripted' })
  await until(() => connector.sent.length === 1)
  t.strictSame(texts(connector), ['done'])
})

t.test('a question of before a restart is asked by the new run alone', async (t) => {
  const config = { journal: { type: 'sqlite' as const } }
  const first = await started(t, config)
  first.connector.onSend = () => new Promise<never>(() => {})
  const { context } = await run(first.connector, first.agent)
  context.ask(asks('Before?', 'Yes')).catch(() => {})
  await until(() => first.connector.sent.length === 1)
  await first.app.close()
  const next = await startChannel(t, config, new ScriptedConnector(), { home: first.home })
  const again = await next.agent.next()
  const answer = again.context.ask(asks('After?', 'Yes'))
  await until(() => next.connector.sent.length === 1)
  t.match(texts(next.connector), [/After\?/])
  await next.connector.receive('/answer 1')
  t.strictSame(await answer, { optionId: 'yes' })
})

t.test('whom nothing came from is not asked, nor where the configuration says so', async (t) => {
  const { connector, agent, connect } = await started(t)
  const socket = await connect()
  await socket.call('sessions.send', { content: 'by a client' }, KEY)
  const { context } = await agent.next()
  context.ask(asks('Sure?', 'Yes')).catch(() => {})
  await socket.event('agent.permission')
  await connector.receive('/answer 1')
  await until(() => connector.sent.length === 1)
  t.strictSame(texts(connector), ['Nothing is being asked.'])

  for (const options of [
    { channels: { questions: 'ignore' as const } },
    { connector: { questions: 'ignore' } },
  ]) {
    const silent = await started(t, options)
    const watch = await silent.connect()
    const quiet = await run(silent.connector, silent.agent)
    const answer = quiet.context.ask(asks('Sure?', 'Yes'))
    const { requestId } = (await watch.event('agent.permission')).payload
    await watch.call('agent.answer', { requestId, optionId: 'yes' })
    await answer
    quiet.reply('done')
    await until(() => silent.connector.sent.length === 1)
    t.strictSame(texts(silent.connector), ['done'])
  }
})

t.test('a question waits for room in the outbox, as long as it is open', async (t) => {
  const { connector, agent, connect } = await started(t, { channels: { maxPendingDeliveries: 1 } })
  const socket = await connect()
  let go = () => {}
  const held = new Promise<void>((resolve) => {
    go = resolve
  })
  const { context } = await run(connector, agent)
  connector.onSend = async () => {
    await held
    return { messageId: null }
  }
  await socket.call('channels.send', { text: 'stuck' }, KEY)
  await until(() => connector.sent.length === 1)
  const answer = context.ask(asks('Sure?', 'Yes'))
  await socket.event('agent.permission')
  go()
  await until(() => connector.sent.length === 2)
  t.match(texts(connector)[1], /Sure\?/)
  await connector.receive('/answer 1')
  t.strictSame(await answer, { optionId: 'yes' })
})
