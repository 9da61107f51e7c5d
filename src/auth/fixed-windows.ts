interface Window {
  readonly since: number
  count: number
}

const DEFAULT_MAX_KEYS = 5_000

type Callback = (error: Error | null, result?: { current: number; ttl: number }) => void

/**
 * Counts the requests of each key in fixed windows, for @fastify/rate-limit. Its own store goes by the clock of the day: set
 * back, that would refuse a client until it is as late as it was.
 */
export class FixedWindows {
  readonly #windows = new Map<string, Window>()
  readonly #maxKeys: number
  readonly #now: () => number

  /** `cache`: how many keys; the one whose window began first is forgotten first. `now`: a clock that nobody sets, ms. */
  constructor({ cache = DEFAULT_MAX_KEYS }: { cache?: number } = {}, now = () => performance.now()) {
    this.#maxKeys = cache
    this.#now = now
  }

  incr(key: string, callback: Callback, timeWindow: number): void {
    const now = this.#now()
    let window = this.#windows.get(key)
    if (window === undefined || now - window.since >= timeWindow) {
      this.#windows.delete(key)
      if (this.#windows.size >= this.#maxKeys) this.#windows.delete(this.#windows.keys().next().value!)
      window = { since: now, count: 0 }
      this.#windows.set(key, window)
    }
    window.count++
    callback(null, { current: window.count, ttl: Math.ceil(window.since + timeWindow - now) })
  }

  /** One for another limit. */
  child(options: object): FixedWindows {
    return new FixedWindows(options, this.#now)
  }
}
