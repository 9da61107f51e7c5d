import { GatewayError } from '../protocol/errors.js'
import type { Lane, Place, Task } from './lane.js'
import { Sender } from './ready-list.js'

export interface AdmissionLimits {
  /** Waiting tasks of one lane. */
  readonly capacity: number
  /** Waiting and running tasks in all. */
  readonly maxPending: number
  /** Bytes of the waiting and running tasks in all. */
  readonly maxPendingBytes: number
  /** Waiting and running tasks of one sender. Default: half of `maxPending`, so that there is room beside one that floods. */
  readonly maxPendingPerPrincipal?: number
  /** The bytes of these. Default: half of `maxPendingBytes`. */
  readonly maxPendingBytesPerPrincipal?: number
}

export type RefusalReason = 'lane_full' | 'principal_full' | 'gateway_full' | 'memory' | 'stopping'

/** There is no place for an event now. */
export class Refusal extends GatewayError {
  constructor(
    readonly reason: RefusalReason,
    why: string,
    retryAfterMs: number,
    /** The lane that is full, if it is that. */
    readonly full: Lane<Task> | null = null,
  ) {
    // One's own share is spent, which says nothing of the gateway; anything else is its state.
    const code = reason === 'principal_full' ? 'RATE_LIMITED' : 'UNAVAILABLE'
    super(code, `Refused: ${why}; try again later.`, { details: { reason }, retryAfterMs })
  }
}

/** Memory comes back with runs that end and a collection of garbage: not sooner than this. */
const MEMORY_RETRY_MS = 1_000

/** Counts what waits and runs against the bounds of its lane, its sender and the whole (spec §3.4). */
export class Admission {
  /** Counters that only grow. */
  readonly refusals: Record<RefusalReason, number> = {
    lane_full: 0,
    principal_full: 0,
    gateway_full: 0,
    memory: 0,
    stopping: 0,
  }
  pending = 0
  pendingBytes = 0
  limits: AdmissionLimits
  readonly #hasMemory: (bytes: number) => boolean
  /** Those who have something pending. */
  readonly #senders = new Map<string, Sender>()
  /** Completions since `#sampledAt`, and the rate of the sample before, for `retryAfterMs`. */
  #completed = 0
  #sampledAt = performance.now()
  #ratePerMs = 0

  constructor(limits: AdmissionLimits, hasMemory: (bytes: number) => boolean) {
    this.limits = limits
    this.#hasMemory = hasMemory
  }

  /** The one who is counted under this name. To be asked for anew for each event: nothing is kept of who has none. */
  sender(name: string): Sender {
    return this.#senders.get(name) ?? new Sender(name)
  }

  /** Why there is no room; null: there is. `running`: how many tasks run. */
  refusal(lane: Lane<Task> | undefined, { bytes, sender }: Place, running: number): Refusal | null {
    const { capacity, maxPending, maxPendingBytes } = this.limits
    if (!this.#hasMemory(bytes)) {
      const retryAfterMs = Math.max(MEMORY_RETRY_MS, this.#retryAfterMs(running))
      return new Refusal('memory', 'the gateway’s memory is nearly used up', retryAfterMs)
    }
    if (lane !== undefined && lane.waiting + lane.reserved >= capacity) {
      const why = `the session already has ${capacity} waiting events`
      return new Refusal('lane_full', why, this.#retryAfterMs(running), lane)
    }
    if (sender !== null && !this.#fitsSender(sender, bytes)) {
      const why = `${sender.pending} events of yours are waiting, with ${sender.pendingBytes} bytes`
      return new Refusal('principal_full', why, this.#retryAfterMs(running))
    }
    if (!fits(this, bytes, maxPending, maxPendingBytes)) {
      const why = `${this.pending} events are waiting, with ${this.pendingBytes} bytes`
      return new Refusal('gateway_full', why, this.#retryAfterMs(running))
    }
    return null
  }

  #fitsSender(sender: Sender, bytes: number): boolean {
    const { maxPending, maxPendingBytes, maxPendingPerPrincipal, maxPendingBytesPerPrincipal } = this.limits
    const max = maxPendingPerPrincipal ?? Math.ceil(maxPending / 2)
    return fits(sender, bytes, max, maxPendingBytesPerPrincipal ?? Math.ceil(maxPendingBytes / 2))
  }

  take({ bytes, sender }: Place): void {
    this.pending++
    this.pendingBytes += bytes
    if (sender === null) return
    if (sender.pending++ === 0) this.#senders.set(sender.name, sender)
    sender.pendingBytes += bytes
  }

  give({ bytes, sender }: Place): void {
    this.pending--
    this.pendingBytes -= bytes
    if (sender === null) return
    sender.pendingBytes -= bytes
    if (--sender.pending === 0) this.#senders.delete(sender.name)
  }

  /** A task has ended. */
  completed(): void {
    this.#completed++
  }

  /** By Little's law the runs at hand over the rate of completions is how long one takes: when a place will be free. */
  #retryAfterMs(running: number): number {
    const now = performance.now()
    const elapsed = now - this.#sampledAt
    if (elapsed >= 1000) {
      this.#ratePerMs = this.#completed / elapsed
      this.#completed = 0
      this.#sampledAt = now
    }
    const estimate = this.#ratePerMs > 0 ? Math.max(running, 1) / this.#ratePerMs : 1000
    return Math.round(Math.min(Math.max(estimate, 100), 30_000))
  }
}

/** Whether one more is within the bounds. One alone always is: it could never come otherwise. */
function fits(
  taken: { readonly pending: number; readonly pendingBytes: number },
  bytes: number,
  max: number,
  maxBytes: number,
): boolean {
  return taken.pending < max && (taken.pendingBytes + bytes <= maxBytes || taken.pending === 0)
}
