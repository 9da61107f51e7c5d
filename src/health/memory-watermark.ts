import type { CheckResult } from './health.js'

export type MemoryBound = 'rss' | 'heap'

export interface MemoryReading {
  /** Bytes of the process in memory. */
  readonly rss: number
  /** Bytes of V8's heap that are taken: by what is in use, and by garbage that was not collected yet. */
  readonly heap: number
}

export interface MemoryWatermarkOptions {
  /** Bytes. */
  readonly bounds: Readonly<Record<MemoryBound, number>>
  /** How long memory may be past a bound before garbage is collected, and how often then; milliseconds. */
  readonly collectAfterMs: number
  readonly read: () => MemoryReading
  /** Collects garbage now. */
  readonly collect: () => void
  /** Told when memory crosses a bound (with which) and when it is back below all of them (null). */
  readonly onChange?: (over: MemoryBound | null, reading: MemoryReading) => void
}

/** So much may come in between two looks, however short the time: else a burst of large events could pass the bound by far. */
const LOOK_AFTER_BYTES = 1_048_576

/** Below this share of a bound it is over no more: else each collection of garbage would open the door for a moment. */
const RECOVERED_SHARE = 0.95

/**
 * Whether the process has taken as much memory as it may (spec §7, §3.4: refused before anything breaks).
 *
 * That the heap's figure includes garbage makes it no false alarm. V8 collects no later than half way between what was in
 * use after the last collection and its limit: with 85 % taken, 70 % or more were in use then, and what is in use is what
 * V8 fails on. Yet once less and less is allocated, as when new work is refused, it has no reason to collect, and
 * figures could stay where they are for ever: hence a collection of our own after a while. The process's figure falls
 * with it, by what V8 gives back to the system.
 */
export class MemoryWatermark {
  /** The bound that memory is past. */
  over: MemoryBound | null = null
  readonly #options: MemoryWatermarkOptions
  /** When memory went past its bound, or garbage was last collected since; of the caller's clock. */
  #since = 0
  /** Bytes of events that asked for room since the last look. */
  #sinceLook = 0

  constructor(options: MemoryWatermarkOptions) {
    this.#options = { ...options }
  }

  get bounds(): Readonly<Record<MemoryBound, number>> {
    return this.#options.bounds
  }

  /** Other limits, from the next look on. */
  limit(limits: Pick<MemoryWatermarkOptions, 'bounds' | 'collectAfterMs'>): void {
    Object.assign(this.#options, limits)
  }

  /** Whether there is memory for an event of so many bytes. */
  hasRoom(bytes: number, now: number): boolean {
    this.#sinceLook += bytes
    if (this.#sinceLook >= LOOK_AFTER_BYTES) this.sample(now)
    return this.over === null
  }

  /** Looks at the memory. `now`: milliseconds of a clock that only goes forward. */
  sample(now: number): void {
    this.#sinceLook = 0
    const { read, collect, collectAfterMs } = this.#options
    if (this.#judge(read())) this.#since = now
    if (this.over === null || now - this.#since < collectAfterMs) return
    collect()
    this.#since = now
    this.#judge(read())
  }

  health(): CheckResult {
    if (this.over === null) return { status: 'ok' }
    const mebibytes = Math.round(this.bounds[this.over] / 1_048_576)
    const what = this.over === 'rss' ? 'the process takes' : 'the heap holds'
    return { status: 'failing', message: `${what} more than ${mebibytes} MiB: new events are refused` }
  }

  /** True: it went past a bound just now. */
  #judge(reading: MemoryReading): boolean {
    const before = this.over
    const share = before === null ? 1 : RECOVERED_SHARE
    const { bounds } = this
    this.over = reading.heap > bounds.heap * share ? 'heap' : reading.rss > bounds.rss * share ? 'rss' : null
    if (before !== this.over) this.#options.onChange?.(this.over, reading)
    return before === null && this.over !== null
  }
}
