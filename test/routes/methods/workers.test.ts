import t from 'tap'
import { startApp } from '../../helpers/app.js'
import { TestWorker, WORKER_HELLO } from '../../helpers/test-worker.js'

const token = (name: string) => `${name}-token-0123456789`
const hello = (name: string) => ({ ...WORKER_HELLO, auth: { token: token(name) } })

const config = {
  defaultAgent: 'brain',
  agents: { brain: { type: 'worker' }, ours: { type: 'worker', tokens: ['worker'] } },
  auth: {
    enabled: true,
    tokens: [
      { name: 'admin', token: token('admin'), role: 'admin' as const },
      { name: 'viewer', token: token('viewer'), role: 'viewer' as const },
      { name: 'worker', token: token('worker'), role: 'agent' as const },
      { name: 'other', token: token('other'), role: 'agent' as const },
      { name: 'confined', token: token('confined'), role: 'agent' as const, sessions: ['web:*'] },
    ],
  },
}

t.test(
  'a worker needs the scope agent, the capability in its hello, and an agent of type worker',
  async (t) => {
    const { connect } = await startApp(t, config)
    const register = async (socket: Awaited<ReturnType<typeof connect>>, agent: string) =>
      (await socket.request('worker.register', { agent, credit: 1 })).error
    t.match(await register(await connect(hello('viewer')), 'brain'), { code: 'FORBIDDEN' })
    t.match(await register(await connect({ auth: { token: token('worker') } }), 'brain'), {
      code: 'INVALID_REQUEST',
      message: /hello\.caps/,
    })
    const worker = await connect(hello('worker'))
    for (const agent of ['echo', 'nobody']) {
      t.match(await register(worker, agent), { code: 'NOT_FOUND', details: { agent } })
    }
    t.equal(await register(worker, 'brain'), null)
    t.equal(await register(worker, 'ours'), null)
    t.match(await register(await connect(hello('other')), 'ours'), { code: 'FORBIDDEN' })
    t.match(
      await register(await connect(hello('confined')), 'brain'),
      { code: 'FORBIDDEN' },
      'runs of other sessions would reach it',
    )
  },
)

t.test('with the scope agent a client may work, and do and see nothing else', async (t) => {
  const running = await startApp(t, config)
  const { connect } = running
  const admin = await connect({ auth: { token: token('admin') } })
  const worker = await TestWorker.connect(running, { hello: hello('worker') })
  const nosy = await connect({ ...hello('other'), subscribe: ['*'] })
  t.same(worker.socket.helloOk!.snapshot.sessions, [])
  const { methods } = await admin.call('methods.list')
  for (const { name, scope, session } of methods) {
    if (scope === 'agent' || scope === null) continue
    const key = session === 'none' ? undefined : 'web:1:main'
    t.match(await worker.socket.refused(name, {}, key), { code: 'FORBIDDEN' }, name)
  }
  const { runId } = await admin.call('sessions.send', { content: 'hi' }, 'web:1:main')
  const run = await worker.next()
  worker.delta(run, 'Hel')
  const { lease } = run
  t.match(await nosy.refused('worker.complete', { lease, content: 'mine' }), { code: 'CONFLICT' })
  worker.socket.send({
    type: 'event',
    id: 'p1',
    event: 'message.received',
    sessionKey: 'web:1:main',
    payload: {},
  })
  t.match((await worker.socket.next(({ id }) => id === 'p1')).error, { code: 'FORBIDDEN' })
  await worker.complete(run, 'Hello')
  await admin.call('agent.wait', { runId })
  for (const socket of [worker.socket, nosy, admin]) await socket.call('gateway.ping')
  t.same([...new Set(worker.socket.events().map(({ event }) => event))], ['worker.run'])
  t.same(nosy.events(), [])
  t.notOk(
    admin.events().some(({ event }) => event.startsWith('worker.')),
    'what goes to a worker goes to nobody else',
  )
})

t.test('a worker with further scopes sees what others are told only when it asks for it', async (t) => {
  const running = await startApp(t, { ...config, auth: { enabled: false } })
  const worker = await TestWorker.connect(running)
  const watcher = await TestWorker.connect(running, { credit: 0, hello: { subscribe: ['agent.*'] } })
  const client = await running.connect()
  const sent = client.call('sessions.send', { content: 'hi', wait: true }, 'web:1:main')
  await worker.complete(await worker.next(), 'ok')
  await sent
  await watcher.socket.event('agent.completed')
  await worker.socket.call('gateway.ping')
  t.same([...new Set(worker.socket.events().map(({ event }) => event))], ['worker.run'])
})

t.test('an event frame of a worker that is none is refused by the path of what is wrong', async (t) => {
  const running = await startApp(t, { ...config, auth: { enabled: false } })
  const { socket } = await TestWorker.connect(running)
  for (const [payload, path] of [
    [undefined, 'payload'],
    [{ text: 'x' }, 'payload.lease'],
    [{ lease: 'x', text: 1 }, 'payload.text'],
  ] as const) {
    const id = `d-${path}`
    socket.send({ type: 'event', id, event: 'worker.delta', payload })
    t.match((await socket.next((frame) => frame.id === id)).error, {
      code: 'INVALID_REQUEST',
      details: { path },
    })
  }
})
