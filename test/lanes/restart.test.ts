import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import { type ConfigOverrides, temporaryFolder } from '../helpers/app.js'
import { type ScriptedAgent, startScripted } from '../helpers/scripted-agent.js'
import type { Frame, TestSocket } from '../helpers/socket.js'

const KEY = 'web:1:main'

/** Gateways one after the other over the same state folder. */
async function generations(t: Test) {
  const home = await temporaryFolder(t)
  return (options: ConfigOverrides & { onRun?: ScriptedAgent['onRun'] } = {}) => {
    const { onRun, ...overrides } = options
    return startScripted(t, { journal: { type: 'sqlite' }, ...overrides }, { home, onRun })
  }
}

const history = async (socket: TestSocket, key = KEY) =>
  (await socket.call('sessions.history', {}, key)).messages.map(({ content }: Frame) => content)

t.test('what ran and what waited goes on after the start, in order, once, under its first ids', async (t) => {
  const start = await generations(t)
  const first = await start()
  const before = await first.connect()
  const ids: { runId: string; seq: number }[] = []
  for (const content of ['done', 'running', 'waiting', 'last']) {
    ids.push(await before.call('sessions.send', { content }, KEY))
  }
  await before.call('sessions.send', { content: 'other' }, 'web:2:main')
  ;(await first.agent.next()).reply('answered')
  await before.event('agent.completed')
  await first.agent.begun(3)
  await first.app.close()

  const second = await start({ onRun: (run) => run.reply(`re: ${run.content}`) })
  const after = await second.connect()
  for (const { runId } of ids) t.match(await after.call('agent.wait', { runId }), { status: 'completed' })
  const contents = second.agent.runs.map(({ content }) => content)
  t.same(
    contents.filter((content) => content !== 'other'),
    ['running', 'waiting', 'last'],
  )
  t.same(
    second.agent.runs.filter(({ event }) => event.sessionKey === KEY).map(({ event }) => event.runId),
    ids.slice(1).map(({ runId }) => runId),
  )
  const messages = await history(after)
  t.same([...messages].sort(), [...new Set(messages)].sort(), 'nothing twice')
  t.same([...messages].sort(), [
    'answered',
    'done',
    'last',
    're: last',
    're: running',
    're: waiting',
    'running',
    'waiting',
  ])
  t.same(await history(after, 'web:2:main'), ['other', 're: other'])
  t.equal(second.app.lanes.dispatcher.size, 0)
})

t.test(
  'what the process died with before is marked as begun one by one, so that a death counts for one',
  async (t) => {
    const start = await generations(t)
    const first = await start()
    const before = await first.connect()
    for (const key of ['web:1:main', 'web:2:main']) await before.call('sessions.send', { content: key }, key)
    await first.agent.begun(2)
    const marks = join(first.home, 'journal.db.running')
    const marked = () => readFileSync(marks, 'utf8').match(/(?<=^\+ ).*/gm)
    t.equal(marked()?.join(' ').split(' ').length, 2)
    const text = readFileSync(marks, 'utf8')
    await first.app.close()
    // As a process leaves it that did not come to its end.
    writeFileSync(marks, text)

    const atBegin: unknown[] = []
    const second = await start({
      onRun: (run) => {
        atBegin.push(marked())
        run.reply()
      },
    })
    await second.agent.begun(2)
    const ids = second.agent.runs.map(({ event }) => event.id.replace('evt_', ''))
    t.same(atBegin, [[ids[0]], ids])
  },
)

t.test('the most urgent of what waited goes first after the start, too', async (t) => {
  const start = await generations(t)
  const first = await start()
  const before = await first.connect()
  await before.call('sessions.send', { content: 'running' }, KEY)
  await before.call('sessions.send', { content: 'cron', priority: 'cron' }, KEY)
  await before.call('sessions.send', { content: 'chat' }, KEY)
  await first.app.close()
  const second = await start({ onRun: (run) => run.reply() })
  const after = await second.connect()
  const last = await after.call('sessions.send', { content: 'last', priority: 'cron', wait: true }, KEY)
  t.equal(last.outcome.status, 'completed')
  t.same(second.agent.contents, ['running', 'chat', 'cron', 'last'])
})

t.test('a run that ends while the gateway drains is kept', async (t) => {
  const start = await generations(t)
  const first = await start({ shutdown: { drainTimeoutMs: 30_000 } })
  const socket = await first.connect()
  const { runId } = await socket.call('sessions.send', { content: 'one' }, KEY)
  const run = await first.agent.next()
  const closed = first.app.close()
  await socket.event('gateway.shutdown')
  t.match(await socket.refused('sessions.send', { content: 'two' }, KEY), {
    code: 'UNAVAILABLE',
    retryable: true,
    details: { reason: 'stopping' },
  })
  run.reply('in time')
  await socket.event('agent.completed')
  await closed
  const second = await start()
  const after = await second.connect()
  t.match(await after.call('agent.wait', { runId }), { status: 'completed', message: { content: 'in time' } })
  t.same(await history(after), ['one', 'in time'])
  t.equal(second.agent.runs.length, 0)
})

t.test('nothing further starts while the gateway drains; it waits for the next start', async (t) => {
  const start = await generations(t)
  const first = await start({ shutdown: { drainTimeoutMs: 30_000 } })
  const socket = await first.connect()
  for (const content of ['one', 'two']) await socket.call('sessions.send', { content }, KEY)
  const run = await first.agent.next()
  const closed = first.app.close()
  await socket.event('gateway.shutdown')
  run.reply()
  await closed
  t.same(first.agent.contents, ['one'])
  const second = await start()
  t.equal((await second.agent.next()).content, 'two')
})

t.test('a failure that would be tried again is tried again after the start, not given up', async (t) => {
  const start = await generations(t)
  const first = await start({ shutdown: { drainTimeoutMs: 30_000 } })
  const socket = await first.connect()
  await socket.call('sessions.send', { content: 'one' }, KEY)
  const run = await first.agent.next()
  const closed = first.app.close()
  await socket.event('gateway.shutdown')
  run.fail(new Error('the backend stops, too'))
  await closed
  const second = await start()
  const after = await second.connect()
  ;(await second.agent.next()).reply('now')
  await after.event('agent.completed')
  t.same((await after.call('deadLetters.list')).deadLetters, [])
})

t.test(
  'past the drain time runs are aborted and run again after the start, deaf ones included',
  async (t) => {
    const start = await generations(t)
    const first = await start()
    first.agent.onRun = (run) => {
      run.ignoresAbort = run.content === 'deaf'
    }
    const before = await first.connect()
    await before.call('sessions.send', { content: 'listens' }, KEY)
    await before.call('sessions.send', { content: 'deaf' }, 'web:2:main')
    await first.agent.begun(2)
    await first.app.close()
    t.ok(first.agent.runs.every(({ context }) => context.signal.aborted))
    for (const run of first.agent.runs) run.reply('too late')
    t.notOk(
      before.events().some(({ event }) => event === 'agent.aborted'),
      'an interrupted run has not ended',
    )

    const second = await start({ onRun: (run) => run.reply('again') })
    const after = await second.connect()
    for (const { event } of first.agent.runs) {
      t.match(await after.call('agent.wait', { runId: event.runId }), { message: { content: 'again' } })
    }
  },
)

t.test('an event between two tries is tried again after the start', async (t) => {
  const start = await generations(t)
  const first = await start({
    lanes: { retry: { attempts: 2, backoffMs: 3_600_000, maxBackoffMs: 3_600_000 } },
  })
  const before = await first.connect()
  await before.call('sessions.send', { content: 'one' }, KEY)
  ;(await first.agent.next()).fail(new GatewayError('UNAVAILABLE', 'busy'))
  await before.event('agent.retrying')
  await first.app.close()
  const second = await start()
  const run = await second.agent.next()
  t.equal(run.context.attempt, 1)
})

t.test('a paused lane is paused after the start as well, and goes on when resumed', async (t) => {
  const start = await generations(t)
  const first = await start()
  const before = await first.connect()
  await before.call('sessions.create', {}, KEY)
  await before.call('lanes.pause', {}, KEY)
  await before.call('sessions.send', { content: 'one' }, KEY)
  await first.app.close()
  t.equal(first.agent.runs.length, 0)

  const second = await start()
  const after = await second.connect()
  await after.call('sessions.send', { content: 'two' }, KEY)
  t.match(await after.call('lanes.get', {}, KEY), { paused: true, waiting: 2, running: null })
  t.equal(second.agent.runs.length, 0)
  await after.call('lanes.resume', {}, KEY)
  const run = await second.agent.next()
  t.equal(run.content, 'one')
  run.reply()
  ;(await second.agent.next()).reply()
  await after.all(2, ({ event }) => event === 'agent.completed')
  await second.app.close()

  const third = await start()
  t.match(await (await third.connect()).call('lanes.get', {}, KEY), { paused: false, waiting: 0 })
})

t.test('an idempotency key is known after the start, whether its event was answered or not', async (t) => {
  const start = await generations(t)
  const first = await start()
  const before = await first.connect()
  const answered = await before.call('sessions.send', { content: 'a', idempotencyKey: 'a' }, KEY)
  ;(await first.agent.next()).reply()
  await before.event('agent.completed')
  const waiting = await before.call('sessions.send', { content: 'b', idempotencyKey: 'b' }, KEY)
  await first.app.close()
  const second = await start()
  const after = await second.connect()
  for (const [content, { eventId, runId, seq }] of Object.entries({ a: answered, b: waiting })) {
    const again = await after.call('sessions.send', { content, idempotencyKey: content }, KEY)
    const { outcome, ...ids } = again
    t.same(ids, { eventId, runId, seq, queued: 0, duplicate: true })
    t.equal(outcome?.status, content === 'a' ? 'completed' : undefined)
  }
  ;(await second.agent.next()).reply()
  await after.event('agent.completed')
  t.equal(second.agent.runs.length, 1)
})
