import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { HealthReport } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'

t.test('/health reports each check, the same as gateway.health', async (t) => {
  const { url, connect } = await startApp(t)
  const response = await fetch(`${url}/health`)
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /^application\/json/)
  const report = (await response.json()) as Record<string, unknown>
  t.strictSame([...Value.Errors(HealthReport, report)], [])
  t.match(report, {
    status: 'ok',
    checks: { journal: { status: 'ok' }, lifecycle: { status: 'ok' }, lanes: { status: 'ok' } },
  })
  const socket = await connect()
  t.match(await socket.call('gateway.health'), {
    status: 'ok',
    version: report.version,
    checks: report.checks as object,
  })
})

t.test('the probes answer GET and HEAD under both names', async (t) => {
  const { url } = await startApp(t, { auth: { tokens: ['a-token-that-probes-lack'] } })
  for (const path of ['/health', '/health/live', '/health/ready', '/live', '/ready']) {
    const response = await fetch(url + path)
    t.equal(response.status, 200, path)
    t.match(await response.json(), { status: 'ok' }, path)
    const head = await fetch(url + path, { method: 'HEAD' })
    t.equal(head.status, 200, path)
    t.equal(await head.text(), '', path)
  }
})

t.test('a failing check makes it not ready, but alive', async (t) => {
  const { url, app } = await startApp(t)
  app.health.add('test', () => ({ status: 'failing', message: 'on purpose' }))
  const health = await fetch(`${url}/health`)
  t.equal(health.status, 503)
  t.match(await health.json(), { status: 'failing', checks: { test: { message: 'on purpose' } } })
  for (const path of ['/ready', '/health/ready']) {
    const ready = await fetch(url + path)
    t.equal(ready.status, 503)
    t.match(await ready.json(), { status: 'failing' })
  }
  for (const path of ['/live', '/health/live']) t.equal((await fetch(url + path)).status, 200)
})

t.test('a degraded one is still ready', async (t) => {
  const { url, app } = await startApp(t)
  app.health.add('test', () => ({ status: 'degraded' }))
  t.equal((await fetch(`${url}/ready`)).status, 200)
  const health = await fetch(`${url}/health`)
  t.equal(health.status, 200)
  t.match(await health.json(), { status: 'degraded' })
})

t.test('while it stops it is not ready, and probes are still answered', async (t) => {
  let finish = () => {}
  const { url, app, connect } = await startApp(
    t,
    { defaultAgent: 'slow', agents: { slow: { type: 'slow' } } },
    {
      prepare: (app) =>
        app.agent('slow', () => ({
          type: 'slow',
          run: () => new Promise((resolve) => (finish = () => resolve({ content: 'done' }))),
        })),
    },
  )
  const socket = await connect()
  await socket.call('sessions.send', { content: 'a' }, 'a')
  await socket.event('agent.started')
  const closing = app.close()
  await socket.event('gateway.shutdown')
  t.equal((await fetch(`${url}/ready`)).status, 503)
  t.equal((await fetch(`${url}/live`)).status, 200)
  t.match(await (await fetch(`${url}/health`)).json(), {
    checks: { lifecycle: { status: 'failing', message: 'stopping' } },
  })
  finish()
  await closing
})
