import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createNodeClient } from '../../src/client/node.js'
import { freePort } from '../helpers/free-port.js'
import { type GatewayProcess, runCli, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { type ProxyKind, PUBLIC_NAME, ReverseProxy } from '../helpers/reverse-proxy.js'
import { type Frame, TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { ADMIN_TOKEN, type Answer, PublicSide } from './public-side.js'

/** Short enough to wait for; the gateway's heartbeat stays well below it, as in the shipped files. */
const IDLE_MS = 1_000
const HEARTBEAT_MS = 250
const MAX_REQUESTS = 20
const MAX_PAYLOAD = 1_048_576

const HELD_AGENT = `
  import { existsSync } from 'node:fs'
  export default async function* (_event, { signal }) {
    yield 'first '
    while (!existsSync(process.env.TEST_RELEASE)) {
      if (signal.aborted) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    yield 'last'
  }
`

/** What stands in front of each test: a gateway, and the proxy with its shipped file. */
class Stage {
  readonly home: string
  readonly port: number
  readonly public: PublicSide
  readonly #release: string
  gateway!: GatewayProcess

  static async start(t: Test, kind: ProxyKind): Promise<Stage> {
    const { home, remove } = temporaryHome()
    t.teardown(remove)
    const port = await freePort()
    const changes =
      kind.idleTimeout === null ? [] : ([[kind.idleTimeout, kind.idleTimeout.replace('75s', '1s')]] as const)
    const proxy = await ReverseProxy.start(t, kind, { gatewayPort: port, changes })
    const stage = new Stage(t, home, port, proxy)
    t.teardown(() => stage.gateway?.kill9())
    await stage.startGateway()
    await until(async () => (await stage.public.ask('/health/ready')).status === 200)
    return stage
  }

  private constructor(
    t: Test,
    home: string,
    port: number,
    readonly proxy: ReverseProxy,
  ) {
    this.home = home
    this.port = port
    this.public = new PublicSide(t, proxy)
    this.#release = join(home, 'release')
    mkdirSync(home, { recursive: true })
    writeFileSync(join(home, 'held.mjs'), HELD_AGENT)
    const config = {
      port,
      trustProxy: ['127.0.0.1'],
      auth: { tokens: [{ name: 'admin', token: ADMIN_TOKEN }], allowedHosts: [PUBLIC_NAME] },
      connection: { heartbeatMs: HEARTBEAT_MS, maxPayloadBytes: MAX_PAYLOAD },
      rateLimit: { http: { max: MAX_REQUESTS, windowMs: 600_000 } },
      overload: { maxLoopDelayMs: 60_000 },
      agents: { held: { type: 'module', path: './held.mjs' } },
      routing: [{ channel: 'held', agent: 'held' }],
    }
    writeFileSync(join(home, 'config.json'), JSON.stringify(config))
  }

  async startGateway(env: NodeJS.ProcessEnv = {}): Promise<void> {
    const port = { LURKBOT_GATEWAY__PORT: String(this.port), TEST_RELEASE: this.#release }
    this.gateway = await startGateway({ home: this.home, env: { ...port, ...env } })
  }

  /** The held agent's run may end, and the next one is held again. */
  release(): void {
    writeFileSync(this.#release, '')
  }

  holdAgain(): void {
    rmSync(this.#release, { force: true })
  }

  /** Who the gateway says that a connection is from. */
  async addressOf(connId: string): Promise<string | undefined> {
    const admin = await this.public.connect()
    const { connections } = await admin.call('connections.list')
    admin.terminate()
    return connections.find((found: { connId: string }) => found.connId === connId)?.address
  }
}

const bearer = { authorization: `Bearer ${ADMIN_TOKEN}` }
const durable = ({ type, seq }: Frame) => type === 'event' && seq !== undefined
const isGone = ({ status }: Answer) => status === 502 || status === 503

/** What the gateway promises, through one reverse proxy as `deploy/` configures it. */
export function proxySuite(kind: ProxyKind): void {
  t.test(`behind ${kind.name}`, async (t) => {
    const stage = await Stage.start(t, kind)
    for (const [name, test] of [...WHILE_IT_RUNS, ...ENDINGS]) {
      await t.test(name, (t) => test(t, stage, kind))
    }
  })
}

type SuiteTest = readonly [name: string, test: (t: Test, stage: Stage, kind: ProxyKind) => Promise<void>]

const WHILE_IT_RUNS: readonly SuiteTest[] = [
  [
    'HTTP is sent on to HTTPS',
    async (t, { public: world }) => {
      const { status, headers } = await world.ask('/methods?a=b', { plain: true })
      t.equal(status, 308)
      t.match(headers.location, new RegExp(`^https://${PUBLIC_NAME}(:\\d+)?/methods\\?a=b$`))
    },
  ],
  [
    'hello, requests and events pass at /ws and at /',
    async (t, { public: world }) => {
      for (const path of ['/ws', '/']) {
        const socket = await world.connect({ path })
        const key = `web:${path.length}:main`
        const sent = await socket.call('sessions.send', { content: 'hello' }, key)
        const { payload } = await socket.event('agent.completed', ({ sessionKey }) => sessionKey === key)
        t.match(payload, { runId: sent.runId })
        socket.terminate()
      }
      const { body } = await world.ask('/')
      t.match(JSON.parse(body), { name: 'lurkbot-gateway' })
      const document = JSON.parse((await world.ask('/asyncapi.json', { headers: bearer })).body)
      t.match(document.servers.gateway, { protocol: 'wss', host: new URL(world.origin).host })
    },
  ],
  [
    'deltas arrive while the run still runs',
    async (t, stage) => {
      const socket = await stage.public.connect()
      await socket.call('sessions.send', { content: 'go' }, 'held:1:main')
      t.equal((await socket.event('agent.delta')).payload.text, 'first ')
      t.notOk(socket.events().some(({ event }) => event === 'agent.completed'))
      stage.release()
      await socket.event('agent.completed')
      stage.holdAgain()
      socket.terminate()
    },
  ],
  [
    'the heartbeat keeps a connection that says nothing, longer than the proxy would',
    async (t, { public: world }) => {
      const socket = await world.connect({ hello: { subscribe: [] } })
      const pings = (2 * IDLE_MS) / HEARTBEAT_MS
      await until(() => socket.pings >= pings || socket.socket.readyState !== socket.socket.OPEN)
      t.match(await socket.call('gateway.ping', { data: 'still here' }), { data: 'still here' })
      socket.terminate()
    },
  ],
  [
    'frames of the greatest size pass both ways, and a greater one ends with the gateway’s code',
    async (t, { public: world }) => {
      const socket = await world.connect({ hello: { subscribe: [] } })
      const data = 'x'.repeat(MAX_PAYLOAD - 100)
      t.ok((await socket.call('gateway.ping', { data })).data === data)
      socket.send({
        type: 'request',
        id: 'big',
        method: 'gateway.ping',
        params: { data: 'x'.repeat(MAX_PAYLOAD) },
      })
      t.equal((await socket.closed).code, 1009)
    },
  ],
  [
    'a body that is too large is refused with 413',
    async (t, { public: world }) => {
      // Announced only: who is refused while it sends may be cut off before it can read why.
      const headers = { 'content-length': MAX_PAYLOAD + 1 }
      t.equal((await world.ask('/channels/none', { method: 'POST', headers, body: null })).status, 413)
    },
  ],
  [
    'clients are seen with their own addresses, whatever they say of themselves',
    async (t, stage) => {
      const forged = {
        'x-forwarded-for': '203.0.113.9',
        'x-real-ip': '203.0.113.9',
        forwarded: 'for=203.0.113.9',
      }
      for (const from of ['127.0.0.2', '127.0.0.3', '::1']) {
        const socket = await stage.public.connect({ from, headers: forged })
        t.equal(await stage.addressOf(socket.helloOk!.server.connId), from)
        socket.terminate()
      }
      const direct = new TestSocket(`ws://127.0.0.1:${stage.port}/ws`, {
        localAddress: '127.0.0.9',
        headers: forged,
      })
      await direct.opened
      const { server } = await direct.hello({ auth: { token: ADMIN_TOKEN } })
      t.equal(await stage.addressOf(server.connId), '127.0.0.9', 'one that is no trusted proxy')
      direct.terminate()
    },
  ],
  [
    'a failed login is recorded with the address of the client',
    async (t, { public: world }) => {
      const stranger = await world.open('/ws', { from: '127.0.0.4' })
      t.match(await stranger.hello({ auth: { token: 'guessed' } }), { error: { code: 'UNAUTHORIZED' } })
      t.equal((await stranger.closed).code, 4401)
      const admin = await world.connect()
      await until(async () => {
        const { entries } = await admin.call('audit.list', { method: 'hello' })
        return entries[0]?.address === '127.0.0.4'
      })
      admin.terminate()
    },
  ],
  [
    'one client’s limit is not another’s',
    async (t, { public: world }) => {
      const from = async (address: string) => (await world.ask('/', { from: address })).status
      const statuses = new Set<number>()
      for (let asked = 0; asked <= MAX_REQUESTS; asked++) statuses.add(await from('127.0.0.5'))
      t.strictSame(statuses, new Set([200, 429]))
      t.equal(await from('127.0.0.6'), 200)
      t.equal(await from('::1'), 200)
    },
  ],
  [
    'pages of the public name may connect, those of another may not',
    async (t, { public: world }) => {
      const statusOf = async (origin: string, headers = {}) =>
        (await world.ask('/', { headers: { origin, ...headers } })).status
      t.equal(await statusOf(world.origin), 200)
      t.equal(await statusOf('https://evil.example'), 403)
      t.equal(await statusOf('https://evil.example', { 'x-forwarded-host': 'evil.example' }), 403)
      const page = await world.connect({ headers: { origin: world.origin } })
      page.terminate()
      const foreign = await world.open('/ws', { headers: { origin: 'https://evil.example' } })
      t.equal((await foreign.closed).code, 4403)
    },
  ],
  [
    'reports on the inside are for this machine only, however their path is written',
    async (t, { public: world }) => {
      for (const path of ['/metrics', '/health']) {
        t.equal((await world.ask(path)).status, 200, path)
        for (const written of [path, `${path}?a=b`, path.replace('h', '%68').replace('m', '%6D')]) {
          t.equal((await world.ask(written, { from: '127.0.0.7' })).status, 403, written)
        }
      }
      t.equal((await world.ask('/health/live', { from: '127.0.0.7' })).status, 200)
    },
  ],
  [
    'an export passes whole',
    async (t, { public: world, gateway }) => {
      const socket = await world.connect()
      for (const text of ['a', 'b', 'c']) {
        await socket.call('sessions.send', { content: text.repeat(300_000), wait: true }, 'web:export:main')
      }
      socket.terminate()
      const path = '/sessions/web:export:main/export'
      const { status, body } = await world.ask(path, { headers: bearer })
      t.equal(status, 200)
      t.ok(body === (await (await fetch(gateway.url + path, { headers: bearer })).text()))
      t.ok(body.length > 1_800_000)
    },
  ],
]

const ENDINGS: readonly SuiteTest[] = [
  [
    'a restart in place ends with 1012, and a client comes back and goes on without gap or double',
    async (t, { public: world, proxy, gateway }) => {
      const client = createNodeClient({
        url: `wss://localhost:${proxy.httpsPort}/ws`,
        token: ADMIN_TOKEN,
        client: { id: 'test', version: '1.0.0', platform: 'node', mode: 'cli' },
        tls: { ca: proxy.certificate.cert },
      })
      t.teardown(() => client.close())
      const seen: (number | undefined)[] = []
      client.on('*', ({ seq }) => seq && seen.push(seq))
      const { resume } = await client.connect()
      const send = (content: string) => {
        const params = { content, idempotencyKey: content, wait: true }
        return client.request('sessions.send', params, { sessionKey: 'web:restart:main' })
      }
      await send('before')
      const watching = await world.connect()
      gateway.signal('SIGUSR2')
      t.equal((await watching.closed).code, 1012)
      const meanwhile = await Promise.all([1, 2, 3].map(() => world.ask('/health/live')))
      t.ok(meanwhile.every((answer) => answer.status === 200 || isGone(answer)))
      await send('after')
      t.equal((await world.ask('/health/live')).status, 200)

      const from = { epoch: resume.epoch, seq: resume.seq }
      const late = await world.connect({ hello: { resume: from } })
      t.match(late.helloOk, { resume: { recovered: true } })
      const { messages } = await late.call('sessions.history', {}, 'web:restart:main')
      t.strictSame(
        messages.map(({ role }: { role: string }) => role),
        ['user', 'assistant', 'user', 'assistant'],
      )
      const all = () => late.frames.filter(durable).map(({ seq }) => seq)
      await until(() => all().at(-1) === seen.at(-1))
      t.strictSame(seen, all())
      late.terminate()
    },
  ],
  [
    'a stop drains: readiness goes, the run that is under way ends, then 1001; meanwhile nothing hangs',
    async (t, stage, { probes }) => {
      const { public: world, gateway } = stage
      const socket = await world.connect()
      await socket.call('sessions.send', { content: 'go' }, 'held:2:main')
      await socket.event('agent.delta')
      gateway.signal('SIGTERM')
      await until(async () => (await world.ask('/health/ready')).status === 503)
      if (probes) await until(async () => isGone(await world.ask('/health/live')))
      else t.equal((await world.ask('/health/live')).status, 200)
      stage.release()
      const { payload } = await socket.event('agent.completed')
      t.ok(payload.runId)
      t.equal((await socket.closed).code, 1001)
      t.match(await gateway.exited, { code: 0 })
      t.ok(isGone(await world.ask('/')))
      const refused = world.open()
      await t.rejects(refused, { message: /Unexpected server response: 50[23]/ })
    },
  ],
  [
    'what may have been taken is not sent again when the gateway dies over it',
    async (t, { public: world, port }) => {
      let posts = 0
      const dying = createServer((request, response) => {
        if (request.method === 'GET') return void response.end('{}')
        posts++
        request.resume().once('end', () => response.destroy())
      }).listen(port, '127.0.0.1')
      t.teardown(() => dying.close())
      await once(dying, 'listening')
      await until(async () => (await world.ask('/')).status === 200)
      for (let sent = 1; sent <= 3; sent++) {
        t.ok(isGone(await world.ask('/channels/any', { method: 'POST', body: 'taken' })))
        t.equal(posts, sent)
        // A connection that is left open, for the next one to be sent on.
        await until(async () => (await world.ask('/')).status === 200)
      }
      dying.closeAllConnections()
      dying.close()
      await once(dying, 'close')
    },
  ],
  [
    'under a path everything works, commands included',
    async (t, stage, { idleTimeout }) => {
      const { public: world, proxy } = stage
      await stage.startGateway({
        LURKBOT_GATEWAY__BASE_PATH: '/gateway',
        LURKBOT_GATEWAY__CONNECTION__HEARTBEAT_MS: '600000',
      })
      await proxy.reload('path')
      // The file before refused this one; for a moment both may be in use.
      await until(async () => {
        const answers = [1, 2, 3, 4].map(() => world.ask('/health', { from: '127.0.0.7' }))
        return (await Promise.all(answers)).every(({ status }) => status === 404)
      })
      await until(async () => (await world.ask('/gateway/health/ready')).status === 200)
      t.match(JSON.parse((await world.ask('/gateway/health')).body), { status: 'ok' })
      t.equal((await world.ask('/gateway/health', { from: '127.0.0.7' })).status, 403)
      t.equal((await world.ask('/elsewhere')).status, 404)
      for (const path of ['/gateway/ws', '/gateway', '/gateway/']) (await world.connect({ path })).terminate()
      // Not from the address of the proxy: its last probes of the other path, which is none any more, count as well.
      const { links } = JSON.parse((await world.ask('/gateway', { from: '127.0.0.8' })).body)
      t.equal(new URL(links.health, `${world.origin}/gateway`).pathname, '/gateway/health')

      const result = await runCli(
        [
          'gateway',
          'call',
          'gateway.ping',
          '{"data": 1}',
          '--url',
          `https://localhost:${proxy.httpsPort}/gateway`,
        ],
        {
          home: join(stage.home, 'elsewhere'),
          env: { LURKBOT_TOKEN: ADMIN_TOKEN, NODE_EXTRA_CA_CERTS: proxy.certFile },
        },
      )
      t.equal(result.code, 0, result.stderr)
      t.match(JSON.parse(result.stdout), { data: 1 })

      if (idleTimeout !== null) {
        const quiet = await world.connect({ path: '/gateway/ws', hello: { subscribe: [] } })
        t.equal((await quiet.closed).code, 1006, 'without a heartbeat the proxy cuts what is quiet')
      }
    },
  ],
  [
    'a reload keeps WebSockets open, where the proxy can',
    async (t, { public: world, proxy }, { keepsOnReload }) => {
      const socket = await world.connect({ path: '/gateway/ws' })
      // This gateway has no heartbeat to speak of.
      const requests = setInterval(() => socket.socket.ping(), IDLE_MS / 4)
      t.teardown(() => clearInterval(requests))
      await proxy.reload('root')
      await until(async () => (await world.ask('/health', { from: '127.0.0.7' })).status === 403)
      if (keepsOnReload) t.match(await socket.call('gateway.ping', { data: 2 }), { data: 2 })
      else t.ok(await socket.closed)
    },
  ],
]
