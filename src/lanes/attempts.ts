import type { AgentReply, HistoryMessage, RunContext } from '../agents/agent.js'
import type { AgentEntry } from '../agents/registry.js'
import type { Broadcaster } from '../events/broadcaster.js'
import type { Hooks } from '../hooks/hooks.js'
import type { Journal, SessionRecord } from '../journal/journal.js'
import type { Log } from '../log.js'
import { EVENTS, GatewayError, type InboundEvent } from '../protocol/index.js'
import { type Sessions, toMessage } from '../sessions/sessions.js'
import { completed, type Ended, failed, stopped } from './ended.js'
import type { Lane } from './lane.js'
import type { QueuedEvent } from './queued-event.js'

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
      const reply = await this.#withGrace(async () => agent.run(task.event, context), controller.signal)
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
    const { event, attempt } = lane.running!
    const { sessionKey, runId } = event
    return {
      session: sessions.summary(record),
      runId,
      attempt,
      signal,
      log,
      history: async (limit = historyLimit) => {
        try {
          return limit === 0 ? [] : await this.#history(lane, event, limit)
        } catch (error) {
          watch.fault = { error }
          throw error
        }
      },
      delta: (text) => {
        if (watch.ended || signal.aborted || typeof text !== 'string' || text === '') return
        const payload = JSON.stringify({ runId, text })
        const at = Date.now()
        broadcaster.broadcast({ event: EVENTS.agentDelta.name, sessionKey, at, payload, seq: 0 }, true)
      },
    }
  }

  async #history(
    lane: Lane<QueuedEvent>,
    { id, sessionKey }: InboundEvent,
    limit: number,
  ): Promise<HistoryMessage[]> {
    const unanswered = new Set([id])
    for (const { event } of lane) unanswered.add(event.id)
    const { journal } = this.#options
    const entries = await journal.history(sessionKey, { limit: limit + unanswered.size })
    const messages = entries.map(toMessage).filter(({ eventId }) => !unanswered.has(eventId))
    return inTurns(messages).slice(-limit)
  }

  #announce({ event, agent, attempt }: QueuedEvent): void {
    const { broadcaster, hooks } = this.#options
    const payload = JSON.stringify({ runId: event.runId, eventId: event.id, agent, attempt })
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
  return messages.sort((a, b) => (a.eventId < b.eventId ? -1 : a.eventId > b.eventId ? 1 : 0))
}
