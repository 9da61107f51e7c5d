import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { createNodeClient } from '../../src/client/node.js'
import { runCli } from '../helpers/gateway-process.js'
import type { Frame } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { IDLE_MS, isGone, type SuiteTest } from './proxy-stage.js'
import { ADMIN_TOKEN } from './public-side.js'

const durable = ({ type, seq }: Frame) => type === 'event' && seq !== undefined

/** In this order: each finds what the one before has left. */
export const ENDINGS: readonly SuiteTest[] = [
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
