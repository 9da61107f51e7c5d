import type { AgentReply, HistoryMessage, RunContext, SteerListener } from '../agents/agent.js'
import type { AgentEntry } from '../agents/registry.js'
import type { Broadcaster } from '../events/broadcaster.js'
import type { Hooks } from '../hooks/hooks.js'
import type { Journal, SessionRecord } from '../journal/journal.js'
import type { Log } from '../log.js'
import { EVENTS, GatewayError, type InboundEvent } from '../protocol/index.js'
import { type Sessions, toMessage } from '../sessions/sessions.js'
import { completed, type Ended, failed, stopped } from './ended.js'
import type { Lane } from './lane.js'
import { combined } from './modes.js'
import { eventsOf, mergedOf, type QueuedEvent } from './queued-event.js'

export interface AttemptsOptions {
  readonly journal: Journal
  readonly sessions: Sessions
  readonly broadcaster: Broadcaster
  readonly hooks: Hooks
  readonly log: Log
  readonly runTimeoutMs: number
  readonly abortGraceMs: number
  readonly maxReplyBytes: number
  /** Messages that an agent is given unless it asks for another number. */
  readonly historyLimit: number
  /** The running agent of a lane takes messages from now on. */
  readonly onSteerable: (lane: Lane<QueuedEvent>) => void
}

/** What the gateway keeps track of during a try. */
interface Watch {
  ended: boolean
  /** The gateway's own failure, which is not the agent's. */
  fault: { readonly error: unknown } | null
}

/** One try of a run (spec §3.5): time limit, abort, and an end even where the agent knows none. */
export class Attempts {
  /** Runs whose agent ignored its signal; only grows. */
  abandoned = 0
  readonly #options: AttemptsOptions

  constructor(options: AttemptsOptions) {
    this.#options = options
  }

  /**
   * An agent's failure is how the try ended.
   * @throws when the gateway failed the agent, as its journal cannot be read; then the try does not count.
   */
  async run(lane: Lane<QueuedEvent>, record: SessionRecord, built: AgentEntry): Promise<Ended> {
    const { agent, timeoutMs = this.#options.runTimeoutMs } = built
    const task = lane.running!
    const controller = new AbortController()
    task.controller = controller
    const timer = setTimeout(() => task.abort({ kind: 'timeout', timeoutMs }), timeoutMs)
    const watch: Watch = { ended: false, fault: null }
    const context = this.#context(lane, record, controller.signal, watch)
    this.#announce(task)
    try {
      const reply = await this.#withGrace(async () => agent.run(combined(task), context), controller.signal)
      return task.abortCause === null
        ? completed(task, reply, this.#options.maxReplyBytes)
        : stopped(task.abortCause)
    } catch (error) {
      if (task.abortCause !== null) return stopped(task.abortCause)
      if (watch.fault !== null) {
        task.attempt--
        throw watch.fault.error
      }
      return this.#failed(task, error)
    } finally {
      watch.ended = true
      task.controller = null
      task.steer = null
      clearTimeout(timer)
    }
  }

  /** The reply; or, once aborted, an end within the grace, whatever the agent does. */
  async #withGrace(run: () => Promise<AgentReply>, signal: AbortSignal): Promise<AgentReply> {
    const { abortGraceMs } = this.#options
    let grace: NodeJS.Timeout | undefined
    let onAbort = () => {}
    const abandoned = new Promise<never>((_, reject) => {
      onAbort = () => {
        grace = setTimeout(() => {
          this.abandoned++
          reject(new GatewayError('CANCELLED', 'The run was abandoned.'))
        }, abortGraceMs)
      }
      signal.addEventListener('abort', onAbort, { once: true })
    })
    try {
      return await Promise.race([run(), abandoned])
    } finally {
      clearTimeout(grace)
      signal.removeEventListener('abort', onAbort)
    }
  }

  #context(lane: Lane<QueuedEvent>, record: SessionRecord, signal: AbortSignal, watch: Watch): RunContext {
    const { sessions, broadcaster, historyLimit, log } = this.#options
    const task = lane.running!
    const { event, attempt } = task
    const { sessionKey, runId } = event
    return {
      session: sessions.summary(record),
      runId,
      events: eventsOf(task),
      attempt,
      signal,
      log,
      history: async (limit = historyLimit) => {
        try {
          return limit === 0 ? [] : await this.#history(lane, task, limit)
        } catch (error) {
          watch.fault = { error }
          throw error
        }
      },
      onSteer: (listener) => {
        if (watch.ended || signal.aborted) return
        task.steer = (message) => this.#offer(task, message, listener)
        this.#options.onSteerable(lane)
      },
      delta: (text) => {
        if (watch.ended || signal.aborted || typeof text !== 'string' || text === '') return
        const payload = JSON.stringify({ runId, text })
        const at = Date.now()
        broadcaster.broadcast({ event: EVENTS.agentDelta.name, sessionKey, at, payload, seq: 0 }, true)
      },
    }
  }

  async #history(lane: Lane<QueuedEvent>, task: QueuedEvent, limit: number): Promise<HistoryMessage[]> {
    const { sessionKey } = task.event
    const unanswered = new Set(eventsOf(task).map(({ id }) => id))
    for (const { event } of lane) unanswered.add(event.id)
    const { journal } = this.#options
    const entries = await journal.history(sessionKey, { limit: limit + unanswered.size })
    const messages = entries.map(toMessage).filter(({ eventId }) => !unanswered.has(eventId))
    return inTurns(messages).slice(-limit)
  }

  /** Whether the agent took the message. */
  #offer(task: QueuedEvent, message: InboundEvent, listener: SteerListener): boolean {
    try {
      return listener(message) !== false
    } catch (error) {
      this.#options.log.warn(
        { err: error, eventId: message.id, agent: task.agent },
        'agent refused a message',
      )
      task.steer = null
      return false
    }
  }

  #announce(task: QueuedEvent): void {
    const { event, agent, attempt } = task
    const { broadcaster, hooks } = this.#options
    const merged = mergedOf(task)
    const payload = JSON.stringify({ runId: event.runId, eventId: event.id, agent, attempt, merged })
    const { sessionKey } = event
    broadcaster.broadcast({ event: EVENTS.agentStarted.name, sessionKey, at: Date.now(), payload, seq: 0 })
    hooks.emit({ name: 'agent:started', event, agent, attempt })
  }

  /** What is no `GatewayError` says nothing of itself to clients, and may be over by the next try. */
  #failed({ event, agent, attempt }: QueuedEvent, error: unknown): Ended {
    const fields = { err: error, eventId: event.id, agent, attempt }
    if (error instanceof GatewayError) {
      this.#options.log.warn(fields, 'agent failed')
      return failed(error)
    }
    this.#options.log.error(fields, 'agent failed')
    const message = 'The agent failed; the gateway log has the cause.'
    return failed(new GatewayError('INTERNAL_ERROR', message, { retryable: true }))
  }
}

/** While an answer is made other messages may come: it goes before them, to what it answers. Event ids sort as they came. */
function inTurns(messages: HistoryMessage[]): HistoryMessage[] {
  const place = ({ eventId, answers }: HistoryMessage) => answers?.at(-1) ?? eventId
  return messages.sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0))
}
