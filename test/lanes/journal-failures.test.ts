import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Journal } from '../../src/journal/journal.js'
import { GatewayError } from '../../src/protocol/errors.js'
import { startScripted } from '../helpers/scripted-agent.js'

const KEY = 'web:1:main'
const full = () => new GatewayError('UNAVAILABLE', 'disk full')

/** Makes the next `times` calls of a method of the journal fail. */
function failing(
  app: FastifyInstance,
  method: 'complete' | 'session' | 'history' | 'lease' | 'sessions',
  times: number,
) {
  const journal = app.journal as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
  const original = journal[method]!.bind(journal)
  const state = { left: times }
  journal[method] = (...args) => (state.left-- > 0 ? Promise.reject(full()) : original(...args))
  return state
}

t.test(
  'an outcome that cannot be written is written as soon as the disk takes it, and the order stays',
  async (t) => {
    const { connect, agent, app } = await startScripted(t)
    const socket = await connect()
    agent.onRun = (run) => run.reply()
    failing(app, 'complete', 2)
    const first = await socket.call('sessions.send', { content: 'one' }, KEY)
    const second = await socket.call('sessions.send', { content: 'two' }, KEY)
    const ends = await socket.all(2, ({ event }) => event === 'agent.completed')
    t.same(
      ends.map(({ payload }) => payload.runId),
      [first.runId, second.runId],
    )
    t.same(agent.contents, ['one', 'two'], 'the agent was asked once for each')
  },
)

t.test('an outcome whose commit was reported as failed is not written twice', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const complete = app.journal.complete.bind(app.journal)
  let calls = 0
  app.journal.complete = async (request) => {
    const done = await complete(request)
    if (calls++ === 0) throw full()
    return done
  }
  const socket = await connect()
  agent.onRun = (run) => run.reply()
  const { outcome } = await socket.call('sessions.send', { content: 'one', wait: true }, KEY)
  t.match(outcome, { status: 'completed', message: { content: 're: one' } })
  t.equal(calls, 2)
  t.equal((await socket.call('sessions.history', {}, KEY)).messages.length, 2)
})

t.test('the gateway stops although an outcome cannot be written; its event runs again', async (t) => {
  const first = await startScripted(t, { journal: { type: 'sqlite' } })
  const { app, agent, home } = first
  const socket = await first.connect()
  const state = failing(app, 'complete', 1_000)
  const { runId } = await socket.call('sessions.send', { content: 'one' }, KEY)
  ;(await agent.next()).reply('not kept')
  while (state.left === 1_000) await socket.call('gateway.ping')
  await app.close()
  t.notOk(socket.events().some(({ event }) => event === 'agent.completed'))

  const second = await startScripted(
    t,
    { journal: { type: 'sqlite' } },
    { home, onRun: (run) => run.reply('kept') },
  )
  t.match(await (await second.connect()).call('agent.wait', { runId }), { message: { content: 'kept' } })
})

for (const method of ['session', 'lease'] as const) {
  t.test(`a run that cannot begin, for ${method} fails, begins later; nothing is lost`, async (t) => {
    const { connect, agent, app } = await startScripted(t)
    const socket = await connect()
    failing(app, method, 1)
    const { runId } = await socket.call('sessions.send', { content: 'one' }, KEY)
    const run = await agent.next()
    t.equal(run.context.attempt, 1, 'the try that the gateway spoiled does not count')
    run.reply()
    t.match(await socket.call('agent.wait', { runId }), { status: 'completed' })
    t.equal(agent.runs.length, 1)
  })
}

t.test('an agent that cannot read the history is asked again; that is no failure of its own', async (t) => {
  const { connect, agent, app } = await startScripted(t, { lanes: { retry: { attempts: 1 } } })
  const socket = await connect()
  agent.onRun = (run) => {
    run.context.history().then(
      () => run.reply(),
      (error) => run.fail(error),
    )
  }
  failing(app, 'history', 1)
  const { outcome } = await socket.call('sessions.send', { content: 'one', wait: true }, KEY)
  t.match(outcome, { status: 'completed' })
  t.same(
    agent.runs.map(({ context }) => context.attempt),
    [1, 1],
  )
})

t.test('a run that waits for the journal can be stopped', async (t) => {
  const { connect, agent, app } = await startScripted(t)
  const socket = await connect()
  failing(app, 'lease', 1)
  const { runId } = await socket.call('sessions.send', { content: 'one' }, KEY)
  while (app.lanes.dispatcher.lane(KEY)?.state !== 'parked') await socket.call('gateway.ping')
  t.same(await socket.call('agent.abort', { runId }), { aborted: [runId] })
  t.equal(agent.runs.length, 0)
  t.equal(app.lanes.dispatcher.size, 0)
})

t.test('a snapshot that could not be read once is read for the next connection', async (t) => {
  const { open, connect, app } = await startScripted(t)
  failing(app, 'sessions', 1)
  const refused = await (await open()).hello()
  t.match(refused, { type: 'hello-error', error: { code: 'UNAVAILABLE' } })
  t.same((await connect()).helloOk!.snapshot.sessions, [])
})

const writes: [keyof Journal & string, string, object][] = [
  ['saveSession', 'sessions.create', {}],
  ['deleteSession', 'sessions.delete', {}],
  ['saveSession', 'sessions.patch', { title: 'x' }],
  ['saveSession', 'lanes.pause', {}],
]
t.test('a change that cannot be written is refused and changes nothing', async (t) => {
  const { connect, app } = await startScripted(t)
  const socket = await connect()
  await socket.call('sessions.create', {}, KEY)
  for (const [write, method, params] of writes) {
    const journal = app.journal as unknown as Record<string, unknown>
    const original = journal[write]
    journal[write] = () => Promise.reject(full())
    const key = method === 'sessions.create' ? 'web:new' : KEY
    t.match(await socket.refused(method, params, key), { code: 'UNAVAILABLE', retryable: true }, method)
    journal[write] = original
  }
  const { sessions } = await socket.call('sessions.list')
  t.match(sessions, [{ key: KEY, title: null }])
  t.equal(sessions.length, 1)
  t.match(await socket.call('lanes.get', {}, KEY), { paused: false })
})
