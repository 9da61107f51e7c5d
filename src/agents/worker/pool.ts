import { randomBytes } from 'node:crypto'
import type { Principal } from '../../auth/principal.js'
import { EVENTS, GatewayError, type InboundEvent } from '../../protocol/index.js'
import { abortable, abortError } from '../abort.js'
import type { Agent, AgentReply, Capacity, RunContext } from '../agent.js'
import type { WorkerOptions } from './options.js'
import { newestWithin, Worker, type WorkerLink, WorkerRun } from './worker.js'

/** Of this process, so that no lease of an earlier one is taken for one of its own. */
const processTag = randomBytes(6).toString('base64url')
let leases = 0

/**
 * The agent `worker` (spec §4): processes that connect over the WebSocket and take its runs by credit. A run has one lease at
 * a time; whoever speaks with another one is not heard.
 */
export class WorkerPool implements Agent, Capacity {
  readonly type = 'worker'
  /** Runs that went on with another worker; only grows. */
  handovers = 0
  readonly #name: string
  readonly #options: WorkerOptions
  readonly #workers = new Map<WorkerLink, Worker>()
  readonly #leases = new Map<string, WorkerRun>()
  /** For a worker, in order; mostly empty, as the lanes keep what nobody has credit for. */
  #waiting = new Set<WorkerRun>()
  /** While no worker is connected. */
  #patience: NodeJS.Timeout | null = null
  /** No worker has been connected for too long. */
  #deserted = false
  #closed = false
  #onFree = () => {}

  constructor(name: string, options: WorkerOptions) {
    this.#name = name
    this.#options = options
    this.#missWorkers()
  }

  get capacity(): Capacity {
    return this
  }

  /** Without any worker runs begin only to fail. */
  get free(): number {
    if (this.#deserted) return Number.POSITIVE_INFINITY
    let free = -this.#waiting.size
    for (const worker of this.#workers.values()) {
      // Who asks waits for room.
      if (worker.link.congested) this.#awaitReader(worker)
      free += worker.free
    }
    return Math.max(0, free)
  }

  onFree(listener: () => void): void {
    this.#onFree = listener
  }

  get status(): { connected: number; credit: number; running: number } {
    let credit = 0
    for (const worker of this.#workers.values()) credit += worker.credit
    return { connected: this.#workers.size, credit, running: this.#leases.size }
  }

  /** @throws `FORBIDDEN` for a token that is confined to some sessions, or not among those of the configuration. */
  admit(principal: Principal): void {
    if (this.admits(principal)) return
    throw new GatewayError('FORBIDDEN', `These credentials do not cover the runs of '${this.#name}'.`, {
      details: { agent: this.#name },
    })
  }

  admits({ name, sessions }: Principal): boolean {
    return sessions === null && (this.#options.tokens?.includes(name) ?? true)
  }

  /** What a worker registered with; null: it is none of these. */
  creditOf(link: WorkerLink): number | null {
    return this.#workers.get(link)?.credit ?? null
  }

  /** Runs may come from here on: at most `credit` at the same time. Again: sets the credit anew. */
  register(link: WorkerLink, credit: number): void {
    const worker = this.#workers.get(link)
    if (worker === undefined) this.#workers.set(link, new Worker(link, credit))
    else worker.credit = credit
    if (this.#patience !== null) clearTimeout(this.#patience)
    this.#patience = null
    this.#deserted = false
    this.#assign()
  }

  /** A worker is lost or takes no more: what it had goes to another. One that is not registered: nothing happens. */
  unregister(link: WorkerLink): void {
    const worker = this.#workers.get(link)
    if (worker === undefined) return
    this.#workers.delete(link)
    const lost = [...worker.runs].filter((run) => this.#survives(run))
    this.#waiting = new Set([...lost, ...this.#waiting])
    if (this.#workers.size === 0) this.#missWorkers()
    this.#assign()
  }

  /** The run of this lease, where it is this worker's. */
  find(link: WorkerLink, lease: string): WorkerRun | undefined {
    const run = this.#leases.get(lease)
    return run?.worker?.link === link ? run : undefined
  }

  delta(run: WorkerRun, text: string): void {
    try {
      run.context.delta(text)
    } catch (error) {
      run.reject(error as Error)
    }
  }

  complete(run: WorkerRun, reply: AgentReply): void {
    this.#release(run)
    run.resolve(reply)
    this.#assign()
  }

  fail(run: WorkerRun, error: GatewayError): void {
    this.#release(run)
    run.reject(error)
    this.#assign()
  }

  async run(event: InboundEvent, context: RunContext): Promise<AgentReply> {
    const { signal } = context
    if (signal.aborted) throw abortError(signal)
    if (this.#deserted || this.#closed) throw noWorker(this.#name)
    const run = new WorkerRun(event, context)
    this.#waiting.add(run)
    this.#assign()
    try {
      const history = await abortable(context.history(this.#options.historyLimit), signal)
      run.history = newestWithin(history, this.#options.historyMaxBytes)
      if (run.worker !== null) this.#send(run, run.worker)
      return await abortable(run.outcome, signal)
    } catch (error) {
      this.#takeBack(run, error)
      throw error
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#patience !== null) clearTimeout(this.#patience)
    for (const run of [...this.#waiting, ...this.#leases.values()]) run.reject(noWorker(this.#name))
  }

  #missWorkers(): void {
    this.#patience = setTimeout(() => {
      this.#deserted = true
      for (const run of this.#waiting) run.reject(noWorker(this.#name))
      this.#onFree()
    }, this.#options.waitTimeoutMs)
    this.#patience.unref()
  }

  /** Gives what waits to the workers with credit. */
  #assign(): void {
    for (const run of this.#waiting) {
      const worker = this.#next()
      if (worker === null) return
      this.#waiting.delete(run)
      run.worker = worker
      worker.runs.add(run)
      if (run.history !== null) this.#send(run, worker)
    }
    if (this.free > 0) this.#onFree()
  }

  /** The one with the least of its credit used; of several the one that got none for longest. Null: none has any. */
  #next(): Worker | null {
    let next: Worker | null = null
    for (const worker of this.#workers.values()) {
      if (worker.link.congested) this.#awaitReader(worker)
      else if (worker.free > 0 && (next === null || worker.load < next.load)) next = worker
    }
    if (next !== null) {
      this.#workers.delete(next.link)
      this.#workers.set(next.link, next)
    }
    return next
  }

  /** Nothing more is sent to one that leaves much unread; nothing is left out either. */
  #awaitReader(worker: Worker): void {
    if (worker.awaited) return
    worker.awaited = true
    void worker.link.writable().then(() => {
      worker.awaited = false
      if (this.#workers.get(worker.link) === worker) this.#assign()
    })
  }

  #send(run: WorkerRun, { link }: Worker): void {
    const lease = `${processTag}-${++leases}`
    run.lease = lease
    this.#leases.set(lease, run)
    link.send(
      EVENTS.workerRun.name,
      run.event.sessionKey,
      run.payload(this.#name, lease, this.#options.skillsMaxChars),
    )
  }

  /** Whether a run of a worker that is gone goes on with another one. */
  #survives(run: WorkerRun): boolean {
    const begun = run.lease !== null
    this.#release(run)
    if (!begun) return true
    if (run.handovers >= this.#options.maxHandovers) {
      run.reject(new GatewayError('UNAVAILABLE', `The run was lost with ${run.handovers + 1} workers.`))
      return false
    }
    run.handovers++
    this.handovers++
    run.context.restart()
    return true
  }

  #release(run: WorkerRun): void {
    run.worker?.runs.delete(run)
    run.worker = null
    if (run.lease !== null) this.#leases.delete(run.lease)
    run.lease = null
  }

  /** Nobody waits for its outcome any more. */
  #takeBack(run: WorkerRun, cause: unknown): void {
    this.#waiting.delete(run)
    const { worker, lease } = run
    if (worker === null) return
    this.#release(run)
    if (lease !== null) {
      const { runId } = run.context
      const reason = cause instanceof GatewayError ? cause.message : 'The run was stopped.'
      const payload = JSON.stringify({ agent: this.#name, lease, runId, reason })
      worker.link.send(EVENTS.workerCancel.name, run.event.sessionKey, payload)
    }
    this.#assign()
  }
}

function noWorker(agent: string): GatewayError {
  return new GatewayError('UNAVAILABLE', `No worker of the agent '${agent}' is connected.`)
}
