import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCli, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

function homeOf(t: Test): string {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  return home
}

t.test('config check says everything that is wrong, and exits with 78', async (t) => {
  const home = homeOf(t)
  const path = join(home, 'config.yaml')
  await writeFile(path, 'lanes: { capacity: 0 }\nagents: { mine: { type: openai } }\n')
  const json = await runCli(['config', 'check', '--json'], { home })
  t.equal(json.code, 78)
  t.match(JSON.parse(json.stdout), {
    valid: false,
    problems: [{ path: 'lanes.capacity', source: `${path}:1` }],
  })
  await writeFile(path, 'agents: { mine: { type: module, path: ./none.mjs } }\n')
  t.match(
    await runCli(['config', 'check'], { home }),
    { code: 78, stderr: /agents\.mine/ },
    'beyond the shape',
  )
  await writeFile(path, 'lanes: { capacity: 1 }\n')
  const good = await runCli(['config', 'check', '--json'], { home })
  t.match(JSON.parse(good.stdout), { valid: true, file: path, problems: [] })
})

t.test('config show prints no secret, and where each value comes from', async (t) => {
  const home = homeOf(t)
  const path = join(home, 'config.yaml')
  await writeFile(path, 'auth: { tokens: [hush-hush-hush] }\n')
  const env = { LURKBOT_GATEWAY__LANES__CAPACITY: '3' }
  const { code, stdout } = await runCli(['config', 'show'], { home, env })
  t.equal(code, 0)
  t.match(stdout, /^lanes\.capacity = 3 {2}# environment LURKBOT_GATEWAY__LANES__CAPACITY$/m)
  t.match(stdout, new RegExp(`^auth\\.tokens = \\["\\[redacted\\]"\\] {2}# ${path}:1$`, 'm'))
  t.notMatch(stdout, /hush/)
  const json = JSON.parse((await runCli(['config', 'show', '--json'], { home, env })).stdout)
  t.match(json, {
    file: path,
    config: { lanes: { capacity: 3 } },
    sources: { 'lanes.maxPending': 'default' },
  })
})

t.test('config schema prints the JSON Schema', async (t) => {
  const { code, stdout } = await runCli(['config', 'schema'], { home: homeOf(t) })
  t.equal(code, 0)
  t.match(JSON.parse(stdout), { $schema: String, type: 'object', properties: { lanes: { type: 'object' } } })
})

t.test('SIGHUP applies what has changed and restarts nothing; a restart puts the rest to use', async (t) => {
  const home = homeOf(t)
  const path = join(home, 'config.yaml')
  const text = 'configFile: { watchIntervalMs: 0 }\njournal: { type: memory }\n'
  await writeFile(path, text)
  const gateway = await startGateway({ home })
  t.teardown(() => gateway.kill9())
  const socket = await TestSocket.greeted(t, gateway.wsUrl)
  await writeFile(path, `${text}lanes: { capacity: 4 }\nsessions: { cacheSize: 5 }\n`)
  gateway.signal('SIGHUP')
  t.match((await socket.event('config.changed')).payload, {
    paths: ['lanes.capacity', 'sessions.cacheSize'],
    restartRequired: ['sessions.cacheSize'],
    source: 'signal',
    by: null,
  })
  await writeFile(path, 'lanes: [\n')
  gateway.signal('SIGHUP')
  await until(async () => (await socket.call('config.get')).problem !== null)
  t.match(gateway.output(), /configuration refused/)
  await writeFile(path, `${text}sessions: { cacheSize: 5 }\n`)
  t.match(await runCli(['gateway', 'restart'], { home }), { code: 0 })
  t.match(await socket.closed, { code: 1012 })
  const again = await TestSocket.greeted(t, gateway.wsUrl)
  t.match(await again.call('config.get', { path: 'sessions.cacheSize' }), {
    value: 5,
    pending: [],
    problem: null,
  })
  t.match(await gateway.stop(), { code: 0 })
})
