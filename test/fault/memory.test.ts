import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
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
const ROOM = 1_073_741_824

interface Flooded {
  readonly gateway: GatewayProcess
  readonly sockets: readonly TestSocket[]
  readonly accepted: readonly string[]
  readonly refused: readonly Frame['error'][]
}

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
  await Promise.race([socket.opened, socket.closed.then(() => Promise.reject(new Error('refused')))])
  await socket.hello({ subscribe: ['gateway.*'] })
  return socket
}

/** Sends large messages, eight senders on each of four connections, until each of them was refused three times. */
async function flood(t: Test, gateway: GatewayProcess): Promise<Flooded> {
  const sockets = await Promise.all(Array.from({ length: 4 }, () => connect(t, gateway)))
  const accepted: string[] = []
  const refused: Frame['error'][] = []
  const sender = async (socket: TestSocket, name: string) => {
    for (let i = 0, left = 3; left > 0 && i < 500; i++) {
      const key = `flood:${name}:${i}`
      const { error, result } = await socket.request('sessions.send', { content: CONTENT }, key)
      if (error === null) accepted.push(result.runId)
      else {
        refused.push(error)
        left--
      }
    }
  }
  await Promise.all(
    sockets.flatMap((socket, s) => Array.from({ length: 8 }, (_, i) => sender(socket, `${s}-${i}`))),
  )
  return { gateway, sockets, accepted, refused }
}

async function peakRss({ pid }: GatewayProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024
}

const status = async ({ url }: GatewayProcess, path: string) => (await fetch(url + path)).status

/** What must hold past the watermark, and after it. */
async function checkRefusalAndRecovery(t: Test, { gateway, sockets, accepted, refused }: Flooded) {
  const socket = sockets[0]!
  t.ok(accepted.length > 20, `${accepted.length} were accepted`)
  t.ok(accepted.length < 4 * 8 * 500, 'not all')
  const asItShould = ({ code, retryable, details, retryAfterMs }: Frame['error']) =>
    code === 'UNAVAILABLE' && retryable && details.reason === 'memory' && retryAfterMs >= 1_000
  t.same(
    refused.filter((error) => !asItShould(error)),
    [],
    'each refusal says why, and when to come back',
  )
  t.equal(await status(gateway, '/ready'), 503)
  t.equal(await status(gateway, '/live'), 200)
  t.match(await (await fetch(`${gateway.url}/health`)).json(), { checks: { memory: { status: 'failing' } } })
  await t.rejects(connect(t, gateway), 'no other connection is taken')
  t.equal((await socket.call('gateway.info')).lanes.pending, accepted.length, 'what was accepted is there')
  const aborted = await socket.call('agent.abort', { runId: accepted.at(-1) })
  t.same(aborted, { aborted: [accepted.at(-1)] }, 'control goes on')

  await writeFile(join(gateway.home, 'go'), '')
  await until(async () => (await socket.call('gateway.info')).lanes.pending === 0)
  await until(async () => (await status(gateway, '/ready')) === 200)
  const late = await connect(t, gateway)
  const { outcome } = await late.call('sessions.send', { content: CONTENT, wait: true }, 'late:1')
  t.match(outcome, { status: 'completed', message: { content: String(CONTENT.length) } })
  for (const runId of accepted.slice(0, -1)) {
    const { status } = await late.call('agent.wait', { runId })
    if (status !== 'completed') t.fail(`${runId} is ${status}`)
  }
}

t.test('a flood of large messages ends at the heap’s watermark, and not in the heap’s end', async (t) => {
  const gateway = await start(t, {}, { NODE_OPTIONS: '--max-old-space-size=96' })
  const flooded = await flood(t, gateway)
  t.ok(flooded.accepted.length * CONTENT.length < 96 * MIB)
  await checkRefusalAndRecovery(t, flooded)
  t.ok((await peakRss(gateway)) < 450 * MIB, `at most ${(await peakRss(gateway)) / MIB} MiB were taken`)
  const { code } = await gateway.stop()
  t.equal(code, 0)
})

t.test('the same where the process as a whole is bounded', async (t) => {
  const bound = 260 * MIB
  const gateway = await start(t, { maxRssBytes: bound })
  const flooded = await flood(t, gateway)
  await checkRefusalAndRecovery(t, flooded)
  const peak = await peakRss(gateway)
  t.ok(peak < bound + 64 * MIB, `at most ${peak / MIB} MiB were taken`)
  const { code } = await gateway.stop()
  t.equal(code, 0)
})
