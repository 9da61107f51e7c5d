import t, { type Test } from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import { startWithChannel } from '../helpers/channel-app.js'
import { asRoot, ROOT } from '../helpers/identities.js'
import type { Frame } from '../helpers/socket.js'

const KEY = 'chat:canary:main'
const CONFINED = { auth: { token: 'confined-to-its-own-sessions' } }
const QUESTION = { title: 'treasure?', options: [{ id: 'yes', name: 'Yes', kind: 'allow_once' as const }] }

/** A gateway in which a session has everything that a session can have, all of it about a treasure. */
async function startWithTreasure(test: Test) {
  const running = await startWithChannel(test, {
    auth: {
      tokens: [
        { name: 'root', token: ROOT },
        { name: 'confined', token: CONFINED.auth.token, sessions: ['mine:*'] },
      ],
    },
    lanes: { retry: { attempts: 1 } },
  })
  const { connect, agent, channel } = running
  const root = await connect(asRoot)
  const watching = await connect(CONFINED)
  const say = (content: string) =>
    root.call('events.publish', { type: 'message.received', source: 'chat', payload: { content } }, KEY)
  await root.call('sessions.create', { title: 'treasure', metadata: { where: 'treasure' } }, KEY)
  channel.onSend = ({ text }) => {
    if (text.includes('dead')) throw new GatewayError('FORBIDDEN', 'no treasure for them')
  }
  const done = await say('treasure one')
  ;(await agent.next()).reply('treasure found')
  await root.event('delivery.sent')
  await say('treasure two')
  ;(await agent.next()).reply('dead treasure')
  const { payload: delivery } = await root.event('delivery.failed')
  const failed = await say('treasure three')
  ;(await agent.next()).fail(new GatewayError('FORBIDDEN', 'the treasure is locked'))
  await root.event('agent.failed')
  const open = await say('treasure four')
  const run = await agent.next()
  run.context.delta('treasure del')
  run.context.ask(QUESTION).catch(() => {})
  const { payload: question } = await root.event('agent.permission')
  const waiting = await say('treasure five')
  const { token } = await root.call('tokens.new', { name: 'treasurer', sessions: ['chat:canary:*'] })
  const ids = { done, failed, open, waiting, delivery, question, token }
  return { ...running, root, watching, run, ids }
}

/** What is said of the session of the treasure, by whoever may not know of it. Its key is only told back. */
function leaks(frames: readonly Frame[]): Frame[] {
  return frames.filter((frame) => {
    const text = JSON.stringify(frame)
    return text.includes('treasure') || (text.includes('canary') && (frame.error ?? null) === null)
  })
}

t.test('nothing that a confined principal may call tells of another session, or touches it', async (t) => {
  const { connect, root, watching, run, ids } = await startWithTreasure(t)
  const resumed = await connect({ ...CONFINED, resume: { epoch: root.helloOk!.resume.epoch, seq: 0 } })
  t.equal(resumed.helloOk!.resume.recovered, true)
  const narrow = await connect(CONFINED)
  await narrow.call('events.subscribe', { patterns: ['*'] })

  const common = {
    agent: 'scripted',
    channel: 'chat',
    content: 'x',
    credit: 1,
    deliveryId: ids.delivery.deliveryId,
    deviceId: 'dev_1',
    error: { message: 'x' },
    eventId: ids.failed.eventId,
    lease: 'x',
    optionId: 'yes',
    patterns: ['*'],
    payload: { content: 'x' },
    peer: 'canary',
    text: 'x',
    timeoutMs: 0,
    type: 'message.received',
  }
  const runs = [ids.done, ids.failed, ids.open, ids.waiting].map(({ runId }) => runId)
  const { methods } = root.helloOk!.features
  let probes = 0
  for (const method of methods) {
    for (const runId of method.startsWith('agent.') ? runs : [runs[0]]) {
      for (const key of [undefined, KEY]) {
        const named = method === 'tokens.new' ? { name: `n${probes++}` } : { tokenId: ids.token.tokenId }
        const requestId = ids.question.requestId
        const params = { ...common, ...named, runId, requestId }
        const { error } = await watching.request(method, params, key)
        t.not(error?.code, 'INTERNAL_ERROR', method)
      }
    }
  }
  for (const socket of [watching, resumed, narrow]) {
    await socket.call('gateway.ping')
    t.strictSame(leaks([socket.helloOk!, ...socket.frames]), [])
  }
  t.ok(leaks(root.frames).length > 20, 'whoever may know of it does')

  t.equal(run.context.signal.aborted, false)
  t.match(await root.call('agent.questions', {}, KEY), { questions: [{ title: 'treasure?' }] })
  t.match(await root.call('lanes.get', {}, KEY), { paused: false, waiting: 1, running: { runId: runs[2] } })
  t.match((await root.call('deadLetters.list', {}, KEY)).deadLetters, { length: 1 })
  t.match((await root.call('deliveries.list', {}, KEY)).deliveries, { length: 1 })
  t.match((await root.call('sessions.get', {}, KEY)).session, { title: 'treasure' })
  const { tokens } = await root.call('tokens.list')
  t.ok(tokens.some(({ name }: { name: string }) => name === 'treasurer'))
  run.reply()
})

t.test('a session of its own is all there for it', async (t) => {
  const { connect, agent } = await startWithTreasure(t)
  const confined = await connect(CONFINED)
  const { runId } = await confined.call('sessions.send', { content: 'hi' }, 'mine:1:main')
  ;(await agent.next()).reply('hello')
  t.match(await confined.call('agent.wait', { runId }), { message: { content: 'hello' } })
  t.match(await confined.event('agent.completed'), { sessionKey: 'mine:1:main' })
})
