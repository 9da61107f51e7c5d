/** The clock of the day may be set: it is looked at this often, whatever the time that is left. */
const LONGEST_WAIT_MS = 60_000

/** Tells when the time of things is over. One timer for all of them, and none while there are none. */
export class Expiries<T> {
  readonly #at = new Map<T, number>()
  readonly #onExpired: (items: T[]) => void
  readonly #now: () => number
  #timer: NodeJS.Timeout | null = null
  #wakesAt = 0

  /** `now`: milliseconds since 1970. */
  constructor(onExpired: (items: T[]) => void, now: () => number = Date.now) {
    this.#onExpired = onExpired
    this.#now = now
  }

  get size(): number {
    return this.#at.size
  }

  /** `at`: milliseconds since 1970. Again: sets it anew. */
  set(item: T, at: number): void {
    this.#at.set(item, at)
    if (this.#timer === null || at < this.#wakesAt) this.#wait(at)
  }

  /** Not there: nothing happens. */
  delete(item: T): void {
    this.#at.delete(item)
  }

  /** Tells of those whose time is over by now. */
  check(): void {
    this.#stop()
    const now = this.#now()
    const expired: T[] = []
    let next = Number.POSITIVE_INFINITY
    for (const [item, at] of this.#at) {
      if (at <= now) expired.push(item)
      else next = Math.min(next, at)
    }
    for (const item of expired) this.#at.delete(item)
    if (this.#at.size > 0) this.#wait(next)
    if (expired.length > 0) this.#onExpired(expired)
  }

  /** Twice is fine. */
  close(): void {
    this.#at.clear()
    this.#stop()
  }

  #wait(at: number): void {
    this.#stop()
    this.#wakesAt = at
    const delay = Math.min(Math.max(at - this.#now(), 0), LONGEST_WAIT_MS)
    this.#timer = setTimeout(() => this.check(), delay)
    this.#timer.unref()
  }

  #stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
