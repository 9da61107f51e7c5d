import t from 'tap'
import { buildApp } from '../../src/app.js'
import { startApp, temporaryFolder, testConfig } from '../helpers/app.js'

const HOUR_MS = 3_600_000
const shutdown = { delayMs: HOUR_MS }

t.test('a gateway that never listened stops without a delay, since nobody sends it anything', async (t) => {
  const home = await temporaryFolder(t)
  const app = await buildApp({ config: testConfig({ shutdown }), home, baseDir: home })
  await app.ready()
  t.ok(app.initialConfig.pluginTimeout! > HOUR_MS, 'where there is one, the framework lets it be')
  await app.close()
  t.match(app.lifecycle, { leaving: true, stopping: true })
})

t.test('a restart in place has no delay', async (t) => {
  const { app } = await startApp(t, { shutdown })
  app.lifecycle.restarting = true
  await app.close()
  t.match(app.lifecycle, { leaving: true, stopping: true })
})
