import { once } from 'node:events'
import t, { type Test } from 'tap'
import {
  createNodeClient,
  createWorker,
  type NodeClientOptions,
  type WorkerHandler,
  type WorkerTask,
} from '../../src/client/node.js'
import { GatewayError } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'

const KEY = 'web:1:main'
const me = { id: 'test', version: '1', platform: 'node', mode: 'cli' } as const

async function startPool(t: Test) {
  const running = await startApp(t, {
    defaultAgent: 'brain',
    agents: { brain: { type: 'worker' } },
    lanes: { retry: { attempts: 2, backoffMs: 1, maxBackoffMs: 2 } },
    shutdown: { drainTimeoutMs: 10 },
  })
  const work = async (
    handler: WorkerHandler,
    options: Partial<NodeClientOptions> & { credit?: number } = {},
  ) => {
    const { credit, ...rest } = options
    const reconnect = { minMs: 1, maxMs: 5 }
    const client = createNodeClient({ url: running.wsUrl, client: me, caps: ['agent'], reconnect, ...rest })
    t.teardown(() => client.close())
    const errors: unknown[] = []
    const worker = createWorker(
      client,
      { agent: 'brain', credit, onError: (error) => errors.push(error) },
      handler,
    )
    await client.connect()
    return { client, worker, errors }
  }
  return { ...running, work }
}

t.test('answers runs with what its handler returns, and streams what that says on the way', async (t) => {
  const { connect, work } = await startPool(t)
  const socket = await connect()
  const { worker } = await work(({ event, history, delta }) => {
    delta('Hel')
    delta('lo')
    return { content: `${event.payload.content} after ${history.length}`, usage: { tokens: 2 } }
  })
  await worker.ready
  const { outcome } = await socket.call('sessions.send', { content: 'one', wait: true }, KEY)
  t.equal(outcome.message.content, 'one after 0')
  t.match((await socket.event('agent.completed')).payload.usage, { tokens: 2 })
  t.equal(
    (await socket.call('sessions.send', { content: 'two', wait: true }, KEY)).outcome.message.content,
    'two after 2',
  )
  const deltas = socket.events().filter(({ event }) => event === 'agent.delta')
  t.match(deltas.map(({ payload }) => payload.text).join(''), /^HelloHello$/)
})

t.test('what the handler throws is told only where it is meant for clients', async (t) => {
  const { connect, work } = await startPool(t)
  const socket = await connect()
  const { errors } = await work(({ attempt }) => {
    if (attempt === 1) throw new Error('secret: /etc/passwd')
    throw new GatewayError('NOT_LINKED', 'No key.')
  })
  const { runId } = await socket.call('sessions.send', { content: 'hi' }, KEY)
  t.match((await socket.event('agent.retrying')).payload.error, {
    code: 'UNAVAILABLE',
    message: 'The worker failed.',
  })
  t.match((await socket.event('agent.failed')).payload, {
    runId,
    error: { code: 'NOT_LINKED', message: 'No key.' },
  })
  t.match(errors, [{ message: /secret/ }, { code: 'NOT_LINKED' }])
})

t.test('an answer that no frame can hold fails its run', async (t) => {
  const { connect, work } = await startPool(t)
  const socket = await connect()
  await work(() => 'x'.repeat(2_000_000))
  const { outcome } = await socket.call('sessions.send', { content: 'hi', wait: true }, KEY)
  t.match(outcome, { status: 'failed', error: { code: 'INVALID_REQUEST', message: /the gateway takes/ } })
})

t.test(
  'the signal aborts when a run is taken back and when the connection is lost; then it comes back',
  async (t) => {
    const { app, connect, work } = await startPool(t)
    const socket = await connect()
    const tasks: WorkerTask[] = []
    let onTask = () => {}
    const { client, worker } = await work(async (task) => {
      tasks.push(task)
      onTask()
      if (tasks.length === 3) return 'third time lucky'
      await once(task.signal, 'abort')
      return 'too late'
    })
    const begun = async (count: number) => {
      while (tasks.length < count) {
        await new Promise<void>((resolve) => {
          onTask = resolve
        })
      }
    }
    const { runId } = await socket.call('sessions.send', { content: 'one' }, KEY)
    await begun(1)
    await socket.call('agent.abort', { runId })
    const sent = socket.call('sessions.send', { content: 'two', wait: true }, KEY)
    await begun(2)
    t.ok(tasks[0]!.signal.aborted)
    t.match(tasks[0]!.signal.reason, { code: 'CANCELLED' })
    for (const connection of app.connections) if (connection.isWorker) connection.socket.terminate()
    t.match((await sent).outcome, { message: { content: 'third time lucky' } })
    t.match(tasks[1]!.signal.reason, { code: 'UNAVAILABLE' })
    t.equal(tasks[1]!.runId, tasks[2]!.runId, 'the same run')
    t.equal(client.state.status, 'open')
    await worker.close()
  },
)

t.test('closing it finishes what it has and takes nothing more', async (t) => {
  const { connect, work } = await startPool(t)
  const socket = await connect()
  let finish = () => {}
  let begin = () => {}
  const begun = new Promise<void>((resolve) => {
    begin = resolve
  })
  const { worker } = await work(async () => {
    begin()
    await new Promise<void>((resolve) => {
      finish = resolve
    })
    return 'finished'
  })
  const sent = socket.call('sessions.send', { content: 'hi', wait: true }, KEY)
  await begun
  const closed = worker.close()
  t.equal(worker.close(), closed)
  finish()
  t.match((await sent).outcome, { message: { content: 'finished' } })
  await closed
  t.match((await socket.call('agents.list')).agents[0].workers, { connected: 0 })
})

t.test('it says why it may not work', async (t) => {
  const { work } = await startPool(t)
  const { worker } = await work(() => '', { caps: [] })
  await t.rejects(worker.ready, { code: 'INVALID_REQUEST', message: /hello\.caps/ })
})
