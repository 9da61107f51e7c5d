import type { AgentReport } from '../protocol/agent-reports.js'
import { GatewayError, toErrorShape } from '../protocol/errors.js'
import { workerComplete, workerFail, workerRegister, workerUnregister } from '../protocol/methods/workers.js'
import type { JsonObject } from '../protocol/primitives.js'
import { WORKER_DELTA, WORKER_REPORT } from '../protocol/worker-frames.js'
import type { EventOf } from './events.js'
import type { GatewayClient } from './types.js'

/** A run to handle: the payload of `worker.run`, and what to do with it. */
export type WorkerTask = EventOf<'worker.run'>['payload'] & {
  /** Aborts when nobody waits for the answer any more: on `agent.abort`, the time limit, and when the connection is lost. */
  readonly signal: AbortSignal
  /** Streams a piece of the answer. */
  delta(text: string): void
  /** Tells of a tool call or of reasoning. */
  report(report: AgentReport): void
}

/** The answer; an empty one ends the run without a message. */
export type WorkerAnswer =
  | string
  | { readonly content: string; readonly metadata?: JsonObject; readonly usage?: JsonObject }

/**
 * Answers a run. Throws a `GatewayError` to say to clients why not and whether to try again; of anything else thrown they hear
 * nothing, and the run is tried again.
 */
export type WorkerHandler = (task: WorkerTask) => WorkerAnswer | Promise<WorkerAnswer>

export interface WorkerOptions {
  /** An agent of the gateway's configuration, of type `worker`. */
  readonly agent: string
  /** Runs at the same time. Default: 1. */
  readonly credit?: number
  /** Told of what the handler threw, and of answers that came too late. */
  readonly onError?: (error: unknown) => void
}

export interface Worker {
  /** Resolves once the gateway gives it runs; rejects when it refuses to. */
  readonly ready: Promise<void>
  /** Takes no further runs and waits for those under way. The client stays open. Twice is fine. */
  close(): Promise<void>
}

/**
 * Takes runs over a client whose `caps` have `agent`: on every connection anew. What it has when a connection is lost goes to
 * another worker.
 */
export function createWorker(client: GatewayClient, options: WorkerOptions, handler: WorkerHandler): Worker {
  return new RunTaker(client, options, handler)
}

const lost = () => new GatewayError('UNAVAILABLE', 'the connection was lost')

class RunTaker implements Worker {
  readonly ready: Promise<void>
  readonly #client: GatewayClient
  readonly #agent: string
  readonly #onError: (error: unknown) => void
  readonly #handler: WorkerHandler
  readonly #runs = new Map<string, AbortController>()
  readonly #stops: (() => void)[]
  #credit: number
  #onIdle: (() => void) | null = null
  #closed: Promise<void> | null = null
  #resolveReady!: () => void
  #rejectReady!: (error: unknown) => void

  constructor(client: GatewayClient, options: WorkerOptions, handler: WorkerHandler) {
    this.#client = client
    this.#agent = options.agent
    this.#credit = options.credit ?? 1
    this.#onError = options.onError ?? (() => {})
    this.#handler = handler
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve
      this.#rejectReady = reject
    })
    this.ready.catch(() => {})
    this.#stops = [
      client.on('worker.run', ({ payload }) => {
        if (payload.agent === this.#agent) void this.#run(payload)
      }),
      client.on('worker.cancel', ({ payload: { lease, reason } }) =>
        this.#runs.get(lease)?.abort(new GatewayError('CANCELLED', reason)),
      ),
      client.onStateChange((state) => {
        if (state.status === 'open') this.#register()
        else this.#lose()
        if (state.status === 'closed') this.#rejectReady(state.error ?? lost())
      }),
    ]
    if (client.state.status === 'open') this.#register()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#credit = 0
    if (this.#client.state.status === 'open') this.#register()
    if (this.#runs.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    for (const stop of this.#stops) stop()
    if (this.#client.state.status !== 'open') return
    await this.#client.request(workerUnregister, { agent: this.#agent }).catch(this.#onError)
  }

  #register(): void {
    this.#client.request(workerRegister, { agent: this.#agent, credit: this.#credit }).then(
      () => this.#resolveReady(),
      (error: unknown) => {
        this.#onError(error)
        if (!(error instanceof GatewayError && error.retryable)) this.#rejectReady(error)
      },
    )
  }

  /** Whatever it had is somebody else's now. */
  #lose(): void {
    for (const control of this.#runs.values()) control.abort(lost())
  }

  async #run(payload: EventOf<'worker.run'>['payload']): Promise<void> {
    const { lease } = payload
    const control = new AbortController()
    const { signal } = control
    this.#runs.set(lease, control)
    const delta = (text: string) => {
      if (!signal.aborted && text !== '') this.#client.emit(WORKER_DELTA, { lease, text })
    }
    const report = (report: AgentReport) => {
      if (!signal.aborted) this.#client.emit(WORKER_REPORT, { lease, report })
    }
    try {
      await this.#answer(lease, signal, async () => this.#handler({ ...payload, signal, delta, report }))
    } finally {
      this.#runs.delete(lease)
      if (this.#runs.size === 0) this.#onIdle?.()
    }
  }

  /** Never rejects; of a run that was taken back nothing is said. */
  async #answer(lease: string, signal: AbortSignal, handle: () => Promise<WorkerAnswer>): Promise<void> {
    let reply: Exclude<WorkerAnswer, string>
    try {
      const answer = await handle()
      reply = typeof answer === 'string' ? { content: answer } : answer
    } catch (error) {
      if (!signal.aborted) await this.#fail(lease, error)
      return
    }
    if (signal.aborted) return
    try {
      await this.#client.request(workerComplete, { lease, ...reply })
    } catch (error) {
      const over = signal.aborted || (error instanceof GatewayError && error.code === 'CONFLICT')
      if (over) this.#onError(error)
      else await this.#fail(lease, error)
    }
  }

  async #fail(lease: string, error: unknown): Promise<void> {
    this.#onError(error)
    // Its own words are for the log of this process.
    const told = error instanceof GatewayError ? error : new GatewayError('UNAVAILABLE', 'The worker failed.')
    const { code, message, retryable, retryAfterMs } = toErrorShape(told)
    const shape = { code, message: message.slice(0, 2048), retryable, retryAfterMs }
    await this.#client.request(workerFail, { lease, error: shape }).catch(this.#onError)
  }
}
