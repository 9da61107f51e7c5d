import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t from 'tap'
import { gatewayPing, logsTail, sessionsSend } from '../../src/protocol/index.js'
import { runCli, spawnCli } from '../helpers/gateway-process.js'
import { connected, gateway, newHome } from './running.js'

t.test('help names the commands, and an unknown one is a usage error', async (t) => {
  const home = newHome(t)
  const help = await runCli(['gateway', '--help'], { home })
  t.equal(help.code, 0)
  for (const name of ['start', 'stop', 'restart', 'status', 'call', 'chat', 'events'])
    t.match(help.stdout, name)
  t.match(await runCli(['gateway', 'sart'], { home }), { code: 64, stderr: /Did you mean start/ })
  t.match(await runCli(['gateway', 'call'], { home }), { code: 64, stderr: /missing required argument/ })
  t.match(await runCli(['gateway', 'stop', '--timeout', '-1'], { home }), {
    code: 64,
    stderr: /expected seconds/,
  })
})

t.test('where nothing runs every command says so and how to start it', async (t) => {
  const home = newHome(t)
  for (const args of [['call', 'gateway.info'], ['chat'], ['events']]) {
    const { code, stderr } = await runCli(['gateway', ...args], { home })
    t.equal(code, 69)
    t.match(stderr, /not running at .*\n.*lurkbot gateway start/)
  }
})

t.test('the log of the program is there for logs.tail, and goes on to standard output', async (t) => {
  const running = await gateway(t)
  const client = await connected(t, running)
  const { lines } = await client.request(logsTail, { limit: 1_000 })
  t.match(lines.find(({ message }) => message === 'gateway started')?.fields, { home: running.home })
  t.match(running.output(), '"msg":"gateway started"')
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
  const [first, second] = ['a-token-that-is-long-enough', 'another-token-that-is-long'] as const
  const tokens = `${first},${second}`
  const { home, url } = await gateway(t, { env: { LURKBOT_GATEWAY__AUTH_TOKENS: tokens } })
  writeFileSync(join(home, 'my-token'), first)
  const info = (args: string[], env: NodeJS.ProcessEnv = {}) =>
    runCli(['gateway', 'call', 'gateway.info', ...args], { home, env })
  const [none, wrong, ...right] = await Promise.all([
    info([]),
    info([], { LURKBOT_TOKEN: 'wrong' }),
    info([], { LURKBOT_TOKEN: second }),
    info([], { LURKBOT_GATEWAY__AUTH_TOKENS: tokens }),
    info(['--token-file', join(home, 'my-token'), '--url', url]),
  ])
  const places = /Authentication failed.*\n.*No token was found; looked for in:\n.*LURKBOT_TOKEN/
  t.match(none, { code: 77, stderr: places })
  t.match(wrong, { code: 77, stderr: /Authentication failed/ })
  t.notMatch(wrong.stderr, /wrong/, 'the token itself is not shown')
  for (const { code, stderr } of right) t.equal(code, 0, stderr)
  const status = await runCli(['gateway', 'status'], { home })
  t.match(status, { code: 0, stdout: /is running[\s\S]*Authentication failed/ })
})

t.test('beyond loopback the token that the gateway made is found', async (t) => {
  const { home, url } = await gateway(t, { env: { LURKBOT_GATEWAY__HOST: '0.0.0.0' } })
  t.match(url, /127\.0\.0\.1/)
  const info = await runCli(['gateway', 'call', 'gateway.info'], { home })
  t.equal(info.code, 0, info.stderr)
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

t.test('behind a base path and with a certificate for another name, its own commands find it', async (t) => {
  const home = newHome(t)
  const pems = await generate([{ name: 'commonName', value: 'gateway.example' }], { keySize: 2048 })
  writeFileSync(join(home, 'cert.pem'), pems.cert)
  writeFileSync(join(home, 'key.pem'), pems.private, { mode: 0o600 })
  const config = { basePath: '/gw', tls: { enabled: true, cert: './cert.pem', key: './key.pem' } }
  writeFileSync(join(home, 'config.json'), JSON.stringify(config))
  const { url } = await gateway(t, { home })
  t.match(url, /^https:.*\/gw$/)
  const status = await runCli(['gateway', 'status', '--json'], { home })
  t.match(JSON.parse(status.stdout), { status: 'running', info: { protocol: 1 } })
  const elsewhere = await runCli(['gateway', 'call', 'gateway.info', '--url', url], { home: newHome(t) })
  t.match(elsewhere, { code: 69, stderr: /certificate/ }, 'others do not trust it')
})

t.test('a session is exported as JSON lines', async (t) => {
  const { home } = await gateway(t)
  const send = [
    'gateway',
    'call',
    'sessions.send',
    '{"content": "hi", "wait": true}',
    '--session',
    'cli:t:main',
  ]
  t.equal((await runCli(send, { home })).code, 0)
  const { code, stdout, stderr } = await runCli(['sessions', 'export', 'cli:t:main'], { home })
  t.equal(code, 0, stderr)
  t.match(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [
      { type: 'session', key: 'cli:t:main' },
      { type: 'message', role: 'user', content: 'hi' },
      { type: 'message', role: 'assistant' },
    ],
  )
  t.match(await runCli(['sessions', 'export', 'cli:none'], { home }), {
    code: 1,
    stdout: '',
    stderr: /^NOT_FOUND: /,
  })
})
