import { chmodSync, chownSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { harness, history, idle } from '../fault/stop-harness.js'
import { freePort } from '../helpers/free-port.js'
import { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { type Container, startContainer, UID } from './container.js'

const HOUR_MS = 3_600_000
/** Readiness is of the stop alone, however busy the machine. */
const overload = { maxLoopDelayMs: 60_000 }
const TOKEN = 'a-token-of-the-orchestrator'

/** The status of each probe; null: the connection is refused. */
async function probe(url: string): Promise<{ live: number | null; ready: number | null }> {
  const status = async (path: string) =>
    (await fetch(`${url}${path}`, { headers: { connection: 'close' } }).catch(() => null))?.status ?? null
  return { live: await status('/health/live'), ready: await status('/health/ready') }
}

const isRed = async (url: string) => (await probe(url)).ready === 503

t.test('readiness is red first; until the delay is over everything else goes on as before', async (t) => {
  const h = harness(t, { overload, shutdown: { delayMs: HOUR_MS } })
  const gateway = await h.start()
  const before = await h.connect(gateway)
  t.same(await probe(gateway.url), { live: 200, ready: 200 })
  gateway.signal('SIGTERM')
  await until(() => isRed(gateway.url))
  t.same(await probe(gateway.url), { live: 200, ready: 503 })
  const after = await h.connect(gateway)
  for (const socket of [before, after]) {
    t.match(await socket.call('sessions.send', { content: 'x', wait: true }, 'a:1'), {
      outcome: { status: 'completed' },
    })
  }
  t.match(await after.call('gateway.health'), { checks: { lifecycle: { status: 'failing' } } })
  // Whoever is in a hurry signals again: later than the same moment.
  const again = setInterval(() => gateway.signal('SIGTERM'), 50)
  t.teardown(() => clearInterval(again))
  t.same(await gateway.exited, { code: 1, signal: null })
})

t.test('while it drains liveness is green, and what is new is sent away in words', async (t) => {
  const h = harness(t, { overload, shutdown: { delayMs: 1, drainTimeoutMs: HOUR_MS } })
  const gateway = await h.start()
  const socket = await h.connect(gateway)
  await socket.call('sessions.send', { content: 'until go' }, 'a:1')
  await socket.event('agent.started')
  gateway.signal('SIGTERM')
  await socket.event('gateway.shutdown')
  t.same(await probe(gateway.url), { live: 200, ready: 503 })
  t.match(await socket.refused('sessions.send', { content: 'x' }, 'a:2'), {
    code: 'UNAVAILABLE',
    details: { reason: 'stopping' },
  })
  const late = new TestSocket(gateway.wsUrl)
  t.teardown(() => late.terminate())
  t.match(await late.closed, { code: 1001 })
  t.match(late.frames, [{ type: 'hello-error', error: { code: 'UNAVAILABLE', retryable: true } }])

  h.file('go')
  await socket.event('agent.completed')
  t.match(await socket.closed, { code: 1001 })
  t.same(await gateway.exited, { code: 0, signal: null })
  t.same(await probe(gateway.url), { live: null, ready: null })
})

t.test(
  'as process 1 of a read-only container it stops in time with endless runs, which go on after the next start',
  async (t) => {
    t.equal(process.getuid?.(), 0, 'containers are made by root')
    const h = harness(t)
    rmSync(join(h.home, 'config.json'))
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const env = {
      LURKBOT_HOME: h.home,
      LURKBOT_GATEWAY__PORT: `${port}`,
      LURKBOT_GATEWAY__AUTH_TOKENS: TOKEN,
      LURKBOT_GATEWAY__DEFAULT_AGENT: 'scripted',
      LURKBOT_GATEWAY__AGENTS: JSON.stringify({
        scripted: { type: 'module', path: join(h.home, 'agent.mjs') },
      }),
      LURKBOT_GATEWAY__SHUTDOWN__DRAIN_TIMEOUT_MS: '100',
      LURKBOT_GATEWAY__LANES__ABORT_GRACE_MS: '100',
      LURKBOT_GATEWAY__OVERLOAD__MAX_LOOP_DELAY_MS: '60000',
    }
    const start = () => startContainer(t, { writable: h.home, env })
    for (const name of ['', ...readdirSync(h.home)]) chownSync(join(h.home, name), 0, UID)
    chmodSync(join(h.home, 'witness.log'), 0o660)
    // As Kubernetes mounts a volume with an fsGroup.
    chmodSync(h.home, 0o2770)

    const first = await start()
    await untilReady(t, first, url)
    const socket = await connect(t, url)
    const keys = ['hang:1', 'deaf:1', 'hang:2', 'hang:3']
    const contentsOf = (key: string) => [
      key.split(':')[0]!,
      ...Array.from({ length: 40 }, (_, i) => `message ${i}`),
    ]
    for (const key of keys) {
      await Promise.all(contentsOf(key).map((content) => socket.call('sessions.send', { content }, key)))
    }
    await socket.all(keys.length, ({ event }) => event === 'agent.started')
    first.signal('SIGTERM')
    t.match(await socket.closed, { code: 1001 })
    t.same(await first.exited, { code: 0, signal: null }, { output: first.output() })
    const lines = first.output().split('\n')
    const at = (text: string) => lines.findIndex((line) => line.includes(text))
    t.ok(at('gateway started') >= 0 && at('"stopping"') > at('gateway started'))
    t.notOk(existsSync(join(h.home, 'gateway.pid')))

    h.file('calm')
    const second = await start()
    const answers = await untilReady(t, second, url)
    t.same(new Set(answers), new Set([200]), 'it answers once it has read what waits, and then is ready')
    const back = await connect(t, url)
    await idle(back)
    for (const key of keys) {
      const said = (await history(back, key)).filter(({ role }) => role === 'assistant')
      t.same(
        said.map(({ content }) => content),
        contentsOf(key).map((text) => `answer to ${text}`),
        key,
      )
    }
    second.signal('SIGTERM')
    t.same(await second.exited, { code: 0, signal: null }, { output: second.output() })
  },
)

async function connect(t: Test, url: string): Promise<TestSocket> {
  const socket = new TestSocket(url.replace('http', 'ws'))
  t.teardown(() => socket.terminate())
  await socket.opened
  t.match(await socket.hello({ auth: { token: TOKEN } }), { type: 'hello-ok' })
  return socket
}

/** Every answer of liveness and readiness until the latter is green. */
async function untilReady(t: Test, { exited, output }: Container, url: string): Promise<(number | null)[]> {
  const answers: (number | null)[] = []
  let ended = false
  exited.then(() => {
    ended = true
  })
  await until(async () => {
    const { live, ready } = await probe(url)
    answers.push(...[live, ready].filter((status) => status !== null))
    return ready === 200 || ended
  })
  if (ended) t.fail(`it ended before it was ready: ${output()}`)
  return answers
}
