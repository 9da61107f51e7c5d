import type { Capacity } from './agent.js'
import { Breaker, type BreakerLimits, type BreakerState } from './breaker.js'

export interface GateLimits {
  /** Runs of the agent at the same time. */
  readonly concurrency?: number
  readonly breaker?: BreakerLimits
  /** The agent's own. */
  readonly capacity?: Capacity
}

/** What a run's end says of its backend. */
export type Verdict = 'up' | 'down' | 'unknown'

/** Something that waits for its turn. */
export interface Waiter {
  /** Comes to ask again; false: it does not want to any more. */
  wake(): boolean
  /** Whether it is on its way to ask. */
  readonly coming: boolean
}

/** How often to look whether who was called still comes: a paused lane does not, and its place goes to another. */
const CALL_MS = 200

/**
 * Before an agent that cannot take whatever comes: by its `concurrency`, its breaker or its own capacity. Whoever waits costs no
 * timer, and is called in order, the senders in turn.
 */
export class Gate {
  readonly breaker: Breaker | null
  readonly concurrency: number | undefined
  /** Told of each change of the breaker. */
  onBreaker: (before: BreakerState) => void = () => {}
  readonly #capacity: Capacity | undefined
  #active = 0
  #probing = false
  /** By sender. */
  readonly #waiting = new Map<string, Map<object, Waiter>>()
  /** Called, and not here yet: their places are taken. */
  readonly #called = new Map<object, Waiter>()
  #timer: NodeJS.Timeout | null = null

  constructor({ concurrency, breaker, capacity }: GateLimits) {
    this.concurrency = concurrency
    this.#capacity = capacity
    this.breaker =
      breaker === undefined
        ? null
        : new Breaker(breaker, (before) => {
            this.onBreaker(before)
            this.callNext()
          })
    capacity?.onFree(() => this.callNext())
  }

  get waiting(): number {
    let count = this.#called.size
    for (const waiters of this.#waiting.values()) count += waiters.size
    return count
  }

  /** Whether `key` may enter now. Asked anew by who was called. */
  admits(key: object): boolean {
    if (this.#called.delete(key)) return this.#free > 0
    return this.#waiting.size === 0 && this.#free > this.#called.size
  }

  /** To be followed by one `leave` with what it gives. */
  enter(): { readonly probe: boolean } {
    this.#active++
    const probe = this.breaker?.state === 'half-open'
    if (probe) this.#probing = true
    return { probe }
  }

  leave({ probe }: { readonly probe: boolean }, verdict: Verdict): void {
    this.#active--
    if (probe) this.#probing = false
    if (verdict === 'up') this.breaker?.succeeded()
    else if (verdict === 'down') this.breaker?.failed()
    this.callNext()
  }

  /** Waits until it is called; who waits already keeps its place. */
  wait(key: object, sender: string, waiter: Waiter): void {
    const waiters = this.#waiting.get(sender)
    if (waiters === undefined) this.#waiting.set(sender, new Map([[key, waiter]]))
    else waiters.set(key, waiter)
    this.callNext()
  }

  /** It does not want to enter any more. */
  forget(key: object, sender: string): void {
    this.#called.delete(key)
    const waiters = this.#waiting.get(sender)
    if (waiters?.delete(key) && waiters.size === 0) this.#waiting.delete(sender)
  }

  /** Sends all who wait away, to look for another one. */
  dissolve(): void {
    const waiting = [...this.#waiting.values()].flatMap((waiters) => [...waiters.values()])
    this.#waiting.clear()
    for (const waiter of waiting) waiter.wake()
  }

  /** Calls nobody any more. Twice is fine. */
  close(): void {
    this.breaker?.close()
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.#waiting.clear()
    this.#called.clear()
  }

  get #free(): number {
    const state = this.breaker?.state ?? 'closed'
    if (state === 'open' || this.#probing) return 0
    const free = Math.min(
      (this.concurrency ?? Number.POSITIVE_INFINITY) - this.#active,
      this.#capacity?.free ?? Number.POSITIVE_INFINITY,
    )
    return state === 'half-open' ? Math.min(1, free) : free
  }

  /** To be called when somebody was admitted and does not enter. */
  callNext(): void {
    while (this.#waiting.size > 0 && this.#free > this.#called.size) {
      const [key, waiter] = this.#next()
      this.#called.set(key, waiter)
      if (!waiter.wake()) this.#called.delete(key)
    }
    if (this.#called.size === 0 || this.#timer !== null) return
    this.#timer = setInterval(() => this.#recall(), CALL_MS)
    this.#timer.unref()
  }

  #recall(): void {
    for (const [key, { coming }] of this.#called) if (!coming) this.#called.delete(key)
    this.callNext()
    if (this.#called.size > 0 || this.#timer === null) return
    clearInterval(this.#timer)
    this.#timer = null
  }

  /** The first one of the sender whose turn it is. */
  #next(): [object, Waiter] {
    const [sender, waiters] = this.#waiting.entries().next().value!
    const first = waiters.entries().next().value!
    waiters.delete(first[0])
    this.#waiting.delete(sender)
    if (waiters.size > 0) this.#waiting.set(sender, waiters)
    return first
  }
}

/** The gate of an agent; undefined where nothing limits it. */
export function createGate(limits: GateLimits): Gate | undefined {
  const { concurrency, breaker, capacity } = limits
  return concurrency === undefined && breaker === undefined && capacity === undefined
    ? undefined
    : new Gate(limits)
}
