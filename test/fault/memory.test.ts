import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import { type GatewayProcess, startGateway } from '../helpers/gateway-process.js'
import { type Frame, TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

/** Takes nothing until there is a file `go`, then everything at once. */
const AGENT = `
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
const go = new URL('./go', import.meta.url)
export default async function (event, context) {
  while (!existsSync(go)) await delay(20, undefined, { signal: context.signal })
  return String(event.payload.content.length)
}
`

const MIB = 1_048_576
const CONTENT = 'x'.repeat(200_000)
const HEAP = 64 * MIB
const ROOM = 1_073_741_824

/** A gateway whose other bounds leave room for more than its memory holds. */
async function start(t: Test, overload: object, env: NodeJS.ProcessEnv = {}) {
  const home = await temporaryFolder(t)
  await writeFile(join(home, 'agent.mjs'), AGENT)
  const config = {
    defaultAgent: 'slow',
    agents: { slow: { type: 'module', path: './agent.mjs' } },
    lanes: { maxPendingBytes: ROOM, maxPendingBytesPerPrincipal: ROOM, concurrency: 4 },
    sessions: { historyLimit: 0 },
    overload: { collectAfterMs: 1_000, ...overload },
  }
  await writeFile(join(home, 'config.json'), JSON.stringify(config))
  const gateway = await startGateway({ home, env })
  t.teardown(() => gateway.kill9())
  return gateway
}

async function connect(t: Test, gateway: GatewayProcess): Promise<TestSocket> {
  const socket = new TestSocket(gateway.wsUrl)
  t.teardown(() => socket.terminate())
  await socket.opened
  await socket.hello({ subscribe: ['gateway.*'] })
  return socket
}

/** Sends large messages to ever new sessions, two senders on each of four connections, until it is told to stop. */
class Flood {
  readonly accepted: string[] = []
  readonly refused: Frame['error'][] = []
  #stopped = false
  readonly #senders: Promise<void>[]

  constructor(readonly sockets: readonly TestSocket[]) {
    this.#senders = sockets.flatMap((socket, s) =>
      Array.from({ length: 2 }, (_, i) => this.#send(socket, `flood:${s}-${i}`)),
    )
  }

  async #send(socket: TestSocket, prefix: string): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      const { error, result } = await socket.request('sessions.send', { content: CONTENT }, `${prefix}:${i}`)
      if (error === null) this.accepted.push(result.runId)
      else {
        this.refused.push(error)
        // Not as long as it was asked to: the pressure is to stay.
        await sleep(100)
      }
    }
  }

  /** Resolves once all that was sent is answered. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#senders)
  }
}

async function flood(t: Test, gateway: GatewayProcess): Promise<Flood> {
  const sockets = await Promise.all(Array.from({ length: 4 }, () => connect(t, gateway)))
  const flood = new Flood(sockets)
  await until(() => flood.refused.length >= 20)
  return flood
}

async function peakRss({ pid }: GatewayProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024
}

const status = async ({ url }: GatewayProcess, path: string) => (await fetch(url + path)).status

const isTaken = (t: Test, gateway: GatewayProcess) =>
  connect(t, gateway).then(
    () => true,
    () => false,
  )

/** What must hold past the watermark, and after it. Under a flood it is passed again whenever garbage was collected. */
async function checkRefusalAndRecovery(t: Test, gateway: GatewayProcess, flood: Flood) {
  const { accepted, refused } = flood
  const socket = flood.sockets[0]!
  await until(async () => (await status(gateway, '/ready')) === 503)
  t.equal(await status(gateway, '/live'), 200)
  await until(async () => {
    const { checks } = (await (await fetch(`${gateway.url}/health`)).json()) as Frame
    return checks.memory.status === 'failing'
  })
  await until(async () => !(await isTaken(t, gateway)))
  const runId = accepted.at(-1)!
  t.same(await socket.call('agent.abort', { runId }), { aborted: [runId] }, 'control goes on')
  await flood.stop()
  const asItShould = ({ code, retryable, details, retryAfterMs }: Frame['error']) =>
    code === 'UNAVAILABLE' && retryable && details.reason === 'memory' && retryAfterMs >= 1_000
  const others = refused.filter((error) => !asItShould(error))
  t.same(others, [], 'each refusal says why, and when to come back')
  const { pending } = (await socket.call('gateway.info')).lanes
  t.equal(pending, accepted.length - 1, 'what was accepted is there')

  await writeFile(join(gateway.home, 'go'), '')
  await until(async () => (await socket.call('gateway.info')).lanes.pending === 0)
  await until(async () => (await status(gateway, '/ready')) === 200)
  const late = await connect(t, gateway)
  const { outcome } = await late.call('sessions.send', { content: CONTENT, wait: true }, 'late:1')
  t.match(outcome, { status: 'completed', message: { content: String(CONTENT.length) } })
  const left = accepted.filter((id) => id !== runId)
  const lost: string[] = []
  for (const id of left) {
    const { status } = await late.call('agent.wait', { runId: id })
    if (status !== 'completed') lost.push(`${id} is ${status}`)
  }
  t.same(lost, [], `all ${left.length} others that were accepted are answered`)
}

t.test('a flood of large messages ends at the heap’s watermark, and not in the heap’s end', async (t) => {
  const gateway = await start(t, {}, { NODE_OPTIONS: `--max-old-space-size=${HEAP / MIB}` })
  const flooded = await flood(t, gateway)
  await checkRefusalAndRecovery(t, gateway, flooded)
  t.ok(flooded.accepted.length * CONTENT.length < HEAP)
  t.ok((await peakRss(gateway)) < 400 * MIB, `at most ${(await peakRss(gateway)) / MIB} MiB were taken`)
  const { code } = await gateway.stop()
  t.equal(code, 0)
})

t.test('the same where the process as a whole is bounded', async (t) => {
  const bound = 240 * MIB
  const gateway = await start(t, { maxRssBytes: bound })
  const flooded = await flood(t, gateway)
  await checkRefusalAndRecovery(t, gateway, flooded)
  const peak = await peakRss(gateway)
  t.ok(peak < bound + 128 * MIB, `at most ${peak / MIB} MiB were taken`)
  const { code } = await gateway.stop()
  t.equal(code, 0)
})
