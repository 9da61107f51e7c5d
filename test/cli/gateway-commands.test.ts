import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createNodeClient, type GatewayClient } from '../../src/client/node.js'
import { gatewayPing, sessionsSend } from '../../src/protocol/index.js'
import {
  type GatewayProcess,
  runCli,
  type StartOptions,
  spawnCli,
  startGateway,
  temporaryHome,
} from '../helpers/gateway-process.js'

function newHome(t: Test): string {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  return home
}

async function gateway(t: Test, options: StartOptions = {}): Promise<GatewayProcess> {
  const home = options.home ?? newHome(t)
  const started = await startGateway({ ...options, home })
  t.teardown(() => started.kill9())
  return started
}

t.test('help names the commands, and an unknown one is a usage error', async (t) => {
  const home = newHome(t)
  const help = await runCli(['gateway', '--help'], { home })
  t.equal(help.code, 0)
  for (const name of ['start', 'stop', 'status', 'call', 'chat', 'events']) t.match(help.stdout, name)
  t.match(await runCli(['gateway', 'sart'], { home }), { code: 64, stderr: /Did you mean start/ })
  t.match(await runCli(['gateway', 'call'], { home }), { code: 64, stderr: /missing required argument/ })
  t.match(await runCli(['gateway', 'stop', '--timeout', '-1'], { home }), {
    code: 64,
    stderr: /expected seconds/,
  })
})

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

t.test('where nothing runs every command says so and how to start it', async (t) => {
  const home = newHome(t)
  for (const args of [['call', 'gateway.info'], ['chat'], ['events']]) {
    const { code, stderr } = await runCli(['gateway', ...args], { home })
    t.equal(code, 69)
    t.match(stderr, /not running at .*\n.*lurkbot gateway start/)
  }
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

t.test('call prints the result as JSON, and an error with its code', async (t) => {
  const { home } = await gateway(t)
  const ping = await runCli(['gateway', 'call', 'gateway.ping', '{"data": [1, "ü"]}'], { home })
  t.equal(ping.code, 0, ping.stderr)
  t.match(JSON.parse(ping.stdout), { pong: true, data: [1, 'ü'] })

  const sent = await runCli(
    ['gateway', 'call', 'sessions.send', '{"content": "hi", "wait": true}', '--session', 'cli:t:main'],
    { home },
  )
  t.equal(sent.code, 0, sent.stderr)
  t.match(JSON.parse(sent.stdout), { outcome: { status: 'completed', message: { content: /hi/ } } })

  const cases: [string[], number, RegExp][] = [
    [['no.such'], 1, /^METHOD_NOT_FOUND: /],
    [['sessions.send', '{"content": 1}', '--session', 'a:b'], 1, /^INVALID_REQUEST: .*content/],
    [['gateway.ping', '{"data": '], 64, /expected a JSON object/],
    [['gateway.ping', '[]'], 64, /found an array/],
    [['gateway.ping', '{}', '--url', 'nonsense'], 64, /expected an address/],
  ]
  for (const [args, code, stderr] of cases) {
    t.match(
      await runCli(['gateway', 'call', ...args], { home }),
      { code, stdout: '', stderr },
      args.join(' '),
    )
  }
})

t.test('a refused token says where one was looked for', async (t) => {
  const tokens = 'a-token-that-is-long-enough,another-token-that-is-long'
  const { home, url } = await gateway(t, { env: { LURKBOT_GATEWAY__AUTH_TOKENS: tokens } })
  const info = ['gateway', 'call', 'gateway.info']
  t.match(await runCli(info, { home }), {
    code: 77,
    stderr: /Authentication failed.*\n.*No token was found; looked for in:\n.*LURKBOT_TOKEN/,
  })
  const wrong = await runCli(info, { home, env: { LURKBOT_TOKEN: 'wrong' } })
  t.match(wrong, { code: 77, stderr: /Authentication failed/ })
  t.notMatch(wrong.stderr, /wrong/, 'the token itself is not shown')
  t.equal((await runCli(info, { home, env: { LURKBOT_TOKEN: tokens.split(',')[1] } })).code, 0)
  t.equal((await runCli(info, { home, env: { LURKBOT_GATEWAY__AUTH_TOKENS: tokens } })).code, 0)
  writeFileSync(join(home, 'my-token'), tokens.split(',')[0]!)
  t.equal((await runCli([...info, '--token-file', join(home, 'my-token'), '--url', url], { home })).code, 0)
  const status = await runCli(['gateway', 'status'], { home })
  t.match(status, { code: 0, stdout: /is running[\s\S]*Authentication failed/ })
})

t.test('beyond loopback the token that the gateway made is found', async (t) => {
  const { home, url } = await gateway(t, { env: { LURKBOT_GATEWAY__HOST: '0.0.0.0' } })
  t.match(url, /127\.0\.0\.1/)
  const info = await runCli(['gateway', 'call', 'gateway.info'], { home })
  t.equal(info.code, 0, info.stderr)
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

t.test(
  'an address that is not of this machine, and a configuration with problems, end with 78',
  async (t) => {
    const home = newHome(t)
    const foreign = await runCli(['gateway', 'start', '--host', '192.0.2.1'], { home })
    t.match(foreign, { code: 78, stderr: /192\.0\.2\.1.*not an address of this machine/ })
    const wrong = await runCli(['gateway', 'start', '--port', '99999', '--log-level', 'loud'], { home })
    t.match(wrong, { code: 78, stderr: /--port[\s\S]*--log-level/ })
    writeFileSync(join(home, 'config.yaml'), 'lanes: {capacty: 1}\n')
    t.match(await runCli(['gateway', 'start'], { home }), { code: 78, stderr: /capacty/ })
  },
)

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

t.test('events prints one JSON line for each event of its patterns', async (t) => {
  const running = await gateway(t)
  const child = spawnCli(['gateway', 'events', 'session.message'], running)
  t.teardown(() => child.kill('SIGKILL'))
  const printed = once(child.stdout, 'data').then(([text]) => text as string)
  const client = await connected(t, running)
  let text: string | undefined
  // Nothing tells when it has connected, so there is something to see until it is seen.
  while (text === undefined) {
    const { eventId } = await client.request(sessionsSend, { content: 'x' }, { sessionKey: 'a:b' })
    text = await Promise.race([printed, client.request(gatewayPing, { data: eventId }).then(() => undefined)])
  }
  const [line] = text.split('\n')
  t.match(JSON.parse(line!), { type: 'event', event: 'session.message', sessionKey: 'a:b', seq: Number })
  const closed = once(child, 'close')
  child.stdout.destroy()
  await client.request(sessionsSend, { content: 'x' }, { sessionKey: 'a:b' })
  t.same(await closed, [0, null], 'it ends quietly when its reader has gone')
})

async function connected(t: Test, running: GatewayProcess): Promise<GatewayClient> {
  const client = createNodeClient({
    url: running.wsUrl,
    client: { id: 'test', version: '1', platform: 'test', mode: 'cli' },
    reconnect: false,
  })
  t.teardown(() => client.close())
  await client.connect()
  return client
}
