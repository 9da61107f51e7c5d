import type { Test } from 'tap'
import { abortError } from '../../src/agents/abort.js'
import type { Agent, AgentReply, RunContext } from '../../src/agents/agent.js'
import type { InboundEvent } from '../../src/protocol/index.js'
import { type ConfigOverrides, startApp } from './app.js'

/** One run of a scripted agent; it ends when the test says so, or with its signal. */
export class ScriptedRun {
  readonly promise: Promise<AgentReply>
  /** Whether an abort does not end it. */
  ignoresAbort = false
  #resolve!: (reply: AgentReply) => void
  #reject!: (error: unknown) => void

  constructor(
    readonly event: InboundEvent,
    readonly context: RunContext,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    context.signal.addEventListener('abort', () => {
      if (!this.ignoresAbort) this.#reject(abortError(context.signal))
    })
  }

  get content(): unknown {
    return this.event.payload.content
  }

  /** Answers; a reply of another shape than an agent may give is passed on as it is. */
  reply(reply: string | object | undefined = `re: ${this.content}`): void {
    this.#resolve((typeof reply === 'string' ? { content: reply } : reply) as AgentReply)
  }

  fail(error: unknown): void {
    this.#reject(error)
  }
}

/** An agent whose runs wait for the test. */
export class ScriptedAgent {
  readonly type = 'scripted'
  /** Every run so far. */
  readonly runs: ScriptedRun[] = []
  /** Does with each run as it begins; else they wait for the test. */
  onRun: (run: ScriptedRun) => void = () => {}
  #taken = 0
  readonly #waiters = new Set<() => void>()

  run(event: InboundEvent, context: RunContext): Promise<AgentReply> {
    const run = new ScriptedRun(event, context)
    this.runs.push(run)
    this.onRun(run)
    for (const wake of [...this.#waiters]) wake()
    return run.promise
  }

  /** The next run that was not taken yet; waits for it. */
  async next(): Promise<ScriptedRun> {
    await this.begun(this.#taken + 1)
    return this.runs[this.#taken++]!
  }

  /** Waits until so many runs have begun in all. */
  async begun(count: number): Promise<void> {
    while (this.runs.length < count) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiters.delete(wake)
          resolve()
        }
        this.#waiters.add(wake)
      })
    }
  }

  /** What the runs so far were about, in the order of their start. */
  get contents(): unknown[] {
    return this.runs.map((run) => run.content)
  }
}

/** A gateway whose default agent, `scripted`, waits for the test. */
export async function startScripted(
  t: Test,
  overrides: ConfigOverrides = {},
  { onRun, ...options }: Parameters<typeof startApp>[2] & { onRun?: ScriptedAgent['onRun'] } = {},
) {
  const agent = new ScriptedAgent()
  if (onRun !== undefined) agent.onRun = onRun
  const config: ConfigOverrides = {
    defaultAgent: 'scripted',
    ...overrides,
    agents: { scripted: { type: 'scripted' }, ...overrides.agents },
    lanes: { retry: { attempts: 3, backoffMs: 1, maxBackoffMs: 2 }, abortGraceMs: 20, ...overrides.lanes },
    shutdown: { drainTimeoutMs: 10, ...overrides.shutdown },
  }
  const running = await startApp(t, config, {
    ...options,
    prepare: async (app) => {
      app.agent('scripted', () => agent satisfies Agent)
      await options.prepare?.(app)
    },
  })
  return { ...running, agent }
}
