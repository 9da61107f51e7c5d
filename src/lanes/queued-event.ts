import type { Gate } from '../agents/gate.js'
import {
  CRON_SOURCE,
  GatewayError,
  type InboundEvent,
  MESSAGE_RECEIVED,
  PRIORITIES,
} from '../protocol/index.js'
import type { TraceContext } from '../tracing/trace-context.js'
import type { Task } from './lane.js'
import type { Sender } from './ready-list.js'
import type { Stop } from './stop.js'

/** Why a run was stopped before it answered. */
export type AbortCause =
  | { readonly kind: 'requested'; readonly reason: string }
  /** `by`: the run of the newer message. */
  | { readonly kind: 'interrupted'; readonly by: string }
  | { readonly kind: 'timeout'; readonly timeoutMs: number }
  | { readonly kind: 'shutdown' }

const NONE: readonly QueuedEvent[] = []

/** An accepted event in its lane, from the journal's word to its outcome. */
export class QueuedEvent implements Task {
  next: Task | null = null
  readonly rank: Task['rank']
  /** Of the process's monotonic clock. */
  readonly arrivedAt = performance.now()
  /** Tries begun. */
  attempt = 0
  agent = ''
  startedAt = 0
  /** The same by a clock that nobody sets. */
  begunAt = 0
  /** What else its run handles: messages that were collected before it began or handed over since, in order. */
  others = NONE
  /** Hands a message to the running agent, if that takes such; false: it did not take it. */
  steer: ((event: InboundEvent) => boolean) | null = null
  /** Set while it runs. */
  stop: Stop | null = null
  abortCause: AbortCause | null = null
  /** Of its last try. */
  trace: TraceContext | null = null
  /** Where it waits until its agent can take it. */
  gate: Gate | null = null
  #timer: NodeJS.Timeout | null = null

  /**
   * @param bytes payload size
   * @param sender whose place it takes; null: nobody's, after a restart
   * @param crashes how often the process died while it handled this event
   */
  constructor(
    readonly event: InboundEvent,
    readonly bytes: number,
    readonly sender: Sender | null = null,
    readonly crashes = 0,
  ) {
    this.rank = PRIORITIES.indexOf(event.priority) as Task['rank']
  }

  /** Whether a person said it: the queue modes are about these alone. */
  get isMessage(): boolean {
    return this.event.type === MESSAGE_RECEIVED && this.event.source !== CRON_SOURCE
  }

  /** Calls back later, instead of what was to be called before. */
  later(ms: number, then: () => void): void {
    this.clearTimer()
    this.#timer = setTimeout(then, ms)
  }

  /** Waits at no gate any more. */
  leaveGate(): void {
    this.gate?.forget(this, this.sender?.name ?? '')
    this.gate = null
  }

  clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Stops the run; the first cause stands. False: this is not it. */
  abort(cause: AbortCause): boolean {
    if (this.abortCause !== null) return false
    this.abortCause = cause
    const why = cause.kind === 'requested' ? cause.reason : cause.kind
    const details = { cause: cause.kind }
    this.stop?.abort(new GatewayError('CANCELLED', `The run was stopped: ${why}.`, { details }))
    return true
  }
}

/** All that a run handles, its own event first. */
export function eventsOf(task: QueuedEvent): readonly InboundEvent[] {
  return task.others.length === 0 ? [task.event] : [task.event, ...task.others.map(({ event }) => event)]
}

export function idsOf(task: QueuedEvent): readonly string[] {
  return task.others.length === 0 ? [task.event.id] : eventsOf(task).map(({ id }) => id)
}

/** The ids of what a run handles besides its own event, as outbound events name them. */
export function mergedOf(task: QueuedEvent): { eventId: string; runId: string }[] | undefined {
  if (task.others.length === 0) return undefined
  return task.others.map(({ event }) => ({ eventId: event.id, runId: event.runId }))
}
