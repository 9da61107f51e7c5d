import t from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import { startWithChannel } from '../helpers/channel-app.js'

const KEY = 'chat:1:main'

t.test('an answer goes back to the channel that asked, once it is in the journal', async (t) => {
  const { channel, agent, say, app, connect } = await startWithChannel(t, { journal: { type: 'sqlite' } })
  const socket = await connect()
  const { runId } = await say('hello', '7')
  ;(await agent.next()).reply('one|two')
  const { payload } = await socket.event('delivery.sent')
  t.match(payload, { channel: 'chat', peer: '1', runId, messageIds: ['m1', 'm2'] })
  t.match(channel.sent, [
    { target: { peer: '1', thread: null }, text: 'one', runId, replyTo: '7', part: 1, parts: 2 },
    { text: 'two', runId, replyTo: '7', part: 2 },
  ])
  t.match(await socket.call('agent.wait', { runId }), { message: { content: 'one|two' } })
  t.equal((await app.journal.pendingDeliveries()).length, 0)
})

t.test('the answer to a thread goes into it, to the message that came last', async (t) => {
  const { channel, agent, say, connect } = await startWithChannel(t, { lanes: { collect: { quietMs: 10 } } })
  const key = 'chat:#room:t%3A1'
  const socket = await connect()
  await socket.call('sessions.create', { queueMode: 'collect' }, key)
  await say('first', '1', key)
  const first = await agent.next()
  await say('second', '2', key)
  await say('third', '3', key)
  first.reply('a')
  ;(await agent.next()).reply('b')
  await channel.took(2)
  t.match(channel.sent, [
    { target: { peer: '#room', thread: 't:1' }, text: 'a', replyTo: '1' },
    { target: { peer: '#room', thread: 't:1' }, text: 'b', replyTo: '3' },
  ])
})

t.test('only what came from a channel is answered there, and only if there is an answer', async (t) => {
  const { channel, agent, say, connect } = await startWithChannel(t)
  const socket = await connect()
  agent.onRun = (run) => run.reply()
  const ask = async (source: string, key: string) =>
    socket.call('events.publish', { type: 'message.received', source, payload: { content: 'x' } }, key)
  await socket.call('sessions.send', { content: 'by a client', wait: true }, KEY)
  await ask('unknown', 'unknown:1:main')
  await ask('chat', 'other:1:main')
  await ask('chat', 'chat:no-conversation')
  for (const nothing of ['', ' \n']) {
    agent.onRun = (run) => run.reply(nothing)
    await socket.call('agent.wait', await say('hm').then(({ runId }) => ({ runId })))
  }
  agent.onRun = (run) => run.reply()
  await say('last')
  await channel.took(1)
  t.match(channel.sent, [{ text: 're: last', replyTo: null }])
})

t.test('whoever asked hears of a failure for good, as the configuration puts it', async (t) => {
  const onRun = (run: { fail(error: unknown): void }) => run.fail(new GatewayError('NOT_LINKED', 'no key'))
  const { channel, say } = await startWithChannel(t, {}, { onRun })
  await say('hello', '7')
  await channel.took(1)
  t.match(channel.sent, [
    { text: 'This could not be answered (NOT_LINKED). Please try again.', replyTo: '7' },
  ])

  const silent = await startWithChannel(t, { channels: { failureText: 'off' } }, { onRun })
  const socket = await silent.connect()
  const { runId } = await silent.say('hello')
  t.match(await socket.call('agent.wait', { runId }), { status: 'failed' })
  silent.agent.onRun = (run) => run.reply()
  await silent.say('again')
  await silent.channel.took(1)
  t.strictSame(silent.channel.texts, ['re: again'])
})

t.test(
  'a retry that succeeds says nothing of the failures before, and an aborted run says nothing',
  async (t) => {
    const { channel, agent, say, connect } = await startWithChannel(t)
    const socket = await connect()
    await say('hello')
    ;(await agent.next()).fail(new Error('flaky'))
    ;(await agent.next()).reply('at last')
    await channel.took(1)
    const { runId } = await say('stop')
    await agent.next()
    await socket.call('agent.abort', { runId })
    await say('go on')
    ;(await agent.next()).reply('done')
    await channel.took(2)
    t.strictSame(channel.texts, ['at last', 'done'])
  },
)

t.test('an answer that is not delivered when the gateway stops is delivered by the next one', async (t) => {
  const config = { journal: { type: 'sqlite' as const } }
  const first = await startWithChannel(t, config)
  first.channel.ready = false
  const { runId } = await first.say('hello', '7')
  ;(await first.agent.next()).reply('the answer')
  await (await first.connect()).call('agent.wait', { runId })
  await first.app.close()
  t.strictSame(first.channel.asked, [])
  const next = await startWithChannel(t, config, { home: first.home })
  await next.channel.took(1)
  t.match(next.channel.sent, [{ text: 'the answer', runId, replyTo: '7' }])
})
