import type { RetryPolicy } from '../agents/agent.js'
import type { Gate } from '../agents/gate.js'
import type { AgentEntry } from '../agents/registry.js'
import type { SessionRecord } from '../journal/journal.js'
import { type ErrorShape, EVENTS, GatewayError } from '../protocol/index.js'
import type { Router } from '../sessions/routing.js'
import { newSessionRecord } from '../sessions/sessions.js'
import { tracedLog } from '../tracing/traced-log.js'
import { Arrivals } from './arrivals.js'
import { Attempts, type AttemptsOptions } from './attempts.js'
import type { LaneDispatcher } from './dispatcher.js'
import { type Ended, failed, stopped } from './ended.js'
import { Gating } from './gating.js'
import type { Lane } from './lane.js'
import { collectable, type TurnLimits, turnOf } from './modes.js'
import { type AbortCause, idsOf, type QueuedEvent } from './queued-event.js'
import { Settlement, type SettlementOptions } from './settlement.js'

export type RunOutcomeLabel = 'completed' | 'failed' | 'aborted' | 'retried' | 'interrupted'

/** Read anew whenever they are needed: limits may change. */
export interface RunnerOptions extends AttemptsOptions, SettlementOptions, TurnLimits {
  readonly agents: { get(name: string): AgentEntry | undefined }
  readonly router: Router
  readonly retry: RetryPolicy
  /** Process deaths while an event was being handled after which it is a dead letter; 0: never. */
  readonly maxCrashes: number
  /** Told of each ended try; seconds. */
  readonly observeRun: (agentType: string, outcome: RunOutcomeLabel, seconds: number) => void
  /** Told how long an event waited for its first try; seconds. */
  readonly observeWait: (seconds: number) => void
}

interface Retry {
  readonly error: ErrorShape
  readonly retryInMs: number
}

const FAULT_BACKOFF_MS = 1_000

/** Takes each event from the head of its lane to the one commit that ends it: turns, tries, retries, outcome (spec §3.5 to 7). */
export class Runner {
  readonly #options: RunnerOptions
  readonly #attempts: Attempts
  readonly #settlement: Settlement
  readonly #arrivals: Arrivals
  #dispatcher!: LaneDispatcher<QueuedEvent>
  #gating!: Gating

  constructor(options: RunnerOptions) {
    this.#options = options
    this.#attempts = new Attempts(options, (lane) => this.arrived(lane))
    this.#settlement = new Settlement(options)
    this.#arrivals = new Arrivals(options, this)
  }

  attach(dispatcher: LaneDispatcher<QueuedEvent>): void {
    this.#dispatcher = dispatcher
    this.#gating = new Gating(dispatcher)
    this.#arrivals.attach(dispatcher)
  }

  /** An event was queued, or the running agent begins to take messages: the queue mode may want something done at once. */
  arrived(lane: Lane<QueuedEvent>): void {
    this.#arrivals.arrived(lane)
  }

  /** Runs whose agent ignored its signal; only grows. */
  get abandoned(): number {
    return this.#attempts.abandoned
  }

  /** The dispatcher's `run`. */
  readonly start = (task: QueuedEvent, lane: Lane<QueuedEvent>): void => {
    this.#run(task, lane).catch((error: unknown) => {
      // The gateway's own failure, such as a read: the event is accepted, so it is tried until it can be handled.
      const log = tracedLog(this.#options.log, task.event)
      log.error({ err: error, eventId: task.event.id }, 'run failed unexpectedly')
      this.#park(task, lane, FAULT_BACKOFF_MS)
    })
  }

  /** Stops the run at the head of a lane; what it did until then is not kept. Its outcome follows. */
  async abortCurrent(lane: Lane<QueuedEvent>, cause: AbortCause): Promise<void> {
    const task = lane.running!
    const first = task.abort(cause)
    if (!first || lane.state === 'running') return
    // Between two tries nobody else ends it; and should its turn have come, it is not to begin any more.
    task.clearTimer()
    task.leaveGate()
    this.#dispatcher.park(lane)
    await this.#end(task, lane, stopped(cause))
  }

  /** Ends a waiting event that was taken out of its lane. */
  async abortWaiting(task: QueuedEvent, lane: Lane<QueuedEvent>, cause: AbortCause): Promise<void> {
    const { router, sessions } = this.#options
    const { sessionKey } = task.event
    lane.ending = (lane.ending ?? new Set()).add(task)
    task.abort(cause)
    task.clearTimer()
    task.leaveGate()
    task.agent = router.agent(task.event, await sessions.find(sessionKey).catch(() => null))
    const ended = stopped(cause)
    const written = await this.#settlement.write(task, lane, ended)
    lane.ending.delete(task)
    this.#dispatcher.release(lane, task)
    if (written) this.#settlement.tell(task, ended)
  }

  /** Aborts what runs; it stays in the journal and runs again after the start. */
  interrupt(): void {
    for (const lane of this.#dispatcher.lanes()) lane.running?.abort({ kind: 'shutdown' })
  }

  /** No outcome is written any more. */
  close(): void {
    this.#settlement.close()
    for (const { running, heldFor } of this.#dispatcher.lanes()) {
      running?.clearTimer()
      heldFor?.clearTimer()
    }
  }

  async #run(task: QueuedEvent, lane: Lane<QueuedEvent>): Promise<void> {
    task.clearTimer()
    const { sessions, router, agents, journal, maxCrashes } = this.#options
    const { sessionKey, at } = task.event
    await this.#settlement.lease(lane)
    const record = (await sessions.find(sessionKey)) ?? newSessionRecord(sessionKey, at)
    task.agent = router.agent(task.event, record)
    const built = agents.get(task.agent)
    const gate = built?.gate
    if (!this.#gating.mayEnter(task, lane, gate)) return
    if (!this.#mayBegin(task, lane, record)) {
      gate?.callNext()
      return
    }
    if (task.startedAt === 0) this.#options.observeWait(Math.max(0, Date.now() - at) / 1000)
    task.startedAt = Date.now()
    task.begunAt = performance.now()
    let ended: Ended
    if (task.abortCause !== null) ended = stopped(task.abortCause)
    else if (built === undefined)
      ended = failed(new GatewayError('NOT_FOUND', `There is no agent '${task.agent}'.`))
    else if (maxCrashes > 0 && task.crashes >= maxCrashes) ended = poisonous(task.crashes)
    else {
      const attempt = async () => {
        // Where the process died before, each death is to count for those alone that had begun.
        if (task.crashes > 0) journal.begun(idsOf(task))
        else await journal.begin(idsOf(task))
        if (task.abortCause !== null) return stopped(task.abortCause)
        task.attempt++
        return await this.#attempts.run(lane, record, built)
      }
      built.use?.begin()
      try {
        ended = await (gate === undefined ? attempt() : this.#gating.run(gate, attempt))
      } finally {
        built.use?.end()
      }
    }
    gate?.callNext()
    // Stopped in the very turn in which it failed: no other try, and no dead letter.
    if (ended.status === 'failed' && task.abortCause !== null) ended = stopped(task.abortCause)
    await this.#proceed(task, lane, ended, built)
  }

  /** Whether the event at the head runs now, as the queue mode says; it is held back if it does not. */
  #mayBegin(task: QueuedEvent, lane: Lane<QueuedEvent>, record: SessionRecord): boolean {
    if (task.attempt > 0 || task.abortCause !== null) return true
    const { router, collect } = this.#options
    const mode = router.queueMode(lane.key, record)
    const turn = turnOf(task, lane, mode, this.#options, performance.now())
    if (turn.act === 'wait') {
      this.#hold(task, lane, turn.ms)
      return false
    }
    if (turn.act === 'skip') {
      task.abort({ kind: 'interrupted', by: turn.newer.event.runId })
    } else if (mode === 'collect' && task.isMessage) {
      const following = new Set(collectable(task, lane, collect))
      if (following.size > 0) {
        task.others = [...task.others, ...this.#dispatcher.remove(lane, (next) => following.has(next))]
      }
    }
    return true
  }

  /** What follows from how a try ended: the outcome, another try, or nothing until the next start. */
  async #proceed(
    task: QueuedEvent,
    lane: Lane<QueuedEvent>,
    ended: Ended,
    built: AgentEntry | undefined,
  ): Promise<void> {
    const observe = (outcome: RunOutcomeLabel) =>
      this.#options.observeRun(built?.type ?? 'unknown', outcome, (performance.now() - task.begunAt) / 1000)
    const excused = this.#gating.excuses(task, ended, built?.gate)
    const retry = this.#retry(task, ended, built, excused)
    if (this.#isInterrupted(ended, retry)) {
      // Without an outcome it stays in the journal and runs again after the start.
      observe('interrupted')
      this.#leave(task, lane)
    } else if (retry !== null) {
      observe('retried')
      this.#announceRetry(task, retry)
      if (excused) this.#putOff(task, lane, built!.gate!)
      else this.#park(task, lane, retry.retryInMs)
    } else {
      observe(ended.status)
      await this.#end(task, lane, ended)
    }
  }

  /** Whether and when there is another try, as the failure and the agent's policy say. */
  #retry(task: QueuedEvent, ended: Ended, built: AgentEntry | undefined, excused: boolean): Retry | null {
    if (ended.status !== 'failed') return null
    const { error } = ended
    if (excused) return { error, retryInMs: built!.gate!.breaker!.limits.openMs }
    const policy = { ...this.#options.retry, ...built?.retry }
    if (!ended.retryable || task.attempt >= policy.attempts) return null
    const ceiling = Math.min(policy.backoffMs * 2 ** (task.attempt - 1), policy.maxBackoffMs)
    // Full jitter above half: spread, yet never at once. A backend that says when wins.
    const backoffMs = Math.round(ceiling / 2 + (Math.random() * ceiling) / 2)
    return { error, retryInMs: Math.max(backoffMs, Math.min(error.retryAfterMs ?? 0, policy.maxBackoffMs)) }
  }

  #isInterrupted(ended: Ended, retry: Retry | null): boolean {
    if (ended.status === 'aborted') return ended.cause.kind === 'shutdown'
    return retry !== null && this.#dispatcher.stopped
  }

  #announceRetry({ event, agent, attempt }: QueuedEvent, retry: Retry): void {
    const { id: eventId, runId, sessionKey } = event
    const payload = JSON.stringify({ runId, eventId, agent, attempt, ...retry })
    const at = Date.now()
    this.#options.broadcaster.broadcast({ event: EVENTS.agentRetrying.name, sessionKey, at, payload, seq: 0 })
  }

  /** The try does not count; the next one begins when the backend is tried again. */
  #putOff(task: QueuedEvent, lane: Lane<QueuedEvent>, gate: Gate): void {
    task.attempt--
    // Past its time limit it was stopped, which is over.
    task.abortCause = null
    this.#options.journal.released(idsOf(task))
    this.#gating.wait(task, lane, gate)
  }

  #park(task: QueuedEvent, lane: Lane<QueuedEvent>, retryInMs: number): void {
    this.#options.journal.released(idsOf(task))
    if (!this.#settlement.closed) task.later(retryInMs, () => this.#dispatcher.unpark(lane))
    this.#dispatcher.park(lane)
  }

  #hold(task: QueuedEvent, lane: Lane<QueuedEvent>, ms: number): void {
    if (!this.#settlement.closed) task.later(ms, () => this.#dispatcher.unhold(lane))
    this.#dispatcher.hold(lane)
  }

  async #end(task: QueuedEvent, lane: Lane<QueuedEvent>, ended: Ended): Promise<void> {
    const written = await this.#settlement.write(task, lane, ended)
    this.#leave(task, lane)
    if (written) this.#settlement.tell(task, ended)
  }

  /** The run is over, and with it the places of all that it handled are free. */
  #leave(task: QueuedEvent, lane: Lane<QueuedEvent>): void {
    for (const other of task.others) this.#dispatcher.release(lane, other)
    this.#dispatcher.done(lane)
  }
}

/** Nothing that runs in the process can be trusted to survive it. */
function poisonous(crashes: number): Ended {
  return failed(
    new GatewayError(
      'INTERNAL_ERROR',
      `The gateway’s process died ${crashes} times while it handled this event.`,
      {
        retryable: false,
      },
    ),
  )
}
