import { setTimeout as delay } from 'node:timers/promises'
import type { AgentReply, RetryPolicy, RunContext } from '../agents/agent.js'
import type { AgentEntry } from '../agents/registry.js'
import type { Broadcaster } from '../events/broadcaster.js'
import type { Hooks } from '../hooks/hooks.js'
import { newMessageId } from '../journal/ids.js'
import type { CompleteRequest, Entry, Journal, SessionRecord } from '../journal/journal.js'
import type { Log } from '../log.js'
import { type ErrorShape, EVENTS, GatewayError, toErrorShape } from '../protocol/index.js'
import type { Router } from '../sessions/routing.js'
import { entry, newSessionRecord, type Sessions, toMessage } from '../sessions/sessions.js'
import type { LaneDispatcher } from './dispatcher.js'
import type { Lane } from './lane.js'
import type { Outcomes } from './outcomes.js'
import type { AbortCause, QueuedEvent } from './queued-event.js'

export type RunOutcomeLabel = 'completed' | 'failed' | 'aborted' | 'retried' | 'interrupted'

export interface RunnerOptions {
  readonly journal: Journal
  readonly sessions: Sessions
  readonly agents: { get(name: string): AgentEntry | undefined }
  readonly route: Router
  readonly broadcaster: Broadcaster
  readonly outcomes: Outcomes
  readonly hooks: Hooks
  readonly log: Log
  readonly runTimeoutMs: number
  readonly abortGraceMs: number
  readonly retry: RetryPolicy
  /** Messages that an agent is given unless it asks for another number. */
  readonly historyLimit: number
  /** Told of each ended try; seconds. */
  readonly observeRun: (agentType: string, outcome: RunOutcomeLabel, seconds: number) => void
  /** Told how long an event waited for its first try; seconds. */
  readonly observeWait: (seconds: number) => void
}

type Ended =
  | { readonly status: 'completed'; readonly reply: AgentReply }
  | { readonly status: 'failed'; readonly error: ErrorShape; readonly retryable: boolean }
  | { readonly status: 'aborted'; readonly cause: AbortCause }

const UNEXPECTED_BACKOFF_MS = 1_000
const SETTLE_BACKOFF_MS = 250
const SETTLE_MAX_BACKOFF_MS = 5_000

/** Runs the agent for one event: time limit, abort, retries, and the one commit that ends it (spec §3, 5 and 7). */
export class Runner {
  /** Runs whose agent ignored its signal; only grows. */
  abandoned = 0
  readonly #options: RunnerOptions
  readonly #stopping = new AbortController()
  #dispatcher!: LaneDispatcher<QueuedEvent>

  constructor(options: RunnerOptions) {
    this.#options = options
  }

  attach(dispatcher: LaneDispatcher<QueuedEvent>): void {
    this.#dispatcher = dispatcher
  }

  /** The dispatcher's `run`. */
  readonly start = (task: QueuedEvent, lane: Lane<QueuedEvent>): void => {
    this.#run(task, lane).catch((error: unknown) => {
      // A fault of the gateway, such as a read that failed: the event is accepted, so it is tried until it can be handled.
      this.#options.log.error({ err: error, eventId: task.event.id }, 'run failed unexpectedly')
      this.#retryLater(task, lane, UNEXPECTED_BACKOFF_MS)
    })
  }

  /** Stops the run at the head of a lane; what it did until then is not kept. */
  async abortCurrent(lane: Lane<QueuedEvent>, reason: string): Promise<void> {
    const task = lane.running!
    task.abort({ kind: 'requested', reason })
    if (lane.state !== 'parked') return
    if (task.retryTimer !== null) clearTimeout(task.retryTimer)
    task.retryTimer = null
    await this.#settle(task, { status: 'aborted', cause: task.abortCause! })
    this.#dispatcher.done(lane)
  }

  /** Ends a waiting event that was taken out of its lane. */
  async abortWaiting(task: QueuedEvent, reason: string): Promise<void> {
    const { route, sessions } = this.#options
    const { sessionKey } = task.event
    task.abort({ kind: 'requested', reason })
    task.agent = route(sessionKey, sessions.cached(sessionKey))
    await this.#settle(task, { status: 'aborted', cause: task.abortCause! })
    this.#dispatcher.forget(sessionKey, task)
  }

  /** Aborts what runs; it stays in the journal and runs again after the start. */
  interrupt(): void {
    for (const lane of this.#dispatcher.lanes()) lane.running?.abort({ kind: 'shutdown' })
  }

  /** No outcome is written any more. */
  close(): void {
    this.#stopping.abort()
    for (const lane of this.#dispatcher.lanes()) {
      if (lane.running?.retryTimer) clearTimeout(lane.running.retryTimer)
    }
  }

  async #run(task: QueuedEvent, lane: Lane<QueuedEvent>): Promise<void> {
    const { sessions, route, agents, observeRun, observeWait } = this.#options
    const { sessionKey } = task.event
    task.attempt++
    task.startedAt = Date.now()
    if (task.attempt === 1) observeWait(Math.max(0, task.startedAt - task.event.at) / 1000)
    const record =
      sessions.cached(sessionKey) ??
      (await sessions.find(sessionKey)) ??
      newSessionRecord(sessionKey, task.event.at)
    task.agent = route(sessionKey, record)
    const built = agents.get(task.agent)
    const ended: Ended =
      built === undefined
        ? failure(new GatewayError('NOT_FOUND', `There is no agent '${task.agent}'.`))
        : await this.#try(task, record, built)
    const type = built?.agent.type ?? 'unknown'
    const seconds = (Date.now() - task.startedAt) / 1000
    if (ended.status === 'aborted' && ended.cause.kind === 'shutdown') {
      observeRun(type, 'interrupted', seconds)
      this.#dispatcher.done(lane)
      return
    }
    if (ended.status === 'failed' && this.#retry(task, lane, ended, built)) {
      observeRun(type, 'retried', seconds)
      return
    }
    observeRun(type, ended.status, seconds)
    await this.#settle(task, ended)
    this.#dispatcher.done(lane)
  }

  /** One try. Never throws: a failure is how it ended. */
  async #try(task: QueuedEvent, record: SessionRecord, built: AgentEntry): Promise<Ended> {
    if (task.abortCause !== null) return { status: 'aborted', cause: task.abortCause }
    const controller = new AbortController()
    task.controller = controller
    const timeoutMs = built.timeoutMs ?? this.#options.runTimeoutMs
    const timer = setTimeout(() => task.abort({ kind: 'timeout', timeoutMs }), timeoutMs)
    const run = { ended: false }
    this.#announceStart(task)
    try {
      const reply = await this.#withGrace(
        built.agent.run(task.event, this.#context(task, record, controller.signal, run)),
        controller.signal,
      )
      if (task.abortCause === null) return { status: 'completed', reply }
      return endedByAbort(task.abortCause)
    } catch (error) {
      if (task.abortCause !== null) return endedByAbort(task.abortCause)
      if (!(error instanceof GatewayError)) {
        this.#options.log.error(
          { err: error, eventId: task.event.id, agent: task.agent, attempt: task.attempt },
          'agent failed',
        )
        return failure(
          new GatewayError('INTERNAL_ERROR', 'The agent failed; the gateway log has the cause.', {
            retryable: true,
          }),
        )
      }
      this.#options.log.warn(
        { err: error, eventId: task.event.id, agent: task.agent, attempt: task.attempt },
        'agent failed',
      )
      return failure(error)
    } finally {
      run.ended = true
      task.controller = null
      clearTimeout(timer)
    }
  }

  /** The reply; or, once aborted, an end within the grace, whatever the agent does. Its late output is fenced off. */
  async #withGrace(reply: Promise<AgentReply>, signal: AbortSignal): Promise<AgentReply> {
    let grace: NodeJS.Timeout | undefined
    let onAbort = () => {}
    const abandoned = new Promise<never>((_, reject) => {
      onAbort = () => {
        grace = setTimeout(() => {
          this.abandoned++
          reject(new GatewayError('CANCELLED', 'The run was abandoned.'))
        }, this.#options.abortGraceMs)
      }
      signal.addEventListener('abort', onAbort, { once: true })
    })
    try {
      return await Promise.race([reply, abandoned])
    } finally {
      clearTimeout(grace)
      signal.removeEventListener('abort', onAbort)
      reply.catch(() => {})
    }
  }

  #context(
    task: QueuedEvent,
    record: SessionRecord,
    signal: AbortSignal,
    run: { ended: boolean },
  ): RunContext {
    const { sessions, journal, broadcaster, historyLimit, log } = this.#options
    const { event } = task
    return {
      session: sessions.summary(record),
      runId: event.runId,
      attempt: task.attempt,
      signal,
      log,
      history: async (limit = historyLimit) =>
        limit === 0
          ? []
          : (await journal.history(event.sessionKey, { limit, before: event.seq })).map(toMessage),
      delta: (text) => {
        if (run.ended || signal.aborted || text === '') return
        const payload = `{"runId":${JSON.stringify(event.runId)},"text":${JSON.stringify(text)}}`
        broadcaster.broadcast(
          { event: EVENTS.agentDelta.name, sessionKey: event.sessionKey, at: Date.now(), payload, seq: 0 },
          true,
        )
      },
    }
  }

  #announceStart(task: QueuedEvent): void {
    const { event, agent, attempt } = task
    const payload = { runId: event.runId, eventId: event.id, agent, attempt }
    this.#broadcast(EVENTS.agentStarted.name, event.sessionKey, payload)
    this.#options.hooks.emit({ name: 'agent:started', event, agent, attempt })
  }

  /** Parks the lane for another try, where the failure and the agent's policy allow one. */
  #retry(
    task: QueuedEvent,
    lane: Lane<QueuedEvent>,
    ended: Ended & { status: 'failed' },
    built: AgentEntry | undefined,
  ): boolean {
    const policy = { ...this.#options.retry, ...built?.retry }
    if (!ended.retryable || task.attempt >= policy.attempts || this.#dispatcher.stopped) return false
    const ceiling = Math.min(policy.backoffMs * 2 ** (task.attempt - 1), policy.maxBackoffMs)
    // Full jitter above half: spread, yet never at once. A backend that says when wins.
    const retryInMs = Math.max(
      Math.round(ceiling / 2 + (Math.random() * ceiling) / 2),
      Math.min(ended.error.retryAfterMs ?? 0, policy.maxBackoffMs),
    )
    const { event, agent, attempt } = task
    const payload = { runId: event.runId, eventId: event.id, agent, attempt, error: ended.error, retryInMs }
    this.#broadcast(EVENTS.agentRetrying.name, event.sessionKey, payload)
    this.#retryLater(task, lane, retryInMs)
    return true
  }

  #retryLater(task: QueuedEvent, lane: Lane<QueuedEvent>, retryInMs: number): void {
    if (!this.#stopping.signal.aborted) {
      task.retryTimer = setTimeout(() => {
        task.retryTimer = null
        this.#dispatcher.unpark(lane)
      }, retryInMs)
    }
    this.#dispatcher.park(lane)
  }

  /** Journals how an event ended, in one commit; tries until the disk takes it or the gateway stops. */
  async #settle(task: QueuedEvent, ended: Ended): Promise<void> {
    const { journal, outcomes, log, sessions } = this.#options
    const { event } = task
    const request = await this.#outcome(task, ended)
    for (
      let backoffMs = SETTLE_BACKOFF_MS;
      !this.#stopping.signal.aborted;
      backoffMs = Math.min(backoffMs * 2, SETTLE_MAX_BACKOFF_MS)
    ) {
      try {
        if (!(await journal.complete(request)))
          log.warn({ eventId: event.id }, 'outcome fenced off: the event was already ended')
        outcomes.settled(event.runId)
        sessions.activityChanged()
        this.#tellHooks(task, ended)
        return
      } catch (error) {
        log.warn({ err: error, eventId: event.id, retryInMs: backoffMs }, 'outcome could not be written yet')
        await delay(backoffMs, undefined, { signal: this.#stopping.signal }).catch(() => {})
      }
    }
  }

  async #outcome(task: QueuedEvent, ended: Ended): Promise<CompleteRequest> {
    const { event, agent } = task
    const at = Date.now()
    const run = { runId: event.runId, eventId: event.id, agent }
    const entries: Entry[] = []
    if (ended.status === 'completed') {
      const { content, metadata, usage } = ended.reply
      const messageId = content === '' ? null : newMessageId()
      if (messageId !== null) {
        const message = {
          messageId,
          role: 'assistant',
          content,
          eventId: event.id,
          runId: event.runId,
          agent,
          metadata,
        }
        entries.push(entry(EVENTS.sessionMessage.name, event.sessionKey, at, message))
      }
      entries.push(entry(EVENTS.agentCompleted.name, event.sessionKey, at, { ...run, messageId, usage }))
    } else if (ended.status === 'failed') {
      entries.push(
        entry(EVENTS.agentFailed.name, event.sessionKey, at, {
          ...run,
          error: ended.error,
          attempts: task.attempt,
        }),
      )
    } else {
      const reason = ended.cause.kind === 'requested' ? ended.cause.reason : ended.cause.kind
      entries.push(entry(EVENTS.agentAborted.name, event.sessionKey, at, { ...run, reason }))
    }
    return {
      lease: await this.#options.journal.lease(event.sessionKey),
      eventIds: [event.id],
      status: ended.status,
      error: ended.status === 'failed' ? ended.error : null,
      attempts: task.attempt,
      entries,
    }
  }

  #tellHooks(task: QueuedEvent, ended: Ended): void {
    const { hooks } = this.#options
    const { event, agent } = task
    if (ended.status === 'completed')
      hooks.emit({ name: 'agent:completed', event, agent, content: ended.reply.content })
    else if (ended.status === 'failed')
      hooks.emit({ name: 'agent:failed', event, agent, code: ended.error.code })
    else hooks.emit({ name: 'agent:aborted', event, agent })
  }

  #broadcast(event: string, sessionKey: string, payload: object): void {
    this.#options.broadcaster.broadcast({
      event,
      sessionKey,
      at: Date.now(),
      payload: JSON.stringify(payload),
      seq: 0,
    })
  }
}

function failure(error: GatewayError): Ended {
  return { status: 'failed', error: toErrorShape(error), retryable: error.retryable }
}

/** A run past its time limit failed, and another try would only hold the lane as long again. */
function endedByAbort(cause: AbortCause): Ended {
  if (cause.kind !== 'timeout') return { status: 'aborted', cause }
  const error = new GatewayError('AGENT_TIMEOUT', `The agent did not finish within ${cause.timeoutMs} ms.`)
  return { status: 'failed', error: toErrorShape(error), retryable: false }
}
