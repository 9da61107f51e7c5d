import type { AgentReply, HistoryMessage, RunContext, Skill, SteerListener } from '../agents/agent.js'
import type { AgentEntry } from '../agents/registry.js'
import type { Hooks } from '../hooks/hooks.js'
import type { Journal, SessionRecord } from '../journal/journal.js'
import type { Log } from '../log.js'
import { EVENTS, GatewayError, type InboundEvent } from '../protocol/index.js'
import { inTurns, toMessage } from '../sessions/conversations.js'
import type { Sessions } from '../sessions/sessions.js'
import type { SkillSelection } from '../skills/skill.js'
import type { TraceContext } from '../tracing/trace-context.js'
import { tracedLog } from '../tracing/traced-log.js'
import type { Span, Tracing } from '../tracing/tracing.js'
import { completed, type Ended, failed, stopped } from './ended.js'
import type { Lane } from './lane.js'
import { combined } from './modes.js'
import type { Questions } from './questions.js'
import { eventsOf, idsOf, mergedOf, type QueuedEvent } from './queued-event.js'
import { type RunListener, RunOutput, type RunOutputOptions } from './run-output.js'
import { Stop } from './stop.js'
import { tracedRun } from './traced-run.js'

export interface AttemptsOptions extends RunOutputOptions {
  readonly journal: Journal
  readonly sessions: Sessions
  readonly hooks: Hooks
  readonly log: Log
  readonly runTimeoutMs: number
  readonly abortGraceMs: number
  readonly questions: Questions
  /** The skills that an agent is given; the same list until something changes. */
  readonly skillsOf: (selection: SkillSelection) => readonly Skill[]
  /** Messages that an agent is given unless it asks for another number. */
  readonly historyLimit: number
  /** Who follows the run of this event; null: nobody. */
  readonly follow?: (event: InboundEvent) => RunListener | null
  /** Default: trace contexts are carried on. */
  readonly tracing?: Tracing
}

/** What the gateway keeps track of during a try. */
interface Watch {
  readonly output: RunOutput
  readonly log: Log
  readonly trace: TraceContext | null
  /** The read of the history that was asked for last. */
  reading: Promise<unknown>
  /** The gateway's own failure, which is not the agent's. */
  fault: { readonly error: unknown } | null
}

const NOTHING_READ = Promise.resolve()

/** One try of a run (spec §3.5): time limit, abort, and an end even where the agent knows none. */
export class Attempts {
  /** Runs whose agent ignored its signal; only grows. */
  abandoned = 0
  readonly #options: AttemptsOptions
  readonly #onSteerable: (lane: Lane<QueuedEvent>) => void

  /** @param onSteerable the running agent of a lane takes messages from now on */
  constructor(options: AttemptsOptions, onSteerable: (lane: Lane<QueuedEvent>) => void) {
    this.#options = options
    this.#onSteerable = onSteerable
  }

  /**
   * An agent's failure is how the try ended.
   * @throws when the gateway failed the agent, as its journal cannot be read; then the try does not count.
   */
  run(lane: Lane<QueuedEvent>, record: SessionRecord, built: AgentEntry): Promise<Ended> {
    const { tracing } = this.#options
    return tracedRun(tracing, lane.running!, built.type, (span) => this.#try(lane, record, built, span))
  }

  async #try(lane: Lane<QueuedEvent>, record: SessionRecord, built: AgentEntry, span: Span): Promise<Ended> {
    const { agent, timeoutMs = this.#options.runTimeoutMs } = built
    const task = lane.running!
    const stop = new Stop()
    task.stop = stop
    const timer = setTimeout(() => task.abort({ kind: 'timeout', timeoutMs }), timeoutMs)
    const log = tracedLog(this.#options.log, span.trace ?? {})
    const listener = this.#options.follow?.(task.event) ?? null
    const output = new RunOutput(this.#options, task.event, stop, span, log, listener)
    const watch: Watch = { output, log, trace: span.trace, reading: NOTHING_READ, fault: null }
    const context = this.#context(lane, record, built, timeoutMs, stop, watch)
    this.#announce(task)
    let answered = false
    try {
      const run = async () => span.within(() => agent.run(copyOf(combined(task)), context))
      const reply = await this.#withGrace(run, stop)
      if (task.abortCause !== null) return stopped(task.abortCause)
      const ended = completed(task, reply, this.#options.maxReplyBytes)
      answered = ended.content !== ''
      return ended
    } catch (error) {
      if (task.abortCause !== null) return stopped(task.abortCause)
      if (watch.fault !== null) {
        task.attempt--
        throw watch.fault.error
      }
      return this.#failed(task, error, log)
    } finally {
      output.end()
      this.#options.questions.endRun(task.event.runId)
      task.stop = null
      task.steer = null
      clearTimeout(timer)
      listener?.ended(answered)
    }
  }

  /** The reply; or, once stopped, an end within the grace, whatever the agent does. */
  #withGrace(run: () => Promise<AgentReply>, stop: Stop): Promise<AgentReply> {
    return new Promise((resolve, reject) => {
      let grace: NodeJS.Timeout | undefined
      stop.onAbort = () => {
        grace = setTimeout(() => {
          this.abandoned++
          reject(new GatewayError('CANCELLED', 'The run was abandoned.'))
        }, this.#options.abortGraceMs)
      }
      const end = () => {
        stop.onAbort = null
        clearTimeout(grace)
      }
      run().then(
        (reply) => {
          end()
          resolve(reply)
        },
        (error: unknown) => {
          end()
          reject(error)
        },
      )
    })
  }

  #context(
    lane: Lane<QueuedEvent>,
    record: SessionRecord,
    { skills = 'all' }: AgentEntry,
    timeoutMs: number,
    stop: Stop,
    watch: Watch,
  ): RunContext {
    const { sessions, skillsOf, historyLimit } = this.#options
    const { output, log, trace } = watch
    const task = lane.running!
    const { event, attempt } = task
    const session = sessions.summary(record)
    return {
      session: { ...session, metadata: { ...session.metadata } },
      runId: event.runId,
      events: eventsOf(task).map(copyOf),
      attempt,
      skills: skillsOf(skills),
      timeoutMs,
      get signal() {
        return stop.signal
      },
      log,
      ...trace,
      history: (limit = historyLimit) => {
        // One read at a time: an agent that asks a thousand times at once waits, and the journal is there for the others.
        const read = watch.reading.then(() => this.#history(lane, task, limit, watch))
        watch.reading = read.catch(() => {})
        return read
      },
      onSteer: (listener) => {
        if (output.over) return
        task.steer = (message) => this.#offer(task, message, listener, log)
        this.#onSteerable(lane)
      },
      delta: (text) => output.delta(text),
      restart: () => {
        if (output.over) return
        output.restart()
        this.#announce(task)
      },
      report: (report) => output.report(report),
      ask: async (question, ends = stop.signal) => {
        if (output.ended) throw new GatewayError('CANCELLED', 'The run has ended.')
        output.asks()
        const signal = AbortSignal.any([stop.signal, ends])
        return await this.#options.questions.ask(eventsOf(task), question, signal)
      },
    }
  }

  async #history(
    lane: Lane<QueuedEvent>,
    task: QueuedEvent,
    limit: number,
    watch: Watch,
  ): Promise<HistoryMessage[]> {
    if (watch.output.ended) throw new GatewayError('CANCELLED', 'The run has ended.')
    if (limit === 0) return []
    const { sessionKey } = task.event
    const unanswered = new Set(idsOf(task))
    for (const { event } of lane) unanswered.add(event.id)
    const { journal } = this.#options
    const entries = await journal
      .history(sessionKey, { limit: limit + unanswered.size })
      .catch((error: unknown) => {
        watch.fault = { error }
        throw error
      })
    const messages = entries.map(toMessage).filter(({ eventId }) => !unanswered.has(eventId))
    return inTurns(messages).slice(-limit)
  }

  /** Whether the agent took the message. */
  #offer(task: QueuedEvent, message: InboundEvent, listener: SteerListener, log: Log): boolean {
    try {
      return listener(message) !== false
    } catch (error) {
      log.warn({ err: error, eventId: message.id, agent: task.agent }, 'agent refused a message')
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
  #failed({ event, agent, attempt }: QueuedEvent, error: unknown, log: Log): Ended {
    const fields = { eventId: event.id, agent, attempt }
    try {
      if (error instanceof GatewayError) {
        log.warn({ ...fields, err: error }, 'agent failed')
        return failed(error)
      }
      log.error({ ...fields, err: error }, 'agent failed')
    } catch {
      log.error(fields, 'agent failed with something that cannot even be read')
    }
    const message = 'The agent failed; the gateway log has the cause.'
    return failed(new GatewayError('INTERNAL_ERROR', message, { retryable: true }))
  }
}

/** What an agent does to its event, another try or the outcome does not see. */
function copyOf(event: InboundEvent): InboundEvent {
  return { ...event, payload: { ...event.payload } }
}
