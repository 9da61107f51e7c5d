import t from 'tap'
import { startApp } from '../../helpers/app.js'
import { startScripted } from '../../helpers/scripted-agent.js'

t.test('gateway.info tells what runs and what is connected', async (t) => {
  const { connect, app, agent } = await startScripted(t)
  const socket = await connect()
  await connect()
  await socket.call('sessions.send', { content: 'x' }, 'web:1')
  await socket.call('sessions.send', { content: 'y' }, 'web:1')
  await agent.next()
  const info = await socket.call('gateway.info')
  t.match(info, {
    name: 'lurkbot-gateway',
    protocol: 1,
    node: process.version,
    pid: process.pid,
    epoch: app.journal.epoch,
    seq: app.journal.head,
    connections: 2,
    lanes: { active: 1, running: 1, pending: 2 },
  })
  t.equal(info.version, socket.helloOk!.server.version)
})

t.test('gateway.health is the report of GET /health', async (t) => {
  const { connect, app, url } = await startApp(t)
  const socket = await connect()
  let mood: 'ok' | 'degraded' | 'failing' = 'ok'
  app.health.add('mood', () => (mood === 'ok' ? { status: mood } : { status: mood, message: 'not so well' }))
  for (mood of ['ok', 'degraded', 'failing'] as const) {
    const response = await fetch(`${url}/health`)
    const { uptimeMs: before, ...overHttp } = (await response.json()) as { uptimeMs: number; status: string }
    const { uptimeMs: after, ...report } = await socket.call('gateway.health')
    t.strictSame(report, overHttp)
    t.ok(after >= before)
    t.equal(report.status, mood)
    t.equal(response.status, mood === 'failing' ? 503 : 200)
  }
})

t.test('gateway.ping echoes whatever it is given', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  for (const data of [null, 0, false, '', 'text', [1, { a: null }], { deep: { er: 1 } }]) {
    t.same((await socket.call('gateway.ping', { data })).data, data)
  }
  t.same((await socket.call('gateway.ping')).data, null)
  const { pong, at } = await socket.call('gateway.ping')
  t.equal(pong, true)
  t.ok(Math.abs(Date.now() - at) < 60_000)
})

t.test('methods.list describes every method that hello-ok names, with JSON Schemas', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  const { protocol, methods, events } = await socket.call('methods.list')
  t.equal(protocol, 1)
  const { features } = socket.helloOk!
  t.same(
    methods.map(({ name }: { name: string }) => name),
    features.methods,
  )
  t.same(
    events.map(({ name }: { name: string }) => name),
    features.events,
  )
  for (const { name, summary, params, result } of methods) {
    t.ok(summary.length > 0, name)
    t.equal(params.type, 'object', name)
    t.equal(result.type, 'object', name)
  }
})
