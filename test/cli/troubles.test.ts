import { writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { createCertificate } from '../auth/certificates.js'
import { scriptedGateway } from '../client/scripted-gateway.js'
import { type GatewayProcess, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { type InProcessResult, runInProcess } from './in-process.js'

/** Every command that talks to a gateway, in a form that needs nothing but the connection to work. */
const TALKING: string[][] = [
  ['gateway', 'call', 'gateway.ping'],
  ['gateway', 'chat'],
  ['gateway', 'events'],
  ['cron', 'list'],
  ['token', 'list'],
  ['sessions', 'export', 'a:b'],
]
/** `status` says the same as its result. */
const STATUS = ['gateway', 'status']

const ADMIN = 'an-administrators-token-of-this-test'
const VIEWER = 'a-viewers-token-of-this-test-as-well'
const { home, remove } = temporaryHome()
const elsewhere = temporaryHome()
let gateway: GatewayProcess
const servers: { close(): unknown }[] = []

t.before(async () => {
  const tokens = [
    { token: ADMIN, role: 'admin' },
    { token: VIEWER, role: 'viewer' },
  ]
  writeFileSync(join(home, 'config.json'), JSON.stringify({ auth: { enabled: true, tokens } }))
  gateway = await startGateway({ home })
})
t.teardown(async () => {
  for (const server of servers) server.close()
  await gateway.kill9()
  remove()
  elsewhere.remove()
})

/** A command of a machine that has nothing of its own. */
const run = (args: string[], env: NodeJS.ProcessEnv = {}) => runInProcess(args, { home: elsewhere.home, env })

async function listen<S extends Server | HttpServer>(server: S): Promise<string> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {})
    sockets.add(socket)
  })
  servers.push({
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

interface Failure {
  readonly code: number
  readonly says: RegExp
  /** The next command, or what stands in its place. */
  readonly advises: RegExp
}

/** What a person reads, and what a program does. */
async function failsSo(
  args: string[],
  { code, says, advises }: Failure,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const text = await run(args, env)
  const [first, ...rest] = text.stderr.trimEnd().split('\n')
  const name = args.join(' ')
  t.equal(text.code, code, `${name}: ${text.stderr}`)
  t.match(first, says, name)
  t.match(rest.join('\n'), advises, name)
  t.equal(text.stdout, '', name)
  t.notMatch(text.stderr, /^\s+at .*:\d+:\d+\)?$/m, 'no stack')
  checkJson(await run([...args, '--json'], env), code, says)
}

function checkJson({ code, stderr, stdout }: InProcessResult, expected: number, says: RegExp): void {
  t.equal(code, expected)
  t.equal(stdout, '')
  const { error } = JSON.parse(stderr)
  t.match(error, { code: /^[A-Z_]+$/, message: String, advice: Array })
  const message = `${error.code}: ${error.message}`
  t.ok(says.test(error.message) || says.test(message), `${message} matches ${says}`)
}

t.test('an address where no gateway answers is told apart by what does', async (t) => {
  const certificate = await createCertificate()
  const http = createHttpServer((_, response) => response.writeHead(404).end('{}'))
  const proxy = createHttpServer((_, response) => response.writeHead(502).end())
  for (const server of [http, proxy])
    server.on('upgrade', (_, socket) => socket.end(`HTTP/1.1 ${server === http ? 404 : 502} No\r\n\r\n`))
  const speaks = createTcpServer((socket) => socket.write('SSH-2.0-OpenSSH_9\r\n'))
  const cuts = createTcpServer((socket) => socket.on('data', () => socket.end()))
  const silent = createTcpServer(() => {})
  const tls = createHttpsServer(certificate, (_, response) => response.end())
  const chatter = createHttpServer()
  new WebSocketServer({ server: chatter }).on('connection', (socket) => socket.send('hello there'))
  const at = {
    http: await listen(http),
    proxy: await listen(proxy),
    speaks: await listen(speaks),
    cuts: await listen(cuts),
    silent: await listen(silent),
    tls: await listen(tls),
    chatter: await listen(chatter),
  }
  const status = /lurkbot gateway status/
  const cases: [name: string, url: string, Omit<Failure, 'code'>][] = [
    [
      'nothing',
      'ws://127.0.0.1:1',
      { says: /not running at http:\/\/127.0.0.1:1: connection refused/, advises: status },
    ],
    [
      'an HTTP server',
      `ws://${at.http}`,
      { says: /no gateway at .* \(HTTP 404\)/, advises: /curl http:\S+\/health/ },
    ],
    [
      'a proxy without its gateway',
      `ws://${at.proxy}`,
      { says: /proxy at .* does not reach its gateway/, advises: status },
    ],
    ['a server of another kind', `ws://${at.speaks}`, { says: /no gateway at/, advises: /curl/ }],
    ['one that hangs up', `ws://${at.cuts}`, { says: /is no gateway, or wants TLS/, advises: /--url wss:/ }],
    ['another WebSocket server', `ws://${at.chatter}`, { says: /no gateway at/, advises: /curl/ }],
    ['TLS, without', `ws://${at.tls}`, { says: /is no gateway, or wants TLS/, advises: /--url wss:/ }],
    ['no TLS, with', `wss://${at.http}`, { says: /There is no TLS at/, advises: /--url ws:/ }],
    [
      'no TLS, with, of another kind',
      `wss://${at.speaks}`,
      { says: /There is no TLS at/, advises: /--url ws:/ },
    ],
    [
      'an unknown certificate',
      `wss://${at.tls}`,
      { says: /is not trusted: .*DEPTH_ZERO/, advises: /NODE_EXTRA_CA_CERTS/ },
    ],
    [
      'no such host',
      'ws://no-such-host.invalid:1',
      { says: /host name 'no-such-host.invalid' is not known/, advises: /getent/ },
    ],
  ]
  for (const [name, url, failure] of cases) {
    await t.test(name, () =>
      failsSo(['gateway', 'call', 'gateway.ping', '--url', url], { code: 69, ...failure }),
    )
  }
  const late = { code: 69, says: /answered as a gateway in time/, advises: /curl --max-time/ }
  await failsSo(['gateway', 'call', 'gateway.ping', '--timeout', '0.3', '--url', `ws://${at.silent}`], late)
  const wrong = await run([...STATUS, '--url', `ws://${at.http}`])
  t.match(wrong, { code: 1, stdout: /no gateway at[\s\S]*curl/ }, 'status says it, too')
  t.match(await run([...STATUS, '--url', 'ws://127.0.0.1:1']), {
    code: 3,
    stdout: /not running[\s\S]*gateway start/,
  })
})

t.test('every command that talks to a gateway says that there is none, and how to start it', async () => {
  const start = { code: 69, says: /not running at .*: connection refused/, advises: /lurkbot gateway start/ }
  for (const args of TALKING) await failsSo(args, start)
})

t.test('every command says that a token is missing, or wrong, and where one was looked for', async () => {
  const advises = /looked for in:\n.*LURKBOT_TOKEN\n.*lurkbot token new/
  for (const args of TALKING) {
    const failure = { code: 77, says: /^Authentication failed: Authentication is required/, advises }
    await failsSo([...args, '--url', gateway.url], failure)
  }
  const wrong = { code: 77, says: /^Authentication failed: /, advises }
  await failsSo(['gateway', 'call', 'gateway.ping', '--url', gateway.url], wrong, {
    LURKBOT_TOKEN: 'wrong-token',
  })
})

t.test('a token without the scope, parameters and names that are wrong are told as such', async () => {
  const at = ['--url', gateway.url]
  const viewer = { LURKBOT_TOKEN: VIEWER }
  const admin = { LURKBOT_TOKEN: ADMIN }
  const scope = { code: 77, says: /^FORBIDDEN: .*needs the scope/, advises: /lurkbot token list/ }
  await failsSo(['gateway', 'call', 'config.get', ...at], scope, viewer)
  await failsSo(['token', 'list', ...at], scope, viewer)
  await failsSo(['cron', 'add', '--every', '1h', '--message', 'x', ...at], scope, viewer)
  const path = {
    code: 1,
    says: /^INVALID_REQUEST: params\.content: expected/,
    advises: /methods\.list \| jq/,
  }
  await failsSo(
    ['gateway', 'call', 'sessions.send', '{"content": 1}', '--session', 'a:b', ...at],
    path,
    admin,
  )
  const method = { code: 1, says: /^METHOD_NOT_FOUND/, advises: /There are lanes\.get, lanes\.list/ }
  await failsSo(['gateway', 'call', 'lanes.lst', ...at], method, admin)
  const session = { code: 1, says: /^NOT_FOUND: /, advises: /sessions\.list/ }
  await failsSo(['sessions', 'export', 'no:such', ...at], session, admin)
  const job = { code: 1, says: /no job 'nightly'/, advises: /lurkbot cron list/ }
  await failsSo(['cron', 'run', 'nightly', ...at], job, admin)
  const token = { code: 1, says: /^NOT_FOUND: /, advises: /lurkbot token list/ }
  await failsSo(['token', 'revoke', 'nobody', ...at], token, admin)
})

t.test('a gateway of another protocol version is told by both versions', async (t) => {
  const other = await scriptedGateway()
  t.teardown(() => other.close())
  const refuse = async () => {
    for (;;) {
      const message = 'hello.minProtocol..maxProtocol: expected a range that includes 2, got 1..1'
      const details = { minProtocol: 2, maxProtocol: 2 }
      const connection = await other.next()
      const error = { code: 'INVALID_REQUEST' as const, message, details, retryable: false }
      connection.send({ type: 'hello-error', error })
    }
  }
  void refuse()
  await failsSo(['gateway', 'call', 'gateway.ping', '--url', other.url], {
    code: 69,
    says: /another version of the protocol/,
    advises: /speaks version 1; .*includes 2[\s\S]*lurkbot --version/,
  })
})

t.test('a command line that is wrong ends with 64 and says what would be right', async () => {
  const help = /--help/
  const cases: [string[], RegExp, RegExp][] = [
    [['gateway', 'sart'], /unknown command 'sart'/, /Did you mean start\?/],
    [['gatway'], /unknown command 'gatway'/, /Did you mean gateway\?/],
    [['gateway', 'start', '--prot', '1'], /unknown option '--prot'/, /Did you mean --port\?/],
    [['gateway', 'call'], /missing required argument 'method'/, help],
    [['gateway', 'call', 'gateway.ping', '{}', 'x'], /too many arguments/, help],
    [['gateway', 'stop', '--timeout', 'soon'], /expected seconds/, help],
    [
      ['gateway', 'call', 'gateway.ping', '[]'],
      /expected a JSON object; found an array/,
      /lurkbot gateway call/,
    ],
    [['gateway', 'call', 'gateway.ping', '{}', '--url', 'x'], /--url 'x': expected an address/, /^/],
    [['gateway', 'call', 'x', '--token-file', '/no/such'], /--token-file: ENOENT/, /^/],
    [['cron', 'add', '--message', 'x'], /One of --at, --every and --cron/, /cron add --help/],
  ]
  for (const [args, says, advises] of cases) await failsSo(args, { code: 64, says, advises })
})
