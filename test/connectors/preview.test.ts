import t from 'tap'
import type { Target } from '../../src/connectors/connector.js'
import { ScriptedConnector, startChannel } from '../helpers/scripted-connector.js'
import { until } from '../helpers/until.js'

/** Shows previews, as a platform does that takes its time. */
class ShowingConnector extends ScriptedConnector {
  /** What was shown and done, in order. */
  readonly shown: string[] = []
  typed = 0
  inFlight = 0
  most = 0
  onPreview: () => Promise<void> | void = () => {}

  async typing(): Promise<void> {
    this.typed++
  }

  async preview(target: Target, _runId: string, text: string): Promise<void> {
    this.most = Math.max(this.most, ++this.inFlight)
    await this.onPreview()
    this.inFlight--
    this.shown.push(`${target.peer}/${target.thread}: ${text}`)
  }

  async discard(target: Target): Promise<void> {
    this.shown.push(`${target.peer} discarded`)
  }
}

const showing = (capabilities: object = {}) =>
  new ShowingConnector({ maxLength: 20, previewIntervalMs: 1, typingIntervalMs: 1, ...capabilities })

t.test('whoever waits sees that an answer is written, and what there is of it', async (t) => {
  const { agent, connector, app } = await startChannel(t, {}, showing())
  await connector.receive('hi', { peer: '9', thread: '5' })
  const run = await agent.next()
  await until(() => connector.typed >= 3)
  run.context.delta('Hello')
  await until(() => connector.shown.length === 1)
  run.context.delta(', you')
  await until(() => connector.shown.length === 2)
  t.strictSame(connector.shown, ['9/5: Hello', '9/5: Hello, you'])
  run.context.delta(' who are far too long for it')
  await until(() => connector.shown.length === 3)
  t.equal(connector.shown[2], '9/5: Hello, you who are')
  run.reply()
  await until(() => !app.lanes.isActive('scripted:9:5'))
  t.equal(connector.shown.length, 3)
  t.equal(connector.most, 1)
})

t.test('a run that ends without a message takes back what was shown', async (t) => {
  const { agent, connector } = await startChannel(t, {}, showing())
  await connector.receive('hi')
  const run = await agent.next()
  run.context.delta('Hello')
  await until(() => connector.shown.length === 1)
  await connector.receive('/stop', { id: 's' })
  await until(() => connector.shown.length === 2)
  t.strictSame(connector.shown, ['7/null: Hello', '7 discarded'])
  await connector.receive('again', { id: 'm2' })
  ;(await agent.next()).reply('')
  t.equal(connector.shown.length, 2)
})

t.test('one preview at a time is on its way, and the answer comes after it', async (t) => {
  const { agent, connector, app } = await startChannel(t, {}, showing())
  let go = () => {}
  connector.onPreview = () =>
    new Promise<void>((resolve) => {
      go = resolve
    })
  connector.onSend = () => {
    connector.shown.push('sent')
    return { messageId: null }
  }
  await connector.receive('hi')
  const run = await agent.next()
  run.context.delta('Hello')
  await until(() => connector.inFlight === 1)
  run.context.delta(', you')
  run.reply()
  await until(() => !app.lanes.isActive('scripted:7:main'))
  t.strictSame(connector.shown, [])
  go()
  await until(() => connector.shown.length === 2)
  t.strictSame(connector.shown, ['7/null: Hello', 'sent'])
  t.equal(connector.most, 1)
})

t.test('a preview that fails does no harm, and the next one is shown', async (t) => {
  const { agent, connector } = await startChannel(t, {}, showing())
  connector.onPreview = () => {
    connector.onPreview = () => {}
    connector.inFlight = 0
    throw new Error('no')
  }
  await connector.receive('hi')
  const run = await agent.next()
  run.context.delta('Hello')
  await until(() => connector.most === 1)
  run.context.delta(', you')
  await until(() => connector.shown.length === 1)
  t.strictSame(connector.shown, ['7/null: Hello, you'])
  run.reply()
})

t.test('nothing is shown of other sessions, nor where it is turned off', async (t) => {
  const { agent, connector, connect } = await startChannel(
    t,
    { connector: { typing: false, preview: false } },
    showing(),
  )
  const socket = await connect()
  await socket.call('sessions.send', { content: 'from the web' }, 'scripted:7:main')
  const first = await agent.next()
  first.context.delta('Hello')
  first.reply()
  await connector.receive('hi')
  const second = await agent.next()
  second.context.delta('Hello')
  second.reply()
  await socket.event('agent.completed', ({ payload }) => payload.runId === second.context.runId)
  t.equal(connector.typed, 0)
  t.strictSame(connector.shown, [])
})

t.test('a message from elsewhere in the session of a channel is not shown there as it grows', async (t) => {
  const { agent, connector, connect } = await startChannel(t, {}, showing())
  const socket = await connect()
  await socket.call('sessions.send', { content: 'from the web' }, 'scripted:7:main')
  const run = await agent.next()
  run.context.delta('Hello')
  run.reply()
  await socket.event('agent.completed')
  t.equal(connector.typed, 0)
})

t.test('what is shown makes way for a question, and is shown again below it', async (t) => {
  const { agent, connector } = await startChannel(t, {}, showing())
  await connector.receive('hi')
  const run = await agent.next()
  run.context.delta('Hello')
  await until(() => connector.shown.length === 1)
  const options = [{ id: 'yes', name: 'Yes', kind: 'allow_once' as const }]
  const answer = run.context.ask({ title: 'Sure?', options })
  await until(() => connector.shown.length === 2 && connector.sent.length > 0)
  await connector.receive('/answer 1', { id: 'a' })
  await answer
  run.context.delta(', you')
  await until(() => connector.shown.length === 3)
  t.strictSame(connector.shown, ['7/null: Hello', '7 discarded', '7/null: Hello, you'])
})
