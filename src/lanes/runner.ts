import { setTimeout as delay } from 'node:timers/promises'
import type { RetryPolicy } from '../agents/agent.js'
import type { AgentEntry } from '../agents/registry.js'
import type { Lease } from '../journal/journal.js'
import { type ErrorShape, EVENTS, GatewayError } from '../protocol/index.js'
import type { Router } from '../sessions/routing.js'
import { newSessionRecord } from '../sessions/sessions.js'
import { Attempts, type AttemptsOptions } from './attempts.js'
import type { LaneDispatcher } from './dispatcher.js'
import { type Ended, failed, outcomeEntries, stopped } from './ended.js'
import type { Lane } from './lane.js'
import type { Outcomes } from './outcomes.js'
import type { QueuedEvent } from './queued-event.js'

export type RunOutcomeLabel = 'completed' | 'failed' | 'aborted' | 'retried' | 'interrupted'

export interface RunnerOptions extends AttemptsOptions {
  readonly agents: { get(name: string): AgentEntry | undefined }
  readonly route: Router
  readonly outcomes: Outcomes
  readonly retry: RetryPolicy
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
const SETTLE_BACKOFF_MS = 250
const SETTLE_MAX_BACKOFF_MS = 5_000

/** Takes each event from the head of its lane to the one commit that ends it: tries, retries, outcome (spec §3, 5 and 7). */
export class Runner {
  readonly #options: RunnerOptions
  readonly #attempts: Attempts
  readonly #stopping = new AbortController()
  #dispatcher!: LaneDispatcher<QueuedEvent>

  constructor(options: RunnerOptions) {
    this.#options = options
    this.#attempts = new Attempts(options)
  }

  attach(dispatcher: LaneDispatcher<QueuedEvent>): void {
    this.#dispatcher = dispatcher
  }

  /** Runs whose agent ignored its signal; only grows. */
  get abandoned(): number {
    return this.#attempts.abandoned
  }

  /** The dispatcher's `run`. */
  readonly start = (task: QueuedEvent, lane: Lane<QueuedEvent>): void => {
    this.#run(task, lane).catch((error: unknown) => {
      // The gateway's own failure, such as a read: the event is accepted, so it is tried until it can be handled.
      this.#options.log.error({ err: error, eventId: task.event.id }, 'run failed unexpectedly')
      this.#park(task, lane, FAULT_BACKOFF_MS)
    })
  }

  /** Stops the run at the head of a lane; what it did until then is not kept. Its outcome follows. */
  async abortCurrent(lane: Lane<QueuedEvent>, reason: string): Promise<void> {
    const task = lane.running!
    const first = task.abort({ kind: 'requested', reason })
    if (!first || lane.state === 'running') return
    // Between two tries nobody else ends it; and should its turn have come, it is not to begin any more.
    if (task.retryTimer !== null) clearTimeout(task.retryTimer)
    this.#dispatcher.park(lane)
    await this.#end(task, lane, stopped(task.abortCause!))
  }

  /** Ends a waiting event that was taken out of its lane. */
  async abortWaiting(task: QueuedEvent, lane: Lane<QueuedEvent>, reason: string): Promise<void> {
    const { route, sessions } = this.#options
    const { sessionKey } = task.event
    task.abort({ kind: 'requested', reason })
    task.agent = route(sessionKey, await sessions.find(sessionKey).catch(() => null))
    const ended = stopped(task.abortCause!)
    const written = await this.#settle(task, lane, ended)
    this.#dispatcher.release(lane, task)
    if (written) this.#tell(task, ended)
  }

  /** Aborts what runs; it stays in the journal and runs again after the start. */
  interrupt(): void {
    for (const lane of this.#dispatcher.lanes()) lane.running?.abort({ kind: 'shutdown' })
  }

  /** No outcome is written any more. */
  close(): void {
    this.#stopping.abort()
    for (const { running } of this.#dispatcher.lanes()) {
      if (running !== null && running.retryTimer !== null) clearTimeout(running.retryTimer)
    }
  }

  async #run(task: QueuedEvent, lane: Lane<QueuedEvent>): Promise<void> {
    const { sessions, route, agents, observeRun, observeWait } = this.#options
    const { sessionKey, at } = task.event
    if (task.startedAt === 0) observeWait(Math.max(0, Date.now() - at) / 1000)
    task.startedAt = Date.now()
    await this.#lease(lane)
    const record = (await sessions.find(sessionKey)) ?? newSessionRecord(sessionKey, at)
    task.agent = route(sessionKey, record)
    task.attempt++
    const built = agents.get(task.agent)
    let ended: Ended
    if (task.abortCause !== null) ended = stopped(task.abortCause)
    else if (built !== undefined) ended = await this.#attempts.run(lane, record, built)
    else ended = failed(new GatewayError('NOT_FOUND', `There is no agent '${task.agent}'.`))
    // Stopped in the very turn in which it failed: no other try, and no dead letter.
    if (ended.status === 'failed' && task.abortCause !== null) ended = stopped(task.abortCause)

    const observe = (outcome: RunOutcomeLabel) =>
      observeRun(built?.type ?? 'unknown', outcome, (Date.now() - task.startedAt) / 1000)
    const retry = this.#retry(task, ended, built)
    if (this.#isInterrupted(ended, retry)) {
      // Without an outcome it stays in the journal and runs again after the start.
      observe('interrupted')
      this.#dispatcher.done(lane)
    } else if (retry !== null) {
      observe('retried')
      this.#announceRetry(task, retry)
      this.#park(task, lane, retry.retryInMs)
    } else {
      observe(ended.status)
      await this.#end(task, lane, ended)
    }
  }

  /** Whether and when there is another try, as the failure and the agent's policy say. */
  #retry(task: QueuedEvent, ended: Ended, built: AgentEntry | undefined): Retry | null {
    const policy = { ...this.#options.retry, ...built?.retry }
    if (ended.status !== 'failed' || !ended.retryable || task.attempt >= policy.attempts) return null
    const { error } = ended
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

  #park(task: QueuedEvent, lane: Lane<QueuedEvent>, retryInMs: number): void {
    if (!this.#stopping.signal.aborted) {
      task.retryTimer = setTimeout(() => {
        task.retryTimer = null
        this.#dispatcher.unpark(lane)
      }, retryInMs)
    }
    this.#dispatcher.park(lane)
  }

  async #end(task: QueuedEvent, lane: Lane<QueuedEvent>, ended: Ended): Promise<void> {
    const written = await this.#settle(task, lane, ended)
    this.#dispatcher.done(lane)
    if (written) this.#tell(task, ended)
  }

  /** Journals how an event ended, in one commit; tries until the disk takes it. False: the gateway stopped before that. */
  async #settle(task: QueuedEvent, lane: Lane<QueuedEvent>, ended: Ended): Promise<boolean> {
    const { journal, log } = this.#options
    const { id: eventId } = task.event
    const request = {
      eventIds: [eventId],
      status: ended.status,
      error: ended.status === 'failed' ? ended.error : null,
      attempts: task.attempt,
      entries: outcomeEntries(task, ended),
    }
    const { signal } = this.#stopping
    let backoffMs = SETTLE_BACKOFF_MS
    while (!signal.aborted) {
      try {
        const lease = await this.#lease(lane)
        if (!(await journal.complete({ lease, ...request }))) {
          log.warn({ eventId }, 'outcome fenced off: the event was already ended')
        }
        return true
      } catch (error) {
        log.warn({ err: error, eventId, retryInMs: backoffMs }, 'outcome could not be written yet')
        await delay(backoffMs, undefined, { signal }).catch(() => {})
        backoffMs = Math.min(backoffMs * 2, SETTLE_MAX_BACKOFF_MS)
      }
    }
    return false
  }

  /** The lane's right to its session, asked for once while there is work. */
  async #lease(lane: Lane<QueuedEvent>): Promise<Lease> {
    lane.lease ??= this.#options.journal.lease(lane.key)
    try {
      return await lane.lease
    } catch (error) {
      lane.lease = null
      throw error
    }
  }

  #tell({ event, agent }: QueuedEvent, ended: Ended): void {
    const { outcomes, sessions, hooks } = this.#options
    outcomes.settled(event.runId)
    sessions.activityChanged()
    if (ended.status === 'completed') {
      hooks.emit({ name: 'agent:completed', event, agent, content: ended.content })
    } else if (ended.status === 'failed') {
      hooks.emit({ name: 'agent:failed', event, agent, code: ended.error.code })
    } else {
      hooks.emit({ name: 'agent:aborted', event, agent })
    }
  }
}
