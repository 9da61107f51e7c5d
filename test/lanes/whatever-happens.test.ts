import t, { type Test } from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import { temporaryFolder } from '../helpers/app.js'
import fc from '../helpers/properties.js'
import { type ScriptedRun, startScripted } from '../helpers/scripted-agent.js'
import type { Frame, TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

type Gateway = Awaited<ReturnType<typeof startScripted>>

type Op =
  /** Sends that do not wait for each other; equal keys in a lane have equal contents. */
  | { op: 'send'; messages: { lane: number; key: number | null }[] }
  | { op: 'end'; pick: number; how: 'reply' | 'fail' | 'failForGood' }
  | { op: 'abort'; pick: number }
  | { op: 'abortLane' | 'pause' | 'resume'; lane: number }
  | { op: 'retry'; pick: number }
  | { op: 'restart' }

const lane = fc.nat(2)
const pick = fc.nat()
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('send' as const),
      messages: fc.array(fc.record({ lane, key: fc.option(fc.nat(3)) }), { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('end' as const),
      pick,
      how: fc.constantFrom('reply' as const, 'reply' as const, 'fail' as const, 'failForGood' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('abort' as const), pick }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constantFrom('abortLane' as const, 'pause' as const, 'resume' as const),
      lane,
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('retry' as const), pick }) },
  { weight: 1, arbitrary: fc.constant({ op: 'restart' as const }) },
)

const keyOf = (lane: number) => `web:${lane}:main`
const FINAL = ['agent.completed', 'agent.failed', 'agent.aborted']

/** Does what it is told to gateways one after the other over one state folder, and keeps what it was promised. */
class History {
  readonly accepted = new Map<string, { runId: string; seq: number; lane: number }>()
  readonly byKey = new Map<string, string>()
  readonly retries = new Map<string, number>()
  /** Run ids in the order of their starts, over all gateways. */
  readonly started: string[] = []
  overlaps = 0
  gateway!: Gateway
  socket!: TestSocket
  #running = new Map<string, ScriptedRun>()

  constructor(
    readonly t: Test,
    readonly home: string,
    readonly limits: object,
  ) {}

  async start(onRun: (run: ScriptedRun) => void = () => {}): Promise<void> {
    this.#running = new Map()
    this.gateway = await startScripted(
      this.t,
      { journal: { type: 'sqlite' }, agents: { scripted: { type: 'scripted', ...this.limits } } },
      {
        home: this.home,
        onRun: (run) => {
          const { runId, sessionKey } = run.event
          this.started.push(runId)
          if (this.#running.has(sessionKey)) this.overlaps++
          this.#running.set(sessionKey, run)
          const ended = () => this.#running.get(sessionKey) === run && this.#running.delete(sessionKey)
          run.promise.then(ended, ended)
          onRun(run)
        },
      },
    )
    this.socket = await this.gateway.connect()
  }

  async do(step: Op): Promise<void> {
    const { socket } = this
    if (step.op === 'send') await Promise.all(step.messages.map((message) => this.#send(message)))
    else if (step.op === 'end') this.#end(step)
    else if (step.op === 'abort') {
      const runId = [...this.accepted.keys()].at(-1 - (step.pick % Math.max(1, this.accepted.size)))
      if (runId !== undefined) await socket.call('agent.abort', { runId })
    } else if (step.op === 'abortLane') await socket.call('agent.abort', {}, keyOf(step.lane))
    else if (step.op === 'retry') await this.#retry(step.pick)
    else if (step.op === 'restart') {
      await this.gateway.app.close()
      await this.start()
    } else await socket.request(`lanes.${step.op}`, {}, keyOf(step.lane))
  }

  async #send({ lane, key }: { lane: number; key: number | null }): Promise<void> {
    const params = key === null ? { content: 'x' } : { content: `x${key}`, idempotencyKey: `k${key}` }
    const { runId, seq, duplicate } = await this.socket.call('sessions.send', params, keyOf(lane))
    if (key !== null) {
      const first = this.byKey.get(`${lane}/${key}`)
      if (first !== undefined && first !== runId) throw new Error('the same key made two events')
      this.byKey.set(`${lane}/${key}`, runId)
    }
    if (duplicate !== true && this.accepted.has(runId)) throw new Error('a new event has the ids of another')
    this.accepted.set(runId, { runId, seq, lane })
  }

  #end({ pick, how }: { pick: number; how: 'reply' | 'fail' | 'failForGood' }): void {
    const running = [...this.#running.values()]
    const run = running[pick % Math.max(1, running.length)]
    if (how === 'reply') run?.reply()
    else if (how === 'fail') run?.fail(new Error('flaky'))
    else run?.fail(new GatewayError('NOT_LINKED', 'no key'))
  }

  async #retry(pick: number): Promise<void> {
    const { deadLetters } = await this.socket.call('deadLetters.list', { limit: 500 })
    const letter = deadLetters[pick % Math.max(1, deadLetters.length)]
    if (letter === undefined) return
    const { runId } = await this.socket.call('deadLetters.retry', { eventId: letter.event.id })
    this.retries.set(runId, (this.retries.get(runId) ?? 0) + 1)
  }

  /** Lets everything end, and says what is wrong. */
  async verify(): Promise<string[]> {
    await this.gateway.app.close()
    await this.start((run) => run.reply())
    for (const key of [0, 1, 2].map(keyOf)) await this.socket.request('lanes.resume', {}, key)
    const problems: string[] = []
    for (const { runId } of this.accepted.values()) await this.socket.call('agent.wait', { runId })
    // Its outcome is told from within the commit; the lane hears of it right after.
    await until(() => this.gateway.app.lanes.dispatcher.pending === 0)
    if (this.overlaps > 0) problems.push('two runs at once in a lane')
    const { epoch } = this.gateway.app.journal
    const all = await this.gateway.connect({ resume: { epoch, seq: 0 } })
    await all.call('gateway.ping')
    for (const runId of this.accepted.keys()) {
      const mine = all.events().filter(({ payload }) => payload.runId === runId)
      const count = (fits: (frame: Frame) => boolean) => mine.filter(fits).length
      const finals = count(({ event }) => FINAL.includes(event))
      if (finals !== 1 + (this.retries.get(runId) ?? 0)) problems.push(`${runId} has ${finals} final events`)
      if (count(({ payload }) => payload.role === 'user') !== 1) problems.push(`${runId} was not said once`)
      const answers = count(({ payload }) => payload.role === 'assistant')
      if (answers !== count(({ event }) => event === 'agent.completed'))
        problems.push(`${runId} has ${answers} answers`)
    }
    for (const lane of [0, 1, 2]) {
      const seqs = [...new Set(this.started)]
        .map((runId) => this.accepted.get(runId)!)
        .filter((run) => run.lane === lane)
        .map(({ seq }) => seq)
      if (seqs.some((seq, i) => i > 0 && seq < seqs[i - 1]!)) problems.push(`lane ${lane}: ${seqs.join()}`)
    }
    await this.gateway.app.close()
    return problems
  }
}

async function holds(t: Test, limits: object, numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 10, maxLength: 40 }), async (steps) => {
      const history = new History(t, await temporaryFolder(t), limits)
      await history.start()
      for (const step of steps) await history.do(step)
      const problems = await history.verify()
      if (problems.length > 0) throw new Error(problems.join('\n'))
    }),
    { numRuns, endOnFailure: true },
  )
  t.pass()
}

t.test('whatever happens, what was acknowledged ends once, in order, and nothing is said twice', (t) =>
  holds(t, {}, 12),
)

t.test('the same where the agent takes one run at a time and is unavailable now and then', (t) =>
  holds(t, { concurrency: 1, breaker: { failures: 1, openMs: 2, maxWaitMs: 60_000 } }, 8),
)
