import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import type { CheckResult } from './health.js'

/** Milliseconds between two looks at the loop: what a window says is finer by nothing. */
const RESOLUTION_MS = 20

export interface LoopDelayOptions {
  /** Past this the gateway is not ready. */
  readonly maxDelayMs: number
  readonly windowMs: number
  /** A window was past the bound; milliseconds. */
  readonly onExceeded?: (delayMs: number) => void
}

/** Seconds. */
export interface LoopDelayFigures {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** How late the event loop comes round (spec §7), in windows: what blocked it is seen at once and forgotten after two. */
export class LoopDelay {
  readonly #options: LoopDelayOptions
  readonly #histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  #timer: NodeJS.Timeout | null = null
  /** Of the last whole window. */
  #last: LoopDelayFigures | null = null
  /** Since it was last told, without the present window; seconds. */
  #maxUntold = 0
  /** When the present window began. */
  #since = 0

  constructor(options: LoopDelayOptions) {
    this.#options = { ...options }
  }

  /** Other limits; a window of another length begins now. */
  limit(limits: Pick<LoopDelayOptions, 'maxDelayMs' | 'windowMs'>): void {
    const isSame = limits.windowMs === this.#options.windowMs
    Object.assign(this.#options, limits)
    if (isSame || this.#timer === null) return
    clearInterval(this.#timer)
    this.#begin()
  }

  /** From here on; what the start itself took is not looked at. */
  start(): void {
    this.#histogram.enable()
    this.#histogram.reset()
    if (this.#timer === null) this.#begin()
  }

  #begin(): void {
    this.#since = performance.now()
    this.#timer = setInterval(() => this.#roll(), this.#options.windowMs).unref()
  }

  /** Twice is fine. */
  close(): void {
    this.#histogram.disable()
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /**
   * The longest delay of the present window and the one before; milliseconds. The longest, for a mean would hide one long
   * block among many short turns; the present one, for the turn after a block is the first that can be asked.
   */
  get worstMs(): number {
    return Math.max(this.#now().max, this.#last?.max ?? 0) * 1_000
  }

  health(): CheckResult {
    const { worstMs } = this
    const { maxDelayMs } = this.#options
    if (worstMs <= maxDelayMs) return { status: 'ok' }
    return { status: 'failing', message: `blocked for ${Math.round(worstMs)} ms, more than ${maxDelayMs}` }
  }

  /** For metrics: percentiles of the last whole window, and the longest delay since this was last called. */
  tell(): LoopDelayFigures {
    const now = this.#now()
    const { p50, p99 } = this.#last ?? now
    const max = Math.max(this.#maxUntold, now.max)
    this.#maxUntold = 0
    return { p50, p99, max }
  }

  #roll(): void {
    const now = this.#now()
    // A block that ends in the turn of this timer: the histogram would look after it, and forgets by the reset since when.
    const lateMs = performance.now() - this.#since - this.#options.windowMs
    const last = { ...now, max: Math.max(now.max, lateMs / 1_000) }
    this.#since = performance.now()
    this.#histogram.reset()
    this.#last = last
    this.#maxUntold = Math.max(this.#maxUntold, last.max)
    const delayMs = last.max * 1_000
    if (delayMs > this.#options.maxDelayMs) this.#options.onExceeded?.(Math.round(delayMs))
  }

  #now(): LoopDelayFigures {
    const { count, max } = this.#histogram
    // Without a value it answers with the ends of its range.
    if (count === 0) return { p50: 0, p99: 0, max: 0 }
    const [p50, p99] = [this.#histogram.percentile(50), this.#histogram.percentile(99)]
    return { p50: p50 / 1e9, p99: p99 / 1e9, max: max / 1e9 }
  }
}
