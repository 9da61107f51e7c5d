import t from 'tap'
import { type PidRecord, readPidFile } from '../../src/cli/pid-file.js'
import type { GatewayClient } from '../../src/client/node.js'
import { sessionsSend } from '../../src/protocol/index.js'
import { type GatewayProcess, runCli } from '../helpers/gateway-process.js'
import { until } from '../helpers/until.js'
import { type Harness, harness, idle, isFinal, replayed, verify, watch } from './stop-harness.js'

const KEYS = ['a:1:main', 'b:2:main', 'c:3:main']

const recordOf = (h: Harness): PidRecord => readPidFile(h.home)!
const restartsOf = (h: Harness): number => recordOf(h).lastRestart?.number ?? 0

/** SIGUSR2, until the new one listens. */
async function restart(h: Harness, gateway: GatewayProcess): Promise<void> {
  const number = restartsOf(h) + 1
  gateway.signal('SIGUSR2')
  await until(() => restartsOf(h) === number && recordOf(h).lastRestart?.status === 'restarted')
}

/** Sends one message after the other in each session, through whatever comes, until it is told to end. */
function sendOn(client: GatewayClient) {
  const sent = new Map<string, string[]>(KEYS.map((key) => [key, []]))
  let ending = false
  const done = Promise.all(
    KEYS.map(async (key) => {
      for (let n = 0; !ending; n++) {
        const params = { content: `m${n}`, idempotencyKey: `k${n}` }
        const { runId } = await client.request(sessionsSend, params, { sessionKey: key, timeoutMs: 60_000 })
        sent.get(key)!.push(runId)
      }
    }),
  )
  return {
    sent,
    end: async () => {
      ending = true
      await done
      return sent
    },
  }
}

/** Says what the process holds: a plugin, since only the process knows. */
const HANDLES = `
import { Type } from ${JSON.stringify(import.meta.resolve('@sinclair/typebox'))}
import { readdirSync } from 'node:fs'
export default async (app) => {
  const method = { name: 'test.handles', summary: 'x', scope: null, params: Type.Object({}), result: Type.Unknown() }
  app.method(method, () => {
    const count = {}
    const add = (name, n = 1) => { count[name] = (count[name] ?? 0) + n }
    for (const name of process.getActiveResourcesInfo()) add(name)
    for (const name of process.eventNames()) add('on ' + String(name), process.listenerCount(name))
    if (process.platform === 'linux') {
      add('descriptors', readdirSync('/proc/self/fd').length)
      add('threads', readdirSync('/proc/self/task').length)
    }
    return count
  })
}`

const handlesOf = (client: GatewayClient) => client.request('test.handles') as Promise<Record<string, number>>

t.test('restarted 20 times under load: nothing is lost, doubled or left behind', async (t) => {
  const h = harness(t)
  h.file('calm')
  h.configure({ plugins: [h.plugin('handles.mjs', HANDLES)] })
  const gateway = await h.start()
  const watcher = await watch(t, gateway)
  const sender = await watch(t, gateway, { subscribe: [] })
  const sending = sendOn(sender.client)
  let early: Record<string, number> = {}
  for (let round = 1; round <= 20; round++) {
    await restart(h, gateway)
    await until(() => [watcher, sender].every(({ opened }) => opened() === round + 1))
    const seen = watcher.frames.filter(isFinal).length
    await until(() => watcher.frames.filter(isFinal).length > seen + KEYS.length)
    if (round === 2) early = await handlesOf(watcher.client)
  }
  // What is just being closed may still be there.
  await until(async () =>
    Object.entries(await handlesOf(watcher.client)).every(([name, count]) => count <= (early[name] ?? 0)),
  )
  t.match(recordOf(h), { pid: gateway.pid, url: gateway.url, lastRestart: { number: 20 } })

  const sent = await sending.end()
  await idle(await h.connect(gateway))
  const log = await replayed(h, gateway)
  await until(() => watcher.client.position?.seq === log.frames.at(-1)!.seq)
  await verify(t, log, watcher.frames, sent)
  for (const { closeCodes } of [watcher, sender]) {
    t.equal(closeCodes.filter((code) => code === 1012).length, 20, 'each restart is announced as one')
    t.ok(
      closeCodes.every((code) => code === 1012 || code === 1006),
      'and otherwise nobody is there for a moment',
    )
  }
  const witness = h.witness()
  t.equal(new Set(witness).size, witness.length, 'no run was cut off and begun again')
})

t.test('restarts, stops and kills in turn: a client that comes back sees everything once', async (t) => {
  const h = harness(t, { shutdown: { drainTimeoutMs: 50 } })
  h.file('calm')
  let gateway = await h.start()
  const args = ['--port', new URL(gateway.url).port]
  const watcher = await watch(t, gateway)
  const sender = await watch(t, gateway, { subscribe: [] })
  const sending = sendOn(sender.client)
  const end = { restart: null, stop: () => gateway.stop(), kill: () => gateway.kill9() }
  for (const [round, how] of (['kill', 'restart', 'stop', 'restart', 'kill'] as const).entries()) {
    if (end[how] === null) await restart(h, gateway)
    else {
      await end[how]()
      gateway = await h.start({ args })
    }
    await until(() => [watcher, sender].every(({ opened }) => opened() >= round + 2))
    const seen = watcher.frames.filter(isFinal).length
    await until(() => watcher.frames.filter(isFinal).length > seen + KEYS.length)
  }
  const sent = await sending.end()
  await idle(await h.connect(gateway))
  const log = await replayed(h, gateway)
  await until(() => watcher.client.position?.seq === log.frames.at(-1)!.seq)
  await verify(t, log, watcher.frames, sent)
  t.ok(watcher.closeCodes.includes(1012) && watcher.closeCodes.includes(1001))
})

t.test('a send that a restart refuses was not stored, and one that it answers was, key or not', async (t) => {
  const h = harness(t)
  h.file('calm')
  const gateway = await h.start()
  const acknowledged: string[] = []
  const refused: string[] = []
  // Nothing runs in them, so that no run keeps the drain from being over while some are on their way to the disk.
  const first = await h.connect(gateway)
  const keys = Array.from({ length: 40 }, (_, n) => `x:${n}`)
  for (const key of keys) {
    await first.call('sessions.create', {}, key)
    await first.call('lanes.pause', {}, key)
  }
  for (let round = 0; round < 5; round++) {
    const socket = await h.connect(gateway, { subscribe: [] })
    const flood = Array.from({ length: 400 }, async (_, n) => {
      const content = `${round}.${n}`
      // Some come before the signal, some after it, and some never.
      if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve, n / 20))
      const { error } = await socket.request('sessions.send', { content }, keys[n % 40])
      ;(error === null ? acknowledged : refused).push(content)
    })
    const settled = Promise.allSettled(flood)
    await restart(h, gateway)
    await settled
    t.equal((await socket.closed).code, 1012)
  }
  const log = await replayed(h, gateway)
  const stored = new Map<string, number>()
  for (const { event, payload } of log.events()) {
    if (event === 'session.message' && payload.role === 'user')
      stored.set(payload.content, (stored.get(payload.content) ?? 0) + 1)
  }
  t.ok(acknowledged.length > 0)
  t.same(
    acknowledged.filter((content) => stored.get(content) !== 1),
    [],
  )
  t.same(
    refused.filter((content) => stored.has(content)),
    [],
  )
  t.comment(`${acknowledged.length} acknowledged, ${refused.length} refused`)
})

t.test('a request with a key outlives the restart: refused by one, answered by the other', async (t) => {
  const h = harness(t, { shutdown: { drainTimeoutMs: 3_600_000 } })
  const gateway = await h.start()
  const watcher = await watch(t, gateway)
  const { client } = watcher
  const running = await client.request(sessionsSend, { content: 'until go' }, { sessionKey: 'a:1' })
  await until(() => watcher.frames.some(({ event }) => event === 'agent.started'))
  gateway.signal('SIGUSR2')
  await until(() => watcher.frames.some(({ event }) => event === 'gateway.shutdown'))
  const held = client.request(sessionsSend, { content: 'held', idempotencyKey: 'k' }, { sessionKey: 'a:1' })
  await t.rejects(client.request(sessionsSend, { content: 'refused' }, { sessionKey: 'a:1' }), {
    code: 'UNAVAILABLE',
    retryable: true,
    retryAfterMs: Number,
  })
  gateway.signal('SIGUSR2')
  h.file('go')
  const { runId } = await held
  await until(() => watcher.frames.filter(isFinal).length === 2)
  t.match(watcher.frames.filter(isFinal), [
    { event: 'agent.completed', payload: { runId: running.runId } },
    { event: 'agent.completed', payload: { runId } },
  ])
  t.equal(recordOf(h).lastRestart?.number, 1, 'a second signal during a restart does nothing more')
  t.same(
    watcher.closeCodes.filter((code) => code !== 1006),
    [1012],
  )
})

t.test('SIGTERM during a restart ends it', async (t) => {
  const h = harness(t, { shutdown: { drainTimeoutMs: 500 } })
  const gateway = await h.start()
  const socket = await h.connect(gateway)
  await socket.call('sessions.send', { content: 'hang' }, 'a:1')
  await socket.event('agent.started')
  gateway.signal('SIGUSR2')
  t.match(await socket.event('gateway.shutdown'), { payload: { reason: 'restart', restart: true } })
  const cli = runCli(['gateway', 'restart', '--json'], h)
  gateway.signal('SIGTERM')
  t.same(await gateway.exited, { code: 0, signal: null })
  t.notMatch(gateway.output(), /gateway restarted/)
  t.match(await cli, { code: /1|3/ }, 'whoever waits for it is told')
})

t.test('`gateway restart` waits until the new one is ready, with its configuration', async (t) => {
  const h = harness(t)
  h.file('calm')
  t.match(await runCli(['gateway', 'restart'], h), { code: 3, stdout: /not running[\s\S]*gateway start/ })
  const gateway = await h.start()
  const watcher = await watch(t, gateway)

  h.configure({ agents: { scripted: { type: 'module', path: './agent.mjs' }, another: { type: 'echo' } } })
  const { code, stdout, stderr } = await runCli(['gateway', 'restart', '--json'], h)
  t.equal(code, 0, stderr)
  t.match(JSON.parse(stdout), { status: 'restarted', pid: gateway.pid, url: gateway.url, tookMs: Number })
  t.equal((await fetch(`${gateway.url}/health/ready`)).status, 200)
  await until(() => watcher.opened() === 2)
  t.match(await watcher.client.request('agents.list'), { agents: [{}, { name: 'another' }, {}] })

  // Each of these would keep a gateway from starting; none of them is let through.
  const broken: [object, RegExp][] = [
    [{ lanes: { capacty: 1 }, shutdown: { drainTimeoutMs: -1 } }, /capacty[\s\S]*drainTimeoutMs/],
    [{ agents: { scripted: { type: 'module', path: './missing.mjs' } } }, /missing\.mjs/],
    [{ plugins: [{ module: './missing.mjs' }] }, /missing\.mjs/],
    [{ tls: { enabled: true, cert: './missing.pem', key: './missing.pem' } }, /missing\.pem/],
  ]
  for (const [config, reason] of broken) {
    h.configure(config as never)
    const refused = await runCli(['gateway', 'restart'], h)
    t.match(refused, { code: 78, stderr: reason }, JSON.stringify(config))
    t.match(refused.stderr, /goes on as it was/)
    t.match(gateway.output(), reason, 'the log says so, too')
  }
  t.equal(watcher.opened(), 2, 'nobody lost a connection by that')
  t.match(await watcher.client.request(sessionsSend, { content: 'hi', wait: true }, { sessionKey: 'a:1' }), {
    outcome: { status: 'completed' },
  })
})

t.test('a new one that cannot start ends the process, which says why', async (t) => {
  const h = harness(t)
  const gateway = await h.start()
  const fails = 'export default async () => { throw new Error("no licence") }'
  h.configure({ plugins: [h.plugin('fails.mjs', fails)] })
  t.match(await runCli(['gateway', 'restart'], h), {
    code: 78,
    stderr: /has ended[\s\S]*no licence[\s\S]*gateway start/,
  })
  t.same(await gateway.exited, { code: 78, signal: null })
  t.match(gateway.output(), /no licence/)
  t.match(await runCli(['gateway', 'status'], h), { code: 3 })
})
