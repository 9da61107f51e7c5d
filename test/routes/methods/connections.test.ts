import t from 'tap'
import { startApp } from '../../helpers/app.js'
import { until } from '../../helpers/until.js'

const secret = (name: string) => `${name}-token-0123456789`
const auth = {
  enabled: true,
  tokens: [
    { name: 'ops', token: secret('ops'), role: 'admin' as const },
    { name: 'ci', token: secret('ci'), role: 'viewer' as const },
    { name: 'runner', token: secret('runner'), role: 'agent' as const },
    { name: 'confined', token: secret('confined'), role: 'admin' as const, sessions: ['web:*'] },
  ],
}
const as = (name: string) => ({ auth: { token: secret(name) } })

t.test('connections.list tells who is connected, since when and what passes', async (t) => {
  const { connect, open } = await startApp(t, { auth })
  const before = Date.now()
  const ops = await connect(as('ops'))
  const ci = await connect({ ...as('ci'), subscribe: ['agent.*'] })
  await connect({ ...as('runner'), caps: ['agent'] })
  await open()
  await ci.call('gateway.ping')
  const { connections, total, nextCursor } = await ops.call('connections.list')
  t.equal(total, 4)
  t.equal(nextCursor, null)
  t.match(connections, [
    {
      connId: ops.helloOk!.server.connId,
      state: 'open',
      principal: 'ops',
      role: 'admin',
      client: { id: 'test', version: '1.0.0', platform: 'node', mode: 'cli' },
      address: '127.0.0.1',
      framesIn: 2,
      framesOut: 1,
      inFlight: 1,
      worker: false,
    },
    {
      principal: 'ci',
      role: 'viewer',
      framesIn: 2,
      framesOut: 2,
      inFlight: 0,
      subscriptions: 1,
      bufferedBytes: 0,
    },
    { principal: 'runner', role: 'agent', worker: true },
    { state: 'new', principal: null, role: null, client: null, framesIn: 0, framesOut: 0, subscriptions: 0 },
  ])
  for (const { since } of connections) t.ok(since >= before - 1 && since <= Date.now() + 1)
  t.notMatch(JSON.stringify(connections), /token-0123456789/)
  const names = async (params: object) =>
    (await ops.call('connections.list', params)).connections.map(
      ({ principal }: { principal: string }) => principal,
    )
  t.strictSame(await names({ worker: true }), ['runner'])
  t.strictSame(await names({ worker: false, principal: 'ci' }), ['ci'])
  t.strictSame(await names({ principal: 'nobody' }), [])
})

t.test(
  'connections are listed page by page; who comes and goes meanwhile makes none come twice',
  async (t) => {
    const { connect } = await startApp(t)
    const ops = await connect()
    const others = []
    for (let i = 0; i < 12; i++) others.push(await connect({ subscribe: [] }))
    const ids: string[] = []
    let cursor: string | undefined
    do {
      const page = await ops.call('connections.list', { limit: 5, cursor })
      ids.push(...page.connections.map(({ connId }: { connId: string }) => connId))
      cursor = page.nextCursor ?? undefined
      if (ids.length === 5) {
        others[0]!.terminate()
        await connect({ subscribe: [] })
      }
    } while (cursor !== undefined)
    t.equal(new Set(ids).size, ids.length)
    for (const socket of [ops, ...others]) t.ok(ids.includes(socket.helloOk!.server.connId))
  },
)

t.test('connections.close ends a connection with 4411 and the reason; its token stays good', async (t) => {
  const { connect, app, open } = await startApp(t, { auth })
  const ops = await connect(as('ops'))
  const ci = await connect(as('ci'))
  const connId = ci.helloOk!.server.connId
  t.strictSame(await ops.call('connections.close', { connId, reason: 'maintenance' }), { closed: true })
  t.strictSame(await ci.closed, { code: 4411, reason: 'maintenance' })
  t.match(await ops.refused('connections.close', { connId }), { code: 'NOT_FOUND', details: { connId } })
  t.equal((await connect(as('ci'))).helloOk?.auth.role, 'viewer')
  const silent = await open()
  const { connections } = await ops.call('connections.list')
  const nameless = connections.find(({ state }: { state: string }) => state === 'new')
  await ops.call('connections.close', { connId: nameless.connId })
  t.match(await silent.closed, { code: 4411, reason: /operator/ })
  t.equal(app.connections.stats.closes.CLOSED_BY_OPERATOR, 2)
})

t.test('who closes their own connection hears that first', async (t) => {
  const { connect, app } = await startApp(t)
  const socket = await connect()
  const { connId } = socket.helloOk!.server
  t.strictSame(await socket.call('connections.close', { connId }), { closed: true })
  t.equal((await socket.closed).code, 4411)
  await until(() => app.connections.size === 0)
})

t.test('who is connected is not for credentials that are confined to some sessions', async (t) => {
  const { connect } = await startApp(t, { auth })
  const confined = await connect(as('confined'))
  t.match(await confined.refused('connections.list'), { code: 'FORBIDDEN' })
  const { connId } = confined.helloOk!.server
  t.match(await confined.refused('connections.close', { connId }), { code: 'FORBIDDEN' })
})
