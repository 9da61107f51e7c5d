import t from 'tap'
import { buildApp } from '../src/app.js'
import { ConfigError } from '../src/config/problems.js'
import { startApp, temporaryFolder, testConfig } from './helpers/app.js'

t.test('a connector of a type that does not exist fails the start and names the key', async (t) => {
  const home = await temporaryFolder(t)
  const config = testConfig({ connectors: { tg: { type: 'telegraph' } } })
  const app = await buildApp({ config, home, baseDir: home })
  t.teardown(() => app.close())
  const error = await app.ready().then(
    () => null,
    (reason: unknown) => reason,
  )
  t.ok(error instanceof ConfigError)
  t.match(error, {
    problems: [{ path: 'connectors.tg.type', message: /found "telegraph"; did you mean 'telegram'/ }],
  })
})

t.test('a gateway can be closed twice, and another can then open its journal', async (t) => {
  const home = await temporaryFolder(t)
  const first = await startApp(t, { journal: { type: 'sqlite' } }, { home })
  const socket = await first.connect()
  await socket.call('sessions.send', { content: 'kept', wait: true }, 'web:1:main')
  await Promise.all([first.app.close(), first.app.close()])
  await first.app.close()
  const second = await startApp(t, { journal: { type: 'sqlite' } }, { home })
  const { messages } = await (await second.connect()).call('sessions.history', {}, 'web:1:main')
  t.equal(messages.length, 2)
})

t.test('the process is watched once, however many gateways it runs one after the other', async (t) => {
  const { app: first } = await startApp(t)
  await first.close()
  const { app: second, url } = await startApp(t)
  const { app: third } = await startApp(t)
  const name = 'nodejs_eventloop_lag_seconds'
  const shared = second.metrics.registry.getSingleMetric(name)
  t.ok(shared)
  t.equal(shared, third.metrics.registry.getSingleMetric(name))
  t.match(await (await fetch(`${url}/metrics`)).text(), /^nodejs_gc_duration_seconds_bucket.*/m)
})
