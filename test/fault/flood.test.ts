import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import { startGateway } from '../helpers/gateway-process.js'
import { type Frame, TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

/** Takes its time, and writes down what it was given: a witness outside the journal. */
const AGENT = `
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
export default async function (event, context) {
  appendFileSync(new URL('./witness.log', import.meta.url), event.sessionKey + ' ' + event.payload.content + '\\n')
  await delay(10, undefined, { signal: context.signal })
  return 'done'
}
`

const CONCURRENCY = 4
/** Places of one sender, and in all: the flood alone could take every one. */
const [SHARE, ALL] = [300, 400]
const FLOOD_AT_LEAST = 2_000
const IN_FLIGHT = 200

async function start(
  t: Test,
  auth: object,
): Promise<{ home: string; connect(token: string): Promise<TestSocket> }> {
  const home = await temporaryFolder(t)
  await writeFile(join(home, 'agent.mjs'), AGENT)
  const config = {
    defaultAgent: 'slow',
    agents: { slow: { type: 'module', path: './agent.mjs' } },
    lanes: { concurrency: CONCURRENCY, maxPending: ALL, maxPendingPerPrincipal: SHARE },
    auth,
  }
  await writeFile(join(home, 'config.json'), JSON.stringify(config))
  const gateway = await startGateway({ home })
  t.teardown(() => gateway.kill9())
  return {
    home,
    connect: async (token) => {
      const socket = new TestSocket(gateway.wsUrl)
      t.teardown(() => socket.terminate())
      await socket.opened
      const hello = await socket.hello({ auth: { token }, subscribe: ['agent.started', 'agent.completed'] })
      t.equal(hello.type, 'hello-ok')
      return socket
    },
  }
}

/** Sends without a pause, one more for each answer, whatever it is, until it is told to stop. */
class Flood {
  sent = 0
  readonly accepted: { key: string; content: string; seq: number }[] = []
  readonly refused: Frame['error'][] = []
  #stopped = false

  constructor(
    readonly socket: TestSocket,
    readonly sessions: number,
  ) {
    const byId = new Map<string, { key: string; content: string }>()
    const send = () => {
      const [id, key] = [`flood${this.sent}`, `flood:${this.sent % this.sessions}`]
      byId.set(id, { key, content: `${this.sent++}` })
      const params = { content: byId.get(id)!.content }
      socket.send({ type: 'request', id, method: 'sessions.send', sessionKey: key, params })
    }
    socket.socket.on('message', (data) => {
      const frame: Frame = JSON.parse(data.toString())
      const message = frame.type === 'response' ? byId.get(frame.id!) : undefined
      if (message === undefined) return
      if (frame.error === null) this.accepted.push({ ...message, seq: frame.result.seq })
      else this.refused.push(frame.error)
      if (!this.#stopped) send()
    })
    for (let i = 0; i < IN_FLIGHT; i++) send()
  }

  /** Resolves once all that was sent is answered. */
  async stop(): Promise<void> {
    await until(() => this.sent >= FLOOD_AT_LEAST)
    this.#stopped = true
    await until(() => this.accepted.length + this.refused.length === this.sent)
  }
}

const inside = (index: number, from: number, to: number) => index >= from && index < to

/** Sends one after the other; each must be accepted and answered. Gives how many runs of others began while each waited. */
async function chat(socket: TestSocket, count: number): Promise<number[]> {
  const waited: number[] = []
  for (let i = 0; i < count; i++) {
    const { runId } = await socket.call('sessions.send', { content: `${i}` }, 'polite:1')
    const from = socket.frames.length
    await socket.event('agent.completed', ({ payload }) => payload.runId === runId)
    const starts = socket.frames.filter(({ event }) => event === 'agent.started')
    const mine = socket.frames.indexOf(starts.find(({ payload }) => payload.runId === runId)!)
    waited.push(starts.filter((frame) => inside(socket.frames.indexOf(frame), from, mine)).length)
  }
  return waited
}

const TOKENS = ['flood', 'polite'].map((name) => ({ name, token: `a-token-of-${name}`, role: 'operator' }))

for (const [name, sessions, auth] of [
  ['one session with its own token', 1, { tokens: TOKENS }],
  ['many sessions with its own token', 150, { tokens: TOKENS }],
  ['many sessions without authentication', 150, {}],
] as const) {
  t.test(`a client floods ${name}: it is refused, the others are served`, async (t) => {
    const { home, connect } = await start(t, auth)
    const polite = await connect('a-token-of-polite')
    const flood = new Flood(await connect('a-token-of-flood'), sessions)
    await until(() => flood.refused.length > 0)
    const waited = await chat(polite, 10)
    t.ok(
      waited.every((others) => others <= 2 * CONCURRENCY),
      `each polite message waited for a few runs of the flood at most: ${waited}`,
    )
    await flood.stop()

    for (const { code, retryable, retryAfterMs } of flood.refused) {
      if (!/^(RATE_LIMITED|UNAVAILABLE)$/.test(code) || !retryable || !(retryAfterMs > 0)) {
        t.fail(`refused with ${code}, retry after ${retryAfterMs}`)
      }
    }
    const reasons = new Set(flood.refused.map(({ details }) => details?.reason))
    t.same(reasons, new Set([sessions === 1 ? 'lane_full' : 'principal_full']), 'each refusal says why')

    await until(async () => (await polite.call('gateway.info')).lanes.pending === 0)
    const witness = (await readFile(join(home, 'witness.log'), 'utf8')).trim().split('\n')
    const given = (key: string) => witness.filter((line) => line.startsWith(`${key} `))
    const wrong = Array.from({ length: sessions }, (_, i) => `flood:${i}`).filter((key) => {
      const sent = flood.accepted.filter((message) => message.key === key).sort((a, b) => a.seq - b.seq)
      return given(key).join() !== sent.map(({ content }) => `${key} ${content}`).join()
    })
    t.same(wrong, [], 'what was accepted of the flood was handled once, in order')
    t.equal(witness.length, flood.accepted.length + 10, 'and nothing else of it')
    t.ok(witness.lastIndexOf('polite:1 9') < witness.length - SHARE / 10, 'the backlog was not through')
  })
}
