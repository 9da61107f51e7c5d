import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { sessionsSend } from '../../src/protocol/index.js'
import { runCli } from '../helpers/gateway-process.js'
import { connected, gateway, newHome } from './running.js'

t.test('a gateway starts, says where, answers, and stops without leaving a trace', async (t) => {
  const running = await gateway(t)
  const { home, url, pid } = running
  const file = join(home, 'gateway.pid')
  t.match(JSON.parse(readFileSync(file, 'utf8')), { pid, url, version: String })
  t.equal(statSync(file).mode & 0o777, 0o600)

  const status = await runCli(['gateway', 'status', '--json'], { home })
  t.equal(status.code, 0, status.stderr)
  t.match(JSON.parse(status.stdout), {
    status: 'running',
    url,
    pid,
    health: { status: 'ok' },
    info: { pid, connections: Number, lanes: { running: 0 } },
  })
  t.match(
    (await runCli(['gateway', 'status'], { home })).stdout,
    new RegExp(`running\\.\\n  address +${url}`),
  )

  const second = await runCli(['gateway', 'start'], { home })
  t.match(second, { code: 69, stderr: new RegExp(`already at ${url} \\(process ${pid}\\)`) })

  t.match(await runCli(['gateway', 'stop'], { home }), { code: 0, stdout: /has stopped/ })
  t.same(await running.exited, { code: 0, signal: null })
  t.notOk(existsSync(file))
  t.match(await runCli(['gateway', 'stop'], { home }), { code: 0, stdout: /not running/ })
  t.match(await runCli(['gateway', 'status'], { home }), { code: 3, stdout: /gateway start/ })
})

t.test('the pid file of a killed gateway does not count', async (t) => {
  const killed = await gateway(t)
  await killed.kill9()
  const { home } = killed
  t.ok(existsSync(join(home, 'gateway.pid')))
  t.match(await runCli(['gateway', 'status', '--json'], { home }), { code: 3, stdout: /"stopped"/ })
  const again = await gateway(t, { home })
  t.not(again.pid, killed.pid)
  t.same(await again.stop(), { code: 0, signal: null })
})

t.test('a port in use is said to be by which process, and what to do', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const { code, stderr } = await runCli(['gateway', 'start', '--port', String(port)], { home: newHome(t) })
  t.equal(code, 69)
  t.match(stderr, `Port ${port} at 127.0.0.1 is in use by process ${process.pid} (`)
  t.match(stderr, /--port NUMBER/)
})

t.test('the flags of the reference work', async (t) => {
  const { wsUrl, output, stop } = await gateway(t, {
    args: ['--host', 'localhost', '--port', '0', '--log-level', 'debug'],
  })
  t.match(wsUrl, /^ws:\/\/localhost:\d+\/ws$/)
  await stop()
  const lines = output().trim().split('\n')
  t.ok(lines.length > 0)
  for (const line of lines) t.type(JSON.parse(line).level, 'number', 'not on a terminal: JSON lines')
})

t.test('SIGINT stops it as well; a second signal ends a slow stop at once', async (t) => {
  const home = newHome(t)
  writeFileSync(
    join(home, 'slow.mjs'),
    'export default (event, { signal }) => new Promise((_, reject) => { signal.onabort = reject })',
  )
  writeFileSync(
    join(home, 'config.yaml'),
    'defaultAgent: slow\nagents: {slow: {type: module, path: ./slow.mjs}}',
  )
  const idle = await gateway(t, { home })
  idle.signal('SIGINT')
  t.same(await idle.exited, { code: 0, signal: null })

  const busy = await gateway(t, { home })
  const client = await connected(t, busy)
  const started = new Promise<void>((resolve) => client.on('agent.started', () => resolve()))
  await client.request(sessionsSend, { content: 'x' }, { sessionKey: 'a:b' })
  await started
  const again = setInterval(() => busy.signal('SIGTERM'), 20)
  t.teardown(() => clearInterval(again))
  t.same(await busy.exited, { code: 1, signal: null })
  t.match(busy.output(), /second signal/)
  t.notOk(existsSync(join(home, 'gateway.pid')))
})

t.test('a start that fails ends the process, whatever a plugin has left open', async (t) => {
  const home = newHome(t)
  writeFileSync(
    join(home, 'open.mjs'),
    'export default async () => { setInterval(() => {}, 1e6); throw new Error("no") }',
  )
  writeFileSync(join(home, 'config.yaml'), 'plugins: [{module: ./open.mjs}]')
  t.match(await runCli(['gateway', 'start'], { home }), { code: 78, stderr: /open\.mjs.*cannot start: no/ })
})

t.test('what is wrong with an agent is said with the place that it was written at', async (t) => {
  const home = newHome(t)
  writeFileSync(
    join(home, 'config.yaml'),
    'agents:\n  helper:\n    type: openai\n    baseUrl: http://127.0.0.1:1\n    modle: x\n',
  )
  const env = { LURKBOT_GATEWAY__AGENTS__OTHER__TYPE: 'modul' }
  const { code, stderr } = await runCli(['gateway', 'start'], { home, env })
  t.equal(code, 78)
  t.match(stderr, /agents\.helper\.modle: unknown option; did you mean 'model'\? \(.*config\.yaml:5\)/)
  t.match(stderr, /agents\.helper\.model: expected text .*\(.*config\.yaml:3\)/, 'who wrote the entry')
  t.match(stderr, /agents\.other\.type: .*'module'\? \(environment LURKBOT_GATEWAY__AGENTS__OTHER__TYPE\)/)
})

t.test('its log is coloured where that is asked for', async (t) => {
  const env = {
    LURKBOT_GATEWAY__LOG__FORMAT: 'pretty',
    LURKBOT_GATEWAY__LOG__LEVEL: 'debug',
    FORCE_COLOR: '1',
  }
  const running = await gateway(t, { env })
  await running.stop()
  t.match(running.output(), '\u001b[32mINFO\u001b[39m')
})
