import t from 'tap'
import { type ProxyKind, PUBLIC_NAME } from '../helpers/reverse-proxy.js'
import { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { ENDINGS } from './proxy-endings.js'
import { HEARTBEAT_MS, IDLE_MS, MAX_PAYLOAD, MAX_REQUESTS, Stage, type SuiteTest } from './proxy-stage.js'
import { ADMIN_TOKEN } from './public-side.js'

const bearer = { authorization: `Bearer ${ADMIN_TOKEN}` }

/** What the gateway promises, through one reverse proxy as `deploy/` configures it. */
export function proxySuite(kind: ProxyKind): void {
  t.test(`behind ${kind.name}`, async (t) => {
    const stage = await Stage.start(t, kind)
    for (const [name, test] of [...WHILE_IT_RUNS, ...ENDINGS]) {
      await t.test(name, (t) => test(t, stage, kind))
    }
  })
}

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
