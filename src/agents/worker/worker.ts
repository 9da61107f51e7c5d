import type { InboundEvent } from '../../protocol/index.js'
import { givenSkills } from '../../skills/given.js'
import { traceOf } from '../../tracing/trace-context.js'
import type { AgentReply, HistoryMessage, RunContext } from '../agent.js'

/** A worker's connection, as a pool sees it. */
export interface WorkerLink {
  /** Much of what was sent to it is unread. */
  readonly congested: boolean
  /** Resolves when that is over, or the connection. */
  writable(): Promise<void>
  /** Sends an event to this connection alone; it is never left out. `payload` is JSON text. */
  send(event: string, sessionKey: string, payload: string): void
}

/** Someone who takes runs: a connection that has registered. */
export class Worker {
  readonly runs = new Set<WorkerRun>()
  /** Somebody is told when its reader has caught up. */
  awaited = false

  /** @param credit runs that it takes at the same time */
  constructor(
    readonly link: WorkerLink,
    public credit: number,
  ) {}

  get free(): number {
    return this.link.congested ? 0 : Math.max(0, this.credit - this.runs.size)
  }

  get load(): number {
    return this.runs.size / this.credit
  }
}

/** One try of a run, from one worker to the next until somebody ends it. */
export class WorkerRun {
  readonly outcome: Promise<AgentReply>
  readonly begunAt = performance.now()
  /** Null until it has been read. */
  history: readonly HistoryMessage[] | null = null
  /** Who has it, or is about to get it. */
  worker: Worker | null = null
  /** What fences off whoever had it before. */
  lease: string | null = null
  /** Workers that were lost with it. */
  handovers = 0
  resolve!: (reply: AgentReply) => void
  reject!: (error: Error) => void

  constructor(
    readonly event: InboundEvent,
    readonly context: RunContext,
  ) {
    this.outcome = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // It may fail while the history is still being read.
    this.outcome.catch(() => {})
  }

  /** The payload of `worker.run`, as JSON text, with so much of the texts of skills. */
  payload(agent: string, lease: string, skillsMaxChars: number): string {
    const { event, context, history } = this
    const { runId, attempt, events, session, skills, timeoutMs } = context
    return JSON.stringify({
      agent,
      lease,
      runId,
      attempt,
      deadlineMs: Math.max(0, Math.round(timeoutMs - (performance.now() - this.begunAt))),
      event,
      ...(events.length > 1 ? { events } : {}),
      session,
      history,
      ...(skills.length > 0 ? { skills: givenSkills(skills, skillsMaxChars) } : {}),
      ...traceOf(context),
    })
  }
}

/** The newest messages that have at most so many bytes in all, as JSON. */
export function newestWithin(history: readonly HistoryMessage[], maxBytes: number): HistoryMessage[] {
  let bytes = 0
  let first = history.length
  while (first > 0) {
    bytes += Buffer.byteLength(JSON.stringify(history[first - 1]))
    if (bytes > maxBytes) break
    first--
  }
  return history.slice(first)
}
